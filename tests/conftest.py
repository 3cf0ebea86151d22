"""What all tests share: JAX on the CPU, strict numerics on request."""

import os
import shutil
import tempfile
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # before anything imports jax
# A program is compiled once for all workers, who inherit this, and the commands that they start: a
# fifth of the suite's time.
os.environ["JAX_COMPILATION_CACHE_DIR"] = os.environ.get(
    "JAX_COMPILATION_CACHE_DIR"
) or tempfile.mkdtemp(prefix="jaxadv-tests-")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
# Small programs compile faster in one piece: another tenth.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_parallel_codegen_split_count=1")

import jax
import pytest

LONGEST = ("test_ports.py", "test_hosts.py", "test_acceptance_run.py", "test_matrix_of_six.py")
"""Files with the tests of a suite that take longest."""


@pytest.fixture(scope="module")
def strict_numerics():
    """No silent promotion of types or ranks, also while other fixtures of the module compute.

    Not for every test: optax needs standard promotion, so training does too.
    """
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


def pytest_addoption(parser):
    parser.addoption(
        "--fuzz_seconds", type=float, default=30.0, help="for each reader, with -m fuzz"
    )
    parser.addoption(
        "--every_operation", action="store_true", help="fails once, in the slow tests of a disk"
    )
    parser.addoption("--bits", type=int, help="of each kind of file, for the slow tests of damage")


def pytest_unconfigure(config):
    compiled = Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    if compiled.name.startswith("jaxadv-tests-") and not hasattr(config, "workerinput"):
        shutil.rmtree(compiled, ignore_errors=True)


def pytest_ignore_collect(collection_path, config):
    """Tests that need TensorFlow, Keras or PyTorch, a browser, or minutes, are suites of their own:
    `pytest -m frameworks` and so on.
    """
    suite = "frameworks" if collection_path.name == "foreign" else collection_path.name
    if suite in ("frameworks", "programs", "paper"):
        asked = config.getoption("markexpr")  # such as "frameworks and long"
        return suite not in asked.split() or f"not {suite}" in asked
    return None


def pytest_itemcollected(item):
    """Of a test with the marker ``few``, the quick suite has only the cases that it names.

    The others are slow. If it names slow cases, all others are long.
    """
    few = item.get_closest_marker("few")
    case = item.callspec.id if few else ""
    if few and case not in few.args:
        item.add_marker("slow" if case in few.kwargs.get("slow", (case,)) else "long")


def pytest_collection_modifyitems(config, items):
    """Slow tests are a suite of their own: ``pytest -m slow``. The longest go first, so that what
    is left in the end is short.

    Tests that take minutes each run where they are asked for: ``pytest -m long``, or by their
    names.
    """
    named = any("::" in argument for argument in config.args)
    asked = config.getoption("markexpr")
    if not named and "long" not in asked:
        _leave_out(config, items, "long")
    if not named and not asked:
        _leave_out(config, items, "slow", "fuzz")
    items.sort(key=lambda item: item.path.name not in LONGEST)


def _leave_out(config, items, *markers):
    """Deselect the tests that have one of the markers."""
    left, kept = [], []
    for item in items:
        (left if any(map(item.get_closest_marker, markers)) else kept).append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept
