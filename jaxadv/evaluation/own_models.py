"""--model_module=FILE.py:FUNCTION: classifiers that a user's function returns.

flags/own_models/ has an example for each common library.
"""

import hashlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxadv.core.classifier import Classifier
from jaxadv.foreign.torch_libraries import other_build
from jaxadv.support import places
from model_ports import checkpoint
from model_ports.errors import InputError, unknown

_NAME = re.compile(r"\w[\w.]*", re.ASCII)  # "-" separates the network from the attack in file names


def load(
    places: Iterable[str], *, reserved: Iterable[str]
) -> dict[str, tuple[Classifier, dict[str, Any]]]:
    """Call the user's functions.

    Args:
        places: FILE.py:FUNCTION, one for each function.
        reserved: names that no classifier may have.

    Returns:
        Name -> classifier and facts. The facts include the source and a sha256 that changes with
        the classifier.

    Raises:
        InputError: if the file or function is missing; if the user's code fails, with file and
            line; if the function does not return a classifier or a list of classifiers; if a name
            is reserved or unfit for files.
    """
    classifiers_by_name: dict[str, tuple[Classifier, dict[str, Any]]] = {}
    for place in places:
        path, function = function_of(place)
        line = inspect.unwrap(function).__code__.co_firstlineno
        where = f"{path}:{line}"
        made = run(path, function, line)
        classifiers = made if isinstance(made, (list, tuple)) else [made]
        if not classifiers or not all(
            isinstance(classifier, Classifier) for classifier in classifiers
        ):
            got = (
                type(made).__name__
                if classifiers is not made
                else f"{type(made).__name__} of {[type(c).__name__ for c in made]}"
            )
            raise InputError(
                f"{where}: {function.__name__} returns a {got}; it must return a "
                "jaxadv.Classifier, or a list of them"
            )
        for classifier in classifiers:
            _check_name(classifier.name, {*classifiers_by_name, *reserved}, f"{where}: ")
            sha256 = fingerprint(classifier, path.read_bytes())
            classifiers_by_name[classifier.name] = (
                classifier,
                classifier.facts | {"source": place, "sha256": sha256},
            )
    return classifiers_by_name


def given(
    classifier: Classifier, *, reserved: Iterable[str]
) -> dict[str, tuple[Classifier, dict[str, Any]]]:
    """A classifier that the caller of `evaluate` made, in the form of `load`.

    Args:
        classifier: the classifier.
        reserved: names that it may not have.

    Returns:
        Its name -> classifier and facts.

    Raises:
        InputError: if the name is reserved or unfit for files.
    """
    _check_name(classifier.name, set(reserved))
    return {classifier.name: (classifier, classifier.facts | {"sha256": fingerprint(classifier)})}


def _check_name(name: str, taken: set[str], where: str = "") -> None:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{where}a classifier is named {name!r}; letters, digits, '_' and '.' are allowed: "
            "rename it"
        )
    if name in {*taken, "all", "none"}:
        raise InputError(f"{where}a classifier is named {name!r}, which is taken; rename it")


def fingerprint(classifier: Classifier, file: bytes = b"") -> str:
    """The sha256 of a classifier's parameters, program and source file. It keeps a run from mixing
    two versions.

    The program also contains constants and the code of other files.

    Args:
        classifier: the classifier.
        file: the content of its source file, if there is one.

    Returns:
        64 hexadecimal digits.
    """
    leaves = jax.tree_util.tree_leaves_with_path(classifier.params)
    arrays = {jax.tree_util.keystr(key): np.asarray(_plain(leaf)) for key, leaf in leaves}
    images = jax.ShapeDtypeStruct((1, classifier.input_size, classifier.input_size, 3), jnp.float32)
    program = classifier.with_stock_layers().oracle.logits.lower(classifier.params, images)
    return hashlib.sha256(
        f"{checkpoint.fingerprint(arrays)}\n{program.as_text()}\n".encode() + file
    ).hexdigest()


def _plain(leaf):
    """The numbers of a random key, which networks with dropout have; any other array unchanged."""
    is_key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf


def function_of(place: str, flag: str = "--model_module") -> tuple[Path, Callable]:
    """The file and the function of FILE.py:FUNCTION. Raises InputError, which names the flag."""
    file, colon, name = place.rpartition(":")
    path = places.place(flag, file)
    if not colon or path.suffix != ".py" or not name:
        raise InputError(
            f"{flag} is {place!r}; FILE.py:FUNCTION is needed, such as "
            "flags/own_models/pure_jax.py:linear"
        )
    if not path.is_file():
        raise InputError(f"{flag} is {place!r}, but there is no file {file!r}; name a Python file")
    module = _module(path)
    function = getattr(module, name, None)
    if not callable(function) or not hasattr(inspect.unwrap(function), "__code__"):
        functions = [
            known
            for known, value in vars(module).items()
            if inspect.isfunction(value) and value.__module__ == module.__name__
        ]
        raise unknown(f"function of {file}", name, functions)
    return path, function


def _module(path: Path) -> ModuleType:
    """The module of a file, which runs once in a process.

    It can import modules of its folder; libraries come first.
    """
    content = str(path.resolve()).encode() + path.read_bytes()
    name = f"{path.stem}_{hashlib.sha256(content).hexdigest()[:8]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise InputError(f"{path} cannot be loaded as Python; name a file of Python source")
        module = sys.modules[name] = importlib.util.module_from_spec(
            spec
        )  # dataclasses need their module in sys.modules
        execute = partial(spec.loader.exec_module, module)
        folder = str(path.parent.resolve())
        if folder not in sys.path:
            sys.path.append(folder)
        try:
            run(path, execute, 1)
        except InputError:
            del sys.modules[name]
            raise
    return sys.modules[name]


def run(path: Path, function: Callable, line: int) -> Any:
    """Call a user's function.

    Any error becomes an InputError with the line in the file, or ``line`` for an error elsewhere.
    """
    try:
        return function()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # user code may raise anything
        frames = [
            (frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)
        ]
        if isinstance(error, SyntaxError):
            frames.append((error.filename or "", error.lineno))
        lines = [number for file, number in frames if Path(file).resolve() == path.resolve()]
        said = other_build(error) or f"{type(error).__name__}: {error}"
        raise InputError(f"{path}:{[line, *lines][-1]}: {said}") from error
