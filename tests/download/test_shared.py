"""What all connections of a server share."""

from twisted.trial.unittest import SynchronousTestCase

from lab.download.digests import Digests
from lab.download.settings import ServerSettings
from lab.download.shared import Shared


class SharedTests(SynchronousTestCase):
    """Each limit goes where it belongs."""

    def test_limits(self) -> None:
        """Places of transfers and of connections, rates, and room."""
        shared = Shared(
            ServerSettings(
                transfers=1,
                total_transfers=2,
                connections=3,
                total_connections=4,
                rate=5.0,
                cache=0,
            )
        )
        self.assertEqual(shared.rates.least, 5.0)
        shared.transfers.begin("a")
        refused = "there are 1 transfers of this address"
        self.assertEqual(shared.transfers.refusal("a"), refused)
        shared.transfers.begin("b")
        self.assertEqual(shared.transfers.refusal("c"), "there are 2 transfers in all")
        for _ in range(3):
            shared.connections.begin("a")
        refused = "there are 3 connections of this address"
        self.assertEqual(shared.connections.refusal("a"), refused)
        shared.connections.begin("b")
        self.assertEqual(shared.connections.refusal("c"), "there are 4 connections in all")
        shared.cache.keep("a", Digests(0, 0, "", b"", b""))
        self.assertEqual(len(shared.cache), 0)
