"""What a run keeps from its first row to its last: the number of lanes that it chose, and the
gradients' precision.
"""

import json

import pytest
from absl.testing import flagsaver

from jaxadv.commands import cli
from jaxadv.core import memory
from jaxadv.store.run import Run


@pytest.mark.slow
def test_a_run_keeps_its_lanes_and_its_precision(tmp_path, refused, monkeypatch, capsys):
    given = [
        "run.py",
        "evaluate",
        "--models=vgg_16",
        "--attacks=fgsm",
        "--eps=0.1",
        "--targets=untargeted",
        "--num_images=6",
    ]
    given += [
        "--attacked_images=3",
        "--parts=attacks",
        "--precision=high",
        "--out=run",
        "--noprogress",
    ]
    monkeypatch.setitem(memory.MOST, "cpu", 2)
    with flagsaver.flagsaver():
        cli.main(cli.parse(given))
    run = Run(tmp_path / "run")
    assert run.manifest()["identity"]["--lanes"] == run.manifest()["settings"]["lanes"] == 2
    assert len(run.read("examples")) == 3
    before = json.dumps(run.manifest())
    monkeypatch.setitem(memory.MOST, "cpu", 4)  # more memory now
    with flagsaver.flagsaver():
        cli.main(cli.parse(given))
    assert (
        "nothing is left to do" in capsys.readouterr().out and json.dumps(run.manifest()) == before
    )
    assert "--precision high there, highest now" in refused(*given[1:], "--precision=highest")
    assert "--lanes 2 there, 4 now" in refused(*given[1:], "--lanes=4")
    assert "'half'; it must be one of 'highest', 'high', 'default', 'bfloat16'" in refused(
        *given[1:-1], "--precision=half", "--out=other"
    )
    assert not (tmp_path / "other").exists()
