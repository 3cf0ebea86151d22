"""The pictures that a run kept, as a table of small images within the page."""

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd

from jaxadv.analysis.families import grouped
from jaxadv.attacks import catalog
from jaxadv.report.figures.pictures import (
    amplification,
    amplified,
    attempts,
    by_place,
    head,
    of_attempt,
    picture,
    verdict,
)

_LARGE, _REDUCED, _FIRST = 64, 96, 160
"""Pixels a side: what is larger than the first is kept at the second, and at the third in the first
rows.
"""
_BUDGET = 1_500_000  # bytes of a page that pictures may take


def gallery(rows: pd.DataFrame, order: list[str], first: Sequence[str]) -> str:
    """The pictures of a few models, and the others to unfold.

    Args:
        rows: the pictures, of `jaxadv.store.rows`.
        order: of the models.
        first: the models that are in sight.

    Returns:
        HTML. Models beyond the budget of bytes are left to the run's figures.
    """
    place, columns = by_place(rows), attempts(rows)
    factors = [amplification(of_attempt(rows, how)) for how in columns]
    names = [name for name in order if name in set(rows["model"])]
    heads = "".join(
        '<th scope="col" '
        f'colspan="2">{"<br>".join(escape(part) for part in head(how) if part)}<br><i>difference '
        f"× {factor}</i></th>"
        for how, factor in zip(columns, factors, strict=True)
    )
    lines, spent = {}, 0
    leaders = [name for name in first if name in names] or names[:1]
    for name in [*leaders, *(name for name in names if name not in leaders)]:
        side = _FIRST if name in leaders else _REDUCED
        line = _line(name, [place.get((name, how)) for how in columns], factors, side)
        spent += len(line)
        if spent > _BUDGET:
            break
        lines[name] = line
    others = [name for name in grouped(names) if name in lines and name not in leaders]
    shown = _framed(heads, [lines[name] for name in leaders if name in lines])
    more = (
        "<details><summary>More models "
        f"({len(others)})</summary>{_framed(heads, [lines[name] for name in others])}</details>"
    )
    more = more if others else ""
    left = len(names) - len(lines)
    note = f"<p class=what>{left} more in figures/pictures.png.</p>" if left else ""
    return shown + more + note


def _framed(heads: str, lines: list[str]) -> str:
    head = f'<thead><tr><th scope="col">model</th><th scope="col">clean</th>{heads}</tr></thead>'
    return (
        '<div class="scroll" tabindex="0"><table '
        f'class="pictures">{head}<tbody>{"".join(lines)}</tbody></table></div>'
    )


def _line(model: str, shown: list[dict | None], factors: list[int], side: int) -> str:
    first = next(row for row in shown if row is not None)
    clean = picture(first["clean"], first["size"])
    told = f"label {first['label']}"
    cells = [
        f'<th scope="row">{escape(model)}</th><td>{_image(clean, f"{model}, clean, {told}", side)}<small>{told}</small></td>'
    ]
    for row, factor in zip(shown, factors, strict=True):
        if row is None:
            cells.append('<td colspan="2" class="none">–</td>')
            continue
        base, adversarial = (
            picture(row["clean"], row["size"]),
            picture(row["adversarial"], row["size"]),
        )
        told, who = verdict(row), f"{model}, {catalog.title(row['attack'])}"
        kind = "" if row["success"] else " class=quiet"
        cells.append(
            f"<td{kind}>{_image(adversarial, f'{who}, adversarial, {told}', side)}<small>{escape(told)}</small></td>"
        )
        cells.append(
            f"<td>{_image(amplified(base, adversarial, factor), f'{who}, difference times {factor}', side)}</td>"
        )
    return f"<tr>{''.join(cells)}</tr>"


def _image(pixels: np.ndarray, told: str, side: int) -> str:
    """An image as PNG, or, if it is large, reduced to a side and as JPEG."""
    from PIL import Image

    image = Image.fromarray((255 * pixels).round().astype(np.uint8))
    buffer, kind = io.BytesIO(), "png"
    if len(pixels) > _LARGE:
        kind, side = "jpeg", min(side, len(pixels))
        image.resize((side, side), Image.Resampling.BOX).save(buffer, "JPEG", quality=85)
    else:
        image.save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<img src="data:image/{kind};base64,{data}" width="64" height="64" alt="{escape(told)}">'
    )
