"""TensorFlow warns of its own old interfaces, which are what these tests are about; the command
line in this process.
"""

import gc
import os

os.environ.setdefault(
    "TF_ENABLE_ONEDNN_OPTS", "0"
)  # as `validate` sets it, before any test imports TensorFlow
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import jax
import pytest
from absl.testing import flagsaver

from jaxadv.commands import cli
from model_ports.convert import frameworks

# PyTorch's compiler and TensorFlow bring an LLVM each; in one process, which a command never needs,
# only this order works.
frameworks.timm()


def pytest_collection_modifyitems(items):
    for item in items:
        if "frameworks" in item.path.parts:
            item.add_marker(pytest.mark.filterwarnings("ignore:.*:DeprecationWarning"))


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run a command in this process, in the test's folder: (exit status, standard output, standard
    error).
    """
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        status = 0
        with flagsaver.flagsaver():
            try:
                cli.main(cli.parse(["run.py", *arguments, "--noprogress"]))
            except SystemExit as exit:
                status = exit.code
            finally:
                jax.config.update("jax_enable_x64", False)
                jax.clear_caches()
                gc.collect()
        return status, *capsys.readouterr()

    return run
