"""What TCP and UDP clients share: Deferreds over client cores."""

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lab.arithmetic.asking import Answer, Asking, Refused, Way
from lab.arithmetic.settings import ClientSettings
from lab.arithmetic.wire import Reply
from lab.backoff import Backoff
from lab.errors import LocalError, NoAnswer, Unreachable
from lab.rng import stream

SCHEDULE = ClientSettings(Backoff(first=0.1, cap=2.0))


class StandIn:
    """A route whose transport is a list."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.sent: list[bytes] = []
        self.needed = self.closes = 0

    def need(self) -> None:
        """The first request opens the way."""
        self.needed += 1
        if self.needed == 1:
            self.way.driver.write = self.sent.extend
            self.way.open()

    def close(self) -> Deferred[None]:
        """Nothing to let go."""
        self.closes += 1
        return succeed(None)

    def answers(self, code: bytes, index: int = -1) -> None:
        """The server answers one of the requests that were sent."""
        self.way.driver.message(self.sent[index].split()[0] + b" " + code)


class AskingCase(SynchronousTestCase):
    """A client on stand-ins."""

    def make(self, settings: ClientSettings = SCHEDULE) -> Asking:
        """The client; its routes are `routes`, its clock is `clock`."""
        self.clock = Clock()
        self.routes: list[StandIn] = []

        def route(way: Way) -> StandIn:
            self.routes.append(StandIn(way))
            return self.routes[-1]

        return Asking(self.clock, settings, stream(7, "client"), route)


class AnswerTests(AskingCase):
    """What comes of a request."""

    def test_number(self) -> None:
        """`ask` gives the number."""
        client = self.make()
        asked = client.ask("*", 6, 7)
        self.assertRegex(self.routes[0].sent[0], rb"^#[0-9a-f]{6}-1 \*,6,7$")
        self.routes[0].answers(b"200,42")
        self.assertEqual(self.successResultOf(asked), 42)
        self.assertEqual(client.waiting, 0)

    def test_heard(self) -> None:
        """A way knows how much waits, and whether the server has ever answered."""
        client = self.make()
        asked, way = client.ask("*", 6, 7), self.routes[0].way
        self.assertEqual((way.waiting, way.heard), (1, False))
        self.routes[0].answers(b"200,42")
        self.assertEqual((way.waiting, way.heard), (0, True))
        self.successResultOf(asked)

    def test_answer(self) -> None:
        """`request` gives the reply, the attempts and the time it took."""
        asked = self.make().request(b"+,1,1")
        self.clock.pump([0.1, 0.05])
        self.routes[0].answers(b"200,2")
        id = self.routes[0].sent[0][1:].split()[0]
        answer = self.successResultOf(asked)
        self.assertEqual((answer.reply, answer.attempts), (Reply(200, 2, id=id), 2))
        self.assertAlmostEqual(answer.waited, 0.15)

    def test_refused(self) -> None:
        """A refusal fails `ask` with the words of the server, and is an answer to `request`."""
        client = self.make()
        asked, requested = client.ask("/", 1, 0), client.request(b"/,1,0")
        self.routes[0].answers(b"300,-1", 0)
        self.routes[0].answers(b"300,-1", 1)
        error = self.failureResultOf(asked, Refused).value
        self.assertRegex(str(error), r"^the server refuses the request: #\w+-1 300,-1$")
        self.assertEqual(error.answer.reply.code, 300)
        self.assertEqual(self.successResultOf(requested).reply.code, 300)

    def test_wrong_arguments(self) -> None:
        """What is no request is refused at once, and nothing is sent."""
        client = self.make()
        self.assertRaises(LocalError, client.ask, "&", 1, 1)
        self.assertRaises(LocalError, client.ask, "+", float("nan"), 1)
        self.assertRaises(LocalError, client.request, b"+,1,1\n+,2,2")
        self.assertEqual((self.routes[0].sent, client.waiting), ([], 0))

    def test_names(self) -> None:
        """Each way has a name of its own, of six hex digits."""
        self.make(ClientSettings(connections=50))
        names = {route.way.core._name for route in self.routes}
        self.assertEqual(len(names), 50)
        for name in names:
            self.assertRegex(name, "^[0-9a-f]{6}$")


class ErrorTests(AskingCase):
    """What is said when there is no answer."""

    def test_schedule(self) -> None:
        """Sent at 0, 0.1, 0.3, 0.7 and 1.5 s; given up at 3.1 s, with just these words."""
        asked = self.make().ask("+", 1, 1)
        times: list[float] = []
        while not asked.called:
            fresh = len(self.routes[0].sent) - len(times)
            times += [self.clock.seconds()] * fresh
            (timer,) = self.clock.getDelayedCalls()
            self.clock.rightNow = timer.getTime()
            self.clock.advance(0)
        self.assertEqual([round(time, 9) for time in times], [0, 0.1, 0.3, 0.7, 1.5])
        error = self.failureResultOf(asked, NoAnswer).value
        self.assertEqual(str(error), "no answer within 3.1 s after 5 attempts")

    def test_no_connection(self) -> None:
        """A deadline that passes before there was a way says that there was none."""
        client = self.make(ClientSettings(deadline=0.5))
        self.routes[0].needed = 1  # as if it were on its way
        asked = client.ask("+", 1, 1)
        self.clock.advance(0.5)
        error = self.failureResultOf(asked, NoAnswer).value
        self.assertEqual(str(error), "no connection within 500 ms")

    def test_closed(self) -> None:
        """When the way breaks, each request fails with an error of its own."""
        client = self.make()
        asked = [client.ask("+", 1, n) for n in (1, 2)]
        self.routes[0].way.closed(Unreachable("the connection broke"))
        errors = [self.failureResultOf(one, Unreachable).value for one in asked]
        self.assertEqual([str(error) for error in errors], ["the connection broke"] * 2)
        self.assertIsNot(errors[0], errors[1])

    def test_fail(self) -> None:
        """When there will be no way, the error is of the kind that says why."""
        asked = self.make().ask("+", 1, 1)
        self.routes[0].way.fail(NoAnswer("no connection in time"))
        self.assertEqual(str(self.failureResultOf(asked, NoAnswer).value), "no connection in time")


class CancelTests(AskingCase):
    """Requests that nobody waits for any more."""

    def test_cancelled(self) -> None:
        """Its answer is late, and a timer is not left behind."""
        client = self.make()
        asked = client.ask("+", 1, 1)
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.assertEqual(client.waiting, 0)
        self.routes[0].answers(b"200,2")
        self.assertEqual(client.traffic.late, 1)
        self.clock.advance(5)
        self.assertEqual((len(self.routes[0].sent), self.clock.getDelayedCalls()), (1, []))

    def test_one_of_two(self) -> None:
        """The other is answered."""
        client = self.make()
        first, second = client.ask("+", 1, 1), client.ask("+", 2, 2)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.routes[0].answers(b"200,4")
        self.assertEqual(self.successResultOf(second), 4)

    def test_from_a_callback(self) -> None:
        """Whoever gets an answer may ask again at once, on the same way."""
        client = self.make()
        sums: list[object] = []

        async def talk() -> None:
            while len(sums) < 100:
                n = len(sums)
                sums.append(await client.ask("+", n, n))

        talking = Deferred.fromCoroutine(talk())
        for n in range(100):
            self.routes[0].answers(b"200,%d" % (2 * n))
        self.successResultOf(talking)
        self.assertEqual(sums, [2 * n for n in range(100)])


class ConnectionsTests(AskingCase):
    """A client of several ways."""

    def test_spread(self) -> None:
        """A request takes the way with the least in flight, and only what is used is opened."""
        client = self.make(ClientSettings(connections=3))
        for _ in range(2):
            client.request(b"+,1,1")
        self.assertEqual([route.needed for route in self.routes], [1, 1, 0])
        for _ in range(4):
            client.request(b"+,1,1")
        self.assertEqual([len(route.sent) for route in self.routes], [2, 2, 2])
        self.routes[1].answers(b"200,2")
        client.request(b"+,1,1")
        self.assertEqual([len(route.sent) for route in self.routes], [2, 3, 2])
        self.assertEqual(client.waiting, 6)
        self.assertEqual(client.traffic.requests, 7)

    def test_close(self) -> None:
        """Closing fails what is in flight, ends all timers, and refuses what comes later."""
        client = self.make(ClientSettings(connections=2))
        asked = [client.ask("+", 1, 1) for _ in range(2)]
        closing = client.close()
        self.assertIsNone(self.successResultOf(closing))
        for one in asked:
            error = self.failureResultOf(one, Unreachable).value
            self.assertEqual(str(error), "the client was closed")
        self.assertEqual([route.closes for route in self.routes], [1, 1])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        error = self.assertRaises(LocalError, client.ask, "+", 1, 1)
        self.assertEqual(str(error), "the client is closed; make a new one")

    def test_close_twice(self) -> None:
        """Whoever closes a client that is closed, or closing, is told when it is."""
        client = self.make()
        gone: Deferred[None] = Deferred()
        self.routes[0].close = lambda: gone  # type: ignore[method-assign]
        asked, again = client.ask("+", 1, 1), []
        asked.addErrback(lambda _: again.append(client.close()))
        first, second = client.close(), client.close()
        for one in (first, second, *again):
            self.assertNoResult(one)
        gone.callback(None)
        for one in (first, second, *again, client.close()):
            self.assertIsNone(self.successResultOf(one))

    def test_answer_is_plain(self) -> None:
        """Answers compare by what they hold."""
        self.assertEqual(Answer(Reply(200, 2), 1, 0.5), Answer(Reply(200, 2), 1, 0.5))
