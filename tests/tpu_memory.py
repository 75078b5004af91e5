"""How much memory a training step takes on a TPU that is not here, by its compiler's own figures.

    pip install 'jax[tpu]'
    JAX_PLATFORMS=cpu TPU_SKIP_MDS_QUERY=1 PYTHONPATH=. python tests/tpu_memory.py \
        --config=configs/vgg19_attention.py [--config.model.remat=True] [--topology=v5e:2x2]

compiles the step of a config for one chip of the topology. The batches carry their pixels, which
stand for any data set of the stored size, given by --native=HEIGHT,WIDTH,CHANNELS.
"""

import json
import time

import jax
import numpy as np
from absl import app, flags
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh
from ml_collections import config_flags

from ferjax import experiment, sharding
from ferjax.data.pipeline import Batch
from ferjax.data.preprocess import Preprocessing

CONFIG = config_flags.DEFINE_config_file("config")
TOPOLOGY = flags.DEFINE_string("topology", "v5e:2x2", "name of a TPU topology")
NATIVE = flags.DEFINE_list("native", ["48", "48", "1"], "shape of a stored image")


def main(_):
    config = CONFIG.value
    native = tuple(int(size) for size in NATIVE.value)
    chips = topologies.get_topology_desc(TOPOLOGY.value, platform="tpu").devices
    mesh = Mesh(np.array(chips[:1]), (sharding.DATA_AXIS,), axis_types=(AxisType.Auto,))
    preprocessing = Preprocessing(
        native_shape=native,
        image_size=config.model.image_size,
        mean=(0.5,) * config.model.channels,
        std=(0.25,) * config.model.channels,
    )
    meta = {
        "model": {**dict(config.model), "num_classes": 7},
        "labels": list("abcdefg"),
        "preprocessing": preprocessing.to_dict(),
        "steps_per_epoch": 400,
    }
    parts = experiment.build(config, meta=meta)
    parts.mesh = mesh
    size = config.train.batch_size
    by_batch, whole = sharding.by_batch(mesh), sharding.replicated(mesh)
    batch = Batch(
        indices=jax.ShapeDtypeStruct((size,), "int32", sharding=by_batch),
        groups={},
        epoch=jax.ShapeDtypeStruct((), "int32", sharding=whole),
        images=jax.ShapeDtypeStruct((size, *native), "uint8", sharding=by_batch),
        labels=jax.ShapeDtypeStruct((size,), "int32", sharding=by_batch),
    )
    start = time.monotonic()
    compiled = parts.train_step.lower(parts.abstract_state(), None, batch).compile()
    memory = compiled.memory_analysis()
    # The new state takes the place of the old one, which is donated.
    total = (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
        + memory.temp_size_in_bytes
        + memory.generated_code_size_in_bytes
    )
    figures = {
        "chip": chips[0].device_kind,
        "batch_size": size,
        "parameters": parts.num_parameters,
        "arguments_gib": memory.argument_size_in_bytes / 2**30,
        "temporaries_gib": memory.temp_size_in_bytes / 2**30,
        "total_gib": total / 2**30,
        "flops": compiled.cost_analysis()["flops"],
        "compile_seconds": round(time.monotonic() - start),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    app.run(main)
