"""Where the weights of a network come from: the embedded zoo, a converted checkpoint, or an .npz of the original's arrays."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from model_ports import checkpoint
from model_ports.convert.weight_map import assemble
from model_ports.errors import InputError
from model_ports.registry import Network

EMBEDDED = Path(__file__).parent / "digits"


def find(network: Network, weights_dir: str | Path | None) -> Path | None:
    """Where ``weights_dir`` keeps this network: its folder, or its .npz. None for the embedded zoo without a folder.

    Raises InputError where nothing is there.
    """
    name = network.spec.name
    if weights_dir is None:
        return None
    places = [Path(weights_dir) / name, Path(weights_dir) / f"{name}.npz"]
    for place in places:
        if place.exists():
            return place
    raise InputError(f"no weights of {name} in {weights_dir}: neither {places[0].name}/ nor {places[1].name} is there")


def load(network: Network, path: str | Path | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters of a network, and the facts stored with them.

    path: a checkpoint folder, or an .npz of arrays under their original names; None for the embedded zoo's own. Raises InputError
    for anything missing, truncated or foreign.
    """
    name, zoo = network.spec.name, network.zoo
    if path is None:
        if zoo != "digits":
            raise InputError(f"no weights given for {name} of the {zoo} zoo: name a converted checkpoint or an .npz")
        path = EMBEDDED / name
    path = Path(path)
    if path.suffix == ".npz":
        return assemble(network.spec.weight_map, _read_npz(path), network.abstract()), {"source": path.name}
    params, meta = checkpoint.load(path, network.abstract())
    if (meta.get("model"), meta.get("zoo")) != (name, zoo):
        raise InputError(
            f"{path} holds {meta.get('model')!r} of the {meta.get('zoo')!r} zoo, not {name!r} of {zoo!r}: "
            "name that network, or other weights"
        )
    return params, meta


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except FileNotFoundError:
        raise InputError(f"no file {path}: name an existing .npz") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        raise InputError(f"{path} is not an .npz, or it is cut short: copy or convert it again") from None
