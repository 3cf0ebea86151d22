"""Figures: names that cover nothing, sweeps and densities worked out by hand, files that are the
same each time.
"""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from jaxadv.analysis import families
from jaxadv.report import measures, tables
from jaxadv.report.figures import canvas, pictures, sweeps, weibull
from jaxadv.report.figures.labels import overlap, place
from jaxadv.report.figures.scatter import scatter
from jaxadv.report.figures.transfer_map import transfer_map
from jaxadv.report.heat import luminance
from jaxadv.report.names import file_name
from jaxadv.report.settings import RunSettings
from jaxadv.report.views import chosen

MODELS = (
    "alexnet vgg_16 vgg_19 inception_v1 inception_v2 inception_v3 inception_v4 "
    "inception_resnet_v2 resnet_v2_50 resnet_v2_101 "
    "resnet_v2_152 densenet121_k32 densenet169_k32 densenet161_k48 mobilenet_v1_025 "
    "mobilenet_v1_050 mobilenet_v1_100 nasnet_large"
).split()


def measure(seed: int, crowded: bool) -> measures.Measure:
    """18 models at random, or most of them at nearly one place."""
    draw = np.random.default_rng(seed)
    wrong = draw.integers(8, 12, 18) if crowded else draw.integers(0, 60, 18)
    mean = 0.5 + 0.01 * draw.normal(size=18) if crowded else draw.lognormal(-1, 0.6, 18)
    rows = {
        "model": MODELS,
        "attack": "cw",
        "setting": "confidence=0",
        "target_kind": "random",
        "n": 24,
        "successes": 24,
        "failures": 0,
    }
    robustness = pd.DataFrame(
        rows | {"l2_mean": mean, "l2_mean_low": 0.9 * mean, "l2_mean_high": 1.2 * mean}
    )
    accuracy = pd.DataFrame({"model": MODELS, "images": 500, "error_percent": wrong / 5})
    clever = tables.clever(
        pd.DataFrame(columns=["model", "target_kind", "norm", "score", "shape", "p_value"])
    )
    (found,) = measures.measures(
        accuracy, robustness, clever, tables.law(accuracy, robustness, clever)
    )
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("crowded", [False, True])
def test_names_cover_no_other_name_and_no_point_and_stay_inside(seed, crowded):
    with canvas.look():
        figure = scatter(measure(seed, crowded))
        (axes,) = figure.axes
        figure.draw_without_rendering()
        names = [text for text in axes.texts if text.get_label() == "_name"]
        boxes = np.array([text.get_window_extent().extents for text in names])
        frame = axes.get_window_extent().extents
        points = np.array(
            [
                line.get_xydata()[0]
                for line in axes.lines
                if line.get_marker() not in ("None", "", None)
            ]
        )
        points = axes.transData.transform(points)
    assert sorted(text.get_text() for text in names) == sorted(MODELS) and len(points) == 18
    covered = overlap(boxes, boxes)
    np.fill_diagonal(covered, 0)
    assert (covered == 0).all()
    assert (boxes[:, :2] >= frame[:2]).all() and (boxes[:, 2:] <= frame[2:]).all()
    assert (overlap(boxes, np.concatenate([points, points], axis=1) + [-1, -1, 1, 1]) == 0).all()


def test_a_name_that_fits_nowhere_is_left_out():
    corners = place([(5, 5), (6, 6)], [(100, 10), (3, 1)], bounds=(0, 0, 20, 20), radius=1)
    assert np.isnan(corners[0]).all() and not np.isnan(corners[1]).any()
    assert place([], [], bounds=(0, 0, 1, 1), radius=1).shape == (0, 2)


def test_the_frontier_and_the_law_are_those_of_the_table():
    rows = {
        "model": MODELS[:4],
        "attack": "ead",
        "setting": "",
        "target_kind": "random",
        "n": 9,
        "successes": 9,
        "failures": 0,
    }
    error = np.array([1.0, 10.0, 10.0, 50.0])
    mean = 3 + np.log(error / 100)
    mean[2] = 0.1  # as accurate as the second, and less robust
    robustness = pd.DataFrame(rows | {f"l1_mean{end}": mean for end in ("", "_low", "_high")})
    accuracy = pd.DataFrame({"model": MODELS[:4], "images": 100, "error_percent": error})
    clever = tables.clever(
        pd.DataFrame(columns=["model", "target_kind", "norm", "score", "shape", "p_value"])
    )
    (found,) = measures.measures(
        accuracy, robustness, clever, tables.law(accuracy, robustness, clever)
    )
    with canvas.look():
        (axes,) = scatter(found).axes
        (line,) = [line for line in axes.lines if line.get_label() == "_law"]
        marked = [
            line.get_ydata()[0]
            for line in axes.lines
            if line.get_markeredgecolor() == families.INK and len(line.get_ydata()) == 1
        ]
        (formula,) = [text.get_text() for text in axes.texts if text.get_label() == "_formula"]
        ticks = axes.get_xticklabels()
    assert found.frontier == [MODELS[0], MODELS[1], MODELS[3]] and marked == [
        mean[0],
        mean[1],
        mean[3],
    ]
    np.testing.assert_allclose(line.get_ydata(), 3 + np.log(line.get_xdata()))
    assert (
        formula
        == "L1 = 3 + 1 [1, 1] · ln(error), fitted to the 3 models on the frontier, R² = 1.00"
    )
    assert (
        "90 %" in [tick.get_text() for tick in ticks] and axes.get_xlim()[0] > axes.get_xlim()[1]
    )  # accuracy to the right


def test_sweeps_are_of_one_parameter_at_a_time():
    settings = ["eps=0.1,steps=10", "eps=0.2,steps=10", "eps=0.1,steps=30", "eps=0.2,steps=30"]
    rows = [
        ("ifgsm", setting, "random", model, 0.1 * place)
        for place, setting in enumerate(settings)
        for model in "ab"
    ]
    rows += [("cw", f"confidence={level}", "least", "a", 0.5) for level in (10, 2)] + [
        ("ead", "confidence=0", "least", "a", 1.0)
    ]
    table = pd.DataFrame(
        rows, columns=["attack", "setting", "target_kind", "model", "success_rate"]
    )
    values = [
        {"eps": eps, "steps": steps, "loss": "logit"} for steps in (10, 30) for eps in (0.1, 0.2)
    ]
    plain = {("ifgsm", setting): value for setting, value in zip(settings, values, strict=True)}
    plain |= {
        (attack, f"confidence={level}"): {"confidence": float(level)}
        for attack, level in (("cw", 2), ("cw", 10), ("ead", 0))
    }
    found = sweeps.swept(table, RunSettings(plain))
    assert [sweep.stem for sweep in found] == [
        "sweep_ifgsm_eps",
        "sweep_ifgsm_steps",
        "sweep_cw_confidence",
    ]
    assert [title for title, _ in found[0].panels] == [
        "random target · steps=10",
        "random target · steps=30",
    ]
    line = found[0].panels[1][1].query("model == 'a'")
    assert line["value"].tolist() == [0.1, 0.2] and line["success_rate"].tolist() == pytest.approx(
        [0.2, 0.3]
    )
    assert (
        found[2].panels[0][1]["value"].tolist() == [2, 10]
        and found[2].panels[0][0] == "least-likely target"
    )
    with canvas.look():
        figure = sweeps.sweep_figure(found[1])
        lines = figure.axes[1].lines
    assert [list(line.get_ydata()) for line in lines] == [pytest.approx([10, 30])] * 2


def test_a_sweep_names_models_that_its_last_panel_lacks_and_shows_others_in_grey():
    names = {"untargeted": ["vgg_16", "vgg_19", "alexnet"], "random target": ["vgg_16", "alexnet"]}
    panels = []
    for title, models in names.items():
        rates = np.linspace(0, 1, 6)[: 2 * len(models)]
        panels.append(
            (
                title,
                pd.DataFrame(
                    {
                        "model": np.repeat(models, 2),
                        "value": [0.1, 0.2] * len(models),
                        "success_rate": rates,
                    }
                ),
            )
        )
    with canvas.look():
        figure = sweeps.sweep_figure(sweeps.Sweep("fgsm", "eps", panels))
        named = {
            text.get_text() for axes in figure.axes[-2:] for text in axes.get_legend().get_texts()
        }
        (grey,) = figure.axes[0].collections
    assert named == {"alexnet", "vgg_16", "vgg_19"}
    np.testing.assert_allclose(
        grey.get_segments(), [[[0.1, 0], [0.2, 20]], [[0.1, 40], [0.2, 60]]]
    )  # the VGGs, behind AlexNet


def pictures_of_one_attack():
    image = {"size": 2, "clean": [0.5] * 12, "adversarial": [0.6] * 12, "success": True}
    how = {"model": "vgg_16", "attack": "ifgsm_search", "target_kind": "untargeted"}
    row = how | image | {"setting": "initial_eps=0.02", "label": 3, "predicted": 4}
    return pictures.pictures_figure(pd.DataFrame([row]), ["vgg_16"])


def sweep_of_one_family():
    line = pd.DataFrame({"model": "mine", "value": [1.0, 2.0], "success_rate": 0.5})
    return sweeps.sweep_figure(
        sweeps.Sweep("robust_long_name_of_an_attack", "initial_eps", [("", line)])
    )


@pytest.mark.parametrize("draw", [pictures_of_one_attack, sweep_of_one_family])
def test_long_titles_stay_within_a_narrow_figure(draw):
    with canvas.look():
        figure = draw()
        figure.draw_without_rendering()
        texts = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
        bold = [text for text in texts if text.get_fontweight() == "bold"]
        boxes = np.array([text.get_window_extent().extents for text in bold])
    assert len(bold) and (boxes >= 0).all() and (boxes[:, 2:] <= figure.bbox.extents[2:]).all()
    assert sum(text.get_text().count("\n") + 1 for text in bold) > 1  # or the test shows nothing
    for upper, lower in zip(boxes, boxes[1:], strict=False):
        assert lower[3] <= upper[1] + 1  # lines do not cover one another


def test_density_is_scipy_s():
    values = np.linspace(0, 6, 50)
    expected = stats.weibull_max.pdf(values, 2.5, loc=5, scale=1.5)
    np.testing.assert_allclose(
        weibull.density(values, shape=2.5, location=5, scale=1.5), expected, rtol=1e-12
    )


def test_fits_are_of_three_models_and_say_where_there_is_none():
    p_values = [0.9, np.nan, 0.2, 0.5]
    rows = [
        (f"m{m}", image, 3, "random", "2", float(m), p_values[image])
        for m in range(5)
        for image in range(4)
    ]
    picked = chosen(
        pd.DataFrame(
            rows, columns=["model", "image_id", "target", "target_kind", "norm", "score", "p_value"]
        )
    )
    assert picked["model"].tolist() == ["m0"] * 3 + ["m2"] * 3 + ["m4"] * 3
    assert picked["image_id"].tolist() == [1, 3, 0] * 3
    fitted = np.isfinite(picked["p_value"])
    fit = {
        name: np.where(fitted, value, np.nan)
        for name, value in (("shape", 2.0), ("location", 4.0), ("scale", 1.0))
    }
    picked = picked.assign(**fit, lipschitz=4.0, maxima=[[1.0, 2.0, 3.0]] * 9)
    with canvas.look():
        figure = weibull.weibull_figure(picked)
        titles = [axes.get_title(loc="left") for axes in figure.axes]
        curves = [
            len([line for line in axes.lines if len(line.get_xdata()) > 2]) for axes in figure.axes
        ]
    assert titles[:3] == [
        "image 1 → 3\nno acceptable fit: the largest maximum is used",
        "image 3 → 3\nshape 2, p = 0.50",
        "image 0 → 3\nshape 2, p = 0.90",
    ]
    assert curves == [0, 1, 1] * 3


def test_differences_are_amplified_around_grey():
    clean, changed = np.full((1, 1, 3), 0.4, np.float32), np.array([[[0.4, 0.42, 0.3]]], np.float32)
    np.testing.assert_allclose(
        pictures.amplified(clean, changed, 10)[0, 0], [0.5, 0.7, 0.0], atol=1e-6
    )
    rows = pd.DataFrame(
        {
            "clean": [clean.ravel()] * 3,
            "adversarial": [clean.ravel() + np.float32(step) for step in (0.1, 0.04, 0.0)],
        }
    )
    assert (
        pictures.amplification(rows) == 5
    )  # the median of 0.1 and 0.04, times 5, is the most below a half
    assert pictures.amplification(rows.iloc[2:]) == 1


def test_maps_have_a_number_a_cell_up_to_forty_models():
    for models, numbers in ((40, True), (41, False)):
        names = [f"m{number}" for number in range(models)]
        with canvas.look():
            axes = transfer_map(pd.DataFrame(np.eye(models), names, names), "title").axes[0]
            drawn = sum(len(shape.get_offsets()) for shape in axes.collections[1:])
        assert drawn == (models**2 if numbers else 0)


def test_files_do_not_depend_on_the_user_s_settings_or_the_time():
    import matplotlib

    line = pd.DataFrame({"model": "a$b$", "value": [1.0, 2.0], "success_rate": 0.5})

    def draw():
        return sweeps.sweep_figure(sweeps.Sweep("fgsm", "eps", [("", line)]))

    first = canvas.render(draw)
    with matplotlib.rc_context({"font.size": 20, "svg.hashsalt": None, "text.usetex": False}):
        assert canvas.render(draw) == first
        assert matplotlib.rcParams["font.size"] == 20
    assert first["png"].startswith(b"\x89PNG") and b"<dc:date>" not in first["svg"]


def test_families_are_the_registry_s_and_stand_apart():
    from model_ports import registry

    assert [spec.name for spec in registry.MODELS] == MODELS
    assert all(families.family(spec.name) == spec.family for spec in registry.MODELS)
    assert families.family("mine") == "other"
    looks = list(families.LOOKS.values())
    assert (
        len({look.marker for look in looks}) == len({look.colour for look in looks}) == len(looks)
    )
    assert all(luminance(look.colour) < 0.45 for look in looks)  # visible on white
    assert families.grouped(["vgg_16", "alexnet", "vgg_19"]) == ["vgg_16", "vgg_19", "alexnet"]
    assert families.borders(["vgg_16", "vgg_19", "alexnet"]) == [2]


def test_file_names():
    assert file_name("transfer_cw_random_confidence=0", []) == "transfer_cw_random_confidence_0"
    names = [file_name(name, ["a_b"]) for name in ("a b", "a/b", "../a b", "x" * 300)]
    assert len(set(names)) == 4 and all(len(name) < 110 and "/" not in name for name in names)
