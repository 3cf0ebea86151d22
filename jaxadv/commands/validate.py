"""validate: a port against the original, which its own framework executes."""

import sys
from pathlib import Path
from types import SimpleNamespace

from jaxadv.commands import values
from model_ports.errors import InputError


def main(flags: SimpleNamespace) -> None:
    """Print, and write to --save, how port and original differ; exit status 1 where that is beyond tolerance.

    Raises InputError.
    """
    from jaxadv.validation import comparison, validate
    from model_ports import registry

    for name in ("model", "source"):
        if getattr(flags, name) is None:
            raise InputError(f"--{name} is not given; validate needs --model and --source, the original's file")
    spec = registry.spec(flags.model)
    registry.check_variant(spec, flags.alexnet_lrn, "imagenet")
    save = flags.save and Path(flags.save)
    if save and (save.suffix not in validate.FORMATS or not save.parent.is_dir()):
        formats = ", ".join(validate.FORMATS)
        raise InputError(
            f"--save is {flags.save!r}; a file name that ends in {formats}, in a folder that exists, is needed"
        )
    if flags.float64:
        import jax

        jax.config.update("jax_enable_x64", True)
    size = values.input_size(flags.input_size)
    outputs = values.numbers("gradient", flags.gradient or ["7", "3"], int)
    question = validate.Question(
        model=flags.model,
        variant=flags.alexnet_lrn,
        weights_dir=flags.weights_dir,
        images=flags.images,
        gradient=tuple(outputs),
        double=flags.float64,
    )
    original = validate.open_original(flags.source, spec, size=size, double=flags.float64)
    least = original.least_tolerances
    limits = comparison.tolerances(spec.family, double=flags.float64, logits=flags.tolerance, least=least)
    try:
        report = validate.validate(original, question, limits)
    finally:
        original.close()
    print(comparison.text(report))
    if save:
        save.write_text(comparison.written(report, save.suffix))
    if not report["passed"]:
        sys.exit(1)
