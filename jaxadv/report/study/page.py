"""The page's sections on the study's statements and on what explains robustness."""

from html import escape
from typing import Any

import pandas as pd

from jaxadv.report.cells import body, framed, head
from jaxadv.report.names import listed, panel_name
from jaxadv.report.study.models import KEYS
from jaxadv.report.study.verdicts import FAILS, HOLDS, MEASURED, UNTESTED
from jaxadv.report.views import Views
from jaxadv.support.norms import DISTANCES

_SIGNS = {HOLDS: "✓", FAILS: "✗", UNTESTED: "–", MEASURED: "·"}


def statements(views: Views) -> str:
    """Every statement with its verdict, or "" for a run that tests none."""
    claims = views.study["claims"]
    counts = claims["verdict"].value_counts()
    if set(counts.index) == {UNTESTED}:
        return ""
    told = ", ".join(f"{name} {counts[name]}" for name in _SIGNS if name in counts)
    settings = views.manifest.get("settings")
    elsewhere = isinstance(settings, dict) and settings.get("zoo") == "digits"
    note = (
        " They are about networks on ImageNet. On ten classes of small digits many cannot hold, "
        "which says nothing of the study." * elsewhere
    )
    lead = (
        f"<p>The study's checkable statements, in parts: {told}.{note} They are asked of this "
        "run's rows of the study's networks and settings. A verdict goes by the numbers as they "
        "are. <em>Settled</em> says whether the 95 % intervals exclude the other "
        "verdict. Where the study gives no number, the rule is ours.</p>"
    )
    names = ["", "statement", "verdict", "settled", "numbers"]
    heads = "".join(
        f'<th scope="col" class="text">{name or "<span class=unseen>number</span>"}</th>'
        for name in names
    )
    rows: list[Any] = list(claims[claims["verdict"] != UNTESTED].itertuples(index=False))
    lines = "".join(
        f'<tr id="statement/{row.statement}"><th scope="row">{row.statement}</th>'
        f'<td class="text">{escape(row.claim)}<small>{escape(row.rule)}</small></td>'
        f'<td class="text"><b>{_SIGNS[row.verdict]}</b> {row.verdict}</td><td '
        f'class="text">{row.settled}</td>'
        f'<td class="text">{escape(row.evidence)}</td></tr>'
        for row in rows
    )
    table = framed(f"<thead><tr>{heads}</tr></thead>", f"<tbody>{lines}</tbody>", "claims")
    return lead + table + _untested(claims[claims["verdict"] == UNTESTED])


def _untested(claims: pd.DataFrame) -> str:
    """The statements that were not tested in one line, and why to unfold."""
    if claims.empty:
        return ""
    numbers = ", ".join(claims["statement"])
    rows: list[Any] = list(claims.itertuples(index=False))
    lines = "".join(
        f'<li id="statement/{row.statement}"><b>{row.statement}</b> {escape(row.claim)}: '
        f"{escape(row.evidence)}</li>"
        for row in rows
    )
    return (
        f"<details><summary>Not tested ({len(claims)}): {numbers}</summary><ul "
        f'class="untested">{lines}</ul></details>'
    )


def analysis(views: Views) -> str:
    """Comparisons, explanations, agreement, symmetry and ways of counting; "" for a run of a single
    model.
    """
    made = views.study
    parts = [
        ("Which differences are settled", _differences(views)),
        (
            "What explains robustness",
            _shown(
                made["explanation"],
                ["explained_by", "models", "explained", "explained_by_chance", "p_value"],
            ),
        ),
        (
            "Depth within a family",
            _shown(made["depth"], ["family", "depth_pairs", "deeper_more_robust", "difference"]),
        ),
        (
            "CLEVER and the attacks",
            _shown(
                made["agreement"],
                ["models", "pearson", "spearman", "images_spearman", "common", "exceeded"],
            ),
        ),
        (
            "Symmetry of transfer",
            _shown(
                made["symmetry"], ["model_pairs", "symmetry", "asymmetry", "asymmetry_by_chance"]
            ),
        ),
        ("Whether it matters how the study counts", _counting(made["sensitivity"])),
    ]
    leads = {
        "What explains "
        "robustness": "How much of the variance of the models' means their family explains, and "
        "how much their size does. Many families explain much by chance alone. The p-value says "
        "how often chance explains as much.",
        "Depth within a "
        "family": "In how many pairs of a family the deeper model is the more robust. "
        "The difference is the deepest minus the shallowest, on the images of both.",
        "CLEVER and the attacks": "Whether scores order models and images as attacks do. "
        "A score is meant as a lower bound: the last column counts those that exceed the distance "
        "of an attack.",
        "Symmetry of "
        "transfer": "Each map beside its transpose, and what counting noise alone would leave "
        "between the two.",
    }
    return "".join(
        f"<h3>{heading}</h3><p>{leads.get(heading, '')}</p>{part}".replace("<p></p>", "")
        for heading, part in parts
        if part
    )


def _about(row: dict) -> str:
    distance = "" if row.get("distance", "success") == "success" else DISTANCES[row["distance"]]
    return " · ".join(
        filter(None, [panel_name(row["attack"], row["target_kind"], row["setting"]), distance])
    )


def _shown(table: pd.DataFrame, columns: list[str]) -> str:
    """A table with its measure in the first column."""
    if table.empty:
        return ""
    table = table.assign(about=[_about(row) for row in table.to_dict("records")])
    columns = ["about", *columns]
    return framed(head(columns), body(table, columns), "analysis")


def _differences(views: Views) -> str:
    """For each measure how many pairs of models are settled, and what could as well be first."""
    table, lines = views.study["comparison"], []
    for key, rows in table.groupby(KEYS, sort=False):
        about = _about(dict(zip(KEYS, key, strict=True)))
        is_success = key[KEYS.index("distance")] == "success"
        told = ahead(rows, "is fooled more often" if is_success else "has the larger value")
        lines.append(f"<dt>{escape(about)}</dt><dd>{escape(told)}</dd>")
    lead = (
        "<p>Two models are compared on the images of both, by a 95 % interval of the mean "
        "difference. A difference is settled if its interval leaves out 0. Each interval stands by "
        "itself: of many, one in twenty errs. Of attacks with "
        "a fixed budget success is compared. All pairs are in "
        "<code>tables/comparison.csv</code>.</p>"
    )
    return f'{lead}<dl class="findings">{"".join(lines)}</dl>' if lines else ""


def ahead(rows: pd.DataFrame, verb: str) -> str:
    """Who has the larger value in the most pairs, in sentences.

    rows: of the comparison of one measure. verb: what a larger value means.
    """
    sure = (rows["difference_low"] > 0) | (rows["difference_high"] < 0)
    text = f"{sure.sum()} of {len(rows)} differences between two models are settled."
    larger = rows["model"].where(rows["difference"] > 0)
    larger = larger.fillna(rows["other"].where(rows["difference"] < 0)).dropna()
    if larger.empty:
        return f"{text} All are equal."
    wins = larger.value_counts()
    first = [str(name) for name in wins.index[wins == wins.iloc[0]]]
    if len(first) > 1:
        most = int(wins.iloc[0])
        pairs = f"{most} pair{'s' * (most > 1)} each"
        return f"{text} {listed(first)} have the larger value equally often, in {pairs}."
    of_first = (rows["model"] == first[0]) | (rows["other"] == first[0])
    certain = int((larger[sure.reindex(larger.index)] == first[0]).sum())
    text += f" {first[0]} {verb} in {wins.iloc[0]} of its {of_first.sum()} pairs"
    return f"{text}, settled in {certain}."


def _counting(table: pd.DataFrame) -> str:
    """What changes anything, the rest to unfold."""
    if table.empty:
        return ""
    table = table.rename(columns={"about": "what"})
    table["about"] = [
        " · ".join([_about(row), DISTANCES.get(str(row["what"]), str(row["what"]))])
        for row in table.to_dict("records")
    ]
    columns = [
        "about",
        "counted",
        "value",
        "largest",
        "smallest",
        "rank_correlation",
        "slope",
        "changed",
    ]
    changes = table.groupby("about")["changed"].transform(
        lambda texts: not set(texts) <= {"", "nothing"}
    )
    parts = [
        framed(head(columns), body(rows, columns), "analysis") if len(rows) else ""
        for rows in (table[changes], table[~changes])
    ]
    lead = (
        "<p>Each number as the study's code counts it, and otherwise. A mean may leave failures "
        "out, or take them as infinitely far. It may be over all images, or over those that all "
        "models have right. Near ties and failed sources may count or not. "
        "In sight is what changes who is first or last.</p>"
    )
    rest = (
        "<details><summary>Where nothing changes "
        f"({table['about'][~changes].nunique()})</summary>{parts[1]}</details>"
        if parts[1]
        else ""
    )
    return lead + parts[0] + rest
