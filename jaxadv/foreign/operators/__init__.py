"""The operators of networks in JAX, one file a kind, with the names and arguments of PyTorch's
ATen.

Arrays may be stored with their axes in another order (`jaxadv.foreign.layout`). Imports JAX and no
other framework.
"""

from collections.abc import Callable
from typing import Any

from jaxadv.foreign.operators import (
    activations,
    algebra,
    arithmetic,
    convolution,
    creation,
    elementwise,
    indexing,
    normalization,
    padding,
    pooling,
    recurrent,
    reductions,
    resampling,
    sampling,
    shapes,
)

KINDS = (
    convolution,
    pooling,
    resampling,
    sampling,
    algebra,
    normalization,
    shapes,
    padding,
    creation,
    indexing,
    elementwise,
    arithmetic,
    activations,
    reductions,
    recurrent,
)
ATEN: dict[str, Callable[..., Any]] = {
    name: function for kind in KINDS for name, function in kind.ATEN.items()
}
"""All of them, by name, or by name and overload where overloads differ."""


def operator(name: str, overload: str) -> Callable[..., Any] | None:
    """The function of an ATen operator, such as ("max", "dim"); None where there is none."""
    return ATEN.get(f"{name}.{overload}", ATEN.get(name))
