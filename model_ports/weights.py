"""Finds and loads weights: of the embedded zoo, of a checkpoint, or of a file of the original's
arrays.
"""

from pathlib import Path
from typing import Any

from model_ports import checkpoint
from model_ports.convert import sources
from model_ports.errors import InputError
from model_ports.registry import Network

EMBEDDED = Path(__file__).parent / "digits"


def find(network: Network, weights_dir: str | Path | None) -> Path | None:
    """Find the weights of a network in a folder.

    Args:
        network: the network.
        weights_dir: a folder with a folder NAME/ or a file NAME.npz; None for the embedded zoo.

    Returns:
        The path; None for the embedded zoo.

    Raises:
        InputError: if there are no weights.
    """
    name = network.spec.name
    if weights_dir is None:
        if network.zoo != "digits":
            raise InputError(
                f"no weights of {name}: give --weights_dir for the {network.zoo} zoo, where "
                "convert has put them"
            )
        return None
    places = [Path(weights_dir) / name, Path(weights_dir) / f"{name}.npz"]
    for place in places:
        if place.exists():
            return place
    raise InputError(
        f"no weights of {name} in {weights_dir}: neither {places[0].name}/ nor {places[1].name} is "
        "there"
    )


def load(network: Network, path: str | Path | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Load the weights of a network.

    Args:
        network: the network.
        path: a checkpoint, or a file that `convert.sources` can read; None for the embedded zoo.

    Returns:
        The parameters, and the facts that are stored with them.

    Raises:
        InputError: if the weights are missing, damaged, or of another network.
    """
    name = network.spec.name
    zoo = network.zoo
    if path is None:
        if zoo != "digits":
            raise InputError(
                f"no weights given for {name} of the {zoo} zoo: name a converted checkpoint or an "
                ".npz"
            )
        path = EMBEDDED / name
    elif not Path(path).is_dir():
        return sources.parameters(path, network), {"source": Path(path).name}
    return checkpoint.load(path, network.abstract(), model=name, zoo=zoo)


def facts(network: Network, path: str | Path | None) -> dict[str, Any]:
    """The facts about weights that `load` would read, with their SHA-256. The arrays are not
    loaded.

    Args:
        network: the network.
        path: as for `load`.

    Raises:
        InputError: if the weights are missing or damaged.
    """
    path = EMBEDDED / network.spec.name if path is None else Path(path)
    if not path.is_dir():
        return {"source": path.name, "sha256": sources.find(path).sha256()}
    meta = checkpoint.read_meta(path)
    return {key: value for key, value in meta.items() if key != "arrays"}
