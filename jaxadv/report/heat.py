"""Transfer matrices as coloured HTML tables, and their colour scale."""

from html import escape
from typing import Any

import numpy as np
import pandas as pd

from jaxadv.analysis.families import borders

# Ottosson's OKLab, in which equal steps look equal: linear sRGB -> cone responses -> (lightness, green-red, blue-yellow).
_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
# A straight line from dark blue to light yellow: lightness grows evenly, and it stays off the red-green axis that most
# colour-blind people cannot see.
_LOW = np.array([0.27, -0.02, -0.10])
_HIGH = np.array([0.93, -0.02, 0.16])


def colour(share: float) -> str:
    """#rrggbb for a share in [0, 1]: dark blue, grey, light yellow."""
    lab = _LOW + min(max(share, 0.0), 1.0) * (_HIGH - _LOW)
    cones = np.linalg.solve(_TO_LAB, lab) ** 3
    linear = np.clip(np.linalg.solve(_TO_CONES, cones), 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(255 * value):02x}" for value in encoded)


def luminance(hex_colour: str) -> float:
    """Relative luminance in [0, 1] of #rrggbb (WCAG 2)."""
    encoded = np.array([int(hex_colour[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def text_colour(background: str) -> str:
    """Black or white, whichever stands out more."""
    light = luminance(background) + 0.05
    return "#000000" if light / 0.05 > 1.05 / light else "#ffffff"


def percent(share: float) -> str:
    """Whole percent; 0 and 100 only if it is exactly that, NaN a dash."""
    if np.isnan(share):
        return "–"
    if 0 < share < 0.005:
        return "<1"
    if 0.995 <= share < 1:
        return ">99"
    return f"{100 * share:.0f}"


def heat_map(rates: pd.DataFrame, counts: pd.DataFrame) -> str:
    """A matrix (M, M) of shares as a table; counts (M, M): what each is over. Diagonal: the white-box rates.

    The colours are those of `heat_style`; where another family begins there is a gap.
    """
    starts = set(borders(list(rates.columns)))
    heads = "".join(
        f'<th scope="col" class="shown{" gap" * (number in starts)}"><span>{escape(name)}</span></th>'
        for number, name in enumerate(rates.columns)
    )
    lines = [
        f'<thead><tr><th class="corner">shown to →<br>source ↓</th>{heads}</tr></thead><tbody>'
    ]
    for row, source in enumerate(rates.index):
        cells = [
            _cell(rates, counts, row, column, column in starts)
            for column in range(len(rates.columns))
        ]
        kind = ' class="gap"' if row in starts else ""
        lines.append(f'<tr{kind}><th scope="row">{escape(source)}</th>{"".join(cells)}</tr>')
    return f'<div class="scroll" tabindex="0"><table class="heat">{"".join(lines)}</tbody></table></div>'


def _cell(rates: pd.DataFrame, counts: pd.DataFrame, row: int, column: int, gap: bool) -> str:
    share: Any = rates.iat[row, column]
    count: Any = counts.iat[row, column]
    what = "white box" if row == column else f"shown to {rates.columns[column]}"
    kinds = (
        ["none" if np.isnan(share) else f"h{round(100 * share)}"]
        + ["own"] * (row == column)
        + ["gap"] * gap
    )
    told = "no images" if np.isnan(share) else f"{100 * share:.1f} % of {count:.0f}"
    return f'<td class="{" ".join(kinds)}" title="{escape(f"{rates.index[row]}, {what}: {told}")}">{percent(share)}</td>'


def heat_style() -> str:
    """The rules for h0 to h100, a whole percent each."""
    colours = [colour(share / 100) for share in range(101)]
    return "".join(
        f".h{share}{{background:{back};color:{text_colour(back)}}}\n"
        for share, back in enumerate(colours)
    )


def legend() -> str:
    """The colour scale, and what an outline and a dash mean."""
    stops = ",".join(f"{colour(step / 10)} {10 * step}%" for step in range(11))
    white_box = colour(1.0)
    return (
        '<p class="legend"><span>0 %</span>'
        f'<span class="ramp" role="img" aria-label="dark blue is 0 %, light yellow 100 %" '
        f'style="background:linear-gradient(90deg,{stops})"></span><span>100 %</span>'
        f'<span class="key"><b class="own" style="background:{white_box};color:{text_colour(white_box)}"></b>'
        'outlined: white box, the source itself</span><span class="key"><b class="none">–</b>no images</span></p>'
    )
