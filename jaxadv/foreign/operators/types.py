"""Types of numbers: which one a result has, as PyTorch decides it."""

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxadv.foreign.layout import Value, is_array, plain

_SINGLE = np.dtype(np.float32)
_WORKING: ContextVar[np.dtype] = ContextVar("working", default=_SINGLE)


@contextlib.contextmanager
def working(dtype: Any) -> Iterator[None]:
    """The type that stands for single precision: float64 while a network is computed in that."""
    token = _WORKING.set(np.dtype(dtype))
    try:
        yield
    finally:
        _WORKING.reset(token)


def floating() -> np.dtype:
    """The type of real numbers that nobody has named."""
    return _WORKING.get()


def canonical(dtype: Any) -> np.dtype:
    """The type as JAX has it: float32 is the working type, and there are no 64 bits without x64."""
    dtype = np.dtype(dtype)
    if dtype == np.float32:
        return floating()
    if dtype == np.complex64 and floating() == np.float64:
        return np.dtype(np.complex128)
    return np.dtype(jax.dtypes.canonicalize_dtype(dtype))


def _kind(dtype: Any) -> int:
    """0 truth values, 1 whole, 2 real, 3 complex numbers."""
    if dtype == np.bool_:
        return 0
    if jnp.issubdtype(dtype, np.complexfloating):
        return 3
    return 2 if jnp.issubdtype(dtype, np.floating) else 1


def is_real(value: Any) -> bool:
    """Whether an array or a number is of real numbers, not whole ones or truth values."""
    return _kind(value.dtype if is_array(value) else np.asarray(value).dtype) >= 2


def promoted(values: Sequence[Any]) -> np.dtype:
    """The type of a result of these arrays and Python numbers.

    Arrays with axes count before those without, and these before Python numbers, unless what
    comes later is of a higher kind: truth values, whole, real, complex numbers.
    """
    best: np.dtype | None = None
    arrays = [value for value in values if is_array(value)]
    ranked = ([a.dtype for a in arrays if a.ndim], [a.dtype for a in arrays if not a.ndim])
    for dtypes in (*ranked, [_of_number(value) for value in values if not is_array(value)]):
        together: np.dtype | None = None
        for dtype in dtypes:
            together = dtype if together is None else jnp.promote_types(together, dtype)
        if together is not None:
            best = together if best is None else _combined(best, together)
    assert best is not None, "no array and no number"
    return np.dtype(best)


def _combined(first: np.dtype, later: np.dtype) -> np.dtype:
    if _kind(later) <= _kind(first):
        return first
    if _kind(later) == 3 and _kind(first) == 2:
        return np.dtype(np.complex128 if first == np.float64 else np.complex64)
    return later


def _of_number(value: Any) -> np.dtype:
    if isinstance(value, (bool, np.bool_)):
        return np.dtype(np.bool_)
    if isinstance(value, complex):
        return canonical(np.complex64)
    return floating() if isinstance(value, float) else canonical(np.int64)


def cast(value: Any, dtype: Any) -> Any:
    """An array of either layout, or a number as an array without axes, in this type."""
    if not is_array(value):
        return jnp.asarray(value, dtype)
    if value.dtype == dtype:
        return value
    if _kind(value.dtype) == 3 and _kind(dtype) < 3:
        value = jnp.real(plain(value))
    return value.astype(dtype)


def as_real(value: Value) -> Value:
    """Whole numbers and truth values as real ones; others as they are."""
    return value if is_real(value) else cast(value, floating())
