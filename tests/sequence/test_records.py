"""A session as it is kept."""

import math

from twisted.trial.unittest import SynchronousTestCase

from lab.sequence.records import Record


class RecordTests(SynchronousTestCase):
    """Epochs, and what is not shown."""

    def test_attached(self) -> None:
        """Whoever attaches it has the next epoch, and there is no deadline meanwhile."""
        record = Record("id", b"key", 5, 1.0, "here", sent=3, epoch=4, deadline=30.0)
        found = record.attached()
        self.assertEqual((found.epoch, found.deadline, found.sent), (5, math.inf, 3))

    def test_secret(self) -> None:
        """The key is not shown."""
        self.assertNotIn("secret", repr(Record("id", b"secret", 5, 1.0)))
