"""Saves the parameters of one network in a directory, called a checkpoint.

    directory/arrays/     An Orbax checkpoint with one vector per dtype, such as {"float32": (n,)}.
                          All arrays lie in it end to end.
    directory/meta.json   "model", "zoo", and facts that the writer adds. "arrays" has the name,
    shape
                          and dtype of each array, in the order of the vectors. Their number and
                          SHA-256 are there too. "checksum" is the SHA-256 of all these facts. Older
                          checkpoints have none.

A checkpoint appears at once or not at all. It has 5 files, and some hundred bytes beside the
numbers. For a tree of 600 small arrays, Orbax would take 130 kB and a third of a second. Long
vectors are cut into chunks, which Orbax reads in parallel. Arrays are saved from host memory and
loaded into it, so the devices on both sides may differ.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from model_ports.errors import InputError

FORMAT = 1
META = "meta.json"
CHECKSUM = "checksum"
ARRAYS = "arrays"
_CHUNK_BYTES = 64 * 2**20


def save(directory: str | os.PathLike, params: Any, meta: dict[str, Any]) -> None:
    """Write a checkpoint. An existing checkpoint is replaced.

    Args:
        directory: the directory of the checkpoint.
        params: a nested dict of arrays.
        meta: JSON values. "model" and "zoo" are required.

    Raises:
        InputError: if the directory has something else, or if ``meta`` lacks a field.
        OSError: if the checkpoint cannot be written.
    """
    for key in ("model", "zoo"):
        if key not in meta:
            raise InputError(
                f"meta without {key!r}: a checkpoint must say its model and zoo; add it"
            )
    directory = Path(os.path.abspath(directory))
    if directory.exists() and not (directory / META).is_file() and not _is_empty(directory):
        raise InputError(
            f"{directory} exists and is not a checkpoint; give another directory or remove it"
        )
    named = {name: np.asarray(leaf) for name, leaf in _named(params)}
    index = {
        name: {"shape": list(array.shape), "dtype": array.dtype.name}
        for name, array in named.items()
    }
    fixed = {
        "format": FORMAT,
        "num_arrays": len(named),
        "sha256": fingerprint(named),
        "arrays": index,
    }
    facts = {key: value for key, value in meta.items() if key not in (*fixed, CHECKSUM)} | fixed
    text = _json(facts | {CHECKSUM: _checksum(json.loads(json.dumps(facts)))})

    directory.parent.mkdir(parents=True, exist_ok=True)
    workspace = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        new = workspace / "new"
        old = workspace / "old"
        new.mkdir(mode=0o755)
        _write(new / ARRAYS, _pack(named))
        # This file names the path that the arrays were written to.
        (new / ARRAYS / "commit_success.txt").unlink(missing_ok=True)
        (new / META).write_text(text)
        if directory.exists():
            directory.rename(old)
        new.rename(directory)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def load(
    directory: str | os.PathLike, abstract: Any, *, model: str | None = None, zoo: str | None = None
) -> tuple[Any, dict[str, Any]]:
    """Read a checkpoint.

    Args:
        directory: the directory of the checkpoint.
        abstract: a tree of objects with a shape, in the structure of the parameters.
        model: the expected model; None for any.
        zoo: the expected zoo; None for any.

    Returns:
        The parameters as NumPy arrays in the structure of ``abstract``, and the metadata.

    Raises:
        InputError: if there is no checkpoint, or if it is damaged; also if it is of another model
            or zoo, or if its arrays have other names or shapes.
    """
    import jax

    meta = read_meta(directory)
    for key, wanted in (("model", model), ("zoo", zoo)):
        if wanted is not None and meta[key] != wanted:
            raise InputError(
                f"{directory} is a checkpoint of {key} {meta[key]!r}, not {wanted!r}; give another "
                "path"
            )
    wanted_shapes = {name: tuple(leaf.shape) for name, leaf in _named(abstract)}
    index = meta["arrays"]
    _compare(
        directory, {name: tuple(entry["shape"]) for name, entry in index.items()}, wanted_shapes
    )
    kinds = sorted({entry["dtype"] for entry in index.values()})
    try:
        named = _unpack(_read(Path(os.path.abspath(directory)) / ARRAYS, kinds), index)
    except Exception as error:  # Orbax, TensorStore and the codecs raise many kinds of exceptions
        reason = (str(error).strip().splitlines() or [""])[0][:160]
        raise _damaged(directory, f"{type(error).__name__}: {reason}") from error
    if fingerprint(named) != meta["sha256"]:
        raise _damaged(directory, "the arrays do not have the recorded SHA-256")
    return jax.tree.unflatten(
        jax.tree.structure(abstract), [named[name] for name, _ in _named(abstract)]
    ), meta


def read_meta(directory: str | os.PathLike) -> dict[str, Any]:
    """Read the metadata of a checkpoint, without its arrays.

    Raises:
        InputError: if there is no checkpoint, or if its metadata cannot be read.
    """
    path = Path(directory)
    if not path.exists():
        raise InputError(
            f"{path} does not exist; a checkpoint directory ({ARRAYS}/ and {META}) is needed: "
            "convert or train"
        )
    if not (path / META).is_file():
        raise InputError(
            f"{path} is not a checkpoint: it has no {META}; give a directory that convert or train "
            "wrote"
        )
    try:
        meta = json.loads((path / META).read_bytes())
        complete = {"model", "zoo", "sha256", "arrays"} <= meta.keys() and all(
            _is_entry(entry) for entry in meta["arrays"].values()
        )
        checksum = _checksum(meta)
    except OSError as error:
        raise InputError(
            f"{path / META} cannot be read ({error.strerror or error}); make it readable"
        ) from error
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise _damaged(path, f"{META} is not readable") from error
    if not complete:
        raise _damaged(path, f"{META} lacks fields")
    if meta.get("format") != FORMAT:
        raise InputError(
            f"{path} has checkpoint format {str(meta.get('format'))[:40]}; {FORMAT} can be read: "
            "convert it again"
        )
    if meta.pop(CHECKSUM, checksum) != checksum:
        raise _damaged(path, f"{META} was changed")
    if not all(isinstance(meta[key], str) for key in ("model", "zoo", "sha256")):
        raise _damaged(path, f"{META} has no names")
    return meta


def _is_entry(entry: Any) -> bool:
    """Whether this says the shape and dtype of an array."""
    shape, dtype = entry["shape"], entry["dtype"]
    return isinstance(dtype, str) and all(
        type(size) is int and 0 <= size < 2**48 for size in list(shape)
    )


def _checksum(meta: dict[str, Any]) -> str:
    """SHA-256, hexadecimal, of all facts of meta.json but this."""
    facts = {key: value for key, value in meta.items() if key != CHECKSUM}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def fingerprint(named: dict[str, np.ndarray]) -> str:
    """The SHA-256 of arrays, in hexadecimal.

    It covers the name, dtype, shape and little-endian bytes of each array, in the order of names.
    """
    digest = hashlib.sha256()
    for name in sorted(named):
        array = named[name]
        digest.update(f"{name} {array.dtype.name} {list(array.shape)}\n".encode())
        digest.update(_bytes(array))
    return digest.hexdigest()


def _named(tree: Any) -> list[tuple[str, Any]]:
    import jax

    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [(jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in leaves]


def _bytes(array: np.ndarray) -> memoryview:
    array = np.ascontiguousarray(array)
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    return array.reshape(-1).view(np.uint8).data


def _pack(named: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    kinds: dict[str, list[np.ndarray]] = {}
    for array in named.values():
        kinds.setdefault(array.dtype.name, []).append(array.reshape(-1))
    return {kind: _joined(parts) for kind, parts in kinds.items()}


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Join vectors end to end.

    If they are all parts of one vector in its order, nothing is copied.
    """
    whole = parts[0].base
    if (
        isinstance(whole, np.ndarray)
        and whole.ndim == 1
        and whole.flags.c_contiguous
        and whole.dtype == parts[0].dtype
    ):
        places = whole.ctypes.data + np.cumsum([0, *(part.nbytes for part in parts)])
        if whole.ctypes.data + whole.nbytes == places[-1] and all(
            part.base is whole and part.ctypes.data == place
            for part, place in zip(parts, places[:-1], strict=True)
        ):
            return whole
    return np.concatenate(parts)


def _unpack(vectors: dict[str, np.ndarray], index: dict[str, dict]) -> dict[str, np.ndarray]:
    named: dict[str, np.ndarray] = {}
    used = dict.fromkeys(vectors, 0)
    for name, entry in index.items():
        kind = entry["dtype"]
        count = int(np.prod(entry["shape"], dtype=np.int64))
        named[name] = vectors[kind][used[kind] : used[kind] + count].reshape(entry["shape"])
        used[kind] += count
    return named


def _checkpointer():
    import jax
    import orbax.checkpoint as ocp

    # Without OCDBT, file names are fixed. Zarr 3 has no dot files, which package builders leave
    # out. The vectors are not copied before they are written, because nobody else changes them.
    arrays = ocp.type_handlers.NumpyHandler(deepcopy_host_arrays=False)
    # The second handler is never used. Without it, Orbax warns about a registry without jax.Array.
    handlers = (
        (np.ndarray, arrays),
        (jax.Array, ocp.type_handlers.ArrayHandler(array_metadata_store=None)),
    )
    registry = ocp.type_handlers.create_type_handler_registry(*handlers)
    alone = _alone()
    handler = ocp.PyTreeCheckpointHandler(
        use_ocdbt=False,
        use_zarr3=True,
        type_handler_registry=registry,
        multiprocessing_options=alone,
    )
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


def _alone():
    """Options for a process that reads and writes alone.

    By default, Orbax waits for all processes.
    """
    import jax
    import orbax.checkpoint as ocp

    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    index = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=index, active_processes={index}, barrier_sync_key_prefix=f"process {index}"
    )


def _write(path: Path, vectors: dict[str, np.ndarray]) -> None:
    """Write vectors. An error of the file system raises OSError.

    For a full disk, TensorStore raises ValueError, and Orbax logs it with a traceback.
    """
    import orbax.checkpoint as ocp

    if sum(vector.nbytes for vector in vectors.values()) > shutil.disk_usage(path.parent).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    options = {kind: ocp.SaveArgs(chunk_byte_size=_CHUNK_BYTES) for kind in vectors}
    try:
        with _checkpointer() as checkpointer:
            checkpointer.save(path, args=ocp.args.PyTreeSave(vectors, save_args=options))
    except ValueError as error:
        code = re.search(r"os_error_code='(\d+)'", str(error))
        if code is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1]))) from None


def _read(path: Path, kinds: list[str]) -> dict[str, np.ndarray]:
    """Read the vectors one after another.

    If one of two simultaneous reads fails, the other one ends in a closed event loop.
    """
    import orbax.checkpoint as ocp

    vectors = {}
    with _checkpointer() as checkpointer:
        for kind in kinds:
            options = {kind: ocp.RestoreArgs(restore_type=np.ndarray)}
            wanted = ocp.args.PyTreeRestore({kind: 0}, restore_args=options, partial_restore=True)
            vectors |= checkpointer.restore(path, args=wanted)
    return vectors


def _compare(directory, actual: dict[str, tuple], wanted: dict[str, tuple]) -> None:
    """Raise InputError for the first difference between two {name: shape}."""
    for name in wanted:
        if name not in actual:
            raise InputError(
                f"{directory} has no array {name!r}: it is of another network; "
                f"{_counts(actual, wanted)}"
            )
        if actual[name] != wanted[name]:
            raise InputError(
                f"{directory}: array {name!r} has shape {actual[name]}, not {wanted[name]}: it is "
                "of another network or size; give another path"
            )
    for name in actual:
        if name not in wanted:
            raise InputError(
                f"{directory} has an array {name!r} too many: it is of another network; "
                f"{_counts(actual, wanted)}"
            )


def _counts(actual: dict, wanted: dict) -> str:
    return f"{len(actual)} arrays instead of {len(wanted)}; give another path"


def _damaged(directory, reason: str) -> InputError:
    return InputError(f"checkpoint {directory} is damaged ({reason}); convert or train it again")


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _json(meta: dict[str, Any]) -> str:
    """Format metadata as indented JSON, with one array per line."""
    arrays = ",\n".join(
        f"    {json.dumps(name)}: {json.dumps(entry)}" for name, entry in meta["arrays"].items()
    )
    body = json.dumps({key: value for key, value in meta.items() if key != "arrays"}, indent=2)
    return f'{body[:-2]},\n  "arrays": {{\n{arrays}\n  }}\n}}\n'
