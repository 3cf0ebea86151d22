"""Random numbers: their distributions, their independence, and the generator of JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32
from scipy import stats

from jaxadv.core import draws
from jaxadv.core.probe import AttackItem, Draw

COUNT = 20_000


def made(*numbers: int):
    return draws.key(*map(jnp.int32, numbers))


def test_keys_are_those_of_jax_and_differ():
    expected = jax.random.fold_in(jax.random.fold_in(jax.random.key(3), 5), 7)
    np.testing.assert_array_equal(made(3, 5, 7), jax.random.key_data(expected))
    np.testing.assert_array_equal(draws.fold(made(3, 5), jnp.int32(7)), made(3, 5, 7))
    keys = [made(*numbers) for numbers in ((0,), (1,), (0, 0), (0, 1), (1, 0), (0, 0, 0))]
    assert len({tuple(map(int, each)) for each in keys}) == len(keys)


@pytest.mark.parametrize("count", [1, 2, 7, 8])
def test_words_are_those_of_the_generator(count):
    """An odd count leaves out the last word."""
    blocks = np.arange(count + count % 2, dtype=np.uint32)
    if count % 2:
        blocks[-1] = 0
    expected = threefry_2x32(made(1), jnp.asarray(blocks))[:count]
    np.testing.assert_array_equal(draws._words(made(1), count), expected)


def test_distributions():
    """Each has its own law, by Kolmogorov and Smirnov's test, and its range."""
    uniform = np.asarray(draws.uniform_numbers(made(1, 2), COUNT))
    assert uniform.min() >= 0 and uniform.max() < 1
    assert stats.kstest(uniform, "uniform").pvalue > 0.01
    normal = np.asarray(draws.normals(made(3, 4), COUNT))
    assert stats.kstest(normal, "norm").pvalue > 0.01
    signs = np.asarray(draws.signs(made(5, 6), COUNT))
    assert set(signs.tolist()) == {1.0, -1.0} and abs(signs.mean()) < 4 / np.sqrt(COUNT)


def test_extreme_words_give_finite_numbers(monkeypatch):
    words = jnp.array([0, 2**32 - 1], jnp.uint32)
    monkeypatch.setattr(draws, "_words", lambda made, count: words)
    assert draws.uniform_numbers(made(0), 2).tolist() == [0, 1 - 2.0**-24]
    low, high = draws.normals(made(0), 2).tolist()
    assert low == -high and 5 < high < 6
    assert draws.signs(made(0), 2).tolist() == [1, -1]


def item(seed: int | None, image: int) -> AttackItem:
    draw = None if seed is None else Draw(jnp.int32(seed), jnp.int32(image))
    return AttackItem(jnp.zeros((40, 50, 3)), jnp.int32(0), jnp.array(False), draw)


def test_noise_of_an_item():
    uniform = np.asarray(draws.noise(item(0, 1), jnp.int32(2), uniform=True)).ravel()
    assert stats.kstest(uniform, "uniform", args=(-1, 2)).pvalue > 0.01
    normal = np.asarray(draws.noise(item(0, 1), jnp.int32(2), uniform=False)).ravel()
    assert stats.kstest(normal, "norm").pvalue > 0.01
    for seed, image, number in ((1, 1, 2), (0, 2, 2), (0, 1, 3)):
        other = np.asarray(draws.noise(item(seed, image), jnp.int32(number), uniform=True)).ravel()
        assert abs(np.corrcoef(uniform, other)[0, 1]) < 0.06
    with pytest.raises(TypeError, match="has no draw"):
        draws.noise(item(None, 0), jnp.int32(0), uniform=True)
