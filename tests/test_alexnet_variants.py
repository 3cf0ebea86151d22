"""AlexNet as its conversion was at other times: each setting gives the logits recorded with that normalisation."""

from dataclasses import replace

import golden_weights as golden
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model_ports import alexnet, registry
from model_ports.convert.weight_map import assemble


def distance(found, expected) -> float:
    return float(np.linalg.norm(np.asarray(found) - expected) / np.linalg.norm(expected))


@pytest.fixture(scope="module")
def recorded():
    """The recorded logits, (2, 1000) float32 by "<kind>_<variant>"; those of today's normalisation as "<kind>"."""
    today = {kind: logits.astype(np.float32) for kind, logits in golden.recording("alexnet").logits.items()}
    with np.load(golden.FOLDER / "alexnet_variants.npz") as file:
        return today | {name.removeprefix("logits_"): file[name] for name in file.files}


@pytest.fixture(scope="module")
def params():
    record, network = golden.recording("alexnet"), registry.network("alexnet", zoo="imagenet")
    return assemble(network.spec.weight_map, golden.weights(record.meta), network.abstract())


@pytest.mark.parametrize("variant", alexnet.VARIANTS)
def test_each_variant_gives_its_recorded_logits(params, recorded, variant, strict_numerics):
    # 5e-6: the original's own float32 error is about 1e-6. No two variants are nearer than 0.05 to each other.
    network = registry.Network(
        replace(registry.spec("alexnet"), config=alexnet.VARIANTS[variant]), zoo="imagenet", input_size=227, num_classes=1000
    )
    with jax.default_matmul_precision("highest"):
        program = jax.jit(network.apply)
        for kind in ("uniform", "smooth"):
            logits = program(params, jnp.asarray(golden.images(kind, 227)) + 0.5)
            assert distance(logits, recorded[f"{kind}_{variant}"]) < 5e-6
            others = {name: distance(logits, other) for name, other in recorded.items() if name.startswith(kind)}
            assert min(others, key=others.get) == f"{kind}_{variant}"
            assert sorted(others.values())[1] > 0.05
