"""A table as LaTeX: a file that compiles by itself, and that a document can \\input."""

from collections.abc import Sequence

import pandas as pd

from jaxadv.analysis.families import FAMILIES
from jaxadv.report.columns import COLUMNS, show

# Columns worth printing; the .csv has all. One with _low and _high beside it is printed with its
# interval.
PRINTED = {
    "accuracy": ["model", "images", "correct", "top1_percent", "top5_percent", "error_percent"],
    "robustness": [
        *[
            "attack",
            "setting",
            "target_kind",
            "model",
            "n",
            "failures",
            "near_ties",
            "success_rate",
        ],
        *["l1_mean", "l2_mean", "linf_mean", "gradients_mean"],
    ],
    "clever": [
        "target_kind",
        "norm",
        "model",
        "n",
        "score_mean",
        "score_median",
        "score_std",
        "score_min",
        "fell_back",
    ],
    "claims": ["statement", "claim", "verdict", "settled", "evidence"],
    "explanation": [
        *["attack", "setting", "target_kind", "distance"],
        *["explained_by", "models", "explained", "explained_by_chance", "p_value"],
    ],
    "depth": [
        "attack",
        "setting",
        "target_kind",
        "distance",
        "by_depth",
        "depth_pairs",
        "deeper_more_robust",
        "common",
        "difference",
    ],
    "symmetry": [
        "attack",
        "setting",
        "target_kind",
        "model_pairs",
        "symmetry",
        "asymmetry",
        "asymmetry_by_chance",
    ],
    "agreement": [
        "attack",
        "setting",
        "target_kind",
        "distance",
        "models",
        "pearson",
        "spearman",
        "images_spearman",
        "common",
        "exceeded",
    ],
    "sensitivity": [
        *["attack", "setting", "target_kind", "about", "counted"],
        *["value", "largest", "smallest", "rank_correlation", "slope", "changed"],
    ],
    "signature": [
        "model",
        "family",
        "named",
        "nearest",
        "correlation",
        "runner_up",
        "runner_up_correlation",
        "has_relatives",
    ],
    "signature_confusion": [
        "family",
        "networks",
        *(f"named_{name}" for name in FAMILIES),
        "right",
        "right_rate",
        "chance",
    ],
    "robust_accuracy": [
        *["model", "attack", "setting", "norm", "eps", "images", "robust_accuracy"],
        *["searched_accuracy", "below_minimum", "missed", "broken_by"],
    ],
    "optimality": [
        *["model", "attack", "setting", "target_kind", "distance", "n", "successes"],
        *["optimality", "distance_median", "best_median", "ratio_median"],
    ],
    "law": [
        "attack",
        "setting",
        "target_kind",
        "distance",
        "fitted",
        "models",
        "intercept",
        "slope",
        "r_squared",
    ],
}
_ESCAPED = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{
        "\\": "\\textbackslash{}",
        "~": "\\textasciitilde{}",
        "^": "\\textasciicircum{}",
        "<": "\\textless{}",
        ">": "\\textgreater{}",
    },
    **{
        "|": "\\textbar{}",
        '"': "''",
        "–": "--",
        "∞": "$\\infty$",
        "-": "{-}",
        "[": "{[}",
        "]": "{]}",
        "`": "\\textasciigrave{}",
    },
}
_CHARACTER, _GAP, _MARGIN = (
    4.2,
    8,
    60,
)  # pt: a generous mean width in \scriptsize, between columns, both margins of a page
_DOCUMENT = r"""%% Compiles by itself. Or \input it in a document that loads graphicx and, for its rules, booktabs.
\expandafter\let\expandafter\jaxadvinside\csname @notprerr\endcsname
\def\jaxadvend{}
\ifx\documentclass\jaxadvinside\else
  \documentclass{article}
  \usepackage[paperwidth=%dpt,paperheight=597pt,margin=28pt,footskip=12pt]{geometry}
  \usepackage{graphicx}
  \IfFileExists{booktabs.sty}{\usepackage{booktabs}}{}
  \def\jaxadvend{\end{document}}
  \begin{document}
\fi
\providecommand{\toprule}{\hline}\providecommand{\midrule}{\hline}\providecommand{\bottomrule}{\hline}
\begingroup\scriptsize\setlength{\tabcolsep}{4pt}
\noindent
%s\endgroup
\jaxadvend
"""
_BLOCK = r"""\begin{tabular}{%s}
%% %s
\toprule
%s \\
\midrule
%s\bottomrule
\end{tabular}
"""
_LONG, _WRAPPED = 100, 300  # characters from which on a text takes several lines, pt of each
_ROWS = 50  # of a block, which fits on a page; longtable would need several runs to align them


def latex(name: str, table: pd.DataFrame, printed_as: Sequence[str]) -> str:
    """The .tex file of a table. printed_as: for each of its columns the name in COLUMNS that says
    how.

    A name that is not in PRINTED is a matrix: all of its columns, numbers in percent, heads
    upright.
    """
    matrix = name not in PRINTED
    heads, columns, widths, rows = [], [], [], _ROWS
    for position, column in enumerate(printed_as):
        if not matrix and column not in PRINTED[name]:
            continue
        texts = [show(column, value) for value in table.iloc[:, position]]
        if f"{column}_low" in table and not matrix:
            ends = (table[f"{column}_low"], table[f"{column}_high"])
            low, high = ([show(column, value) for value in end] for end in ends)
            texts = [
                f"{text} [{low[row]}, {high[row]}]" if low[row] != "–" else text
                for row, text in enumerate(texts)
            ]
        percent = COLUMNS[column].unit in ("share", "%")
        if percent:
            texts = [text.replace(" %", "") for text in texts]
        head = str(table.columns[position])
        longest = 0 if matrix or COLUMNS[column].type != "text" else max(map(len, texts), default=0)
        wrap = rf"\parbox[t]{{{_WRAPPED}pt}}{{\raggedright %s\strut}}" if longest > _LONG else "%s"
        columns.append([wrap % escape(text) for text in texts])
        if matrix and position:
            heads.append(rf"\rotatebox{{90}}{{{escape(head)}}}")
        else:
            heads.append(escape(head + " (%)" * percent))
            texts.append(head + " (%)")
        if longest > _LONG:
            rows = min(rows, max(1, int(_ROWS * _WRAPPED / (_CHARACTER * longest))))
            texts = ["-" * int(_WRAPPED / _CHARACTER)]
        widths.append(max(map(len, texts)))
    if not matrix:  # in the order of PRINTED, which the table's own need not be
        names = [column for column in printed_as if column in PRINTED[name]]
        places = [names.index(column) for column in PRINTED[name]]
        heads, columns = ([items[place] for place in places] for items in (heads, columns))
        printed_as = PRINTED[name]
    kinds = "".join("l" if COLUMNS[column].type == "text" else "r" for column in printed_as)
    lines = [f"{' & '.join(row)} \\\\\n" for row in zip(*columns, strict=True)]
    width = max(845, _MARGIN + sum(_CHARACTER * width + _GAP for width in widths))
    what = (
        "rows: source; columns: the model that is shown its images; in %"
        if matrix
        else "[95 % interval] of the value before it"
    )
    blocks = [
        _BLOCK % (kinds, what, " & ".join(heads), "".join(lines[start : start + rows]))
        for start in range(0, len(lines), rows)
    ]
    return _DOCUMENT % (width, "\\newpage\\noindent\n".join(blocks))


def escape(text: str) -> str:
    """``text`` for LaTeX.

    What is not ASCII becomes its code point, since the fonts at hand may lack it.
    """
    characters = []
    for character in " ".join(text.split()):
        known = _ESCAPED.get(character)
        characters.append(
            known or (character if " " <= character <= "~" else f"{{U+{ord(character):04X}}}")
        )
    return "".join(characters)
