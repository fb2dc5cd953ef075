"""How connections begin."""

from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress
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


class UnixTests(StreamCase):
    """Unix sockets, within one host."""

    def unix(self, client: Side, **keywords: Any) -> Connecting:
        """Connect to one."""
        factory = Connecting(client)
        connector = self.here.reactor.connectUNIX("/run/lab", factory, **keywords)
        self.assertEqual(connector.getDestination(), UNIXAddress(b"/run/lab"))
        return factory

    def test_connection(self) -> None:
        """Both ends know its path, bytes go both ways, and no time passes."""
        self.server = Side({"data": lambda side, data: side.transport.write(data.upper())})
        port = self.here.reactor.listenUNIX("/run/lab", self.factory)
        verifyObject(IListeningPort, port)
        address = UNIXAddress(b"/run/lab")
        client = Side({"data": lambda side, data: side.transport.loseConnection()})
        before = self.net.now
        self.unix(client)
        self.net.run(0)
        ends = client.transport.getHost(), client.transport.getPeer()
        self.assertEqual(ends, (UNIXAddress(None), address))
        self.assertEqual(str(client.transport).split(" connected")[0], "unix  > /run/lab")
        client.transport.write(b"hello")
        self.net.run(0)
        self.assertEqual(client.seen, ["made", b"HELLO", "ConnectionDone"])
        self.assertEqual(self.server.seen, ["made", b"hello", "ConnectionDone"])
        self.assertEqual(self.net.now, before)

    def test_taken(self) -> None:
        """A path is taken once, and free again when its socket is closed."""
        port = self.here.reactor.listenUNIX("/run/lab", self.factory)
        error = self.assertRaises(
            CannotListenError, self.here.reactor.listenUNIX, b"/run/lab", self.factory
        )
        self.assertIn("Address already in use", str(error))
        self.there.reactor.listenUNIX("/run/lab", self.factory)
        self.successResultOf(port.stopListening())
        self.successResultOf(port.stopListening())
        self.assertEqual(port.getHost(), UNIXAddress(b"/run/lab"))
        self.assertEqual(self.here.unix, {})

    def test_not_there(self) -> None:
        """Where nothing is, or nobody has locked it, or it is closed meanwhile."""
        nothing, unlocked, closed = Side({}), Side({}), Side({})
        self.unix(nothing)
        self.unix(unlocked, checkPID=True)
        port = self.here.reactor.listenUNIX("/run/lab", self.factory)
        self.unix(closed)
        port.stopListening()
        self.net.run(1)
        self.assertEqual(
            [side.seen for side in (nothing, unlocked, closed)],
            [["ConnectError"], ["BadFileError"], ["ConnectionRefusedError"]],
        )
