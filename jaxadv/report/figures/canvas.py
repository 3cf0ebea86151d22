"""One look for all figures, and files of them that do not depend on when or by whose settings they
were made.
"""

import io
import re
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from jaxadv.analysis.families import INK

SOFT, LINE, PAPER = "#5d646f", "#d9d9d3", "#ffffff"
RESOLUTION = 160  # dots per inch of a PNG
_SMALLEST = 0.75  # of its size, to which a page may shrink a figure: letters stay above 6 pixels
# What a page replaces, so that a figure follows its light and dark.
VARIABLES = {INK: "var(--ink)", SOFT: "var(--soft)", LINE: "var(--line)", PAPER: "var(--card)"}
_LOOK: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.unicode_minus": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "text.parse_math": False,  # a model's name may hold a dollar sign
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "legend.title_fontsize": 8.0,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "text.hinting": "no_hinting",  # a name is as wide at any resolution
    "figure.dpi": RESOLUTION,
    "svg.hashsalt": "jaxadv",
    "svg.fonttype": "path",  # the same letters everywhere: what was measured to fit fits
}


@contextmanager
def look():
    """The settings under which figures are made and saved: matplotlib's own defaults and ours, not
    the user's.
    """
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Glyph .* missing from font"
        )  # a name in a script that the font lacks: boxes
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_LOOK)
        yield


def new_figure(width: float, height: float):
    """A figure of that size in inches that no window and no pyplot knows of, to be drawn by Agg."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def render(draw: Callable) -> dict[str, bytes]:
    """The figure that ``draw()`` returns as {"png": ..., "svg": ...}, the same bytes each time."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    with look():
        figure = draw()
        settle(figure)
        png, svg = io.BytesIO(), io.BytesIO()  # not by savefig, which draws twice for each
        FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None, "Creator": None})
    return {"png": png.getvalue(), "svg": _titled(svg.getvalue().decode()).encode()}


def mark(artist: Any, text: str, address: str = "") -> None:
    """Have an artist say its numbers in the SVG, where a pointer rests on it.

    Args:
        artist: of matplotlib; a group of its own in the SVG.
        text: what it says.
        address: where it leads to within a page, without spaces.
    """
    artist.set_gid(f"{_MARK}{address} {text}")


_MARK = "says:"
_MARKED = re.compile(rf'<g id="{_MARK}(\S*) ([^"]*)">')


def _titled(svg: str) -> str:
    """The marks of artists as titles, which browsers show."""
    return _MARKED.sub(
        lambda found: f'<g class="tip" data-to="{found[1]}"><title>{found[2]}</title>', svg
    )


def wrapped(text: str, width: float, size: float, weight: str = "bold") -> list[str]:
    """Break a text between its words.

    Args:
        text: without line ends.
        width: the most that a line may take, in inches. A longer word has a line of its own.
        size: of the letters, in points.
        weight: "bold" or "normal".

    Returns:
        The lines.
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(family=_LOOK["font.family"], weight=weight)
    lines: list[str] = []
    for word in text.split():
        longer = " ".join([*lines[-1:], word])
        fits = TextPath((0, 0), longer, size=size, prop=font).get_extents().width <= 72 * width
        lines = [*lines[:-1], longer] if lines and fits else [*lines, word]
    return lines


def settle(figure) -> None:
    """Lay the figure out, once."""
    if figure.get_layout_engine() is not None:
        figure.get_layout_engine().execute(figure)
        figure.set_layout_engine("none")


def inline(svg: bytes, name: str, description: str) -> str:
    """A figure as part of a page: its colours follow the page's, its identifiers are its own, and
    it says what it shows.
    """
    from html import escape

    text = svg.decode()
    pieces = _TITLE.split(text[text.index("<svg") :])
    pieces[::2] = [_of_page(piece, name) for piece in pieces[::2]]  # the others are titles
    text = "".join(pieces)
    head, rest = text.split(">", 1)
    [box] = re.findall(r'viewBox="([^"]*)"', head)
    rest = re.sub(r">\s+<", "><", rest).strip()
    width = float(box.split()[2]) * 4 / 3
    size = f"width:{width:.0f}px;min-width:{_SMALLEST * width:.0f}px"
    return (
        f'<svg viewBox="{box}" style="{size}" role="img" aria-label="{escape(description)}">{rest}'
    )


_TITLE = re.compile(r'(<g class="tip"[^>]*><title>[^<]*</title>)')


def _of_page(text: str, name: str) -> str:
    """A piece of a figure with the page's colours, identifiers of its own, and shorter numbers."""
    text = re.sub(
        r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>|<!--.*?-->|xmlns:xlink=\"[^\"]*\"",
        "",
        text,
        flags=re.S,
    )
    text = re.sub(r'(\bid=")', rf"\g<1>{name}-", text)
    text = re.sub(r"xlink:href=\"#", f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, variable)
    return re.sub(
        r"(scale\([^)]*\))|-?\d+\.\d{3,}", lambda match: match[1] or f"{float(match[0]):.2f}", text
    )
