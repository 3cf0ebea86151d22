"""What the columns of the tables mean, and how their values are printed."""

import math
from typing import NamedTuple

from jaxadv.analysis.families import FAMILIES
from jaxadv.attacks import catalog


class Column(NamedTuple):
    """``type``: text, count or number.

    ``unit``: what one is, or "" for none; a "share" is stored as 0..1 and printed in %.
    """

    type: str
    unit: str
    meaning: str


_PIXELS = "pixel range"  # a pixel's values lie in [0, 1]

COLUMNS: dict[str, Column] = {
    "model": Column(
        "text", "", "The evaluated model; in transfer the one that is shown the images."
    ),
    "source": Column("text", "", "The model that the adversarial images were made for."),
    "attack": Column(
        "text",
        "",
        "How the images were made: "
        f"{', '.join(f'{one.name} ({one.title})' for one in catalog.ATTACKS)}.",
    ),
    "setting": Column(
        "text", "", "The attack's settings that a run may sweep; the manifest has all others."
    ),
    "target_kind": Column(
        "text",
        "",
        "What the attack aims at: untargeted (any wrong class), random, least (least likely) or "
        "top2 (second most likely class).",
    ),
    "norm": Column(
        "text",
        "",
        "The norm: of the distance that the CLEVER score bounds (1, 2 or inf), or of a budget "
        "(linf, l2, l1 or l0).",
    ),
    # accuracy
    "images": Column("count", "images", "Clean images shown to the model."),
    "correct": Column("count", "images", "Clean images whose largest output is their label."),
    "top1_percent": Column("number", "%", "Clean images whose largest output is their label."),
    "published_top1_percent": Column(
        "number",
        "%",
        "What the library that a network came from publishes, of ImageNet's validation set.",
    ),
    "top5_percent": Column(
        "number", "%", "Clean images whose label is among the five largest outputs."
    ),
    "error_percent": Column("number", "%", "100 minus top-1."),
    # robustness
    "n": Column(
        "count",
        "rows",
        "What was counted: attempts, each an image and a target, without invalid ones; for CLEVER, "
        "scores.",
    ),
    "successes": Column(
        "count",
        "attempts",
        "Attempts after which the model gives the target (untargeted: a wrong class).",
    ),
    "failures": Column(
        "count", "attempts", "Attempts without success; no distance below counts them."
    ),
    "success_rate": Column("number", "share", "Successes over attempts."),
    "near_ties": Column(
        "count",
        "attempts",
        "Failures that the study would count: the target is within 0.001 of the largest output. "
        "Not in successes.",
    ),
    "revoked": Column(
        "count",
        "attempts",
        "Failures that the attack took for successes, by the logits of its gradient program (see "
        "--precision).",
    ),
    "invalid": Column(
        "count",
        "rows",
        "Rows without an answer: a logit or gradient was NaN or infinite. In no rate, mean or n; "
        "clean images count as wrong.",
    ),
    "zero_gradients": Column(
        "count",
        "attempts",
        "Failures for which every gradient was zero everywhere: the attack had nothing to follow.",
    ),
    **{
        f"{distance}_{statistic}": Column("number", unit, f"{how} {what}, over successes only.")
        for distance, unit, what in [
            ("l0", "values", "number of changed values"),
            ("l1", _PIXELS, "L1 distance to the clean image"),
            ("l2", _PIXELS, "L2 distance to the clean image"),
            ("linf", _PIXELS, "largest change of a value"),
            ("l2_per_pixel", _PIXELS, "L2 distance divided by the number of values, 3 H W"),
        ]
        for statistic, how in [
            ("mean", "Mean"),
            ("std", "Population standard deviation of the"),
            ("median", "Median"),
        ]
    },
    "gradients_mean": Column(
        "number", "evaluations", "Mean number of gradients an attempt took, failures included."
    ),
    "forwards_mean": Column(
        "number",
        "evaluations",
        "Mean number of forward passes without gradient an attempt took, failures included.",
    ),
    # CLEVER
    **{
        f"score_{statistic}": Column(
            "number",
            _PIXELS,
            f"{how} CLEVER score, an estimated lower bound of the distance that fools.",
        )
        for statistic, how in [
            ("mean", "Mean"),
            ("median", "Median"),
            ("std", "Population standard deviation of the"),
            ("min", "Smallest"),
        ]
    },
    "fell_back": Column(
        "number",
        "share",
        "Scores without an acceptable fit (p below 0.001): they use the largest maximum instead.",
    ),
    "p_value_mean": Column(
        "number", "", "Mean p-value of the fits, where there is one (Kolmogorov-Smirnov)."
    ),
    # transfer
    "n_released": Column(
        "count",
        "images",
        "Images of the source that the shown model has right when clean, failed ones included.",
    ),
    "released": Column(
        "number",
        "share",
        "As the study counts: a failed search is no image; untargeted that nearly always fools.",
    ),
    "n_left_out": Column(
        "count", "images", "The same images without those on which the source itself failed."
    ),
    "left_out": Column("number", "share", "Transferred, of the images that fool their source."),
    "n_as_failures": Column("count", "images", "The same as n_released."),
    "as_failures": Column(
        "number", "share", "Transferred, if an image that does not fool its source never counts."
    ),
    **{
        f"{treatment}_top5": Column(
            "number",
            "share",
            f"As {treatment}, but the target need only be among the five largest outputs.",
        )
        for treatment in ("released", "left_out", "as_failures")
    },
    # law
    "distance": Column(
        "text",
        "",
        "The distance that the attack makes small; for CLEVER the one that the score bounds: l1, "
        "l2 or linf.",
    ),
    "fitted": Column(
        "text",
        "",
        "The models that the law is fitted to: frontier (no other is as accurate and as robust) or "
        "all.",
    ),
    "models": Column(
        "count",
        "models",
        "Models that the law is fitted to; those without an error or a distance are left out.",
    ),
    "intercept": Column(
        "number",
        _PIXELS,
        "a of the law, mean distance = a + b ln(error), error as a share: its value at an error of "
        "1.",
    ),
    "slope": Column(
        "number",
        _PIXELS,
        "b of the law: positive where models with a smaller error are less robust.",
    ),
    "r_squared": Column(
        "number", "", "Share of the variance of the mean distances that the law explains."
    ),
    "frontier": Column("text", "", "The models on the frontier of error and mean distance."),
    # robust accuracy, optimality and curves
    "eps": Column(
        "number", _PIXELS, "The budget: no value is changed further than that, in the line's norm."
    ),
    "robust": Column("count", "images", "Images that are right when clean and that still stand."),
    "robust_accuracy": Column(
        "number", "share", "The images that stand, of all images, those that are wrong among them."
    ),
    "searched_accuracy": Column(
        "number",
        "share",
        "The same by the searches of the run: images whose least distance is above the budget.",
    ),
    "below_minimum": Column(
        "count",
        "images",
        "Images that the attack broke within the budget although the searches' least distance is "
        "above it.",
    ),
    "missed": Column(
        "count", "images", "Images that stand although a search found a nearer one that fools."
    ),
    "broken_by": Column(
        "text", "", "Of a sequence of attacks: how many images each of its stages broke."
    ),
    "within_100": Column(
        "number", "share", "Attempts that succeed within 100 evaluations, of all attempts."
    ),
    "within_1000": Column(
        "number", "share", "Attempts that succeed within 1000 evaluations, of all attempts."
    ),
    "optimality": Column(
        "number",
        "",
        "AttackBench's: the area between the attack's curve of robust accuracy and no attack's, "
        "over that of the best known distances.",
    ),
    "distance_median": Column(
        "number", _PIXELS, "Median distance of all attempts, a failure as infinitely far."
    ),
    "best_median": Column(
        "number", _PIXELS, "The same of the least distances that any attack of the run found."
    ),
    "ratio_median": Column(
        "number",
        "",
        "Median, over successes, of the distance over the least that any attack found.",
    ),
    # claims
    "statement": Column(
        "text", "", "The number of the study's statement, with a letter for its parts."
    ),
    "claim": Column("text", "", "What the study says."),
    "rule": Column(
        "text",
        "",
        "When it counts as true of a run; where the study gives no number, the choice is ours.",
    ),
    "verdict": Column(
        "text",
        "",
        "By the numbers as they are: holds, does not hold, not tested, or measured (nothing is "
        "claimed).",
    ),
    "settled": Column(
        "text", "", "Whether the 95 % intervals exclude the other verdict: yes or no."
    ),
    "evidence": Column("text", "", "The numbers, and what is missing."),
    # comparison and depth
    "other": Column("text", "", "The model that is compared with."),
    "common": Column(
        "count",
        "images",
        "Images on which both have a value: for distances, those on which both attacks succeeded.",
    ),
    "difference": Column(
        "number",
        "",
        "Mean of the first minus mean of the other over those images: a distance or score, or, for "
        "success, a share.",
    ),
    "family": Column("text", "", "The family of models."),
    "by_depth": Column("text", "", "Its models, from the fewest layers with weights to the most."),
    "depth_pairs": Column("count", "pairs", "Pairs of its models of different depth."),
    "deeper_more_robust": Column(
        "count", "pairs", "Those in which the deeper one has the larger mean."
    ),
    # explanation
    "explained_by": Column(
        "text", "", "What is to explain the models' means: their family, or a size."
    ),
    "explained": Column(
        "number",
        "share",
        "The share of the variance of the models' means that it explains, by least squares.",
    ),
    "explained_by_chance": Column(
        "number", "share", "What as many meaningless terms would explain on average."
    ),
    "p_value": Column(
        "number", "", "Share of the permutations of the models that are explained as well."
    ),
    # symmetry
    "model_pairs": Column("count", "pairs", "Pairs of models with a rate in both directions."),
    "symmetry": Column(
        "number", "", "Correlation of a map with its transpose, without the diagonal."
    ),
    "asymmetry": Column("number", "share", "Mean absolute difference of the two directions."),
    "asymmetry_by_chance": Column(
        "number", "share", "What it would be if both directions had the same rate."
    ),
    # agreement
    "pearson": Column(
        "number",
        "",
        "Correlation, over models, of mean CLEVER score and mean distance of the attack.",
    ),
    "spearman": Column("number", "", "The same of their ranks."),
    "images_spearman": Column(
        "number",
        "",
        "Rank correlation of scores and distances over the images of a model, mean over models.",
    ),
    "exceeded": Column(
        "number",
        "share",
        "Images and models of which the score, meant as a lower bound, is above the distance "
        "found.",
    ),
    # sensitivity
    "about": Column(
        "text",
        "",
        "The number that is looked at: a mean distance, a success rate, or the mean transfer rate "
        "of a source.",
    ),
    "counted": Column("text", "", "How it is counted: as the study's code does, or otherwise."),
    "value": Column("number", "", "Its mean over models or sources: a distance or a share."),
    "largest": Column(
        "text", "", "The model or source with the largest; several if they are equal."
    ),
    "smallest": Column("text", "", "Those with the smallest."),
    "rank_correlation": Column(
        "number", "", "Of the models or sources, with their order as released."
    ),
    "changed": Column("text", "", "What is no longer as with the released way of counting."),
    # signature
    "named": Column(
        "text", "", "The family that the model is taken for if it is unknown: that of the nearest."
    ),
    "nearest": Column(
        "text", "", "The other model on which the same adversarial images succeed most alike."
    ),
    "correlation": Column(
        "number",
        "",
        "Of its and the model's transfer rates, over sources, attacks, settings and targets.",
    ),
    "runner_up": Column("text", "", "The family that comes second."),
    "runner_up_correlation": Column("number", "", "The same of its nearest model."),
    "has_relatives": Column(
        "text",
        "",
        "Whether the run has another model of its family, without which no rule can be right: yes "
        "or no.",
    ),
    "networks": Column(
        "count", "models", "Models of the family that have relatives: the rate is over these."
    ),
    **{
        f"named_{name}": Column(
            "count", "models", f"Models of the line's family that are taken for {name}."
        )
        for name in FAMILIES
    },
    "right": Column("count", "models", "Those with relatives that are taken for their own family."),
    "right_rate": Column("number", "share", "The same as a share."),
    "chance": Column(
        "number", "share", "What naming each after another model, drawn at random, would give."
    ),
}
_INTERVALS = {  # columns that have an interval: how it is made
    **dict.fromkeys(
        [
            "top1_percent",
            "error_percent",
            "success_rate",
            "released",
            "left_out",
            "as_failures",
            "right_rate",
            "robust_accuracy",
        ],
        "Wilson",
    ),
    **dict.fromkeys(
        ["l0_mean", "l1_mean", "l2_mean", "linf_mean", "l2_per_pixel_mean", "score_mean"],
        "studentised bootstrap over the rows",
    ),
    **dict.fromkeys(["intercept", "slope"], "Student's t"),
    "difference": "bootstrap over images; of rates, Bonett and Price",
    "pearson": "Fisher's z",
}
COLUMNS |= {
    f"{name}_{end}": Column(
        "number", COLUMNS[name].unit, f"{where} end of the 95 % interval of {name} ({how})."
    )
    for name, how in _INTERVALS.items()
    for end, where in (("low", "Lower"), ("high", "Upper"))
}

COMPARED: dict[str, Column] = {
    "other_run": Column("text", "", "The run that is compared with the first one."),
    "run": Column("text", "", "The run."),
    "fact": Column("text", "", "A setting, version, or fingerprint of data or weights."),
    "kind": Column("text", "", "The kind of rows; of transfer, pairs of models."),
    "both": Column("count", "rows", "Rows of the same subject in both runs."),
    "same": Column("count", "rows", "Those that are the same to the last digit."),
    "different": Column("count", "rows", "Those that differ in any value."),
    "only_first": Column("count", "rows", "Rows that only the first run has."),
    "only_other": Column("count", "rows", "Rows that only the other run has."),
    "row": Column("text", "", "What a row is about."),
    "column": Column("text", "", "The column in which it differs."),
    "first_value": Column("number", "", "The value of the first run."),
    "other_value": Column("number", "", "The value of the other run."),
    "value_low": Column("number", "", "Lower end of the 95 % interval of value."),
    "value_high": Column("number", "", "Upper end of the 95 % interval of value."),
    "same_images": Column("text", "", "Whether both runs have the same images: yes or no."),
    "certain": Column("text", "", "Whether the 95 % interval excludes 0: yes or no."),
    "place": Column("count", "", "The place among all models of all runs, 1 for the most robust."),
}
"""The columns of a comparison of runs, beside those above."""
EVERY = COLUMNS | COMPARED


def show(name: str, value) -> str:
    """A value of column ``name`` for people: shares and percentages with one decimal, counts whole,
    else three digits.
    """
    column = EVERY[name]
    if column.type == "text":
        return str(value)
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if column.type == "count":
        return str(int(value))
    if column.unit in ("share", "%"):
        return f"{value * (100 if column.unit == 'share' else 1):.1f} %"
    return three_digits(float(value))


def three_digits(value: float) -> str:
    """Three significant digits, whole numbers in full; an exponent below a thousandth.

    >>> [three_digits(value) for value in (0, 0.5, 12.345, 1234.5, 0.00000221)]
    ['0', '0.500', '12.3', '1234', '2.21e-6']
    """
    if value == 0:
        return "0"
    rounded = float(f"{value:.2e}")
    if abs(rounded) < 1e-3:
        digits, exponent = f"{value:.2e}".split("e")
        return f"{digits}e{int(exponent)}"
    if abs(rounded) >= 100:
        return f"{value:.0f}"
    return f"{value:#.3g}"
