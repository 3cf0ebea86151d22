"""validate: compares a port with the original network, which the original's framework executes."""

import sys
from pathlib import Path
from types import SimpleNamespace

from jaxadv.foreign.forms import is_foreign
from jaxadv.support import places, values
from jaxadv.support.files import write_atomically
from model_ports.errors import InputError


def main(flags: SimpleNamespace) -> None:
    """Print how port and original differ, and write that to --save.

    With --study, the networks that fetch brought are compared with a re-run of the study's code.
    The exit status is 1 if a difference is beyond its tolerance.

    Raises:
        InputError: for a bad flag, or for a file that is missing or unreadable.
    """
    if flags.study is not None:
        compare = _compare_with_rerun
    else:
        compare = _compare_in_library if is_foreign(flags.model or "") else _compare_with_original
    if not compare(flags):
        sys.exit(1)


def _compare_with_original(flags: SimpleNamespace) -> bool:
    from jaxadv.validation import comparison, predict, validate
    from model_ports import registry

    for name in ("model", "source"):
        if getattr(flags, name) is None:
            raise InputError(
                f"--{name} is not given; validate needs --model and --source, the original's file"
            )
    spec = registry.spec(flags.model)
    registry.check_variant(spec, flags.alexnet_lrn, "imagenet")
    save = _save(flags)
    if flags.float64:
        predict.use_float64()
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
    try:
        report = validate.validate(original, question, tolerance=flags.tolerance)
    finally:
        original.close()
    print(comparison.text(report))
    if save:
        write_atomically(save, comparison.written(report, save.suffix).encode())
    return report["passed"]


def _compare_in_library(flags: SimpleNamespace) -> bool:
    from jaxadv.validation import foreign

    for name in ("source", "weights_dir", "images", "gradient", "tolerance", "save"):
        if getattr(flags, name) is not None:
            raise InputError(
                f"--{name} is given, but {flags.model} is compared with itself in its library: "
                "leave it out"
            )
    size = values.input_size(flags.input_size)
    lines = foreign.compare(flags.model, pretrained=flags.pretrained, input_size=size)
    print(*lines, sep="\n")
    return True


def _compare_with_rerun(flags: SimpleNamespace) -> bool:
    for name in ("model", "source", "weights_dir", "images", "gradient", "tolerance", "input_size"):
        if getattr(flags, name) is not None:
            raise InputError(
                f"--study and --{name} are given; validate takes a study or a model: leave one out"
            )
    if flags.float64:
        raise InputError(
            "--study and --float64 are given; the re-run was in float32: leave --float64 out"
        )
    from jaxadv.validation import acceptance, first_pair

    save = _save(flags)
    report = first_pair.accept(
        Path(flags.study),
        num_images=flags.num_images,
        lanes=flags.lanes,
        progress=flags.progress,
    )
    print(acceptance.text(report))
    if save:
        write_atomically(save, acceptance.written(report, save.suffix).encode())
    return report.passed


def _save(flags: SimpleNamespace) -> Path | None:
    from jaxadv.validation.tables import FORMATS

    return places.file_to_write("--save", flags.save, FORMATS) if flags.save else None
