"""
The client's side of a sequence, over all its connections. Knows no transport.

It is told of connections with `opened` and `close`, asks for one with `Connect`, and for the end of
one that is of no use with `Lost`. What it shows is a prefix of the truth: a number is told once, in
its order, and never one that was left out before it.
"""

from typing import Any

from attrs import define, field, frozen

from lab.core import Finished
from lab.rng import Random
from lab.sequence import wire
from lab.sequence.settings import ClientSettings
from lab.sequence.values import Checksum

#: A side that hears nothing for so many heartbeats takes the other for lost.
SILENCES = 3
# A wait before a connection is drawn between these parts of what it would be.
_SOONEST, _LATEST = 0.5, 1.5


@frozen
class Connect:
    """A connection is wanted."""


@frozen
class Lost:
    """The connection is of no use: it is to be broken off."""

    reason: str


@frozen
class Retry:
    """
    There is no connection, and another attempt to get one is to come.

    Args:
        reason: Why there is none.
        wait: The attempt comes after so many seconds.
    """

    reason: str
    wait: float


@frozen
class Ended:
    """
    The sequence has ended.

    Args:
        outcome: ``equal`` or ``different``, of both checksums; ``rejected``, ``conflict`` or
            ``refused``.
        count: How many numbers there were.
        text: Why, in words.
    """

    outcome: str
    count: int
    text: str


@define(eq=False)
class SequenceClientCore:
    """
    Receives one sequence.

    Args:
        settings: Of the client.
        random: Where the waits before connections are drawn from.
        session: The session to go on with; None for a new one.
        numbers: The numbers of that session that are there already.

    Attributes:
        state: ``apart`` (without a connection), ``starting``, ``resuming``, ``running``, ``over``.
        session: The session, when there is one.
        connections: How many there were.
        repeated: Numbers that came again.
    """

    _settings: ClientSettings
    _random: Random
    session: wire.Session | None = None
    numbers: tuple[int, ...] = ()
    state: str = field(init=False, default="apart")
    connections: int = field(init=False, default=0)
    repeated: int = field(init=False, default=0)
    _sum: Checksum = field(init=False, factory=Checksum)
    _failures: int = field(init=False, default=0)
    #: Why we have broken the connection off, if we have.
    _reason: str = field(init=False, default="")
    #: When to connect, unless that is under way.
    _connect_at: float | None = field(init=False, default=0.0)
    _heard: float = field(init=False, default=0.0)
    _beat_at: float = field(init=False, default=0.0)
    _beats: int = field(init=False, default=0)
    _outgoing: list[bytes] = field(init=False, factory=list)
    _events: list[object] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        """Sum up what is there already."""
        for number in self.numbers:
            self._sum.add(number)
        self.numbers = ()

    @property
    def next(self) -> int:
        """The index of the number that is next."""
        return self._sum.count

    # The verbs of a core, and those of its connections.

    def opened(self, now: float) -> None:
        """There is a connection."""
        self.connections += 1
        self._heard, self._beat_at = now, now + self._settings.heartbeat
        if self.session is None:
            self.state = "starting"
            self._say(wire.Start(self._settings.n, self._settings.interval))
        else:
            self.state = "resuming"
            self._say(wire.Resume(self.session.id, self.next))

    def close(self, now: float, reason: str = "the connection is lost") -> None:
        """The connection is gone, or there was none to be had: try again, later each time."""
        if self.state == "over":
            return
        self.state = "apart"
        settings = self._settings
        wait = min(settings.retry * 2**self._failures, settings.most_retry / _LATEST)
        self._failures = min(self._failures + 1, 30)
        # All of the wait is drawn: clients of a server that comes back are not there all at once.
        wait *= self._random.uniform(_SOONEST, _LATEST)
        self._connect_at = now + wait
        self._events.append(Retry(self._reason or reason, wait))
        self._reason = ""

    def message(self, data: bytes, now: float) -> None:
        """One line of the server's."""
        self._heard = now
        if self.state in {"apart", "over"}:
            return
        try:
            line = wire.read_server(data)
        except wire.WireError as error:
            self._lose(str(error))
            return
        handlers: dict[type[Any], Any] = {
            wire.Session: self._begun,
            wire.Number: self._number,
            wire.Challenge: self._challenge,
            wire.Resumed: self._resumed,
            wire.Sum: self._compare,
            wire.Rejected: self._rejected,
            wire.Conflict: lambda line: self._end("conflict", "it was resumed elsewhere"),
            wire.Wrong: lambda line: self._end("refused", f"the server says: {line.text}"),
            wire.Unavailable: lambda line: self._lose(f"the server says: {line.text}"),
            wire.Alive: lambda line: None,
        }
        handlers[type(line)](line)

    def heard(self, now: float) -> None:
        """Some bytes of the server's are here: it lives."""
        self._heard = now

    def tick(self, now: float) -> None:
        """It is time to connect, to say that we are here, or to give a silent server up."""
        if self.state == "apart":
            self._connect_at = None
            self._events.append(Connect())
        elif now >= self._heard + SILENCES * self._settings.heartbeat:
            self._lose(f"silent for {now - self._heard:.3g} s")
        else:
            self._say(wire.Heartbeat(self._beats % 2**32))
            self._beats += 1
            self._beat_at = now + self._settings.heartbeat

    def outgoing(self) -> list[bytes]:
        """Lines."""
        out, self._outgoing = self._outgoing, []
        return out

    def events(self) -> list[object]:
        """Numbers, what is wanted of connections, and the end."""
        events, self._events = self._events, []
        return events

    def deadline(self) -> float | None:
        """When to connect, to send a heartbeat, or to give up a silent server."""
        if self.state == "over":
            return None
        if self.state == "apart":
            return self._connect_at
        return min(self._beat_at, self._heard + SILENCES * self._settings.heartbeat)

    # What the server says.

    def _begun(self, line: wire.Session) -> None:
        """There is a session."""
        if self.state != "starting":
            self._lose("a session that was not asked for")
            return
        if self._settings.n not in {None, line.n}:
            # What we have asked for was changed on its way.
            self._lose(f"a sequence of {line.n:,} numbers, and {self._settings.n:,} were asked for")
            return
        self.session, self.state = line, "running"
        self._events.append(line)

    def _challenge(self, line: wire.Challenge) -> None:
        """Prove that the session is ours."""
        if self.state != "resuming" or self.session is None:
            self._lose("a challenge that was not asked for")
            return
        self._say(wire.Proof(wire.proof(self.session.key, self.session.id, line.nonce, self.next)))

    def _resumed(self, line: wire.Resumed) -> None:
        """The session goes on."""
        if self.state != "resuming" or line.next != self.next:
            self._lose(f"resumed at {line.next}, and {self.next} is next")
            return
        self.state = "running"
        self._events.append(line)

    def _number(self, line: wire.Number) -> None:
        """A number; one that leaves out another is not shown, but asked for again."""
        if self.state != "running" or line.index > self.next:
            self._lose(f"number {line.index}, and {self.next} is next")
        elif line.index < self.next:
            self.repeated += 1
        else:
            self._failures = 0
            self._sum.add(line.value)
            self._events.append(line)

    def _compare(self, line: wire.Sum) -> None:
        """All numbers are there: compare, and say that we have them."""
        session = self.session
        if self.state != "running" or session is None or self.next != session.n:
            self._lose("a checksum, and not all numbers are there")
        elif (line.crc, line.sha) == self._sum.digest():
            self._say(wire.Done())
            self._end("equal", "local checksum and server checksum are equal")
        else:
            self._say(wire.Done())
            self._end("different", "local checksum and server checksum are different")

    def _rejected(self, line: wire.Rejected) -> None:
        """The session is no more."""
        if self._settings.restart and self.session is not None:
            self.session, self._sum = None, Checksum()
            self._events.append(line)
            self._lose(f"rejected: {line.reason}")
        else:
            last = f"the last index is {self.next - 1}" if self.next else "there was no number"
            self._end("rejected", f"rejected: {line.reason}; {last}")

    # What the client says.

    def _say(self, line: Any) -> None:
        """Send a line."""
        self._outgoing.append(wire.encode(line))

    def _lose(self, reason: str) -> None:
        """Break the connection off; `close` will tell that it is gone."""
        self.state, self._connect_at, self._reason = "apart", None, reason
        self._events.append(Lost(reason))

    def _end(self, outcome: str, text: str) -> None:
        """It is over."""
        self.state = "over"
        self._events += [Ended(outcome, self.next, text), Finished(text)]
