"""
The Deferred side of the client cores: what TCP and UDP clients share.

Knows no transport: `Way` is a core and its driver, and whoever has a transport plugs it in.
"""

from collections.abc import Callable

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime

from lab.adapters.closing import Closing
from lab.adapters.driver import Driver
from lab.adapters.routes import Route
from lab.arithmetic.client import Answered, ArithmeticClientCore, GaveUp, Lost, Traffic
from lab.arithmetic.numbers import Number
from lab.arithmetic.settings import ClientSettings
from lab.arithmetic.wire import OK, Reply, Request
from lab.backoff import no_answer
from lab.errors import NoAnswer, RemoteError, Unreachable
from lab.rng import Random


class Refused(RemoteError):
    """
    The server says that the request is wrong.

    Attributes:
        answer: What it said, and after how many attempts.
    """

    def __init__(self, answer: "Answer") -> None:
        super().__init__(f"the server refuses the request: {answer.reply.encode().decode()}")
        self.answer = answer


@frozen
class Answer:
    """
    What became of a request that was answered.

    Args:
        reply: The reply, 200 or 300.
        attempts: How often the request was sent because no answer had come.
        waited: From the request to its answer, in seconds.
    """

    reply: Reply
    attempts: int
    waited: float


@define(eq=False)
class Way:
    """
    The requests on one connection or port: a core, and a Deferred for each that is in flight.

    Args:
        clock: Gives the time.
        settings: Timeouts, backoff and deadline.
        random: Where the name of the connection and the jitter are drawn from.
        traffic: Counters, shared by all connections of a client.
    """

    core: ArithmeticClientCore
    driver: Driver
    _error: NoAnswer | Unreachable = field(factory=Unreachable)
    _asked: dict[int, Deferred[Answer]] = field(factory=dict)

    @classmethod
    def make(
        cls, clock: IReactorTime, settings: ClientSettings, random: Random, traffic: Traffic
    ) -> "Way":
        """A way with a name of its own, so that no other's answers are taken for its own."""
        name = f"{random.getrandbits(30):06x}"[-6:]
        core = ArithmeticClientCore(settings, name, random, traffic)
        way = cls(core, Driver(core, clock))
        way.driver.tell = way._tell
        return way

    @property
    def waiting(self) -> int:
        """How many requests are in flight."""
        return self.core.waiting

    @property
    def heard(self) -> bool:
        """Whether the server has ever answered."""
        return self.core.traffic.answered > 0

    def ask(self, body: bytes) -> Deferred[Answer]:
        """
        Send one request.

        Returns:
            Fires with the answer; fails with `lab.errors.NoAnswer` or `lab.errors.Unreachable`.
            Cancelling it forgets the request.

        Raises:
            LocalError: It is no line of at most 1,024 bytes.
        """
        number = self.core.ask(body, self.driver.clock.seconds())
        result: Deferred[Answer] = Deferred(lambda _: self._cancel(number))
        self._asked[number] = result
        self.driver.settle()
        return result

    def open(self) -> None:
        """There is a transport now."""
        self.core.open(self.driver.clock.seconds())
        self.driver.settle()

    def closed(self, error: Unreachable) -> None:
        """The transport is gone; requests wait for the next one if the settings say so."""
        self._error = error
        self.core.close(self.driver.clock.seconds())
        self.driver.settle()

    def fail(self, error: NoAnswer | Unreachable) -> None:
        """There will be no transport: all requests fail with this error."""
        self._error = error
        self.core.fail(self.driver.clock.seconds())
        self.driver.settle()

    def _cancel(self, number: int) -> None:
        """Nobody waits for this answer any more."""
        del self._asked[number]
        self.core.cancel(number)

    def _tell(self, event: Answered | GaveUp | Lost) -> None:
        """One request has ended."""
        result = self._asked.pop(event.number)
        if isinstance(event, Answered):
            result.callback(Answer(event.reply, event.attempts, event.waited))
        elif isinstance(event, GaveUp):
            result.errback(no_answer(event.attempts, event.waited))
        else:
            result.errback(type(self._error)(str(self._error)))


class Asking:
    """
    What every arithmetic client can do; `lab.arithmetic.tcp` and `lab.arithmetic.udp` say how
    bytes travel.

    Args:
        clock: Gives the time.
        settings: Timeouts, backoff, number of connections.
        random: Where ids and jitter are drawn from.
        route: Gives a way its transport.

    Attributes:
        traffic: What was sent and seen so far.
    """

    def __init__(
        self,
        clock: IReactorTime,
        settings: ClientSettings,
        random: Random,
        route: Callable[[Way], Route],
    ) -> None:
        self.traffic = Traffic()
        self._closing = Closing(self._close)
        self._routes = [
            route(Way.make(clock, settings, random, self.traffic))
            for _ in range(settings.connections)
        ]

    def ask(self, operator: str, left: Number, right: Number) -> Deferred[Number]:
        """
        Compute ``left operator right`` at the server.

        Args:
            operator: One of ``+ - * / // % **``.
            left: First operand.
            right: Second operand.

        Returns:
            Fires with the number. Fails with `Refused` if the server says that there is none,
            `lab.errors.NoAnswer`, or `lab.errors.Unreachable`. Can be cancelled.

        Raises:
            LocalError: An unknown operator, an operand that is no finite number, a request of
                more than 1,024 bytes, a client that is closed.
        """
        return self.request(Request(operator, left, right).encode()).addCallback(_value)

    def request(self, body: bytes) -> Deferred[Answer]:
        """
        Send a request as it is written on the wire, without an id, be it right or wrong.

        Returns:
            Fires with what the server said, be it 200 or 300; fails as `ask` otherwise.

        Raises:
            LocalError: It is no line, or too long, or the client is closed.
        """
        self._closing.check()
        route = min(self._routes, key=_waiting)
        result: Deferred[Answer] = route.way.ask(body)
        route.need()
        return result

    @property
    def waiting(self) -> int:
        """How many requests are in flight."""
        return sum(map(_waiting, self._routes))

    def close(self) -> Deferred[None]:
        """
        End all connections; what is in flight fails. May be called again.

        Returns:
            Fires when nothing is left in the reactor.
        """
        return self._closing.close()

    def _close(self) -> Deferred[None]:
        """Fires when nothing is left in the reactor."""
        for route in self._routes:
            route.way.fail(Unreachable("the client was closed"))
            route.way.driver.stop()
        closing = DeferredList([route.close() for route in self._routes], consumeErrors=True)
        return closing.addCallback(_nothing)


def _waiting(route: Route) -> int:
    """How many requests are in flight on it."""
    waiting: int = route.way.waiting
    return waiting


def _nothing(_: object) -> None:
    """For callbacks whose result is of no interest."""


def _value(answer: Answer) -> Number:
    """The number in an answer that has one."""
    if answer.reply.code != OK:
        raise Refused(answer)
    return answer.reply.value
