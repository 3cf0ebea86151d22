"""Compares the four attacks with recordings of the released code, on two small nets.

Settings of one structure run in one queue. Our convolutions differ from the recording's in the last
bits. A pixel whose gradient is at rounding level may therefore step the other way. The limits allow
for that. Each group has one test with all its checks, so that its run is computed once.
"""

import numpy as np
import pytest
import recorded
from recorded import difference

pytestmark = pytest.mark.usefixtures("strict_numerics")

EVERY_NET = pytest.mark.parametrize("net", recorded.NETS)
THE_OTHER_IS_SLOW = pytest.mark.parametrize(
    "net", [pytest.param("tiny", marks=pytest.mark.slow), "smooth"]
)
ROUNDING = 2.0**-24  # of a number near one, float32

LONG = {  # of 9 steps of c by 1000 iterations each, those that the tests run
    ("cw_long", "smooth"): tuple(
        f"long__{kind}__k{k}__lr0.01" for kind in ("untargeted", "top2") for k in (0, 10)
    )
    + ("long__random__k0__lr0.01", "long__untargeted__k0__lr0.002", "long__random__k0__lr0.002"),
    ("ead_long", "smooth"): tuple(
        f"long__{kind}__k{k}" for kind in ("untargeted", "random", "least", "top2") for k in (0, 10)
    ),
    ("cw_long", "tiny"): ("long__top2__k0__lr0.01", "long__untargeted__k0__lr0.01"),
}


def share(differences, limit: float) -> float:
    return float((differences < limit).mean())


def of_loss(run, loss: str) -> np.ndarray:
    """Which settings of a run have this loss."""
    return np.array([f"__{loss}__" in setting for setting in run.recorded["settings"]])


@EVERY_NET
def test_nets_give_the_recorded_logits(net):
    known = recorded.net(net)
    np.testing.assert_allclose(known.classifier.logits(known.images), known.logits, atol=3e-5)


@EVERY_NET
def test_fgsm(net):
    """Results are equal up to rounding, except for untargeted cross-entropy.

    Its gradient has the factor p_label - 1, with a relative error of about 1e-7 / (1 - p_label) in
    float32. If the classes cancel in a pixel to that share, the sign is noise. About that share of
    the pixels may flip. With a label probability within 1e-6 of one, nothing can be compared.
    """
    run, known = recorded.run("fgsm", net), recorded.net(net)
    shares = np.exp(known.logits.astype(np.float64) - known.logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    rest = np.maximum(1 - shares[np.arange(len(shares)), known.labels], 1e-12)
    noisy = of_loss(run, "xent") & np.char.startswith(run.recorded["settings"], "untargeted")
    tolerance = np.where(noisy[:, None], np.where(rest < 1e-6, np.inf, 8 * ROUNDING / rest), 0)
    for norm in ("L0", "L1", "L2", "Linf"):
        assert (
            difference(run.distances[norm.lower()], run.recorded[norm]) <= tolerance + 1e-6
        ).all(), norm
    sure = tolerance < 1e-2
    np.testing.assert_array_equal(run.result.success, run.recorded["success"])
    np.testing.assert_array_equal(run.result.predicted[sure], run.recorded["pred"][sure])
    logits = recorded.net(net).classifier.logits_in_batches(
        run.result.adversarial[~noisy].reshape(-1, 32, 32, 3), recorded.LANES
    )
    np.testing.assert_allclose(
        logits.reshape(-1, 16, 10), run.recorded["logits"][~noisy], atol=1e-4
    )
    np.testing.assert_array_equal(np.isnan(run.result.l2), ~run.result.success)
    assert (run.result.gradients == 1).all() and (run.result.forwards == 1).all()


@pytest.mark.slow
@THE_OTHER_IS_SLOW
def test_ifgsm_with_a_fixed_budget(net):
    """Compares the last iterate of every image, successful or not.

    Targeted attacks with cross-entropy continue after their success. The softmax is then saturated,
    and its gradient and the signs are rounding noise. On tiny, "random__xent__fixed_eps0.1_N10"
    differs by 2.2e-2 in one image. All other images differ by less than 1e-2.
    """
    run = recorded.run("ifgsm_fixed", net)
    np.testing.assert_array_equal(run.result.success, run.recorded["success"])
    np.testing.assert_array_equal(run.result.predicted, run.recorded["raw_pred"])
    saturated = of_loss(run, "xent")
    for norm in ("L1", "L2"):
        apart = difference(run.distances[norm.lower()], run.recorded["raw_" + norm])
        assert share(apart, 1e-4) >= 0.95, norm
        assert apart[~saturated].max() < 1e-2, norm
        assert apart[saturated].max() < 5e-2, norm
    assert difference(run.distances["linf"], run.recorded["raw_Linf"]).max() < 1e-5
    steps = np.array([int(setting.split("_N")[1]) for setting in run.recorded["settings"]])
    np.testing.assert_array_equal(run.result.gradients, np.repeat(steps[:, None], 16, axis=1))
    assert (run.result.forwards == 1).all()


@THE_OTHER_IS_SLOW
@pytest.mark.parametrize(
    ("group", "steps", "attempts"),
    [pytest.param("ifgsm_att9_N50", 50, 9, marks=pytest.mark.long), ("ifgsm_att5_N10", 10, 5)],
)
def test_ifgsm_search(net, group, steps, attempts):
    run = recorded.run(group, net)
    success = run.recorded["success"]
    np.testing.assert_array_equal(run.result.success, success)
    np.testing.assert_allclose(run.result.details["eps"], run.recorded["eps_list"], rtol=1e-6)
    np.testing.assert_array_equal(run.result.predicted[success], run.recorded["pred"][success])
    assert_clean_where_failed(run, net)
    for norm in ("L1", "L2"):
        apart = difference(getattr(run.result, norm.lower()), run.recorded[norm])
        assert share(apart, 1e-4) >= 0.95, norm
        assert apart.max() < 1e-2, norm
    assert difference(run.result.linf, run.recorded["Linf"]).max() < 1e-4
    assert (run.result.gradients == 1 + attempts * (steps - 1)).all()
    assert (run.result.forwards == attempts + 1).all()  # and the final judgement


def assert_clean_where_failed(run, net):
    """The recording has an array of NaN there."""
    failed = ~run.result.success
    clean = np.broadcast_to(
        recorded.net(net).images[: failed.shape[1]], run.result.adversarial.shape
    )
    np.testing.assert_array_equal(run.result.adversarial[failed], clean[failed])
    for distance in (run.result.l0, run.result.l1, run.result.l2, run.result.linf):
        np.testing.assert_array_equal(np.isnan(distance), failed)


def assert_same_search(run, net, *, same_iterations: float):
    """Success, values of c, and the c of the result; the iterations in a share of the images and
    steps.
    """
    np.testing.assert_array_equal(run.result.success, run.recorded["success"])
    assert not run.result.near_tie.any()
    for field, name in (("const", "const"), ("best_const", "best_const")):
        np.testing.assert_allclose(
            run.result.details[name], run.recorded[field], rtol=1e-5, err_msg=field
        )
    iterations = run.result.details["iterations"]
    assert (iterations == run.recorded["n_iter"]).mean() >= same_iterations
    np.testing.assert_array_equal(run.result.gradients, iterations.sum(-1))
    assert_clean_where_failed(run, net)


@pytest.mark.slow
@THE_OTHER_IS_SLOW
@pytest.mark.parametrize("group", ["cw_short", pytest.param("cw_shortc1", marks=pytest.mark.long)])
def test_short_carlini_wagner(net, group):
    run = recorded.run(group, net)
    assert_same_search(run, net, same_iterations=0.98)
    for norm in ("L1", "L2", "Linf"):
        apart = difference(getattr(run.result, norm.lower()), run.recorded[norm])
        assert share(apart, 1e-3) >= 0.95, norm
        assert apart.max() < 2e-2, norm  # the worst of the recording's own check is 1.8e-2
    assert (run.result.forwards == 1).all()


@THE_OTHER_IS_SLOW
@pytest.mark.parametrize(
    "group", ["ead_short", pytest.param("ead_shortc1", marks=pytest.mark.long)]
)
def test_short_elastic_net(net, group):
    run = recorded.run(group, net)
    assert_same_search(run, net, same_iterations=1.0)
    for norm in ("L1", "L2", "Linf"):
        assert difference(getattr(run.result, norm.lower()), run.recorded[norm]).max() < 1e-4, norm
    # A pixel either is the clean one, to the bit, or is not: at most a value or two lie at the
    # threshold.
    assert difference(run.result.l0, run.recorded["L0"]).max() < 1e-2
    np.testing.assert_array_equal(run.result.forwards, run.result.gradients + 1)


@pytest.mark.long
@pytest.mark.parametrize(("group", "net"), list(LONG))
def test_long_runs(group, net):
    """Long runs are chaotic (relu kinks; the stop rule flips, which is a tenth of the iterations):
    one unit in the last place of learning rate or beta moves single distances of EAD on tiny by up
    to 3 %, as far as these lie from the recording; there even medians differ by 0.5 %. So the
    limits are for most images, and EAD is left to the linear net.
    """
    run = recorded.run(group, net, LONG[group, net])
    np.testing.assert_array_equal(run.result.success, run.recorded["success"])
    norm = "L2" if group.startswith("cw") else "L1"
    apart = difference(getattr(run.result, norm.lower()), run.recorded[norm])
    assert share(apart, 1e-2) >= 0.90
    assert np.median(apart) < 1e-3
    np.testing.assert_allclose(
        run.result.details["const"][..., :3], run.recorded["const"][..., :3], rtol=1e-5
    )
    if net == "smooth":
        assert_not_below_the_optimum(run, norm, worst_median=1.6)


def test_search_of_ifgsm_is_not_below_the_exact_optimum():
    assert_not_below_the_optimum(recorded.run("ifgsm_att9_N50", "smooth"), "Linf", worst_median=1.5)


def assert_not_below_the_optimum(run, norm, *, worst_median):
    """Against the exact least distortion in the box (linear and quadratic programs): never below,
    and not far above.

    The recorded attacks (kappa 0) have median ratios of 1.27 to 1.56 (C&W), 1.40 to 1.49 (EAD), 1.2
    to 1.46 (I-FGSM).
    """
    plain = [row for row, setting in enumerate(run.recorded["settings"]) if "__k10" not in setting]
    kinds = [
        next(kind for kind in recorded.KINDS if kind in run.recorded["settings"][row])
        for row in plain
    ]
    count = run.result.success.shape[1]
    optimum = np.stack(
        [
            recorded.arrays("attacks.npz")[f"optimum__smooth__{kind}_{norm}"][:count]
            for kind in kinds
        ]
    )
    ratio = getattr(run.result, norm.lower())[plain] / optimum
    assert ratio.min() > 1 - 1e-4
    assert np.median(ratio, axis=1).max() < worst_median
