"""status: how far the run in --out is, and who works on it."""

from types import SimpleNamespace


def main(flags: SimpleNamespace) -> None:
    """Print units done, in work and left, and the hours left. Raises InputError."""
    from jaxadv.evaluation import status

    print(status.text(flags.out or "results/embedded"))
