"""Keras models as classifiers. Each backend of Keras needs a process of its own: see keras_sides.py
and keras_models_of_ones_own.py."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras_sides
import pytest

from jaxadv.foreign import trust
from model_ports.errors import InputError

pytestmark = pytest.mark.frameworks
HERE = Path(__file__).parent


EXAMPLES = HERE.parents[1] / "flags" / "own_models"
EXAMPLE = f"""
import numpy as np
from jaxadv.data import digits
from jaxadv.evaluation import own_models

place = "{EXAMPLES}/keras_model.py:convolutional"
((classifier, facts),) = own_models.load([place], reserved=()).values()
data = digits.load("test", classifier.input_size)
assert (classifier.predict(data.images) == data.labels).mean() > 0.8
"""


def run(script: str, backend: str, *arguments: str, folder: Path | None = None) -> str:
    environment = os.environ | {
        "KERAS_BACKEND": backend,
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(
        [sys.executable, str(HERE / script), *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


SMALL = ("MobileNet",)
"""Families that CI proves; the others take minutes."""
REST = tuple(name for name in keras_sides.SIZES if name not in SMALL)


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [SMALL, *(pytest.param((name,), marks=pytest.mark.long) for name in REST)],
    ids="-".join,
)
def test_networks_of_keras_are_those_that_tensorflow_computes(tmp_path, names):
    """Logits and input gradients, with the preprocessing that is theirs."""
    run("keras_sides.py", "tensorflow", "tensorflow", str(tmp_path), *names)
    printed = run("keras_sides.py", "jax", "jax", str(tmp_path), *names)
    told = json.loads(printed.splitlines()[-1])
    assert list(told) == list(names)
    for name, found in told.items():
        for what in ("logits", "gradient"):
            assert found["double"][what] <= trust.DOUBLE, (name, found)
        assert found["proof"]["double"]["logits"] <= trust.DOUBLE, (name, found)
        assert found["single"]["logits"] <= trust.SINGLE, (name, found)
        assert found["preprocessing"]["function"].endswith("preprocess_input"), (name, found)


def test_models_of_ones_own(tmp_path):
    """Files, softmax, normalisation, and what is refused, in a process with Keras on JAX."""
    run("keras_models_of_ones_own.py", "jax", str(tmp_path))


def test_the_pages_blocks_and_the_example(tmp_path):
    """What docs/ shows of Keras, and flags/own_models/keras_model.py, which knows most digits."""
    sys.path.append(str(HERE.parent / "docs"))
    from test_documentation import ALL

    blocks = [block.text for block in ALL if block.mark == "needs: keras"]
    assert blocks
    script = tmp_path / "page.py"
    script.write_text("\n".join([*blocks, EXAMPLE]))
    run(str(script), "jax", folder=tmp_path)


def test_keras_on_another_backend_is_one_line(monkeypatch):
    import types

    from jaxadv.foreign import keras_models

    backend = types.SimpleNamespace(backend=lambda: "tensorflow")
    monkeypatch.setitem(sys.modules, "keras", types.SimpleNamespace(backend=backend))
    with pytest.raises(InputError, match="computes on tensorflow here.*KERAS_BACKEND=jax"):
        keras_models.from_keras(3)
