"""convert: a checkpoint of the port's parameters from a file of the original network."""

from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np

import jaxadv
from jaxadv.support.progress import Progress
from model_ports import checkpoint, registry
from model_ports.convert import download, sources
from model_ports.convert.checksum import logit_checksum
from model_ports.errors import InputError


def main(flags: SimpleNamespace) -> None:
    """Write --weights_dir/<model>/ from --source, at full size; what is there is replaced when all is done. Raises InputError."""
    for name in ("model", "weights_dir"):
        if getattr(flags, name) is None:
            raise InputError(f"--{name} is not given; convert needs --model, --weights_dir, and --source or --download")
    if flags.source is None and not flags.download:
        raise InputError("--source is not given; convert needs it, or --download")
    if flags.source is not None and flags.download:
        raise InputError(f"--source is {flags.source!r} and --download is given; convert needs one of the two")
    network = registry.network(flags.model, zoo="imagenet", variant=flags.alexnet_lrn)
    source = _downloaded(flags) if flags.download else flags.source
    summary = convert(network, source, flags.weights_dir, progress=flags.progress)
    print(summary)


def _downloaded(flags: SimpleNamespace) -> Path:
    """The checkpoint from its public address, kept in --weights_dir/downloads. Raises InputError."""
    _check_target(Path(flags.weights_dir) / flags.model)
    with Progress(f"download {flags.model}", 0, "MB", show=flags.progress) as bar:

        def report(received: int, total: int | None) -> None:
            bar.total = (total or received) // 10**6
            bar.advance(received // 10**6 - bar.count)

        return download.source(flags.model, Path(flags.weights_dir) / "downloads", report=report)


def convert(network: registry.Network, path: str | Path, weights_dir: str | Path, *, progress: bool = False) -> str:
    """Read, check, compute the checksum, write; returns a line about what was written. Raises InputError.

    Memory: the parameters twice, and what their compression takes; a source that is mapped adds its pages in the cache.
    """
    name = network.spec.name
    target = Path(weights_dir) / name
    source = sources.find(path)
    _check_target(target)
    with Progress(f"convert {name}", 4, "steps (read, hash, run, write)", show=progress) as bar:
        params = end_to_end(sources.parameters(path, network))
        bar.advance(1)
        sha256 = source.sha256()
        bar.advance(1)
        logits = logit_checksum(network, params)
        bar.advance(1)
        meta = {
            "model": name,
            "zoo": network.zoo,
            "variant": next((variant for variant, config in network.spec.variants.items() if config == network.spec.config), None),
            "source": source.path.name,
            "source_format": source.format,
            "source_files": [file.name for file in source.files],
            "source_sha256": sha256,
            "converter": sources.VERSION,
            "jaxadv": jaxadv.__version__,
            "logit_checksum": logits,
        }
        try:
            checkpoint.save(target, params, meta)
        except OSError as error:
            raise InputError(f"{target} cannot be written ({error.strerror or error}); give another --weights_dir") from None
        bar.advance(1)
    written = checkpoint.read_meta(target)
    return (
        f"{target}: {name} from {source.path.name} ({source.format}), {written['num_arrays']} arrays;"
        f" logits of the test picture: norm {logits['norm']:.6g}, largest {logits['largest']}"
    )


def end_to_end(params: dict) -> dict:
    """The same tree of float32 arrays, now parts of one vector in the tree's order, which a checkpoint writes uncopied."""
    leaves, structure = jax.tree.flatten(params)
    vector = np.concatenate([leaf.reshape(-1) for leaf in leaves])
    parts = np.split(vector, np.cumsum([leaf.size for leaf in leaves])[:-1])
    return jax.tree.unflatten(structure, [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)])


def _check_target(target: Path) -> None:
    """Before anything is read: only a checkpoint, or nothing, may be replaced."""
    if target.exists() and not (target / checkpoint.META).is_file() and not (target.is_dir() and not any(target.iterdir())):
        raise InputError(f"{target} exists and is not a checkpoint; give another --weights_dir or remove it")
