"""Requests that leave when they were planned."""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lab.adapters.endpoints import DatagramClientEndpoint
from lab.arithmetic import load as load_room
from lab.arithmetic.asking import Answer
from lab.arithmetic.load import TURN, Load, Outcome
from lab.arithmetic.numbers import evaluate
from lab.arithmetic.settings import ClientSettings
from lab.arithmetic.udp import ArithmeticClient, ArithmeticDatagramProtocol
from lab.arithmetic.wire import Reply, read_request
from lab.backoff import Backoff
from lab.errors import NoAnswer, Unreachable
from lab.pacing import Schedule
from lab.rng import stream
from lab.simulator.network import simulate


class StandIn:
    """A client that notes what it is asked, and answers when the test says so."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[tuple[float, bytes, Deferred[Answer]]] = []

    def request(self, body: bytes) -> Deferred[Answer]:
        """Note it."""
        answer: Deferred[Answer] = Deferred()
        self.asked.append((self.clock.seconds(), body, answer))
        return answer

    def answer(self, index: int, off_by: int = 0) -> None:
        """Answer one of the requests."""
        _, operator, left, right = read_request(self.asked[index][1])
        value = evaluate(operator, left, right)
        self.asked[index][2].callback(Answer(Reply(200, value + off_by), 1, 0.0))

    def fail(self, index: int, error: Exception) -> None:
        """Let one of the requests fail."""
        self.asked[index][2].errback(error)


class LoadTests(SynchronousTestCase):
    """What is asked, when, and what is counted."""

    def make(
        self, count: int | None, rate: float = 10, client: Callable[[Clock], StandIn] = StandIn
    ) -> Load:
        """A load that has begun, on a stand-in."""
        self.clock = Clock()
        self.client = client(self.clock)
        schedule = Schedule(rate, 0.0, count)
        load = Load(self.clock, self.client, schedule, stream(7, "load"))  # type: ignore[arg-type]
        load.start()
        return load

    def test_at_their_times(self) -> None:
        """Each leaves at its time, though none is answered."""
        self.make(4)
        self.clock.pump([0.05] * 20)
        times = [round(time, 9) for time, _, _ in self.client.asked]
        self.assertEqual(times, [0, 0.1, 0.2, 0.3])

    def test_same_seed_same_requests(self) -> None:
        """The requests come from the random stream alone."""
        bodies = []
        for _ in range(2):
            self.make(5)
            self.clock.pump([0.1] * 5)
            bodies.append([body for _, body, _ in self.client.asked])
        self.assertEqual(*bodies)
        self.assertEqual(len(set(bodies[0])), 5)

    def test_naive(self) -> None:
        """Beside it stands what a client would see that waits for one answer before it asks."""
        load = self.make(4)
        self.clock.advance(0)
        self.clock.pump([0.1] * 3)  # three more are asked while the first is not answered
        self.client.answer(0)
        self.client.answer(3)
        self.assertEqual((load.outcome.latency.count, load.outcome.naive.count), (2, 1))
        self.assertApproximates(load.outcome.naive.most, 0.3, 1e-9)

    def test_naive_goes_on(self) -> None:
        """It asks again when its request has ended, in whatever way; wrong answers don't count."""
        load = self.make(4)
        self.client.fail(0, NoAnswer("none"))
        self.clock.advance(0.1)
        self.client.answer(1, off_by=1)
        self.clock.advance(0.1)
        self.clock.advance(0.1)
        self.client.answer(3)
        self.assertEqual(load.outcome.naive.count, 0)
        self.client.answer(2)
        self.assertEqual(load.outcome.naive.count, 1)

    def test_latency_from_the_planned_time(self) -> None:
        """If all stood still, the time that a request waited to be sent is part of its latency."""
        load = self.make(11)
        self.clock.advance(1.0)
        self.assertEqual([time for time, _, _ in self.client.asked], [0.0] + [1.0] * 10)
        for index in range(11):
            self.client.answer(index)
        latency = self.successResultOf(load.finished).latency
        self.assertEqual((latency.count, latency.least, latency.most), (11, 0.0, 1.0))
        self.assertApproximates(latency.percentile(50), 0.5, 0.005)

    def test_outcome(self) -> None:
        """Right, wrong, unanswered and lost are told apart."""
        load = self.make(4, rate=1e6)
        self.clock.advance(1)
        self.client.answer(0)
        self.client.answer(1, off_by=1)
        self.assertTrue(load.outcome.last_error.startswith("wrong answer: 200,"))
        self.client.fail(2, NoAnswer("no answer within 1 s after 1 attempt"))
        self.assertNoResult(load.finished)
        self.client.fail(3, Unreachable("the connection broke"))
        outcome = self.successResultOf(load.finished)
        counts = (outcome.asked, outcome.right, outcome.wrong, outcome.unanswered, outcome.lost)
        self.assertEqual(counts, (4, 1, 1, 1, 1))
        self.assertEqual(outcome.ended, 4)
        self.assertEqual(outcome.last_error, "the connection broke")
        self.assertEqual(outcome.latency.count, 1)

    def test_tells(self) -> None:
        """Each end is told with the planned time of the request; latency only of right answers."""
        told: list[tuple[float, float | None]] = []
        load = self.make(4)
        load.tell = lambda planned, latency: told.append((round(planned, 9), latency))
        self.clock.pump([0.1] * 3)
        self.client.answer(2)
        self.client.answer(1, off_by=1)
        self.client.fail(3, NoAnswer("none"))
        self.clock.advance(0.2)
        self.client.answer(0)
        self.assertEqual([planned for planned, _ in told], [0.2, 0.1, 0.3, 0.0])
        first, *none, last = (latency for _, latency in told)
        self.assertEqual(none, [None, None])
        self.assertApproximates(first, 0.1, 1e-9)
        self.assertApproximates(last, 0.5, 1e-9)

    def test_refusal_is_wrong(self) -> None:
        """A refusal is no right answer, also not to a request whose answer is -1."""
        self.patch(load_room, "evaluate", lambda *of: -1)
        load = self.make(1)
        self.client.asked[0][2].callback(Answer(Reply(300), 1, 0.0))
        self.assertEqual((load.outcome.wrong, load.outcome.last_error), (1, "wrong answer: 300,-1"))

    def test_bug_is_no_outcome(self) -> None:
        """What is no error of the laboratory's is not counted away."""
        load = self.make(1)
        self.client.fail(0, ZeroDivisionError())
        self.assertNoResult(load.finished)
        self.assertEqual(load.outcome, Outcome(asked=1))
        self.failureResultOf(self.client.asked[0][2], ZeroDivisionError)

    def test_waits_for_the_last(self) -> None:
        """It has finished when the last request has ended, in whatever order they do."""
        load = self.make(3)
        self.clock.pump([0.1] * 3)
        self.client.answer(2)
        self.client.answer(0)
        self.assertNoResult(load.finished)
        self.client.answer(1)
        self.assertEqual(self.successResultOf(load.finished).right, 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop(self) -> None:
        """Stopped, it asks no more, tells what it has, and leaves nothing in the reactor."""
        load = self.make(None)
        self.clock.advance(0.1)
        load.stop()
        load.stop()
        self.assertEqual(self.successResultOf(load.finished).asked, 2)
        self.clock.advance(5)
        self.assertEqual((len(self.client.asked), self.clock.getDelayedCalls()), (2, []))

    def test_stop_at_the_end(self) -> None:
        """It may be stopped when all is sent and nothing answered."""
        load = self.make(1)
        load.stop()
        self.assertEqual(self.successResultOf(load.finished).asked, 1)
        self.client.answer(0)
        self.assertEqual(load.outcome.right, 1)

    def test_bounded_turns(self) -> None:
        """Of a rate that can't be kept, one turn of the reactor sends no more than `TURN`."""
        load = self.make(10 * TURN, rate=1e6)
        self.clock.getDelayedCalls()[0].cancel()
        self.clock.rightNow = 1.0
        load.start()
        self.assertEqual(len(self.client.asked), 1 + TURN)
        (timer,) = self.clock.getDelayedCalls()
        self.assertEqual(timer.getTime(), 1.0)

    def test_stopped_by_an_answer(self) -> None:
        """A client that answers at once may stop the load while it sends."""

        class AtOnce(StandIn):
            """It fails each request at once."""

            def request(self, body: bytes) -> Deferred[Answer]:
                """Fail, and stop."""
                super().request(body)
                load = loads[0] if loads else None
                if load:
                    load.stop()
                answer: Deferred[Answer] = Deferred()
                answer.errback(Failure(Unreachable("closed")))
                return answer

        loads: list[Load] = []
        loads.append(self.make(None, client=AtOnce))
        self.clock.advance(0.1)
        self.assertEqual(self.successResultOf(loads[0].finished).lost, 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class PauseTests(SynchronousTestCase):
    """A server that stands still, in the simulator."""

    def test_a_second_of_ten(self) -> None:
        """
        Of 1,000 requests a second for 10 s, one in ten waits, half a second on average.

        So 95 in 100 take half a second at most. A client that waits for its answer asks only one
        of the 1,000, and says that 95 in 100 take what they always do.
        """
        with simulate(7) as net:
            server, host = net.host("server"), net.host("client")
            server.within(
                server.reactor.listenUDP, 50000, ArithmeticDatagramProtocol(server.reactor)
            )
            # What is on the way to it waits while it pauses, and is not lost.
            net.at(4.0, net.hold, host, server)
            net.at(5.0, net.release, host, server)
            place = DatagramClientEndpoint(host.reactor, "server", 50000)
            settings = ClientSettings(Backoff.fixed(5.0))
            client = ArithmeticClient(host.reactor, place, settings, stream(7, "client"))
            schedule = Schedule(1000, 0.0, 10_000)
            load = Load(host.reactor, client, schedule, stream(7, "load"))
            host.within(load.start)
            outcome = net.run_until(load.finished, 20)
            net.run_until(client.close())
        self.assertEqual(outcome.right, 10_000)
        self.assertApproximates(outcome.latency.percentile(95), 0.5, 0.01)
        self.assertApproximates(outcome.latency.most, 1.0, 0.01)
        self.assertLess(outcome.naive.percentile(95), 0.003)
        self.assertApproximates(outcome.naive.most, 1.0, 0.01)
