"""What can be set on the download service."""

import math

from twisted.trial.unittest import SynchronousTestCase

from lab.download.settings import ClientSettings, ServerSettings
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


class ClientTests(SynchronousTestCase):
    """The client's."""

    def test_refused(self) -> None:
        """What can't be; each says what is allowed."""
        for settings, text in (
            ({"silence": 0.0}, "silence is 0 s; give more than 0, for example 10"),
            ({"silence": math.inf}, "silence is inf s; give more than 0, for example 10"),
            ({"slowest": -1.0}, "slowest is -1 bytes/s; give 0 or more"),
            ({"in_flight": 1}, "in_flight is 1; give 2 to 1,000"),
            ({"limit_rate": math.nan}, "limit_rate is nan bytes/s; give more than 0"),
        ):
            error = self.assertRaises(LocalError, ClientSettings, **settings)
            self.assertEqual(str(error), text)

    def test_allowed(self) -> None:
        """The bounds themselves can be; by default it tries for half a minute."""
        ClientSettings(slowest=0.0, in_flight=2, limit_rate=1.0)
        self.assertApproximates(sum(ClientSettings().retry.waits()), 30.0, 2.0)
