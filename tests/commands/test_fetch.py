"""Tests `fetch` on the command line, and --study and `list`, which use what it brought."""

import hashlib
import json

import pytest
from absl.testing import flagsaver

from jaxadv.commands import cli
from jaxadv.fetching import addresses
from jaxadv.fetching.rerun import NAME


def run(*arguments: str) -> None:
    with flagsaver.flagsaver():
        cli.main(cli.parse(["run.py", *arguments]))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fetch"], ["needs a word", "study, rerun"]),
        (["fetch", "study"], ["--to is not given"]),
        (["fetch", "study", "more", "--to=x"], ["'more' is one word too many"]),
        (["list", "study"], ["'study' is one word too many"]),
        (["fetch", "vgg61", "--to=x"], ["did you mean 'vgg_16'?", "study"]),
        (["fetch", "densenet121_k32", "--to=x"], ["no address of densenet121_k32 alone"]),
        (["fetch", "vgg_16", "--only=weights", "--to=x"], ["--only", "fetch study"]),
        (["fetch", "study", "--only=images", "--to=x"], ["'images'", "weights, pictures"]),
        (["fetch", "study", "--sha256=abc", "--to=x"], ["'abc'", "64 hexadecimal digits"]),
        (["fetch", "study", "--source=nowhere", "--to=x"], ["nowhere", "no file", "--source"]),
        (["fetch", "study", "--eps=1", "--to=x"], ["--eps is a flag of evaluate"]),
        (["evaluate", "--study=x", "--data=digits"], ["--study and --data are given"]),
        (["--study=x", "--weights_dir=y"], ["--study and --weights_dir are given"]),
        (["validate", "--study=x", "--model=vgg_16"], ["--study and --model are given"]),
        (["validate", "--study=x"], ["x", "convert or train"]),
        (
            ["evaluate", "--study=x", "--models=vgg_16", "--out=out"],
            ["no folder 'x/pictures'"],
        ),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(refused, tmp_path, arguments, words):
    line = refused(*arguments)
    assert all(word in line for word in words), line
    assert list(tmp_path.iterdir()) == []


def test_the_re_runs_record_is_fetched_once(tmp_path, monkeypatch, capsys, refused):
    content = b'{"image_id": "1.00000001.jpg"}\r\n'
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / addresses.RERUN.name).write_bytes(content)
    asked = [
        "fetch",
        "rerun",
        f"--to={tmp_path / 'to'}",
        f"--source={tmp_path / 'copy'}",
        "--noprogress",
    ]
    line = refused(*asked)
    sha256 = hashlib.sha256(content).hexdigest()
    assert addresses.RERUN.sha256 in line and f"--sha256={sha256}" in line
    run(*asked, f"--sha256={sha256}")
    run(*asked)
    assert capsys.readouterr().out.splitlines()[-1].endswith("is there already")
    assert (tmp_path / "to" / NAME).read_bytes() == content
    record = json.loads((tmp_path / "to" / "fetched.json").read_text())
    assert record["archives"]["rerun"]["sha256"] == sha256
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == ["fetched.json", NAME]


def test_list_says_where_weights_can_be_had(tmp_path, capsys):
    run("list", f"--study={tmp_path}")
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "fetch study (hash known); fetch vgg_16 (hash unknown)" in lines["vgg_16"]
    assert lines["densenet121_k32"].endswith("  fetch study (hash known)")
    assert " absent " in lines["densenet121_k32"]
    assert "fetch inception_v1 (hash known)" in lines["inception_v1"]
    assert len(lines) == 19


@pytest.mark.parametrize("given", ["--study=~/s", "--study", "--nothing"])
def test_a_study_stands_for_other_flags(given, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    arguments = ["--study", "~/s"] if given == "--study" else [given] * (given != "--nothing")
    with flagsaver.flagsaver():
        cli.parse(["run.py", "evaluate", *arguments])
        found = [cli.flags.FLAGS[name].value for name in ("zoo", "weights_dir", "data")]
    expected = ["imagenet", "/home/me/s/weights", "imagefolder:/home/me/s/pictures"]
    assert found == (expected if arguments else ["digits", None, "digits"])
