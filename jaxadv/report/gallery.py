"""The pictures that a run kept, as a table of small images within the page."""

import base64
import io
from html import escape

import numpy as np
import pandas as pd

from jaxadv.analysis.families import family, grouped
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

_LARGE, _REDUCED = 64, 96  # pixels a side: what is larger than the one is shown at the other
_BUDGET = 1_500_000  # bytes of a page that pictures may take


def gallery(rows: pd.DataFrame, order: list[str]) -> str:
    """A model of each family, and the others to unfold; those beyond the budget are left to the run's figures."""
    place, columns = by_place(rows), attempts(rows)
    factors = [amplification(of_attempt(rows, how)) for how in columns]
    names = [name for name in order if name in set(rows["model"])]
    heads = "".join(
        f'<th scope="col" colspan="2">{"<br>".join(escape(part) for part in head(how) if part)}<br><i>difference × {factor}</i></th>'
        for how, factor in zip(columns, factors, strict=True)
    )
    lines, spent = {}, 0
    for name in sorted(names, key=lambda name: _first_of_family(names, name) != name):
        line = _line(name, [place.get((name, how)) for how in columns], factors)
        spent += len(line)
        if spent > _BUDGET:
            break
        lines[name] = line
    leaders = [name for name in lines if _first_of_family(names, name) == name]
    others = [name for name in grouped(names) if name in lines and name not in leaders]
    shown = _framed(heads, [lines[name] for name in leaders])
    more = f"<details><summary>More models ({len(others)})</summary>{_framed(heads, [lines[name] for name in others])}</details>"
    more = more if others else ""
    left = len(names) - len(lines)
    note = f"<p class=what>{left} more in figures/pictures.png.</p>" if left else ""
    return shown + more + note


def _framed(heads: str, lines: list[str]) -> str:
    head = f'<thead><tr><th scope="col">model</th><th scope="col">clean</th>{heads}</tr></thead>'
    return f'<div class="scroll" tabindex="0"><table class="pictures">{head}<tbody>{"".join(lines)}</tbody></table></div>'


def _first_of_family(names: list[str], name: str) -> str:
    return next(other for other in names if family(other) == family(name))


def _line(model: str, shown: list[dict | None], factors: list[int]) -> str:
    first = next(row for row in shown if row is not None)
    clean = picture(first["clean"], first["size"])
    told = f"label {first['label']}"
    cells = [
        f'<th scope="row">{escape(model)}</th><td>{_image(clean, f"clean, {told}")}<small>{told}</small></td>'
    ]
    for row, factor in zip(shown, factors, strict=True):
        if row is None:
            cells.append('<td colspan="2" class="none">–</td>')
            continue
        base, adversarial = (
            picture(row["clean"], row["size"]),
            picture(row["adversarial"], row["size"]),
        )
        told = verdict(row)
        kind = "" if row["success"] else " class=quiet"
        cells.append(
            f"<td{kind}>{_image(adversarial, f'adversarial, {told}')}<small>{escape(told)}</small></td>"
        )
        cells.append(
            f"<td>{_image(amplified(base, adversarial, factor), f'difference times {factor}')}</td>"
        )
    return f"<tr>{''.join(cells)}</tr>"


def _image(pixels: np.ndarray, told: str) -> str:
    """An image as PNG, or, if it is large, reduced and as JPEG."""
    from PIL import Image

    image = Image.fromarray((255 * pixels).round().astype(np.uint8))
    buffer, kind = io.BytesIO(), "png"
    if len(pixels) > _LARGE:
        kind = "jpeg"
        image.resize((_REDUCED, _REDUCED), Image.Resampling.BOX).save(buffer, "JPEG", quality=85)
    else:
        image.save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<img src="data:image/{kind};base64,{data}" width="64" height="64" alt="{escape(told)}">'
    )
