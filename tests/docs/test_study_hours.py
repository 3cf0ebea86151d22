"""The hours in docs/the_study.md follow from its flagfiles and the measured totals of
performance.md.
"""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from jaxadv.commands import cli, evaluate, options
from jaxadv.data import validation
from jaxadv.data.source import Source
from jaxadv.evaluation import estimate, plan

ROOT = Path(__file__).parents[2]
PAGE, PERFORMANCE = ROOT / "docs" / "the_study.md", ROOT / "docs" / "performance.md"
LANES = 256
"""An accelerator's, where memory allows."""
COMMON = 327
"""Images that the study's 18 networks all have right, which two files attack."""
FORWARD = 0.33
"""Of a gradient's arithmetic; of all 18 networks together."""
LINE = re.compile(r"^\| `--flagfile=(\S+)\.flags`(.*) \| (\S+) \| (\S+) \| (\S+) \|$", re.MULTILINE)


def shown() -> dict[str, list[float]]:
    """Hours on the page: one GPU in float32, one in TF32, eight in float32."""
    found = {}
    for name, others, *texts in LINE.findall(PAGE.read_text()):
        hours = [float(text.replace(",", "")) for text in texts]
        found |= {each: hours for each in (name, *re.findall(r"`(\w+)`", others))}
    return {
        name if name in ("study",) else f"paper/{Path(name).name}": found[name] for name in found
    }


def validation_set() -> Source:
    """ILSVRC2012's 50,000 validation images, of which nobody reads a pixel."""
    ids, labels = np.arange(1, 50001), validation.study_labels()
    return Source("imagefolder:x", ids, labels, ids, 1000, "", lambda *_: None, validation=True)


def millions(name: str) -> tuple[float, float]:
    """Gradients and forwards that a flagfile asks of each network at most."""
    common = name in ("paper/fig6", "paper/supplement_common")
    more = [f"--attacked_images={COMMON}"] if common else []
    with flagsaver.flagsaver():
        cli.parse(["run.py", f"--flagfile={ROOT / 'flags' / name}.flags", "--study=x", *more])
        given = SimpleNamespace(**{flag: flags.FLAGS[flag].value for flag in options.known()})
    settings = replace(evaluate.settings_of(given), lanes=LANES)
    models = evaluate.networks_of(given)["models"]
    job = plan.job(settings, models, {}, validation_set())
    sizes = {model: SimpleNamespace(input_size=299, num_classes=1000) for model in models}
    counted = estimate.counts(job, sizes)
    return LANES * counted.gradients / 1e6, LANES * counted.forwards / 1e6


def per_million() -> tuple[float, float, float]:
    """Hours of all 18 networks: a million gradients in float32, in TF32, and a million forwards."""
    text = PERFORMANCE.read_text()
    counts = (
        r"at most ([\d.]+) million gradients and ([\d.]+) million forwards .*"
        r"CLEVER takes ([\d.]+) million"
    )
    attacks, forwards, clever = map(float, re.search(counts, text).groups())
    totals = re.search(r"([\d,]+) h in float32, ([\d,]+) h in TF32", text).groups()
    whole, fast = (float(total.replace(",", "")) for total in totals)
    gradient = whole / (attacks + clever + FORWARD * forwards)
    forward = FORWARD * gradient
    return gradient, (fast - forward * forwards) / (attacks + clever), forward


def test_every_flagfile_of_the_study_has_its_hours():
    names = {f"paper/{path.stem}" for path in (ROOT / "flags" / "paper").glob("*.flags")}
    assert set(shown()) == {*names, "study"}


@pytest.mark.parametrize("name", shown())
def test_hours_are_those_of_the_measured_rates(name):
    gradients, forwards = millions(name)
    exact, fast, forward = per_million()
    hours = exact * gradients + forward * forwards, fast * gradients + forward * forwards
    assert shown()[name] == pytest.approx([*hours, hours[0] / 8], rel=0.03, abs=0.006)
