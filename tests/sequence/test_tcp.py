"""The sequence service on streams: in the simulator, and over real sockets."""

import gc
import weakref
from collections.abc import Callable
from itertools import count
from typing import Any

from twisted.internet import reactor as real_reactor
from twisted.internet.defer import CancelledError, Deferred, fail, gatherResults, succeed
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.logger import formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.adapters.stream import LINGER
from lab.faults.datagrams import Latency, Loss
from lab.faults.fault import Fault
from lab.faults.streams import Cut
from lab.rng import stream
from lab.sequence.client import Ended, Retry
from lab.sequence.memory import MemoryStore
from lab.sequence.records import Record
from lab.sequence.sessions import StoreError
from lab.sequence.settings import ClientSettings, ServerSettings
from lab.sequence.tcp import SequenceClient, SequenceFactory
from lab.sequence.values import value
from lab.sequence.wire import LIMIT, Number, Rejected, Resumed, Session
from lab.simulator import exhaust, explore, simulate
from lab.simulator.network import Network
from lab.simulator.parallel import cpus
from tests.adapters.test_stream import Direct
from tests.helpers import captured_logs, folder, longest, thorough
from tests.simulator.test_parity import Connecting, Side

EQUAL = "local checksum and server checksum are equal"


class Run:
    """
    A server and clients on a network.

    Args:
        net: The network.
        settings: Of the server.
        store: Where it keeps its sessions.

    Attributes:
        endpoint: By which clients connect.
    """

    endpoint: Any = HostnameEndpoint

    def __init__(
        self, net: Network, settings: ServerSettings | None = None, store: Any = None
    ) -> None:
        self.net, self._store = net, store
        secrets = count()
        server = net.host("server")

        def serve(reactor: Any, disk: dict[str, Any]) -> SequenceFactory:
            """Serve, also after a crash."""
            factory = SequenceFactory(
                reactor,
                settings,
                self.store(reactor),
                secret=lambda: stream(net.seed, "secret", next(secrets)).randbytes(16),
                random=stream(net.seed, "n"),
            )
            TCP4ServerEndpoint(reactor, 80).listen(factory)
            return factory

        self.factory: SequenceFactory = server.start(serve)
        self.seen: list[Any] = []

    def store(self, reactor: Any) -> Any:
        """Where a server that starts keeps its sessions."""
        return self._store

    def client(
        self, settings: ClientSettings | None = None, name: str = "client", **keywords: Any
    ) -> SequenceClient:
        """A client on a host."""
        reactor = self.net.host(name).reactor
        endpoint = self.endpoint(reactor, "server", 80)
        return SequenceClient(reactor, endpoint, settings, stream(self.net.seed, name), **keywords)

    def receive(self, n: int, limit: float = 1e6, **settings: Any) -> Ended:
        """Receive a sequence to its end; what was shown has to be a prefix of the truth."""
        self.seen = []
        one = self.client(ClientSettings(n, **settings))
        ended: Ended = self.net.run_until(one.receive(self.show), limit=limit)
        self.check(ended)
        return ended

    def show(self, event: Any) -> None:
        """Keep it."""
        self.seen.append(event)

    def check(self, ended: Ended | None) -> None:
        """No gap, no number twice, none that is wrong."""
        numbers = [event for event in self.seen if isinstance(event, Number)]
        sessions = [event for event in self.seen if isinstance(event, Session)]
        truth = [value(sessions[0].key, index) for index in range(len(numbers))] if numbers else []
        found = [(number.index, number.value) for number in numbers]
        if found != list(enumerate(truth)):
            raise AssertionError("what was shown is not the truth")
        if ended is not None and ended.count != len(numbers):
            raise AssertionError("what was counted was not shown")


class Failing(MemoryStore):
    """
    A store that may be away.

    Args:
        away: Whether it is.
        error: What it fails with.
    """

    def __init__(self, *, away: bool = False, error: Exception | None = None) -> None:
        super().__init__()
        self.away, self._error = away, error or StoreError("away")
        self.nonsense = False

    def create(self, record: Record) -> Any:
        """Keep it, or fail."""
        return fail(self._error) if self.away else super().create(record)

    def load(self, id: str) -> Any:
        """Find it, or fail, or give what is none."""
        if self.nonsense:
            return succeed("nonsense")
        return fail(self._error) if self.away else super().load(id)

    def progress(self, record: Record) -> Any:
        """Keep it, or fail."""
        return fail(self._error) if self.away else super().progress(record)

    def expire(self, now: float) -> Any:
        """Do it, or fail."""
        return fail(self._error) if self.away else super().expire(now)


def five_that_are_cut(net: Network, endpoint: Any = HostnameEndpoint) -> None:
    """A sequence of five, with cuts that are to be placed; it ends well."""
    for way in (("client", "server"), ("server", "client")):
        net.link(*way, Fault(Cut(), "cut"))
    run = Run(net)
    run.endpoint = endpoint
    ended = run.receive(5)
    if ended.outcome != "equal":
        raise AssertionError(ended)


def bad_network(net: Network) -> None:
    """A sequence on a network with cuts, loss, jitter, partitions, and a server that crashes."""
    for way in (("client", "server"), ("server", "client")):
        faults = (Cut(0.002), "cut"), (Latency(0.05, 0.04), "late"), (Loss(0.05), "loss")
        net.link(*way, *(Fault(*of) for of in faults))
    run = Run(net)
    half_open = net.seed % 3
    if half_open:
        net.at(7.0, net.partition, *("server", "client")[:: half_open - 2 or 1])
        net.at(19.0, net.heal, "server", "client")
        net.at(19.0, net.heal, "client", "server")
    if net.seed % 5 == 0:
        net.at(9.0, net.host("server").restart)
    ended = run.receive(12)
    net.sometimes("it resumes", lambda: any(isinstance(e, Resumed) for e in run.seen))
    net.sometimes("it ends well", lambda: ended.outcome == "equal")
    net.sometimes("a crash is told", lambda: "unknown" in ended.text)
    net.run(1)
    crashed = net.seed % 5 == 0 and "unknown" in ended.text
    late = net.now > ServerSettings().window and "rejected" in ended.text
    if ended.outcome != "equal" and not crashed and not late:
        raise AssertionError(ended)


class SimulatedTests(SynchronousTestCase):
    """On virtual networks."""

    def test_times(self) -> None:
        """Numbers come at 0, 1, 2 s, one way later, exactly; then it is forgotten."""
        with simulate(7) as net:
            run, times = Run(net), list[float]()
            client = run.client(ClientSettings(100))
            done = client.receive(lambda event: times.append(net.now))
            ended = net.run_until(done)
            self.assertEqual((ended.outcome, ended.count, ended.text), ("equal", 100, EQUAL))
            self.assertEqual([round(at - times[1], 9) for at in times[1:]], list(range(100)))
            net.run(10)
            self.assertEqual(len(run.factory.store), 0)
            self.assertEqual(run.factory._connections, {})

    def test_drawn(self) -> None:
        """The server draws the length and gives the interval."""
        with simulate(7) as net:
            run = Run(net, ServerSettings(interval=0.001))
            done = run.client().receive(run.show)
            ended = net.run_until(done)
            self.assertEqual(ended.count, run.seen[0].n)
            self.assertGreater(ended.count, 1)
            run.check(ended)

    def test_cut_at_every_byte(self) -> None:
        """Whatever the byte behind which it is cut, in either direction: nothing is lost."""
        self.assertGreater(exhaust(five_that_are_cut), 250)

    @thorough
    def test_cut_again_and_again(self) -> None:
        """Two thousand seeds of cuts, several in most: all is well, or the window was too short."""

        def scenario(net: Network) -> None:
            """A sequence of five."""
            for way in (("client", "server"), ("server", "client")):
                net.link(*way, Fault(Cut(0.005), "cut"))
            ended = Run(net).receive(5)
            net.sometimes("it ends well", lambda: ended.outcome == "equal")
            net.run(1)
            late = "expired" in ended.text or ("unknown" in ended.text and net.now > 60)
            if ended.outcome != "equal" and not late:
                raise AssertionError(ended)

        self.assertEqual(explore(scenario, range(2000)), 2000)

    def test_bad_networks(self) -> None:
        """The truth, or an end that the window or a crash explains."""
        self.assertEqual(explore(bad_network, range(100)), 100)

    @longest
    def test_very_many_bad_networks(self) -> None:
        """Five thousand of them."""
        self.assertEqual(explore(bad_network, range(5000), jobs=cpus()), 5000)

    @thorough
    def test_the_longest(self) -> None:
        """65,535 numbers in 18 hours, with 30 cuts."""
        with simulate(7) as net:
            run = Run(net)
            for cut in range(30):
                net.at(1000 + 2000 * cut, net.partition, "client", "server")
                net.at(1010 + 2000 * cut, net.heal, "client", "server")
            ended = run.receive(65535)
            self.assertEqual((ended.outcome, ended.count), ("equal", 65535))
            self.assertEqual(sum(isinstance(event, Resumed) for event in run.seen), 30)
            self.assertGreater(net.now, 65534)

    def test_a_hundred_resumes(self) -> None:
        """In one sequence."""
        with simulate(7) as net:
            run = Run(net)
            client = run.client(ClientSettings(200))

            def show(event: Any) -> None:
                """Break the connection off after every second number."""
                run.show(event)
                if isinstance(event, Number) and event.index % 2 == 0:
                    client.abort()

            ended = net.run_until(client.receive(show))
            run.check(ended)
            self.assertEqual(ended.outcome, "equal")
            self.assertEqual(sum(isinstance(event, Resumed) for event in run.seen), 100)

    def test_a_slow_link_lives(self) -> None:
        """2.5 s each way are no silence."""
        with simulate(7) as net:
            run = Run(net)
            for way in (("client", "server"), ("server", "client")):
                net.link(*way, Fault(Latency(2.5), "far"))
            self.assertEqual(run.receive(20).outcome, "equal")
            self.assertEqual(sum(isinstance(event, Resumed) for event in run.seen), 0)

    def test_any_heartbeat(self) -> None:
        """The server may have others than its client, whose patience holds all the same."""
        for heartbeat, interval in ((0.1, 60.0), (0.1, 0.31), (0.5, 1.0), (2.0, 2.9), (7.0, 8.0)):
            with simulate(7) as net:
                run = Run(net, ServerSettings(interval=interval, heartbeat=3.0))
                for way in (("client", "server"), ("server", "client")):
                    net.link(*way, Fault(Latency(heartbeat / 2, heartbeat / 3), "far"))
                self.assertEqual(run.receive(3, heartbeat=heartbeat).outcome, "equal")
                self.assertEqual([e for e in run.seen if isinstance(e, Retry | Resumed)], [])

    def test_half_open(self) -> None:
        """A link that is dead without a word is noticed by both sides in three intervals."""
        with simulate(7) as net:
            run = Run(net)
            client = run.client(ClientSettings(20))
            done = client.receive(run.show)
            net.run(3.5)
            for way in (("client", "server"), ("server", "client")):
                net.partition(*way)
            net.run(6.6)
            self.assertEqual(client.core.state, "apart")
            (session,) = run.factory.store._records.values()
            self.assertApproximates(session.deadline, 3.0 + 6 + 30, 1.1)
            for way in (("client", "server"), ("server", "client")):
                net.heal(*way)
            self.assertEqual(net.run_until(done).outcome, "equal")
            run.check(None)

    def test_too_late(self) -> None:
        """Away for longer than the window: rejected, or begun anew if that is wished."""
        for restart in (False, True):
            with simulate(7) as net:
                run = Run(net)
                net.at(3.5, net.host("server").crash)
                net.at(4.0, net.host("server").restart)
                self.seen: list[Any] = []
                done = run.client(ClientSettings(6, restart=restart)).receive(self.seen.append)
                ended = net.run_until(done)
                if restart:
                    self.assertEqual((ended.outcome, ended.count), ("equal", 6))
                    self.assertIn(Rejected("unknown"), self.seen)
                else:
                    text = "rejected: unknown; the last index is 3"
                    self.assertEqual((ended.outcome, ended.text), ("rejected", text))

    def test_the_newest_wins(self) -> None:
        """Who resumes with the key has the session; the other is told, and changes nothing."""
        with simulate(7) as net:
            run = Run(net)
            first = run.client(ClientSettings(10))
            done = first.receive(run.show)
            net.run(3.5)
            session = first.core.session
            assert session is not None
            known = tuple(event.value for event in run.seen[1:])
            second = run.client(name="thief", session=(session, known))
            also = second.receive()
            ended = net.run_until(done)
            self.assertEqual((ended.outcome, ended.count), ("conflict", 4))
            self.assertEqual(net.run_until(also).outcome, "equal")

    def test_no_key(self) -> None:
        """Who knows the id alone is rejected, and the session does not notice."""
        with simulate(7) as net:
            run = Run(net)
            first = run.client(ClientSettings(10))
            done = first.receive(run.show)
            net.run(3.5)
            session = first.core.session
            assert session is not None
            stolen = Session(session.id, bytes(16), session.n, session.interval)
            thief = run.client(name="thief", session=(stolen, ()))
            ended = net.run_until(thief.receive())
            self.assertEqual(ended.text, "rejected: proof; there was no number")
            self.assertEqual(net.run_until(done).outcome, "equal")
            self.assertEqual(sum(isinstance(event, Resumed) for event in run.seen), 0)

    def test_full(self) -> None:
        """There are so many sessions, also of one address; what is over makes room."""
        with simulate(7) as net:
            run = Run(net, ServerSettings(sessions=2))
            ends = [run.client(ClientSettings(3), f"client-{n}").receive() for n in range(3)]
            ended = net.run_until(gatherResults(ends))
            outcomes = [one.outcome for one in ended]
            self.assertEqual(outcomes, ["equal", "equal", "rejected"])
            net.run(1)
            self.assertEqual(run.receive(3).outcome, "equal")

    def test_many_come_back(self) -> None:
        """A thousand clients of a server that was away do not come all at once."""
        store = MemoryStore()
        with simulate(7) as net:
            run = Run(net, store=store)
            done = [run.client(ClientSettings(12), f"c{n}").receive() for n in range(1000)]
            net.run(3.0)
            host, arrivals = net.host("server"), list[float]()
            for port in list(host.tcp.values()):
                port.stopListening()
            for end in list(host.ends):
                end.abortConnection()
            net.run(15.0)
            host.start(lambda reactor, disk: None)
            build = run.factory.buildProtocol

            def counted(addr: Any) -> Any:
                """One more comes."""
                arrivals.append(net.now)
                return build(addr)

            run.factory.buildProtocol = counted  # type: ignore[method-assign]
            TCP4ServerEndpoint(host.reactor, 80).listen(run.factory)
            ended = net.run_until(gatherResults(done))
            self.assertEqual({one.outcome for one in ended}, {"equal"})
            self.assertEqual(len(arrivals), 1000)
            slots = [sum(int(at * 10) == slot for at in arrivals) for slot in range(180, 300)]
            self.assertLess(max(slots), 40)
            self.assertGreater(max(arrivals) - min(arrivals), 5)

    def test_the_store_fails(self) -> None:
        """Without a store no session begins: the client is told, and comes again until it can."""
        store = Failing(away=True)
        with simulate(7) as net:
            run = Run(net, store=store)
            net.at(5.0, setattr, store, "away", False)
            with captured_logs() as logged:
                self.assertEqual(run.receive(3).outcome, "equal")
            reasons = {event.reason for event in run.seen if isinstance(event, Retry)}
            self.assertEqual(reasons, {"the server says: the sessions can't be reached"})
            said = [formatEvent(event) for event in logged if "store" in formatEvent(event)]
            self.assertEqual(said, ["the store fails: away", "the store answers again"])

    def test_the_store_fails_for_a_while(self) -> None:
        """A session goes on with what the store knows already, stops, and goes on after that."""
        for back, resumed in ((45.0, 0), (120.0, 1)):
            store = Failing()
            with simulate(7) as net:
                run = Run(net, store=store)
                net.at(2.5, setattr, store, "away", True)
                net.at(back, setattr, store, "away", False)
                self.assertEqual(run.receive(100).outcome, "equal")
                self.assertEqual(sum(isinstance(e, Resumed) for e in run.seen), resumed)

    def test_a_store_with_a_fault(self) -> None:
        """What a store does not mean to raise is logged as it is."""
        store = Failing(away=True, error=OSError("broken"))
        with simulate(7) as net:
            run = Run(net, store=store)
            net.at(5.0, setattr, store, "away", False)
            self.assertEqual(run.receive(3).outcome, "equal")
        self.assertGreater(len(self.flushLoggedErrors(OSError)), 3)

    def test_nonsense_of_a_store(self) -> None:
        """What is no answer at all breaks the connection off, and no other."""
        with simulate(7) as net:
            store = Failing()
            store.nonsense = True
            run = Run(net, store=store)
            client = run.client(ClientSettings(10))
            done = client.receive(run.show)
            net.at(3.5, lambda: client.abort())  # noqa: PLW0108 - it is there then
            net.run(6.0)
            store.nonsense = False
            self.assertEqual(net.run_until(done).outcome, "equal")
        self.assertGreater(len(self.flushLoggedErrors(AttributeError)), 0)

    def test_an_old_epoch(self) -> None:
        """A connection whose session was taken by another server stops by itself."""
        store = MemoryStore()
        with simulate(7) as net:
            run = Run(net, store=store)
            done = run.client(ClientSettings(40)).receive(run.show)
            net.run(3.5)
            (session,) = store._records.values()
            self.successResultOf(store.attach(session.attached()))
            ended = net.run_until(done)
            self.assertEqual((ended.outcome, ended.count), ("conflict", 31))
            self.assertEqual(store._records[session.id].epoch, 2)
            net.run(5)
            self.assertEqual(run.factory._connections, {})

    def test_somebody_was_faster(self) -> None:
        """Who proves that the session is its own while another takes it comes again."""

        class Busy(MemoryStore):
            """A store whose sessions are taken by somebody else at first."""

            attempts = 0

            def attach(self, record: Record) -> Any:
                """Be too late."""
                self.attempts += 1
                return succeed(False) if self.attempts < 3 else super().attach(record)

        with simulate(7) as net:
            run = Run(net, store=Busy())
            client = run.client(ClientSettings(10))
            done = client.receive(run.show)
            net.at(3.5, lambda: client.abort())  # noqa: PLW0108 - it is there then
            self.assertEqual(net.run_until(done).outcome, "equal")
            reasons = [event.reason for event in run.seen if isinstance(event, Retry)]
            self.assertEqual(sum("at the same time" in reason for reason in reasons), 2)

    def test_ahead(self) -> None:
        """What was not sent yet can't be resumed, though the store knows of more already."""
        with simulate(7) as net:
            run = Run(net)
            first = run.client(ClientSettings(10))
            done = first.receive(run.show)
            net.run(3.5)
            session = first.core.session
            assert session is not None
            thief = run.client(name="thief", session=(session, (1, 2, 3, 4, 5)))
            ended = net.run_until(thief.receive())
            self.assertEqual(ended.text, "rejected: ahead; the last index is 4")
            self.assertEqual(net.run_until(done).outcome, "equal")

    def test_cancelled(self) -> None:
        """Who has enough says so, at any time, and nothing is left of it."""
        for when in (0.0, 0.0005, 3.5, 6.1):
            with simulate(7) as net:
                run = Run(net)
                net.at(6.0, net.partition, "client", "server")
                client = run.client(ClientSettings(100))
                done = client.receive(run.show)
                net.run(when)
                done.cancel()
                self.failureResultOf(done, CancelledError)
                number = len(run.seen)
                net.run(100)
                self.assertEqual(len(run.seen), number)
                self.assertEqual(net.host("client").reactor.getDelayedCalls(), [])

    def test_bytes_are_life(self) -> None:
        """Who is in the middle of a line for long is no silent peer, for either side."""
        for listens in (True, False):
            with simulate(7) as net:
                drips = Side({})
                if listens:
                    factory = Factory.forProtocol(lambda drips=drips: drips)
                    net.host("server").reactor.listenTCP(80, factory)
                    SequenceClient(
                        net.host("client").reactor,
                        HostnameEndpoint(net.host("client").reactor, "server", 80),
                        ClientSettings(retry=100),
                    ).receive()
                else:
                    Run(net)
                    net.host("client").reactor.connectTCP("server", 80, Connecting(drips))
                for second in range(2, 20, 2):
                    net.at(second, lambda drips=drips: drips.transport.write(b"x"))
                net.run(23.9)
                self.assertNotIn("ConnectionLost", drips.seen)
                net.run(0.2)
                self.assertEqual(drips.seen[-1], "ConnectionLost")

    def test_disconnect(self) -> None:
        """A server that ends lets all connections go, and the store knows of that before."""
        with simulate(7) as net:
            run = Run(net)
            clients = [run.client(ClientSettings(20), f"client-{n}") for n in range(3)]
            done = [client.receive() for client in clients]
            net.run(3.5)
            ended = run.factory.disconnect()
            self.assertNoResult(ended)
            net.run_until(ended, 0.1)
            found = [one.deadline for one in run.factory.store._records.values()]
            self.assertEqual([round(at, 1) for at in found], [33.5] * 3)
            self.assertEqual(run.factory._open, {})
            self.successResultOf(run.factory.disconnect())
            self.assertEqual({one.outcome for one in net.run_until(gatherResults(done))}, {"equal"})

    def test_disconnect_who_does_not_read(self) -> None:
        """Who has ended its half already and reads nothing is broken off."""
        with simulate(7) as net:
            run = Run(net, ServerSettings(interval=0.001, heartbeat=60.0))

            def begin(side: Side) -> None:
                """Ask for much, and read none of it."""
                side.transport.write(b"start 65535\n")
                side.transport.pauseProducing()

            side = Side({"made": begin})
            net.host("client").reactor.connectTCP("server", 80, Connecting(side))
            net.run(12.0)
            side.transport.loseWriteConnection()
            net.run(1.0)
            (protocol,) = run.factory._open
            self.assertTrue(protocol._finished)
            net.run_until(run.factory.disconnect(), LINGER + 0.1)
            self.assertEqual(run.factory._open, {})

    def test_the_last_word(self) -> None:
        """Who hears that it has ended may end at once: the server knows of it already."""
        with simulate(7) as net:
            run = Run(net)
            self.assertEqual(run.receive(3).outcome, "equal")
            self.assertEqual((run.factory.counters.done, len(run.factory.store)), (1, 0))
            self.assertEqual(net.host("client").reactor.getDelayedCalls(), [])

    def test_over(self) -> None:
        """What is over is not broken off; who does not wait for the last word may cancel it."""
        with simulate(7) as net:
            run = Run(net)
            client = run.client(ClientSettings(3))
            done = client.receive(run.show)
            self.assertFalse(client.abort())
            net.run(1.5)
            net.at(1.9, lambda: self.assertTrue(client.abort()))
            while client.core.state != "over":
                net.run(0.0001)
            self.assertNoResult(done)
            self.assertFalse(client.abort())
            done.cancel()
            self.failureResultOf(done, CancelledError)
            net.run(5)
            self.assertEqual(net.host("client").reactor.getDelayedCalls(), [])

    def test_nothing_in_the_log(self) -> None:
        """A client tells who has asked, and nobody else."""
        with simulate(7) as net, captured_logs() as logged:
            Run(net).receive(3)
        said = [formatEvent(event) for event in logged if "let go" in formatEvent(event)]
        self.assertEqual(len(said), 1)
        self.assertIn("is let go: done", said[0])

    def test_lines_of_any_kind(self) -> None:
        """What no client would send is answered with one line, and the connection ends."""
        for data in (b"x" * (2 * LIMIT), b"\xff\xfe\n", b"start 0\n", b"done\n", b"start 1 2 3\n"):
            with simulate(7) as net:
                Run(net)
                side = Side({"made": lambda side, data=data: side.transport.write(data)})
                net.host("client").reactor.connectTCP("server", 80, Connecting(side))
                net.run(10)
                self.assertEqual(side.seen[1][:4], b"300 ")
                self.assertEqual(side.seen[1].count(b"\n"), 1)
                self.assertEqual(side.seen[2:], ["ConnectionDone"])

    def test_capture(self) -> None:
        """Everything can be read in a capture, but no server ever logs the key."""
        file = folder(self) / "run.pcapng"
        with simulate(7, capture=file) as net:
            Run(net).receive(3)
            net.run(1)
        raw = file.read_bytes()
        for word in (b"start 3\n", b"number 0 ", b"checksum ", b"done\n"):
            self.assertTrue(word in raw, word)


class SendTests(SynchronousTestCase):
    """What goes to the system, and in how many pieces."""

    def test_together(self) -> None:
        """A number is one, also with the answer to a heartbeat."""
        clock, transport = Clock(), Direct(1000)
        protocol = SequenceFactory(clock).buildProtocol(None)
        protocol.makeConnection(transport)
        protocol.dataReceived(b"start 100\n")
        for second in range(1, 11):
            clock.pump([0.75, 0.25])
            if second % 2 == 0:
                protocol.dataReceived(b"heartbeat %d\n" % second)
        sent = [b" ".join(part.split()[:-1:2]) for part in transport.at_once[1:]]
        plain, both = b"number", b"alive number"
        self.assertEqual(sent, [plain, plain, *[both, plain] * 4])
        protocol.connectionLost(Failure(ConnectionDone()))

    def test_no_garbage(self) -> None:
        """Nothing of a connection that is gone waits for the garbage collector."""
        clock, transport = Clock(), Direct(1000)
        protocol = SequenceFactory(clock).buildProtocol(None)
        protocol.makeConnection(transport)
        protocol.dataReceived(b"start 100\n")
        clock.advance(1.0)
        protocol.connectionLost(Failure(ConnectionDone()))
        transport.unregisterProducer()  # as Twisted's do at their end
        self.addCleanup(gc.enable)
        gc.disable()
        found = [weakref.ref(one) for one in (protocol, protocol.core)]
        del protocol, transport
        self.assertEqual([one() for one in found], [None, None])


class RealTests(TestCase):
    """Over loopback."""

    timeout = 60

    async def test_sequence(self) -> None:
        """A few clients at once, one of which is cut twice."""
        reactor: Any = real_reactor
        factory = SequenceFactory(reactor, ServerSettings(interval=0.01, heartbeat=0.5))
        gone: list[Deferred[None]] = []
        build = factory.buildProtocol

        def noted(addr: Any) -> Any:
            """A protocol whose end can be waited for."""
            protocol, end = build(addr), Deferred[None]()
            lost = protocol.connectionLost
            protocol.connectionLost = lambda reason: (lost(reason), end.callback(None))  # type: ignore[method-assign]
            gone.append(end)
            return protocol

        factory.buildProtocol = noted  # type: ignore[method-assign]
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        settings = ClientSettings(30, retry=0.01, heartbeat=0.5)
        clients = [SequenceClient(reactor, endpoint, settings) for _ in range(5)]
        seen: list[Any] = []

        def show(event: Any) -> None:
            """Cut it at two numbers."""
            seen.append(event)
            if isinstance(event, Number) and event.index in {5, 6}:
                clients[0].abort()

        shows: list[Callable[[Any], object]] = [show, *[bool] * 4]
        done = [one.receive(of) for one, of in zip(clients, shows, strict=True)]
        ends: list[Ended] = await gatherResults(done)
        self.assertEqual({(one.outcome, one.count) for one in ends}, {("equal", 30)})
        self.assertEqual([e.index for e in seen if isinstance(e, Number)], list(range(30)))
        self.assertEqual(sum(isinstance(e, Resumed) for e in seen), 2)
        await gatherResults(gone)
        await port.stopListening()
        self.assertEqual((len(gone), len(factory.store)), (7, 0))
