"""predict: logits, and an input gradient, of one network for an .npy of images."""

from pathlib import Path
from types import SimpleNamespace

from jaxadv.support import values
from model_ports.errors import InputError


def main(flags: SimpleNamespace) -> None:
    """Write the .npz that --save names: logits (N, K), raw_logits (N, outputs), gradient (N, S, S, 3).

    Raises InputError.
    """
    import jax
    import numpy as np

    from jaxadv.support.files import save_npz
    from jaxadv.validation import predict
    from model_ports import registry, weights

    for name in ("model", "images", "save"):
        if getattr(flags, name) is None:
            raise InputError(f"--{name} is not given; predict needs --model, --images and --save")
    if flags.float64:
        jax.config.update("jax_enable_x64", True)
    size = values.input_size(flags.input_size)
    network = registry.network(
        flags.model, zoo=flags.zoo, input_size=size, variant=flags.alexnet_lrn
    )
    images = predict.read_images(flags.images, size=network.input_size, double=flags.float64)
    outputs = flags.gradient and values.numbers("gradient", flags.gradient, int)
    difference = None if outputs is None else predict.difference_of(outputs, network.num_outputs)
    save = Path(flags.save)
    if save.suffix != ".npz" or not save.parent.is_dir():
        raise InputError(
            f"--save is {flags.save!r}; a file name that ends in .npz, in a folder that exists, is needed"
        )
    params, _ = weights.load(network, weights.find(network, flags.weights_dir))
    params = jax.tree.map(lambda array: np.asarray(array, images.dtype), params)
    raw, gradient = predict.evaluate(network, params, images, difference)
    arrays = {"logits": raw[:, network.label_offset :], "raw_logits": raw}
    if difference is not None:
        arrays["gradient"] = gradient
    save_npz(save, arrays)
    print(
        f"{save}: {', '.join(f'{name} {array.shape} {array.dtype}' for name, array in arrays.items())}"
    )
