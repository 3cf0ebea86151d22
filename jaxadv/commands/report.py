"""report: makes tables, figures and report.html again from the rows of a run, without JAX."""

from types import SimpleNamespace

from model_ports.errors import InputError


def main(flags: SimpleNamespace) -> None:
    """Make the tables, figures and page of the run in --out again. Raises InputError."""
    from jaxadv.report.remake import remake

    if not flags.out:
        raise InputError(
            "--out is missing; report needs a run's folder, such as --out=results/embedded"
        )
    print(f"report: {remake(flags.out, flags.figures, progress=flags.progress)}")
