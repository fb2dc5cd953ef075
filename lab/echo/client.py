"""
The asking side for what is answered at once: a text comes back, or the limits are told.

Knows no transport. Any number of questions may be in flight; each has an id of its own, and an
answer whose id is not waited for is counted and dropped.
"""

import heapq
import math
from typing import Any

from attrs import define, evolve, field

from lab.backoff import no_answer
from lab.core import Finished
from lab.echo.attempts import Attempts
from lab.echo.operation import Operation
from lab.echo.outcomes import Done, Rejected
from lab.echo.wire import (
    LIMIT,
    AskLimits,
    Busy,
    Challenge,
    Echo,
    Limits,
    Refused,
    WireError,
    encode,
    read_reply,
    read_text,
)
from lab.errors import LocalError, NoAnswer, RemoteError, Unreachable
from lab.wire.ids import read_id


@define
class _Call:
    """A question in flight; when it was asked, in seconds."""

    number: int
    asks_echo: bool
    asked: float
    attempts: Attempts


@define(eq=False, kw_only=True)
class EchoClientCore(Operation):
    """
    Keeps any number of questions in flight to one server.

    It begins without a way to the server: until `open` questions wait, and nothing but their
    deadlines counts.
    """

    _way: bool = field(init=False, default=False)
    _numbers: int = field(init=False, default=0)
    _calls: dict[bytes, _Call] = field(init=False, factory=dict)
    # (due, number, id): entries of calls that have ended, or that wait for another time, are
    # passed over when they come up.
    _timers: list[tuple[float, int, bytes]] = field(init=False, factory=list)

    def ask(self, question: Echo | AskLimits, now: float) -> int:
        """
        Ask.

        Returns:
            The number that its `lab.echo.outcomes.Done` will have.

        Raises:
            LocalError: A text that is too long, or that a line can't be.
        """
        number = self._numbers + 1
        id = b"%s-%d" % (self.name, number)
        if isinstance(question, Echo) and not self.datagrams:
            _check_line(question.text)
        message = encode(evolve(question, id=id))
        self._numbers = number
        deadline = self.settings.deadline
        attempts = self._attempts(message, now + deadline if deadline else math.inf)
        call = _Call(number, isinstance(question, Echo), now, attempts)
        self._calls[id] = call
        if self._way:
            self._attempt(id, now)
        else:
            self._wait(id)
        return number

    def cancel(self, number: int) -> None:
        """Forget a question; its answer, should it come, is late."""
        self._calls.pop(b"%s-%d" % (self.name, number), None)

    @property
    def waiting(self) -> int:
        """How many questions are in flight: without any, no transport is needed."""
        return len(self._calls)

    def open(self, now: float) -> None:
        """There is a (new) way to the server."""
        self._way = True
        for id, call in list(self._calls.items()):
            if call.attempts.count:
                self._say(call.attempts.data)
            else:
                self._attempt(id, now)

    def message(self, data: bytes, now: float) -> None:
        """Take an answer."""
        if len(data) > LIMIT:
            self._too_long()
            return
        id = read_id(data)
        call = self._calls.get(id)
        if call is not None:
            self.heard = True
            self._answer(id, call, data)
        elif id.startswith(self.name + b"-"):
            self.traffic.late += 1
        else:
            self.traffic.malformed += 1

    def tick(self, now: float) -> None:
        """Ask again, or give up, what was not answered in time."""
        while self._timers and self._timers[0][0] <= now:
            due, _, id = heapq.heappop(self._timers)
            if self._is_timer(id, due):
                self._attempt(id, now)

    def lost(self, error: NoAnswer | Unreachable, now: float) -> None:
        """The way is gone, and what is in flight is lost with it."""
        self._way = False
        for id in list(self._calls):
            self._done(id, type(error)(str(error)))

    def deadline(self) -> float | None:
        """When the next attempt has waited for long enough."""
        while self._timers:
            due, _, id = self._timers[0]
            if self._is_timer(id, due):
                return due
            heapq.heappop(self._timers)
        return None

    def _answer(self, id: bytes, call: _Call, data: bytes) -> None:
        """What the server says to a question."""
        if call.asks_echo:
            self._done(id, read_text(data).text)
            return
        try:
            reply: Any = read_reply(data)
        except WireError as error:
            reply = error
        if isinstance(reply, Limits):
            self._done(id, evolve(reply, id=b""))
        elif isinstance(reply, Refused | Busy):
            self._done(id, Rejected(reply))
        elif isinstance(reply, Challenge):
            if call.attempts.prove(reply.token):
                self._say(call.attempts.data)
        else:
            self.traffic.malformed += 1
            if not self.datagrams:
                self._done(id, RemoteError(f"the server does not say its limits: {data[:40]!r}"))

    def _too_long(self) -> None:
        """A line that does not end: what would come behind it can't be read."""
        self.traffic.malformed += 1
        for id in list(self._calls):
            self._done(id, RemoteError(f"the server sent a line of more than {LIMIT:,} bytes"))
        self._events.append(Finished("a line that is too long"))

    def _attempt(self, id: bytes, now: float) -> None:
        """Ask once more, or give up."""
        call = self._calls[id]
        # Without a way nothing but the deadline counts.
        if self._way and call.attempts.again(now):
            self._say(call.attempts.data)
            self._wait(id)
        else:
            self._done(id, no_answer(call.attempts.count, now - call.asked))

    def _wait(self, id: bytes) -> None:
        """Come back to this question when its attempt has waited."""
        call = self._calls[id]
        if call.attempts.due < math.inf:
            heapq.heappush(self._timers, (call.attempts.due, call.number, id))

    def _is_timer(self, id: bytes, due: float) -> bool:
        """Whether this timer is still the one of its question."""
        call = self._calls.get(id)
        return call is not None and call.attempts.due == due

    def _done(self, id: bytes, value: object) -> None:
        """A question has ended."""
        self._events.append(Done(self._calls.pop(id).number, value))


def _check_line(text: bytes) -> None:
    """Refuse what would not come back as it is."""
    if b"\n" in text or text.endswith(b"\r"):
        raise LocalError(f"text is {text[:40]!r}; over a connection give one line without its end")
