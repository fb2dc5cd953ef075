"""
The same scripts on virtual and on real connections: protocols see the same.

What is compared is what each side sees, in its order: that it was connected, the bytes (how they
are cut is of no meaning), the end of the other's half, and the reason at the end. What one side
sees between two things of the other is not promised by any network, and not compared.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import CannotListenError, MulticastJoinError
from twisted.internet.interfaces import IHalfCloseableProtocol, IPullProducer, IPushProducer
from twisted.internet.protocol import ClientFactory, DatagramProtocol, Factory, Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from lab.simulator.network import SimulationFailed, simulate
from tests.helpers import folder


class Side(Protocol):
    """One side of a script: notes what it sees, and does what the script says."""

    def __init__(self, script: dict[str, Callable[..., object]]) -> None:
        self.script = script
        self.seen: list[Any] = []
        self.over: Deferred[list[Any]] = Deferred()

    def do(self, what: str, *arguments: Any) -> None:
        """What the script says for this, if it says anything."""
        if what in self.script:
            self.script[what](self, *arguments)

    def connectionMade(self) -> None:
        """Note it."""
        self.seen.append("made")
        self.do("made")

    def dataReceived(self, data: bytes) -> None:
        """Note it, behind what came before."""
        if isinstance(self.seen[-1], bytes):
            self.seen[-1] += data
        else:
            self.seen.append(data)
        self.do("data", data)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Note it; that is the end."""
        self.seen.append(reason.type.__name__)
        self.over.callback(self.seen)


@implementer(IHalfCloseableProtocol)
class HalfSide(Side):
    """One that knows half-closed connections."""

    def readConnectionLost(self) -> None:
        """Note it."""
        self.seen.append("read end")
        self.do("read end")

    def writeConnectionLost(self) -> None:
        """Note it."""
        self.seen.append("write end")


class Connecting(ClientFactory):
    """Gives its one protocol, or says why there was no connection."""

    noisy = False

    def __init__(self, side: Side) -> None:
        self.side = side

    def buildProtocol(self, addr: Any) -> Side:
        """The one."""
        return self.side

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        """Note it."""
        self.side.seen.append(reason.type.__name__)
        self.side.over.callback(self.side.seen)


def begin(client: Side, server: Side, here: Any, there: Any, name: str) -> Any:
    """Listen there and connect from here; returns the port, and what both will have seen."""
    factory = Factory.forProtocol(lambda: server)
    factory.noisy = False
    port = there.listenTCP(0, factory, interface="127.0.0.1")
    here.connectTCP(name, port.getHost().port, Connecting(client))
    return port, gatherResults([client.over, server.over])


@implementer(IPullProducer, IPushProducer)
class Numbers:
    """Produces so many pieces, and stops."""

    def __init__(self, side: Side, pieces: int, size: int, *, streaming: bool) -> None:
        self.side, self.left, self.size = side, pieces, size
        self.streaming, self.paused = streaming, False
        side.transport.registerProducer(self, streaming)
        if streaming:
            self.resumeProducing()

    def resumeProducing(self) -> None:
        """One piece, or as many as are taken."""
        self.paused = False
        while self.left and not self.paused:
            self.left -= 1
            self.side.transport.write(bytes([self.left % 251]) * self.size)
            if not self.streaming:
                break
        if not self.left:
            self.side.transport.unregisterProducer()
            self.side.transport.loseConnection()

    def pauseProducing(self) -> None:
        """No more for now."""
        self.paused = True

    def stopProducing(self) -> None:
        """No more."""
        self.left = 0


def write(data: bytes) -> Callable[..., object]:
    """An action: write these bytes."""
    return lambda side, *_: side.transport.write(data)


def lose(side: Side, *_: Any) -> None:
    """Close."""
    side.transport.loseConnection()


def abort(side: Side, *_: Any) -> None:
    """Abort."""
    side.transport.abortConnection()


def echo(side: Side, data: bytes) -> None:
    """Write what came."""
    side.transport.write(data)


def both(*actions: Callable[..., object]) -> Callable[..., object]:
    """Several actions, one after the other."""
    return lambda *of: [action(*of) for action in actions]


def once_there_are(size: int, action: Callable[..., object]) -> Callable[..., object]:
    """An action for when so many bytes have come."""

    def look(side: Side, data: bytes) -> None:
        """Are they there?"""
        if sum(len(one) for one in side.seen if isinstance(one, bytes)) == size:
            action(side, data)

    return look


def shut(side: Side, *_: Any) -> None:
    """Close our half."""
    side.transport.loseWriteConnection()


def produce(pieces: int, size: int, *, streaming: bool) -> Callable[..., object]:
    """An action: produce so much."""
    return lambda side: Numbers(side, pieces, size, streaming=streaming)


#: Scripts: what the client does, what the server does, and whether both know half-close.
SCRIPTS: dict[str, tuple[dict[str, Any], dict[str, Any], type[Side]]] = {
    "echo": (
        {"made": write(b"hello"), "data": once_there_are(5, lose)},
        {"data": echo},
        Side,
    ),
    "server speaks first and closes": ({}, {"made": both(write(b"bye"), lose)}, Side),
    "client closes at once": ({"made": lose}, {}, Side),
    "both close at once": ({"made": lose}, {"made": lose}, Side),
    "much at once, then close": ({"made": both(write(b"x" * 3_000_000), lose)}, {}, Side),
    "client aborts": ({"data": abort}, {"made": write(b"x")}, Side),
    "server aborts": ({"made": write(b"x")}, {"data": abort}, Side),
    "half-close": (
        {"made": both(write(b"question"), shut), "read end": lose},
        {"data": echo, "read end": both(write(b" answered"), lose)},
        HalfSide,
    ),
    "both halves, one after the other": (
        {"made": shut, "read end": lose},
        {"read end": both(shut, lose)},
        HalfSide,
    ),
    "half-close unknown to the server": ({"made": both(write(b"x"), shut)}, {"data": echo}, Side),
    "a half is closed when all is written": (
        {"made": both(shut, write(b"late")), "read end": lose},
        {"read end": lose},
        HalfSide,
    ),
    "pull producer": ({}, {"made": produce(50, 40_000, streaming=False)}, Side),
    "push producer": ({}, {"made": produce(50, 40_000, streaming=True)}, Side),
}


def pair(name: str) -> tuple[Side, Side]:
    """Both sides of a script."""
    client, server, kind = SCRIPTS[name]
    return kind(client), kind(server)


class Hearing(DatagramProtocol):
    """Notes what it hears, with its name."""

    noisy = False

    def __init__(self, heard: list[Any], name: str) -> None:
        self._heard, self._name = heard, name
        self.next: Deferred[None] = Deferred()

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Note it."""
        self._heard.append((self._name, datagram))
        self.next.callback(None)


class ParityTests(TestCase):
    """Every script, on both."""

    timeout = 20

    async def on_sockets(self, name: str) -> list[list[Any]]:
        """What both see on real sockets."""
        client, server = pair(name)
        port, over = begin(client, server, real_reactor, real_reactor, "127.0.0.1")
        try:
            found: list[list[Any]] = await over
        finally:
            await port.stopListening()
        return found

    def simulated(self, name: str) -> list[list[Any]]:
        """What both see in a simulation."""
        client, server = pair(name)
        with simulate(7) as net:
            here, there = net.host("client"), net.host("server")
            _, over = begin(client, server, here.reactor, there.reactor, "server")
            found: list[list[Any]] = net.run_until(over, limit=60)
            return found

    async def test_scripts(self) -> None:
        """Protocols see the same, in the same order, for the same reasons."""
        for name in SCRIPTS:
            self.assertEqual(self.simulated(name), await self.on_sockets(name), name)

    async def test_refused(self) -> None:
        """Nobody listens."""

        def go(reactor: Any, host: str, port: int) -> Deferred[list[Any]]:
            """Connect."""
            side = Side({})
            reactor.connectTCP(host, port, Connecting(side))
            return side.over

        port = real_reactor.listenTCP(0, Factory(), interface="127.0.0.1")
        number = port.getHost().port
        await port.stopListening()
        with simulate(7) as net:
            net.host("server")
            found = net.run_until(go(net.host("client").reactor, "server", number))
        self.assertEqual(found, await go(real_reactor, "127.0.0.1", number))

    async def test_groups(self) -> None:
        """Two ports that share a number, one of which joins and leaves a group."""

        async def go(reactor: Any, interface: str) -> list[Any]:
            """Send to the group before, while and after it has a member."""
            heard: list[Any] = []
            ours, theirs = Hearing(heard, "ours"), Hearing(heard, "theirs")
            # Bound to the group, a port hears nothing of other networks.
            port = reactor.listenMulticast(0, ours, "224.0.0.9", listenMultiple=True)
            number = port.getHost().port
            other = reactor.listenMulticast(number, theirs, "224.0.0.9", listenMultiple=True)
            sender = reactor.listenMulticast(0, Hearing(heard, "sender"), interface)
            await sender.setOutgoingInterface(interface)
            for group in ("224.0.0.9", "224.0.0.9", "10.0.0.1"):
                try:
                    await port.joinGroup(group, interface)
                except MulticastJoinError as error:
                    heard.append(error.args[2:])
            sender.write(b"all", ("224.0.0.9", number))
            await gatherResults([ours.next, theirs.next])
            heard.sort(key=str)
            await port.leaveGroup("224.0.0.9", interface)
            try:
                await port.leaveGroup("224.0.0.9", interface)
            except MulticastJoinError as error:
                heard.append(error.args[2:])
            for one in (port, other, sender):
                await one.stopListening()
            return heard

        with simulate(7) as net:
            reactor = net.host("a").reactor
            found = net.run_until(Deferred.fromCoroutine(go(reactor, "127.0.0.1")))
        self.assertEqual(len(found), 5)
        self.assertEqual(found, await go(real_reactor, "127.0.0.1"))

    async def test_unix(self) -> None:
        """Unix sockets: where nobody listens, where somebody does, and what both ends are."""

        def path(address: Any) -> str:
            """The last part of an address."""
            return Path((address.name or b"").decode()).name

        async def go(reactor: Any, where: str) -> list[Any]:
            """Connect, before and while somebody listens."""
            seen: list[Any] = []
            for check in (False, True):
                side = Side({})
                reactor.connectUNIX(f"{where}/lab", Connecting(side), checkPID=check)
                seen.append(await side.over)

            def ends(side: Side) -> None:
                """Note both addresses."""
                transport: Any = side.transport
                side.seen += [path(transport.getHost()), path(transport.getPeer())]

            client = Side({"made": both(ends, write(b"hello")), "data": lose})
            server = Side({"made": ends, "data": echo})
            factory = Factory.forProtocol(lambda: server)
            factory.noisy = False
            port = reactor.listenUNIX(f"{where}/lab", factory, wantPID=True)
            seen.append(path(port.getHost()))
            try:
                reactor.listenUNIX(f"{where}/lab", factory, wantPID=True)
            except CannotListenError as error:
                seen.append(error.interface)
            reactor.connectUNIX(f"{where}/lab", Connecting(client), checkPID=True)
            seen += await gatherResults([client.over, server.over])
            await port.stopListening()
            return seen

        with simulate(7) as net:
            found = net.run_until(Deferred.fromCoroutine(go(net.host("a").reactor, "/run")))
        self.assertEqual(len(found), 6)
        self.assertEqual(found, await go(real_reactor, str(folder(self))))

    async def test_exception(self) -> None:
        """A protocol that raises loses its connection; in a simulation the run fails as well."""

        def raises(side: Side, data: bytes) -> None:
            """Have a bug."""
            raise ZeroDivisionError

        SCRIPTS["raises"] = ({"made": write(b"x")}, {"data": raises}, Side)
        self.addCleanup(SCRIPTS.pop, "raises")
        real = await self.on_sockets("raises")
        client, server = pair("raises")
        with simulate(7) as net:
            hosts = net.host("client").reactor, net.host("server").reactor
            _, over = begin(client, server, *hosts, "server")
            with self.assertRaises(SimulationFailed) as caught:
                net.run_until(over)
            self.assertEqual([client.seen, server.seen], real)
            net.failures.clear()
        self.assertIn("server: ZeroDivisionError()", str(caught.exception))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)


class SlowTests(SynchronousTestCase):
    """What takes long on real sockets is quick here."""

    def test_connect_timeout(self) -> None:
        """A host that is down answers nothing, and the attempt ends after its timeout."""
        with simulate(7) as net:
            net.host("server").crash()
            side = Side({})
            net.host("client").reactor.connectTCP("server", 80, Connecting(side), timeout=5)
            self.assertEqual(net.run_until(side.over), ["TimeoutError"])
            self.assertEqual(net.now, 5.0)
