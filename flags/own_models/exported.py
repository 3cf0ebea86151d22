"""Your own classifier as a `jax.export` artefact (``pip install flatbuffers``).

The artefact is bytes, which do not need the code that made them.

    python run.py evaluate --models=alexnet --model_module=flags/own_models/exported.py:exported --out=results/mine

The export sets the devices, the batch sizes and the precision, and says that the function can be
differentiated. pure_jax.py explains what a classifier is.
"""

import jax
import jax.numpy as jnp
import pure_jax
from jax import export

import jaxadv

SIZE = pure_jax.SIZE


def artefact():
    """The linear classifier with its parameters. Usually another program writes this to a file."""
    params = pure_jax.linear().params
    images = jax.ShapeDtypeStruct(export.symbolic_shape(f"n, {SIZE}, {SIZE}, 3"), jnp.float32)
    program = jax.jit(lambda images: pure_jax.apply(params, images))
    with jax.default_matmul_precision("highest"):
        return export.export(program, platforms=["cpu", "cuda", "tpu"])(images).serialize(
            vjp_order=1
        )


def exported():
    # For your own file: export.deserialize(Path("network.bin").read_bytes())
    program = export.deserialize(artefact())
    return jaxadv.Classifier(
        lambda _, images: program.call(images),
        {},
        input_size=SIZE,
        num_classes=10,
        name="own_exported",
    )
