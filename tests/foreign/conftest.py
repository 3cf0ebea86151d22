"""PyTorch is imported first: its compiler and TensorFlow bring an LLVM each, and only this order
works in one process."""

import pytest
import torch  # noqa: F401


@pytest.fixture
def check():
    """Operators that a test names are compared with PyTorch's when it ends."""
    from beside_torch import Beside

    beside = Beside()
    yield beside
    beside.compare()
