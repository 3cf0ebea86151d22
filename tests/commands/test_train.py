"""Training: deterministic, learns, counts the moving statistics right, and writes checkpoints; and
the zoo it wrote.
"""

from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxadv.commands import train as command
from jaxadv.data import digits
from jaxadv.training import train
from model_ports import checkpoint
from model_ports.errors import InputError
from model_ports.registry import network

ZOO = Path(checkpoint.__file__).parent / "digits"
NAMES = sorted(path.name for path in ZOO.iterdir() if (path / "meta.json").is_file())


class Toy:
    """One dense layer on pixels normalised by batch, with a background column: the smallest thing
    that can be trained.
    """

    input_size, num_outputs, label_offset = 8, 11, 1

    def init(self, key):
        kernel = jax.random.normal(key, (192, 11)) * 0.01
        return {"kernel": kernel, "mean": jnp.full(192, 7.0), "variance": jnp.full(192, 7.0)}

    def trainable(self):
        return {"kernel": True, "mean": False, "variance": False}

    def apply(self, params, images):
        flat = images.reshape(len(images), -1)
        return (flat - params["mean"]) / jnp.sqrt(params["variance"] + 1e-3) @ params["kernel"]

    def train_apply(self, params, images):
        flat = images.reshape(len(images), -1)
        now = {"mean": flat.mean(0), "variance": flat.var(0)}
        averaged = {name: 0.99 * params[name] + 0.01 * now[name] for name in now}
        return self.apply(params | now, images), params | averaged


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setattr(train, "network", lambda name, zoo: Toy())
    monkeypatch.setitem(train.RECIPES, "toy", train.Recipe(epochs=80))


@pytest.mark.long
def test_same_seed_same_arrays(toy):
    first, metrics = train.train_network("toy", seed=3, epochs=1, pictures=128)
    again, _ = train.train_network("toy", seed=3, epochs=1, pictures=128)
    other, _ = train.train_network("toy", seed=4, epochs=1, pictures=128)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.array_equal(first["kernel"], other["kernel"])
    assert metrics["recipe"]["epochs"] == 1 and metrics["recipe"]["pictures"] == 128
    assert metrics["test_pictures"] == 500 and metrics["input_size"] == 8


@pytest.mark.slow
def test_learns(toy, capsys):
    """A linear model on 8x8 pictures gets several times further than guessing."""
    _, metrics = train.train_network("toy", seed=0, epochs=15, progress=True)
    assert metrics["test_accuracy"] > 0.5
    printed = capsys.readouterr().err.splitlines()
    assert (
        "toy: epoch 15/15, loss" in printed[-2]
        and "pictures/s" in printed[-2]
        and "on test" in printed[-1]
    )


@pytest.mark.slow
def test_moving_statistics_are_those_of_the_drawings(toy):
    """Whatever the momentum (0.99 here) and the starting values (7 here)."""
    ink, _, ids = digits.glyphs("train")
    draw = train.drawer(ink, digits.colours(ids), 8)
    params = train.moving_statistics(
        Toy(), Toy().init(jax.random.key(0)), draw, count=len(ids), key=jax.random.key(1)
    )
    many = np.asarray(draw(jnp.arange(1297), jax.random.key(2))).reshape(1297, -1)
    np.testing.assert_allclose(params["mean"], many.mean(0), atol=0.04)
    np.testing.assert_allclose(params["variance"], many.var(0), atol=0.02)


@pytest.mark.slow
def test_drawings_are_new_in_range_and_partly_on_grey():
    ink, _, ids = digits.glyphs("train")
    draw = train.drawer(ink, digits.colours(ids), 32)
    pictures = np.asarray(draw(jnp.zeros(200, int), jax.random.key(0)))
    assert pictures.shape == (200, 32, 32, 3) and pictures.min() >= 0 and pictures.max() <= 1
    assert len(np.unique(pictures[:, 16, 16], axis=0)) == 200
    grey = (abs(pictures[:, :1] - 0.5) < 0.15).all((1, 2, 3))
    assert 0.25 < grey.mean() < 0.6


@pytest.mark.slow
def test_run_writes_a_checkpoint(tmp_path):
    report = train.run(["vgg_16"], out_dir=str(tmp_path / "zoo"), seed=1, epochs=1, progress=False)
    params, meta = checkpoint.load(
        tmp_path / "zoo" / "vgg_16",
        network("vgg_16", zoo="digits").abstract(),
        model="vgg_16",
        zoo="digits",
    )
    assert meta["seed"] == 1 and meta["recipe"]["epochs"] == 1
    assert meta["test_accuracy"] == report["vgg_16"]["test_accuracy"]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


def test_bad_input_before_any_training(tmp_path):
    with pytest.raises(InputError, match="unknown model 'vgg61'"):
        train.run(["vgg_16", "vgg61"], out_dir=str(tmp_path), progress=False)
    with pytest.raises(InputError, match="epochs is 0; it must be at least 1"):
        train.run(["vgg_16"], out_dir=str(tmp_path), epochs=0, progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_command_line(toy, tmp_path, capsys):
    flags = SimpleNamespace(models=["alexnet"], out=str(tmp_path), seed=5, epochs=1, progress=False)
    command.main(flags)
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1 and "alexnet: accuracy" in out and not err
    assert checkpoint.read_meta(tmp_path / "alexnet")["seed"] == 5
    with pytest.raises(InputError, match="--out is not given"):
        command.main(SimpleNamespace(**vars(flags) | {"out": None}))


def test_the_zoo_is_there_with_a_spread():
    """Every recipe has its checkpoint, made by that recipe, and the errors differ by a factor of
    four.
    """
    assert NAMES == sorted(train.RECIPES)
    errors = []
    for name in NAMES:
        meta = checkpoint.read_meta(ZOO / name)
        assert meta["recipe"] == train.RECIPES[name]._asdict(), name
        errors.append(1 - meta["test_accuracy"])
    assert max(errors) <= 0.1 and max(errors) >= 4 * min(errors)


@pytest.mark.parametrize("name", NAMES)
def test_checkpoint_fits_its_network(name):
    checkpoint.load(ZOO / name, network(name, zoo="digits").abstract(), model=name, zoo="digits")


@pytest.mark.slow
def test_recorded_accuracy_is_measured_again():
    net = network("vgg_16", zoo="digits")
    params, meta = checkpoint.load(ZOO / "vgg_16", net.abstract())
    assert (
        abs(train.accuracy(net, params, "test") - meta["test_accuracy"]) <= 0.002
    )  # one picture at a tie
