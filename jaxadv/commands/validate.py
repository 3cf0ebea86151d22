"""validate: a port against the original, which its own framework executes."""

import sys
from pathlib import Path
from types import SimpleNamespace

from jaxadv.support import values
from model_ports.errors import InputError


def main(flags: SimpleNamespace) -> None:
    """Print, and write to --save, how port and original differ; exit status 1 where that is beyond tolerance.

    With --study, the networks that fetch has brought are held against a re-run of the study's code.

    Raises InputError.
    """
    if flags.study is not None:
        _acceptance(flags)
        return
    from jaxadv.foreign.libraries import is_foreign

    if is_foreign(flags.model or ""):
        _foreign(flags)
        return
    from jaxadv.validation import comparison, validate
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
    limits = comparison.tolerances(
        spec.family, double=flags.float64, logits=flags.tolerance, least=least
    )
    try:
        report = validate.validate(original, question, limits)
    finally:
        original.close()
    print(comparison.text(report))
    if save:
        save.write_text(comparison.written(report, save.suffix))
    if not report["passed"]:
        sys.exit(1)


def _foreign(flags: SimpleNamespace) -> None:
    """Print how a network of another library differs from its original; one that does is refused."""
    from jaxadv.evaluation import foreign_networks

    for name in ("source", "weights_dir", "images", "gradient", "tolerance", "save"):
        if getattr(flags, name) is not None:
            raise InputError(
                f"--{name} is given; {flags.model} is compared with itself in its library: leave it out"
            )
    size = values.input_size(flags.input_size)
    classifier = foreign_networks.load(
        flags.model, taken=(), pretrained=flags.pretrained, input_size=size
    )
    print(f"{flags.model}: {classifier.facts['framework']}, {classifier.input_size} pixels")
    for precision, found in classifier.facts["proof"].items():
        told = found
        if isinstance(found, dict):
            told = ", ".join(
                f"{what} {'not compared' if value is None else f'{value:.1e}'}"
                for what, value in found.items()
            )
        print(f"  {precision} precision, relative difference: {told}")
    print("the same function within tolerance")


def _save(flags: SimpleNamespace) -> Path | None:
    from jaxadv.validation.validate import FORMATS

    save = Path(flags.save) if flags.save else None
    if save and (save.suffix not in FORMATS or not save.parent.is_dir()):
        formats = ", ".join(FORMATS)
        raise InputError(
            f"--save is {flags.save!r}; a file name that ends in {formats}, in a folder that exists, is needed"
        )
    return save


def _acceptance(flags: SimpleNamespace) -> None:
    """Hold the study's first pair of networks against the published re-run."""
    for name in ("model", "source", "weights_dir", "images", "gradient", "tolerance", "input_size"):
        if getattr(flags, name) is not None:
            raise InputError(
                f"--study and --{name} are given; validate takes a study or a model: leave one out"
            )
    if flags.float64:
        raise InputError(
            "--study and --float64 are given; the re-run was in single precision: leave --float64 out"
        )
    from jaxadv.report.published import read
    from jaxadv.validation import acceptance, first_pair

    save, study = _save(flags), Path(flags.study).expanduser()
    facts, images = read("rerun"), read("rerun_images")
    if facts is None or images is None:
        raise InputError(
            "results/published has no rerun.csv and rerun_images.csv; install jaxadv again"
        )
    rerun, seed = first_pair.published(facts, images, study)
    notes = tuple(first_pair.graphs(facts, study))
    if not rerun.whole:
        notes += (
            f"{len(rerun.rows)} images are recorded here; fetch rerun --to={study} brings all 692",
        )
    rows = first_pair.attack_and_show(
        study, seed=seed, num_images=flags.num_images, lanes=flags.lanes, progress=flags.progress
    )
    report = acceptance.compare(rows, rerun, notes=notes)
    print(acceptance.text(report))
    if save:
        save.write_text(acceptance.written(report, save.suffix))
    if not report.passed:
        sys.exit(1)
