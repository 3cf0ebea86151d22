"""list: the networks of a zoo, and where their weights are or can be had."""

from types import SimpleNamespace

from jaxadv.fetching import listing
from jaxadv.support import values
from model_ports import facts


def main(flags: SimpleNamespace) -> None:
    """Print a row for each network of --zoo. Raises InputError."""
    values.chosen("zoo", [flags.zoo], facts.ZOOS)
    print("\n".join(listing.lines(flags.zoo, flags.weights_dir)))
