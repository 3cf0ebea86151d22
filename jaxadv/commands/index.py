"""index: the runs in a folder, a line each; without JAX."""

from types import SimpleNamespace


def main(flags: SimpleNamespace) -> None:
    """Print the runs in the folder that follows the command, or in results. Raises InputError."""
    from jaxadv.report.index import index

    print(index(flags.word or "results"))
