"""The arithmetic service on streams."""

from twisted.internet import reactor
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.trial.unittest import TestCase

from lab.arithmetic.tcp import ArithmeticClient, ArithmeticFactory


class LoopbackTests(TestCase):
    """Over a real socket."""

    timeout = 10

    async def test_sum(self) -> None:
        """One and one is two."""
        port = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(
            ArithmeticFactory(reactor)
        )
        self.addCleanup(port.stopListening)
        client = ArithmeticClient(
            reactor, clientFromString(reactor, f"tcp:127.0.0.1:{port.getHost().port}")
        )
        self.addCleanup(client.close)
        self.assertEqual(await client.ask("+", 1, 1), 2)
