"""Adds an attack by one class and one entry. It gets a flag, rows, a table, a figure and a place on
the page.

As a program, this file is the command line with that attack in the catalogue. It also has networks
for --model_module.
"""

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import jaxadv
from jaxadv.attacks import catalog
from jaxadv.core import oracle
from jaxadv.core.probe import (
    AttackItem,
    AttackOutcome,
    Phase,
    Schedule,
    never_done,
    settings,
    uncentred,
)
from jaxadv.store.run import Run
from jaxadv.support import checks

LOOK = Phase("look", False)


@settings(data=("share",), static=("towards",))
@dataclass(frozen=True)
class Fade:
    """Makes the image darker or lighter by a share of the way, whatever the network says."""

    share: float
    towards: float = 0.0  # the pixel that it goes to

    searches = False

    @property
    def schedule(self) -> Schedule:
        return Schedule((LOOK,), (), 0)

    def check(self) -> None:
        checks.number("fade_share", self.share, low=0, above=True)

    def init(self, item: AttackItem):
        return item.image

    def ask(self, item, state, phase, num_classes):
        return item.image, oracle.linear(jnp.zeros(num_classes))

    def tell(self, item, state, answer, phase):
        return uncentred(item.image + self.share * (self.towards - item.image) - 0.5, item)

    def done(self, state):
        return never_done()

    def result(self, item, state) -> AttackOutcome:
        return AttackOutcome(state, jnp.array(True), jnp.int32(0), jnp.int32(1), {})


FADE = catalog.Attack(
    name="fade",
    title="Fading",
    home=f"{__name__}:Fade",
    group="Fading",
    parameters=(
        catalog.Parameter(
            "share",
            0.5,
            "how far images fade",
            "fade_share",
            sweep=(0.3, 0.6),
            label="always",
            title="share",
        ),
        catalog.Parameter(
            "towards",
            "black",
            "black or white",
            "fade_to",
            str,
            label="unusual",
            choices={"black": 0.0, "white": 1.0},
        ),
    ),
    searches=False,
    distance="linf",
    bench=lambda steps: {"share": 0.5},
)


def networks() -> list[jaxadv.Classifier]:
    """Right by chance, on a tenth of the images."""
    draw = np.random.default_rng(0)
    weights = [{"w": draw.normal(size=(192, 10)).astype(np.float32)} for _ in range(2)]

    def apply(params, images):
        return jnp.sin(images.reshape(len(images), -1) @ params["w"])

    return [
        jaxadv.Classifier(apply, params, input_size=8, num_classes=10, name=f"net_{number}")
        for number, params in enumerate(weights)
    ]


def program(*arguments: str) -> str:
    """What the command line says."""
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "JAX_PLATFORMS": "cpu",
    }
    done = subprocess.run(
        [sys.executable, __file__, *arguments], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "fade"
    flags = ["evaluate", "--models=none", f"--model_module={__file__}:networks", f"--out={out}"]
    flags += ["--num_images=40", "--lanes=8", "--noprogress"]
    program(
        *flags,
        "--attacks=fgsm,fade",
        "--fade_to=white",
        "--fade_targets=untargeted",
        "--eps=0.1",
        "--parts=attacks,transfer,report",
    )
    return Run(out)


def test_flags_of_the_attack_are_explained():
    told = program("--help")
    assert (
        "--fade_share: how far images fade; a comma-separated list makes a sweep (default 0.3,0.6)"
        in told
    )
    assert "--fade_targets" in told and ", ".join([*catalog.names(), "fade"]) in told


def test_its_settings_are_columns_of_its_rows(run):
    rows = run.read("examples")
    rows = rows[rows["attack"] == "fade"]
    assert len(rows) and rows["target_kind"].unique().tolist() == ["untargeted"]
    assert set(zip(rows["setting"], rows["share"], rows["towards"], strict=True)) == {
        ("share=0.3,towards=white", 0.3, "white"),
        ("share=0.6,towards=white", 0.6, "white"),
    }
    assert (rows.loc[rows["success"], "linf"] <= rows.loc[rows["success"], "share"] + 1e-6).all()
    assert run.settings()["fade", "share=0.3,towards=white"] == {"share": 0.3, "towards": "white"}


def test_it_is_in_tables_figures_and_page(run):
    table = pd.read_csv(run.directory / "tables" / "robustness.csv").query("attack == 'fade'")
    assert (
        table["setting"].tolist()
        == ["share=0.3,towards=white"] * 2 + ["share=0.6,towards=white"] * 2
    )
    assert (
        run.directory / "tables" / "transfer_fade_untargeted_share_0.3_towards_white.csv"
    ).exists()
    drawn = {path.name for path in (run.directory / "figures").iterdir()}
    assert {"sweep_fade_share.svg", "transfer_fade_untargeted_share_0.6_towards_white.svg"} <= drawn
    assert (
        "Success rate of Fading against share"
        in (run.directory / "figures" / "sweep_fade_share.txt").read_text()
    )
    page = (run.directory / "report.html").read_text()
    for text in (
        "Fading · share=0.6,towards=white · untargeted",
        "success, untargeted, share=0.6,towards=white",
    ):
        assert text in page


if __name__ == "__main__":
    catalog.ATTACKS = (*catalog.ATTACKS, replace(FADE, home="__main__:Fade"))
    from jaxadv.commands import cli

    cli.main(cli.parse(["run.py", *sys.argv[1:]]))
