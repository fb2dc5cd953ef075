"""Many clients of a sequence server, whose connections are broken off on purpose."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.faults.datagrams import Latency, Loss
from lab.faults.fault import Fault
from lab.faults.streams import Cut
from lab.rng import stream
from lab.sequence import load as load_room
from lab.sequence import server as server_room
from lab.sequence.client import Ended
from lab.sequence.load import PAUSE, RATE, Load, Outcome, Plan
from lab.sequence.settings import ClientSettings, ServerSettings
from lab.sequence.values import Values, value
from lab.sequence.wire import Number, Session
from lab.simulator import explore, simulate
from lab.simulator.network import Network
from tests.sequence.test_tcp import Run


def make(
    net: Network, plan: Plan, settings: ClientSettings | None = None, port: int = 80
) -> tuple[Load, Any]:
    """A load on a host of its own, and the reactor there."""
    reactor = net.host("clients").reactor
    endpoint = HostnameEndpoint(reactor, "server", port)
    random = stream(net.seed, "load")
    return Load(reactor, endpoint, settings or ClientSettings(5), plan, random), reactor


def run(net: Network, plan: Plan, settings: ClientSettings | None = None) -> Outcome:
    """Run a load to its end, which leaves nothing behind."""
    load, reactor = make(net, plan, settings)
    load.start()
    outcome: Outcome = net.run_until(load.finished, limit=1e5)
    net.run(5)
    if reactor.getDelayedCalls():
        raise AssertionError(reactor.getDelayedCalls())
    return outcome


class PlanTests(SynchronousTestCase):
    """What a load can't do."""

    def test_refused(self) -> None:
        """Each number that can't be is named."""
        for keywords, text in (
            ({"clients": 0}, "clients is 0; give 1 or more"),
            ({"sequences": 0}, "sequences is 0; give 1 or more"),
            ({"abort_every": 0.0}, "abort_every is 0 s; give more than 0"),
            ({"abort_every": float("inf")}, "abort_every is inf s; give more than 0"),
        ):
            self.assertEqual(str(self.assertRaises(LocalError, Plan, **keywords)), text)


class SimulatedTests(SynchronousTestCase):
    """Loads on virtual networks."""

    def test_one(self) -> None:
        """One client, one sequence: every number right and in time."""
        with simulate(7) as net:
            Run(net)
            outcome = run(net, Plan(sequences=1))
            self.assertEqual((outcome.clients, outcome.begun, outcome.unfinished), (1, 1, 0))
            self.assertEqual(outcome.ended["equal"], 1)
            self.assertEqual((outcome.numbers, outcome.wrong), (5, 0))
            self.assertEqual((outcome.aborted, outcome.resumed, outcome.retried), (0, 0, 0))
            self.assertEqual((outcome.lateness.count, outcome.last_error), (4, ""))
            self.assertLess(outcome.lateness.most, 1e-9)

    def test_one_after_the_other(self) -> None:
        """So many clients at a time; when one has ended, the next begins; then it is over."""
        with simulate(7) as net:
            server = Run(net)
            outcome = run(net, Plan(clients=3, sequences=7))
            self.assertEqual((outcome.clients, outcome.begun), (3, 7))
            self.assertEqual((outcome.ended["equal"], outcome.numbers), (7, 35))
            self.assertEqual(server.factory.counters.done, 7)
            # Three rounds of four seconds.
            self.assertApproximates(net.now, 12 + 5, 0.1)

    def test_more_clients_than_sequences(self) -> None:
        """There are no more clients than there is work for."""
        with simulate(7) as net:
            Run(net)
            outcome = run(net, Plan(clients=10, sequences=2))
            self.assertEqual((outcome.clients, outcome.begun, outcome.ended["equal"]), (2, 2, 2))

    def test_spread(self) -> None:
        """They don't begin all at once."""
        with simulate(7) as net:
            server = Run(net)
            load, _ = make(net, Plan(clients=2000))
            load.start()
            net.run(0.5)
            self.assertApproximates(server.factory.counters.begun, 0.5 * RATE, 5)
            load.stop()

    def test_aborts(self) -> None:
        """Connections are broken off as often as was said, and nothing is lost by it."""
        with simulate(7) as net:
            server = Run(net)
            settings = ClientSettings(100, retry=0.1)
            outcome = run(net, Plan(clients=50, sequences=50, abort_every=5.0), settings)
            self.assertEqual(outcome.ended["equal"], 50)
            self.assertEqual((outcome.numbers, outcome.wrong), (5000, 0))
            # A break before the session was there costs no resumption.
            self.assertGreaterEqual(outcome.aborted, outcome.resumed)
            self.assertEqual(outcome.resumed, server.factory.counters.resumed)
            # 50 clients for about a hundred seconds.
            self.assertApproximates(outcome.aborted, 1000, 150)
            self.assertEqual((outcome.retried, outcome.last_error), (outcome.aborted, ""))

    def test_bad_networks(self) -> None:
        """Cuts, loss, jitter and aborts: each ends, and no number is wrong."""

        def scenario(net: Network) -> None:
            """Ten clients on a network like that."""
            for way in (("clients", "server"), ("server", "clients")):
                faults = (Cut(0.002), "cut"), (Latency(0.05, 0.04), "late"), (Loss(0.05), "loss")
                net.link(*way, *(Fault(*of) for of in faults))
            Run(net)
            plan = Plan(clients=10, sequences=15, abort_every=4.0)
            outcome = run(net, plan, ClientSettings(12, restart=True))
            net.sometimes("it is cut", lambda: outcome.retried > outcome.aborted)
            net.run(1)
            if (outcome.ended["equal"], outcome.wrong, outcome.unfinished) != (15, 0, 0):
                raise AssertionError(outcome)
            if outcome.numbers < 15 * 12 or outcome.lateness.most > 30:
                raise AssertionError(outcome)

        self.assertEqual(explore(scenario, range(20)), 20)

    def test_equal_seeds(self) -> None:
        """What is drawn follows from the stream alone."""
        outcomes = []
        for _ in range(2):
            with simulate(7) as net:
                Run(net)
                outcomes.append(run(net, Plan(5, 10, abort_every=2.0)))
        self.assertEqual(*outcomes)

    def test_without_end(self) -> None:
        """Without a number of sequences it goes on until it is stopped, and leaves nothing."""
        with simulate(7) as net:
            Run(net)
            load, reactor = make(net, Plan(clients=3, abort_every=3.0))
            load.start()
            net.run(60)
            load.stop()
            load.stop()
            outcome = self.successResultOf(load.finished)
            self.assertGreater(outcome.ended["equal"], 15)
            self.assertEqual(outcome.unfinished, 3)
            numbers = outcome.numbers
            net.run(10)
            self.assertEqual((outcome.numbers, reactor.getDelayedCalls()), (numbers, []))

    def test_stopped_at_once(self) -> None:
        """It may be stopped while clients wait for their turn, and before it has begun."""
        with simulate(7) as net:
            Run(net)
            for started in (True, False):
                load, reactor = make(net, Plan(clients=100))
                if started:
                    load.start()
                    net.run(0.0505)
                load.stop()
                load.start()
                self.assertEqual(self.successResultOf(load.finished).begun, 51 * started)
                net.run(5)
                self.assertEqual(reactor.getDelayedCalls(), [])

    def test_nobody_there(self) -> None:
        """Attempts are counted, and the newest failure is in words."""
        with simulate(7) as net:
            Run(net)
            load, _ = make(net, Plan(abort_every=1.0), port=81)
            load.start()
            net.run(10)
            load.stop()
            outcome = load.outcome
            self.assertGreater(outcome.retried, 2)
            self.assertEqual((outcome.begun, outcome.aborted, outcome.numbers), (1, 0, 0))
            self.assertTrue(outcome.last_error.startswith("there is no connection: "))

    def test_turned_away(self) -> None:
        """Who is turned away waits before it tries again; a server is not flooded."""
        with simulate(7) as net:
            server = Run(net, ServerSettings(sessions=2))
            load, _ = make(net, Plan(clients=3), ClientSettings(10000))
            load.start()
            net.run(10.5)
            load.stop()
            outcome = load.outcome
            self.assertEqual(outcome.ended["rejected"], 10 / PAUSE + 1)
            self.assertEqual(server.factory.counters.rejected, outcome.ended["rejected"])
            self.assertEqual(outcome.last_error, "rejected: full; there was no number")

    def test_restarted(self) -> None:
        """A session that a crash has ended begins anew, if that is wished; else it has ended."""
        for restart, ends in ((True, {"equal": 3}), (False, {"rejected": 3})):
            with simulate(7) as net:
                Run(net)
                net.at(3.5, net.host("server").restart)
                outcome = run(net, Plan(3, 3), ClientSettings(6, restart=restart))
                ended = {name: number for name, number in outcome.ended.items() if number}
                self.assertEqual((ended, outcome.wrong), (ends, 0))
                self.assertEqual(outcome.restarted, 3 * restart)
                self.assertIn("rejected: unknown", outcome.last_error)

    def test_wrong_numbers(self) -> None:
        """A server that sums up wrong numbers is found out, though the checksums are equal."""

        class Wrong(Values):
            """Values of which one is another."""

            def values(self, index: int, count: int) -> list[int]:
                """The values."""
                right = super().values(index, count)
                return [number ^ (at == 3) for at, number in enumerate(right, index)]

        self.patch(server_room, "Values", Wrong)
        with simulate(7) as net:
            Run(net)
            outcome = run(net, Plan(2, 2))
            self.assertEqual((outcome.ended["equal"], outcome.numbers), (2, 10))
            self.assertEqual((outcome.wrong, outcome.last_error), (2, "number 3 is wrong"))


class StandIn:
    """A client that shows what the test says."""

    def __init__(self, *arguments: object) -> None:
        self.ended: Deferred[Ended] = Deferred()

    def receive(self, show: Any) -> Deferred[Ended]:
        """Keep where it is shown."""
        self.show = show
        return self.ended


class StandInTests(SynchronousTestCase):
    """What is made of what a client shows."""

    def setUp(self) -> None:
        """Begin a load of one client."""
        self.clock, self.client = Clock(), StandIn()
        self.patch(load_room, "SequenceClient", lambda *of: self.client)
        none: Any = None
        self.load = Load(self.clock, none, ClientSettings(), Plan(), stream(7, "load"))
        self.load.start()
        self.clock.advance(0)
        self.client.show(Session("1" * 32, bytes(16), 10, 0.5))

    def number(self, index: int, at: int | None = None) -> None:
        """Show a number; that of another place, if that is said."""
        self.client.show(Number(index, value(bytes(16), index if at is None else at)))

    def test_places(self) -> None:
        """A number that is left out, one that comes twice, one with the value of another."""
        for index, at, wrong in ((0, None, 0), (2, None, 1), (2, None, 2), (3, 2, 3), (4, None, 3)):
            self.number(index, at)
            self.assertEqual(self.load.outcome.wrong, wrong)

    def test_lateness(self) -> None:
        """It counts from the first number of a connection, in the server's interval."""
        for index, wait in enumerate((5.0, 0.5, 0.75, 0.25)):
            self.clock.advance(wait)
            self.number(index)
        lateness = self.load.outcome.lateness
        self.assertEqual((lateness.count, lateness.least, lateness.most), (3, 0.0, 0.25))

    def test_bug_is_no_outcome(self) -> None:
        """What is no cancellation is not counted away."""
        self.client.ended.errback(ZeroDivisionError())
        self.assertEqual(self.load.outcome.unfinished, 1)
        self.failureResultOf(self.client.ended, ZeroDivisionError)
