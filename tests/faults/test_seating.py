"""How faults are put to work on links, recorded and replayed."""

from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.faults.datagrams import Latency, Loss, Settings
from lab.faults.fault import Fault
from lab.faults.journal import Dice, Entry, Journal, Place, Replay, Toxicity
from lab.faults.link import DatagramLink, Decisions
from lab.faults.pipe import StreamLink
from lab.faults.seating import Seating
from lab.faults.streams import LimitData, Timeout
from lab.faults.verdicts import DROP
from tests.faults.test_link import ALL
from tests.faults.test_pipe import BAD, SAFE

HERE = Place("a-b", 3, "upstream")
HALF = Fault(Loss(0.3), "loss", toxicity=0.5)


@st.composite
def phases(draw: Any, kinds: Sequence[Settings]) -> list[list[Fault]]:
    """
    Faults that change: of any toxicity, at work for a time or for ever.

    There are few names, so that they come back, as they were or with other settings.
    """
    found = []
    for _ in range(draw(st.integers(1, 4))):
        names = draw(st.lists(st.sampled_from("abc"), unique=True))
        found.append(
            [
                Fault(
                    draw(st.sampled_from(kinds)),
                    name,
                    toxicity=draw(st.sampled_from([0.0, 0.3, 0.7, 1.0])),
                    **draw(st.sampled_from([{}, {"after": 0.4}, {"duration": 0.3, "every": 0.5}])),
                )
                for name in names
            ]
        )
    return found


def datagrams(plan: list[list[Fault]], decisions: Decisions, journal: Journal) -> list[Any]:
    """What arrives, and when, of 15 datagrams with each of these settings."""
    link = DatagramLink(plan[0], decisions, HERE, journal=journal)
    found: list[Any] = []
    for number in range(15 * len(plan)):
        now = number / 16
        while (due := link.deadline()) is not None and due <= now:
            found += link.tick(due)
        if number % 15 == 0:
            found += link.update(plan[number // 15], now)
        found += link.send(b"%03d" % number, now)
    while (due := link.deadline()) is not None:
        found += link.tick(due)
    return found


def streams(plan: list[list[Fault]], decisions: Decisions, journal: Journal) -> list[Any]:
    """What goes out of 15 chunks with each of these settings, and when, for a minute."""
    link = StreamLink(plan[0], decisions, HERE, journal=journal)
    found: list[Any] = []

    def out(now: float) -> Iterator[Any]:
        """What goes out now."""
        for item in link.outgoing():
            yield now, item

    def until(now: float) -> None:
        """What goes out until then."""
        while (due := link.deadline()) is not None and due <= now:
            link.tick(due)
            found.extend(out(due))

    for number in range(15 * len(plan)):
        now = number / 16
        until(now)
        if number % 15 == 0:
            link.update(plan[number // 15], now)
        link.feed(b"%03d" % number * 9, now)
        found.extend(out(now))
    link.end(now)
    until(60.0)
    return found


class SeatingTests(SynchronousTestCase):
    """What is asked, and what is written down."""

    def setUp(self) -> None:
        """A link that began at 100 s."""
        self.journal = Journal()

    def seating(self, decisions: Decisions | None = None) -> Seating:
        """What puts its faults to work."""
        return Seating(decisions or Dice(7), HERE, self.journal, 100.0)

    def test_names(self) -> None:
        """What begins anew has a name of its own."""
        seating, loss = self.seating(), Fault(Loss(0.3), "loss")
        begun = [seating.begin(loss, 100.0) for _ in range(3)]
        names = [found[0].fault for found in begun if found]
        self.assertEqual(names, ["loss", "loss#2", "loss#3"])
        self.assertEqual(self.journal.entries, [])

    def test_times(self) -> None:
        """Times count from when the link began, in whole microseconds."""
        self.seating().record(HERE, 4, 100.1000001, DROP)
        self.assertEqual(self.journal.entries, [Entry(HERE, 4, 0.1, DROP)])

    def test_no_journal(self) -> None:
        """Without a journal it decides alike."""
        with_one, without = self.seating(), Seating(Dice(7), HERE, None, 100.0)
        without.record(HERE, 4, 101.0, DROP)
        self.assertEqual(bool(with_one.begin(HALF, 100.0)), bool(without.begin(HALF, 100.0)))

    def test_toxicity(self) -> None:
        """A hit and a miss are written down, each once as long as it stays so."""
        draw = Dice(7).draw(HERE.of("loss"), HALF)
        more, less = (Fault(Loss(0.3), "loss", toxicity=draw + d) for d in (0.01, -0.01))
        seating = self.seating()
        told = [bool(seating.begin(one, 100.5)) for one in (less, less, more, more, less)]
        self.assertEqual(told, [False, False, True, True, False])
        expected = [Toxicity(HERE.of("loss"), 0.5, hit, draw) for hit in (False, True, False)]
        self.assertEqual(self.journal.entries, expected)

    def test_what_draws_nothing(self) -> None:
        """Faults that decide nothing hit the same connections when they are replayed."""
        for settings_ in (Timeout(0.3), LimitData(5), Latency(0.1)):
            fault, hit, again = Fault(settings_, "it", toxicity=0.3), [], []
            journal = Journal()
            for number in range(50):
                seating = Seating(Dice(7), Place("a-b", number), journal, 0.0)
                hit.append(bool(seating.begin(fault, 0.0)))
            replay = Replay.of(Journal.read(list(journal.lines())))
            for number in range(50):
                seating = Seating(replay, Place("a-b", number), None, 0.0)
                again.append(bool(seating.begin(fault, 0.0)))
            self.assertEqual(again, hit)
            self.assertEqual(set(hit), {True, False})


class ReplayTests(SynchronousTestCase):
    """Links of both kinds, with any faults that change in any way."""

    def check(self, play: Any, plan: list[list[Fault]], seed: int) -> None:
        """What was recorded, read and replayed is the same."""
        journal, again = Journal(), Journal()
        found = play(plan, Dice(seed), journal)
        recorded = Journal.read(list(journal.lines()))
        self.assertEqual(play(plan, Replay.of(recorded), again), found)
        self.assertEqual(again, recorded)

    @settings(deadline=None)
    @given(phases([fault.settings for fault in ALL]), st.integers(0, 99))
    def test_datagrams(self, plan: list[list[Fault]], seed: int) -> None:
        """The same arrive, at the same times."""
        self.check(datagrams, plan, seed)

    @settings(deadline=None)
    @given(phases(SAFE + BAD), st.integers(0, 99))
    def test_streams(self, plan: list[list[Fault]], seed: int) -> None:
        """The same goes out, at the same times."""
        self.check(streams, plan, seed)
