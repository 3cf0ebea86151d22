"""The study from Python: ten lines, any classifier, arrays or named data; the same rows as the
command's.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from models import inner_images, linear_apply, random_linear

import jaxadv
from jaxadv.evaluation.evaluate import Evaluation
from jaxadv.evaluation.settings import CleverSettings, Settings

CLEVER = CleverSettings(images=2, batches=4, samples=4)
SMALL = Settings(
    attacks=(jaxadv.FGSM(eps=0.1), jaxadv.FGSM(eps=0.2), jaxadv.IFGSM(eps=0.1, steps=3)),
    targets=("untargeted", "random"),
    clever=CLEVER,
    figures=("pictures",),
    progress=False,
)


@pytest.fixture(scope="module")
def networks() -> list[jaxadv.Classifier]:
    return [random_linear(0, 4, name="first"), random_linear(1, 4, name="second")]


@pytest.fixture(scope="module")
def data(networks) -> tuple[np.ndarray, np.ndarray]:
    """Images of which each network classifies some correctly."""
    images = inner_images(2, 12)
    return images, np.where(np.arange(12) % 2, *(network.predict(images) for network in networks))


@pytest.fixture(scope="module")
def run(networks, data, tmp_path_factory) -> jaxadv.Run:
    return jaxadv.evaluate(networks, data, SMALL, out=tmp_path_factory.mktemp("runs") / "small")


def test_rows_are_dataframes_with_the_settings_as_columns(run, networks, data):
    images, labels = data
    right = sum(int((network.predict(images) == labels).sum()) for network in networks)
    assert len(run.clean) == 24 and len(run.examples) == right * 3 * 2
    fgsm, ifgsm = (run.examples[run.examples["attack"] == name] for name in ("fgsm", "ifgsm"))
    assert set(fgsm["setting"]) == {"eps=0.1", "eps=0.2"} and set(fgsm["norm"]) == {"linf"}
    assert (
        fgsm["steps"].isna().all()
        and (ifgsm["steps"] == 3).all()
        and set(ifgsm["loss"]) == {"logit"}
    )
    assert len(run.clever) == 2 * 2 * 3 * 2 and len(run.transfer) == len(run.examples)


def test_every_class_is_one_and_none_is_invalid(run, networks, data):
    """Class 0 too."""
    expected = np.concatenate([network.predict(data[0]) for network in networks])
    assert set(expected) == {0, 1, 2, 3}
    np.testing.assert_array_equal(run.clean["predicted"], expected)
    assert not run.clean["invalid"].any() and not run.examples["invalid"].any()


def test_attempts_are_those_of_run_attack(run, networks, data):
    images, labels = data
    rows = run.examples.query(
        "model == 'first' and attack == 'fgsm' and eps < 0.15 and target_kind == 'untargeted'"
    )
    result = jaxadv.run_attack(
        networks[0], jaxadv.FGSM(eps=0.1), images[rows["image_id"]], labels[rows["image_id"]]
    )
    np.testing.assert_array_equal(rows["success"], result.success)
    np.testing.assert_allclose(rows["linf"], result.linf, rtol=1e-6)


@pytest.mark.slow
def test_tables_and_report_come_from_the_rows(run):
    table = run.table("robustness")
    first = table.query("model == 'first' and attack == 'fgsm' and target_kind == 'untargeted'")
    rows = run.examples.query(
        "model == 'first' and attack == 'fgsm' and target_kind == 'untargeted'"
    )
    by_setting = rows.groupby("setting")["success"].mean()
    assert dict(zip(first["setting"], first["success_rate"], strict=True)) == pytest.approx(
        dict(by_setting)
    )
    assert (first["success_rate_low"] <= first["success_rate"]).all()
    with pytest.raises(jaxadv.InputError, match="did you mean 'robustness'"):
        run.table("robustnes")
    assert run.report().read_text().startswith("<!") and run.report().name == "report.html"


def test_a_run_on_disk_is_opened_and_says_what_it_is(run, tmp_path):
    opened = jaxadv.open_run(run.directory)
    pd.testing.assert_frame_equal(opened.examples, run.examples)
    assert "2 models" in repr(opened) and "finished" in repr(opened) and len(repr(opened)) < 200
    with pytest.raises(jaxadv.InputError, match="no run in"):
        jaxadv.open_run(tmp_path / "nowhere")


def test_the_same_call_finds_nothing_to_do_and_another_is_refused(run, networks, data):
    times = {part: part.stat().st_mtime_ns for part in run.directory.rglob("*.parquet")}
    assert jaxadv.evaluate(networks, data, SMALL, out=run.directory).was_finished
    assert Evaluation.of(networks, data, SMALL).run(run.directory).was_finished
    assert {part: part.stat().st_mtime_ns for part in times} == times
    other = replace(SMALL, attacks=(jaxadv.FGSM(eps=0.3),))
    with pytest.raises(jaxadv.InputError, match="fgsm --eps"):
        jaxadv.evaluate(networks, data, other, out=run.directory)


def test_settings_may_be_no_product_of_lists():
    attacks = (
        jaxadv.IFGSM(eps=0.1, steps=3),
        jaxadv.IFGSM(eps=0.2, steps=5),
        jaxadv.IFGSM(eps=0.1, steps=3),
    )
    settings = Settings(attacks=attacks, targets=("random",))
    assert [attempt.label for attempt in settings.attempts()] == [
        "eps=0.1,steps=3",
        "eps=0.2,steps=5",
    ]
    assert Settings.from_dict(settings.to_dict()).attempts() == settings.attempts()
    assert "ifgsm settings" in settings.identity()


def test_values_that_print_alike_have_two_labels_and_equal_ones_one():
    """Six digits are shown, and all of them where six would make two settings one."""
    near = 0.1 + 1e-9
    alike = Settings(
        attacks=tuple(jaxadv.FGSM(eps=eps) for eps in (0.1, near, 0.10)), targets=("random",)
    )
    assert [attempt.label for attempt in alike.attempts()] == ["eps=0.1", f"eps={near!r}"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"parts": ("transfer",)}, ["transfer without attacks"]),
        ({"attacks": ()}, ["attacks is empty"]),
        ({"attacks": (3,)}, ["attack is 3", "FGSM"]),
        ({"attacks": (jaxadv.FGSM(eps=-1.0),)}, ["eps", "-1"]),
        ({"targets": ("leats",)}, ["'leats'", "did you mean 'least'"]),
        ({"targets": "random"}, ["list of names"]),
        ({"attack_targets": {"fgms": ("random",)}}, ["'fgms'", "did you mean 'fgsm'"]),
        ({"attack_targets": {"fgsm": ()}}, ["fgsm_targets", "empty"]),
        ({"clever": CleverSettings(batches=1)}, ["clever_batches", "at least 2"]),
        ({"lanes": 0}, ["lanes", "0"]),
        ({"precision": "half"}, ["'half'", "'highest'"]),
        ({"seed": 1.5}, ["seed", "1.5"]),
        ({"save_seconds": -1.0}, ["save_seconds", "-1"]),
    ],
)
def test_wrong_settings_are_one_line(change, words):
    with pytest.raises(jaxadv.InputError) as caught:
        Settings(**change).check()
    line = str(caught.value)
    assert "\n" not in line and all(word in line for word in words), line


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (lambda images, labels: (images * 300, labels), ["[0, 1]"]),
        (lambda images, labels: (images, labels[:3]), ["labels", "(3,)"]),
        (lambda images, labels: (images, labels + 9), ["labels", "classes are 0..3"]),
        (lambda images, labels: (images[..., 0], labels), ["(N, H, W, 3)"]),
    ],
)
def test_wrong_arrays_are_one_line_and_nothing_is_written(networks, data, tmp_path, arrays, words):
    with pytest.raises(jaxadv.InputError) as caught:
        jaxadv.evaluate(networks, arrays(*data), SMALL, out=tmp_path / "run")
    assert all(word in str(caught.value) for word in words), caught.value
    assert not (tmp_path / "run").exists()


def test_networks_of_one_name_are_refused(networks, data):
    with pytest.raises(jaxadv.InputError, match="'first', which is taken"):
        jaxadv.evaluate([networks[0], networks[0]], data, SMALL)


def test_a_network_that_breaks_its_contract_is_refused_before_anything_is_written(
    networks, data, tmp_path
):
    soft = random_linear(
        5, 4, name="soft", apply=lambda params, x: jax.nn.softmax(linear_apply(params, x))
    )
    with pytest.raises(jaxadv.InputError, match="^soft gives probabilities.*leave the softmax out"):
        jaxadv.evaluate([networks[0], soft], data, SMALL, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_answers_that_are_no_numbers_are_counted_in_rows_tables_page_and_last_lines(
    networks, data, tmp_path, capsys
):
    """A network that says NaN of two clean images, and infinity wherever FGSM goes, beside one that
    is well.
    """
    images, labels = data
    pictures = images.copy()
    pictures[:2, 0] = 0.02

    def apply(params, x):
        logits = linear_apply(params, x)
        logits = jnp.where(x[:, 0].mean((1, 2))[:, None] < 0.1, jnp.nan, logits)
        grey = jnp.abs(x - 0.5).max((1, 2, 3))[:, None]
        return jnp.where((grey > 0.15) & (grey < 0.201), jnp.inf, logits)

    broken = random_linear(0, 4, name="broken", apply=apply)
    broken.contract.is_exempt = True
    labels = np.concatenate([labels[:2], networks[0].predict(images[2:])])
    settings = replace(
        SMALL,
        attacks=(jaxadv.FGSM(eps=0.1),),
        targets=("untargeted",),
        clever=replace(CLEVER, images=3),
    )
    run = jaxadv.evaluate([broken, networks[0]], (pictures, labels), settings, out=tmp_path / "out")
    clean = run.clean.query("model == 'broken'")
    np.testing.assert_array_equal(clean["invalid"], np.arange(12) < 2)
    assert (clean["predicted"][clean["invalid"]] == -1).all() and run.table("accuracy").set_index(
        "model"
    ).loc["broken", "invalid"] == 2
    attempts = run.examples.set_index("model")
    assert attempts.loc["broken", "invalid"].all() and not attempts.loc["broken", "success"].any()
    assert not attempts.loc["first", ["invalid", "zero_gradient"]].any(axis=None)
    robust = run.table("robustness").set_index("model")
    assert robust.loc["broken", ["n", "successes", "failures", "invalid"]].tolist() == [0, 0, 0, 10]
    assert np.isnan(robust.loc["broken", "success_rate"]) and robust.loc["first", "invalid"] == 0
    shown = run.transfer.query("model == 'broken'")
    assert shown["invalid"].any() and not shown["attacked"][shown["invalid"]].any()
    assert (
        run.table("transfer").set_index("model").loc["broken", "invalid"] == shown["invalid"].sum()
    )
    said = capsys.readouterr().err
    page = (tmp_path / "out" / "report.html").read_text()
    for line in (
        "clean images without finite logits: broken 2 of 12; they count as misclassified",
        "NaN or infinite logits or gradients: broken, fgsm eps=0.1 10 of 10 attempts; they are in "
        "no rate",
        f"adversarial images of others without finite logits: broken {shown['invalid'].sum()} of "
        f"{len(shown)}; they are in no transfer rate",
    ):
        assert line in said and line in page, line


def test_masked_gradients_are_a_warning(networks, data, tmp_path, capsys):
    def apply(params, x):
        return linear_apply(params, jnp.round(x * 8) / 8)

    images, _ = data
    steps = random_linear(0, 4, name="steps", apply=apply)
    settings = replace(
        SMALL,
        parts=("attacks", "report"),
        attacks=(jaxadv.FGSM(eps=0.01),),
        targets=("untargeted",),
    )
    jaxadv.evaluate([steps], (images, steps.predict(images)), settings, out=tmp_path / "out")
    assert (
        "gradients of zero everywhere: steps, fgsm eps=0.01 12 of 12 attempts failed"
        in capsys.readouterr().err
    )
    jaxadv.run_attack(steps, jaxadv.FGSM(0.01), images, steps.predict(images))
    assert (
        "gradients of zero everywhere: FGSM on steps 12 of 12 attempts failed"
        in capsys.readouterr().err
    )
    jaxadv.run_attack(networks[0], jaxadv.FGSM(0.01), images, networks[0].predict(images))
    assert capsys.readouterr().err == ""
