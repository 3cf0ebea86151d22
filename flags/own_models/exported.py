"""A classifier of your own as a `jax.export` artefact (``pip install flatbuffers``): bytes that need none of the code that made them.

    python run.py evaluate --models=alexnet --model_module=flags/own_models/exported.py:exported --out=results/mine

Who exports it says on which devices and at which batch sizes it runs, how precisely it computes, and that it can be differentiated. See
pure_jax.py for what a classifier is.
"""

import jax
import jax.numpy as jnp
import pure_jax
from jax import export

import jaxadv

SIZE = pure_jax.SIZE


def artefact():
    """What another program would have written to a file: here the linear classifier, with its parameters inside."""
    params = pure_jax.linear().params
    images = jax.ShapeDtypeStruct(export.symbolic_shape(f"n, {SIZE}, {SIZE}, 3"), jnp.float32)
    program = jax.jit(lambda images: pure_jax.apply(params, images))
    with jax.default_matmul_precision("highest"):
        return export.export(program, platforms=["cpu", "cuda", "tpu"])(images).serialize(
            vjp_order=1
        )


def exported():
    program = export.deserialize(
        artefact()
    )  # of yours: export.deserialize(Path("network.bin").read_bytes())
    return jaxadv.Classifier(
        lambda _, images: program.call(images),
        {},
        input_size=SIZE,
        num_classes=10,
        name="own_exported",
    )
