"""predict: logits, and an input gradient, of one network for an .npy of images."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np

from jaxadv.core import oracle
from jaxadv.evaluation import networks, plan
from jaxadv.support import checks
from model_ports import registry, weights
from model_ports.errors import InputError

BATCH = 8


def main(flags: SimpleNamespace) -> None:
    """Write the .npz that --save names: logits (N, K), raw_logits (N, outputs), gradient (N, S, S, 3). Raises InputError."""
    for name in ("model", "images", "save"):
        if getattr(flags, name) is None:
            raise InputError(f"--{name} is not given; predict needs --model, --images and --save")
    if flags.float64:
        jax.config.update("jax_enable_x64", True)
    network = registry.network(flags.model, zoo=flags.zoo, input_size=networks.input_size(flags.input_size), variant=flags.alexnet_lrn)
    images = read_images(flags.images, size=network.input_size, double=flags.float64)
    difference = difference_of(flags.gradient, network.num_outputs)
    save = Path(flags.save)
    if save.suffix != ".npz" or not save.parent.is_dir():
        raise InputError(f"--save is {flags.save!r}; a file name that ends in .npz, in a folder that exists, is needed")
    params, _ = weights.load(network, weights.find(network, flags.weights_dir))
    raw, gradient = evaluate(network, jax.tree.map(lambda a: np.asarray(a, images.dtype), params), images, difference)
    arrays = {"logits": raw[:, network.label_offset :], "raw_logits": raw}
    if difference is not None:
        arrays["gradient"] = gradient
    np.savez(save, **arrays)
    print(f"{save}: {', '.join(f'{name} {array.shape} {array.dtype}' for name, array in arrays.items())}")


def read_images(path: str, *, size: int, double: bool) -> np.ndarray:
    """The images of --images, (N, size, size, 3) in [0, 1], float32 or as they are in float64. Raises InputError."""
    try:
        stored = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"--images is {path!r}, which does not exist; name an .npy file") from None
    except (OSError, ValueError, EOFError):
        raise InputError(f"--images is {path!r}, which is not a readable .npy; save one with numpy.save") from None
    if not isinstance(stored, np.ndarray):
        raise InputError(f"--images is {path!r}, an archive; one array in an .npy is needed: save it with numpy.save")
    checked = checks.images(stored, size=size)
    return stored.astype(np.float64) if double else checked


def difference_of(gradient: list[str] | None, outputs: int) -> np.ndarray | None:
    """Weights (outputs,) of raw logit A minus raw logit B, from ["A", "B"]. Raises InputError."""
    if gradient is None:
        return None
    indices = plan.numbers("gradient", gradient, int)
    if len(indices) != 2 or not all(0 <= index < outputs for index in indices):
        raise InputError(f"--gradient is {','.join(gradient)!r}; two outputs A,B of 0..{outputs - 1} are needed")
    return np.eye(outputs)[indices[0]] - np.eye(outputs)[indices[1]]


def evaluate(network: registry.Network, params, images: np.ndarray, difference) -> tuple[np.ndarray, np.ndarray]:
    """Raw logits (N, outputs), and the gradient (N, S, S, 3) of ``difference . logits``; difference (outputs,), or None: no gradient."""

    @partial(jax.jit, compiler_options=oracle.compiler_options())
    def program(params, images):
        with jax.default_matmul_precision("highest"):
            raw, pull_back = jax.vjp(lambda pixels: network.apply(params, pixels), images)
            if difference is None:
                return raw, images[:0]
            return raw, pull_back(jax.numpy.broadcast_to(difference.astype(images.dtype), raw.shape))[0]

    parts = [jax.device_get(program(params, images[i : i + BATCH])) for i in range(0, max(1, len(images)), BATCH)]
    raw, gradient = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return raw, gradient
