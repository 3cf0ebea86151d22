"""list: prints the networks of a zoo, where their weights are, and what brings them."""

from types import SimpleNamespace

from jaxadv.fetching import listing
from jaxadv.support import values
from model_ports import facts


def main(flags: SimpleNamespace) -> None:
    """Print a row for each network of --zoo.

    Raises:
        InputError: for an unknown zoo.
    """
    values.chosen("zoo", [flags.zoo], facts.ZOOS)
    print("\n".join(listing.lines(flags.zoo, flags.weights_dir)))
