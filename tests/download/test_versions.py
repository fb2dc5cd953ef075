"""Which version is downloaded."""

from twisted.trial.unittest import SynchronousTestCase

from lab.download.target import Version
from lab.download.versions import choose

ONE, TWO, THREE = (Version(1, 10, bytes([number] * 32)) for number in (1, 2, 3))


class ChooseTests(SynchronousTestCase):
    """Of several."""

    def test_most(self) -> None:
        """What most have, whatever their order."""
        self.assertEqual(choose({"a": ONE, "b": TWO, "c": TWO}), (TWO, 2))

    def test_first(self) -> None:
        """Of equally many, what the first has."""
        self.assertEqual(choose({"a": THREE, "b": TWO, "c": ONE, "d": TWO, "e": THREE}), (THREE, 2))
