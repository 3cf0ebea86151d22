"""Converts and attacks a small network, where only one extra is installed:
`python one_extra.py torch|keras|onnx`. `.ci/extras` calls it."""

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

OTHERS = {
    "torch": ("keras", "tensorflow", "onnx"),
    "keras": ("torch", "tensorflow", "onnx"),
    "onnx": ("torch", "keras", "tensorflow"),
}


def run(folder: Path, *arguments: str) -> None:
    subprocess.run(arguments, cwd=folder, check=True)


def main(extra: str) -> None:
    """Both ways: by name on the command line, and in Python."""
    here = Path(__file__).resolve().parent
    present = [name for name in OTHERS[extra] if find_spec(name)]
    assert not present, f"{present} must not be installed"
    os.environ["JAX_PLATFORMS"] = "cpu"
    names = {"torch": "timm:test_resnet", "keras": "keras:mine.keras", "onnx": "onnx:mine.onnx"}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if extra != "torch":
            os.environ["KERAS_BACKEND"] = "jax"
            run(folder, sys.executable, str(here / "small_files.py"), extra, f"mine.{extra}")
            del os.environ["KERAS_BACKEND"]
        flags = [f"--models={names[extra]}", "--nopretrained", "--out=run", "--noprogress"]
        flags += ["--attacks=fgsm", "--eps=0.1", "--targets=untargeted", "--parts=attacks,report"]
        flags += ["--num_images=60", "--attacked_images=2", "--figures=none", "--lanes=2"]
        if extra == "torch":
            flags += ["--input_size=timm:test_resnet=32"]
        run(folder, sys.executable, "-m", "jaxadv", "evaluate", *flags)
        assert (folder / "run" / "report.html").stat().st_size
        attack(extra, folder)
    print(f"{extra}: converted and attacked")


def attack(extra: str, folder: Path) -> None:
    import numpy as np

    import jaxadv

    if extra == "torch":
        import torch

        network = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(10)
        ).eval()
        network(torch.zeros(1, 3, 16, 16))
        classifier = jaxadv.from_torch(network, input_size=16)
    elif extra == "keras":
        classifier = jaxadv.from_keras(folder / "mine.keras")
    else:
        classifier = jaxadv.from_onnx(folder / "mine.onnx")
    images = np.random.default_rng(0).uniform(size=(2, 16, 16, 3)).astype(np.float32)
    labels = classifier.predict(images)
    result = jaxadv.run_attack(classifier, jaxadv.FGSM(eps=0.1), images, labels, lanes=2)
    changed = ~np.isclose(result.adversarial, images)
    assert changed.mean() > 0.5  # kernels with a stride leave a border unread
    print(classifier.facts["proof"])


if __name__ == "__main__":
    main(sys.argv[1])
