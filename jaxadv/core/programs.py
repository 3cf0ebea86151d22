"""Compiled functions of a network. Their traced programs are kept on disk beside JAX's compiled
programs.

JAX needs the traced and lowered program to look up a compiled one. This module keeps the traced
program, too, as a `jax.export` artefact under a hash of everything that it depends on. With
compiled programs on disk, a small network's gradient program is then ready in 0.07 to 0.85 s
instead of 0.3 to 3.2 s. Both programs of all 18 networks take 7 s instead of 21 s (two cores, jax
0.10.2).
"""

import contextlib
import functools
import hashlib
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, TypeVar

import jax
from jax import export

import model_ports
from jaxadv.core import kept
from jaxadv.support import trust
from jaxadv.support.files import Damaged, Foreign, read_sealed, write_sealed
from model_ports.errors import InputError

Result = TypeVar("Result")
if trust.seals_programs:
    kept.install()


class Program(Generic[Result]):
    """A compiled function of parameters and arrays.

    With compiler options, it must not be called inside another `jax.jit`.

    Args:
        function: ``function(params, *arrays)``, pure.
        compiler_options: options for XLA; may be empty.
    """

    def __init__(self, function: Callable[..., Result], compiler_options: dict[str, str | bool]):
        self.function = function
        self._compile = functools.partial(jax.jit, compiler_options=compiler_options)
        self._compiled = self._compile(function)
        self._kept: dict[Any, Any] = {}  # types of arguments -> the jitted function for them

    def __call__(self, *arguments: Any) -> Result:
        return self._kept.get(_types(arguments), self._compiled)(*arguments)

    def lower(self, *arguments: Any) -> Any:
        """The lowered program, as `jax.jit` gives it."""
        return self._kept.get(_types(arguments), self._compiled).lower(*arguments)

    def eval_shape(self, *arguments: Any) -> Any:
        """The shapes and types of the results, as `jax.eval_shape` gives them."""
        return self._compiled.eval_shape(*arguments)

    def keep(self, name: str, *arguments: Any) -> None:
        """Read the traced program for arguments of these types from disk, or trace it and write it
        there.

        Nothing is kept if JAX has no folder for compiled programs, if the folder is not writable,
        or if the package flatbuffers is not installed. `jax.export` needs that package.

        Args:
            name: the name of the function. Only a function whose code is in the zoo and
                `jaxadv.core.oracle` may have one.
            *arguments: arguments of the types to trace for.
        """
        folder = _configured("jax_compilation_cache_dir")
        key = _types(arguments)
        if (
            key in self._kept
            or not folder
            or not Path(folder).is_dir()
            or not find_spec("flatbuffers")
        ):
            return
        types = jax.tree.map(
            lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), arguments
        )
        place = (
            Path(folder)
            / "traced"
            / hashlib.sha256(f"{name} {types} {_circumstances()}".encode()).hexdigest()
        )
        exported = _read(place)
        if exported is None:
            text = bytes(export.export(self._compiled)(*types).serialize())
            with contextlib.suppress(
                InputError
            ):  # if it cannot be written, the next process traces it again
                write_sealed(place, text, place.name)
            exported = export.deserialize(
                bytearray(text)
            )  # JAX compiles a different program without this round trip
        self._kept[key] = self._compile(exported.call)


def _types(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The shapes and types of all arrays except the parameters, which are always those of one
    network.
    """
    return tuple((array.shape, array.dtype) for array in jax.tree.leaves(arguments[1:]))


def _read(place: Path) -> export.Exported | None:
    """The traced program in a file.

    None if there is no file, or if it is damaged or of another program.
    """
    try:
        if trust.belongs_to_another(place):
            kept.reject(place, f"{str(place)!r} belongs to another user")
            return None
        return export.deserialize(bytearray(read_sealed(place, place.name)))
    except FileNotFoundError:
        return None
    except (Damaged, Foreign) as error:
        kept.reject(place, str(error))
    except (
        Exception
    ) as error:  # JAX raises any error for a program of a version that it cannot read
        kept.reject(place, f"{str(place)!r} cannot be read ({type(error).__name__})")
    return None


def _circumstances() -> str:
    """Everything that a traced program depends on, except the function's name and the types."""
    settings = (_configured("jax_enable_x64"), _configured("jax_default_matmul_precision"))
    return f"{_code()} {jax.default_backend()} {settings}"


def _configured(name: str) -> Any:
    """The value of a setting of JAX."""
    return getattr(jax.config, name)


@functools.cache
def _code() -> str:
    """A hash of the source of the networks and the oracle, and the versions of their libraries."""
    code = hashlib.sha256()
    for file in [
        *sorted(Path(model_ports.__file__).parent.rglob("*.py")),
        Path(__file__).with_name("oracle.py"),
    ]:
        code.update(file.read_bytes())
    return (
        f"{code.hexdigest()} {[metadata.version(package) for package in ('jax', 'jaxlib', 'flax')]}"
    )
