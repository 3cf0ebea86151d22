"""A run with an ensemble from the command line."""

import pytest
from absl.testing import flagsaver

from jaxadv.commands import cli
from jaxadv.store.run import Run


@pytest.mark.slow
def test_an_ensemble_is_attacked_and_shown_to_those_that_are_not_in_it(tmp_path, refused, capsys):
    """It is shown nothing itself."""
    models, name = ["mobilenet_v1_025", "alexnet", "vgg_16"], "ensemble.mobilenet_v1_025.alexnet"
    given = [
        "evaluate",
        f"--models={','.join(models)}",
        "--attacks=fgsm",
        "--eps=0.1",
        "--targets=untargeted",
        "--num_images=8",
    ]
    given += [
        "--attacked_images=4",
        "--lanes=4",
        "--parts=attacks,transfer",
        "--out=run",
        "--noprogress",
    ]
    assert "network of --ensembles 'vgg_19'" in refused(*given, "--ensembles=alexnet+vgg_19")
    with flagsaver.flagsaver():
        cli.main(cli.parse(["run.py", *given, "--ensembles=mobilenet_v1_025+alexnet"]))
    capsys.readouterr()
    run = Run(tmp_path / "run")
    pairs = set(run.read("transfer")[["source", "model"]].itertuples(index=False, name=None))
    assert pairs == {
        (source, model) for source in models for model in models if source != model
    } | {(name, "vgg_16")}
    assert set(run.read("examples")["model"]) == {*models, name} == set(run.read("clean")["model"])
    assert run.manifest()["weights"][name]["members"] == ["mobilenet_v1_025", "alexnet"]
    assert "--ensembles mobilenet_v1_025+alexnet there, not given now" in refused(
        *given
    )  # not continued by another command
