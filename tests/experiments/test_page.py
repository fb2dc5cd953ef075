"""What pages of HTML are made of."""

from html.parser import HTMLParser

from twisted.trial.unittest import SynchronousTestCase

from lab.experiments.page import figure, page, table

VOID = {"meta"}


class Nesting(HTMLParser):
    """Notes tags that are open, and whether each end is that of the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """One begins."""
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """One ends."""
        if self.open.pop() != tag:
            self.wrong.append(tag)


class PageTests(SynchronousTestCase):
    """The frame, tables and pictures."""

    def test_page(self) -> None:
        """All tags are closed in their order; the title is its heading, too; words are words."""
        parts = ["<p>one</p>", table("a < b", ["x", "&"], [["1", "<2>"]]), figure("<svg />", "x")]
        text = page("this & that", parts)
        reading = Nesting()
        reading.feed(text)
        self.assertEqual((reading.open, reading.wrong), ([], []))
        self.assertIn("<title>this &amp; that</title>", text)
        self.assertIn("<h1>this &amp; that</h1>\n<p>one</p>", text)
        self.assertNotIn("http", text)

    def test_table(self) -> None:
        """The first column names the rows; cells are words, and stand to the left if they are."""
        made = table("a < b", ["x", "&"], [["1", "<2>"], ["3", "4"]])
        self.assertIn('<th scope="row">1</th><td>&lt;2&gt;</td>', made)
        self.assertIn('<caption>a &lt; b</caption><thead><tr><th scope="col">x</th>', made)
        self.assertEqual(made.count("<tr>"), 3)
        self.assertTrue(made.startswith('<div class="wide"><table>'))
        words = table("", ["x"], [["1"]], words=True)
        self.assertTrue(words.startswith('<div class="wide words"><table>'))

    def test_figure(self) -> None:
        """A picture says what it shows to whoever does not see it."""
        made = figure('<svg width="1"><svg /></svg>', 'the "end"')
        label = 'aria-label="the &quot;end&quot;"'
        inner = f'<svg role="img" {label} width="1"><svg /></svg>'
        self.assertEqual(made, f"<figure>{inner}</figure>")
