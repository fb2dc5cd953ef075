"""
A load for the service: requests that leave when they were planned, whatever became of others.

A client that waits for one answer before it asks again measures less the worse it gets: a
server that stands still is asked nothing (coordinated omission). Here each request has its
planned time, and its latency counts from there. What such a client would have measured is kept
beside it, to show the difference.
"""

from collections.abc import Callable

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from lab.arithmetic.asking import Answer, Asking
from lab.arithmetic.numbers import Number, evaluate
from lab.arithmetic.wire import OK, Request
from lab.errors import LabError, NoAnswer
from lab.pacing import Schedule
from lab.rng import Random
from lab.statistics import Histogram

#: Requests that are sent in one turn of the reactor, however many are due: whoever asks for more
#: than this machine can do gets what it can do, in bounded memory.
TURN = 1000


@define
class Outcome:
    """
    What became of the requests of a load.

    Attributes:
        asked: Requests that were sent for the first time.
        right: Those that were answered with the right number.
        wrong: Those that were answered with anything else.
        unanswered: Those that were given up.
        lost: Those that failed because there was no connection.
        latency: From the planned time of a request to its right answer, in seconds.
        naive: From the sending of a request to its right answer, of those requests only that a
            client asks which waits for one answer before it asks again; in seconds.
        last_error: The newest failure, in words; empty without one.
    """

    asked: int = 0
    right: int = 0
    wrong: int = 0
    unanswered: int = 0
    lost: int = 0
    latency: Histogram = field(factory=Histogram)
    naive: Histogram = field(factory=Histogram)
    last_error: str = ""

    @property
    def ended(self) -> int:
        """Requests of which the end is known."""
        return self.right + self.wrong + self.unanswered + self.lost


@define(eq=False)
class Load:
    """
    Keeps asking, on a schedule.

    Args:
        clock: Gives the time.
        client: Is asked with.
        schedule: When.
        random: Where the requests are drawn from.
        tell: Called when the end of a request is known, with its planned time and its latency, in
            seconds; None for that if there was no right answer.

    Attributes:
        outcome: What became of the requests so far.
        finished: Fires with the outcome when the last one has ended, or after `stop`.
    """

    _clock: IReactorTime
    _client: Asking
    _schedule: Schedule
    _random: Random
    tell: Callable[[float, float | None], object] | None = field(default=None, kw_only=True)
    outcome: Outcome = field(factory=Outcome)
    finished: Deferred[Outcome] = field(factory=Deferred)
    _timer: IDelayedCall | None = None
    _stopped: bool = False
    #: The number of the request that a waiting client would wait for.
    _awaited: int | None = None

    def start(self) -> None:
        """Ask what is due, and come again when the next is."""
        self._timer = None
        for planned in self._schedule.due(self._clock.seconds(), TURN):
            self._ask(planned)
        due = self._schedule.next()
        if due is not None and not self._stopped:
            self._timer = self._clock.callLater(max(0, due - self._clock.seconds()), self.start)

    def stop(self) -> None:
        """Ask no more."""
        if not self._stopped:
            self._stopped = True
            if self._timer is not None:
                self._timer.cancel()
            self.finished.callback(self.outcome)

    def _ask(self, planned: float) -> None:
        """Ask one question whose answer is known."""
        request = Request(
            self._random.choice("+-*"),
            self._random.randrange(10**6),
            self._random.randrange(10**6),
        )
        right = evaluate(request.operator, request.left, request.right)
        self.outcome.asked += 1
        number, sent = self.outcome.asked, self._clock.seconds()
        if self._awaited is None:
            self._awaited = number
        answer = self._client.request(request.encode())
        answer.addCallbacks(
            self._answered, self._failed, callbackArgs=(number, planned, sent, right)
        ).addCallback(self._ended, number, planned)

    def _answered(
        self, answer: Answer, number: int, planned: float, sent: float, right: Number
    ) -> float | None:
        """There is an answer; look whether it is right. Gives its latency if it is."""
        if (answer.reply.code, answer.reply.value) == (OK, right):
            now = self._clock.seconds()
            self.outcome.right += 1
            self.outcome.latency.add(now - planned)
            if number == self._awaited:
                self.outcome.naive.add(now - sent)
            return now - planned
        self.outcome.wrong += 1
        self.outcome.last_error = f"wrong answer: {answer.reply.encode().decode()}"
        return None

    def _failed(self, reason: Failure) -> None:
        """There is none."""
        reason.trap(LabError)
        self.outcome.last_error = str(reason.value)
        if reason.check(NoAnswer):
            self.outcome.unanswered += 1
        else:
            self.outcome.lost += 1

    def _ended(self, latency: float | None, number: int, planned: float) -> None:
        """The end of one request is known, and perhaps that was the last."""
        if self.tell is not None:
            self.tell(planned, latency)
        if number == self._awaited:
            self._awaited = None
        if self._schedule.next() is None and self.outcome.ended == self.outcome.asked:
            self.stop()
