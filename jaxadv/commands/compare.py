"""compare: two runs or more on one page, with tables; without JAX."""

from types import SimpleNamespace


def main(flags: SimpleNamespace) -> None:
    """Compare the runs in the folders that follow the command. Raises InputError."""
    from jaxadv.report.compare import compare, folder, page

    found = compare(flags.words)
    path = page.write(found, folder(flags.out))
    print(f"{page.brief(found)}\ncompare: {path}")
