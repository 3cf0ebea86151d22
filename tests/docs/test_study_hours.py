"""The hours in docs/the_study.md follow from its flagfiles and the measured rates of rates.csv."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from jaxadv.commands import cli, evaluate, options
from jaxadv.core.classifier import Classifier
from jaxadv.data import validation
from jaxadv.data.source import Source
from jaxadv.evaluation import estimate, plan, rates
from model_ports import registry

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "the_study.md"
LANES = 256
"""An accelerator's, where memory allows."""
COMMON = 327
"""Images that the study's 18 networks all have right, which Figure 6 attacks."""
LINE = re.compile(
    r"^\| `--flagfile=(\S+)\.flags`.* \| ([\d.,]+) \| ([\d.,]+) \| ([\d.,]+) \|$", re.M
)


def shown() -> dict[str, tuple[float, ...]]:
    """Hours of the page: one GPU in float32, the same in TF32, eight in float32."""
    numbers = (
        (name, *(float(text.replace(",", "")) for text in texts))
        for name, *texts in LINE.findall(PAGE.read_text())
    )
    return {name: tuple(values) for name, *values in numbers}


def validation_set() -> Source:
    """ILSVRC2012's 50,000 validation images, of which nobody reads a pixel."""
    ids, labels = np.arange(1, 50001), validation.study_labels()
    return Source("imagefolder:x", ids, labels, ids, 1000, "", lambda *_: None, validation=True)


def steps(name: str) -> tuple[int, int]:
    """Gradients and forwards that a flagfile asks of each network at most."""
    more = [f"--attacked_images={COMMON}"] if name == "paper/fig6" else []
    with flagsaver.flagsaver():
        cli.parse(["run.py", f"--flagfile={ROOT / 'flags' / name}.flags", "--study=x", *more])
        given = SimpleNamespace(**{flag: flags.FLAGS[flag].value for flag in options.known()})
    settings = replace(evaluate.settings_of(given), lanes=LANES)
    models = evaluate.networks_of(given)["models"]
    job = plan.job(settings, models, {}, validation_set())
    sizes = {name: SimpleNamespace(input_size=299, num_classes=1000) for name in models}
    counted = estimate.counts(job, sizes)
    return LANES * counted.gradients, LANES * counted.forwards


@pytest.fixture(scope="module")
def gigaflops() -> dict[str, tuple[float, float]]:
    """Of one image's gradient, and of its logits, of all 18; nothing is compiled."""
    found = {}
    for spec in registry.MODELS:
        network = registry.network(spec.name, zoo="imagenet")
        classifier = Classifier(
            network.apply,
            network.abstract(),
            input_size=network.input_size,
            num_classes=1000,
            name=spec.name,
            label_offset=spec.label_offset,
            outputs=network.num_outputs,
        )
        found[spec.name] = estimate.gigaflops(classifier)
    return found


def test_every_flagfile_of_the_study_has_its_hours():
    names = {f"paper/{path.stem}" for path in (ROOT / "flags" / "paper").glob("*.flags")}
    assert set(shown()) == {*names, "study"}


@pytest.mark.slow
def test_hours_are_those_of_the_measured_rates(gigaflops):
    for name, (single, fast, eight) in shown().items():
        gradients, forwards = steps(name)
        works = {
            model: rates.Work(gradients, forwards, operations)
            for model, operations in gigaflops.items()
        }
        (found,) = rates.hours(works)
        hours = found.hours["highest"], found.hours["default"], found.hours["highest"] / 8
        print(f"{name}: {', '.join(f'{value:.4g}' for value in hours)}")
        assert (single, fast, eight) == pytest.approx(hours, rel=0.03, abs=0.006), name
