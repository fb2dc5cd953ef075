"""
The asking side: a core that sends requests, sends them again, and gives up in time.

Knows no transport. It never takes an answer for the answer to another question: every request
has an id of its own, and an answer whose id is not waited for is counted and dropped.
"""

import heapq
import math
from collections.abc import Iterator

from attrs import define, field, frozen

from lab.arithmetic.settings import ClientSettings
from lab.arithmetic.wire import LIMIT, REPLY_LIMIT, TOKEN, Reply, WireError
from lab.core import Finished
from lab.errors import LocalError
from lab.rng import Random
from lab.wire.ids import encode_id
from lab.wire.tokens import with_token

#: Most times a server may ask for one more proof of our address before it is not believed.
CHALLENGES = 3
#: Part of its wait by which an attempt may be late and still keep the schedule.
TOLERANCE = 0.1


@frozen
class Answered:
    """
    A request has its answer.

    Args:
        number: What `ArithmeticClientCore.ask` returned.
        reply: The answer, 200 or 300.
        attempts: How many times the request was sent because it was not answered.
        waited: From the request to its answer, in seconds.
    """

    number: int
    reply: Reply
    attempts: int
    waited: float


@frozen
class GaveUp:
    """
    A request was not answered in time.

    Args:
        number: What `ArithmeticClientCore.ask` returned.
        attempts: How many times it was sent.
        waited: From the request to giving up, in seconds.
    """

    number: int
    attempts: int
    waited: float


@frozen
class Lost:
    """
    A request was in flight when the connection broke.

    Args:
        number: What `ArithmeticClientCore.ask` returned.
    """

    number: int


@define
class Traffic:
    """
    What a client sent and saw, over all its connections.

    Attributes:
        requests: Requests that were asked.
        sent: Messages that carried them, retransmissions included.
        answered: Requests that were answered, with 200 or 300.
        late: Answers that nobody waited for any more: too late, or there twice.
        malformed: Messages that are no answer.
        gave_up: Requests that were not answered in time.
        lost: Requests that failed because the connection did.
    """

    requests: int = 0
    sent: int = 0
    answered: int = 0
    late: int = 0
    malformed: int = 0
    gave_up: int = 0
    lost: int = 0


@define
class _Call:
    """A request in flight; times in seconds."""

    number: int
    message: bytes
    waits: Iterator[float]
    asked: float
    last: float
    due: float = math.inf
    attempts: int = 0
    token: bytes = b""
    challenges: int = 0


@define
class ArithmeticClientCore:
    """
    Keeps any number of requests in flight to one server.

    It begins without a way to the server: until `open` requests wait, and nothing but their
    deadlines counts. The timeout of an attempt counts from when it is sent, so that the shortest
    timeout still sends something.

    Args:
        settings: Timeouts, backoff and deadline.
        name: First part of the ids, 1 to 6 of ``[A-Za-z0-9]``; another for each connection.
        random: Where jitter is drawn from.
        traffic: Counters, shared by all connections of a client.
    """

    _settings: ClientSettings
    _name: str
    _random: Random = field(repr=False)
    traffic: Traffic = field(factory=Traffic)
    _way: bool = False
    _numbers: int = 0
    _calls: dict[bytes, _Call] = field(factory=dict)
    # (due, number, id): entries of calls that have ended, or that wait for another time, are
    # passed over when they come up.
    _timers: list[tuple[float, int, bytes]] = field(factory=list)
    _outgoing: list[bytes] = field(factory=list)
    _events: list[object] = field(factory=list)

    def ask(self, body: bytes, now: float) -> int:
        """
        Send a request.

        Args:
            body: The request without an id; it may be one that the server will refuse.

        Returns:
            A number that its event will name.

        Raises:
            LocalError: It has a line ending in it, or is too long.
        """
        number = self._numbers + 1
        id = b"%s-%d" % (self._name.encode(), number)
        message = encode_id(id) + body
        if b"\n" in body or b"\r" in body:
            raise LocalError(f"request is {body[:40]!r}; give one line")
        if len(message) > LIMIT:
            most = LIMIT - len(encode_id(id))
            raise LocalError(f"request has {len(body):,} bytes; give at most {most:,}")
        self._numbers = number
        last = now + self._settings.deadline if self._settings.deadline else math.inf
        call = _Call(number, message, self._settings.retry.waits(self._random), now, last)
        self._calls[id] = call
        self.traffic.requests += 1
        if self._way:
            self._attempt(id, now)
        else:
            self._wait(id, last)
        return number

    def cancel(self, number: int) -> None:
        """Forget a request; its answer, should it come, is late."""
        self._calls.pop(b"%s-%d" % (self._name.encode(), number), None)

    def open(self, now: float) -> None:
        """
        There is a (new) way to the server: send all that waits for it, and again, on its old
        timeouts, what was in flight on the way before.
        """
        self._way = True
        for id, call in list(self._calls.items()):
            if call.attempts:
                self._send(call)
            else:
                self._attempt(id, now)

    @property
    def waiting(self) -> int:
        """How many requests are in flight."""
        return len(self._calls)

    def message(self, data: bytes, now: float) -> None:
        """Take an answer."""
        try:
            reply = Reply.decode(data)
        except WireError as error:
            self.traffic.malformed += 1
            if len(data) > REPLY_LIMIT:
                self._events.append(Finished(str(error)))
            return
        call = self._calls.get(reply.id)
        if call is None:
            self.traffic.late += 1
        elif reply.code == TOKEN:
            self._prove(call, reply.token)
        else:
            del self._calls[reply.id]
            self.traffic.answered += 1
            self._events.append(Answered(call.number, reply, call.attempts, now - call.asked))

    def tick(self, now: float) -> None:
        """Send again, or give up, what was not answered in time."""
        while self._timers and self._timers[0][0] <= now:
            due, _, id = heapq.heappop(self._timers)
            if self._is_due(id, due):
                self._attempt(id, now)

    def close(self, now: float) -> None:
        """The way is gone, and what is in flight is lost with it, or waits for the next one."""
        self._way = False
        if not self._settings.repeat:
            self.fail(now)

    def fail(self, now: float) -> None:
        """There is no way, and will be none: all that is in flight is lost."""
        self._way = False
        self.traffic.lost += len(self._calls)
        self._events += [Lost(call.number) for call in self._calls.values()]
        self._calls.clear()

    def outgoing(self) -> list[bytes]:
        """The requests to send."""
        out, self._outgoing = self._outgoing, []
        return out

    def events(self) -> list[object]:
        """
        `Answered`, `GaveUp` and `Lost`: one for each request that was not cancelled; and
        `lab.core.Finished` when the server sends what can't be read on.
        """
        events, self._events = self._events, []
        return events

    def deadline(self) -> float | None:
        """When the next attempt or request has waited for long enough."""
        while self._timers:
            due, _, id = self._timers[0]
            if self._is_due(id, due):
                return due
            heapq.heappop(self._timers)
        return None

    def _is_due(self, id: bytes, due: float) -> bool:
        """Whether this timer is still the one of its call."""
        call = self._calls.get(id)
        return call is not None and call.due == due

    def _attempt(self, id: bytes, now: float) -> None:
        """Send once more, and wait for as long as this attempt may take; or give up."""
        call = self._calls[id]
        wait = next(call.waits, None) if now < call.last else None
        if wait is None:
            del self._calls[id]
            self.traffic.gave_up += 1
            self._events.append(GaveUp(call.number, call.attempts, now - call.asked))
            return
        # A timer that comes a little late must not move the whole schedule. If all stood still
        # for longer, attempts have to wait again, or they would be made all at once.
        late = now - call.due
        begun = call.due if 0 <= late < wait * TOLERANCE else now
        self._wait(id, min(begun + wait, call.last))
        if self._way:
            call.attempts += 1
            self._send(call)

    def _wait(self, id: bytes, due: float) -> None:
        """Come back to this call at that time, if it has not ended by then."""
        call = self._calls[id]
        call.due = due
        if due < math.inf:
            heapq.heappush(self._timers, (due, call.number, id))

    def _prove(self, call: _Call, token: bytes) -> None:
        """Ask again at once, with the token; it stays for the retransmissions."""
        call.challenges += 1
        if call.challenges <= CHALLENGES:
            call.token = token
            self._send(call)

    def _send(self, call: _Call) -> None:
        """Count it and send it."""
        self.traffic.sent += 1
        message = with_token(call.token, call.message) if call.token else call.message
        self._outgoing.append(message)
