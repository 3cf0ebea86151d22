"""One operator in JAX beside the same in PyTorch: values, types, and the gradient of every real
argument."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

from jaxadv.foreign import operators
from jaxadv.foreign.layout import Laid, channels_last, in_order, is_array, plain

RANDOM = np.random.default_rng


def numbers(*shape: int, seed: int = 0, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    return RANDOM([seed, *shape]).uniform(low, high, size=shape)


def ties(*shape: int, seed: int = 0) -> np.ndarray:
    """Few different numbers, so that windows have equal elements."""
    return RANDOM([seed, *shape]).integers(-2, 3, size=shape).astype(np.float64)


def whole(*shape: int, low: int = 0, high: int = 5, seed: int = 0) -> np.ndarray:
    return RANDOM([seed, *shape]).integers(low, high, size=shape)


def truths(*shape: int, seed: int = 0) -> np.ndarray:
    return RANDOM([seed, *shape]).uniform(size=shape) > 0.4


class Beside:
    """Operators to be compared, whose functions in JAX are compiled together: one compilation for
    a test."""

    def __init__(self):
        self.cases: list[tuple] = []

    def __call__(
        self,
        name: str,
        *arguments,
        gradient: bool = True,
        tolerance: float = 1e-11,
        results: int | None = None,
        **keywords,
    ) -> None:
        """Compare ``aten.NAME`` of these arguments with its function, for plain images and for
        channels last.

        Args:
            name: with the overload behind a point where that is not "default".
            gradient: whether to compare gradients too.
            tolerance: relative and absolute, in double precision.
            results: how many are compared, the first; None: all.
        """
        packet, _, overload = name.partition(".")
        target = getattr(getattr(torch.ops.aten, packet), overload or "default")
        expected = _torch(target, arguments, keywords, gradient, results)
        function = operators.operator(packet, overload or "default")
        assert function is not None, name
        for last in (False, True)[: 1 + any(np.ndim(a) in (3, 4, 5) for a in _arrays(arguments))]:
            run, real = _jax(function, arguments, keywords, gradient, last, results)
            self.cases.append(
                (f"{name} {arguments[1:]!s:.200} {last}", run, real, expected, tolerance)
            )

    def compare(self) -> None:
        """Raises AssertionError where shapes, types, values or gradients differ."""
        with jax.enable_x64(True):
            runs = [run for _, run, _, _, _ in self.cases]
            program = jax.jit(
                lambda given: [run(*real) for run, real in zip(runs, given, strict=True)]
            )
            compiled = program.lower([real for _, _, real, _, _ in self.cases]).compile(QUICK)
            answers = compiled([real for _, _, real, _, _ in self.cases])
        problems = []
        for (what, _, _, expected, tolerance), found in zip(self.cases, answers, strict=True):
            for results, others in zip(found, expected, strict=True):
                problems += _problems(what, results, others, tolerance)
        assert not problems, "\n".join(problems)


def _problems(what: str, results: list, others: list, tolerance: float) -> list[str]:
    lines = (
        []
        if len(results) == len(others)
        else [f"{what}: {len(results)} results, {len(others)} of torch"]
    )
    for one, other in zip(map(np.asarray, results), others, strict=False):
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            lines.append(f"{what}: {one.dtype} {one.shape}, torch has {other.dtype} {other.shape}")
        elif not np.allclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True):
            lines.append(f"{what}: differs by {np.abs(one - other).max()}")
    return lines


QUICK = {"xla_backend_optimization_level": 0}
"""The compiler does not optimise what is called once."""


class Fixed(np.ndarray):
    """An array whose gradient nobody asks for."""


def fixed(array: np.ndarray) -> np.ndarray:
    return array.view(Fixed)


def _is_asked(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" and not isinstance(array, Fixed)


def _arrays(value) -> list:
    if isinstance(value, np.ndarray):
        return [value]
    return [a for part in value for a in _arrays(part)] if isinstance(value, (list, tuple)) else []


def _mapped(value, function):
    if isinstance(value, np.ndarray):
        return function(value)
    if isinstance(value, (list, tuple)):
        return [_mapped(part, function) for part in value]
    return value


def _flat(results) -> list:
    if isinstance(results, (list, tuple)):
        return [flat for part in results for flat in _flat(part)]
    return [] if results is None else [results]


def _cotangent(shape) -> np.ndarray:
    return RANDOM([1, *shape]).normal(size=shape)


def _torch(target, arguments, keywords, gradient, count):
    tensors = []

    def tensor(array: np.ndarray):
        made = torch.from_numpy(np.array(array))
        tensors.append(made.requires_grad_(gradient and _is_asked(array)))
        return made

    given = {key: _mapped(value, tensor) for key, value in keywords.items()}
    results = _flat(target(*_mapped(arguments, tensor), **given))[:count]
    wanted = [t for t in tensors if t.requires_grad]
    slopes = []
    if wanted:
        sloped = [r for r in results if r.requires_grad and r.is_floating_point()]
        total = sum((r * torch.from_numpy(_cotangent(r.shape))).sum() for r in sloped)
        slopes = (
            torch.autograd.grad(total, wanted, allow_unused=True)
            if sloped
            else [None] * len(wanted)
        )
        slopes = [
            (torch.zeros_like(w) if s is None else s).numpy(force=True)
            for s, w in zip(slopes, wanted, strict=True)
        ]
    return [r.detach().resolve_conj().numpy(force=True) for r in results], slopes


def _jax(function, arguments, keywords, gradient, last, count):
    arrays = [*_arrays(arguments), *_arrays(list(keywords.values()))]
    is_real = [gradient and _is_asked(a) for a in arrays]

    def run(*real):
        rest = iter(real)
        values = iter(
            [
                next(rest) if real_one else jnp.asarray(a)
                for a, real_one in zip(arrays, is_real, strict=True)
            ]
        )

        def value(array: np.ndarray):
            made = next(values)
            if not last or made.ndim not in (3, 4, 5):
                return made
            order = channels_last(made.ndim)
            return Laid(in_order(made, order), order)

        positions = _mapped(arguments, value)
        results = function(*positions, **{key: _mapped(v, value) for key, v in keywords.items()})
        found = [plain(r) if is_array(r) else np.asarray(r) for r in _flat(results)[:count]]
        total = sum(
            (
                jnp.sum(f * _cotangent(f.shape))
                for f in found
                if jnp.issubdtype(f.dtype, jnp.floating)
            ),
            start=jnp.zeros(()),
        )
        return total, found

    with jax.enable_x64(True):
        real = [jnp.asarray(a) for a, wanted in zip(arrays, is_real, strict=True) if wanted]
    if not real:
        return lambda: (run()[1], []), real

    def both(*real):
        (_, found), slopes = jax.value_and_grad(run, argnums=tuple(range(len(real))), has_aux=True)(
            *real
        )
        return found, list(slopes)

    return both, real
