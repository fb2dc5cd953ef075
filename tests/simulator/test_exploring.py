"""Many runs, and which few faults are to blame."""

import multiprocessing
import os
from io import StringIO
from itertools import count
from types import SimpleNamespace
from typing import Any
from unittest import mock
from weakref import ref

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogEvent, Logger, globalLogPublisher
from twisted.logger._global import LogBeginner
from twisted.trial.unittest import SynchronousTestCase

from lab.adapters.endpoints import DatagramClientEndpoint, DatagramServerEndpoint
from lab.arithmetic import udp
from lab.arithmetic.settings import ClientSettings, ServerSettings
from lab.backoff import Backoff
from lab.errors import LabError, LocalError
from lab.faults.datagrams import Duplicate, Latency, Loss
from lab.faults.fault import Fault
from lab.faults.journal import Entry, Journal, Place
from lab.faults.verdicts import DROP
from lab.rng import stream
from lab.simulator import explore, exploring, replay
from lab.simulator.exploring import ExplorationFailed, NothingProved, ddmin, many_runs
from lab.simulator.network import Network
from tests.capture.blocks import packets
from tests.helpers import folder
from tests.simulator.test_datagrams import Notes


def entries(*units: int) -> list[Entry]:
    """Losses of these units."""
    return [Entry(Place("a>b", 0, "downstream", "loss"), unit, 0.0, DROP) for unit in units]


class DdminTests(SynchronousTestCase):
    """Leaving out what is not needed."""

    @given(st.sets(st.integers(0, 30), max_size=5), st.integers(0, 31))
    def test_just_what_is_needed(self, needed: set[int], number: int) -> None:
        """What fails because of some entries is shrunk to just these."""
        all_entries = entries(*range(max(number, *needed, 0) + 1))

        def fails(some: list[Entry]) -> bool:
            """Whether all that is needed is there."""
            return needed <= {entry.unit for entry in some}

        self.assertEqual({entry.unit for entry in ddmin(all_entries, fails)}, needed)

    def test_nothing_to_leave_out(self) -> None:
        """Of nothing, nothing is left."""
        self.assertEqual(ddmin([], lambda some: True), [])


class ExploreTests(SynchronousTestCase):
    """Seeds that fail, and why."""

    def test_all_right(self) -> None:
        """If no seed fails, it says how many there were."""
        seen: list[int] = []
        self.assertEqual(explore(lambda net: seen.append(net.seed), range(5)), 5)
        self.assertEqual(seen, [0, 1, 2, 3, 4])

    def lost_two(self, net: Network) -> None:
        """Fails if the third and the fifth of ten datagrams are lost."""
        a, b = net.host("a"), net.host("b")
        seen = Notes()
        b.reactor.listenUDP(5000, seen)
        port = a.reactor.listenUDP(0, Notes())
        net.link("a", "b", Fault(Loss(0.5), "loss"), Fault(Latency(0.1, 0.05), "late"))
        for n in range(10):
            port.write(b"%d" % n, (b.address, 5000))
        net.run(5)
        arrived = {data for data, _ in seen.seen[1:]}
        if not arrived & {b"2", b"4"}:
            raise AssertionError(f"lost at {net.now}")

    def test_shrinks(self) -> None:
        """The faults of a failing seed are shrunk to those that are needed, and can be replayed."""
        file = folder(self) / "run.journal"
        error = self.assertRaises(ExplorationFailed, explore, self.lost_two, range(50), to=file)
        found = error.found
        places = {(entry.place.fault, entry.unit) for entry in found.journal.entries}
        self.assertEqual(places, {("loss", 2), ("loss", 4)})
        self.assertIn(f"seed {found.seed} fails: AssertionError('lost at 5.0')", str(error))
        self.assertEqual(str(error).count('"verdict": "drop"'), 2)
        self.assertRaises(AssertionError, replay, self.lost_two, file)
        self.assertRaises(AssertionError, replay, self.lost_two, found.journal)
        replay(self.lost_two, Journal(found.journal.entries[:1]))

    def test_jobs(self) -> None:
        """Several processes find what one finds, whichever is the first to find something."""
        alone = self.assertRaises(ExplorationFailed, explore, self.lost_two, range(50)).found
        for jobs in (2, 0):
            error = self.assertRaises(
                ExplorationFailed, explore, self.lost_two, range(50), jobs=jobs
            )
            self.assertEqual(str(error), str(ExplorationFailed(alone)))
            self.assertIs(error.__cause__, error.found.error)
        self.assertEqual(explore(lambda net: net.run(5), range(50), jobs=2), 50)
        error = self.assertRaises(LocalError, explore, self.lost_two, jobs=-1)
        self.assertEqual(str(error), "jobs is -1; give 0 for one for each CPU, or more")

    def test_jobs_and_sometimes(self) -> None:
        """What has held in any process has held."""

        def run(net: Network) -> None:
            """It holds with the last seed."""
            net.sometimes("the last", lambda: net.seed == 49)
            net.at(1, lambda: None)
            net.run(5)

        self.assertEqual(explore(run, range(50), jobs=2), 50)
        self.assertRaises(NothingProved, explore, run, range(49), jobs=2)

    def test_right_when_run_again(self) -> None:
        """What only fails in another process is no failure of the simulation."""
        here = os.getpid()

        def elsewhere(net: Network) -> None:
            """Fail there."""
            if os.getpid() != here:
                raise ValueError

        error = self.assertRaises(LabError, explore, elsewhere, range(5, 9), jobs=2)
        self.assertIn("seed 5 failed, and was right when it was run again", str(error))

    def test_the_seed_of_the_environment(self) -> None:
        """One that is given there takes the place of the others."""
        seen: list[int] = []
        with mock.patch.dict(os.environ, {"LAB_SEED": "7"}):
            self.assertEqual(explore(lambda net: seen.append(net.seed), range(50)), 1)
        self.assertEqual(seen, [7])

    def test_capture(self) -> None:
        """A replay leaves a capture, if asked."""
        file = folder(self) / "run.pcapng"
        found = self.assertRaises(ExplorationFailed, explore, self.lost_two).found
        self.assertRaises(AssertionError, replay, self.lost_two, found.journal, capture=file)
        lost = [one for one in packets(file.read_bytes()) if one.comment.startswith("dropped")]
        self.assertEqual(len(lost), 2)

    def test_not_because_of_faults(self) -> None:
        """What fails without any fault is shrunk to none."""

        def broken(net: Network) -> None:
            """Fail always."""
            self.lost_two(net)
            raise ZeroDivisionError

        error = self.assertRaises(ExplorationFailed, explore, broken, [3])
        self.assertEqual(error.found.journal.entries, [])
        self.assertIn("without any fault", str(error))

    def test_not_again(self) -> None:
        """What a replay does not show again is told with all its faults."""
        runs: list[int] = []

        def once(net: Network) -> None:
            """Fail the first time only."""
            net.link("a", "b", Fault(Loss(1.0), "loss"))
            net.host("b")
            net.host("a").reactor.listenUDP(0, Notes()).write(b"x", (net.host("b").address, 1))
            runs.append(1)
            if len(runs) == 1:
                raise ValueError

        found = self.assertRaises(ExplorationFailed, explore, once, [3]).found
        self.assertEqual((len(found.journal.entries), found.runs), (1, 1))

    def test_another_failure_is_not_the_same(self) -> None:
        """It is shrunk by the same failure only, whatever else fewer faults bring to light."""

        def two_bugs(net: Network) -> None:
            """One failure with both losses, another one with less."""
            self.lost_two(net)
            raise ZeroDivisionError

        seed = self.assertRaises(ExplorationFailed, explore, self.lost_two).found.seed
        found = self.assertRaises(ExplorationFailed, explore, two_bugs, [seed]).found
        self.assertIsInstance(found.error, AssertionError)
        self.assertEqual({entry.unit for entry in found.journal.entries}, {2, 4})

    def test_sometimes(self) -> None:
        """What should hold in some run has to; once in all of them is enough."""

        def run(net: Network) -> None:
            """It holds with an even seed, and something else never."""
            net.sometimes("an even seed", lambda: net.seed % 2 == 0)
            if net.seed > 100:
                net.sometimes("a miracle", lambda: False)
            net.at(1, lambda: None)
            net.run(5)

        self.assertEqual(explore(run, range(3)), 3)
        error = self.assertRaises(NothingProved, explore, run, [1, 3, 5])
        text = "'an even seed' has held in none of 3 runs; give other faults"
        self.assertEqual(str(error), text)
        self.assertRaises(NothingProved, explore, run, range(100, 110))


class OrderTests(SynchronousTestCase):
    """Timers of one time."""

    def scenario(self, net: Network) -> None:
        """Fails if a second timer comes first, when a datagram is lost."""
        seen: list[int] = []
        net.link("a", "b", Fault(Loss(0.5), "loss"))
        reactor = net.host("a").reactor
        reactor.listenUDP(0, Notes()).write(b"x", (net.host("b").address, 1))
        for n in range(2):
            reactor.callLater(1, seen.append, n)
        net.run(1)
        if seen != [0, 1] and net.journal.entries:
            raise AssertionError

    def test_order(self) -> None:
        """A failure that takes another order is found with it, shrunk, and can be replayed."""
        self.assertEqual(explore(self.scenario, range(20)), 20)
        for jobs in (1, 2):
            error = self.assertRaises(
                ExplorationFailed, explore, self.scenario, order="shuffle", jobs=jobs
            )
            found = error.found
            self.assertEqual((len(found.journal.entries), found.runs > 1), (1, True))
        journal, seed = found.journal, found.seed
        self.assertRaises(AssertionError, replay, self.scenario, journal, seed, order="shuffle")
        replay(self.scenario, journal, seed)


class JobsTests(SynchronousTestCase):
    """Several processes."""

    def test_first_failure(self) -> None:
        """The failure is that of the first seed that fails, shrunk as ever, with its exception."""

        class OddError(Exception):
            """Can't be sent, as its class is known here only."""

        def run(net: Network) -> None:
            """Fail with some seeds, as soon as two datagrams are lost."""
            net.link("a", "b", Fault(Loss(0.9), "loss"))
            address = net.host("b").address, 1
            port = net.host("a").reactor.listenUDP(0, Notes())
            for _ in range(4):
                port.write(b"x", address)
            if net.seed in {30, 13, 14} and len(net.journal.entries) > 1:
                raise OddError(net.seed)

        file = folder(self) / "run.journal"
        found = [
            self.assertRaises(ExplorationFailed, explore, run, range(40), to=file, jobs=jobs).found
            for jobs in (1, 2, 3)
        ]
        self.assertEqual(found[0], found[1])
        self.assertEqual(found[0], found[2])
        self.assertEqual((found[1].seed, repr(found[1].error)), (13, "OddError(13)"))
        self.assertEqual(len(file.read_text().splitlines()), 2)

    def test_over(self) -> None:
        """When a seed has failed there are no processes any more."""

        def run(net: Network) -> None:
            """Fail."""
            raise ValueError

        error = self.assertRaises(ExplorationFailed, explore, run, count(), jobs=2)
        self.assertEqual((error.found.seed, multiprocessing.active_children()), (0, []))

    def test_sometimes(self) -> None:
        """What has held in one process has held; names are told in their order."""

        def run(net: Network) -> None:
            """Something holds with one seed, and two things never."""
            net.sometimes("seed 17", lambda: net.seed == 17)
            for name in ("b", "a")[: net.seed // 100]:
                net.sometimes(name, lambda: False)
            net.at(1, lambda: None)
            net.run(5)

        self.assertEqual(explore(run, range(30), jobs=2), 30)
        error = self.assertRaises(NothingProved, explore, run, range(17, 300), jobs=2)
        text = "'a' has held in none of 283 runs; give other faults"
        self.assertEqual(str(error), text)


class ManyRunsTests(SynchronousTestCase):
    """What runs leave behind."""

    log = Logger()

    def test_gone(self) -> None:
        """No run is kept for a log that begins later; what is critical is told all the same."""
        stream, events, networks = StringIO(), list[LogEvent](), list[Any]()
        stdio: Any = SimpleNamespace(showwarning=None)
        beginner = LogBeginner(globalLogPublisher, stream, stdio, stdio)
        self.addCleanup(globalLogPublisher.removeObserver, beginner._temporaryObserver)

        def run(net: Network) -> None:
            """Log, with a reference to what runs; none but the run before is still there."""
            self.assertEqual([one for one in networks[:-1] if one() is not None], [])
            net.host("a")
            networks.append(ref(net))
            self.log.info("in run {net.seed}", net=net)
            if net.seed == 3:
                self.log.critical("critical")

        with many_runs(), mock.patch.object(exploring, "globalLogBeginner", beginner):
            self.log.info("before")
            explore(run, range(5))
            self.log.info("after")
            self.addCleanup(globalLogPublisher.removeObserver, events.append)
            beginner.beginLoggingTo([events.append], redirectStandardIO=False)
            self.assertEqual([event["log_format"] for event in events], ["before", "after"])
            self.assertEqual(stream.getvalue(), "critical\n")
            explore(run, range(1))
        self.assertEqual(len(events), 3)


class PlantedBugTests(SynchronousTestCase):
    """What it is made for: a server that executes a request twice."""

    def scenario(self, entries_kept: int) -> object:
        """Ask a few times on a bad network, with a reply cache of this size."""

        def run(net: Network) -> None:
            """Every request has to be executed once."""
            for a, b in (("client", "server"), ("server", "client")):
                faults = (Loss(0.2), "loss"), (Duplicate(0.1), "twice"), (Latency(0.02, 0.01), "l")
                net.link(a, b, *(Fault(*of) for of in faults))
            settings = ServerSettings(cache_entries=entries_kept)
            reactor = net.host("server").reactor
            protocol = udp.ArithmeticDatagramProtocol(reactor, settings, key=bytes(16))
            DatagramServerEndpoint(reactor, 50000).listen(protocol)
            reactor = net.host("client").reactor
            place = DatagramClientEndpoint(reactor, "server", 50000)
            retry = ClientSettings(Backoff.fixed(0.2, attempts=50))
            client = udp.ArithmeticClient(reactor, place, retry, stream(net.seed, "ids"))
            for n in range(10):
                if net.run_until(client.ask("+", n, n)) != 2 * n:
                    raise AssertionError("wrong")
            if protocol.counters.executed != 10:
                raise AssertionError("executed more than once")

        return run

    def test_found_and_shrunk(self) -> None:
        """With the reply cache off it is found, and shrunk to one fault; with it, it is right."""
        broken: object = self.scenario(0)
        found = self.assertRaises(ExplorationFailed, explore, broken, range(20)).found
        (entry,) = found.journal.entries
        self.assertIn((entry.place.link, entry.verdict.kind), (
            ("server>client", "drop"), ("client>server", "duplicate"),
        ))  # fmt: skip
        scenario: object = self.scenario(1000)
        self.assertEqual(explore(scenario, range(20)), 20)  # type: ignore[arg-type]
