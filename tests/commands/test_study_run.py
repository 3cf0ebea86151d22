"""`flags/study.flags` on what `fetch study` brings: every attack, transfer, CLEVER and the report.

Three full-size networks of rules see pictures of rules; sweeps and budgets are short, and of the
same kinds as the file's.
"""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import writers
from absl.testing import flagsaver
from fetching import told_networks
from fetching.made_archives import NUMBERS, jpeg, packed, picture_name

from jaxadv.commands import cli
from jaxadv.data.pictures import Reading, decode, floats
from jaxadv.fetching import addresses
from jaxadv.store.run import Run
from model_ports import registry

pytestmark = pytest.mark.long
FLAGS = Path(__file__).parents[2] / "flags" / "study.flags"
MODELS = ("alexnet", "mobilenet_v1_025", "mobilenet_v1_050")
IMAGES, WRONG, SCORED = 6, 5, 2
"""Pictures, the one that every network has wrong, and those with CLEVER scores."""
SHORT = ["--eps=0.1,0.2", "--steps=2,3", "--attempts=2", "--search_steps=2", "--confidence=0,20"]
SHORT += ["--cw_steps=4", "--cw_search_steps=2", "--ead_steps=4", "--ead_search_steps=2"]
SHORT += [f"--clever_images={SCORED}", "--clever_batches=3", "--clever_samples=4", "--lanes=8"]
SHORT += ["--figures=accuracy_*,transfer_fgsm_*"]
ASKED = {  # (settings, kinds of target) of each attack
    "fgsm": (2, {"untargeted", "random"}),
    "ifgsm": (4, {"untargeted", "random"}),
    "ifgsm_search": (1, {"random", "least"}),
    "cw": (2, {"untargeted", "random", "least"}),
    "ead": (2, {"untargeted", "random"}),
}


def run(*words: str) -> None:
    with flagsaver.flagsaver():
        cli.main(cli.parse(["run.py", *words, "--noprogress"]))


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """The folder as `fetch study` fills it."""
    copy, to = (tmp_path_factory.mktemp(name) for name in ("copy", "study"))
    pictures = {number: jpeg(number) for number in NUMBERS[:IMAGES]}
    names = {number: picture_name(number) for number in pictures}
    labels = [int(name.partition(".")[0]) - 1 for name in names.values()]
    members = []
    for name in MODELS:
        spec = registry.network(name, zoo="imagenet")
        says = [label + spec.label_offset for label in labels]
        says[WRONG] = (says[WRONG] + 1) % 1000
        images = [decode(content, spec.input_size, Reading()) for content in pictures.values()]
        arrays = told_networks.weights(name, np.stack([*map(floats, images)]), says)
        members.append((addresses.GRAPHS[name].member, writers.frozen_graph(arrays)))
    archives = {
        "weights": packed(members, level=0),
        "pictures": packed([(names[number], content) for number, content in pictures.items()]),
    }
    del members
    for part, content in archives.items():
        (copy / addresses.STUDY[part].name).write_bytes(content)
    hashes = ",".join(hashlib.sha256(content).hexdigest() for content in archives.values())
    asked = [f"--to={to}", f"--source={copy}", f"--sha256={hashes}", f"--models={','.join(MODELS)}"]
    run("fetch", "study", *asked)
    return to


def test_everything_of_the_study_in_one_run(study, tmp_path):
    out = tmp_path / "out"
    asked = [f"--models={','.join(MODELS)}", f"--num_images={IMAGES}", f"--out={out}", *SHORT]
    run(f"--flagfile={FLAGS}", f"--study={study}", *asked)

    tables = {
        name: pd.read_csv(out / "tables" / f"{name}.csv")
        for name in ("accuracy", "robustness", "transfer", "clever", "claims", "law")
    }
    accuracy = tables["accuracy"].set_index("model")
    assert set(accuracy.index) == set(MODELS)
    assert accuracy["correct"].tolist() == [IMAGES - 1] * len(MODELS)

    own = tables["robustness"]
    for attack, (settings, kinds) in ASKED.items():
        of_it = own[own["attack"] == attack]
        assert of_it["setting"].nunique() == settings and set(of_it["target_kind"]) == kinds
        assert len(of_it) == settings * len(kinds) * len(MODELS)
    assert len(own) == sum(n * len(kinds) for n, kinds in ASKED.values()) * len(MODELS)
    assert own["n"].between(IMAGES - 2, IMAGES - 1).all()  # a target may equal the label
    assert own[own["attack"] == "fgsm"]["success_rate"].max() > 0

    shown = tables["transfer"]
    pairs = {(a, b) for a in MODELS for b in MODELS if a != b}
    assert set(zip(shown["source"], shown["model"], strict=True)) == pairs
    assert set(shown["attack"]) == set(ASKED)
    targeted = shown["target_kind"] != "untargeted"
    assert shown.loc[targeted & (shown["n_released"] > 0), "released_top5"].notna().all()

    scores = tables["clever"]
    assert set(scores["target_kind"]) == {"random", "least"} and set(scores["model"]) == set(MODELS)
    assert scores["n"].max() == SCORED and (scores["score_mean"] > 0).all()

    settings = Run(out).manifest()["settings"]
    assert (settings["zoo"], settings["selection"]) == ("imagenet", "study")
    assert "Statements" in (out / "report.html").read_text()
    assert {path.suffix for path in (out / "figures").iterdir()} >= {".png", ".svg"}
