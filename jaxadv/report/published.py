"""What others have published, for the page to show beside what a run on ImageNet measured. Where
the files are missing: nothing.

The folder is `results/published` of the repository, by a link, so that an installed package has it
too; its README explains the tags.
"""

from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from jaxadv.analysis.families import family
from jaxadv.attacks import catalog
from jaxadv.core.targets import KINDS
from jaxadv.report.cells import framed
from jaxadv.report.columns import three_digits
from jaxadv.report.measures import chief
from jaxadv.report.views import Views
from jaxadv.support.norms import DISTANCES

FOLDER = Path(__file__).parent / "published"
_TEXT = ("model", "of", "mean of", "there")  # columns of words
_SEARCH = {
    "ifgsm": "ifgsm_search"
}  # what the CLEVER paper calls I-FGSM takes the smallest eps that succeeds


def read(name: str) -> pd.DataFrame | None:
    """One of the tables, text as it stands; None where it is missing."""
    path = FOLDER / f"{name}.csv"
    return pd.read_csv(path, dtype=str, keep_default_na=False) if path.is_file() else None


def published(views: Views) -> str:
    """Of runs on ImageNet only: published numbers have no meaning beside others."""
    settings = views.manifest.get("settings")
    if not isinstance(settings, dict) or settings.get("zoo") != "imagenet":
        return ""
    parts = [
        part
        for part in (_accuracy(views), _first_pair(views), _figure_2(views), _clever_paper(views))
        if part
    ]
    lead = (
        "<p>In <em>italics</em> numbers of others, with the tag of their source "
        "(<code>results/published</code> has sources and tags); all "
        "others are this run's. They differ in images, weights and settings: of the study's own "
        "tables none was at hand.</p>"
    )
    return lead + "".join(parts) if parts else ""


def _table(heading: str, note: str, head: list[str], lines: list[list[str]]) -> str:
    kinds = [' class="text"' if name in _TEXT else "" for name in head]
    heads = "".join(
        f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(head, kinds, strict=True)
    )
    rows = ""
    for line in lines:
        cells = "".join(
            f"<td{kind}>{cell}</td>" for cell, kind in zip(line[1:], kinds[1:], strict=True)
        )
        rows += f'<tr><th scope="row">{escape(line[0])}</th>{cells}</tr>'
    table = framed(f"<thead><tr>{heads}</tr></thead>", f"<tbody>{rows}</tbody>", "published")
    return f"<h3>{escape(heading)}</h3><p class=what>{escape(note)}</p>{table}" if lines else ""


def _quoted(text: str, tag: str) -> str:
    return f"<em>{escape(text)}</em> <small>[{escape(tag)}]</small>"


def _accuracy(views: Views) -> str:
    stated = read("checkpoint_accuracy")
    if stated is None:
        return ""
    lines = []
    for row in views.made.accuracy.to_dict("records"):
        for known in stated[stated["model"] == row["model"]].to_dict("records"):
            release = " ".join(filter(None, [known["release"], known["note"]]))
            there = [
                _quoted(f"{known[name]} %", known["tag"])
                for name in ("top1_percent", "top5_percent")
            ]
            lines.append(
                [
                    row["model"],
                    f"{row['top1_percent']:.1f} %",
                    there[0],
                    f"{row['top5_percent']:.1f} %",
                    there[1],
                    escape(release),
                ]
            )
    head = ["model", "top-1", "stated with the checkpoint", "top-5", "stated", "of"]
    return _table(
        "Accuracy",
        "On this run's images, and as stated with the checkpoints on the whole validation set.",
        head,
        lines,
    )


def _first_pair(views: Views) -> str:
    """The one printed cell of a transfer map, beside a re-run of the released code: two different
    things.
    """
    printed, rerun = read("printed_cells"), read("rerun")
    if printed is None or rerun is None:
        return ""
    fooled = rerun[rerun["what"] == "fooled"].iloc[0]
    again = f"{fooled['value']} of {fooled['of']} = {int(fooled['value']) / int(fooled['of']):.3f}"
    lines, transfer = [], views.made.transfer
    for cell in printed.to_dict("records"):
        keys = ["attack", "setting", "target_kind", "model"]
        here = transfer[(transfer[keys] == [cell[key] for key in keys]).all(axis=1)]
        for row in here[here["source"] == cell["source_model"]].to_dict("records"):
            rates = [_quoted(again, fooled["tag"]), _quoted(cell["rate"], cell["tag"])]
            lines.append(
                [
                    cell["source_model"],
                    escape(cell["model"]),
                    f"{row['released']:.3f} (n {row['n_released']})",
                    *rates,
                ]
            )
    head = ["model", "there", "this run", "re-run of the released code, seed 1216", "printed"]
    note = (
        "FGSM, eps 0.1, untargeted. The re-run and the paper are two different things; why "
        "they differ is not known."
    )
    return _table("One cell of the study's Fig. 3", note, head, lines)


def _figure_2(views: Views) -> str:
    values = read("figure2_readoffs")
    if values is None:
        return ""
    columns = {"ifgsm_search": ("linf", "linf_mean"), "cw": ("l2_per_pixel", "l2_per_pixel_mean")}
    found = {
        measure.attack: measure
        for measure in chief(views.measures)
        if measure.attack in columns and measure.target_kind == "random"
    }
    lines = []
    for model in views.models:
        cells = []
        for attack, (distance, column) in columns.items():
            own = views.made.robustness
            measure = found.get(attack)
            how = (
                ["", "", ""]
                if measure is None
                else [measure.attack, measure.target_kind, measure.setting]
            )
            own = own[
                (own[["attack", "target_kind", "setting"]] == how).all(axis=1)
                & (own["model"] == model)
            ]
            there = values[
                (values["family"] == family(model))
                & (values["attack"] == attack)
                & (values["distance"] == distance)
            ]
            cells.append(
                three_digits(own[column].iloc[0])
                if len(own) and np.isfinite(own[column].iloc[0])
                else "–"
            )
            cells.append(
                _quoted(three_digits(float(there["value"].iloc[0])), there["tag"].iloc[0])
                if len(there)
                else "–"
            )
        if any(cell != "–" for cell in (cells[0], cells[2])):
            lines.append([model, *cells])
    head = [
        "model",
        "I-FGSM, mean L∞",
        "its family in Fig. 2, by eye",
        "C&W, mean L2 / 3HW",
        "its family in Fig. 2, by eye",
    ]
    note = (
        "Random targets. What somebody read off the study's Fig. 2 by eye, one value a "
        "family: ranges of plausibility, no more."
    )
    return _table("The study's Fig. 2", note, head, lines)


def _clever_paper(views: Views) -> str:
    values = read("clever_table2")
    if values is None:
        return ""
    own, bounds = views.made.robustness, views.made.clever
    lines = []
    for row in values.to_dict("records"):
        attack, kind, distance = (
            str(_SEARCH.get(row["attack"], row["attack"])),
            row["target_kind"],
            row["distance"],
        )
        if attack == "clever":
            mine = bounds[
                (bounds["model"] == row["model"])
                & (bounds["target_kind"] == kind)
                & ("l" + bounds["norm"] == distance)
            ]
            mine = mine["score_mean"]
        else:
            mine = own[
                (own["model"] == row["model"])
                & (own["target_kind"] == kind)
                & (own["attack"] == attack)
            ].head(1)[f"{distance}_mean"]
        if len(mine) and np.isfinite(mine.iloc[0]):
            what = f"{catalog.title(attack)}, {DISTANCES[distance]}, {KINDS[kind]}"
            lines.append(
                [
                    row["model"],
                    escape(what),
                    three_digits(mine.iloc[0]),
                    _quoted(row["mean"], row["tag"]),
                    escape(row["note"]),
                ]
            )
    head = ["model", "mean of", "this run", "CLEVER paper, Table 2", "there"]
    return _table(
        "The CLEVER paper's ImageNet networks",
        "Submission version; 100 images, other settings than the study's.",
        head,
        lines,
    )
