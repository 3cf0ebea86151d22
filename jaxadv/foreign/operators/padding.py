"""Padding: the ATen operators of their names."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxadv.foreign.layout import Value, laid, stored


def _around(pad: Sequence[int], rank: int) -> list[tuple[int, int]]:
    """torch's list, the last axis first, as (before, after) of each axis."""
    pairs = [(int(pad[i]), int(pad[i + 1])) for i in range(0, len(pad), 2)]
    return [(0, 0)] * (rank - len(pairs)) + pairs[::-1]


def constant_pad(self, pad, value=0) -> Value:
    """Negative numbers cut off."""
    array, order = stored(self)
    around = _around(pad, array.ndim)
    config = [(*around[name], 0) for name in np.argsort(order)]
    return laid(lax.pad(array, jnp.asarray(value, array.dtype), config), order)


def other_pad(mode: str) -> Callable[..., Value]:
    """Padding by the edge, the mirrored image, or the image again, as `numpy.pad` names them."""

    def operator(self: Value, padding: Sequence[int]) -> Value:
        array, order = stored(self)
        around = _around(padding, array.ndim)
        grown = [(max(0, low), max(0, high)) for low, high in around]
        names = np.argsort(order)
        out = jnp.pad(array, [grown[name] for name in names], mode=mode)  # type: ignore[arg-type]
        cut = [(min(0, low), min(0, high), 0) for low, high in (around[name] for name in names)]
        return laid(lax.pad(out, jnp.zeros((), out.dtype), cut) if np.any(cut) else out, order)

    return operator


def pad_any(self, pad, mode="constant", value=None) -> Value:
    if mode == "constant":
        return constant_pad(self, pad, 0 if value is None else value)
    return other_pad({"replicate": "edge", "reflect": "reflect", "circular": "wrap"}[mode])(
        self, pad
    )


ATEN: dict[str, Callable[..., Any]] = {
    "constant_pad_nd": constant_pad,
    **{f"reflection_pad{n}d": other_pad("reflect") for n in (1, 2, 3)},
    **{f"replication_pad{n}d": other_pad("edge") for n in (1, 2, 3)},
    "_pad_circular": other_pad("wrap"),
    "pad": pad_any,
}
