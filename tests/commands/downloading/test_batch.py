"""Files that are downloaded together: how far they are, in words."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.downloading.batch import Batch, show, show_source
from lab.download.outcomes import Progress, SourceProgress, State


def batch(*names: str) -> Batch:
    """Nothing of it has begun."""
    return Batch(names, Path("here"))


class TextTests(SynchronousTestCase):
    """What is said of it."""

    def test_one(self) -> None:
        """Of one file, how far that is."""
        one = batch("a")
        self.assertEqual(one.text(), "")
        one.running["a"] = Progress(2**20, 2**19, rate=2**18, eta=2.0)
        self.assertEqual(one.text(), "a: 512 KiB of 1 MiB (50 %), 256 KiB/s, 0:02 left")

    def test_before_the_size_is_known(self) -> None:
        """What its servers are doing."""
        self.assertEqual(show("a", Progress()), "a: begins")
        sources = (
            SourceProgress("x", State.CONNECTING),
            SourceProgress("y", State.ASKING),
            SourceProgress("z", State.ASKING),
            SourceProgress("w", State.LOST, note="\x1b refused"),
        )
        said = "a: connecting, asking, lost (\\x1b refused)"
        self.assertEqual(show("a", Progress(sources=sources)), said)

    def test_without_a_rate(self) -> None:
        """What is not known is not said."""
        self.assertEqual(show("a", Progress(10, 5)), "a: 5 of 10 bytes (50 %)")
        self.assertEqual(show("a", Progress(0, 0)), "a: 0 of 0 bytes (0 %)")

    def test_names(self) -> None:
        """Nothing in a name moves a cursor."""
        self.assertEqual(show("a\x1b[2J\n", Progress()), "a\\x1b[2J\\n: begins")

    def test_many(self) -> None:
        """Of several, all together, and each that is on its way."""
        many = batch("a", "b", "c", "d")
        self.assertEqual(many.text(), "0 of 4 files, 0 of 0 bytes (0 %)")
        many.codes["a"], many.whole, many.size = 0, 1, 100
        many.running = {"b": Progress(200, 50, rate=10.0), "c": Progress()}
        said = "1 of 4 files, 150 of 300 bytes (50 %), 10 bytes/s, 0:15 left; b 25 %, c 0 %"
        self.assertEqual(many.text(), said)

    def test_source(self) -> None:
        """What a server does, what it gave, and why it is so."""
        source = SourceProgress("tcp:a:1", State.BUSY, 2**21, 1200, 2.0**20)
        said = "tcp:a:1 busy, 2,097,152 bytes, 1,200 pieces, 1 MiB/s"
        self.assertEqual(show_source(source), said)
        source = SourceProgress("tcp:a:1", State.LYING, note="bad\x1b")
        self.assertEqual(show_source(source), "tcp:a:1 lying, 0 bytes, 0 pieces; bad\\x1b")


class FigureTests(SynchronousTestCase):
    """Sums and codes."""

    def test_code(self) -> None:
        """That of the first that failed, in the order of the names."""
        many = batch("a", "b", "c")
        self.assertEqual(many.code, 0)
        many.codes = {"c": 3, "a": 0, "b": 4}
        self.assertEqual(many.code, 4)

    def test_left(self) -> None:
        """What is here of what is not whole, if there is anything to say."""
        one = batch("a")
        self.assertEqual(one.left(), "")
        one.running["a"] = Progress()
        self.assertEqual(one.left(), "")
        one.running["a"] = Progress(10 * 2**20, 3_250_586)
        self.assertEqual(one.left(), "3.1 of 10 MiB are here")
        many = batch("a", "b", "c")
        many.whole, many.running = 1, {"b": Progress(100, 50), "c": Progress(100, 20)}
        self.assertEqual(many.left(), "1 of 3 files are here, and 70 of 200 bytes of others")

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 2**40), st.floats(0, 1)), max_size=5))
    def test_total(self, files: list[tuple[int, float]]) -> None:
        """What is done is never more than all, and only all of it is 100 percent."""
        many = batch("x", *map(str, range(len(files))))
        for number, (size, share) in enumerate(files):
            many.running[str(number)] = Progress(size, int(size * share), rate=1.0)
        total = many.total()
        assert total.size is not None
        self.assertLessEqual(total.done, total.size)
        self.assertEqual("(100 %)" in many.text(), 0 < total.size == total.done)
