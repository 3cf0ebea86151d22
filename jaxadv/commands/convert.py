"""convert: makes a checkpoint of a full-size network from a file of the original's weights."""

from types import SimpleNamespace

from model_ports.errors import InputError


def main(flags: SimpleNamespace) -> None:
    """Convert --source into the folder --weights_dir/MODEL.

    A folder that is there is replaced once the new one is complete.

    Raises:
        InputError: for a bad flag, or for a file that does not fit the network.
    """
    import jaxadv
    from jaxadv.support.progress import Progress
    from model_ports import registry
    from model_ports.convert import conversion

    for name in ("model", "source", "weights_dir"):
        if getattr(flags, name) is None:
            raise InputError(
                f"--{name} is not given; convert needs --model, --source, --weights_dir"
            )
    network = registry.network(flags.model, zoo="imagenet", variant=flags.alexnet_lrn)
    with Progress(f"convert {flags.model}", 4, conversion.STEPS, show=flags.progress) as bar:
        line = conversion.convert(
            network,
            flags.source,
            flags.weights_dir,
            version=jaxadv.__version__,
            advance=bar.advance,
        )
    print(line)
