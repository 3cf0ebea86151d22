"""Tests the command line.

Bad input is refused in one line, with status 2, and nothing is written. `evaluate` and `predict`
leave their files.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pandas as pd
import pytest
from absl import flags
from absl.testing import flagsaver
from models import inner_images, random_linear

import jaxadv
from jaxadv.commands import cli, evaluate, options
from jaxadv.evaluation import estimate

ROOT = Path(__file__).parents[2]


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "run.py"), *arguments]
    return subprocess.run(
        command, cwd=cwd or ROOT, env=environment, capture_output=True, text=True, timeout=600
    )


GREY = np.full((1, 24, 24, 3), 0.5, np.float32)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evalute"], ["'evalute'", "did you mean 'evaluate'"]),
        (["evaluate", "report"], ["'report'", "one command"]),
        (["evaluate", "--modles=vgg_16"], ["modles", "--help"]),
        (["evaluate", "--models=vgg61"], ["'vgg61'", "did you mean 'vgg_16'"]),
        (["evaluate", "--attacks=fgms"], ["'fgms'", "did you mean 'fgsm'"]),
        (["evaluate", "--targets=leats"], ["'leats'", "did you mean 'least'"]),
        (["evaluate", "--parts=transfer"], ["transfer without attacks"]),
        (["evaluate", "--models=none"], ["none", "--model_module"]),
        (["evaluate", "--input_size=26"], ["26", "NAME=PIXELS"]),
        (["evaluate", "--input_size=vgg_16=26"], ["26", "vgg_16", "24"]),
        (["evaluate", "--models=alexnet", "--input_size=vgg_16=24"], ["'vgg_16'", "alexnet"]),
        (["evaluate", "--zoo=digit"], ["'digit'", "did you mean 'digits'"]),
        (["evaluate", "--zoo=imagenet"], ["imagenet", "--weights_dir"]),
        (["evaluate", "--data=tdfs:mnist"], ["'tdfs:mnist'", "tfds:NAME"]),
        (["evaluate", "--selection=study"], ["'study'", "ILSVRC2012"]),
        (["evaluate", "--num_images=501"], ["501", "500"]),
        (["evaluate", "--eps=0.1,abc"], ["0.1,abc", "numbers"]),
        (["evaluate", "--eps=-0.1"], ["-0.1", "above 0"]),
        (["evaluate", "--eps=nan"], ["nan", "above 0"]),
        (["evaluate", "--steps=0"], ["steps", "0", "at least 1"]),
        (["evaluate", "--loss=logits"], ["'logits'", "'cross_entropy'"]),
        (["evaluate", "--confidence=-1"], ["-1", "at least 0"]),
        (["evaluate", "--cw_steps=0"], ["cw_steps", "0"]),
        (["evaluate", "--lanes=0"], ["lanes", "0"]),
        (["evaluate", "--clever_batches=1"], ["clever_batches", "1", "at least 2"]),
        (["evaluate", "--clever_radius=0"], ["radius", "0", "above 0"]),
        (["evaluate", "--clever_protocol=papers"], ["'papers'", "'paper'"]),
        (["evaluate", "--weights_dir=nowhere"], ["nowhere", "alexnet"]),
        (["report", "--out=nowhere"], ["nowhere"]),
        (["train", "--models=vgg61"], ["'vgg61'"]),
        (
            ["evaluate", "--model=vgg_16"],
            ["--model is a flag of convert, validate, predict", "--models"],
        ),
        (["evaluate", "--nofloat64"], ["--float64", "predict"]),
        (["report", "--eps=0.1"], ["--eps", "evaluate"]),
        (["bench", "--peers=pytorch", "--models=vgg_16"], ["'vgg_16'", "tiny, small, large"]),
        (["bench", "--attacks=fgsm"], ["--attacks", "evaluate", "bench measures all attacks"]),
        (["evaluate", "--eps=1/0"], ["1/0", "numbers"]),
        (["evaluate", "--eps=8"], ["eps is 8", "range 1", "8/255 = 0.0314"]),
        (["evaluate", "--initial_eps=4"], ["initial_eps is 4", "4/255"]),
        (["evaluate", "--attacks=FGSM"], ["'FGSM'", "did you mean 'fgsm'"]),
        (["evaluate", "--attacks=pgd"], ["'pgd'", "here it is 'ifgsm'", "random start"]),
        (["evaluate", "--attacks=C&W-L2"], ["here it is 'cw'"]),
        (["evaluate", "--dry_run=soon"], ["'soon'", "--dry_run=measure"]),
        (["predict", "--model=vgg_16", "--images=x.npy"], ["--save"]),
        (
            ["predict", "--model=vgg_16", "--images=x.npy", "--save=y.npz"],
            ["'x.npy'", "does not exist"],
        ),
    ],
)
def test_bad_input_is_one_line_with_status_2_and_nothing_written(
    tmp_path, refused, arguments, words
):
    if arguments[0] in ("evaluate", "train"):
        arguments = [*arguments, "--out=out"]
    line = refused(*arguments)
    assert all(word in line for word in words), line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("images", "extra", "words"),
    [
        (np.zeros((1, 24, 24, 3), np.uint8), [], ["uint8", "255"]),
        (GREY * 3, [], ["1.5", "[0, 1]"]),
        (GREY * np.nan, [], ["nan", "[0, 1]"]),
        (GREY[:, :20, :20], [], ["(1, 20, 20, 3)", "(N, 24, 24, 3)"]),
        (GREY, ["--gradient=7"], ["'7'", "0..9"]),
        (GREY, ["--gradient=7,10"], ["7,10", "0..9"]),
        (GREY, ["--weights_dir=."], ["vgg_16"]),
        (GREY, ["--input_size=24,26"], ["24,26", "one number"]),
        (GREY, ["--input_size=0"], ["input_size", "0"]),
    ],
)
def test_predict_refuses(tmp_path, refused, images, extra, words):
    np.save("x.npy", images)
    line = refused("predict", "--model=vgg_16", "--images=x.npy", "--save=y.npz", *extra)
    assert all(word in line for word in words), line
    assert not (tmp_path / "y.npz").exists()


@pytest.mark.slow
def test_predict_gradient_is_the_slope_of_the_logits_in_double_precision(tmp_path):
    generator = np.random.default_rng(0)
    images = generator.uniform(0.2, 0.8, (2, 24, 24, 3))
    direction = generator.normal(size=images.shape)
    answers = []
    for step in (-1e-6, 0.0, 1e-6):
        np.save(tmp_path / "x.npy", images + step * direction)
        common = [
            "--model=mobilenet_v1_025",
            "--images=x.npy",
            "--save=y.npz",
            "--float64",
            "--gradient=7,3",
        ]
        assert run("predict", *common, cwd=tmp_path).returncode == 0
        with np.load(tmp_path / "y.npz") as stored:
            answers.append({name: stored[name] for name in stored.files})
    low, middle, high = answers
    assert middle["raw_logits"].dtype == np.float64 and middle["raw_logits"].shape == (2, 11)
    np.testing.assert_array_equal(middle["logits"], middle["raw_logits"][:, 1:])
    difference = ((high["raw_logits"] - low["raw_logits"]) @ (np.eye(11)[7] - np.eye(11)[3])) / 2e-6
    slope = (middle["gradient"] * direction).sum((1, 2, 3))
    np.testing.assert_allclose(
        difference, slope, rtol=1e-5
    )  # the second difference of a step of 1e-6


@pytest.mark.long
def test_a_small_evaluation_end_to_end(tmp_path):
    """Two networks of different input sizes, every part: the rows and views that a run leaves are
    complete and consistent.
    """
    out = tmp_path / "run"
    given = [
        "--models=mobilenet_v1_025,alexnet",
        "--num_images=40",
        "--attacked_images=3",
        "--lanes=8",
        f"--out={out}",
    ]
    given += [
        "--cw_steps=20",
        "--cw_search_steps=2",
        "--ead_steps=20",
        "--ead_search_steps=2",
        "--search_steps=3",
        "--attempts=3",
    ]
    given += [
        "--targets=random",
        "--fgsm_targets=untargeted,random,least,top2",
        "--clever_targets=random",
        "--clever_images=2",
    ]
    given += ["--clever_batches=4", "--clever_samples=4"]
    done = run("evaluate", *given)
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stdout

    rows = pd.read_parquet(out / "examples")
    assert len(rows) == 2 * (3 * 4 + 3 + 1 + 1 + 1) * 3
    assert not rows.duplicated(["model", "attack", "setting", "target_kind", "image_id"]).any()
    assert (
        rows.loc[rows.target_kind != "untargeted", "target"]
        != rows.loc[rows.target_kind != "untargeted", "label"]
    ).all()
    assert rows.loc[rows.success, ["l0", "l1", "l2", "linf"]].notna().all(axis=None)
    assert rows.loc[~rows.success, ["l0", "l1", "l2", "linf"]].isna().all(axis=None)
    aimed = rows.target_kind != "untargeted"
    assert ((rows.predicted == rows.target) == rows.success)[aimed].all()
    budgets = rows[rows.success & rows.attack.isin(["fgsm", "ifgsm"])]
    assert (budgets.linf <= budgets.eps + 1e-6).all() and len(budgets)
    random = rows[rows.target_kind == "random"].groupby("image_id").target.nunique()
    assert (random == 1).all()  # the same random class for every model and attack

    transfer = pd.read_parquet(out / "transfer")
    assert len(transfer) == len(rows) and (transfer.source != transfer.model).all()
    assert len(pd.read_parquet(out / "clever")) == 2 * 2 * 3
    assert len(pd.read_parquet(out / "clean")) == 2 * 40
    for name in ("accuracy.csv", "robustness.csv", "clever.csv", "transfer.csv", "robustness.md"):
        assert (out / "tables" / name).stat().st_size > 0
    assert "<html" in (out / "report.html").read_text()

    again = run("evaluate", *given, "--seed=3")  # a finished run is not overwritten unasked
    assert again.returncode == 2 and str(out) in again.stderr
    assert run("report", f"--out={out}").returncode == 0


def test_too_many_lanes_for_the_memory_are_one_line(refused, monkeypatch):
    def compile(self, batch, programs):
        raise jax.errors.JaxRuntimeError(
            f"RESOURCE_EXHAUSTED: out of memory while trying to allocate {batch} images"
        )

    monkeypatch.setattr(jaxadv.Classifier, "compile", compile)
    line = refused(
        "evaluate",
        "--models=alexnet",
        "--lanes=4096",
        "--num_images=5",
        "--parts=attacks",
        "--attacks=fgsm",
        "--out=out",
    )
    assert "alexnet" in line and "--lanes=4096" in line and "fewer" in line


def test_help_answers_at_once():
    """Within a second of a processor; whatever reads it."""
    began = os.times()
    done = run("--help")
    assert sum(os.times()[2:4]) - sum(began[2:4]) < 1  # of children, user and system
    assert (
        done.returncode == 0 and "--cw_learning_rate" in done.stdout and "evaluate" in done.stdout
    )
    piped = f"{sys.executable} {ROOT / 'run.py'} --help | head -1"
    done = subprocess.run(["sh", "-c", piped], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("usage: ") and not done.stderr


@pytest.mark.slow
def test_examples_run_as_printed(tmp_path):
    """All that --help shows, one after another in an empty folder."""
    (tmp_path / "run.py").symlink_to(ROOT / "run.py")
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "JAX_PLATFORMS": "cpu",
    }
    examples = [
        line.strip()
        for line in run("--help").stdout.splitlines()
        if line.startswith("  python run.py ")
    ]
    assert len(examples) == len(cli.EXAMPLES)
    for example in examples:
        done = subprocess.run(
            example,
            shell=True,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{example}: {done.stderr}"
        if example.endswith(" list"):
            assert "resnet_v2_50" in done.stdout and "embedded" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {
        "run.py",
        "results",
    }  # the dry run left nothing
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"two", "sweep"}


@pytest.mark.slow
def test_a_dry_run_counts_what_the_attacks_then_take():
    """Known lengths exactly, per lane; searches without early abort at most."""
    classifier = random_linear(0, 4)
    images, labels = inner_images(1, 5), np.zeros(5, np.int32)
    for attack in (
        jaxadv.FGSM(0.1),
        jaxadv.IFGSM(eps=0.1, steps=3),
        jaxadv.IFGSM(initial_eps=0.02, attempts=3, steps=4),
        jaxadv.CarliniWagnerL2(steps=7, search_steps=2, abort_early=False),
        jaxadv.ElasticNetL1(steps=7, search_steps=2, abort_early=False),
    ):
        result = jaxadv.run_attack(classifier, attack, images, labels, labels + 1, lanes=2)
        gradients, forwards = estimate.attack_steps(attack, 5, 2)
        assert gradients == 3 * result.gradients.max() and forwards == 3 * (
            result.forwards.max() - 1
        ), attack  # the judgement's apart


@pytest.mark.slow
def test_a_dry_run_tells_disk_and_missing_weights(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = [
        "evaluate",
        "--models=mobilenet_v1_025",
        "--weights_dir=.",
        "--attacks=fgsm",
        "--parts=attacks",
        "--dry_run=measure",
    ]
    with flagsaver.flagsaver():
        cli.main(cli.parse(["run.py", *arguments, "--out=out", "--noprogress"]))
    said = capsys.readouterr().out
    assert (
        "missing: no weights of mobilenet_v1_025 in ." in said and f"are free in {tmp_path}" in said
    )
    assert list(tmp_path.iterdir()) == []


def test_a_plan_and_a_list_answer_at_once():
    """Within a second or two of a processor, since no network is built, and the plan loads no
    weights.
    """
    for arguments, most, words in (
        (["list"], 2, ["94.0", "embedded"]),
        (["list", "--zoo=imagenet"], 2, ["88,953,851", "82.7 / 96.2"]),
        (
            ["evaluate", "--models=alexnet,nasnet_large", "--attacks=fgsm", "--dry_run"],
            6,
            ["--dry_run=measure", "nothing was written"],
        ),
    ):
        began = os.times()
        done = run(*arguments)
        assert done.returncode == 0 and all(word in done.stdout for word in words), (
            done.stdout + done.stderr
        )
        assert sum(os.times()[2:4]) - sum(began[2:4]) < most, arguments


def test_a_truncated_or_foreign_checkpoint_is_refused_before_anything_is_written(tmp_path, refused):
    embedded = ROOT / "model_ports" / "digits"
    shutil.copytree(embedded / "mobilenet_v1_050", tmp_path / "foreign" / "mobilenet_v1_025")
    shutil.copytree(embedded / "mobilenet_v1_025", tmp_path / "truncated" / "mobilenet_v1_025")
    largest = max(
        (tmp_path / "truncated").rglob("*"),
        key=lambda path: path.stat().st_size if path.is_file() else 0,
    )
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
    for kind in ("foreign", "truncated"):
        line = refused(
            "evaluate", "--models=mobilenet_v1_025", f"--weights_dir={kind}", "--out=out"
        )
        assert "mobilenet_v1_025" in line and not (tmp_path / "out").exists()


def parsed(*arguments: str) -> dict:
    with flagsaver.flagsaver():
        words = cli.parse(["run.py", *arguments])[1:]
        return {name: flags.FLAGS[name].value for name in options.known()} | {"words": words}


FIGURE = f"--flagfile={ROOT / 'flags' / 'paper' / 'fig4.flags'}"


@pytest.mark.parametrize(
    "arguments",
    [
        [FIGURE, "--small=4", "--eps=0.5"],
        ["--small=4", "--eps=0.5", FIGURE],
        ["--eps", "0.5", FIGURE, "--small", "4"],
        ["evaluate", "--small=4", "--flagfile", FIGURE.partition("=")[2], "--eps=0.5"],
    ],
)
def test_where_a_flag_stands_changes_nothing(arguments):
    """Base settings, then flagfiles, then flags: here the embedded job, a figure's attacks, and two
    flags.
    """
    found = parsed(*arguments)
    assert (found["attacked_images"], found["eps"]) == (4, ["0.5"])
    assert (found["attacks"], found["steps"], found["parts"]) == (
        ["ifgsm"],
        ["10", "30", "50"],
        ["attacks", "transfer", "report"],
    )
    assert (found["zoo"], found["cw_steps"], found["selection"]) == ("digits", 100, "first")
    full = parsed(*arguments, "--data=imagefolder:x")
    assert (full["zoo"], full["selection"], full["attacked_images"], full["eps"]) == (
        "imagenet",
        "study",
        None,
        ["0.5"],
    )


def test_a_value_may_stand_behind_a_space():
    found = parsed(
        "evaluate",
        "--models",
        "alexnet,vgg_16",
        "--dry_run",
        "--num_images",
        "7",
        "--nocw_abort_early",
    )
    assert found["words"] == ["evaluate"] and found["models"] == ["alexnet", "vgg_16"]
    assert (found["num_images"], found["dry_run"], found["cw_abort_early"]) == (7, "count", False)
    bare = parsed("--models", "alexnet")  # the embedded job, of one network
    assert bare["words"] == [] and bare["models"] == ["alexnet"] and bare["attacked_images"] == 16


def test_a_fraction_is_a_number():
    found = parsed("evaluate", "--eps=8/255,0.1,2e-1")
    settings = evaluate.settings_of(SimpleNamespace(**found))
    assert [attack.eps for attack in settings.attacks if isinstance(attack, jaxadv.FGSM)] == [
        8 / 255,
        0.1,
        0.2,
    ]
