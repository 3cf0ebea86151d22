"""The search for the constant c, step by step, with successes that are made up (the study, section
2.3).
"""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxadv.attacks import constant_search
from jaxadv.core.probe import AttackItem


def constants(successes: list[bool], initial: float = 1.0) -> np.ndarray:
    """The constants that are tried, where each has one iteration of that success."""
    item = AttackItem(jnp.zeros((2, 2, 3)), jnp.int32(0), jnp.array(True))
    search = constant_search.start(item, jnp.float32(initial), len(successes))
    for success in successes:
        search, ended = constant_search.observe(
            search,
            loss=jnp.float32(1),
            success=jnp.array(success),
            distance=jnp.float32(1),
            image=item.image,
            steps=1,
            abort_early=False,
        )
        assert ended
    assert constant_search.done(search)
    return np.asarray(search.consts)


def test_failures_multiply_by_ten_and_then_it_bisects():
    np.testing.assert_allclose(constants([False, False, True, False, True]), [1, 10, 100, 55, 77.5])
    np.testing.assert_allclose(constants([True, True, False, True]), [1, 0.5, 0.25, 0.375])


@pytest.mark.parametrize("steps", [9, 10, 11])
def test_from_ten_steps_on_the_last_repeats_the_upper_bound(steps):
    """The least constant that succeeded, here the first; below ten steps the last one bisects as
    the others do.
    """
    tried = constants([True] + [False] * (steps - 1))
    bisected = (tried[-2] + 1) / 2
    np.testing.assert_allclose(tried[-1], bisected if steps < 10 else 1.0, rtol=1e-6)
    np.testing.assert_allclose(tried[-2], (tried[-3] + 1) / 2, rtol=1e-6)
