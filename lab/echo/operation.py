"""What the client's cores of the echo service share. Knows no transport."""

import math

from attrs import define, field

from lab.echo.attempts import Attempts
from lab.echo.outcomes import Done, Gone, Traffic
from lab.echo.settings import ClientSettings
from lab.errors import NoAnswer, Unreachable
from lab.rng import Random

#: A timer that comes so late, in seconds, says that we were not running: what waits to be read is
#: looked at before a silence is believed.
STALL = 0.1


@define(eq=False, kw_only=True)
class Operation:
    """
    Something that a client does over a way of its own, once.

    Args:
        settings: Of the client.
        name: First part of its ids, 1 to 6 of ``[A-Za-z0-9]``.
        random: Where jitter is drawn from.
        datagrams: Whether messages may be lost, doubled and overtaken.
        traffic: Counters, shared by all cores of a client.

    Attributes:
        heard: Whether the server has said anything.
        over: Whether its end was told.
    """

    settings: ClientSettings
    name: bytes
    random: Random = field(repr=False)
    datagrams: bool = False
    traffic: Traffic = field(factory=Traffic)
    heard: bool = field(init=False, default=False)
    over: bool = field(init=False, default=False)
    _needed: bool = field(init=False, default=True)
    _asked: float = field(init=False, default=0.0)
    #: When a silence will have lasted for too long, or something else is to be done.
    _due: float = field(init=False, default=math.inf)
    #: What was put off for the last time was put off until then.
    _put_off: float = field(init=False, default=-math.inf)
    _outgoing: list[bytes] = field(init=False, factory=list)
    _events: list[object] = field(init=False, factory=list)

    @property
    def waiting(self) -> int:
        """Whether a transport is needed: 0 if not."""
        return int(self._needed)

    def close(self, now: float) -> None:
        """The peer is gone."""
        self.lost(Unreachable("the connection is lost"), now)

    def lost(self, error: NoAnswer | Unreachable, now: float) -> None:
        """There is no transport any more, or there will be none."""

    def outgoing(self) -> list[bytes]:
        """The messages to send."""
        out, self._outgoing = self._outgoing, []
        return out

    def events(self) -> list[object]:
        """What the application should know: at the end `lab.echo.outcomes.Done`, then `Gone`."""
        events, self._events = self._events, []
        return events

    def _is_due(self, now: float) -> bool:
        """Whether the silence was too long; if we were not running, something may wait for us."""
        if self.heard and self._stood_still(self._due, now):
            self._due = self._put_off
        return now >= self._due

    def _stood_still(self, due: float, now: float) -> bool:
        """Whether something is so late that it has to be put off until `_put_off`; but once."""
        if now <= due + STALL or due == self._put_off:
            return False
        self._put_off = now + STALL
        return True

    def _attempts(self, message: bytes, last: float = math.inf) -> Attempts:
        """Those of a request, which is given up at that time, in seconds."""
        return Attempts(message, self.settings.retry.waits(self.random), last)

    def _say(self, message: bytes) -> None:
        """Send a message."""
        self.traffic.sent += 1
        self._outgoing.append(message)

    def _end(self, value: object) -> None:
        """It is over."""
        if not self.over:
            self.over = True
            self._events.append(Done(0, value))

    def _go(self) -> None:
        """No transport is needed any more."""
        if self._needed:
            self._needed = False
            self._events.append(Gone())
