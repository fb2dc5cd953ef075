"""Which probes came, and which again."""

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.echo.probes import WINDOW, Seen

NUMBERS = st.lists(st.integers(0, 30) | st.integers(0, 10**19 - 1), max_size=60)


class SeenTests(SynchronousTestCase):
    """Sequence numbers."""

    @settings(deadline=None)
    @given(NUMBERS, st.integers(0, 10**15))
    def test_as_a_set(self, numbers: list[int], first: int) -> None:
        """Within the window it counts as a set does, in any order."""
        seen = Seen()
        there: set[int] = set()
        duplicates = 0
        for number in (first + one % WINDOW for one in numbers):
            duplicates += number in there
            there.add(number)
            seen.add(number)
        self.assertEqual((seen.received, seen.duplicates), (len(there), duplicates))

    def test_window(self) -> None:
        """What is older than the window counts as different, however often it comes."""
        seen = Seen()
        for number in (0, 1, WINDOW, 1, 0, 0):
            seen.add(number)
        self.assertEqual((seen.received, seen.duplicates), (5, 1))

    def test_leap(self) -> None:
        """A leap over the window leaves nothing of what was."""
        for leap, duplicates in ((WINDOW - 1, 1), (WINDOW, 0), (10**18, 0)):
            seen = Seen()
            for number in (0, leap, 0, leap):
                seen.add(number)
            self.assertEqual(seen.duplicates, duplicates + 1)

    @settings(deadline=None)
    @given(NUMBERS)
    @example([0, WINDOW - 1, 2 * WINDOW - 2])
    def test_bounded(self, numbers: list[int]) -> None:
        """Whatever comes, no more is kept than the window."""
        seen = Seen()
        for number in numbers:
            seen.add(number)
            self.assertLessEqual(seen._bits.bit_length(), WINDOW)
        self.assertEqual(seen.received + seen.duplicates, len(numbers))
