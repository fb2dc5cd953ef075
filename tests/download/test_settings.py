"""What can be set on the download service."""

import math

from twisted.trial.unittest import SynchronousTestCase

from lab.download.settings import ServerSettings
from lab.errors import LocalError


class ServerTests(SynchronousTestCase):
    """The server's."""

    def test_refused(self) -> None:
        """What can't be is refused, and it is said what can."""
        for name, value, text in (
            ("idle", 0, "idle is 0; give more than 0"),
            ("rate", -1, "rate is -1; give more than 0"),
            ("total_rate", math.nan, "total_rate is nan; give more than 0"),
            ("transfers", 0, "transfers is 0; give 1 to 1,000,000"),
            ("total_transfers", 0, "total_transfers is 0; give 1 to 1,000,000"),
            ("connections", 10**7, "connections is 10,000,000; give 1 to 1,000,000"),
            ("total_connections", 0, "total_connections is 0; give 1 to 1,000,000"),
            ("workers", 65, "workers is 65; give 1 to 64"),
            ("queue", -1, "queue is -1; give 0 to 1,000,000"),
            ("cache", -1, "cache is -1; give 0 to 1,099,511,627,776"),
        ):
            error = self.assertRaises(LocalError, ServerSettings, **{name: value})
            self.assertEqual(str(error), text)

    def test_allowed(self) -> None:
        """The bounds themselves can be."""
        ServerSettings(idle=math.inf, workers=1, queue=0, cache=0, transfers=1)
