"""Compiled functions of a network, whose traced text is kept on disk beside what JAX keeps.

JAX finds what it has compiled by a program's text, for which the function is traced and lowered first. Here the text is kept too, as a
`jax.export` artefact, under a hash of all that it follows from: with compiled programs there, the gradient program of a small network is
ready in 0.07 to 0.85 s instead of 0.3 to 3.2, both programs of all 18 in 7 s instead of 21 (two cores, jax 0.10.2).
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
    """``function(params, *arrays)``, compiled; not to be called inside another `jax.jit`, if there are options for the compiler."""

    def __init__(self, function: Callable[..., Result], compiler_options: dict[str, str | bool]):
        self.function = function
        self._compile = functools.partial(jax.jit, compiler_options=compiler_options)
        self._compiled = self._compile(function)
        self._kept: dict[Any, Any] = {}  # types of arguments -> what `jax.jit` made for them

    def __call__(self, *arguments: Any) -> Result:
        return self._kept.get(_types(arguments), self._compiled)(*arguments)

    def lower(self, *arguments: Any) -> Any:
        """As of a function that `jax.jit` has made."""
        return self._kept.get(_types(arguments), self._compiled).lower(*arguments)

    def eval_shape(self, *arguments: Any) -> Any:
        """What `jax.eval_shape` gives of a function."""
        return self._compiled.eval_shape(*arguments)

    def keep(self, name: str, *arguments: Any) -> None:
        """For arguments of these types take the text from the folder of compiled programs, or trace it and put it there.

        name: of the function. One that the zoo's code and `jaxadv.core.oracle` do not fix must not have any. Nothing is kept
        without such a folder, where it cannot be written, or without flatbuffers, in which `jax.export` writes.
        """
        folder, key = _configured("jax_compilation_cache_dir"), _types(arguments)
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
            ):  # where it cannot be written it is traced again next time
                write_sealed(place, text, place.name)
            exported = export.deserialize(
                bytearray(text)
            )  # as it will be read: JAX compiles another text otherwise
        self._kept[key] = self._compile(exported.call)


def _types(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Of all arrays but the parameters, which are of one network."""
    return tuple((array.shape, array.dtype) for array in jax.tree.leaves(arguments[1:]))


def _read(place: Path) -> export.Exported | None:
    """The function of a text; None if nothing is there, or something else than what was written there under this name."""
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
    ) as error:  # of a text that this version of JAX does not read, and it raises anything
        kept.reject(place, f"{str(place)!r} cannot be read ({type(error).__name__})")
    return None


def _circumstances() -> str:
    """All that a text follows from, beside its function's name and the types."""
    settings = (_configured("jax_enable_x64"), _configured("jax_default_matmul_precision"))
    return f"{_code()} {jax.default_backend()} {settings}"


def _configured(name: str) -> Any:
    """A setting of JAX, which defines them when it is imported."""
    return getattr(jax.config, name)


@functools.cache
def _code() -> str:
    """A hash of the networks' and the oracle's source, and the versions of what they are written with."""
    code = hashlib.sha256()
    for file in [
        *sorted(Path(model_ports.__file__).parent.rglob("*.py")),
        Path(__file__).with_name("oracle.py"),
    ]:
        code.update(file.read_bytes())
    return (
        f"{code.hexdigest()} {[metadata.version(package) for package in ('jax', 'jaxlib', 'flax')]}"
    )
