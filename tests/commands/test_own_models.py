"""--model_module: classifiers of a user's own beside the zoo's; the examples in flags/own_models
are such.
"""

import itertools
import sys
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from absl.testing import flagsaver
from test_cli import run

import jaxadv
from jaxadv.commands import cli
from jaxadv.data import digits
from jaxadv.evaluation import own_models
from model_ports.errors import InputError

EXAMPLES = Path(__file__).parents[2] / "flags" / "own_models"
LINEAR = """
import jax.numpy as jnp
import jaxadv

FACTOR = 1.0

def make(name="mine", classes=10):
    params = jnp.linspace(-1, 1, 8 * 8 * 3 * classes).reshape(-1, classes) ** 3
    apply = lambda params, images: FACTOR * images.reshape(images.shape[0], -1) @ params
    return jaxadv.Classifier(apply, params, input_size=8, num_classes=classes, name=name)
"""


@pytest.mark.slow
def test_three_models_of_ones_own_stand_beside_two_of_the_zoo(tmp_path):
    """One in pure JAX, one in linen and one in Equinox: in the tables of accuracy, robustness,
    transfer and law, and in the page.
    """
    own = ["own_linear", "own_linen", "own_equinox"]
    modules = [
        f"{EXAMPLES / name}"
        for name in ("pure_jax.py:linear", "linen.py:convolutional", "equinox.py:perceptron")
    ]
    settings = [
        "--models=mobilenet_v1_025,alexnet",
        "--input_size=mobilenet_v1_025=26",
        f"--model_module={','.join(modules)}",
    ]
    settings += [
        "--num_images=100",
        "--attacked_images=4",
        "--lanes=8",
        "--attacks=fgsm",
        "--targets=random",
        "--fgsm_targets=untargeted",
    ]
    settings += [
        "--eps=0.1",
        "--clever_images=2",
        "--clever_batches=3",
        "--clever_samples=3",
        "--figures=none",
    ]
    settings += [f"--out={tmp_path / 'run'}"]
    done = run("evaluate", *settings)
    assert done.returncode == 0, done.stderr
    read = {
        name: pd.read_csv(tmp_path / "run" / "tables" / f"{name}.csv")
        for name in ("accuracy", "robustness", "transfer", "law")
    }
    networks = ["mobilenet_v1_025", "alexnet", *own]
    assert list(read["accuracy"]["model"]) == list(read["robustness"]["model"]) == networks
    assert (read["accuracy"].set_index("model").loc[own, "top1_percent"] > 80).all()
    pairs = set(zip(read["transfer"]["source"], read["transfer"]["model"], strict=True))
    assert pairs == set(itertools.permutations(networks, 2))
    matrix = pd.read_csv(
        tmp_path / "run" / "tables" / "transfer_fgsm_untargeted_eps_0.1.csv", index_col="source"
    )
    assert list(matrix.index) == list(matrix) == networks and (np.diag(matrix)[2:] > 0).all()
    fitted = read["law"][read["law"]["fitted"] == "all"]
    assert (fitted["models"] == (read["accuracy"]["error_percent"] > 0).sum()).all() and len(fitted)
    assert all(name in (tmp_path / "run" / "report.html").read_text() for name in own)


@pytest.mark.few("exported.py:exported")
@pytest.mark.parametrize("example", ["nnx.py:convolutional", "exported.py:exported"])
def test_the_other_examples_classify_and_have_gradients(example):
    ((classifier, facts),) = own_models.load([str(EXAMPLES / example)], reserved=()).values()
    data = digits.load("test", classifier.input_size)
    answer = classifier.logits_and_gradient(data.images, np.eye(10, dtype=np.float32)[data.labels])
    assert (np.argmax(answer.logits, axis=1) == data.labels).mean() > 0.8
    assert np.isfinite(answer.gradient).all() and np.abs(answer.gradient).max() > 0
    assert facts["source"].endswith(example) and len(facts["sha256"]) == 64


def test_a_changed_model_is_not_mixed_with_rows_of_the_old_one(tmp_path, refused, capsys):
    """Nor one of which only a constant in the file has changed; an unchanged one is continued."""
    own = tmp_path / "own.py"
    flags = [
        "evaluate",
        "--models=none",
        f"--model_module={own}:make",
        "--num_images=20",
        "--parts=attacks,report",
        "--attacks=fgsm",
    ]
    flags += ["--targets=untargeted", "--lanes=4", "--figures=none", "--noprogress", "--out=run"]
    own.write_text(LINEAR)
    with flagsaver.flagsaver():
        cli.main(cli.parse(["run.py", *flags]))
    assert list(pd.read_parquet(tmp_path / "run" / "examples").model.unique()) == ["mine"]
    with flagsaver.flagsaver():
        cli.main(cli.parse(["run.py", *flags]))
    assert "nothing is left to do" in capsys.readouterr().out
    own.write_text(LINEAR.replace("FACTOR = 1.0", "FACTOR = 2.0"))
    assert "weights of mine" in refused(*flags)


def test_the_fingerprint_sees_parameters_and_what_a_function_closes_over(tmp_path):
    """Read from other files, so that the file of the function itself stays as it is."""
    own, closed, added = (tmp_path / name for name in ("own.py", "closed.npy", "added.npy"))
    body = LINEAR.replace("FACTOR = 1.0", f"FACTOR = jnp.load({str(closed)!r})").replace(
        "** 3", f"** 3 + jnp.load({str(added)!r})"
    )
    own.write_text(body)
    seen = []
    for factor, more in ((1, 0), (2, 0), (1, 1), (1, 0)):
        np.save(closed, np.float32(factor))
        np.save(added, np.float32(more))
        seen.append(own_models.load([f"{own}:make"], reserved=())["mine"][1]["sha256"])
        del sys.modules[
            own_models._module(own).__name__
        ]  # the next begins as another process would
    assert len(set(seen)) == 3 and seen[0] == seen[3]


@pytest.mark.parametrize(
    ("place", "body", "words"),
    [
        ("own.py", LINEAR, ["'own.py'", "FILE.py:FUNCTION"]),
        ("no.py:make", LINEAR, ["no.py", "no file"]),
        ("own.py:mak", LINEAR, ["own.py", "'mak'", "did you mean 'make'"]),
        ("own.py:FACTOR", LINEAR, ["own.py", "'FACTOR'", "make"]),
        ("own.py:", LINEAR, ["'own.py:'", "FILE.py:FUNCTION"]),
        ("own.txt:make", LINEAR, ["'own.txt:make'", "FILE.py:FUNCTION"]),
        ("own.py:len", "from builtins import len", ["unknown function of own.py 'len'"]),
        ("own.py:make", "\0", ["own.py:1: "]),
        ("own.py:make", "def make():\n    return 3", ["own.py:1", "int", "jaxadv.Classifier"]),
        ("own.py:make", "def make():\n    return []", ["own.py:1", "list", "jaxadv.Classifier"]),
        (
            "own.py:make",
            "def make():\n    return helper()\ndef helper():\n    return {}['a']",
            ["own.py:4", "KeyError: 'a'"],
        ),
        (
            "own.py:make",
            "import nowhere_at_all",
            ["own.py:1", "ModuleNotFoundError", "nowhere_at_all"],
        ),
        ("own.py:make", "x = 1\ndef make(:", ["own.py:2", "SyntaxError"]),
        ("own.py:make", "def make(a): pass", ["own.py:1", "TypeError"]),
        ("own.py:make", LINEAR.replace('"mine"', '"vgg_16"'), ["own.py:7", "'vgg_16'", "rename"]),
        ("own.py:make", LINEAR.replace('"mine"', '"my-own"'), ["own.py:7", "'my-own'", "rename"]),
        ("own.py:make,own.py:make", LINEAR, ["own.py:7", "'mine'", "rename"]),
        (
            "own.py:make",
            LINEAR.replace("num_classes=classes", "num_classes=7"),
            ["own.py:10", "(1, 10)"],
        ),
        ("own.py:make", LINEAR.replace("classes=10", "classes=7"), ["10 classes", "mine has 7"]),
    ],
)
def test_what_is_wrong_with_a_users_file_is_one_line(tmp_path, refused, place, body, words):
    Path("own.py").write_text(body)
    line = refused("evaluate", "--models=alexnet", f"--model_module={place}", "--out=out")
    assert all(word in line for word in words), line
    assert not (tmp_path / "out").exists()


def test_several_functions_and_a_list(tmp_path):
    (tmp_path / "own.py").write_text(
        LINEAR + "\ndef both():\n    return [make('one'), make('two')]\n"
    )
    found = own_models.load(
        [f"{tmp_path / 'own.py'}:both", f"{tmp_path / 'own.py'}:make"], reserved=()
    )
    assert list(found) == ["one", "two", "mine"]
    with pytest.raises(InputError, match="'mine'"):
        own_models.load([f"{tmp_path / 'own.py'}:make"], reserved=("mine",))


def test_only_the_functions_of_a_file_itself_are_suggested(tmp_path):
    own = tmp_path / "own.py"
    own.write_text("from inspect import getsource\n\ndef make():\n    pass\n")
    with pytest.raises(InputError, match="known: make$"):
        own_models.load([f"{own}:get"], reserved=())


def test_a_file_may_import_the_files_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "beside_own_models.py").write_text("NAME = 'named_beside'\n")
    body = LINEAR.replace('"mine"', "NAME")
    (tmp_path / "own.py").write_text(f"from beside_own_models import NAME\n{body}")
    assert list(own_models.load([f"{tmp_path / 'own.py'}:make"], reserved=())) == ["named_beside"]


@pytest.mark.parametrize("name", ["all", "none", "taken", "my-own", ""])
def test_a_classifier_has_a_name_of_its_own_that_is_fit_for_files(name):
    with pytest.raises(InputError, match="rename it$"):
        own_models._check_name(name, {"taken"})
    own_models._check_name("my_own.1", {"taken"})


def test_a_fingerprint_sees_random_keys():
    def made(seed: int) -> jaxadv.Classifier:
        return jaxadv.Classifier(
            lambda params, images: images[:, 0, 0, :] + params["shift"],
            {"shift": np.zeros(3, np.float32), "key": jax.random.key(seed)},
            input_size=2,
            num_classes=3,
            name="keyed",
        )

    prints = [own_models.fingerprint(made(seed)) for seed in (0, 1, 0)]
    assert prints[0] == prints[2] != prints[1]
