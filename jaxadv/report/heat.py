"""Transfer matrices as coloured HTML tables, and their colour scale."""

from collections.abc import Callable
from html import escape

import numpy as np
import pandas as pd

from jaxadv.analysis import rate_interval
from jaxadv.analysis.families import borders

# Ottosson's OKLab, in which equal steps look equal: linear sRGB -> cone responses -> (lightness,
# green-red, blue-yellow).
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
# A straight line from dark blue to light yellow: lightness grows evenly, and it stays off the
# red-green axis that most colour-blind people cannot see.
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


def heat_map(
    rates: pd.DataFrame, counts: pd.DataFrame, address: Callable[[str], str] | None = None
) -> str:
    """A matrix of shares as a table, with an interval and n in each cell's title.

    Args:
        rates: (M, M), a row a source; on the diagonal the white-box rates; NaN where nothing was
            run.
        counts: (M, M), what each rate is over.
        address: gives the row of a source the address that its cells lead to.

    Returns:
        HTML, coloured by the rules of `heat_style`. Where another family begins there is a gap.
    """
    names, starts = list(map(str, rates.columns)), set(borders(list(rates.columns)))
    heads = "".join(
        '<th scope="col" '
        f'class="shown{" gap" * (number in starts)}"><span>{escape(name)}</span></th>'
        for number, name in enumerate(names)
    )
    lines = [
        '<thead><tr><th scope="col" class="corner">shown to →<br>source '
        f"↓</th>{heads}</tr></thead><tbody>"
    ]
    shares, numbers = rates.to_numpy(float), counts.to_numpy(float)
    low, high = rate_interval(np.nan_to_num(shares * numbers), np.nan_to_num(numbers))
    for row, source in enumerate(map(str, rates.index)):
        cells = []
        for column, name in enumerate(names):
            what = "white box" if row == column else f"shown to {name}"
            told = _told(
                shares[row, column], low[row, column], high[row, column], numbers[row, column]
            )
            kinds = (
                [_kind(shares[row, column])]
                + ["own"] * (row == column)
                + ["gap"] * (column in starts)
            )
            title = escape(f"{source}, {what}: {told}")
            text = percent(shares[row, column])
            cells.append(f'<td class="{" ".join(kinds)}" title="{title}">{text}</td>')
        kind = ' class="gap"' if row in starts else ""
        place = f' data-to="{escape(address(source))}"' if address else ""
        lines.append(f'<tr{kind}{place}><th scope="row">{escape(source)}</th>{"".join(cells)}</tr>')
    return (
        '<div class="scroll" tabindex="0"><table '
        f'class="heat">{"".join(lines)}</tbody></table></div>'
    )


def _kind(share: float) -> str:
    return "none" if np.isnan(share) else f"h{round(100 * share)}"


def _told(share: float, low: float, high: float, count: float) -> str:
    if np.isnan(share):
        return "no images"
    ends = "" if np.isnan(low) else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{100 * share:.1f} %{ends}, n {count:.0f}"


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
        '<span class="key"><b class="own" '
        f'style="background:{white_box};color:{text_colour(white_box)}"></b>'
        'outlined: white box, the source itself</span><span class="key"><b class="none">–</b>no '
        "images</span></p>"
    )
