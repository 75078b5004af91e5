"""The argument `recipe`: what a paper states, or what strong public FER2013 code trains with.

recipe=paper|strong    (paper) paper: what the paper states, and the mildest default where it is
                       silent; strong: also scale, rotation, brightness, contrast and erasing,
                       label smoothing, a warm-up, and an average of the weights
"""

from ml_collections import ConfigDict

from ferjax.config.arguments import Argument

ARGUMENTS = {"recipe": Argument("paper", ("paper", "strong"))}


def apply_strong(config: ConfigDict) -> None:
    """Sets the fields of recipe=strong for any network; the config sets the learning rate.

    Stronger augmentation of a paper, such as a rotation by 30 degrees, is kept.
    """
    augment = config.augment
    augment.flip = 0.5
    augment.shift = max(augment.shift, 0.1)
    augment.subpixel = True
    augment.scale = (0.8, 1.2)
    augment.rotation = max(augment.rotation, 10.0)
    augment.brightness = 0.2
    augment.contrast = 0.2
    augment.erasing = 0.5
    config.departures += ("recipe=strong: more augmentation and regularisation than the paper's",)
    config.loss.label_smoothing = 0.1
    config.optimizer.ema_decay = 0.999
    config.optimizer.warmup_epochs = max(config.optimizer.warmup_epochs, 2.0)
