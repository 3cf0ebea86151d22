"""Tables against values worked out by hand, from a few literal rows and from the made-up run in
conftest.
"""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from jaxadv.analysis import mean_intervals, rate_interval
from jaxadv.report import tables
from jaxadv.report.columns import COLUMNS, show, three_digits
from jaxadv.report.libraries import with_published
from jaxadv.store.run import Run
from model_ports.errors import InputError

MODELS = [
    "alexnet",
    "vgg_16",
    "resnet_v2_50",
    "mobilenet_v1_025",
    "mobilenet_v1_050",
    "mobilenet_v1_100",
]
PANEL = {"attack": "cw", "setting": "confidence=0", "target_kind": "untargeted"}


def examples(distances, near_tie=False, revoked=False, **columns):
    """Attempts with these distances, NaN for a failure."""
    row = {
        "model": "m",
        "attack": "cw",
        "setting": "confidence=0",
        "target_kind": "random",
        "gradients": 10,
        "forwards": 2,
    }
    success = ~np.isnan(distances)
    lengths = {name: np.float32(distances) for name in ("l0", "l1", "l2", "linf", "l2_per_pixel")}
    flags = {
        "success": success,
        "near_tie": near_tie,
        "revoked": revoked,
        "invalid": False,
        "zero_gradient": False,
    }
    return pd.DataFrame(row | lengths | flags | columns)


def shown(**columns):
    """Six images of model a shown to model b; b has the last one wrong when clean; a's attack
    failed on the third and fourth.
    """
    return pd.DataFrame(
        {
            "source": "a",
            "model": "b",
            "attack": "cw",
            "setting": "",
            "target_kind": "random",
            "attacked": [True, True, True, True, True, False],
            "invalid": False,
            "source_success": [True, True, False, False, True, True],
            "success": [True, False, True, False, False, True],
            "top5": [True, True, True, False, False, True],
            "released_success": [True, False, False, False, False, True],
            "released_top5": [True, True, True, True, False, True],
        }
        | columns
    )


def row(table, **where):
    for name, value in where.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_accuracy():
    clean = {
        "model": ["b"] * 4 + ["a"],
        "label": [1, 2, 3, 4, 5],
        "predicted": [1, 2, 3, 0, -1],
        "top5": [True] * 4 + [False],
    }
    clean = pd.DataFrame(clean | {"invalid": [False] * 4 + [True]})
    table = tables.accuracy(clean)
    assert table.iloc[:, :6].values.tolist() == [
        ["b", 4, 3, 75.0, 100.0, 25.0],
        ["a", 1, 0, 0.0, 0.0, 100.0],
    ]
    assert table["invalid"].tolist() == [0, 1]
    low, high = rate_interval(np.array([3, 0]), np.array([4, 1]))
    np.testing.assert_allclose(
        table[["top1_percent_low", "top1_percent_high"]], 100 * np.c_[low, high]
    )
    np.testing.assert_allclose(
        table[["error_percent_low", "error_percent_high"]], 100 - 100 * np.c_[high, low]
    )
    assert tables.accuracy(clean, ["a", "absent", "b"])["model"].tolist() == ["a", "b"]


def test_robustness_is_over_successes_with_population_deviation():
    distances = np.array([3.0, 4.0, np.nan, 8.0, np.nan])
    failed = {
        "near_tie": [False, False, True, False, False],
        "revoked": [False, False, True, False, True],
    }
    found = row(tables.robustness(examples(distances, **failed, gradients=[1, 2, 3, 4, 5])))
    assert (
        found["n"],
        found["successes"],
        found["failures"],
        found["near_ties"],
        found["revoked"],
    ) == (5, 3, 2, 1, 2)
    assert found["success_rate"] == 0.6
    for distance in ("l0", "l1", "l2", "linf", "l2_per_pixel"):
        assert found[f"{distance}_mean"] == 5.0
        assert found[f"{distance}_std"] == pytest.approx(2.160246899469287)  # sqrt((4 + 1 + 9) / 3)
        assert found[f"{distance}_median"] == 4.0
        low, high = mean_intervals(np.array([[3.0], [4.0], [8.0]]))
        assert (found[f"{distance}_mean_low"], found[f"{distance}_mean_high"]) == (low[0], high[0])
    assert (found["success_rate_low"], found["success_rate_high"]) == pytest.approx(
        rate_interval(3, 5)
    )
    assert (found["gradients_mean"], found["forwards_mean"]) == (3.0, 2.0)  # failures included


def test_intervals_do_not_depend_on_the_order_of_groups():
    values = np.random.default_rng(0).lognormal(size=(3, 30))
    rows = [examples(values[number], model=model) for number, model in enumerate("abc")]
    one, other = (
        tables.robustness(pd.concat(rows)),
        tables.robustness(pd.concat(rows[::-1]), ["a", "b", "c"]),
    )
    pd.testing.assert_frame_equal(one, other)


def test_robustness_without_success_has_no_distance():
    found = row(tables.robustness(examples(np.full(4, np.nan))))
    assert (found["n"], found["successes"], found["failures"], found["success_rate"]) == (
        4,
        0,
        4,
        0.0,
    )
    assert (
        found[[f"l2_{what}" for what in ("mean", "std", "median", "mean_low", "mean_high")]]
        .isna()
        .all()
    )
    assert found["success_rate_low"] == 0 and 0 < found["success_rate_high"] < 1


def test_means_are_taken_in_double_precision():
    found = row(tables.robustness(examples(np.r_[2.0**24, np.ones(2**12)])))
    assert found["l2_mean"] == (2**24 + 2**12) / (2**12 + 1)


def test_transfer_treats_failed_sources_in_three_ways():
    found = row(tables.transfer(shown()))
    assert (found["n_released"], found["n_left_out"], found["n_as_failures"]) == (5, 3, 5)
    assert found["released"] == 1 / 5
    assert found["left_out"] == 1 / 3
    assert found["as_failures"] == 1 / 5
    assert (found["released_top5"], found["left_out_top5"], found["as_failures_top5"]) == (
        4 / 5,
        2 / 3,
        2 / 5,
    )
    for treatment, fooled, n in (("released", 1, 5), ("left_out", 1, 3), ("as_failures", 1, 5)):
        assert (found[f"{treatment}_low"], found[f"{treatment}_high"]) == pytest.approx(
            rate_interval(fooled, n)
        )


def test_transfer_untargeted_has_no_top_five():
    found = row(
        tables.transfer(
            shown(target_kind="untargeted", released_success=[True, False, True, True, False, True])
        )
    )
    assert (found["released"], found["left_out"], found["as_failures"]) == (3 / 5, 1 / 3, 1 / 5)
    assert found[[f"{treatment}_top5" for treatment in tables.TREATMENTS]].isna().all()


def test_transfer_over_nothing_is_nan():
    found = row(tables.transfer(shown(attacked=False)))
    assert found["n_released"] == found["n_left_out"] == 0
    assert (
        np.isnan(found["released"])
        and np.isnan(found["left_out"])
        and np.isnan(found["as_failures"])
    )
    found = row(tables.transfer(shown(source_success=False)))
    assert np.isnan(found["left_out"]) and found["as_failures"] == 0 and found["n_left_out"] == 0


def test_matrix_has_sources_in_rows_and_white_box_on_the_diagonal():
    pairs = pd.concat([shown(), shown(source="b", model="c")])
    own = pd.concat(
        [
            examples([1.0, 2.0, np.nan, np.nan], model="a", setting=""),
            examples([1.0], model="b", setting=""),
        ]
    )
    other = examples([np.nan], model="a", setting="confidence=5")
    matrix = tables.transfer_matrix(
        pairs,
        pd.concat([own, other]),
        attack="cw",
        setting="",
        target_kind="random",
        treatment="left_out",
        order=["c", "b", "a"],
    )
    assert list(matrix.index) == list(matrix.columns) == ["c", "b", "a"]
    assert (matrix.index.name, matrix.columns.name) == ("source", "model")
    nan = np.nan
    np.testing.assert_array_equal(
        matrix.to_numpy(), [[nan, nan, nan], [1 / 3, 1.0, nan], [nan, 1 / 3, 0.5]]
    )
    with pytest.raises(InputError, match="unknown treatment 'relesed'; did you mean 'released'"):
        tables.transfer_matrix(
            pairs, own, attack="cw", setting="", target_kind="random", treatment="relesed"
        )


def test_clever():
    scores = pd.DataFrame(
        {
            "model": "m",
            "target_kind": "random",
            "norm": "2",
            "score": np.float32([1, 2, 3, 6]),
            "shape": [2.0, np.nan, 2.0, 2.0],
            "p_value": [0.5, np.nan, 0.0005, 0.1],
        }
    )
    found = row(tables.clever(scores))
    assert (
        found["n"] == 4
        and found["score_mean"] == 3.0
        and found["score_median"] == 2.5
        and found["score_min"] == 1.0
    )
    assert found["score_std"] == pytest.approx(1.8708286933869707)  # sqrt((4 + 1 + 0 + 9) / 4)
    assert found["fell_back"] == 0.5  # one without a fit, one with p below 0.001
    assert found["p_value_mean"] == pytest.approx(0.6005 / 3)
    low, high = mean_intervals(np.array([[1.0], [2.0], [3.0], [6.0]]))
    assert (found["score_mean_low"], found["score_mean_high"]) == (low[0], high[0])


def test_law():
    error = pd.DataFrame(
        {"model": list("abcde"), "error_percent": [100.0, 100 / np.e, 100 / np.e**2, 0.0, 50.0]}
    )
    distances = {
        "a": 0.06,
        "b": 0.031,
        "c": 0.002,
        "d": 0.001,
        "e": 0.01,
        "f": 9.0,
    }  # d: no error, so no logarithm; f: no error known
    own = tables.robustness(
        pd.concat([examples(np.full(3, value), model=model) for model, value in distances.items()])
    )
    fgsm = tables.robustness(examples(np.ones(3), attack="fgsm", model="a"))  # minimises nothing
    scores = pd.DataFrame(
        {
            "model": ["a", "b"],
            "target_kind": "random",
            "norm": "inf",
            "score": 1.0,
            "shape": 2.0,
            "p_value": 0.5,
        }
    )
    table = tables.law(error, pd.concat([fgsm, own]), tables.clever(scores))
    assert table["fitted"].tolist() == ["frontier", "all"] * 2
    found = row(table, attack="cw", fitted="frontier")
    assert (found["distance"], found["target_kind"], found["setting"]) == (
        "l2",
        "random",
        "confidence=0",
    )
    assert (found["models"], found["frontier"]) == (3, "a, b, c, d")
    # 0.06 + 0.029 ln(error); distances are float32 rows
    assert found[["intercept", "slope", "r_squared"]].tolist() == pytest.approx(
        [0.06, 0.029, 1.0], rel=1e-6
    )
    everyone = row(table, attack="cw", fitted="all")
    known = stats.linregress(np.log([1, np.exp(-1), np.exp(-2), 0.5]), [0.06, 0.031, 0.002, 0.01])
    assert everyone["models"] == 4 and everyone["slope"] == pytest.approx(known.slope, rel=1e-6)
    assert everyone["slope_high"] == pytest.approx(
        known.slope + stats.t.ppf(0.975, 2) * known.stderr, rel=1e-5
    )
    found = row(table, attack="clever", fitted="frontier")
    assert (found["distance"], found["frontier"], found["models"]) == ("linf", "b", 1) and np.isnan(
        found["slope"]
    )


def test_rows_of_tables_are_in_the_study_s_order():
    values = {
        "d": (10.0, 0.002),
        "c": (2.0, 0.002),
        "b": (2.0, 0.01),
        "a": (2.0, 1e-05),
    }  # labels say nothing
    every = [
        (attack, setting, model) for attack in ("ead", "cw") for setting in values for model in "ba"
    ]
    rows = [
        examples(
            [1.0],
            attack=attack,
            setting=setting,
            model=model,
            confidence=values[setting][0],
            learning_rate=values[setting][1],
        )
        for attack, setting, model in every
    ]
    rows.append(examples([1.0], attack="fgsm", setting="", target_kind="top2", model="b"))
    rows.append(examples([1.0], attack="fgsm", setting="", target_kind="untargeted", model="b"))
    table = tables.robustness(pd.concat(rows), ["a", "b"])
    assert table["attack"].tolist() == ["fgsm"] * 2 + ["cw"] * 8 + ["ead"] * 8
    assert table["target_kind"].tolist()[:2] == ["untargeted", "top2"]
    assert table["setting"].tolist()[2:10:2] == ["a", "c", "b", "d"]
    assert table["model"].tolist()[2:6] == ["a", "b", "a", "b"]


def test_the_run_s_robustness(synthetic_run):
    table = tables.robustness(synthetic_run.read("examples"), MODELS)
    assert len(table) == 36 and table["model"].tolist()[:6] == MODELS
    found = row(table, model="resnet_v2_50", attack="cw", target_kind="random")
    assert (found["n"], found["successes"], found["success_rate"]) == (12, 9, 0.75)
    assert found["l2_mean"] == pytest.approx(0.6) and found["l2_median"] == pytest.approx(0.6)
    assert found["l2_std"] == pytest.approx(0.2449489742783178)  # 0.3 * sqrt(2 / 3)
    assert found["l2_per_pixel_mean"] == pytest.approx(0.6 / 3072)
    assert (found["l0_mean"], found["gradients_mean"], found["forwards_mean"]) == (
        1100.0,
        115.0,
        9.0,
    )
    found = row(table, model="vgg_16", attack="fgsm", setting="eps=0.05")
    assert (found["successes"], found["failures"], found["linf_mean"]) == (
        3,
        9,
        pytest.approx(0.05),
    )
    found = row(table, model="alexnet", attack="ead")
    assert (found["success_rate"], found["near_ties"]) == (0.0, 1) and np.isnan(found["l1_mean"])


def test_the_run_s_transfer(synthetic_run):
    shown_rows, attempts = synthetic_run.read("transfer"), synthetic_run.read("examples")
    released = tables.transfer_matrix(shown_rows, attempts, **PANEL, order=MODELS)
    assert released.shape == (6, 6) and list(released.columns) == MODELS
    assert np.diag(released).tolist() == [0.75] * 6
    # 3, 7 and 11 have no image and count as fooled, and so do 0 and, as alexnet comes before
    # vgg_16, 1.
    assert released.loc["vgg_16", "alexnet"] == 5 / 12
    # 11 is wrong when clean; 0, 3 and 7 are left
    assert released.loc["alexnet", "vgg_16"] == 3 / 11
    assert (
        tables.transfer_matrix(shown_rows, attempts, **PANEL, treatment="left_out").loc[
            "vgg_16", "alexnet"
        ]
        == 2 / 9
    )
    assert (
        tables.transfer_matrix(shown_rows, attempts, **PANEL, treatment="as_failures").loc[
            "alexnet", "vgg_16"
        ]
        == 1 / 11
    )
    found = row(
        tables.transfer(shown_rows),
        source="alexnet",
        model="vgg_16",
        attack="cw",
        target_kind="random",
    )
    # 3 is fooled but has no image; top-5 adds 4
    assert (found["released"], found["n_released"], found["n_left_out"]) == (1 / 11, 11, 9)
    assert (found["released_top5"], found["left_out_top5"]) == (2 / 11, 2 / 9)
    found = row(tables.transfer(shown_rows), source="alexnet", model="vgg_16", attack="fgsm")
    assert found["released"] == 2 / 11  # FGSM always has an image: 0 and 3


def test_every_column_is_explained(synthetic_views):
    computed = synthetic_views.made
    stated = {MODELS[0]: {"published": {"top1_percent": 70.0}}}
    made = [
        with_published(computed.accuracy, {"weights": stated}),
        computed.robustness,
        computed.clever,
        computed.transfer,
        computed.law,
        *synthetic_views.study.values(),
        *synthetic_views.robust.tables().values(),
    ]
    used = {name for table in made for name in table}
    assert used == set(COLUMNS)
    for name, column in COLUMNS.items():
        assert column.type in ("text", "count", "number") and column.meaning.endswith("."), name
        values = next(table[name] for table in made if name in table)
        assert pd.api.types.is_numeric_dtype(values) == (column.type != "text"), name
        assert pd.api.types.is_integer_dtype(values) == (column.type == "count"), name


def test_what_a_run_s_tables_are_computed_from(synthetic_run):
    """Part by part, in little memory, is the same as from all rows."""
    made = tables.compute(synthetic_run)
    read = {kind: synthetic_run.read(kind) for kind in ("clean", "examples", "clever", "transfer")}
    pd.testing.assert_frame_equal(made.accuracy, tables.accuracy(read["clean"], MODELS))
    pd.testing.assert_frame_equal(made.robustness, tables.robustness(read["examples"], MODELS))
    pd.testing.assert_frame_equal(made.clever, tables.clever(read["clever"], MODELS))
    pd.testing.assert_frame_equal(made.transfer, tables.transfer(read["transfer"], MODELS))
    pd.testing.assert_frame_equal(made.law, tables.law(made.accuracy, made.robustness, made.clever))
    matrix = tables.transfer_matrix(read["transfer"], read["examples"], **PANEL, order=MODELS)
    pd.testing.assert_frame_equal(
        made.matrices[tables.Panel("cw", "untargeted", "confidence=0")], matrix
    )
    assert made.order == MODELS and list(made.matrices) == tables.panels(made.transfer)
    assert list(made.counts.values()) == [6, 24, 6 * 6 * 12, 6 * 3 * 8, 6 * 5 * 3 * 12]


def test_a_pair_may_be_in_several_parts(tmp_path):
    run = Run.begin(tmp_path)
    for part, rows in (("a", full(shown()).iloc[:2]), ("b", full(shown()).iloc[2:])):
        run.append("transfer", rows, part=part)
    pd.testing.assert_frame_equal(tables.compute(run).transfer, tables.transfer(shown()))


def test_empty_rows_make_empty_tables(tmp_path):
    run = Run(tmp_path)
    assert tables.accuracy(run.read("clean")).empty
    assert tables.clever(run.read("clever")).empty
    own, pairs = tables.robustness(run.read("examples")), tables.transfer(run.read("transfer"))
    assert (
        own.empty
        and pairs.empty
        and "l2_mean" in own
        and "left_out" in pairs
        and tables.panels(pairs) == []
    )
    assert tables.write_all(run, tmp_path / "tables") == [] and not (tmp_path / "tables").exists()


def test_files(synthetic_run, tmp_path):
    written = tables.write_all(synthetic_run, tmp_path)
    names = [
        "accuracy",
        "clever",
        "law",
        "robustness",
        "transfer",
    ]  # transfer, a row a pair, is long: as .csv only
    names += [
        f"transfer_{how}"
        for how in (
            "cw_random_confidence_0",
            "cw_untargeted_confidence_0",
            "fgsm_untargeted_eps_0.3",
        )
    ]
    files = [
        f"{name}{end}"
        for name in names
        for end in (".csv", ".md", ".tex")
        if end == ".csv" or name != "transfer"
    ]
    assert sorted(path.name for path in written) == sorted(files)
    assert sorted(tmp_path.iterdir()) == sorted(written)
    lines = (tmp_path / "accuracy.csv").read_text().splitlines()
    intervals = "top1_percent_low,top1_percent_high,error_percent_low,error_percent_high"
    assert (
        lines[0]
        == f"model,images,correct,top1_percent,top5_percent,error_percent,{intervals},invalid"
    )
    assert (
        lines[1] == "alexnet,24,24,100,100,0,86.20238,100,0,13.79762,0"
    )  # Wilson: 24 / (24 + 1.959964^2)
    assert lines[-1].startswith("mobilenet_v1_100,24,19,79.16667,83.33333,20.83333,")
    matrix = pd.read_csv(tmp_path / "transfer_cw_untargeted_confidence_0.csv", index_col="source")
    assert list(matrix) == list(matrix.index) == MODELS and matrix.loc[
        "vgg_16", "alexnet"
    ] == pytest.approx(5 / 12, abs=1e-6)
    lines = (tmp_path / "transfer_cw_untargeted_confidence_0.md").read_text().splitlines()
    assert re.sub(" +", " ", lines[2]).startswith("| alexnet | 75.0 % | 27.3 % | 33.3 % |")
    failed = pd.read_csv(tmp_path / "robustness.csv").query("attack == 'ead'")
    assert failed["l2_mean"].isna().all()


def test_markdown_is_aligned_and_safe():
    table = pd.DataFrame(
        {
            "model": ["a|b\nc", "d\\"],
            "n": [7, 12345],
            "success_rate": [0.5, np.nan],
            "l2_mean": [12.345, 2.2e-6],
        }
    )
    assert tables.markdown(table, list(table)).splitlines() == [
        r"| model  |     n | success_rate | l2_mean |",
        r"| ------ | ----: | -----------: | ------: |",
        r"| a\|b c |     7 |       50.0 % |    12.3 |",
        r"| d\\    | 12345 |            – | 2.20e-6 |",
    ]


def test_file_names_are_safe_and_distinct(tmp_path):
    run = Run.begin(tmp_path / "run")
    settings = ["../../up", "a/b", "a:b", "A b", "", "x" * 300]
    run.append(
        "transfer", pd.concat([full(shown(setting=setting)) for setting in settings]), part="all"
    )
    written = tables.write_all(run, tmp_path / "tables")
    assert all(path.parent == tmp_path / "tables" for path in written)
    stems = {path.stem.lower() for path in written}
    assert len(stems) == 1 + len(settings) == (len(written) + 2) / 3 and all(
        re.fullmatch(r"[a-z0-9._-]{1,110}", stem) for stem in stems
    )
    assert "transfer_cw_random" in stems


def full(rows):
    return rows.assign(image_id=range(len(rows)), label=1, target=2, clean_predicted=1, predicted=2)


def test_a_model_may_have_any_name(tmp_path):
    run = Run.begin(tmp_path)
    run.append("transfer", full(shown(source="source", model="n")), part="all")
    tables.write_all(run, tmp_path / "tables")
    assert (
        tmp_path / "tables" / "transfer_cw_random.csv"
    ).read_text() == "source,source,n\nsource,,0.2\nn,,\n"


@pytest.mark.parametrize(
    "name, value, text",
    [
        ("success_rate", 0.87499, "87.5 %"),
        ("top1_percent", 100.0, "100.0 %"),
        ("n", np.int64(1234), "1234"),
        ("l2_mean", np.nan, "–"),
        ("score_mean", np.inf, "∞"),
        ("setting", "eps=0.1", "eps=0.1"),
    ],
)
def test_values_are_printed_by_their_column(name, value, text):
    assert show(name, value) == text


@pytest.mark.parametrize(
    "value, text",
    [
        (0.0, "0"),
        (0.5, "0.500"),
        (0.09996, "0.100"),
        (9.996, "10.0"),
        (99.94, "99.9"),
        (99.96, "100"),
        (999.6, "1000"),
        (123456.7, "123457"),
        (0.001, "0.00100"),
        (0.00099999, "0.00100"),
        (0.000999, "9.99e-4"),
        (2.213e-6, "2.21e-6"),
        (9.999e-6, "1.00e-5"),
        (-0.25, "-0.250"),
    ],
)
def test_three_digits(value, text):
    assert three_digits(value) == text
