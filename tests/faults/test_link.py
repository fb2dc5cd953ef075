"""Faults on datagrams, one behind the other."""

import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.faults.datagrams import (
    Bandwidth,
    Blackhole,
    Corrupt,
    Duplicate,
    Latency,
    Loss,
    Noop,
    Reorder,
)
from lab.faults.fault import Fault
from lab.faults.journal import Dice, Journal, Place, Replay
from lab.faults.link import OVERHEAD, PATIENCE, Arrival, DatagramLink
from lab.faults.sharing import Buckets
from lab.faults.verdicts import DROP
from lab.faults.words import all_told
from tests.faults.turns import in_time

HERE = Place("a-b")
LOSS, LATENCY = Fault(Loss(0.3), "loss"), Fault(Latency(0.02, 0.01), "latency")
REORDER = Fault(Reorder(0.1, 3), "reorder")
SHARED = Fault(Bandwidth(100_000.0, scope="proxy"), "rate")
ALL = [
    LATENCY, LOSS, REORDER, Fault(Duplicate(0.2, 2), "duplicate"),
    Fault(Corrupt(0.1, 2), "corrupt"), Fault(Loss(p=0.05, r=0.5), "bursts"),
    Fault(Bandwidth(20_000.0, queue=500.0), "rate"),
]  # fmt: skip


class LinkCase(SynchronousTestCase):
    """A test case with a journal."""

    def make(self, *faults: Fault, seed: int = 7, place: Place = HERE) -> DatagramLink:
        """A link with these faults."""
        self.journal = Journal()
        return DatagramLink(faults, Dice(seed), place, journal=self.journal)

    def run_link(self, link: DatagramLink, number: int = 300) -> list[Arrival]:
        """Send a datagram of 10 bytes every 10 ms, tick when it is time, and wait for the rest."""
        found: list[Arrival] = []
        for n in range(number):
            now = n * 0.01
            while (due := link.deadline()) is not None and due <= now:
                found += link.tick(due)
            found += link.send(b"%010d" % n, now)
        while (due := link.deadline()) is not None:
            found += link.tick(due)
        return found


class LinkTests(LinkCase):
    """What arrives, and when."""

    def test_nothing_wrong(self) -> None:
        """Without faults all arrives at once, and nothing is written down."""
        link = self.make()
        self.assertEqual(link.send(b"abc", 1.5), [Arrival(1.5, b"abc")])
        self.assertEqual((link.touched, self.journal.entries), ([], []))

    def test_tag(self) -> None:
        """What is sent with a datagram is there with each copy, whatever became of the bytes."""
        link = self.make(Fault(Duplicate(1.0), "twice"), Fault(Corrupt(1.0), "corrupt"))
        arrivals = link.send(b"abc", 0.0, tag="a")
        self.assertEqual([arrival.tag for arrival in arrivals], ["a", "a"])
        self.assertNotEqual(arrivals[0].data, b"abc")

    def test_delays_add_up(self) -> None:
        """Each fault adds its own."""
        link = self.make(Fault(Latency(0.5), "one"), Fault(Latency(0.25), "two"))
        self.assertEqual(link.send(b"abc", 1.0), [Arrival(1.75, b"abc")])

    def test_lost_is_gone(self) -> None:
        """What one fault drops, later ones never see."""
        link = self.make(Fault(Blackhole(), "hole"), Fault(Duplicate(1.0), "twice"))
        self.assertEqual(link.send(b"abc", 0.0), [])
        self.assertEqual([fault.name for fault, _ in link.touched], ["hole"])

    def test_each_copy_is_judged(self) -> None:
        """What one fault makes two of is two for the next."""
        twice, every = Fault(Duplicate(1.0), "twice"), Fault(Loss(every=2), "every")
        self.assertEqual(len(self.make(twice, every).send(b"abc", 0.0)), 1)
        self.assertEqual(len(self.make(every, twice).send(b"abc", 0.0)), 2)

    def test_overtaken(self) -> None:
        """What is held back comes when just so many have passed it."""
        link = self.make(Fault(Reorder(1.0, 2), "reorder", duration=0.5))
        self.assertEqual(link.send(b"0", 0.0), [])
        self.assertEqual(link.deadline(), PATIENCE)
        self.assertEqual(link.send(b"1", 0.5), [Arrival(0.5, b"1")])
        self.assertEqual(link.send(b"2", 0.7), [Arrival(0.7, b"2"), Arrival(0.7, b"0")])
        self.assertIsNone(link.deadline())

    def test_not_overtaken(self) -> None:
        """What nobody overtakes comes after `PATIENCE`, with the delay that it has."""
        link = self.make(Fault(Latency(0.5), "late"), Fault(Reorder(1.0, 2), "reorder"))
        link.send(b"0", 0.0)
        link.send(b"1", 0.25)
        self.assertEqual(link.tick(0.5), [])
        self.assertEqual(link.tick(1.0), [Arrival(1.5, b"0")])
        self.assertEqual(link.deadline(), 1.25)

    def test_watch(self) -> None:
        """Who watches hears of each verdict, also of those on what was held back before."""
        seen: list[tuple[str, str]] = []
        link = DatagramLink(
            [Fault(Noop(), "noop"), Fault(Reorder(1.0), "held"), Fault(Loss(1.0), "loss")],
            Dice(7),
            HERE,
            watch=lambda fault, verdict: seen.append((fault.name, verdict.kind)),
        )
        link.send(b"0", 0.0)
        self.assertEqual(seen, [("held", "hold")])
        link.tick(1.0)
        self.assertEqual(seen[1:], [("loss", "drop")])

    def test_held_at_two_faults(self) -> None:
        """What was held back goes on to the next fault, which may hold it back again."""
        link = self.make(Fault(Reorder(1.0), "one"), Fault(Reorder(1.0), "two"))
        link.send(b"0", 0.0)
        self.assertEqual(link.tick(1.0), [])
        self.assertEqual(link.tick(2.0), [Arrival(2.0, b"0")])

    def test_schedule(self) -> None:
        """A fault touches nothing while it does not work; times count from the link's begin."""
        fault = Fault(Blackhole(), "hole", after=1.0, duration=1.0)
        link = DatagramLink([fault], Dice(7), HERE, now=100.0)
        passed = [t for t in (100.0, 100.9, 101.0, 101.9, 102.0) if link.send(b"x", t)]
        self.assertEqual(passed, [100.0, 100.9, 102.0])

    def test_toxicity(self) -> None:
        """On some connections it works, on others it does not."""
        half = Fault(Blackhole(), "hole", toxicity=0.5)
        found = [
            bool(self.make(half, place=Place("a", number)).send(b"x", 0.0)) for number in range(99)
        ]
        self.assertTrue(any(found))
        self.assertFalse(all(found))

    def test_two_names(self) -> None:
        """Two faults of one name could not be told apart in a journal."""
        error = self.assertRaises(LocalError, self.make, LOSS, LOSS)
        self.assertEqual(str(error), "two faults of a-b are named 'loss'; give two names")


class UpdateTests(LinkCase):
    """Faults that change while datagrams pass."""

    def link(self, *faults: Fault, journal: Journal | None = None) -> DatagramLink:
        """A link with these."""
        return DatagramLink(faults, Dice(7), Place("a-b"), journal=journal)

    def test_what_stays_goes_on(self) -> None:
        """A fault that is as before decides as if nothing else had changed."""
        loss, late = Fault(Loss(0.5), "loss"), Fault(Latency(1.0), "late")

        def passed(*changes: list[Fault]) -> list[bool]:
            """Which of a hundred pass, while this changes."""
            link = self.link(loss)
            found = []
            for unit in range(100):
                if unit % 10 == 0 and changes:
                    link.update(changes[unit // 10 % len(changes)], float(unit))
                found.append(bool(link.send(b"x", float(unit))))
            return found

        self.assertEqual(passed(), passed([late, loss], [loss], [loss, late]))

    def test_what_begins_anew(self) -> None:
        """A fault that comes back draws other numbers than before, under a name of its own."""
        journal = Journal()
        link, loss = self.link(Fault(Loss(0.5), "loss"), journal=journal), Fault(Loss(0.4), "loss")
        for faults in ([loss], [], [loss]):
            link.update(faults, 0.0)
            for _ in range(50):
                link.send(b"x", 0.0)
        names = {entry.place.fault for entry in journal.entries}
        self.assertEqual(names, {"loss#2", "loss#3"})
        units = [
            [entry.unit for entry in journal.entries if entry.place.fault == name]
            for name in sorted(names)
        ]
        self.assertNotEqual(*units)

    def test_held_back(self) -> None:
        """What a fault has held back goes on to the next when the fault is gone, and only then."""
        held, late = Fault(Reorder(1.0), "held"), Fault(Latency(1.0), "late")
        link = self.link(held, late)
        self.assertEqual(link.send(b"x", 0.0), [])
        self.assertEqual(link.update([held, late, Fault(Noop(), "noop")], 0.1), [])
        self.assertEqual(link.update([late], 0.2), [Arrival(1.2, b"x")])
        self.assertIsNone(link.deadline())

    def test_toxicity(self) -> None:
        """Whether a fault works on a connection is decided once, whatever changes."""
        found = set()
        for number in range(20):
            faults = [Fault(Blackhole(), "hole", toxicity=0.5)]
            link = DatagramLink(faults, Dice(7), Place("a-b", number))
            first = bool(link.send(b"x", 0.0))
            link.update([Fault(Latency(1.0), "late"), *faults], 0.0)
            link.update([Fault(Blackhole(), "hole", toxicity=0.500001)], 0.0)
            self.assertEqual(bool(link.send(b"x", 0.0)), first)
            found.add(first)
        self.assertEqual(found, {True, False})

    def test_two_names(self) -> None:
        """Two of one name are refused, and what there was goes on."""
        link = self.link(Fault(Latency(1.0), "late"))
        two = [Fault(Loss(1.0), "a"), Fault(Corrupt(1.0), "a")]
        self.assertRaises(LocalError, link.update, two, 0.0)
        self.assertEqual(link.send(b"x", 0.0), [Arrival(1.0, b"x")])


class SharedTests(LinkCase):
    """A rate that links have together."""

    def links(self, *faults: Fault, number: int = 2) -> list[DatagramLink]:
        """So many links at one bucket."""
        self.journal, buckets = Journal(), Buckets()
        return [
            DatagramLink(
                faults, Dice(7), Place("a-b", number), journal=self.journal, share=buckets.lane
            )
            for number in range(number)
        ]

    def wait(self, links: list[DatagramLink], until: float) -> list[list[Arrival]]:
        """What arrives on each by then."""
        found: list[list[Arrival]] = [[] for _ in links]
        for at, number in in_time(links, until):
            found[number] += links[number].tick(at)
        return found

    def test_half_each(self) -> None:
        """Two that are full have half each and the rate together, whoever came first."""
        links = self.links(SHARED)
        for link in links:
            for _ in range(500):
                self.assertEqual(link.send(bytes(1000), 0.0), [])
            self.assertEqual(link.memory, 500 * (1000 + OVERHEAD))
        found = [len(one) for one in self.wait(links, 2.0)]
        self.assertApproximates(sum(found), 200, 1)
        self.assertApproximates(found[0], 100, 1)

    def test_queue(self) -> None:
        """The limit of the queue counts for all; what finds it full is dropped, and noted."""
        queue = Fault(Bandwidth(100_000.0, queue=10_000.0, scope="proxy"), "rate")
        one, other = self.links(queue)
        for _ in range(20):
            one.send(bytes(1000), 0.0)
            other.send(bytes(1000), 0.0)
        entries = self.journal.entries
        self.assertEqual(len(entries), 30)
        self.assertEqual((entries[-1].place.fault, entries[-1].unit), ("rate", 19))
        self.assertEqual(other.touched, [(queue, DROP)])
        found = [len(arrivals) for arrivals in self.wait([one, other], 9.0)]
        self.assertEqual(found, [5, 5])

    def test_order(self) -> None:
        """It adds to delays, keeps order, and later faults see units when they come to them."""
        late, hole = Fault(Latency(0.5), "late"), Fault(Blackhole(), "hole", after=0.025)
        (link,) = self.links(late, SHARED, hole, number=1)
        for number in range(4):
            link.send(b"%d" % number + bytes(999), 0.0, tag=number)
        self.assertEqual([fault.name for fault, _ in link.touched], ["late", "rate"])
        self.assertEqual(all_told(link.touched[1:]), "held back by rate, rate=100, scope=proxy")
        (found,) = self.wait([link], 2.0)
        self.assertEqual([(round(one.at, 9), one.tag) for one in found], [(0.51, 0), (0.52, 1)])

    def test_told(self) -> None:
        """What has waited says for how long; what has not was not touched."""
        (link,) = self.links(SHARED, number=1)
        link.send(bytes(1000), 1.0)
        (arrival,) = link.tick(1.5)
        self.assertEqual(arrival.at, 1.01)
        self.assertEqual(all_told(arrival.touches), "delayed 10 ms by rate, rate=100, scope=proxy")
        (arrival,) = link.send(b"", 2.0)
        self.assertEqual((arrival.at, arrival.touches, link.touched), (2.0, (), []))

    def test_late(self) -> None:
        """Nobody need ask in time: the next datagram finds all that is due before it."""
        (link,) = self.links(SHARED, number=1)
        for _ in range(5):
            link.send(bytes(1000), 0.0)
        found = link.send(b"", 0.035)
        self.assertEqual([round(one.at, 9) for one in found], [0.01, 0.02, 0.03])

    def test_schedule(self) -> None:
        """While it does not work, nothing waits."""
        fault = Fault(Bandwidth(1000.0, scope="client"), "rate", after=1.0, duration=1.0)
        (link,) = self.links(fault, number=1)
        self.assertEqual([len(link.send(b"x", now)) for now in (0.5, 1.5, 2.5)], [1, 0, 2])

    def test_update(self) -> None:
        """What waits at a fault that is gone goes on to the next at once; at one that stays not."""
        (link,) = self.links(SHARED, number=1)
        link.send(bytes(5000), 0.0)
        more = Fault(Latency(1.0), "late")
        self.assertEqual(link.update([SHARED, more], 0.01), [])
        ((arrival,),) = [link.update([more], 0.02)]
        self.assertEqual((arrival.at, len(arrival.data)), (1.02, 5000))

    def test_release(self) -> None:
        """What waits for its turn can be had at once; what is held back is gone then."""
        one, other = self.links(SHARED, Fault(Reorder(1.0, 3), "reorder"))
        one.send(b"held", 0.0)
        one.tick(0.01)
        self.assertEqual(one.release(0.5), [])
        (one, other) = self.links(SHARED, LATENCY)
        for number in range(3):
            one.send(b"%d" % number + bytes(999), 0.0)
        found = one.release(0.015)
        self.assertEqual(sorted(arrival.data[:1] for arrival in found), [b"0", b"1", b"2"])
        self.assertEqual((one.deadline(), one.send(b"x", 1.0)[0].at), (None, 1.0))
        other.send(bytes(1000), 0.015)
        self.assertEqual(other.deadline(), 0.025)

    def test_close(self) -> None:
        """One that is closed blocks nobody."""
        one, other = self.links(SHARED)
        one.send(bytes(60_000), 0.0)
        one.close()
        self.assertEqual((one.deadline(), one.memory), (None, 0))
        other.send(bytes(1000), 0.0)
        self.assertEqual(other.deadline(), 0.01)

    def test_nobody_to_share_it(self) -> None:
        """It is refused where there is no one else; what there was goes on."""
        self.assertRaises(LocalError, self.make, SHARED)
        link = self.make(REORDER)
        self.assertRaises(LocalError, link.update, [SHARED], 1.0)


class DecisionTests(LinkCase):
    """What decisions depend on, and that they can be made again."""

    def test_same_seed(self) -> None:
        """One seed does the same again, another something else."""
        found = self.run_link(self.make(*ALL))
        self.assertEqual(self.run_link(self.make(*ALL)), found)
        self.assertNotEqual(self.run_link(self.make(*ALL, seed=8)), found)

    def test_one_fault_more(self) -> None:
        """A fault that changes nothing by itself changes no decision of the others."""
        found = self.run_link(self.make(*ALL))
        journal = self.journal
        for place in range(len(ALL) + 1):
            more = [*ALL[:place], Fault(Noop(), "noop"), *ALL[place:]]
            self.assertEqual(self.run_link(self.make(*more)), found)
            self.assertEqual(self.journal, journal)

    def test_loss_whatever_else(self) -> None:
        """What loss drops is the same with delay and corruption before it."""

        def dropped(*faults: Fault) -> list[int]:
            """The units that were lost."""
            self.run_link(self.make(*faults))
            return [entry.unit for entry in self.journal.entries if entry.place.fault == "loss"]

        found = dropped(LOSS)
        self.assertGreater(len(found), 50)
        self.assertEqual(dropped(LATENCY, LOSS, REORDER), found)
        self.assertEqual(dropped(Fault(Corrupt(0.5), "corrupt"), LOSS), found)

    @settings(deadline=None)
    @given(st.integers(0, 1000), st.lists(st.sampled_from(ALL), unique=True))
    def test_replay(self, seed: int, faults: list[Fault]) -> None:
        """A journal, written and read, gives the same arrivals without dice."""
        found = self.run_link(self.make(*faults, seed=seed), 60)
        recorded = Journal.read(list(self.journal.lines()))
        again = Journal()
        link = DatagramLink(faults, Replay.of(recorded), HERE, journal=again)
        self.assertEqual(self.run_link(link, 60), found)
        self.assertEqual(again, recorded)

    def test_journal_has_what_is_not_delivered(self) -> None:
        """Every decision is there, but no delay that follows from sizes and times alone."""
        rate, late = Fault(Bandwidth(1000.0, packets=1), "rate"), Fault(Latency(0.5), "late")
        link = self.make(late, rate)
        for _ in range(3):
            link.send(b"x" * 100, 0.0)
        self.assertEqual([entry.unit for entry in self.journal.entries], [1, 2])
        self.assertEqual({entry.verdict.kind for entry in self.journal.entries}, {"drop"})
        self.assertEqual([fault.name for fault, _ in link.touched], ["late", "rate"])

    @settings(deadline=None)
    @given(st.integers(0, 10**6))
    def test_nothing_out_of_nothing(self, seed: int) -> None:
        """Without loss, duplicates and corruption, what was sent arrives, each once."""
        faults = (LATENCY, REORDER, Fault(Reorder(0.5, 7), "more"))
        found = self.run_link(self.make(*faults, seed=seed), 50)
        self.assertEqual(
            sorted(arrival.data for arrival in found), [b"%010d" % n for n in range(50)]
        )

    def test_no_journal(self) -> None:
        """Without one, a link decides alike and keeps nothing: its memory does not grow."""
        link = DatagramLink([Fault(Loss(1.0), "loss")], Dice(7), HERE)

        def send(count: int) -> int:
            """Have so many datagrams dropped; how much memory that took, in bytes."""
            tracemalloc.start()
            for _ in range(count):
                link.send(b"a", 0.0)
            size = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
            return size

        send(10)
        self.assertLess(send(1000), 10_000)
