"""The transfer signature on made-up rows whose families are known."""

import numpy as np
import pandas as pd
import pytest

from jaxadv import InputError
from jaxadv.analysis import signature
from jaxadv.analysis.families import family

MODELS = [
    "vgg_16",
    "vgg_19",
    *(f"resnet_v2_{depth}" for depth in (50, 101, 152)),
    *(f"inception_v{n}" for n in (1, 2, 3, 4)),
    "alexnet",
]
IMAGES = 40


@pytest.fixture(scope="module")
def rows():
    """Transfer rows: how often a source's images fool a model depends on the source and the model's
    family.
    """
    draw = np.random.default_rng(0)
    frames = []
    for source in MODELS:
        for kind in ("untargeted", "random"):
            rates = {name: draw.uniform() for name in ("VGG", "ResNet", "Inception", "AlexNet")}
            for model in MODELS:
                if model == source:
                    continue
                rows = {
                    "source": source,
                    "attack": "fgsm",
                    "setting": "eps=0.1",
                    "target_kind": kind,
                    "model": model,
                }
                rows |= {"image_id": np.arange(IMAGES), "attacked": draw.uniform(size=IMAGES) < 0.9}
                rows |= {
                    "source_success": True,
                    "success": draw.uniform(size=IMAGES) < rates[family(model)],
                }
                frames.append(pd.DataFrame(rows))
    return pd.concat(frames, ignore_index=True)


def test_families_that_answer_alike_are_all_named(rows):
    found = signature.leave_one_out(signature.rates(rows)).set_index("model")
    relatives = found[found["has_relatives"] == "yes"]
    assert sorted(relatives.index) == sorted(name for name in MODELS if name != "alexnet")
    assert (relatives["named"] == relatives["family"]).all()
    assert (relatives["nearest"] != relatives.index).all()
    assert (relatives["correlation"] > relatives["runner_up_correlation"]).all()
    assert (relatives["runner_up"] != relatives["named"]).all()
    assert found.loc["alexnet", "named"] != "AlexNet"  # it has nobody to be like


def test_confusion_leaves_lone_families_out_of_the_rate(rows):
    found = signature.leave_one_out(signature.rates(rows))
    before = found.copy()
    table = signature.confusion(found).set_index("family")
    pd.testing.assert_frame_equal(found, before)
    assert list(table.index) == ["AlexNet", "VGG", "Inception", "ResNet", signature.ALL]
    assert table["networks"].tolist() == [0, 2, 4, 3, 9]
    assert table["right"].tolist() == [0, 2, 4, 3, 9]
    assert (
        table.loc["ResNet", "named_ResNet"] == 3
        and table.loc["AlexNet", [c for c in table if c.startswith("named_")]].sum() == 1
    )
    assert np.isnan(table.loc["AlexNet", "right_rate"]) and table.loc["all", "right_rate"] == 1
    assert (
        0.6 < table.loc["all", "right_rate_low"] < 0.75 and table.loc["all", "right_rate_high"] == 1
    )
    assert table.loc["all", "chance"] == pytest.approx((2 * 1 + 4 * 3 + 3 * 2) / 9 / 9)


@pytest.mark.slow
def test_shuffled_names_are_right_by_chance(rows):
    """Over 60 shuffles of the names the mean rate is the chance level, within four standard
    errors.
    """
    entries, shares = signature.rates(rows), []
    for seed in range(60):
        names = dict(zip(MODELS, np.random.default_rng(seed).permutation(MODELS), strict=True))
        shuffled = entries.assign(
            model=entries["model"].map(names), source=entries["source"].map(names)
        )
        total = signature.confusion(signature.leave_one_out(shuffled)).iloc[-1]
        shares.append(total["right_rate"])
    assert abs(np.mean(shares) - total["chance"]) < 4 * np.std(shares) / np.sqrt(len(shares))
    assert np.mean(shares) < 0.4


def test_entries_are_joint_successes_over_images_that_are_right_when_clean():
    row = {
        "source": "vgg_16",
        "attack": "fgsm",
        "setting": "",
        "target_kind": "random",
        "model": "alexnet",
    }
    flags = pd.DataFrame(
        {"attacked": [1, 1, 1, 0], "source_success": [1, 0, 1, 1], "success": [1, 1, 0, 1]}
    ).astype(bool)
    assert signature.rates(flags.assign(**row))["as_failures"].tolist() == [1 / 3]


def test_an_unknown_network_is_named(rows):
    """With the network itself nowhere in the run, neither shown nor a source."""
    for model in ("vgg_19", "resnet_v2_101", "inception_v3"):
        unknown = rows[rows["model"] == model].assign(model="unknown")
        run = rows[(rows["model"] != model) & (rows["source"] != model)]
        named = signature.name_family(run, unknown)
        assert named.family == family(model) == family(named.nearest)
        assert (
            list(named.correlations.index[:1]) == [named.nearest]
            and named.correlations.is_monotonic_decreasing
        )
        # Leaving it out of a run that has it finds the same.
        found = signature.leave_one_out(signature.rates(rows)).set_index("model").loc[model]
        assert (found["named"], found["nearest"]) == (named.family, named.nearest)
        assert found["correlation"] == pytest.approx(named.correlations.iloc[0])


def test_a_network_of_no_family_is_nobodys_neighbour(rows):
    twin = rows[rows["model"] == "vgg_16"].assign(model="mine")
    found = signature.leave_one_out(signature.rates(pd.concat([rows, twin]))).set_index("model")
    assert (found["nearest"] != "mine").all()
    assert found.loc["mine", ["family", "named", "has_relatives"]].tolist() == [
        "other",
        "VGG",
        "no",
    ]


def test_too_little_to_tell(rows):
    few = rows[rows["source"].isin(MODELS[:2])]
    found = signature.leave_one_out(signature.rates(few))
    assert found.empty and signature.confusion(found).empty
    unknown = rows[rows["model"] == "alexnet"].assign(model="unknown")
    with pytest.raises(InputError, match="shares 6 entries"):
        signature.name_family(few, unknown)
    with pytest.raises(InputError, match="rows are of 10 models"):
        signature.name_family(rows, rows)
