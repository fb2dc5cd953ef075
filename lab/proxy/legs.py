"""
One leg of a relayed connection: that to the client, or that to the upstream.

Knows no faults, and not the other leg.

**What it must do.** Hand on what comes, and each way in which a connection can end: our half, the
peer's half, both at once, at once and with RST. A leg that is let go must not destroy what was
written to it, and must not be there for ever.

**How it does it.** To let go, it ends its own half, reads on and throws away, and closes when the
peer has ended, or after `LINGER`. A peer that does not read what is due to it has as long as it is
given. Where there are no halves, as with TLS, the whole is closed when all has been written.

**What was refused.** Closing at once: with unread bytes left, the kernel answers them with RST,
which destroys what the peer has received and not read.
"""

from collections.abc import Callable
from typing import Any
from typing import Protocol as Interface

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from lab.adapters.lean import LeanConnection
from lab.adapters.transports import (
    can_half_close,
    close_ended,
    close_whole,
    end_half,
    is_tcp,
)
from lab.proxy.recording import StreamLeg

#: A peer to which we have ended may take so long to end as well, in seconds.
LINGER = 2.0


def _nowhere(_: bytes) -> None:
    """Throw away."""


class Owner(Interface):
    """Is told what becomes of a leg."""

    def made(self, leg: "Leg") -> None:
        """There is a transport."""

    def ended(self, leg: "Leg") -> None:
        """The peer sends no more."""

    def lost(self, leg: "Leg", reason: Failure) -> None:
        """The transport is gone."""


class _Nobody:
    """Owns legs that are gone, so that they keep nobody in memory."""

    def made(self, leg: "Leg") -> None:
        """It is not."""

    ended = made

    def lost(self, leg: "Leg", reason: Failure) -> None:
        """It was."""


_NOBODY = _Nobody()


# Of several such interfaces Twisted's endpoints let a transport see one: this is it.
@implementer(IHalfCloseableProtocol)
class Leg(Protocol):
    """
    A leg.

    Args:
        clock: Measures how long a peer takes.
        owner: Is told what happens.
        seen: What a capture has of it, if there is one; who reads and writes sees to the bytes.

    Attributes:
        take: Called with the bytes that come; what comes before anybody wants it is kept.
        early: Those bytes.
        there: Whether there is a transport now.
        ended: Whether the peer has said that it sends no more.
        reading: Whether it is read from.
    """

    #: Any stream transport. Twisted sets it before connectionMade.
    transport: Any
    there = ended = False
    reading = True
    _usable = False  # there, and it has not been aborted either
    _shutting = _shut = False
    _timer: IDelayedCall | None = None

    def __init__(self, clock: IReactorTime, owner: Owner, seen: StreamLeg | None = None) -> None:
        self._clock, self._owner = clock, owner
        self._seen = seen
        self.early: list[bytes] = []
        self.take: Callable[[bytes], object] = self.early.append

    def connectionMade(self) -> None:
        """There is a transport."""
        self.there = self._usable = True
        if is_tcp(self.transport):
            # Chunks go on as they come; to wait for more would be a delay that nobody asked for.
            self.transport.setTcpNoDelay(True)
        if self._seen is not None:
            self._seen.made(self.transport.getHost(), self.transport.getPeer())
        self._owner.made(self)

    def dataReceived(self, data: bytes) -> None:
        """Bytes of the peer's."""
        self.take(data)

    def readConnectionLost(self) -> None:
        """The peer sends no more."""
        self.ended = True
        self._owner.ended(self)
        if self._seen is not None:  # nobody has told, because nobody wants to know
            self._seen.ended(inbound=True)
        if self._shut and self.there:
            close_ended(self.transport)

    def writeConnectionLost(self) -> None:
        """All that was written has gone out, and our end behind it."""
        self._shut = True
        if self.ended:
            close_ended(self.transport)
        elif self._timer is not None:
            self._be_patient(LINGER)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The transport is gone."""
        self.there = self._usable = False
        self.take = _nowhere
        if self._seen is not None and not reason.check(ConnectionDone, ConnectionAborted):
            why = "" if reason.check(ConnectionLost) else reason.getErrorMessage()
            self._seen.reset(why, inbound=True)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        owner, self._owner = self._owner, _NOBODY
        owner.lost(self, reason)
        if self._seen is not None and not can_half_close(self.transport):
            for inbound in (True, False):
                self._seen.ended(inbound=inbound)

    def read(self, *, wanted: bool) -> None:
        """Read from the peer, or let it wait."""
        if self._usable and not self.ended and wanted != self.reading:
            self.reading = wanted
            if wanted:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()

    def read_now(self) -> None:
        """Take what has come already: a client that speaks first has done so by now."""
        transport = self.transport
        if self._usable and self.reading and isinstance(transport, LeanConnection):
            transport.readNow()

    def shut(self, why: str = "") -> None:
        """
        End our half when all that was written has gone out; the whole if there are no halves.

        Args:
            why: What a capture has to say of that.
        """
        if self._usable and not self._shutting:
            self._shutting = True
            if self._seen is not None:
                self._seen.ended(why, inbound=False)
            # A transport that has a producer and is full would wait for more before it ends.
            self.transport.unregisterProducer()
            if not can_half_close(self.transport):
                self.transport.loseConnection()
            elif self.ended:
                close_whole(self.transport)
            else:
                end_half(self.transport)

    def finish(self, patience: float, why: str = "") -> None:
        """
        Let go: what was written goes out, then the end; what still comes is thrown away.

        Args:
            patience: So long the peer may take to read what is due to it, in seconds.
            why: What a capture has to say of the end.
        """
        if self._usable and self._shut and self.ended:
            close_ended(self.transport)
        elif self._usable:
            self.take = _nowhere if self._seen is None else self._seen.wasted
            self._be_patient(LINGER if self._shut else patience)
            self.shut(why)
            self.read(wanted=True)

    def abort(self, why: str = "") -> None:
        """
        Close at once, with RST where there is such a thing.

        Args:
            why: What a capture has to say of that.
        """
        if self._usable:
            self._usable = False
            self.take = _nowhere
            if self._seen is not None:
                self._seen.reset(why, inbound=False)
            transport = self.transport
            getattr(transport, "abortConnection", transport.loseConnection)()

    def _be_patient(self, patience: float) -> None:
        """Give the peer so long from now, in seconds, and never more than it had."""
        until = self._clock.seconds() + patience
        if self._timer is None:
            self._timer = self._clock.callLater(patience, self._give_up)
        elif until < self._timer.getTime():
            self._timer.reset(patience)

    def _give_up(self) -> None:
        """The peer has not ended in time; if it has all that is due to it, that is no reset."""
        self._timer = None
        if self._shut:
            self.transport.loseConnection()
        else:
            self.abort()
