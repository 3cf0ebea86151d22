"""report.html: one page that needs nothing else, neither files nor network, from the rows and the manifest of a run."""

import json
import os
from html import escape
from pathlib import Path

import pandas as pd

from jaxadv.report import tables
from jaxadv.report.columns import COLUMNS, show
from jaxadv.report.heat import heat_map, legend
from jaxadv.report.style import STYLE
from jaxadv.store import Run, write_atomically

ATTACK_NAMES = {"fgsm": "FGSM", "ifgsm": "I-FGSM", "ifgsm_search": "I-FGSM, smallest ε", "cw": "C&W L2", "ead": "EAD-L1"}
TARGET_NAMES = {
    "untargeted": "untargeted",
    "random": "random target",
    "least": "least-likely target",
    "top2": "second most likely target",
}
DISTANCE_NAMES = {"l0": "L0", "l1": "L1", "l2": "L2", "linf": "L∞", "l2_per_pixel": "L2 / 3HW"}
NORM_NAMES = {"1": "L1", "2": "L2", "inf": "L∞"}
TREATMENT_NAMES = {
    "released": "as the study counts (released)",
    "left_out": "failed sources left out",
    "as_failures": "failed sources as failures",
}
HEADINGS = {
    "top1_percent": "top-1",
    "top5_percent": "top-5",
    "error_percent": "error",
    "success_rate": "success",
    "failures": "failed",
    "near_ties": "near ties",
    "gradients_mean": "gradients",
    "forwards_mean": "forwards",
    "score_mean": "mean",
    "score_median": "median",
    "score_std": "std",
    "score_min": "min",
    "fell_back": "no fit",
    "p_value_mean": "mean p",
}
HOW_TO_READ = (
    "Only images that a model classifies correctly are attacked. Distances are means over <em>successful</em> attempts, as in the "
    "study: a model on which an attack often fails can look closer than it is, so read them beside <em>n</em> and "
    "<em>failed</em>. Pixels have range 1; ± is the population standard deviation.",
    "A <em>near tie</em> is a targeted attempt whose target comes within 0.001 of the largest output without being it. The study's "
    "code counts it as a success; here it is a failure, and counted apart.",
    "In the transfer maps a row is the model that the images were made for, a column the model that is shown them, and a cell the "
    "share of fooled answers among the images that the shown model has right when clean: any wrong class if untargeted, the "
    "attack's target if targeted.",
    "Where a search failed, the study's code hands on an image of NaN: untargeted that practically always counts as transferred, "
    "targeted as not, and it stays in the count. The maps follow that rule; where it changes anything, they unfold to the two "
    "alternatives.",
)


def write(run: Run, path: str | os.PathLike) -> None:
    """Write the page of ``run`` to ``path``, whole or not at all. Raises InputError for rows that cannot be read."""
    manifest, order = run.manifest(), tables.run_models(run)
    clean, examples, scores, shown = (run.read(kind) for kind in ("clean", "examples", "clever", "transfer"))
    own, pairs, bounds = tables.robustness(examples, order), tables.transfer(shown, order), tables.clever(scores, order)
    models = tables.sorted_models(order, clean["model"], own["model"], bounds["model"], pairs["source"], pairs["model"])
    facts = {
        "model": len(models),
        "clean image": clean["image_id"].nunique(),
        "attempt": len(examples),
        "CLEVER score": len(scores),
        "transfer check": len(shown),
    }
    sections = [
        ("What was run", _what_was_run(manifest, models, own, bounds)),
        ("How to read it", "".join(f"<p>{paragraph}</p>" for paragraph in HOW_TO_READ)),
        ("Accuracy", _accuracy(tables.accuracy(clean, order)) if len(clean) else ""),
        ("Robustness", _robustness(own)),
        ("CLEVER", _clever(bounds)),
        ("Transfer", _transfer(pairs, own, order)),
        ("Columns", _glossary([tables.accuracy(clean, order), own, bounds, pairs])),
    ]
    write_atomically(Path(path), _page(run.directory.resolve().name, facts, [item for item in sections if item[1]]).encode())


def _page(name: str, facts: dict[str, int], sections: list[tuple[str, str]]) -> str:
    number = facts["model"]
    title = f"Robustness of {number} classifier{'s' * (number != 1)}"
    links = "".join(f'<a href="#{_anchor(heading)}">{heading}</a>' for heading, _ in sections)
    tiles = "".join(f"<li><b>{count:,}</b> {what}{'s' * (count != 1)}</li>" for what, count in facts.items() if count)
    body = "".join(f'<section id="{_anchor(heading)}"><h2>{heading}</h2>{content}</section>' for heading, content in sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f"<title>{title} – {escape(name)}</title><style>{STYLE}</style></head>\n<body><main>"
        f'<header><p class="run">{escape(name)}</p><h1>{title}</h1><ul class="facts">{tiles}</ul><nav>{links}</nav></header>\n'
        f"{body}\n<footer>Made from the rows of this run. Its folder <code>tables</code> has them with all "
        "digits and columns, as CSV and Markdown.</footer></main></body></html>\n"
    )


def _what_was_run(manifest: dict, models: list[str], own: pd.DataFrame, bounds: pd.DataFrame) -> str:
    """The run in a short table; all else that the manifest says unfolds."""
    settings = manifest.get("settings")
    settings = settings if isinstance(settings, dict) else {}
    rows = [("models", ", ".join(models))]
    chosen = ((name, settings.get(name)) for name in ("zoo", "data", "num_images", "attacked_images", "seed"))
    rows += [(name, _text(value)) for name, value in chosen if value is not None]
    for attack, of_attack in own.groupby("attack", sort=False):
        kinds = {}
        for kind, setting in of_attack[["target_kind", "setting"]].drop_duplicates().itertuples(index=False):
            kinds.setdefault(kind, []).append(setting or "default")
        rows.append((ATTACK_NAMES.get(attack, attack), _per_kind(kinds) + _prefixed(settings, attack)))
    if len(bounds):
        kinds = {kind: [] for kind in bounds["target_kind"]}
        for kind, norm in bounds[["target_kind", "norm"]].drop_duplicates().itertuples(index=False):
            kinds[kind].append(NORM_NAMES.get(norm, norm))
        rows.append(("CLEVER", _per_kind(kinds) + _prefixed(settings, "clever")))
    rows += [(name, _text(value)) for name, value in manifest.items() if name != "models" and not _is_deep(value)]
    cells = "".join(f'<tr><th scope="row">{escape(name.replace("_", " "))}</th><td>{escape(text)}</td></tr>' for name, text in rows)
    everything = escape(json.dumps(manifest, indent=2, ensure_ascii=False))
    unfold = f'<details><summary>Every setting (manifest.json)</summary><pre class="scroll">{everything}</pre></details>'
    return f'<table class="about"><tbody>{cells}</tbody></table>{unfold if manifest else ""}'


def _per_kind(kinds: dict[str, list[str]]) -> str:
    """What was done for each kind of target, kinds with the same together."""
    together = {}
    for kind, done in kinds.items():
        together.setdefault("; ".join(done), []).append(TARGET_NAMES.get(kind, kind))
    return " · ".join(f"{done} ({', '.join(names)})" for done, names in together.items())


def _prefixed(settings: dict, prefix: str) -> str:
    """The settings that belong to one attack alone, as far as they were given."""
    own = [(name, value) for name, value in settings.items() if name.startswith(f"{prefix}_") and value is not None]
    own = [(name.removeprefix(f"{prefix}_"), value) for name, value in own if not name.endswith("_targets")]
    return " · " + ", ".join(f"{name.replace('_', ' ')} {_text(value)}" for name, value in own) if own else ""


def _is_deep(value) -> bool:
    """Whether a value of the manifest is too much for a line."""
    if isinstance(value, dict):
        return len(value) > 8 or any(isinstance(item, (dict, list)) for item in value.values())
    return isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value)


def _text(value) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _accuracy(table: pd.DataFrame) -> str:
    return _framed(_head([[(name, 1, 1) for name in table]]), _body(table, list(table)))


def _robustness(table: pd.DataFrame) -> str:
    """One table an attack, in it a group of rows for each kind of target and setting."""
    before, after = ["model", "n", "success_rate", "failures", "near_ties"], ["gradients_mean", "forwards_mean"]
    first = [*((name, 2, 1) for name in before), *((name, 1, 2) for name in DISTANCE_NAMES), *((name, 2, 1) for name in after)]
    second = [(f"{distance}_{what}", 1, 1) for distance in DISTANCE_NAMES for what in ("mean", "median")]
    columns = [*before, *(name for name, _, _ in second), *after]
    parts = []
    for attack, of_attack in table.groupby("attack", sort=False):
        groups = of_attack.groupby(["target_kind", "setting"], sort=False)
        bodies = [
            _body(rows, columns, heading=" · ".join([TARGET_NAMES.get(kind, kind), setting] if setting else [kind]))
            for (kind, setting), rows in groups
        ]
        parts.append(f"<h3>{escape(ATTACK_NAMES.get(attack, attack))}</h3>{_framed(_head([first, second]), ''.join(bodies))}")
    return "".join(parts)


def _clever(table: pd.DataFrame) -> str:
    columns = [name for name in table if name not in ("target_kind", "norm")]
    bodies = [
        _body(rows, columns, heading=f"{NORM_NAMES.get(norm, norm)} · {TARGET_NAMES.get(kind, kind)}")
        for (kind, norm), rows in table.groupby(["target_kind", "norm"], sort=False)
    ]
    lead = "<p>An estimated lower bound of the distance that fools the model, from gradients alone, without an attack.</p>"
    return lead + _framed(_head([[(name, 1, 1) for name in columns]]), "".join(bodies)) if bodies else ""


def _transfer(pairs: pd.DataFrame, own: pd.DataFrame, order: list[str]) -> str:
    """A heat map for each attack, kind of target and setting."""
    figures = []
    for panel in tables.panels(pairs):
        of_pairs, of_own = tables.of_panel(pairs, panel), tables.of_panel(own, panel)
        maps, rates = {}, {}
        for treatment in tables.TREATMENTS:
            rates[treatment] = tables.square(of_pairs, of_own, column=treatment, order=order)
            counts = tables.square(of_pairs, of_own, column=f"n_{treatment}", order=order)
            caption = f"{TREATMENT_NAMES[treatment]}; n {_range(of_pairs[f'n_{treatment}'])}, white box {_range(of_own['n'])}"
            maps[treatment] = f"<p class=what>{escape(caption)}</p>{heat_map(rates[treatment], counts)}"
        others = [maps[name] for name in maps if name != "released" and not rates[name].equals(rates["released"])]
        unfold = f"<details><summary>Failed sources counted otherwise</summary>{''.join(others)}</details>" if others else ""
        title = " · ".join(filter(None, [ATTACK_NAMES.get(panel[0], panel[0]), panel.setting, TARGET_NAMES.get(panel[1], panel[1])]))
        big = ' class="big"' if len(rates["released"]) > 9 else ""
        figures.append(f"<figure{big}><figcaption>{escape(title)}</figcaption>{maps['released']}{unfold}</figure>")
    return f'{legend()}<div class="maps">{"".join(figures)}</div>' if figures else ""


def _range(numbers: pd.Series) -> str:
    if not len(numbers):
        return "not run"
    low, high = int(numbers.min()), int(numbers.max())
    return f"{low}" if low == high else f"{low}–{high}"


def _head(lines: list[list[tuple[str, int, int]]]) -> str:
    """Header rows of (column or distance, rows, columns that it spans)."""
    rows = []
    for line in lines:
        cells = []
        for name, down, across in line:
            meaning = COLUMNS[name if name in COLUMNS else f"{name}_mean"].meaning
            kind = "text" if name in COLUMNS and COLUMNS[name].type == "text" else "pair" if across > 1 else ""
            spans = f' rowspan="{down}"' * (down > 1) + f' colspan="{across}"' * (across > 1)
            scope = "colgroup" if across > 1 else "col"
            cells.append(f'<th scope="{scope}" class="{kind}"{spans} title="{escape(meaning)}">{escape(_heading(name))}</th>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f"<thead>{''.join(rows)}</thead>"


def _heading(name: str) -> str:
    distance, _, statistic = name.rpartition("_")
    if distance in DISTANCE_NAMES:
        return "mean ± std" if statistic == "mean" else statistic
    return DISTANCE_NAMES.get(name) or HEADINGS.get(name) or name.replace("_", " ")


def _body(table: pd.DataFrame, columns: list[str], heading: str = "") -> str:
    lines = [f'<tr class="group"><th scope="rowgroup" colspan="{len(columns)}"><span>{escape(heading)}</span></th></tr>'] * bool(heading)
    for row in table.to_dict("records"):
        lines.append(f"<tr>{''.join(_data(name, row) for name in columns)}</tr>")
    return f"<tbody>{''.join(lines)}</tbody>"


def _data(name: str, row: dict) -> str:
    text = escape(show(name, row[name]))
    if name == "model":
        return f'<th scope="row">{text}</th>'
    if name == "success_rate":
        return f'<td class="share" style="--share:{100 * row[name]:.1f}%">{text}</td>'
    distance = name.removesuffix("_mean")
    if distance in DISTANCE_NAMES and row[name] == row[name]:
        return f"<td>{text} <small>± {escape(show(f'{distance}_std', row[f'{distance}_std']))}</small></td>"
    quiet = name.endswith("_median") or (name in ("failures", "near_ties") and row[name] == 0)
    return f'<td class="quiet">{text}</td>' if quiet else f"<td>{text}</td>"


def _framed(head: str, body: str) -> str:
    return f'<div class="scroll"><table class="numbers">{head}{body}</table></div>'


def _glossary(shown: list[pd.DataFrame]) -> str:
    names = dict.fromkeys(name for table in shown if len(table) for name in table)
    entries = []
    for name in names:
        unit = COLUMNS[name].unit
        note = f" <i>({escape(unit)})</i>" if unit else ""
        entries.append(f"<dt>{escape(name)}</dt><dd>{escape(COLUMNS[name].meaning)}{note}</dd>")
    lead = "<p>Names as in the files in <code>tables</code>; a heading above shows its meaning when pointed at.</p>"
    return f"{lead}<details><summary>All {len(names)} columns</summary><dl>{''.join(entries)}</dl></details>"


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")
