"""The page: whole, self-contained, safe, with the numbers worked out in conftest; and its
colours.
"""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from jaxadv.commands.report import main
from jaxadv.report import figures, heat, html, reading
from jaxadv.report.remake import remake
from jaxadv.report.script import POLICY
from jaxadv.report.views import views
from jaxadv.store.run import Run
from model_ports.errors import InputError

DRAWN = (
    "sweep_fgsm_eps",
    "accuracy_cw_random_confidence_0",
    "clever_fits",
)  # enough to see that figures find their place
SECTIONS = (
    *("findings", "models-compared", "accuracy-against-robustness", "robustness-curves"),
    *("robust-accuracy", "transfer", "statements", "analysis", "family-signature"),
    *("clever-fits", "all-numbers", "caveats", "columns", "what-was-run"),
)
ROBUST = 3
"""Tables of the section on robust accuracy. They are the first that have numbers."""
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Checks that tags nest, and collects what tests ask for."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.tables, self.words, self.scripts = [], [], [], [], []
        self.drawn = {"svg", "g", "path", "use", "defs", "clippath", "rect", "style", "title"}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append((attributes["class"], []))
        elif tag == "tr":
            self.tables[-1][1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][1][-1].append([tag, attributes, ""])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            self.scripts.append(data)
        else:
            self.words.append(data)
        if "table" in self.open and ("td" in self.open or "th" in self.open):
            self.tables[-1][1][-1][-1][2] += data

    def of_class(self, name):
        return [rows for kind, rows in self.tables if kind == name]


def texts(row):
    return [text for _, _, text in row]


@pytest.fixture(scope="module")
def text(synthetic_views, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    shown = synthetic_views
    some = [figure for figure in figures.planned(shown) if figure.stem in DRAWN]
    html.write(shown, path, figures.write_all(some, path.parent / "figures"))
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_caveats_speak_only_of_what_the_run_has(synthetic_views):
    digits = {"settings": {"data": "digits"}}
    whole = synthetic_views._replace(manifest=digits)
    text = reading.caveats(whole)
    assert "In a transfer map" in text and "in three ways" in text and "small networks" in text
    made = whole.made._replace(transfer=whole.made.transfer[:0])
    text = reading.caveats(whole._replace(made=made, models=["mine"]))
    assert "transfer" not in text and "small networks" not in text
    assert "attempts failed" in text and "not ImageNet" in text


def test_page_needs_nothing_else(text, page):
    assert text.startswith("<!doctype html>")
    assert not re.search(r"https?:|//[a-z]|@import|@font-face", text)
    assert all(place.startswith("#") for place in re.findall(r"url\(([^)]*)", text))
    tags = [tag for tag, _ in page.tags]
    assert (
        not set(tags) & {"iframe", "object", "embed", "base", "form"}
        and tags.count("script") == tags.count("link") == 1
    )
    for tag, attributes in page.tags:
        assert attributes.get("src", "data:").startswith("data:") and not {
            "srcset",
            "data",
            "onload",
            "onclick",
        } & set(attributes)
        assert tag == "a" or attributes.get("href", "#").startswith(("#", "data:"))
    assert ("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}) in page.tags
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    sections = ["#" + attributes["id"] for tag, attributes in page.tags if tag == "section"]
    assert links[: len(sections)] == sections == [f"#{name}" for name in SECTIONS]
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    used = re.findall(r'(?:href="|url\()#([^")]+)', text)
    assert set(used) <= set(identifiers)
    assert "prefers-color-scheme:dark" in text
    assert (
        "meta",
        {"name": "viewport", "content": "width=device-width, initial-scale=1"},
    ) in page.tags


def test_wide_tables_scroll_in_their_own_box(text):
    assert (
        len(re.findall("<table class=.(?:numbers|heat)", text))
        == len(re.findall('<div class="scroll" tabindex="0"[^>]*><table', text))
        > 10
    )


def test_what_was_run(page):
    about = {row[0][2]: row[1][2] for row in page.of_class("about")[0]}
    assert (
        about["models"]
        == "alexnet, vgg_16, resnet_v2_50, mobilenet_v1_025, mobilenet_v1_050, mobilenet_v1_100"
    )
    assert (about["data"], about["num images"], about["seed"], about["seconds"]) == (
        "digits",
        "24",
        "1215",
        "61.5",
    )
    assert about["FGSM"] == "eps=0.05; eps=0.3 (untargeted)"
    told = (
        "steps 1000, search steps 9, learning rate 0.002, initial const 0.01, abort early yes, "
        "warm start yes"
    )
    assert about["C&W L2"] == f"confidence=0 (untargeted, random target) · {told}"
    told = "batches 500, samples 1024, protocol released, method released"
    assert about["CLEVER"] == f"L1; L2; L∞ (random target) · {told}"
    everything = "".join(page.words)
    assert '"test_accuracy": 0.97' in everything
    for fact in (
        "6 models",
        "24 clean images",
        "432 attempts",
        "144 CLEVER scores",
        "1,080 transfer checks",
    ):
        assert fact in everything


def test_it_says_what_the_means_leave_out(page):
    words = "".join(page.words)
    for phrase in (
        "means over successful attempts",
        "near tie",
        "within 0.001",
        "image of NaN",
        "stays in the count",
    ):
        assert phrase in words


def test_findings(page):
    words = "".join(page.words)
    assert "alexnet is the most accurate (100.0 % [86.2, 100.0] of 24 clean images), " in words
    assert "mobilenet_v1_100 the least (79.2 % [59.5, 90.8])." in words
    assert (
        "mobilenet_v1_100 needs the largest mean L2, 1.20 [" in words
        and "(n 12, 3 failed); alexnet the smallest, 0.200 [" in words
    )
    assert "FGSM · eps=0.3 · untargeted: 75 % (n 12)" in words
    # 30 pairs: 15 with a later source fool 5 of 12 or 11 images, 15 with an earlier one 4 or 3 of
    # them
    assert (
        "C&W L2 · confidence=0 · untargeted transfers best: 3" in words
        and "With a target it is at most 1" in words
    )


def test_the_first_sentences(page, text):
    words = "".join(page.words)
    first = words[words.index("Most robust") : words.index("Every measure")]
    assert re.search(
        r"mobilenet_v1_100 by C&W L2, random target: mean L2 1\.20 \[.*\], before "
        r"mobilenet_v1_050 with 1\.00",
        first,
    )
    assert "alexnet is the most accurate with 100.0 %, and number 6 of 6 in robustness" in first
    assert "C&W L2 · confidence=0 · untargeted transfers best" in first
    assert (
        text.index('id="findings"')
        < text.index('id="models-compared"')
        < text.index("What was run</h2>")
    )


def test_overview(page):
    (rows,) = page.of_class("numbers overview")
    assert texts(rows[1])[:3] == ["mobilenet_v1_100", "MobileNet", "1 [1]"] and len(rows) == 7
    assert texts(rows[4])[:5] == [
        *("resnet_v2_50", "ResNet", "4 [4]"),
        *("91.7 % [74.2, 97.7]n 24", "75 % [47, 91]n 12, 3 failed"),
    ]
    assert re.fullmatch(r"0\.600 \[0\.\d+, \d\.\d+\]n 12, 3 failed", texts(rows[4])[6])
    assert texts(rows[1])[7] == "–n 12, 12 failed"  # EAD, where nothing succeeds
    values = [float(row[3][1]["data-v"]) for row in rows[1:]]
    assert values == pytest.approx(
        [100 * 19 / 24, 100 * 20 / 24, 87.5, 100 * 22 / 24, 100 * 23 / 24, 100]
    )
    assert [attributes["data-c"] for _, attributes, _ in rows[0]] == [
        str(number) for number in range(len(rows[1]))
    ]


def test_every_row_has_an_address(text):
    assert '<tr id="model/vgg_16">' in text and '<a href="#model/vgg_16">vgg_16</a>' in text
    assert '<tr id="row/cw/random/confidence=0/vgg_16">' in text
    assert '<tr id="accuracy/vgg_16">' in text and '<tr id="score/2/random/vgg_16">' in text
    targets = set(re.findall(r'data-to="([^"]*)"', text))
    assert len(targets) > 20 and targets <= set(re.findall(r'id="([^"]*)"', text))


def test_points_and_cells_say_their_numbers(text):
    titles = re.findall(r"<title>([^<]*)</title>", text[text.index("<svg") :])
    assert any(
        re.fullmatch(
            r"resnet_v2_50: mean L2 0\.600 \[.*\], n 12, 3 failed; top-1 91\.7 % of 24", title
        )
        for title in titles
    )
    assert "vgg_16, budget ε 0.05: success 25.0 % [8.9, 53.2], n 12" in titles


def test_numbers(page):
    tables = page.of_class("numbers")[ROBUST:]
    assert len(tables) == 1 + 4 + 1  # accuracy, four attacks, CLEVER
    assert texts(tables[0][-1]) == [
        "mobilenet_v1_100",
        "24",
        "19",
        "79.2 % [59.5, 90.8]",
        "83.3 %",
        "20.8 % [9.2, 40.5]",
    ]
    weiss = [
        texts(row) for row in tables[3]
    ]  # C&W: two header rows, and a heading before each kind of target
    assert weiss[2] == ["untargeted · confidence=0"] and weiss[9] == [
        "random target · confidence=0"
    ]
    found = [text.split(" [")[0] for text in weiss[12]]
    assert found == [
        *("resnet_v2_50", "12", "75.0 %", "3", "0"),
        *(
            "1100",
            "81.6",
            "1100",
            "6.00",
            "2.45",
            "6.00",
            "0.600",
            "0.245",
            "0.600",
            "0.0600",
            "0.0245",
            "0.0600",
        ),
        *("1.95e-4", "7.97e-5", "1.95e-4", "115", "9.00"),
    ]
    assert weiss[12][2] == "75.0 % [46.8, 91.1]" and re.fullmatch(
        r"0\.600 \[0\.\d+, \d\.\d+\]", weiss[12][11]
    )
    assert texts(tables[4][3])[:7] == [
        "alexnet",
        "12",
        "0.0 % [0.0, 24.2]",
        "12",
        "1",
        "–",
        "–",
    ]  # EAD, where nothing succeeds
    assert texts(tables[5][1]) == ["L1 · random target"]
    clever = [text.split(" [")[0] for text in texts(tables[5][2])]
    assert clever == ["alexnet", "8", "4.50", "4.50", "2.29", "1.00", "12.5 %", "0.429"]


def test_headings_carry_their_meaning_and_their_column(page):
    for rows in page.of_class("numbers"):
        heads = [
            attributes
            for row in rows
            for tag, attributes, _ in row
            if tag == "th" and attributes["scope"].startswith("col")
        ]
        assert heads and all(attributes["title"].endswith(".") for attributes in heads)
        places = [int(attributes["data-c"]) for attributes in heads if "data-c" in attributes]
        assert sorted(places) == list(range(len(rows[-1])))
    robustness = page.of_class("numbers")[ROBUST + 1]
    width = sum(int(attributes.get("colspan", 1)) for _, attributes, _ in robustness[0])
    assert width == len(robustness[3]) == 22


def test_signature_tells_its_rate_and_every_network(page, synthetic_views):
    """The last network of the made-up run is fooled equally often by all others, so that nothing
    can be told of it.
    """
    (rows,) = page.of_class("numbers signature")
    found = synthetic_views.study["signature"]
    assert [texts(row)[:4] for row in rows[1:]] == found[
        ["model", "family", "named", "nearest"]
    ].to_numpy().tolist()
    total = synthetic_views.study["signature_confusion"].iloc[-1]
    assert total["networks"] == 2 and "mobilenet_v1_100" not in set(
        found["model"]
    )  # of other families there is one network each
    assert (
        f"of the 2 whose family has another member, {total['right']} are named rightly"
        in " ".join(page.words)
    )


def test_figures_follow_the_page_and_are_described(text, page):
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert [attributes["aria-label"] for attributes in drawings] == [
        "C&W L2 · random target · confidence=0: robustness against accuracy",
        "FGSM: success rate against budget ε",
        "CLEVER: fitted densities over histograms of batch maxima",
    ]
    body = "".join(re.findall("<svg.*?</svg>", text, re.DOTALL))
    assert "var(--ink)" in body and "var(--card)" in body and not re.search("#1c1f24|#ffffff", body)


def test_heat_maps(page):
    captions = [
        attributes for tag, attributes in page.tags if tag == "figcaption" and not attributes
    ]  # a chart's is of another class
    maps = page.of_class("heat")
    assert (
        len(captions) == 3 and len(maps) == 8
    )  # released, left out and as failures; targeted, the last is the first
    assert all(len(rows) == 7 and all(len(row) == 7 for row in rows) for rows in maps)
    words = "".join(page.words)
    assert "C&W L2 · confidence=0 · untargeted" in words and "FGSM · eps=0.3 · untargeted" in words
    assert "as the study counts (released); n 11–12, white box 12" in words
    assert (
        "failed sources left out; n 8–9, white box 12" not in words
        and "failed sources left out; n 9, white box 12" in words
    )
    weiss = maps[3]  # FGSM's three come first
    assert texts(weiss[0])[1:3] == ["alexnet", "vgg_16"]
    assert texts(weiss[2]) == ["vgg_16", "42", "75", "33", "27", "33", "27"]
    assert weiss[2][1][1]["title"] == "vgg_16, shown to alexnet: 41.7 % [19.3, 68.0], n 12"
    assert weiss[2][2][1]["title"] == "vgg_16, white box: 75.0 % [46.8, 91.1], n 12"
    for number, cells in enumerate(weiss[1:], 1):
        own = [
            position
            for position, (_, attributes, _) in enumerate(cells)
            if "own" in attributes.get("class", "").split()
        ]
        assert own == [number]
    assert weiss[2][1][1]["class"] == "h42" and weiss[2][3][1]["class"].split() == [
        "h33",
        "gap",
    ]  # ResNet begins
    assert (
        f".h42{{background:{heat.colour(0.42)};color:{heat.text_colour(heat.colour(0.42))}}}"
        in heat.heat_style()
    )
    assert texts(maps[4][2])[1] == "22" and texts(maps[5][2])[1] == "17"  # 2 of 9, 2 of 12


def test_the_other_treatments_are_shown_only_where_they_differ(tmp_path):
    run = Run.begin(tmp_path)
    run.append("transfer", transfer(1, "a", "b"), part="a")
    html.write(views(run), tmp_path / "report.html", {})
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(Page(text).of_class("heat")) == 1 and "counted otherwise" not in text
    assert "Robustness of 2 classifiers" in text and "white box not run" in text
    assert 'id="transfer"' in text
    assert (
        'id="models-compared"' not in text
        and 'id="clever-fits"' not in text
        and 'id="all-numbers"' not in text
    )


def transfer(count, source, model):
    classes = {"label": 1, "target": -1, "clean_predicted": 1, "predicted": 2}
    verdicts = {
        name: True
        for name in (
            "attacked",
            "source_success",
            "success",
            "top5",
            "released_success",
            "released_top5",
        )
    }
    verdicts["invalid"] = False
    names = {
        "source": source,
        "model": model,
        "attack": "cw",
        "setting": "",
        "target_kind": "untargeted",
    }
    return pd.DataFrame({"image_id": range(count), **classes, **verdicts, **names})


def test_every_text_is_escaped(tmp_path):
    evil = "<script>alert('x')</script>\"&<b"
    run = Run.begin(tmp_path / "run")
    example = {
        "model": evil,
        "attack": evil,
        "setting": evil,
        "target_kind": evil,
        "success": True,
        "near_tie": False,
        "revoked": True,
    }
    example |= {"invalid": False, "zero_gradient": True}
    whole = {
        name: 1 for name in ("image_id", "label", "target", "predicted", "gradients", "forwards")
    }
    real = {name: 0.5 for name in ("l0", "l1", "l2", "linf", "l2_per_pixel", "eps", "const")}
    run.append("examples", pd.DataFrame([example | whole | real]), part="all")
    clean = {
        "model": evil,
        "image_id": 0,
        "label": 1,
        "predicted": 1,
        "top5": True,
        "invalid": True,
    }
    run.append("clean", pd.DataFrame([clean]), part="all")
    fit = {
        name: 0.5
        for name in ("margin", "score", "lipschitz", "shape", "location", "scale", "ks", "p_value")
    }
    names = {
        "model": evil,
        "target_kind": evil,
        "norm": evil,
        "maxima": [1.0],
        "image_id": 0,
        "label": 1,
        "target": 2,
    }
    run.append("clever", pd.DataFrame([names | fit]), part="all")
    run.append(
        "transfer",
        transfer(2, evil, "b").assign(attack=evil, setting=evil, target_kind=evil),
        part="all",
    )
    run.write_manifest(
        {
            "models": [evil],
            evil: evil,
            "settings": {"data": evil, evil: [evil]},
            "deep": [{evil: evil}],
        }
    )
    picture = {name: evil for name in ("model", "attack", "setting", "target_kind")}
    classes = {"image_id": 0, "label": 1, "target": 2, "predicted": 1}
    pixels = {"success": True, "size": 1, "clean": [0.0] * 3, "adversarial": [1.0] * 3}
    run.append("adversarial", pd.DataFrame([picture | classes | pixels]), part="all")
    shown = views(run)
    html.write(
        shown,
        tmp_path / "report.html",
        figures.write_all(figures.planned(shown), tmp_path / "figures"),
    )
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert (
        [tag for tag, _ in page.tags].count("script") == 1
        and "<b&" not in text
        and "<script>alert" not in text
    )
    assert ">revoked</th>" in text  # a column that is shown where there are any
    assert "alert" not in page.scripts[0] and len(page.scripts) == 1
    assert "".join(page.words).count("alert('x')") > 10
    outside = [attributes for tag, attributes in page.tags if tag not in page.drawn]
    known = set(
        "class style title scope colspan rowspan id href rel lang charset name content role "
        "aria-label tabindex".split()
    )
    known |= {"http-equiv", "data-c", "data-v", "src", "alt", "width", "height", "viewbox"}
    known |= {"data-to", "aria-labelledby"}
    assert {name for attributes in outside for name in attributes} <= known
    drawn = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert len(drawn) == 3 * 4 and all(
        re.fullmatch(r"[\w.-]+\.(png|svg|txt)", name) for name in drawn
    )  # accuracy, map, fit, picture


def test_a_manifest_may_lack_anything(tmp_path):
    for number, manifest in enumerate(
        [{}, {"models": "a", "settings": [1]}, {"models": None, "x": {"y": None, "z": [True]}}]
    ):
        run = Run.begin(tmp_path / str(number))
        run.append("transfer", transfer(1, "b", "a"), part="b")
        run.write_manifest(manifest)
        html.write(views(run), tmp_path / "report.html", {})
        page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
        assert texts(page.of_class("heat")[0][0])[1:] == ["b", "a"]


def test_colours_grow_lighter_evenly_and_text_stands_out():
    shares = np.linspace(0, 1, 201)
    colours = [heat.colour(share) for share in shares]
    light = np.array([heat.luminance(colour) for colour in colours])
    assert (np.diff(light) > 0).all()
    lightness = (
        116 * np.cbrt(light) - 16
    )  # CIE L*, another measure of it than the scale is made with
    assert lightness[0] < 20 and lightness[-1] > 88
    steps = np.diff(lightness[::20])
    assert steps.max() < 1.6 * steps.min()
    for colour, background in zip(colours, light, strict=True):
        text = heat.luminance(heat.text_colour(colour))
        high, low = max(text, background) + 0.05, min(text, background) + 0.05
        assert high / low >= 4.5  # WCAG AA
    assert heat.colour(-1) == heat.colour(0) and heat.colour(2) == heat.colour(1)


def test_luminance_of_known_colours():
    assert heat.luminance("#ffffff") == pytest.approx(1.0) and heat.luminance("#000000") == 0.0
    assert heat.luminance("#808080") == pytest.approx(0.2158605)
    assert heat.text_colour("#ffff00") == "#000000" and heat.text_colour("#000080") == "#ffffff"


@pytest.mark.parametrize(
    "share, text",
    [
        (0.0, "0"),
        (0.001, "<1"),
        (0.006, "1"),
        (0.456, "46"),
        (0.994, "99"),
        (0.999, ">99"),
        (1.0, "100"),
        (np.nan, "–"),
    ],
)
def test_percent_never_claims_all_or_nothing_wrongly(share, text):
    assert heat.percent(share) == text


@pytest.mark.long
def test_report_command_makes_the_same_again_without_jax(synthetic_run, tmp_path, capsys):
    page = synthetic_run.directory / "report.html"
    main(SimpleNamespace(out=str(synthetic_run.directory), figures=None, progress=False))
    assert (synthetic_run.directory / "tables" / "robustness.csv").exists()
    drawn = {path: path.read_bytes() for path in (synthetic_run.directory / "figures").iterdir()}
    assert (
        len(drawn) == 3 * (1 + 3 + 3 + 3 + 1 + 3 + 1 + 1)
        # a sweep, curves in three norms, three searches, CLEVER, three at once, maps, signature,
        # fits
    )
    assert capsys.readouterr().out == f"report: {page}\n"
    first = page.read_bytes()
    code = (
        "import sys; from jaxadv.report import remake as report; assert 'matplotlib' not in "
        f"sys.modules; report.remake({str(synthetic_run.directory)!r}); assert 'matplotlib.pyplot' "
        "not in sys.modules; assert 'jax' not in sys.modules"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert page.read_bytes() == first
    assert drawn == {
        path: path.read_bytes() for path in (synthetic_run.directory / "figures").iterdir()
    }


def test_report_without_a_run(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    for directory in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match="no run in .*evaluate makes one") as caught:
            remake(directory)
        assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]
    with pytest.raises(InputError, match="--out is missing"):
        main(SimpleNamespace(out=None, figures=None, progress=False))


def test_leftovers_of_an_interrupted_report_go(tmp_path, synthetic_run, monkeypatch):
    """A temporary file that appears during the report belongs to somebody who is at work."""
    folder = tmp_path / "run"
    shutil.copytree(synthetic_run.directory, folder)

    def half(*places: str) -> list[Path]:
        paths = [folder / place for place in places]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"half")
        return paths

    def write(*arguments) -> None:
        half("tables/.b.csv.12.tmp")
        whole(*arguments)

    whole = html.write
    monkeypatch.setattr(html, "write", write)
    views_of = ("tables/.a.csv.4711.tmp", "figures/.a.svg.4711.tmp", ".summary.json.4711.tmp")
    old = half(*views_of, "robustbench/digits/Linf/.net.json.4711.tmp")
    others = half("tables/.notes.docx.4711.tmp", "clean/.part-a.parquet.4711.tmp")
    remake(folder, ["nothing"])
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in [*others, folder / "tables/.b.csv.12.tmp"])
