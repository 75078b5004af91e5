"""Every field of a config with its meaning and its usual value; a file in configs/ changes some.

`model` holds the options of the model beside what is here; `models.options(NAME)` lists them.
"""

from ml_collections import ConfigDict


def defaults() -> ConfigDict:
    """A config without a paper and a model's options; every call makes a new one."""
    config = ConfigDict()
    config.paper = ""
    # How the run is no row of its paper, a sentence each; (): as far as its arguments say it is one
    config.departures = ()
    config.seed = 0
    config.compilation_cache = ""  # folder where compiled programs are kept; "": none
    config.init_from = ""  # a run directory or a file of weights; "": fresh
    # Or "imagenet": the paper starts from such weights, and a run without init_from is refused
    config.paper_start = ""
    config.trunks_from = ()  # of a fusion: two run directories or files; (): those of its stages
    config.stages = ConfigDict()  # of a fusion: name of a trunk -> config of its own run

    config.protocol = ConfigDict()
    config.protocol.name = "honest"  # or "paper": optimistic
    config.protocol.selection = "validation"  # or "test", "validation+test"
    config.protocol.test = "test"  # or "validation+test"

    config.dataset = ConfigDict()
    config.dataset.name = "fer2013"
    config.dataset.data_dir = ""  # FERJAX_DATA_DIR or the user's cache folder
    # Where the pixels are: "device", "host" (its memory), "stream" (decoded from their files
    # again and again), or "auto": the device where a split fits into the limit, else stream
    config.dataset.placement = "auto"
    config.dataset.limit_mib = 1024  # of the decoded pixels of a split, on each device
    config.dataset.num_threads = 0  # that read and decode for "stream"; 0: one per core
    config.dataset.options = ConfigDict()  # of the data set itself

    config.model = ConfigDict()
    config.model.name = "resnet18"
    config.model.channels = 1
    config.model.image_size = 48
    config.model.dtype = "bfloat16"  # or "float32"
    config.model.batch_stats = "global"  # or "per_device"
    config.model.remat = False  # ResNets: compute activations twice instead of keeping them

    config.preprocess = ConfigDict()
    config.preprocess.normalization = "dataset"  # or "unit", "imagenet", "caffe"

    config.loss = ConfigDict()
    config.loss.name = "softmax"  # or "center", "island"
    config.loss.weight = 0.5  # lambda
    config.loss.pairwise_weight = 0.5  # lambda_1
    config.loss.center_reduction = "mean"  # or "sum", "element" (over batch and features)
    config.loss.center_distance = "squared"  # or "norm": eq. 2 of sun2021 as printed
    config.loss.center_update = "rule"  # or "gradient"
    config.loss.pairwise_on = "centers"  # or "features": what the pairwise term moves
    config.loss.center_learning_rate = 0.5  # alpha
    config.loss.label_smoothing = 0.0
    config.loss.class_weights = "none"  # or "balanced", or a number for each class: "1+2.5+..."

    config.augment = ConfigDict()
    config.augment.shift = 4 / 48  # of the side; whole pixels of the stored image
    config.augment.subpixel = False  # shifts by fractions of a pixel
    config.augment.flip = 0.5  # probability
    # Smallest and largest magnification, drawn evenly: (0.8, 1.2) is a random resized crop
    config.augment.scale = (1.0, 1.0)
    config.augment.rotation = 0.0  # degrees
    config.augment.rotation_probability = 1.0
    # Share of the side of a random crop, which keeps its size until it is brought to that of the
    # model; evaluation and prediction see crops of the same size. 1: the whole image
    config.augment.crop = 1.0
    config.augment.desaturation = 0.0  # probability
    config.augment.brightness = 0.0  # largest relative change of the grey levels
    config.augment.contrast = 0.0  # largest relative change of their distance from their mean
    config.augment.jitter_probability = 1.0  # of brightness and contrast together
    config.augment.erasing = 0.0  # probability
    config.augment.erasing_area = (0.02, 0.25)  # share of the image
    config.augment.erasing_aspect = 3.0
    config.augment.mixup = 0.0  # alpha of the Beta(alpha, alpha) of mixed pairs; 0: none

    config.optimizer = ConfigDict()
    config.optimizer.name = "sgd"  # or "adam", "radam"
    config.optimizer.learning_rate = 0.01
    config.optimizer.schedule = "cosine"  # or "constant"
    config.optimizer.warmup_epochs = 0.0
    config.optimizer.momentum = 0.9
    config.optimizer.nesterov = False
    config.optimizer.weight_decay = 5e-4
    config.optimizer.clip_norm = 0.0  # 0: no clipping
    config.optimizer.epsilon = 1e-8  # of adam and radam; Keras has 1e-7
    config.optimizer.accumulation_steps = 1
    # Largest decay of the average of the weights, which starts smaller; 0: no average
    config.optimizer.ema_decay = 0.0
    config.optimizer.plateau = ConfigDict()  # reducing the learning rate
    config.optimizer.plateau.factor = 0.0  # 0: off
    config.optimizer.plateau.patience = 10  # epochs
    config.optimizer.plateau.style = "pytorch"  # or "keras": what patience means
    config.optimizer.plateau.metric = "accuracy"  # or "macro_f1", "loss", of validation
    config.optimizer.plateau.threshold = 1e-4
    config.optimizer.plateau.cooldown = 0  # epochs
    config.optimizer.plateau.minimum = 0.0  # of the factor on the schedule's learning rate

    config.train = ConfigDict()
    config.train.batch_size = 128
    config.train.num_epochs = 200
    config.train.sampling = "uniform"  # or "balanced": every class as often in each epoch
    config.train.early_stopping_patience = 0  # epochs without a better validation accuracy; 0: off
    config.train.checkpoint_every_steps = 0  # 0: after every epoch only
    config.train.on_failed_save = "stop"  # or "continue": without the checkpoint
    config.train.watchdog_minutes = 60.0  # without a step, until the run ends itself; 0: off
    config.train.parameter_placement = "replicated"  # or "sharded": over the devices

    config.evaluation = ConfigDict()
    config.evaluation.batch_size = 512
    config.evaluation.selection_view = "single"
    config.evaluation.test_views = ("single", "flip", "ten_crop")
    return config


def completed(config: ConfigDict) -> ConfigDict:
    """A config that an older version may have written, with the fields that it lacks, by default.

    A default leaves a run what it was before there was the field.
    """
    return _filled(config.copy_and_resolve_references(), defaults())


def _filled(config: ConfigDict, others: ConfigDict) -> ConfigDict:
    for name, value in others.items():
        if name not in config:
            config[name] = value
        elif isinstance(value, ConfigDict):
            _filled(config[name], value)
    return config
