"""train: trains the small networks on digits."""

from pathlib import Path
from types import SimpleNamespace

from jaxadv.support import values
from model_ports.errors import InputError


def main(flags: SimpleNamespace) -> None:
    """Train the networks of --models, and write their checkpoints to --out.

    Raises:
        InputError: for a bad flag, or for a folder that cannot be written.
    """
    from jaxadv.training import train
    from model_ports import registry

    if flags.out is None:
        raise InputError(
            "--out is not given; train needs a folder, such as --out=model_ports/digits"
        )
    names = values.models(flags.models, tuple(spec.name for spec in registry.MODELS))
    report = train.run(
        names, out_dir=flags.out, seed=flags.seed, epochs=flags.epochs, progress=flags.progress
    )
    for name, metrics in report.items():
        accuracy = (
            f"accuracy {metrics['test_accuracy']:.1%} on {metrics['test_pictures']} test pictures"
        )
        print(f"{Path(flags.out) / name}: {accuracy}")
