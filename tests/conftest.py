"""What all tests share: JAX on the CPU, strict numerics on request."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # before anything imports jax

import jax
import pytest


@pytest.fixture(scope="module")
def strict_numerics():
    """No silent promotion of types or ranks, also while other fixtures of the module compute.

    Not for every test: optax needs standard promotion, so training does too.
    """
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


def pytest_ignore_collect(collection_path, config):
    """Tests that need TensorFlow, Keras or PyTorch, a browser, or minutes, are suites of their own: `pytest -m frameworks` and so on."""
    if collection_path.name in ("frameworks", "programs", "paper"):
        return config.getoption("markexpr") != collection_path.name
    return None


def pytest_collection_modifyitems(items):
    """The longest tests first, so that what is left in the end is short, whoever runs it."""
    items.sort(key=lambda item: item.path.name != "test_ports.py")
