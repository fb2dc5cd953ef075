"""How connections begin."""

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.interfaces import (
    IListeningPort,
)
from twisted.internet.protocol import Factory
from zope.interface.verify import verifyObject

from lab.simulator.paths import LATENCY
from tests.simulator.test_parity import Connecting, Side
from tests.simulator.test_streams import StreamCase


class OpeningTests(StreamCase):
    """How connections begin, or don't."""

    def test_times(self) -> None:
        """The client is connected after one round trip, the server half of one later."""
        self.connect(Side({}), Side({}), settle=0)
        self.net.run(2.5 * LATENCY)
        self.assertEqual((self.client.seen, self.server.seen), (["made"], []))
        self.net.run(LATENCY)
        self.assertEqual(self.server.seen, ["made"])

    def test_given_up_before(self) -> None:
        """A client that gives up while SYN is on its way leaves nothing at the server."""
        for moment in (0.5, 1.5, 2.5):
            self.connect(Side({}), Side({}), settle=moment * LATENCY)
            self.connector.stopConnecting() if moment < 2 else self.connector.disconnect()
            self.net.run(5)
            self.assertIn(self.client.seen[-1], ("UserError", "ConnectionDone"))
            self.assertEqual([end for end in self.there.ends if end.protocol is self.server], [])

    def test_refused_too_late(self) -> None:
        """A refusal that comes when the client has given up is for nobody."""
        side = Side({})
        connector = self.here.reactor.connectTCP("there", 81, Connecting(side))
        connector.stopConnecting()
        self.net.run(1)
        self.assertEqual(side.seen, ["UserError"])

    def test_no_protocol_for_the_client(self) -> None:
        """A client's factory that builds nothing ends the connection; the server sees none."""
        self.connecting.buildProtocol = lambda addr: None  # type: ignore[method-assign]
        lost: list[Any] = []
        self.connecting.clientConnectionLost = (  # type: ignore[method-assign]
            lambda connector, reason: lost.append(reason.type)
        )
        self.server = Side({})
        self.connector.disconnect()
        self.net.run(1)
        del lost[:]
        self.connector.connect()
        self.net.run(1)
        self.assertEqual((lost, self.server.seen), ([ConnectionDone], []))

    def test_no_protocol_for_the_server(self) -> None:
        """A server's factory that builds nothing closes the connection."""
        self.factory.buildProtocol = lambda addr: None  # type: ignore[method-assign]
        client = Side({})
        self.connect(client, self.server)
        self.assertEqual(client.seen, ["made", "ConnectionDone"])

    def test_gone_between(self) -> None:
        """A server that forgets the connection before it was used says so."""
        self.connect(Side({}), Side({}), settle=2.5 * LATENCY)
        for end in list(self.there.ends):
            end.vanish()
        self.net.run(1)
        self.assertEqual(self.client.seen, ["made", "ConnectionLost"])

    def test_name_of_nobody(self) -> None:
        """A name that is nobody's fails once, also if it is given up meanwhile."""
        for stop in (False, True):
            side = Side({})
            connector = self.here.reactor.connectTCP("nowhere", 80, Connecting(side))
            if stop:
                connector.stopConnecting()
            self.net.run(1)
            self.assertEqual(side.seen, ["UserError" if stop else "DNSLookupError"])


class PortTests(StreamCase):
    """Ports that listen."""

    def test_ports(self) -> None:
        """A port is taken once; closed, it refuses, and connections stay."""
        self.assertRaises(CannotListenError, self.there.reactor.listenTCP, 80, Factory())
        self.successResultOf(self.port.stopListening())
        self.successResultOf(self.port.loseConnection())
        side = Side({})
        self.here.reactor.connectTCP("there", 80, Connecting(side))
        self.net.run(1)
        self.assertEqual(side.seen, ["ConnectionRefusedError"])
        self.client.transport.write(b"still here")
        self.net.run(1)
        self.assertEqual(self.server.seen, ["made", b"still here"])
        free = self.there.reactor.listenTCP(0, Factory())
        self.assertGreater(free.getHost().port, 1024)

    def test_interfaces(self) -> None:
        """They are what Twisted's interfaces say."""
        verifyObject(IListeningPort, self.port)
        self.assertEqual(self.connector.getDestination(), IPv4Address("TCP", "there", 80))
