"""Lists of files, as they are sent."""

from twisted.trial.unittest import SynchronousTestCase

from lab.download.files import BATCH
from lab.download.listings import listing
from lab.download.memory import MemoryCatalogue
from lab.download.wire import Entry, Working, read_entry
from tests.download.test_digests import run


class ListingTests(SynchronousTestCase):
    """A list is made."""

    def test_lines(self) -> None:
        """A line for each, in the order of names, in steps that are not too long."""
        files = MemoryCatalogue({f"{n:05}": b"x" for n in range(2 * BATCH, 0, -1)})
        steps, made = run(listing(files, "*"))
        entries = [read_entry(line) for line in made.lines.split(b"\n")[:-1]]
        self.assertEqual(entries, [Entry(1, 0, f"{n:05}") for n in range(1, 2 * BATCH + 1)])
        self.assertEqual(made.count, 2 * BATCH)
        self.assertEqual(steps[0], Working(BATCH, BATCH))
        self.assertEqual(len(steps), 4)

    def test_some(self) -> None:
        """Those that match, or none."""
        files = MemoryCatalogue({"a b": b"1", "c": b""})
        self.assertEqual(run(listing(files, "a*"))[1].lines, b"1 0 a%20b\n")
        nothing = run(listing(files, "x"))[1]
        self.assertEqual((nothing.count, nothing.lines), (0, b""))
