"""Which version is downloaded."""

from twisted.trial.unittest import SynchronousTestCase

from lab.download.target import Version
from lab.download.versions import choose, votes

ONE, TWO, THREE = (
    Version(1, 10, bytes([number] * 32), sha256=str(number) * 64) for number in (1, 2, 3)
)
FAST = Version(1, 10, bytes([4] * 32), "blake3", "1" * 64)
OTHER = Version(1, 10, bytes([5] * 32), "sha256", "2" * 64)


class ChooseTests(SynchronousTestCase):
    """Of several."""

    def test_most(self) -> None:
        """What most have, whatever their order."""
        self.assertIs(choose({"a": ONE, "b": TWO, "c": TWO}), TWO)

    def test_first(self) -> None:
        """Of equally many, what the first has."""
        self.assertIs(choose({"a": THREE, "b": TWO, "c": ONE, "d": TWO, "e": THREE}), THREE)

    def test_kinds(self) -> None:
        """Lists of two kinds are of one file, if that has one SHA-256; one of them is taken."""
        self.assertIs(choose({"a": ONE, "b": FAST, "c": OTHER}), ONE)
        self.assertIs(choose({"a": OTHER, "b": FAST, "c": ONE}), FAST)
        # Of two that say the same of the file, what more have told.
        self.assertIs(choose({"a": FAST, "b": ONE, "c": ONE}), ONE)
        # One kind of which there are two lists, and another that both can be.
        false = Version(1, 10, bytes(32), "blake3", "1" * 64)
        self.assertIs(choose({"a": false, "b": FAST, "c": ONE}), ONE)

    def test_votes(self) -> None:
        """How many have the file, and how many this list of it."""
        versions = {"a": FAST, "b": ONE, "c": ONE, "d": TWO}
        self.assertEqual(
            [votes(one, versions) for one in (FAST, ONE, TWO, THREE)],
            [(3, 1), (3, 2), (1, 1), (0, 0)],
        )
