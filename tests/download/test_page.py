"""The page that shows what is in a directory."""

import os
import re
from html.parser import HTMLParser
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.download.names import WrongName, check, quote
from lab.download.page import page
from lab.download.wire import Entry

TABLE = {"table", "thead", "tbody", "tr", "th", "td"}
ALLOWED = {"html", "head", "meta", "title", "style", "body", "h1", "a", "p", *TABLE}
NAMES = st.text(max_size=20) | st.binary(max_size=20).map(os.fsdecode)


class Reads(HTMLParser):
    """Reads a page, as a browser does."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        assert tag in ALLOWED
        if tag != "meta":
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]
        assert {name for name, _ in attrs} <= {"href", "lang", "charset", "name", "content"}

    def handle_endtag(self, tag: str) -> None:
        """It ends, and was the last that began."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Some text."""
        self.texts.append(data)


def read(data: bytes) -> Reads:
    """The page, which is whole."""
    reads = Reads()
    reads.feed(data.decode())
    reads.close()
    assert not reads.open
    return reads


class PageTests(SynchronousTestCase):
    """What is shown."""

    def test_rows(self) -> None:
        """Directories first, then files in the order of names; sizes and times."""
        text = page(
            "x/y z/",
            [
                Entry(1234567, 1_000_000_000 * 10**9, "x/y z/b"),
                Entry(0, 0, "x/y z/a&b"),
                Entry(0, 0, "x/y z/dir/"),
                Entry(1, 10**27, "x/y z/late"),
            ],
        )
        rows = re.findall(r"<tr>(<td>.*)</tr>", text.decode())
        self.assertEqual(
            rows,
            [
                '<td><a href="../">../</a></td><td></td><td></td>',
                '<td><a href="dir/">dir/</a></td><td></td><td></td>',
                '<td><a href="a%26b">a&amp;b</a></td><td>0</td><td>1970-01-01 00:00</td>',
                '<td><a href="b">b</a></td><td>1,234,567</td><td>2001-09-09 01:46</td>',
                '<td><a href="late">late</a></td><td>1</td><td></td>',
            ],
        )
        reads = read(text)
        self.assertEqual(reads.texts.count("/x/y z/"), 2)
        self.assertIn("4 names", reads.texts)

    def test_root(self) -> None:
        """It has nothing above it; what is left out is said."""
        reads = read(page("", [], cut=True))
        self.assertEqual(reads.links, [])
        self.assertIn("0 names, and more that are not shown", reads.texts)

    @given(st.lists(NAMES, max_size=3), st.lists(NAMES, max_size=5))
    @example(["<script>alert(1)</script>"], ["\"'><img src=x onerror=alert(1)>", "javascript:a"])
    @example(["a"], ["\u202etxt.exe", "&lt;", "--><!--", "</table>", "?", "#", "//x", "\udcff"])
    def test_any_names(self, parts: list[str], names: list[str]) -> None:
        """Whatever names are there, they add nothing to the page, and links lead to them."""
        directory = "".join(f"{part}/" for part in parts)
        served = []
        for name in names:
            try:
                check(name)
            except WrongName:
                continue
            served.append(directory + name)
        try:
            check(f"{directory}a", recursive=True)
        except WrongName:
            return
        reads = read(page(directory, [Entry(0, 0, name) for name in served]))
        base = f"http://host/{quote(directory) if directory else ''}"
        found = [urlsplit(urljoin(base, link)) for link in reads.links[bool(directory) :]]
        self.assertEqual({(link.scheme, link.netloc) for link in found} - {("http", "host")}, set())
        paths = [os.fsdecode(unquote_to_bytes(link.path[1:])) for link in found]
        self.assertEqual(paths, sorted(served))
        for text in reads.texts:
            self.assertTrue(all(c.isprintable() or c == "\n" for c in text))
