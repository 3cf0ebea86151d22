"""Damaged and hostile files of Keras and PyTorch, read as the others are (tests/fuzz), where h5py
and PyTorch are installed.
"""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "fuzz"))

from test_fuzz import fuzz

pytestmark = pytest.mark.frameworks


@pytest.mark.parametrize("name", ["weights of Keras", "weights of PyTorch"])
def test_seconds_of_inputs(tmp_path, name):
    fuzz(name, 5, tmp_path)
