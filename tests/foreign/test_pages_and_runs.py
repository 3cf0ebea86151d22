"""What the pages show of PyTorch runs; a module stands beside the zoo's in one run."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from absl.testing import flagsaver

import jaxadv
from jaxadv.commands import cli

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "docs"))
pytestmark = pytest.mark.frameworks


def test_blocks_of_the_pages_that_need_a_framework_run(tmp_path, monkeypatch):
    from test_documentation import ALL

    monkeypatch.chdir(tmp_path)
    names: dict = {"jaxadv": jaxadv, "np": np}
    found = [block for block in ALL if block.mark == "needs: frameworks"]
    for block in found:
        exec(compile(block.text, f"{block.page}:{block.line}", "exec"), names)
    assert found and names["classifier"].name == "mine_in_torch"


def test_a_module_of_torch_beside_the_zoo_and_again(tmp_path, capsys):
    """Continued with the same command, nothing is left to do."""
    flags = ["--models=mobilenet_v1_025", "--num_images=20", "--attacked_images=2"]
    flags += [
        f"--model_module={ROOT / 'flags/own_models/torch_module.py'}:convolutional",
        "--lanes=4",
    ]
    flags += [
        "--parts=attacks,transfer,report",
        "--attacks=fgsm",
        "--eps=0.1",
        "--targets=untargeted",
    ]
    flags += ["--figures=none", "--noprogress", f"--out={tmp_path / 'run'}"]
    for _ in range(2):
        with flagsaver.flagsaver():
            cli.main(cli.parse(["run.py", "evaluate", *flags]))
    assert "nothing is left to do" in capsys.readouterr().out
    rows = pd.read_parquet(tmp_path / "run" / "transfer")
    assert set(rows.source) | set(rows.model) == {"mobilenet_v1_025", "own_torch"}
