"""Room that links share."""

from twisted.trial.unittest import SynchronousTestCase

from lab.proxy.room import LEAST, MOST, TOTAL, Room


class RoomTests(SynchronousTestCase):
    """How much each has."""

    def test_each(self) -> None:
        """Much while there is enough for all, less when there is not, and much again."""
        room = Room()
        for size, expected in ((TOTAL, MOST), (1, LEAST), (-2, MOST)):
            room.take(size)
            self.assertEqual(room.each, expected)
        self.assertEqual(room.taken, TOTAL - 1)
