"""RobustBench's 5000 images of the validation set: their numbers, and the selection of that
name.
"""

import numpy as np
import pytest

from jaxadv.data import robustbench, validation
from jaxadv.data.selection import select
from jaxadv.data.source import Source
from model_ports.errors import InputError


def source(ids: np.ndarray) -> Source:
    """Images of the validation set, of which nobody reads a pixel."""
    labels = validation.study_labels()[ids - 1]
    return Source("imagefolder:somewhere", ids, labels, ids, 1000, "", None, validation=True)


def test_numbers():
    """Five thousand different ones, the first three as RobustBench's list has them."""
    numbers = robustbench.images()
    assert numbers.shape == (5000,) and len(np.unique(numbers)) == 5000
    assert numbers.min() >= 1 and numbers.max() <= 50000
    assert numbers[:3].tolist() == [15253, 20685, 39611]


def test_selection_is_in_that_order_and_needs_all_of_them():
    ids = np.arange(1, 50001)
    chosen = select(source(ids), "robustbench", count=None, seed=0)
    np.testing.assert_array_equal(ids[chosen], robustbench.images())
    few = select(source(ids), "robustbench", count=7, seed=0)
    np.testing.assert_array_equal(few, chosen[:7])
    with pytest.raises(InputError, match="lack"):
        select(source(ids[ids != 15253]), "robustbench", count=None, seed=0)
