"""Cropping and transfer against recordings of the release's transfer script, fed with our own
I-FGSM results.
"""

import hashlib
import json

import numpy as np
import pytest
import recorded

import jaxadv

pytestmark = pytest.mark.usefixtures("strict_numerics")

CROPS = json.loads((recorded.GOLDEN / "crop_pad.json").read_text())
STORED = recorded.arrays("transfer.npz")
RATES = (
    "n",
    "rate",
    "top5_rate",
    "left_out_n",
    "left_out_successes",
    "as_failures_n",
    "as_failures_successes",
)
# Long searches on tiny are left to the test of the attacks.
SETTINGS = {
    "smooth": (
        *("fixed_eps0.1_N10", "fixed_eps0.1_N30", "fixed_eps0.2_N10", "fixed_eps0.2_N50"),
        *("opt_eps0.01_att5_N10", "opt_eps0.02_att9_N50"),
    ),
    "tiny": ("fixed_eps0.1_N10", "fixed_eps0.1_N30", "fixed_eps0.2_N10", "opt_eps0.01_att5_N10"),
}


@pytest.mark.parametrize("sizes", CROPS)
def test_refit_is_the_released_rule(sizes):
    """The recorded picture has (row, column, 1) as its pixels; ours must lie in [0, 1]: 1/2 + value
    / 1024 is exact, and mid-grey, 1/2, stands for the release's 0.
    """
    source, size = map(int, sizes.split("->"))
    known = CROPS[sizes]
    rows, columns = np.meshgrid(np.arange(source), np.arange(source), indexing="ij")
    coordinates = np.stack([rows, columns, np.ones_like(rows)], axis=-1).astype(np.float32)
    fitted = (jaxadv.refit(coordinates[None] / 1024 + 0.5, size)[0] - np.float32(0.5)) * 1024
    assert list(fitted.shape) == known["shape"]
    np.testing.assert_array_equal(fitted.astype(np.float64).sum((0, 1)), known["channel_sums"])
    assert (
        hashlib.sha256(np.ascontiguousarray(fitted, dtype="<f4").tobytes()).hexdigest()
        == known["sha256_float32_le"]
    )
    if source > size:
        assert list(fitted[0, 0, :2]) == known["crop_start_row_col"]
        assert list(fitted[-1, -1, :2]) == known["crop_last_row_col"]
    else:
        inside = np.argwhere(fitted[..., 2] == 1)
        assert list(inside[0]) == known["pad_before_row_col"]
        assert list(size - 1 - inside[-1]) == known["pad_after_row_col"]


def test_refit_to_the_same_size_changes_nothing():
    images = recorded.net("tiny").images[:2]
    np.testing.assert_array_equal(jaxadv.refit(images, 32), images)


def sources(net: str) -> dict[str, tuple]:
    """Recorded name -> (kind, adversarial, success) of our I-FGSM on ``net``, for the logit
    settings of SETTINGS.
    """
    found = {}
    for group in ("ifgsm_fixed", "ifgsm_att5_N10", "ifgsm_att9_N50"):
        names = recorded.group(group, net)["settings"]
        chosen = tuple(
            str(name)
            for name in names
            if "__logit__" in name and name.split("__")[2] in SETTINGS[net]
        )
        if chosen:
            run = recorded.run(group, net, chosen)
            for row, name in enumerate(chosen):
                found[name] = (
                    name.split("__")[0],
                    run.result.adversarial[row],
                    run.result.success[row],
                )
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("source", "target"), [("tiny", "smooth"), ("smooth", "tiny")])
def test_transfer_rates(source, target):
    """Compares predictions and successes of every image, and the three rates.

    The release shows failed sources to the target as arrays of NaN. The answer of a net with ReLU
    then depends on the kernels. The recorded top-5 rate is therefore compared only if no source
    failed, or if the target is linear.
    """
    direction = f"{source}_to_{target}"
    names = list(STORED[direction + "__settings"])
    known, classifier = recorded.net(source), recorded.net(target).classifier
    compared = 0
    for name, (kind, adversarial, success) in sources(source).items():
        row = names.index(name)
        theirs = {
            key.removeprefix(direction + "__"): values[row]
            for key, values in STORED.items()
            if key.startswith(direction)
        }
        targets = None if kind == "untargeted" else known.targets[kind]
        ours = jaxadv.transfer_rates(
            adversarial, known.images, known.labels, targets, success, classifier
        )
        np.testing.assert_array_equal(success, ~theirs["source_failed"], err_msg=name)
        np.testing.assert_array_equal(ours.attacked, theirs["attacked"], err_msg=name)
        shown = theirs["attacked"] & success
        fields = {"clean_predicted": "clean_pred", "predicted": "adv_pred", "success": "success"}
        if targets is not None:  # the release keeps an untargeted top-5 as a rate alone
            fields["top5"] = "success_top5"
        for field, recorded_field in fields.items():
            np.testing.assert_array_equal(
                getattr(ours, field)[shown],
                theirs[recorded_field][shown],
                err_msg=f"{name} {field}",
            )
        rates = dict(zip(RATES, theirs["rates"], strict=True))
        assert (ours.released.n, ours.released.rate) == (
            rates["n"],
            pytest.approx(rates["rate"]),
        ), name
        if target == "smooth" or success.all() or targets is None:
            assert ours.released.top5_rate == pytest.approx(rates["top5_rate"]), name
        assert (ours.left_out.n, ours.left_out.successes) == (
            rates["left_out_n"],
            rates["left_out_successes"],
        ), name
        assert (ours.as_failures.n, ours.as_failures.successes) == (
            rates["as_failures_n"],
            rates["as_failures_successes"],
        ), name
        compared += 1
    assert compared == 4 * len(SETTINGS[source])


def test_failed_sources_as_nan_count_as_the_release_has_them():
    """Given as NaN or as the clean image, they give the same rates; ``failed_kept`` shows them as
    they are (FGSM).
    """
    known, classifier = recorded.net("smooth"), recorded.net("tiny").classifier
    success = np.arange(16) % 2 == 0
    pictures = known.images[::-1]  # most are of another class
    failed = ~success[:, None, None, None]
    arguments = (known.images, known.labels, None, success, classifier)
    as_nan = jaxadv.transfer_rates(np.where(failed, np.float32(np.nan), pictures), *arguments)
    as_clean = jaxadv.transfer_rates(np.where(failed, known.images, pictures), *arguments)
    assert (as_nan.released, as_nan.left_out, as_nan.as_failures) == (
        as_clean.released,
        as_clean.left_out,
        as_clean.as_failures,
    )
    # An array of NaN is class 0 to the release: an untargeted success wherever the clean prediction
    # is not 0.
    expected = np.where(success, as_clean.success, known.labels != 0)[as_clean.attacked]
    assert as_nan.released.successes == expected.sum()
    kept = jaxadv.transfer_rates(pictures, *arguments, failed_kept=True)
    assert kept.released.successes == kept.success[kept.attacked].sum()
    everything = np.ones(16, bool)
    shown = jaxadv.transfer_rates(
        pictures, known.images, known.labels, None, everything, classifier
    )
    np.testing.assert_array_equal(kept.success, shown.success)
    assert (kept.success != as_clean.success).any()


def test_rates_of_nothing_are_nan():
    known, classifier = recorded.net("smooth"), recorded.net("tiny").classifier
    rates = jaxadv.transfer_rates(
        known.images[:3], known.images[:3], known.labels[:3], None, np.zeros(3, bool), classifier
    )
    assert (
        rates.left_out.n == 0
        and np.isnan(rates.left_out.rate)
        and np.isnan(rates.left_out.top5_rate)
    )
    assert rates.as_failures.rate == 0
