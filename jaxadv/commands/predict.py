"""predict: logits and an input gradient of one network, for images in an .npy file."""

from types import SimpleNamespace

from jaxadv.support import places, values
from model_ports.errors import InputError


def main(flags: SimpleNamespace) -> None:
    """Write logits, raw logits and, with --gradient, a gradient to the .npz that --save names.

    Raises:
        InputError: for a bad flag, or for a file that is missing or unreadable.
    """
    from jaxadv.support.files import save_npz
    from jaxadv.validation import predict
    from model_ports import registry

    for name in ("model", "images", "save"):
        if getattr(flags, name) is None:
            raise InputError(f"--{name} is not given; predict needs --model, --images and --save")
    if flags.float64:
        predict.use_float64()
    size = values.input_size(flags.input_size)
    network = registry.network(
        flags.model, zoo=flags.zoo, input_size=size, variant=flags.alexnet_lrn
    )
    images = predict.read_images(flags.images, size=network.input_size, double=flags.float64)
    outputs = flags.gradient and values.numbers("gradient", flags.gradient, int)
    difference = None if outputs is None else predict.difference_of(outputs, network.num_outputs)
    save = places.file_to_write("--save", flags.save, (".npz",))
    arrays = predict.predict(network, images, difference, weights_dir=flags.weights_dir)
    save_npz(save, arrays)
    shapes = (f"{name} {array.shape} {array.dtype}" for name, array in arrays.items())
    print(f"{save}: {', '.join(shapes)}")
