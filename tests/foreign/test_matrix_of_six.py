"""Two networks of the zoo, two of timm, one of Keras and one of ONNX in one transfer matrix, by two
processes, and continued."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from small_files import write_onnx

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
pytestmark = pytest.mark.frameworks
FULL = {
    "alexnet": "alexnet",
    "mobilenet_v1_025": "mobilenet_v1_025",
    "timm.test_resnet": "timm:test_resnet",
    "timm.test_vit": "timm:test_vit",
    "keras.mine": "keras:mine.keras",
    "onnx.mine": "onnx:mine.onnx",
}
ENSEMBLE = "ensemble.alexnet.timm.test_vit"
CONTINUED = """
import json, sys
from pathlib import Path
from absl.testing import flagsaver
from jaxadv.commands import cli

def run():
    with flagsaver.flagsaver():
        cli.main(cli.parse(["run.py", *sys.argv[1:]]))

run()
Path("mine.json").write_text(json.dumps({"mean": 0.4}))
try:  # another network behind the same name
    run()
except SystemExit as end:
    print("refused: status", end.code)
"""


def environment() -> dict[str, str]:
    variables = os.environ | {"JAX_PLATFORMS": "cpu", "KERAS_BACKEND": "jax"}
    variables["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return variables


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(),
        stdout=pipe,
        stderr=pipe,
        text=True,
    )


def ended(process: subprocess.Popen) -> str:
    out, error = process.communicate()
    assert process.returncode == 0, error[-3000:]
    return out + error


@pytest.mark.slow
def test_a_transfer_matrix_of_six(tmp_path):
    """Two processes attack; a third one continues with transfer, and refuses a changed network."""
    ended(start(tmp_path, str(HERE / "small_files.py"), "keras", "mine.keras"))
    write_onnx(tmp_path / "mine.onnx")
    job = ["evaluate", f"--models={','.join(FULL.values())}", "--nopretrained", "--out=run"]
    job += ["--input_size=timm:test_resnet=32,timm:test_vit=32", "--lanes=2", "--noprogress"]
    job += ["--ensembles=alexnet+timm:test_vit", "--num_images=60", "--attacked_images=2"]
    job += ["--attacks=fgsm", "--targets=untargeted", "--eps=0.1", "--figures=none"]
    shared = [*job, "--parts=attacks", "--join"]
    both = [start(tmp_path, "-m", "jaxadv", *shared) for _ in range(2)]
    for process in both:
        ended(process)
    run = tmp_path / "run"
    assert set(pd.read_parquet(run / "examples").model) == {*FULL, ENSEMBLE}
    assert not (run / "transfer").exists()
    said = ended(start(tmp_path, "-c", CONTINUED, *job, "--parts=attacks,transfer,report"))
    assert "report:" in said and "refused: status 2" in said and "weights of onnx.mine" in said, (
        said
    )
    rows = pd.read_parquet(run / "transfer")
    pairs = set(zip(rows.source, rows.model, strict=True))
    assert pairs >= set(itertools.permutations(FULL, 2))
    told = json.loads((run / "manifest.json").read_text())["weights"]
    for name, full in list(FULL.items())[2:]:
        assert told[name]["full_name"] == full and len(told[name]["sha256"]) == 64
        assert told[name]["proof"]["double"]["logits"] <= 1e-8, told[name]
    assert told["onnx.mine"]["preprocessing"] == {"mean": [0.5] * 3, "std": [0.25] * 3}
    page = (run / "report.html").read_text()
    assert "timm.test_resnet = timm:test_resnet" in page and "made for others" in page
