"""Faults on streams, one behind the other."""

import math
import tracemalloc
from collections.abc import Iterable
from typing import Any

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
    Settings,
)
from lab.faults.fault import Fault
from lab.faults.journal import Dice, Journal, Place, Replay
from lab.faults.pipe import StreamLink
from lab.faults.sharing import Buckets
from lab.faults.streams import (
    CLOSE,
    END,
    RESET,
    Cut,
    Item,
    LimitData,
    PacketLoss,
    Partition,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
)
from lab.faults.verdicts import DROP, Verdict
from lab.faults.words import told
from tests.faults.turns import in_time

HERE = Place("a-b")
DATA = bytes(range(256)) * 20

#: Faults that lose no byte.
SAFE: list[Settings] = [
    Latency(0.02), Latency(0.01, 0.05), Latency(0.0, 1.0, "pareto", 0.5), Bandwidth(5000.0),
    Bandwidth(700.0, burst=1000.0), SlowClose(0.7), Slicer(100, 30, 0.001), Slicer(), Noop(),
    Slicer(-5, 40, -1.0), Loss(0.4), Loss(every=2), Loss(p=0.2, r=0.5), LimitData(10**9),
    Corrupt(0.0), PacketLoss(0.0), Partition(), ResetPeer(5000.0), Bandwidth(0.0), Cut(0.0),
]  # fmt: skip
#: Of these, those that hold everything while they work; they have to stop.
HOLDING = (Partition(), ResetPeer(5000.0), Bandwidth(0.0))
BAD: list[Settings] = [
    Blackhole(), Corrupt(0.5, 3), PacketLoss(0.3, 0.3), LimitData(700), Timeout(0.3), Timeout(),
    ResetPeer(0.2), ResetPeer(0.4, idle=True), Cut(0.002), Cut(1.0),
]  # fmt: skip

TIMES = st.sampled_from([0.0, 0.05, 0.1, 0.25, 0.5, 1.0]) | st.floats(0, 1)


@st.composite
def faults_of(draw: Any, kinds: list[Settings]) -> list[Fault]:
    """Some faults, each always at work, for a time, or again and again."""
    found = []
    for number, kind in enumerate(draw(st.lists(st.sampled_from(kinds), max_size=4))):
        after = draw(TIMES)
        duration = draw(st.sampled_from([0.0, 0.1, 0.5]))
        every = draw(st.sampled_from([0.0, 0.7, 1.0]))
        # What comes back for ever, and holds, may hold for very long what is cut in many pieces.
        times = {"after": after, "duration": duration, "every": every}
        if kind in HOLDING:
            times["every"] = 0.0
        elif draw(st.booleans()):
            times = {}
        found.append(Fault(kind, f"{number}", **times))
    return found


#: Chunks, each so long after the one before.
CHUNKS = st.lists(st.tuples(TIMES, st.integers(0, 3000)), max_size=8)
Outcome = list[tuple[float, Item]]


def chunks_of(plan: Iterable[tuple[float, int]]) -> Iterable[tuple[float, bytes]]:
    """When, and which bytes."""
    now = 0.0
    for number, (wait, size) in enumerate(plan):
        now += wait
        yield now, (DATA[number:] + DATA)[:size]


def joined(items: Iterable[Item]) -> bytes:
    """All bytes."""
    return b"".join(item for item in items if isinstance(item, bytes))


class PipeCase(SynchronousTestCase):
    """A test case with a journal."""

    def make(self, *faults: Fault, seed: int = 7, now: float = 0.0) -> StreamLink:
        """A link with these faults."""
        self.journal = Journal()
        return StreamLink(faults, Dice(seed), HERE, journal=self.journal, now=now)

    def one(self, kind: Settings, **times: float) -> StreamLink:
        """A link with one fault."""
        return self.make(Fault(kind, "it", **times))

    def until(self, link: StreamLink, now: float) -> Outcome:
        """What goes out until then, and when."""
        found: Outcome = [(-math.inf, item) for item in link.outgoing()]
        while (due := link.deadline()) is not None and due <= now:
            link.tick(due)
            found += [(due, item) for item in link.outgoing()]
        link.tick(now)
        return found + [(now, item) for item in link.outgoing()]

    def play(self, link: StreamLink, plan: Iterable[tuple[float, int]], last: float) -> Outcome:
        """Feed, end, and wait; what goes out, and when."""
        found: Outcome = []
        now = 0.0
        for now, data in chunks_of(plan):
            found += self.until(link, now)
            link.feed(data, now)
            found += [(now, item) for item in link.outgoing()]
        link.end(now)
        found += [(now, item) for item in link.outgoing()]
        return found + self.until(link, last)


class OrderTests(PipeCase):
    """What holds whatever is wrong."""

    @settings(deadline=None)
    @given(faults_of(SAFE), CHUNKS, st.integers(0, 99))
    def test_what_goes_in_comes_out(
        self, faults: list[Fault], plan: list[tuple[float, int]], seed: int
    ) -> None:
        """Without faults that drop, the same bytes in the same order, then the end."""
        link = self.make(*faults, seed=seed)
        found = self.play(link, plan, 4000.0)
        self.assertEqual(joined(item for _, item in found), joined(b for _, b in chunks_of(plan)))
        self.assertEqual([item for _, item in found if not isinstance(item, bytes)], [END])
        self.assertIs(found[-1][1], END)
        self.assertEqual([at for at, _ in found], sorted(at for at, _ in found))
        self.assertEqual(link.buffered, 0)

    @settings(deadline=None)
    @given(faults_of(SAFE), CHUNKS, TIMES)
    def test_flush(self, faults: list[Fault], plan: list[tuple[float, int]], wait: float) -> None:
        """A flush lets out at once all that is inside, in order."""
        link = self.make(*faults)
        now = 0.0
        for now, data in chunks_of(plan):
            link.feed(data, now)
        link.end(now)
        link.flush(now + wait)
        found = link.outgoing()
        self.assertEqual(joined(found), joined(b for _, b in chunks_of(plan)))
        self.assertIs(found[-1], END)
        self.assertEqual((link.buffered, link.outgoing()), (0, []))

    @settings(deadline=None)
    @given(faults_of(SAFE), faults_of(SAFE), CHUNKS)
    def test_update(
        self, faults: list[Fault], others: list[Fault], plan: list[tuple[float, int]]
    ) -> None:
        """Other faults on the way lose nothing and keep order."""
        link = self.make(*faults)
        chunks = list(chunks_of(plan))
        found: list[Item] = []
        for number, (now, data) in enumerate(chunks):
            link.feed(data, now)
            if number % 2:
                link.update(others if number % 4 == 1 else faults[::-1], now)
            found += link.outgoing()
        link.end(9.0)
        link.flush(9.0)
        found += link.outgoing()
        self.assertEqual(joined(found), joined(data for _, data in chunks))
        self.assertIs(found[-1], END)

    @settings(deadline=None)
    @given(faults_of(SAFE + BAD), CHUNKS, st.lists(st.floats(0, 10), max_size=20))
    def test_ticks_make_no_difference(
        self, faults: list[Fault], plan: list[tuple[float, int]], ticks: list[float]
    ) -> None:
        """Ticked at every deadline, at any times, or once at the end: the same in that order."""
        exact = [item for _, item in self.play(self.make(*faults), plan, 40.0)]
        journal = self.journal
        link = self.make(*faults)
        events: list[tuple[float, int, bytes | None]] = [
            (at, n, data) for n, (at, data) in enumerate(chunks_of(plan))
        ]
        last = events[-1][0] if events else 0.0
        events += [(at, -1, None) for at in ticks if at <= last]
        found: list[Item] = []
        for at, _, data in sorted(events, key=lambda event: event[:2]):
            link.tick(at) if data is None else link.feed(data, at)
            found += link.outgoing()
        link.end(last)
        for at in sorted(at for at in ticks if at > last):
            link.tick(at)
        link.tick(40.0)
        self.assertEqual(found + link.outgoing(), exact)
        self.assertEqual(self.journal, journal)

    @settings(deadline=None)
    @given(faults_of(SAFE + BAD), CHUNKS, st.integers(0, 99))
    def test_replay(self, faults: list[Fault], plan: list[tuple[float, int]], seed: int) -> None:
        """A journal, written and read, gives the same without dice."""
        found = self.play(self.make(*faults, seed=seed), plan, 40.0)
        recorded = Journal.read(list(self.journal.lines()))
        again = Journal()
        link = StreamLink(faults, Replay.of(recorded), HERE, journal=again)
        self.assertEqual(self.play(link, plan, 40.0), found)
        self.assertEqual(again, recorded)

    @settings(deadline=None)
    @given(faults_of(SAFE + BAD), CHUNKS)
    def test_nothing_after_the_last(
        self, faults: list[Fault], plan: list[tuple[float, int]]
    ) -> None:
        """A close or a reset is the last that goes out, and nothing is inside any more."""
        link = self.make(*faults)
        items = [item for _, item in self.play(link, plan, 40.0)]
        if CLOSE in items or RESET in items:
            self.assertIn(items[-1], (CLOSE, RESET))
            self.assertEqual(sum(item in (CLOSE, RESET) for item in items), 1)
            link.feed(b"more", 50.0)
            link.end(50.0)
            link.flush(60.0)
            link.update(faults, 60.0)
            self.assertEqual((link.outgoing(), link.buffered), ([], 0))
            self.assertIsNone(link.deadline())


class LinkTests(PipeCase):
    """One direction of one connection."""

    def test_nothing_wrong(self) -> None:
        """Without faults all goes out at once; what is empty is no chunk."""
        link = self.make()
        link.feed(b"", 0.5)
        link.feed(b"ab", 1.0)
        self.assertEqual(link.buffered, 2)
        link.feed(b"c", 1.0)
        link.end(2.0)
        self.assertEqual(link.outgoing(), [b"ab", b"c", END])
        self.assertEqual((link.buffered, link.deadline(), link.outgoing()), (0, None, []))

    def test_after_the_end(self) -> None:
        """There is one end, and nothing behind it."""
        link = self.make()
        link.end(1.0)
        link.feed(b"abc", 2.0)
        link.end(3.0)
        self.assertEqual(link.outgoing(), [END])

    def test_stages_see_items_when_they_come(self) -> None:
        """A rate behind a delay begins when the first bytes have come through the delay."""
        link = self.make(Fault(Latency(0.5), "late"), Fault(Bandwidth(10_000.0), "rate"))
        link.feed(bytes(1500), 1.0)
        link.end(1.0)
        found = self.until(link, 9.0)
        self.assertEqual(
            [len(item) for _, item in found[:2] if isinstance(item, bytes)], [1000, 500]
        )
        for (at, _), expected in zip(found, (1.6, 1.65, 1.65), strict=True):
            self.assertAlmostEqual(at, expected)

    def test_late_tick(self) -> None:
        """Somebody who ticks too late gets all that should have gone out, by its own time."""
        link = self.make(Fault(Latency(0.5), "late"), Fault(Blackhole(), "hole", after=1.0))
        link.feed(b"a", 0.25)
        link.feed(b"b", 0.5)
        link.tick(100.0)
        self.assertEqual(link.outgoing(), [b"a"])

    def test_time_never_goes_back(self) -> None:
        """A clock that is behind changes nothing."""
        link = self.one(Latency(0.5))
        link.tick(2.0)
        link.feed(b"a", 1.0)
        self.assertEqual(link.deadline(), 2.5)

    def test_order_is_kept(self) -> None:
        """What would be earlier than what is before it waits for that."""
        link = self.one(Latency(0.5), duration=0.25)
        link.feed(b"a", 0.125)
        link.feed(b"b", 0.375)
        self.assertEqual(self.until(link, 9.0)[:2], [(0.625, b"a"), (0.625, b"b")])

    def test_what_waited_comes_later(self) -> None:
        """The next fault sees what had to wait for what is before it when that has gone on."""
        late, hole = (
            Fault(Latency(0.5), "late", duration=0.25),
            Fault(Blackhole(), "hole", after=0.5),
        )
        link = self.make(late, hole)
        link.feed(b"a", 0.125)
        link.feed(b"b", 0.375)
        self.assertEqual(self.until(link, 9.0), [])
        self.assertEqual([entry.at for entry in self.journal.entries], [0.625, 0.625])

    def test_after_a_close(self) -> None:
        """What comes after a close is passed over, and is not inside."""
        link = self.one(LimitData(3))
        link.feed(b"abc", 1.0)
        link.feed(b"def", 1.0)
        link.end(2.0)
        self.assertEqual((link.outgoing(), link.buffered), ([b"abc", CLOSE], 0))

    def test_cut(self) -> None:
        """A cut lets pass what was before it, later faults and all, and is in the journal."""
        link = self.make(Fault(Cut(0.2), "cut"), Fault(Latency(0.5), "late"))
        for n in range(50):
            link.feed(b"abcd", float(n))
        found = self.until(link, 60.0)
        (entry,) = self.journal.entries
        assert entry.verdict.cut is not None
        passed = b"".join(item for _, item in found if isinstance(item, bytes))
        self.assertEqual(len(passed), 4 * entry.unit + entry.verdict.cut)
        self.assertIs(found[-1][1], RESET)

    def test_after_a_reset_that_waits(self) -> None:
        """A reset that has not gone out yet is the last, too: nothing gathers behind it."""
        link = self.make(Fault(ResetPeer(0.5), "reset"), Fault(Partition(), "cut", duration=2.0))
        link.feed(b"abc", 0.0)
        link.feed(b"def", 1.0)
        self.assertEqual(link.buffered, 0)
        self.assertEqual(self.until(link, 3.0), [(2.0, RESET)])

    def test_schedule(self) -> None:
        """A fault touches nothing while it does not work; times count from the link's begin."""
        fault = Fault(Blackhole(), "hole", after=1.0, duration=1.0)
        link = self.make(fault, now=100.0)
        for n, now in enumerate((100.0, 100.9, 101.0, 101.9, 102.0)):
            link.feed(b"%d" % n, now)
        self.assertEqual(link.outgoing(), [b"0", b"1", b"4"])
        self.assertEqual([entry.unit for entry in self.journal.entries], [0, 1])

    def test_outage(self) -> None:
        """Segments that are lost for 1 s arrive with the first that is sent again after it."""
        link = self.one(Loss(1.0), duration=1.0)
        link.feed(b"a", 0.0)
        link.feed(b"b", 1.0)
        self.assertEqual(link.buffered, 2)
        [first, second] = self.until(link, 9.0)
        self.assertEqual((first[1], second[1]), (b"a", b"b"))
        self.assertAlmostEqual(first[0], 1.4)
        self.assertEqual([entry.unit for entry in self.journal.entries], [0, 1, 2])

    def test_toxicity(self) -> None:
        """On some connections it works, on others it does not."""
        half = Fault(Blackhole(), "hole", toxicity=0.5)
        found = set()
        for number in range(50):
            link = StreamLink([half], Dice(7), Place("a", number))
            link.feed(b"x", 0.0)
            found.add(bool(link.outgoing()))
        self.assertEqual(found, {True, False})

    def test_refused(self) -> None:
        """Two faults of one name, and one that would break the order of a stream."""
        noop = Fault(Noop(), "noop")
        error = self.assertRaises(LocalError, self.make, noop, noop)
        self.assertEqual(str(error), "two faults of a-b are named 'noop'; give two names")
        error = self.assertRaises(LocalError, self.make, Fault(Duplicate(), "twice"))
        text = "fault of a stream is Duplicate(probability=0.0, copies=1); give one of Bandwidth, "
        self.assertTrue(str(error).startswith(text), str(error))

    def test_journal(self) -> None:
        """Decisions are there by the number of the chunk, but nothing that was not drawn."""
        link = self.make(Fault(Latency(0.5), "late"), Fault(Loss(every=2), "loss"))
        for _ in range(4):
            link.feed(b"x", 0.0)
        link.tick(0.5)
        self.assertEqual(
            [(entry.place.fault, entry.unit, entry.at) for entry in self.journal.entries],
            [("loss", 1, 0.5), ("loss", 3, 0.5)],
        )

    def test_close_goes_through_what_is_behind(self) -> None:
        """A close is in order: a delay of the end delays it, a rate lets bytes before it pass."""
        link = self.make(Fault(LimitData(3), "limit"), Fault(SlowClose(0.5), "slow"))
        link.feed(b"abcde", 1.0)
        link.feed(b"fgh", 1.1)
        self.assertEqual(link.outgoing(), [b"abc"])
        self.assertEqual(self.until(link, 2.0), [(1.5, CLOSE)])

    def test_reset_waits_for_nothing(self) -> None:
        """What is held at the fault that resets is gone."""
        link = self.one(ResetPeer(0.5))
        link.feed(b"abc", 1.0)
        self.assertEqual((link.buffered, link.deadline()), (3, 1.5))
        self.assertEqual(self.until(link, 2.0), [(1.5, RESET)])
        self.assertEqual(link.buffered, 0)

    def test_reset_of_what_is_closed(self) -> None:
        """A close that is held by the fault that resets keeps that from nothing."""
        link = self.make(Fault(LimitData(3), "limit"), Fault(ResetPeer(0.5), "reset"))
        link.feed(b"abcde", 1.0)
        self.assertEqual(self.until(link, 2.0), [(1.5, RESET)])
        self.assertEqual((link.buffered, link.deadline()), (0, None))

    def test_flush_of_a_rate(self) -> None:
        """What has been flushed is not owed: the next bytes have the whole rate."""
        link = self.one(Bandwidth(1000.0))
        link.feed(bytes(10_000), 0.0)
        link.flush(1.0)
        self.assertEqual(sum(map(len, link.outgoing())), 10_000)  # type: ignore[arg-type]
        link.feed(bytes(50), 1.0)
        self.assertEqual(link.deadline(), 1.05)

    def test_flush_with_a_close_inside(self) -> None:
        """Behind a close nothing comes out, whatever else was inside."""
        link = self.make(
            Fault(Latency(5.0), "later", duration=2.0),
            Fault(LimitData(3), "limit"),
            Fault(Latency(1.0), "late"),
            Fault(SlowClose(9.0), "slow"),
        )
        link.feed(b"abc", 0.0)
        link.feed(b"def", 1.0)
        link.tick(5.5)
        link.flush(5.5)
        self.assertEqual(link.outgoing(), [b"abc", CLOSE])
        self.assertEqual((link.buffered, link.deadline()), (0, None))


class UpdateTests(PipeCase):
    """Other faults on a connection that is open."""

    def test_removed(self) -> None:
        """What waits at a fault that is gone goes on at once, to the next."""
        late, rate = Fault(Latency(5.0), "late"), Fault(Bandwidth(1000.0), "rate")
        link = self.make(late, rate)
        link.feed(bytes(50), 0.0)
        link.update([rate], 1.0)
        self.assertEqual((link.outgoing(), link.deadline()), ([], 1.05))
        link.update([], 1.0)
        self.assertEqual((link.outgoing(), link.deadline()), ([bytes(50)], None))

    def test_same(self) -> None:
        """A fault that is as before goes on, and so does what waits there."""
        late = Fault(Latency(5.0), "late")
        link = self.make(late)
        link.feed(b"a", 0.0)
        link.update([late, Fault(Noop(), "noop")], 1.0)
        self.assertEqual(link.deadline(), 5.0)

    def test_moved(self) -> None:
        """Two faults that change places let go of what they hold: bytes keep their order."""
        late, later = Fault(Latency(5.0), "late"), Fault(Latency(6.0), "later")
        link = self.make(late, later)
        link.feed(b"a", 0.0)
        link.feed(b"b", 5.0)
        link.update([later, late], 7.0)
        self.assertEqual(link.outgoing(), [b"a", b"b"])
        link.feed(b"c", 8.0)
        self.assertEqual(link.deadline(), 14.0)

    def test_limit_goes_on(self) -> None:
        """The count of a limit survives: 7 bytes over the whole connection."""
        link = self.one(LimitData(100))
        link.feed(b"abcd", 0.0)
        link.update([Fault(LimitData(7), "it")], 1.0)
        link.feed(b"efghi", 2.0)
        self.assertEqual(link.outgoing(), [b"abcd", b"efg", CLOSE])

    def test_limit_after_something_else(self) -> None:
        """A limit that takes the name of another fault begins at 0."""
        link = self.one(Noop())
        link.feed(b"abcd", 0.0)
        link.update([Fault(LimitData(3), "it")], 1.0)
        link.feed(b"efgh", 2.0)
        self.assertEqual(link.outgoing(), [b"abcd", b"efg", CLOSE])

    def test_timeout_gone(self) -> None:
        """Bytes were dropped: the connection can only be closed. A change is no going."""
        link = self.one(Timeout(5.0))
        link.feed(b"abcd", 0.0)
        link.update([Fault(Timeout(7.0), "it")], 1.0)
        self.assertEqual((link.outgoing(), link.deadline()), ([], 8.0))
        link.update([Fault(Noop(), "noop")], 2.0)
        self.assertEqual(link.outgoing(), [CLOSE])

    def test_refused(self) -> None:
        """What can't be changes nothing."""
        late = Fault(Latency(5.0), "late")
        link = self.make(late)
        link.feed(b"a", 0.0)
        self.assertRaises(LocalError, link.update, [late, late], 1.0)
        self.assertEqual((link.outgoing(), link.deadline()), ([], 5.0))

    def test_toxicity(self) -> None:
        """What does not work on this connection does not after an update either."""
        never = Fault(Blackhole(), "hole", toxicity=0.0)
        link = self.make(never)
        link.update([never, Fault(Noop(), "noop")], 1.0)
        link.feed(b"a", 1.0)
        self.assertEqual(link.outgoing(), [b"a"])

    def test_journal(self) -> None:
        """A fault that begins anew has a name of its own there, and is replayed as it was."""

        def run(link: StreamLink) -> list[Item]:
            for number in range(40):
                if number == 20:
                    link.update([Fault(PacketLoss(0.6), "it")], 20.0)
                link.feed(b"%d," % number, float(number))
            return link.outgoing()

        found = run(self.one(PacketLoss(0.3)))
        self.assertEqual({entry.place.fault for entry in self.journal.entries}, {"it", "it#2"})
        faults = [Fault(PacketLoss(0.3), "it")]
        self.assertEqual(run(StreamLink(faults, Replay.of(self.journal), HERE)), found)


class SharedTests(PipeCase):
    """A rate that links have together."""

    def links(self, number: int, *more: Fault, rate: float = 100_000.0) -> list[StreamLink]:
        """So many links at one bucket."""
        self.buckets = Buckets()
        faults = [Fault(Bandwidth(rate, scope="proxy"), "rate"), *more]
        return [
            StreamLink(faults, Dice(7), Place("a-b", number), share=self.buckets.lane)
            for number in range(number)
        ]

    def sent(self, links: list[StreamLink], until: float) -> list[int]:
        """How many bytes each lets out by then."""
        found = [len(joined(link.outgoing())) for link in links]
        for at, number in in_time(links, until):
            links[number].tick(at)
            found[number] += len(joined(links[number].outgoing()))
        return found

    def test_half_each(self) -> None:
        """Two that are full have half each, and the rate together, whoever was there first."""
        for rate in (10_000.0, 100_000.0, 5_000_000.0):
            links = self.links(2, rate=rate)
            for link in links:
                for _ in range(100):
                    link.feed(bytes(200_000), 0.0)
            one, other = self.sent(links, 2.0)
            self.assertApproximates(one + other, 2 * rate, 0.01 * 2 * rate)
            self.assertApproximates(one / (one + other), 0.5, 0.01)

    def test_one_that_was_fed_first(self) -> None:
        """Ten that come when one has a megabyte inside have as much as that one from then on."""
        first, *later = self.links(11)
        first.feed(bytes(2**20), 0.0)
        self.assertApproximates(self.sent([first], 1.0)[0], 100_000, 1000)
        for link in later:
            link.feed(bytes(100_000), 1.0)
        for size in self.sent([first, *later], 3.2):
            self.assertApproximates(size, 20_000, 1000)

    def test_late(self) -> None:
        """What is ticked late has lost nothing, and keeps its order."""
        (link,) = self.links(1)
        data = DATA * 40
        link.feed(data, 0.0)
        link.end(0.0)
        link.tick(1.5)
        out = link.outgoing()
        self.assertApproximates(len(joined(out)), 150_000, 1000)
        link.tick(10.0)
        out += link.outgoing()
        self.assertEqual((joined(out), out[-1]), (data, END))

    def test_who_is_gone(self) -> None:
        """One that is closed, reset, or has other faults, blocks nobody."""
        reset = Fault(ResetPeer(0.0, idle=True), "reset", after=0.005)
        for way in ("close", "reset", "update"):
            links = self.links(101, *([reset] if way == "reset" else []))
            for link in links[:-1]:
                link.feed(bytes(50_000), 0.0)
            for link in links[:-1]:
                if way == "close":
                    link.close()
                    self.assertEqual((link.buffered, link.deadline()), (0, None))
                elif way == "reset":
                    link.tick(0.005)
                    self.assertEqual(link.outgoing(), [RESET])
                else:
                    link.update([], 0.005)
                    self.assertEqual(len(joined(link.outgoing())), 50_000)
            last = links[-1]
            if way == "reset":
                last = StreamLink(
                    [Fault(Bandwidth(100_000.0, scope="proxy"), "rate")],
                    Dice(7),
                    HERE,
                    share=self.buckets.lane,
                )
            last.feed(bytes(10_000), 0.005)
            self.assertEqual(self.sent([last], 0.12), [10_000])

    def test_flush(self) -> None:
        """What is let out at once is all there, in order."""
        (link,) = self.links(1)
        link.feed(DATA, 0.0)
        link.flush(0.01)
        self.assertEqual(joined(link.outgoing()), DATA)

    def test_nobody_to_share_it(self) -> None:
        """It is refused where there is no one else; what there was goes on."""
        shared = Fault(Bandwidth(1.0, scope="client"), "it")
        self.assertRaises(LocalError, self.make, shared)
        link = self.one(Latency(1.0))
        link.feed(b"abc", 0.0)
        self.assertRaises(LocalError, link.update, [shared], 0.5)
        self.assertEqual(link.deadline(), 1.0)


class MemoryTests(SynchronousTestCase):
    """What is inside."""

    def test_pieces(self) -> None:
        """Small pieces take more than they hold, and that is counted: about as much as is taken."""
        for inside, size in [
            (Slicer(1, 0, 0.001), 20_000), (Latency(1.0), 1), (Loss(1.0), 1), (Partition(), 1000),
        ]:  # fmt: skip
            link = StreamLink([Fault(inside, "it")], Dice(7), HERE)
            tracemalloc.start()
            while link.buffered < 20_000:
                link.feed(bytes(size), 0.0)
            taken = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
            self.assertEqual(link.buffered, 20_000)
            self.assertTrue(taken / 4 < link.memory < 2 * taken, (inside, taken, link.memory))
            link.flush(0.0)
            link.outgoing()
            self.assertEqual((link.buffered, link.memory), (0, 0))


class WithoutJournalTests(SynchronousTestCase):
    """A link that nobody writes down."""

    def test_keeps_nothing(self) -> None:
        """However many verdicts there are, its memory does not grow."""
        link = StreamLink([Fault(PacketLoss(1.0), "loss")], Dice(7), HERE)

        def feed(count: int) -> int:
            """Have so many chunks dropped; how much memory that took, in bytes."""
            tracemalloc.start()
            for _ in range(count):
                link.feed(b"a", 0.0)
            size = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
            return size

        feed(10)
        self.assertLess(feed(1000), 10_000)

    def test_clear(self) -> None:
        """A link has faults, or none that work on this connection."""
        link = StreamLink([Fault(Noop(), "noop")], Dice(7), HERE)
        self.assertFalse(link.clear)
        link.update([Fault(Noop(), "never", toxicity=0.0)], 1.0)
        self.assertTrue(link.clear)


class Watcher:
    """Notes what it is told."""

    traces = False

    def __init__(self) -> None:
        self.seen: list[tuple[object, ...]] = []

    def judged(self, fault: Fault, done: Verdict | str, start: int, size: int) -> None:
        """A fault has done something."""
        self.seen.append((fault.name, told(fault, done), start, size))

    def ended(self, fault: Fault) -> None:
        """A fault has ended it."""
        self.seen.append((fault.name, "ended"))


class Tracer(Watcher):
    """One that wants to know of each byte."""

    traces = True


class WatchTests(SynchronousTestCase):
    """What a capture is told."""

    def watch(self, *faults: Fault) -> Watcher:
        """What is told of two chunks."""
        watcher = Watcher()
        link = StreamLink(faults, Dice(7), HERE, watch=watcher, share=Buckets().lane)
        link.feed(b"abcd", 0.0)
        link.feed(b"efghij", 1.0)
        link.end(2.0)
        while (due := link.deadline()) is not None:
            link.tick(due)
        return watcher

    def test_judged(self) -> None:
        """Each verdict, with the place of its bytes; a loss judges them again."""
        found = self.watch(Fault(Loss(every=2), "loss")).seen
        expected = [
            ("loss", "", 0, 4),
            ("loss", "dropped by loss, every=2", 4, 6),
            ("loss", "", 4, 6),
        ]
        self.assertEqual(found, expected)

    def test_unjudged(self) -> None:
        """What faults do without deciding: let pass, hold back, drop, end."""
        found = self.watch(Fault(Bandwidth(1e9), "fast"), Fault(LimitData(7), "limit")).seen
        expected = [
            ("fast", "held back by fast, rate=1000000", 0, 4),
            ("fast", "held back by fast, rate=1000000", 4, 6),
            ("limit", "ended"),
            ("limit", "dropped by limit, bytes=7", 7, 3),
        ]
        self.assertEqual(found, expected)
        found = self.watch(Fault(Partition(), "cut", duration=0.5)).seen
        self.assertEqual(found, [("cut", "held back by cut", 0, 4)])
        self.assertEqual(self.watch(Fault(Bandwidth(100.0, burst=1000.0), "rate")).seen, [])
        shared = Fault(Bandwidth(1e6, scope="proxy"), "all")
        told = "held back by all, rate=1000, scope=proxy"
        self.assertEqual(self.watch(shared).seen, [("all", told, 0, 4), ("all", told, 4, 6)])

    def test_the_end(self) -> None:
        """The end of a stream has no bytes; it can be held back and dropped."""
        found = self.watch(Fault(SlowClose(1.0), "slow")).seen
        self.assertEqual(found, [("slow", "held back by slow, delay=1000", 10, 0)])
        for silent in (Timeout(), Blackhole()):
            found = self.watch(Fault(silent, "silent")).seen
            self.assertEqual(found[-1], ("silent", "dropped by silent", 10, 0))

    def test_sliced(self) -> None:
        """A slicer says what it has cut, whether it drew for that or not."""
        for slicer in (Slicer(average_size=5), Slicer(average_size=4, size_variation=1)):
            seen = self.watch(Fault(slicer, "slicer")).seen
            sliced = [(start, size) for _, words, start, size in seen if words[:6] == "sliced"]
            self.assertEqual(sliced, [(4, 6)])

    def test_ended_by_time(self) -> None:
        """A stage that ends the connection when time has come says so."""
        found = self.watch(Fault(ResetPeer(0.5), "reset")).seen
        self.assertEqual(found[-1], ("reset", "ended"))


#: Faults that change no byte, so that each byte tells which it is.
TRACEABLE: list[Settings] = [
    Latency(0.05), Latency(0.0, 0.1), Bandwidth(50.0), Bandwidth(0.0), Slicer(3, 1, 0.01), Slicer(),
    Loss(0.3), PacketLoss(0.4), LimitData(60), Cut(0.02), Partition(), Timeout(0.5), Blackhole(),
    ResetPeer(0.3), SlowClose(0.2), Corrupt(0.0), Bandwidth(50.0, scope="proxy"),
]  # fmt: skip
TRACED = st.lists(st.sampled_from(TRACEABLE), max_size=4).map(
    lambda kinds: [Fault(kind, f"{number}") for number, kind in enumerate(kinds)]
)
SOMETIMES = st.sampled_from([{}, {}, {"after": 0.1, "duration": 0.3}])


class TraceTests(SynchronousTestCase):
    """Which bytes faults have touched, through all stages of a link."""

    def test_dropped(self) -> None:
        """What is dropped of a stream is not taken for what comes behind it."""
        link = StreamLink([Fault(LimitData(3), "limit")], Dice(7), Place("a-b"), watch=Tracer())
        link.feed(b"abcde", 0.0)
        spans = [(begin, end, done) for begin, end, (_, done) in link.chunk.touched]
        self.assertEqual(spans, [(3, 5, "dropped")])
        lossy = [Fault(PacketLoss(0.5), "loss"), Fault(Latency(1.0), "late")]
        link = StreamLink(lossy, Dice(7), Place("a-b"), watch=Tracer())
        lost = set()
        for number in range(10):
            link.feed(bytes([number]) * 3, 0.0)
            if "loss" in {fault.name for _, _, (fault, _) in link.chunk.touched}:
                lost.add(number)
        link.tick(1.0)
        self.assertEqual({item[0] for item in link.outgoing()} | lost, set(range(10)))
        names = [[fault.name for fault, _ in piece.touches] for piece in link.departed]
        self.assertEqual(names, [["late"]] * (10 - len(lost)))

    def test_behind_the_end(self) -> None:
        """What comes when a fault has closed the connection is dropped by that."""
        faults = [Fault(LimitData(3), "limit"), Fault(SlowClose(1.0), "slow")]
        link = StreamLink(faults, Dice(7), Place("a-b"), watch=Tracer())
        link.feed(b"abc", 0.0)
        link.feed(b"more", 0.0)
        self.assertEqual(link.chunk.touched, [(0, 4, (faults[0], "dropped"))])

    def test_end(self) -> None:
        """What was done to the end is known, and nothing unless somebody asks for all that."""
        for kind, done in (
            (SlowClose(1.0), "held back"),
            (Timeout(), "dropped"),
            (Blackhole(), DROP),
        ):
            fault = Fault(kind, "it")
            link = StreamLink([fault], Dice(7), Place("a-b"), watch=Tracer())
            link.end(0.0)
            self.assertEqual(link.end_touches, [(fault, done)])
            for watch in (None, Watcher()):
                link = StreamLink([fault], Dice(7), Place("a-b"), watch=watch)
                link.feed(b"abc", 0.0)
                link.end(0.0)
                self.assertEqual((link.chunk.touched, link.end_touches), ([], []))

    @settings(max_examples=200)
    @given(
        TRACED,
        st.lists(
            st.tuples(
                st.integers(1, 25), st.floats(0, 0.2), st.none() | st.none() | TRACED, SOMETIMES
            ),
            min_size=3,
            max_size=10,
        ),
        st.integers(0, 99),
    )
    def test_every_byte(
        self, first: list[Fault], steps: list[tuple[int, float, Any, Any]], seed: int
    ) -> None:
        """Whatever the faults are and become: each byte that leaves is the one its piece says."""
        share = Buckets().lane
        link = StreamLink(first, Dice(seed), Place("a-b"), watch=Tracer(), share=share)
        now, fed = 0.0, 0
        starts: list[tuple[Any, int]] = []
        for size, wait, faults, times in steps:
            if faults is not None:
                link.update([Fault(one.settings, one.name, **times) for one in faults], now)
            link.feed(bytes(range(fed, fed + size)), now)
            starts.append((link.chunk, fed))
            fed += size
            self.check(link, starts)
            now += wait
            while (due := link.deadline()) is not None and due <= now:
                link.tick(due)
                self.check(link, starts)
        link.flush(now)
        self.check(link, starts)

    def check(self, link: StreamLink, starts: list[tuple[Any, int]]) -> None:
        """What leaves is what is said to leave, and nobody has dropped it."""
        items = [item for item in link.outgoing() if isinstance(item, bytes)]
        self.assertEqual([len(item) for item in items], [piece.size for piece in link.departed])
        for item, piece in zip(items, link.departed, strict=True):
            start = next(start for chunk, start in starts if chunk is piece.chunk)
            first = start + piece.at
            self.assertEqual(item, bytes(range(first, first + piece.size)))
            for fault, done in piece.touches:
                dropped = done == "dropped" if isinstance(done, str) else done.kind == "drop"
                self.assertFalse(dropped and not isinstance(fault.settings, Loss), piece.touches)
            in_chunk = [
                touch for begin, end, touch in piece.chunk.touched if begin <= piece.at < end
            ]
            self.assertEqual([touch for touch in in_chunk if touch in piece.touches], in_chunk)
