"""`pytest -m paper`: each file of flags/paper/ on three embedded networks leaves its figures, its
table and their captions.

And three classifiers of a user's own stand beside all 18.
"""

import itertools
import os
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd
import pytest

from model_ports import registry

ROOT = Path(__file__).parents[2]
FEW = [
    "--models=alexnet,mobilenet_v1_025,mobilenet_v1_050",
    "--num_images=80",
    "--attacked_images=3",
    "--lanes=9",
    "--noprogress",
]
FEW += [
    "--cw_steps=20",
    "--ead_steps=20",
    "--clever_images=3",
    "--clever_batches=4",
    "--clever_samples=4",
]
LEFT = {  # figures beside the three panels in one, and the table that has their numbers
    "table1": (0, "accuracy"),
    "fig1": (5, "robustness"),
    "fig2": (3, "robustness"),
    "fig3": (6, "transfer"),
    "fig4": (6, "transfer"),
    "fig5": (6, "transfer"),
    "fig6": (2, "robustness"),
    "fig7": (2, "robustness"),
    "fig8": (6, "transfer"),
    "fig9": (6, "transfer"),
    "fig10": (6, "transfer"),
    "clever": (3, "clever"),
    "supplement_common": (10, "transfer"),
    "least_likely": (4, "robustness"),
}


def run(folder: Path, *flags: str) -> None:
    command = [sys.executable, str(ROOT / "run.py"), *flags]
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.paper
@pytest.mark.parametrize("name", LEFT)
def test_a_figure_of_the_study(name, tmp_path):
    file = ROOT / "flags" / "paper" / f"{name}.flags"
    run(tmp_path, f"--flagfile={file}", *FEW)
    out = tmp_path / "results" / name
    count, table = LEFT[name]
    png, svg, txt = (
        {path.stem for path in (out / "figures").glob(f"*.{kind}")}
        for kind in ("png", "svg", "txt")
    )
    assert png == svg == txt and len(png - {"figure_2"}) == count, png
    wanted = next(
        (
            line.partition("=")[2].split(",")
            for line in file.read_text().splitlines()
            if line.startswith("--figures=")
        ),
        [],
    )
    assert all(any(fnmatchcase(stem, pattern) for stem in png) for pattern in wanted)
    assert all(
        len((out / "figures" / f"{stem}.txt").read_text().split()) > 5 for stem in png
    )  # its caption
    assert len(pd.read_csv(out / "tables" / f"{table}.csv")) and (out / "report.html").exists()


@pytest.mark.paper
def test_three_models_of_ones_own_stand_beside_all_18(tmp_path):
    """In the matrix, the law and the page."""
    own = {
        "own_linear": "pure_jax.py:linear",
        "own_linen": "linen.py:convolutional",
        "own_equinox": "equinox.py:perceptron",
    }
    modules = ",".join(str(ROOT / "flags" / "own_models" / place) for place in own.values())
    flags = [
        "--models=all",
        f"--model_module={modules}",
        "--num_images=60",
        "--attacked_images=4",
        "--lanes=8",
        "--eps=0.1",
    ]
    flags += [
        "--attacks=fgsm,ifgsm_search",
        "--targets=untargeted",
        "--parts=attacks,transfer,report",
        "--noprogress",
        "--out=run",
    ]
    run(tmp_path, "evaluate", *flags)
    everyone = [spec.name for spec in registry.MODELS] + list(own)
    matrix = pd.read_csv(
        tmp_path / "run" / "tables" / "transfer_fgsm_untargeted_eps_0.1.csv", index_col="source"
    )
    assert (
        sorted(matrix.index) == sorted(matrix) == sorted(everyone)
        and (matrix.notna().sum() > 10).all()
    )
    pairs = pd.read_csv(tmp_path / "run" / "tables" / "transfer.csv")
    assert set(zip(pairs["source"], pairs["model"], strict=True)) == set(
        itertools.permutations(everyone, 2)
    )
    assert (
        pairs["released"].isna() == (pairs["n_released"] == 0)
    ).all()  # a network may have none of the cropped pictures right
    law = pd.read_csv(tmp_path / "run" / "tables" / "law.csv")
    accuracy = pd.read_csv(tmp_path / "run" / "tables" / "accuracy.csv")
    assert (
        len(accuracy) == 21
        and law.loc[law["fitted"] == "all", "models"].max() == (accuracy["error_percent"] > 0).sum()
    )
    page = (tmp_path / "run" / "report.html").read_text()
    assert all(name in page for name in everyone)
