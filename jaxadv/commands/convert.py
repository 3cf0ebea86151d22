"""convert: a checkpoint of a full-size network from a file of the original's weights."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from model_ports.errors import InputError


def main(flags: SimpleNamespace) -> None:
    """Write --weights_dir/MODEL/ from --source; what is there is replaced when all is done. Raises InputError."""
    import jaxadv
    from jaxadv.support.progress import Progress
    from model_ports import registry
    from model_ports.convert import conversion

    for name in ("model", "weights_dir"):
        if getattr(flags, name) is None:
            raise InputError(f"--{name} is not given; convert needs --model, --weights_dir, and --source or --download")
    if flags.source is None and not flags.download:
        raise InputError("--source is not given; convert needs it, or --download")
    if flags.source is not None and flags.download:
        raise InputError(f"--source is {flags.source!r} and --download is given; convert needs one of the two")
    network = registry.network(flags.model, zoo="imagenet", variant=flags.alexnet_lrn)
    source: Any = _downloaded(flags) if flags.download else flags.source
    with Progress(f"convert {flags.model}", 4, conversion.STEPS, show=flags.progress) as bar:
        line = conversion.convert(
            network, source, flags.weights_dir, version=jaxadv.__version__, advance=bar.advance
        )
    print(line)


def _downloaded(flags: SimpleNamespace) -> Path:
    """The checkpoint from its public address, kept in --weights_dir/downloads. Raises InputError."""
    from jaxadv.support.progress import Progress
    from model_ports.convert import conversion, download

    conversion.check_target(Path(flags.weights_dir) / flags.model)
    with Progress(f"download {flags.model}", 0, "MB", show=flags.progress) as bar:

        def report(received: int, total: int | None) -> None:
            bar.total = (total or received) // 10**6
            bar.advance(received // 10**6 - bar.count)

        return download.source(flags.model, Path(flags.weights_dir) / "downloads", report=report)
