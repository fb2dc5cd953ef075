"""
The page that shows what is in a directory.

A name may have any characters, and whoever put the file there may have chosen it: in the text of
the page it is escaped, in a link it is percent-encoded, and the page may run no script at all.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from html import escape

from lab.download.names import quote
from lab.download.wire import Entry

#: What a browser may do with the page: show it, as it says itself.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
#: More names than this are not shown.
MOST = 5000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HEAD = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font-family: sans-serif; margin: 1em auto; max-width: 60em; padding: 0 1em }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ padding: .2em .6em; text-align: left; overflow-wrap: anywhere }}
td + td, th + th {{ text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }}
tr:nth-child(even) td {{ background: #8881 }}
</style>
</head>
<body>
<h1>{title}</h1>
<table>
<thead><tr><th>Name</th><th>Bytes</th><th>Changed (UTC)</th></tr></thead>
<tbody>
"""
_ROW = '<tr><td><a href="{link}">{name}</a></td><td>{size}</td><td>{time}</td></tr>\n'
_FOOT = """\
</tbody>
</table>
<p>{count}</p>
</body>
</html>
"""


def page(directory: str, entries: Iterable[Entry], *, cut: bool = False) -> bytes:
    """
    The page.

    Args:
        directory: Its name; empty for the one that is served.
        entries: What is in it, in any order; the names of directories end with a slash.
        cut: Whether there is more in it.

    >>> b'<a href="a%20b">a b</a>' in page("", [Entry(5, 0, "a b")])
    True
    """
    shown = sorted(entries, key=lambda entry: (not entry.name.endswith("/"), entry.name))
    rows = [_row(entry) for entry in shown]
    if directory:
        rows.insert(0, _ROW.format(link="../", name="../", size="", time=""))
    count = f"{len(shown):,} names" + cut * ", and more that are not shown"
    text = _HEAD.format(title=_text(f"/{directory}")) + "".join(rows) + _FOOT.format(count=count)
    return text.encode()


def _row(entry: Entry) -> str:
    """One line of the table."""
    last = entry.name.rstrip("/").rpartition("/")[2]
    slash = "/" if entry.name.endswith("/") else ""
    # Not even a colon is left as it is, so that none begins a scheme, as in javascript:.
    link = quote(last) + slash
    size, time = ("", "") if slash else (f"{entry.size:,}", _time(entry.mtime_ns))
    return _ROW.format(link=link, name=_text(last + slash), size=size, time=time)


def _text(name: str) -> str:
    """A name as text of the page; what can't be shown is shown by its code."""
    # What turns the direction of writing would let a name look like another.
    return escape("".join(c if c.isprintable() else ascii(c)[1:-1] for c in name))


def _time(mtime_ns: int) -> str:
    """A time to the minute; nothing where a calendar has no day for it."""
    try:
        return f"{_EPOCH + timedelta(microseconds=mtime_ns // 1000):%Y-%m-%d %H:%M}"
    except OverflowError:
        return ""
