"""
What pages of HTML are made of that open offline: the frame, tables, pictures.

Everything is inside the page: no scripts, no fonts, nothing from a network. Knows no files, and
nothing of what is reported.
"""

from collections.abc import Iterable, Sequence
from html import escape

_STYLE = """
body { font: 16px/1.5 sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em; color: #111; }
table { border-collapse: collapse; margin: 1em 0; font-size: 85%; }
caption { text-align: left; font-weight: bold; }
th, td { padding: .2em .6em; border-bottom: 1px solid #ccc; text-align: right; }
th[scope=row], thead th:first-child { text-align: left; }
.words td, .words th { text-align: left; vertical-align: top; }
pre { background: #f4f4f4; padding: 1em; overflow-x: auto; white-space: pre-wrap; }
figure { margin: 1em 0; break-inside: avoid; }
figure svg { max-width: 100%; height: auto; }
.wide { overflow-x: auto; }
@media print { body { max-width: none; margin: 0; } .wide { overflow: visible; } }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """
    A page.

    Args:
        title: In words; its heading, too.
        parts: HTML.
    """
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            *parts,
            "</body></html>\n",
        ]
    )


def table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, words: bool = False
) -> str:
    """
    A table, whose first column names its rows.

    Args:
        caption: What stands above.
        head: The names of its columns, in words.
        rows: In words.
        words: Whether its cells are sentences, and not numbers.
    """
    top = "".join(f'<th scope="col">{escape(word)}</th>' for word in head)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{escape(word)}</td>" for word in rest)
        + "</tr>\n"
        for first, *rest in rows
    )
    kind = "wide words" if words else "wide"
    return (
        f'<div class="{kind}"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def figure(svg: str, words: str) -> str:
    """
    A picture.

    Args:
        svg: As `lab.experiments.plots.paper.inline` gives it.
        words: What it shows, for whoever does not see it.
    """
    label = escape(words, quote=True)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    return f"<figure>{svg}</figure>"
