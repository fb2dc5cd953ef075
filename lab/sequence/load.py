"""
A load for the service: many clients at a time, whose connections are broken off on purpose.

Every number is held against the truth, by its value and by its place: the checksum at the end comes
from the server, and would not show a server that is wrong from the beginning.
"""

import math
from collections.abc import Callable
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.python.failure import Failure

from lab.errors import LocalError
from lab.rng import Random
from lab.sequence.client import Ended
from lab.sequence.settings import ClientSettings
from lab.sequence.tcp import Event, SequenceClient
from lab.sequence.values import value
from lab.sequence.wire import Number, Rejected, Resumed, Session
from lab.statistics import Histogram

#: So many clients begin in a second: all at once would be more than a listening port takes, and
#: would be in step for ever.
RATE = 1000
#: A client whose sequence did not end well begins another one after so long, in seconds.
PAUSE = 1.0
#: How a sequence may end.
OUTCOMES = ("equal", "different", "rejected", "conflict", "refused")


@frozen
class Plan:
    """
    What a load does.

    Args:
        clients: Most at a time.
        sequences: How many are begun in all; None for no end.
        abort_every: A client's connection is broken off so often on average, in seconds, at random
            times that know nothing of each other; None for never.

    Raises:
        LocalError: Numbers that can't be.
    """

    clients: int = 1
    sequences: int | None = None
    abort_every: float | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be."""
        if self.clients < 1:
            raise LocalError(f"clients is {self.clients}; give 1 or more")
        if self.sequences is not None and self.sequences < 1:
            raise LocalError(f"sequences is {self.sequences}; give 1 or more")
        if self.abort_every is not None and not 0 < self.abort_every < math.inf:
            raise LocalError(f"abort_every is {self.abort_every:g} s; give more than 0")


@define
class Outcome:
    """
    What became of the sequences of a load.

    Attributes:
        clients: Most at a time.
        begun: Sequences that were begun.
        ended: How many of them ended, by `OUTCOMES`.
        restarted: How often one began anew because its session was rejected.
        numbers: Numbers that were shown.
        wrong: Those that were not the number of their place, or not in their place.
        aborted: Connections that the load has broken off.
        resumed: How often a session went on.
        retried: How often a connection was lost or was not to be had.
        lateness: How much later than it had to a number came, in seconds, counted from the first
            number of its connection, which is not in it.
        last_error: The newest failure, in words; empty without one.
    """

    clients: int = 0
    begun: int = 0
    ended: dict[str, int] = field(factory=lambda: dict.fromkeys(OUTCOMES, 0))
    restarted: int = 0
    numbers: int = 0
    wrong: int = 0
    aborted: int = 0
    resumed: int = 0
    retried: int = 0
    lateness: Histogram = field(factory=Histogram)
    last_error: str = ""

    @property
    def unfinished(self) -> int:
        """Sequences of which the end is not known."""
        return self.begun - sum(self.ended.values())


@define(eq=False)
class Load:
    """
    Keeps clients going.

    Args:
        clock: Gives the time.
        endpoint: Where the server is.
        settings: Of each client.
        plan: How many clients, how many sequences.
        random: Where waits are drawn from, those of the clients and those before each abort.

    Attributes:
        outcome: What became of the sequences so far.
        finished: Fires with the outcome when the last one has ended, or after `stop`.
    """

    _clock: IReactorTime
    _endpoint: IStreamClientEndpoint
    _settings: ClientSettings
    _plan: Plan
    _random: Random
    outcome: Outcome = field(factory=Outcome)
    finished: Deferred[Outcome] = field(factory=Deferred)
    _clients: list["_Client"] = field(init=False, factory=list)
    _stopped: bool = field(init=False, default=False)

    def start(self) -> None:
        """Begin, one client after the other."""
        if self._stopped:
            return
        plan = self._plan
        self.outcome.clients = min(plan.clients, plan.sequences or plan.clients)
        for number in range(self.outcome.clients):
            client = _Client(self._clock, self._next, self.outcome, self._random, plan.abort_every)
            self._clients.append(client)
            client.wait(number / RATE)

    def stop(self) -> None:
        """End all that is under way."""
        if not self._stopped:
            self._stopped = True
            for client in self._clients:
                client.stop()
            self.finished.callback(self.outcome)

    def _next(self) -> SequenceClient | None:
        """The client for one more sequence, if there is one to be begun."""
        if self.outcome.begun == self._plan.sequences:
            if not self.outcome.unfinished:
                self.stop()
            return None
        self.outcome.begun += 1
        return SequenceClient(self._clock, self._endpoint, self._settings, self._random)


@define(eq=False)
class _Client:
    """
    Receives one sequence after the other.

    Args:
        clock: Gives the time.
        next: Gives what receives the next sequence, or None if there is none.
        outcome: Where everything is counted.
        random: Where the times of aborts are drawn from.
        abort_every: How long it takes to one on average, in seconds.
    """

    _clock: IReactorTime
    _next: Callable[[], SequenceClient | None]
    _outcome: Outcome
    _random: Random
    _abort_every: float | None
    _client: SequenceClient | None = field(init=False, default=None)
    _done: Deferred[Any] | None = field(init=False, default=None)
    _begins: IDelayedCall | None = field(init=False, default=None)
    _aborts: IDelayedCall | None = field(init=False, default=None)
    #: Whether the connection is away because we have broken it off.
    _broken: bool = field(init=False, default=False)
    #: Of the session; the index that is next; index and time of the connection's first number.
    _key: bytes = field(init=False, default=b"", repr=False)
    _interval: float = field(init=False, default=0.0)
    _index: int = field(init=False, default=0)
    _first: tuple[int, float] | None = field(init=False, default=None)

    def wait(self, seconds: float) -> None:
        """Begin a sequence after so long."""
        self._begins = self._clock.callLater(seconds, self._begin)

    def stop(self) -> None:
        """End what is under way."""
        for timer in (self._begins, self._aborts):
            if timer is not None:
                timer.cancel()
        self._begins = self._aborts = None
        if self._done is not None:
            self._done.cancel()

    def _begin(self) -> None:
        """Begin a sequence."""
        self._begins, self._broken = None, False
        self._client = self._next()
        if self._client is not None:
            self._arm()
            self._done = self._client.receive(self._show)
            self._done.addCallbacks(self._ended, _stopped)

    def _ended(self, ended: Ended) -> None:
        """That was one; begin another, if there is one to be begun."""
        if self._aborts is not None:
            self._aborts.cancel()
        self._done = self._aborts = None
        self._outcome.ended[ended.outcome] += 1
        if ended.outcome == "equal":
            self._begin()
        else:
            self._outcome.last_error = ended.text
            # Whoever turns clients away is not asked again at once.
            self.wait(PAUSE)

    def _arm(self) -> None:
        """Break the connection off some time."""
        if self._abort_every is not None:
            wait = self._random.expovariate(1 / self._abort_every)
            self._aborts = self._clock.callLater(wait, self._abort)

    def _abort(self) -> None:
        """Break the connection off, if there is one."""
        if self._client is not None and self._client.abort():
            self._broken = True
            self._outcome.aborted += 1
        self._arm()

    def _show(self, event: Event) -> None:
        """Count what the client tells of."""
        if isinstance(event, Number):
            self._number(event)
        elif isinstance(event, Session):
            self._key, self._interval = event.key, event.interval
            self._index, self._first = 0, None
        elif isinstance(event, Resumed):
            self._outcome.resumed += 1
            self._first = None
        elif isinstance(event, Rejected):
            self._outcome.restarted += 1
        else:
            self._outcome.retried += 1
            if not self._broken:
                self._outcome.last_error = event.reason
            self._broken = False

    def _number(self, event: Number) -> None:
        """Hold a number against the truth, and against its time."""
        now, outcome = self._clock.seconds(), self._outcome
        outcome.numbers += 1
        if (event.index, event.value) != (self._index, value(self._key, self._index)):
            outcome.wrong += 1
            outcome.last_error = f"number {event.index} is wrong"
        self._index = event.index + 1
        if self._first is None:
            self._first = event.index, now
        else:
            index, begin = self._first
            outcome.lateness.add(now - begin - (event.index - index) * self._interval)


def _stopped(reason: Failure) -> None:
    """It did not come to its end."""
    reason.trap(CancelledError)
