"""AlexNet as its conversion was at other times: with --alexnet_lrn, predict gives the logits
recorded with that normalisation.
"""

import golden_weights as golden
import numpy as np
import pytest
from absl.testing import flagsaver

from jaxadv.commands import cli
from model_ports import alexnet


def distance(found, expected) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.fixture(scope="module")
def recorded():
    """The recorded logits, (2, 1000) float32 by "<kind>_<variant>"; those of today's normalisation
    as "<kind>".
    """
    today = {
        kind: logits.astype(np.float32)
        for kind, logits in golden.recording("alexnet").logits.items()
    }
    with np.load(golden.FOLDER / "alexnet_variants.npz") as file:
        return today | {name.removeprefix("logits_"): file[name] for name in file.files}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With alexnet.npz, the recording's weights, and the four images that were recorded."""
    folder = tmp_path_factory.mktemp("alexnet")
    np.savez(folder / "alexnet.npz", **golden.weights(golden.recording("alexnet").meta))
    np.save(
        folder / "images.npy",
        np.concatenate([golden.images(kind, 227) for kind in ("uniform", "smooth")]) + 0.5,
    )
    yield folder
    (folder / "alexnet.npz").unlink()  # a quarter of a gigabyte


@pytest.mark.slow
@pytest.mark.parametrize("variant", alexnet.VARIANTS)
def test_each_variant_gives_its_recorded_logits(folder, recorded, variant):
    # 5e-6: the original's own float32 error is about 1e-6. No two variants are nearer than 0.05 to
    # each other.
    arguments = [
        "predict",
        "--zoo=imagenet",
        "--model=alexnet",
        f"--weights_dir={folder}",
        f"--alexnet_lrn={variant}",
    ]
    with flagsaver.flagsaver():
        cli.main(
            cli.parse(
                [
                    "run.py",
                    *arguments,
                    f"--images={folder / 'images.npy'}",
                    f"--save={folder / variant}.npz",
                ]
            )
        )
    with np.load(folder / f"{variant}.npz") as file:
        logits = np.split(file["logits"], 2)
    for kind, found in zip(("uniform", "smooth"), logits, strict=True):
        assert distance(found, recorded[f"{kind}_{variant}"]) < 5e-6
        others = {
            name: distance(found, other)
            for name, other in recorded.items()
            if name.startswith(kind)
        }
        assert min(others, key=others.get) == f"{kind}_{variant}"
        assert sorted(others.values())[1] > 0.05


@pytest.mark.parametrize(
    "arguments",
    [
        ["--model=alexnet", "--alexnet_lrn=2016-01"],
        ["--model=vgg_16", "--alexnet_lrn=2017-08"],
        ["--alexnet_lrn=2017-08"],
    ],
)
def test_what_is_no_variant_is_refused(folder, capsys, arguments):
    zoo = "--zoo=imagenet" if len(arguments) == 2 else "--zoo=digits"
    common = [
        "run.py",
        "predict",
        zoo,
        "--model=alexnet",
        f"--images={folder / 'images.npy'}",
        "--save=x.npz",
    ]
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as exit:
        cli.main(cli.parse([*common, *arguments]))
    (line,) = capsys.readouterr().err.splitlines()
    assert exit.value.code == 2 and "alexnet at full size: 2017-08, 2018-05, 2018-08" in line, line
