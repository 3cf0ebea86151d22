"""The tables of a run: each a function from rows (see `jaxadv.store.rows.KINDS`) to a DataFrame,
and their files.

Every column is explained in `jaxadv.report.columns`; a transfer matrix has models as columns
instead.
"""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from jaxadv.analysis import Law, fit_law, mean_intervals, pareto_frontier, rate_interval
from jaxadv.attacks import catalog
from jaxadv.core.targets import KINDS
from jaxadv.report.columns import EVERY, show
from jaxadv.report.latex import latex
from jaxadv.report.libraries import with_published
from jaxadv.report.names import file_name
from jaxadv.report.settings import NOTHING, RunSettings
from jaxadv.store import sums
from jaxadv.store.run import Run
from jaxadv.store.values import Settings
from jaxadv.support.files import write_atomically
from jaxadv.support.norms import SCORE_NORMS
from model_ports.errors import unknown

DISTANCES = ("l0", "l1", "l2", "linf", "l2_per_pixel")
STATISTICS = ("mean", "std", "median")
TREATMENTS = ("released", "left_out", "as_failures")  # of images that do not fool their own source
MINIMUM_P_VALUE = 0.001  # as in the fit
_FORMULA = (*"=+-@＝＋－＠", "\t", "\r", "\n")
"""What a spreadsheet's formula may begin with.

Some programs pass over spaces, and take wide characters for narrow ones.
"""
LONG = (
    "transfer",
    "comparison",
    "robustness_curves",
    # a row a pair of models, or a point of a curve: thousands, which nobody reads in print; as .csv
    # only
)
_HOW = ["attack", "target_kind", "setting"]  # what a matrix has in common
_EXAMPLE_KEYS = ["model", "attack", "setting", "target_kind"]
_SUMMED = ("near_tie", "revoked", "invalid", "zero_gradient", "gradients", "forwards")
_EXAMPLE_COLUMNS = [*_EXAMPLE_KEYS, "success", *_SUMMED, *DISTANCES]


class Panel(NamedTuple):
    """What the cells of one transfer matrix have in common."""

    attack: str
    target_kind: str
    setting: str


class Tables(NamedTuple):
    """All that a report shows of a run in numbers, computed once by `compute`."""

    order: list[str]  # of models, as the run was given them
    accuracy: pd.DataFrame
    robustness: pd.DataFrame
    clever: pd.DataFrame
    transfer: pd.DataFrame
    law: pd.DataFrame
    matrices: dict[
        Panel, pd.DataFrame
    ]  # rates as the study counts ("released"), white box on the diagonal
    counts: dict[
        str, int
    ]  # of rows: models, clean images, attempts, CLEVER scores, transfer checks
    settings: RunSettings


def compute(run: Run) -> Tables:
    """Every table of ``run``. Attempts are read part by part, of which the distances of successes
    are kept, 20 bytes each; of transfer only what its parts add up to is read. Raises InputError
    for rows that cannot be read.
    """
    order = run_models(run)
    clean = run.read("clean")
    right = with_published(accuracy(clean, order), run.manifest())
    groups, found = {}, Settings()
    for rows in run.parts("examples", _EXAMPLE_COLUMNS, settings=found):
        _count(groups, rows)
    settings = RunSettings.of(found)
    own = _robustness(groups, order, settings)
    scores = run.read("clever", ["model", "target_kind", "norm", "score", "shape", "p_value"])
    bounds = clever(scores, order)
    counted = run.transfer_sums()
    pairs = _transfer_rates(counted, order, settings)
    matrices = {
        panel: square(of_panel(pairs, panel), of_panel(own, panel), column="released", order=order)
        for panel in panels(pairs)
    }
    models = sorted_models(
        order, right["model"], own["model"], bounds["model"], pairs["source"], pairs["model"]
    )
    counts = {
        "models": len(models),
        "clean images": clean["image_id"].nunique(),
        "attempts": int((own["n"] + own["invalid"]).sum()),
        "CLEVER scores": len(scores),
        "transfer checks": int(counted["rows"].sum()),
    }
    laws = law(right, own, bounds, settings)
    return Tables(order, right, own, bounds, pairs, laws, matrices, counts, settings)


def accuracy(clean: pd.DataFrame, order: Sequence[str] = ()) -> pd.DataFrame:
    """How good each model is on the clean images. order: of models; those not in it follow as they
    appear.
    """
    rows = clean[["model", "top5", "invalid"]].assign(
        images=1, correct=clean["label"] == clean["predicted"]
    )
    table = (
        rows.groupby("model", sort=False)[["images", "correct", "top5", "invalid"]]
        .sum()
        .reset_index()
    )
    table["top1_percent"] = 100 * table["correct"] / table["images"]
    table["top5_percent"] = 100 * table["top5"] / table["images"]
    table["error_percent"] = 100 - table["top1_percent"]
    low, high = (100 * end for end in rate_interval(table["correct"], table["images"]))
    table["top1_percent_low"], table["top1_percent_high"] = low, high
    table["error_percent_low"], table["error_percent_high"] = 100 - high, 100 - low
    invalid = table.pop("invalid")  # to the end
    return arranged(table.drop(columns="top5").assign(invalid=invalid), ["model"], order)


def robustness(examples: pd.DataFrame, order: Sequence[str] = ()) -> pd.DataFrame:
    """How often and how far images had to be moved: by model, attack, setting and target kind.

    Distances over successes only, as in the study, with population standard deviations; NaN where
    there is none (the study's code writes 0, which would read as a distance). Invalid attempts are
    in no rate.
    """
    groups: dict[tuple, list] = {}
    _count(groups, examples)
    return _robustness(groups, order, RunSettings.of_rows(examples))


def _count(groups: dict[tuple, list], rows: pd.DataFrame) -> None:
    """Add of each part: rows, sums of `_SUMMED`, and the distances (successes, D)."""
    for key, own in rows.groupby(_EXAMPLE_KEYS, sort=False, observed=True):
        spent = own[list(_SUMMED)].sum()
        groups.setdefault(key, []).append(
            (
                len(own),
                *spent,
                own.loc[own["success"] & ~own["invalid"], list(DISTANCES)].to_numpy(),
            )
        )


def _robustness(
    groups: dict[tuple, list], order: Sequence[str], settings: RunSettings
) -> pd.DataFrame:
    columns = [*_EXAMPLE_KEYS, "n", "successes", "failures", "success_rate", "near_ties", "revoked"]
    columns += ["invalid", "zero_gradients"]
    columns += [
        f"{distance}_{statistic}"
        for distance in DISTANCES
        for statistic in (*STATISTICS, "mean_low", "mean_high")
    ]
    records = []
    for key, found in groups.items():
        *counts, distances = zip(*found, strict=True)
        attempts, near_ties, revoked, invalid, zero_gradients, gradients, forwards = map(
            int, map(sum, counts)
        )
        n = attempts - invalid
        distances = np.concatenate(distances).astype(np.float64)
        successes = len(distances)
        record = [
            *key,
            n,
            successes,
            n - successes,
            successes / n if n else np.nan,
            near_ties,
            revoked,
            invalid,
            zero_gradients,
        ]
        for values, *interval in zip(distances.T, *mean_intervals(distances), strict=True):
            record += [*_statistics(values), *interval]
        records.append([*record, gradients / attempts, forwards / attempts])
    table = pd.DataFrame(records, columns=[*columns, "gradients_mean", "forwards_mean"])
    place = list(table.columns).index("success_rate") + 1
    low, high = rate_interval(table["successes"], table["n"])
    table.insert(place, "success_rate_low", low)
    table.insert(place + 1, "success_rate_high", high)
    return arranged(table, [*_HOW, "model"], order, settings)


def clever(scores: pd.DataFrame, order: Sequence[str] = ()) -> pd.DataFrame:
    """CLEVER scores by model, target kind and norm, and how well their fits went."""
    keys = ["model", "target_kind", "norm"]
    records = []
    for key, every in scores.groupby(keys, sort=False):
        rows = every[every["score"].notna()]
        values = rows["score"].to_numpy(np.float64)
        mean, std, median = _statistics(values)
        (low,), (high,) = mean_intervals(values[:, None])
        fitted = rows["shape"].notna() & (rows["p_value"] >= MINIMUM_P_VALUE)
        counts = [
            rows["score"].min(),
            1 - fitted.mean(),
            rows["p_value"].mean(),
            len(every) - len(rows),
        ]
        records.append([*key, len(rows), mean, low, high, median, std, *counts])
    names = [
        "n",
        "score_mean",
        "score_mean_low",
        "score_mean_high",
        "score_median",
        "score_std",
        "score_min",
        "fell_back",
        "p_value_mean",
    ]
    return arranged(
        pd.DataFrame(records, columns=[*keys, *names, "invalid"]),
        ["target_kind", "norm", "model"],
        order,
    )


def transfer(
    rows: pd.DataFrame, order: Sequence[str] = (), settings: RunSettings = NOTHING
) -> pd.DataFrame:
    """How often the images of one model fool another, in the three treatments of images that do not
    fool their source.

    Rates are over the rows whose clean image the shown model has right; NaN where there is none.
    top5: targeted only.
    """
    return _transfer_rates(sums.of(rows), order, settings)


def _transfer_rates(
    counted: pd.DataFrame, order: Sequence[str], settings: RunSettings
) -> pd.DataFrame:
    table = counted.copy()
    for treatment in TREATMENTS:
        n = table[f"n_{treatment}"].astype(float).replace(0, np.nan)
        table[f"{treatment}_low"], table[f"{treatment}_high"] = rate_interval(
            table[treatment], table[f"n_{treatment}"]
        )
        table[treatment] = table[treatment] / n
        table[f"{treatment}_top5"] = (table[f"{treatment}_top5"] / n).where(
            table["target_kind"] != "untargeted"
        )
    rates = [name for way in TREATMENTS for name in (f"n_{way}", way, f"{way}_low", f"{way}_high")]
    table = table[
        [*sums.KEYS, *rates, *(f"{treatment}_top5" for treatment in TREATMENTS), "invalid"]
    ]
    return arranged(table, [*_HOW, "source", "model"], order, settings)


def law(
    accuracy: pd.DataFrame,
    robustness: pd.DataFrame,
    clever: pd.DataFrame,
    settings: RunSettings = NOTHING,
) -> pd.DataFrame:
    """The fit mean distance = a + b ln(error), on the Pareto frontier and on all models.

    It is made for each setting and target of an attack that searches, in the distance that it makes
    small. It is made for the CLEVER scores (attack "clever") in each norm. Infinite and missing
    means are left out.
    """
    error = accuracy.set_index("model")["error_percent"] / 100
    distances = map(settings.minimises, robustness["attack"], robustness["setting"])
    attacks = robustness.assign(
        distance=pd.Series([*distances], index=robustness.index, dtype=object)
    )
    attacks = attacks.dropna(subset="distance")
    attacks["value"] = [row[f"{row['distance']}_mean"] for row in attacks.to_dict("records")]
    bounds = clever.assign(
        attack="clever", setting="", distance="l" + clever["norm"], value=clever["score_mean"]
    )
    keys = [*_HOW, "distance"]
    records = []
    for table in (attacks, bounds):
        for key, rows in table[table["model"].isin(error.index)].groupby(keys, sort=False):
            errors, values = error[rows["model"]].to_numpy(), rows["value"].to_numpy(np.float64)
            values = np.where(np.isfinite(values), values, np.nan)
            on_frontier = pareto_frontier(errors, values)
            names = ", ".join(rows["model"][on_frontier])
            for fitted, chosen in (("frontier", on_frontier), ("all", np.ones_like(on_frontier))):
                fit = fit_law(errors[chosen], values[chosen])
                records.append([*key, fitted, fit.n, *fit[:-1], names])
    columns = ["fitted", "models", *Law._fields[:-1], "frontier"]
    return arranged(pd.DataFrame(records, columns=[*keys, *columns]), keys, (), settings)


def countable(made: Tables) -> Tables:
    """The tables without the lines of `robustness` and `clever` in which nothing counts, since all
    rows are invalid.
    """
    own, bounds = made.robustness, made.clever
    kept = {"robustness": own[own["n"] > 0], "clever": bounds[bounds["n"] > 0]}
    return made._replace(**{name: table.reset_index(drop=True) for name, table in kept.items()})


def transfer_matrix(
    rows: pd.DataFrame,
    examples: pd.DataFrame,
    *,
    attack: str,
    setting: str,
    target_kind: str,
    treatment: str = "released",
    order: Sequence[str] = (),
) -> pd.DataFrame:
    """Rates (M, M): row = source, column = the model that is shown its images, diagonal = white-box
    success rate.

    NaN where there are no rows. Raises InputError for an unknown treatment.
    """
    if treatment not in TREATMENTS:
        raise unknown("treatment", treatment, TREATMENTS)
    panel = Panel(attack, target_kind, setting)
    pairs, own = transfer(of_panel(rows, panel)), robustness(of_panel(examples, panel))
    return square(pairs, own, column=treatment, order=order)


def square(
    pairs: pd.DataFrame, white_box: pd.DataFrame, *, column: str, order: Sequence[str] = ()
) -> pd.DataFrame:
    """A column of one panel of `transfer` as a matrix, with success rates (or n) of `robustness` on
    the diagonal.
    """
    names = sorted_models(order, pairs["source"], pairs["model"])
    matrix = pd.DataFrame(
        np.nan, index=pd.Index(names, name="source"), columns=pd.Index(names, name="model")
    )
    place = {name: number for number, name in enumerate(names)}
    cells = matrix.to_numpy(copy=True)
    for source, model, value in zip(pairs["source"], pairs["model"], pairs[column], strict=True):
        cells[place[source], place[model]] = value
    own = dict(
        zip(
            white_box["model"],
            white_box["n" if column.startswith("n_") else "success_rate"],
            strict=True,
        )
    )
    np.fill_diagonal(cells, [own.get(name, np.nan) for name in names])
    return pd.DataFrame(cells, index=matrix.index, columns=matrix.columns)


def panels(table: pd.DataFrame) -> list[Panel]:
    """The matrices that a table of `transfer` can give, in its order."""
    return [Panel(*key) for key in table[_HOW].drop_duplicates().itertuples(index=False)]


def of_panel(table: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """The rows of a table, or of a run, that belong to ``panel``."""
    return table[(table[_HOW] == list(panel)).all(axis=1)]


def sorted_models(order: Sequence[str], *appearances: Iterable[str]) -> list[str]:
    """The models that appear, each once: in ``order`` (a run's manifest["models"]), then as they
    appear.
    """
    seen = dict.fromkeys(name for names in appearances for name in names)
    return [name for name in order if name in seen] + [
        name for name in seen if name not in set(order)
    ]


def write_all(run: Run, directory: str | os.PathLike, made: Tables | None = None) -> list[Path]:
    """Write every table that ``run`` has rows for into ``directory``; returns the files. made: its
    tables, if they are computed.

    As .csv, with the seven digits that float32 rows hold, and but for the `LONG` ones .md, and .tex
    with the columns worth printing. Matrices, transfer_<attack>_<target kind>_<setting>, are as the
    study counts ("released"); transfer has the other rates.
    """
    made = made or compute(run)
    files = {
        name: getattr(made, name)
        for name in ("accuracy", "robustness", "clever", "transfer", "law")
    }
    printed_as = {name: list(table) for name, table in files.items()}
    for panel, matrix in made.matrices.items():
        name = file_name("_".join(["transfer", *filter(None, panel)]), files)
        files[name] = matrix.reset_index(allow_duplicates=True)
        printed_as[name] = ["source"] + ["released"] * len(matrix)
    return write(directory, files, printed_as, claim=run.claim)


def write(
    directory: str | os.PathLike,
    files: dict[str, pd.DataFrame],
    printed_as: dict[str, list[str]] | None = None,
    *,
    claim: Callable[[list[Path]], None] | None = None,
) -> list[Path]:
    """Write tables, those without rows left out; returns the files.

    Args:
        directory: where to.
        files: tables by name.
        printed_as: see `markdown`; a table's own columns if None.
        claim: called with all files before the first is written; raises InputError where one may
            not be.
    """
    directory, contents = Path(directory), {}
    printed_as = printed_as or {name: list(map(str, table)) for name, table in files.items()}
    for name, table in files.items():
        if table.empty:
            continue
        contents[directory / f"{name}.csv"] = inert(table).to_csv(
            index=False, float_format="%.7g", lineterminator="\n"
        )
        if name not in LONG:
            contents[directory / f"{name}.md"] = markdown(table, printed_as[name])
            contents[directory / f"{name}.tex"] = latex(name, table, printed_as[name])
    if claim:
        claim(list(contents))
    for path, content in contents.items():
        write_atomically(path, content.encode())
    return list(contents)


def run_models(run: Run) -> list[str]:
    """The order of models that the run was given: its manifest's "models"; empty if it has none."""
    models = run.manifest().get("models")
    return [str(model) for model in models] if isinstance(models, list) else []


def inert(table: pd.DataFrame) -> pd.DataFrame:
    """The table with an apostrophe before each text, heads too, that a spreadsheet would take for a
    formula.

    A carriage return becomes a space: not every reader takes it for a part of a text.
    """

    def quoted(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        mark = "'" if value.startswith(_FORMULA) or value.lstrip().startswith(_FORMULA) else ""
        return mark + value.replace("\r", " ")

    changed = table.copy()
    for position, dtype in enumerate(changed.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype):
            changed.isetitem(position, [quoted(value) for value in changed.iloc[:, position]])
    changed.columns = [quoted(name) for name in changed.columns]
    return changed


def _harmless(text: str) -> str:
    """Text for a cell of Markdown: no tag, entity, link or picture begins in it."""
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text).replace("<", "&lt;").replace("](", "]\\(")
    return " ".join(text.split())


def markdown(table: pd.DataFrame, printed_as: Sequence[str]) -> str:
    """A Markdown table, numbers to the right. printed_as: for each of its columns the name in EVERY
    that says how.
    """
    right = [EVERY[name].type != "text" for name in printed_as]
    columns = []
    for position, name in enumerate(printed_as):
        texts = [
            str(table.columns[position]),
            *(show(name, value) for value in table.iloc[:, position]),
        ]
        texts = [_harmless(text.replace("\\", "\\\\").replace("|", "\\|")) for text in texts]
        width = max(3, *map(len, texts))
        rule = "-" * (width - 1) + ":" if right[position] else "-" * width
        texts.insert(1, rule)
        columns.append(
            [text.rjust(width) if right[position] else text.ljust(width) for text in texts]
        )
    return "".join(f"| {' | '.join(line)} |\n" for line in zip(*columns, strict=True))


def _statistics(values: np.ndarray) -> list[float]:
    """Mean, population standard deviation and median; NaN without values, and the deviation where
    one is infinite.
    """
    with np.errstate(invalid="ignore"):
        return (
            [values.mean(), values.std(), float(np.median(values))] if len(values) else [np.nan] * 3
        )


def arranged(
    table: pd.DataFrame, by: list[str], order: Sequence[str], settings: RunSettings = NOTHING
) -> pd.DataFrame:
    """``table`` sorted by the columns ``by``: models as in ``order``, names in the study's order,
    settings by their values.
    """
    appearances = [table[name] for name in ("source", "model") if name in table]
    models = sorted_models(order, *appearances)
    known = {
        "attack": catalog.names(),
        "target_kind": tuple(KINDS),
        "norm": tuple(SCORE_NORMS),
        "source": models,
        "model": models,
    }

    def place(name: str, row: dict) -> tuple:
        return (
            settings.rank(row["attack"], row[name])
            if name == "setting"
            else _rank(known.get(name, ()), row[name])
        )

    ranks = [[place(name, row) for name in by] for row in table[by].to_dict("records")]
    return table.iloc[sorted(range(len(table)), key=ranks.__getitem__)].reset_index(drop=True)


def _rank(known: Sequence[str], name: str) -> tuple:
    return (known.index(name), "") if name in known else (len(known), name)
