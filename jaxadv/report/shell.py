"""One self-contained page: its head, its sections with their addresses, the style sheet and the
script.
"""

from collections.abc import Iterable
from html import escape
from typing import NamedTuple

from jaxadv.report.heat import heat_style
from jaxadv.report.script import POLICY, SCRIPT
from jaxadv.report.style import STYLE


class Section(NamedTuple):
    """One section of a page. A section without content is left out."""

    heading: str
    content: str

    @property
    def address(self) -> str:
        return self.heading.lower().replace(" ", "-")


def page(*, name: str, title: str, lead: str, sections: Iterable[Section], footer: str) -> str:
    """The whole page.

    Args:
        name: of the run, as text.
        title: as text.
        lead: HTML below the title.
        sections: in order.
        footer: HTML.
    """
    sections = [one for one in sections if one.content]
    links = "".join(f'<a href="#{one.address}">{one.heading}</a>' for one in sections)
    body = "".join(
        f'<section id="{one.address}" aria-labelledby="{one.address}-heading">'
        f'<h2 id="{one.address}-heading">{one.heading}</h2>{one.content}</section>'
        for one in sections
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta '
        'name="color-scheme" content="light dark">'
        f'<link rel="icon" href="data:,"><title>{escape(title)} – '
        f"{escape(name)}</title><style>{STYLE}{heat_style()}</style></head>\n"
        f'<body><main><header><p class="run">{escape(name)}</p><h1>{escape(title)}</h1>{lead}'
        f'<nav aria-label="Sections">{links}</nav></header>\n{body}\n<footer>{footer}</footer></main>'
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def told(findings: Iterable[tuple[str, str]], kind: str) -> str:
    """Findings as a list of HTML; "" without any. kind: its class."""
    entries = "".join(f"<dt>{escape(a)}</dt><dd>{escape(b)}</dd>" for a, b in findings)
    return f'<dl class="{kind}">{entries}</dl>' if entries else ""
