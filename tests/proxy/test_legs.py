"""One leg, on a stand-in for a transport and a virtual clock."""

from types import SimpleNamespace
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableDescriptor, ITCPTransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from lab.adapters.lean import LeanConnection
from lab.capture.packets import ACK, SYN
from lab.proxy.legs import LINGER, Leg
from lab.proxy.recording import StreamLeg
from tests.adapters.test_lean import tcp_pair
from tests.proxy.captured import CLIENT, Captured


class Transport:
    """Notes what it is told to do."""

    def __init__(self, *interfaces: Any) -> None:
        self.told: list[str] = []
        alsoProvides(self, *interfaces)

    def getPeer(self) -> Any:
        """Somebody."""
        return IPv4Address("TCP", "127.0.0.1", 1)

    getHost = getPeer

    def __getattr__(self, name: str) -> Any:
        """Note that this is called."""
        if name.startswith("__") or (name == "abortConnection" and "whole" in self.told):
            raise AttributeError(name)
        return lambda *arguments: self.told.append(name)


class Owner:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def made(self, leg: Leg) -> None:
        """Note it."""
        self.told.append("made")

    def ended(self, leg: Leg) -> None:
        """Note it."""
        self.told.append("ended")

    def lost(self, leg: Leg, reason: Failure) -> None:
        """Note it."""
        self.told.append("lost")


class LegTests(SynchronousTestCase):
    """What it does with its transport."""

    def setUp(self) -> None:
        """One on a transport that has halves."""
        self.clock, self.owner = Clock(), Owner()
        self.leg = self.make(IHalfCloseableDescriptor)

    def make(self, *interfaces: Any) -> Leg:
        """One on a transport with these interfaces."""
        leg = Leg(self.clock, self.owner)
        self.transport = Transport(*interfaces)
        leg.makeConnection(self.transport)  # type: ignore[arg-type]
        return leg

    def lose(self) -> None:
        """The transport is gone, and nothing is left."""
        self.leg.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((self.owner.told[-1], self.leg.there), ("lost", False))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def told(self) -> list[str]:
        """What the transport was told since the last time."""
        found, self.transport.told = self.transport.told, []
        return found

    def test_nodelay(self) -> None:
        """TCP sends at once; what is no TCP can't be told so."""
        self.assertEqual(self.told(), [])
        self.make(ITCPTransport)
        self.assertEqual(self.told(), ["setTcpNoDelay"])
        self.assertEqual(self.owner.told, ["made", "made"])

    def test_early(self) -> None:
        """Bytes are kept until somebody takes them, and thrown away when nobody will."""
        self.leg.dataReceived(b"a")
        self.assertEqual(self.leg.early, [b"a"])
        found: list[bytes] = []
        self.leg.take = found.append
        self.leg.dataReceived(b"b")
        self.leg.finish(1.0)
        self.leg.dataReceived(b"c")
        self.assertEqual(found, [b"b"])
        self.lose()

    def test_read(self) -> None:
        """It is told once; when the peer has ended, there is nothing to read."""
        for wanted in (True, False, False, True, False):
            self.leg.read(wanted=wanted)
        self.assertEqual(self.told(), ["pauseProducing", "resumeProducing", "pauseProducing"])
        self.leg.readConnectionLost()
        self.leg.read(wanted=True)
        self.assertEqual((self.told(), self.owner.told), ([], ["made", "ended"]))

    def test_read_now(self) -> None:
        """What has come is read, if it is wanted, and if the transport can do that."""
        ours, peer = tcp_pair()
        self.addCleanup(peer.close)
        peer.sendall(b"early")
        reactor = SimpleNamespace(addReader=id, removeReader=id)
        self.leg.read_now()
        self.leg.makeConnection(LeanConnection(ours, self.leg, ("::1", 1), None, 0, reactor))
        self.leg.read(wanted=False)
        self.leg.read_now()
        self.assertEqual(self.leg.early, [])
        self.leg.read(wanted=True)
        self.leg.read_now()
        self.assertEqual(self.leg.early, [b"early"])
        self.addCleanup(ours.close)

    def test_halves(self) -> None:
        """When both halves have ended, in any order, it closes."""
        self.leg.shut()
        self.leg.shut()
        self.assertEqual(self.told(), ["unregisterProducer", "loseWriteConnection"])
        self.leg.writeConnectionLost()
        self.assertEqual(self.told(), [])
        self.leg.readConnectionLost()
        self.assertEqual(self.told(), ["loseConnection"])
        self.leg = self.make(IHalfCloseableDescriptor)
        self.leg.readConnectionLost()
        self.leg.shut()
        self.leg.writeConnectionLost()
        self.assertEqual(self.told()[-2:], ["loseWriteConnection", "loseConnection"])
        self.lose()

    def test_finish_at_the_end(self) -> None:
        """When both halves have ended, and the owner lets go at that, nothing is waited for."""
        self.leg.shut()
        self.leg.writeConnectionLost()
        self.told()
        self.patch(self.owner, "ended", lambda leg: leg.finish(60.0))
        self.leg.readConnectionLost()
        self.assertEqual(set(self.told()), {"loseConnection"})
        self.lose()

    def test_no_halves(self) -> None:
        """The whole is closed."""
        self.leg = self.make()
        self.leg.shut()
        self.assertEqual(self.told(), ["unregisterProducer", "loseConnection"])

    def test_finish(self) -> None:
        """It ends its half and reads on; when the peer has ended too, it closes."""
        self.leg.read(wanted=False)
        self.told()
        self.leg.finish(60.0)
        self.assertEqual(
            self.told(), ["unregisterProducer", "loseWriteConnection", "resumeProducing"]
        )
        self.leg.writeConnectionLost()
        self.leg.readConnectionLost()
        self.assertEqual(self.told(), ["loseConnection"])
        self.lose()

    def test_peer_does_not_end(self) -> None:
        """It is given so long from when all has gone out to it; then it is closed, not reset."""
        self.leg.finish(60.0)
        self.clock.advance(30)
        self.leg.writeConnectionLost()
        self.told()
        self.clock.advance(LINGER - 0.1)
        self.assertEqual(self.told(), [])
        self.clock.advance(0.1)
        self.assertEqual(self.told(), ["loseConnection"])
        self.leg.finish(60.0)  # changes nothing any more
        self.lose()

    def test_peer_does_not_read(self) -> None:
        """It has as long as it is given, and never more because it was let go twice."""
        self.leg.finish(60.0)
        self.clock.advance(1)
        self.leg.finish(LINGER)
        self.leg.finish(60.0)
        self.told()
        self.clock.advance(LINGER)
        self.assertEqual(self.told(), ["abortConnection"])
        self.leg.shut()
        self.leg.finish(60.0)
        self.leg.abort()
        self.leg.read(wanted=False)
        self.assertEqual(self.told(), [])
        self.lose()

    def test_abort(self) -> None:
        """With RST, or as it can be done."""
        self.leg.abort()
        self.assertEqual(self.told(), ["abortConnection"])
        self.leg = self.make()
        self.transport.told.append("whole")
        self.leg.abort()
        self.assertEqual(self.told(), ["whole", "loseConnection"])
        self.lose()
        self.leg.shut()
        self.assertEqual(self.told(), [])


class SeenTests(SynchronousTestCase):
    """What a capture has of a leg."""

    def leg(self, *interfaces: Any) -> Leg:
        """One on a transport with these interfaces, and a capture."""
        clock = Clock()
        self.captured = Captured(clock.seconds)
        leg = Leg(clock, Owner(), StreamLeg(self.captured.relay, inbound=True))
        leg.makeConnection(Transport(*interfaces))  # type: ignore[arg-type]
        self.assertEqual([one.flags for one in self.captured.seen(CLIENT)], [SYN, SYN | ACK, ACK])
        return leg

    def lose(self, leg: Leg, reason: Exception) -> list[tuple[str, str]]:
        """How it has ended, when the transport is gone for this reason."""
        leg.connectionLost(Failure(reason))
        return self.captured.ends(CLIENT)

    def test_ends(self) -> None:
        """Each half, by whom it is ended and why."""
        leg = self.leg(IHalfCloseableDescriptor)
        leg.shut("because")
        leg.readConnectionLost()
        found = self.lose(leg, ConnectionDone())
        self.assertEqual(found, [("FIN out", "because"), ("FIN in", "")])

    def test_whole(self) -> None:
        """What has no halves ends as a whole."""
        found = self.lose(self.leg(), ConnectionDone())
        self.assertEqual(found, [("FIN in", ""), ("FIN out", "")])

    def test_given_up(self) -> None:
        """A peer that has not ended has not ended, whoever closes."""
        leg = self.leg(IHalfCloseableDescriptor)
        leg.finish(1.0, "because")
        leg.dataReceived(b"too late")
        self.assertEqual(self.lose(leg, ConnectionDone()), [("FIN out", "because")])
        (wasted,) = [one for one in self.captured.seen(CLIENT) if one.data]
        self.assertEqual(wasted.comment, "thrown away: the connection is closed")

    def test_reset(self) -> None:
        """RST comes from the peer, or from us, and only one of the two."""
        self.assertEqual(self.lose(self.leg(), ConnectionLost()), [("RST in", "")])
        leg = self.leg(IHalfCloseableDescriptor)
        leg.abort("because")
        self.assertEqual(self.lose(leg, ConnectionAborted()), [("RST out", "because")])

    def test_other_reasons(self) -> None:
        """What is no reset says what it is."""
        found = self.lose(self.leg(), ValueError("no TLS"))
        self.assertEqual(found, [("RST in", "no TLS")])
