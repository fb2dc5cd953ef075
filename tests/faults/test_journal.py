"""Decisions, kept and made again."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.faults.datagrams import Bandwidth, Loss
from lab.faults.fault import Fault
from lab.faults.journal import Dice, Entry, Journal, Place, Replay
from lab.faults.verdicts import DELIVER, DROP, Verdict
from tests.faults.test_verdicts import VERDICTS

PLACES = st.builds(
    Place, st.text(max_size=9), st.integers(0, 9), st.sampled_from(["upstream", "downstream"]),
    st.text(max_size=9),
)  # fmt: skip
ENTRIES = st.builds(Entry, PLACES, st.integers(0, 10**6), st.floats(0, 1e9), VERDICTS)
HERE = Place("a-b", 3, "upstream", "loss")


class PlaceTests(SynchronousTestCase):
    """Where faults sit."""

    def test_of(self) -> None:
        """Each fault of a link has its place there."""
        self.assertEqual(Place("a-b", 3, "upstream").of("loss"), HERE)


class JournalTests(SynchronousTestCase):
    """Lines of JSON."""

    @given(st.lists(ENTRIES, max_size=5))
    def test_round_trip(self, entries: list[Entry]) -> None:
        """What was recorded reads as it was; an entry is one line."""
        journal = Journal()
        for entry in entries:
            journal.record(entry)
        lines = list(journal.lines())
        self.assertFalse(any("\n" in line for line in lines))
        self.assertEqual(Journal.read([*lines, "", " \n"]), journal)

    def test_line(self) -> None:
        """A line names the place, the unit, the time and the verdict, in plain words."""
        entry = Entry(HERE, 17, 1.25, Verdict((), draw=0.113))
        self.assertEqual(
            entry.encode(),
            '{"link": "a-b", "connection": 3, "direction": "upstream", "fault": "loss", '
            '"unit": 17, "at": 1.25, "verdict": "drop", "draw": 0.113}',
        )

    @given(st.text() | st.from_regex(r'\{"(link|unit|verdict)": .{0,20}\}'))
    def test_any_text(self, line: str) -> None:
        """Whatever a line holds, it is read or refused by our own error."""
        try:
            Entry.decode(line)
        except LocalError as error:
            self.assertIn("give one of a journal", str(error))

    def test_wrong_line(self) -> None:
        """A line that is refused is named by its number."""
        error = self.assertRaises(LocalError, Journal.read, ["", "[1]"])
        self.assertTrue(str(error).startswith("line 2 of the journal: line is '[1]'"))

    def test_deep_line(self) -> None:
        """A line that is nested without end is refused as well."""
        self.assertRaises(LocalError, Entry.decode, "[" * 100_000)


def judged(decisions: Dice | Replay, place: Place, fault: Fault) -> list[Verdict]:
    """A hundred verdicts at a place."""
    judge = decisions.judge(place, fault)
    return [judge.judge(100, 0.0) for _ in range(100)]


class DiceTests(SynchronousTestCase):
    """Decisions by random streams."""

    fault = Fault(Loss(0.3), "loss")

    def test_named_streams(self) -> None:
        """Another seed, link, connection, direction or name decides otherwise; the same alike."""
        found = judged(Dice(7), HERE, self.fault)
        self.assertEqual(judged(Dice(7), HERE, self.fault), found)
        others = (
            (8, HERE),
            (7, Place("a-c", 3, "upstream", "loss")),
            (7, Place("a-b", 4, "upstream", "loss")),
            (7, Place("a-b", 3, "downstream", "loss")),
            (7, Place("a-b", 3, "upstream", "other")),
        )
        for seed, place in others:
            self.assertNotEqual(judged(Dice(seed), place, self.fault), found)

    def test_toxicity(self) -> None:
        """A fault works on its share of the connections, decided for each by itself."""
        half = Fault(Loss(0.3), "loss", toxicity=0.5)
        dice = Dice(7)
        hits = [dice.hits(Place("a-b", number), half) for number in range(10_000)]
        self.assertApproximates(sum(hits) / 10_000, 0.5, 0.015)
        self.assertEqual(hits, [dice.hits(Place("a-b", number), half) for number in range(10_000)])
        self.assertTrue(all(dice.hits(Place("a", n), self.fault) for n in range(100)))
        never = Fault(Loss(0.3), "loss", toxicity=0.0)
        self.assertFalse(any(dice.hits(Place("a", n), never) for n in range(100)))


class ReplayTests(SynchronousTestCase):
    """Decisions of a journal."""

    def test_no_dice(self) -> None:
        """Each unit is given what it was given; units that are not there are delivered."""
        journal = Journal([Entry(HERE, unit, 0.0, DROP) for unit in (3, 5)])
        found = judged(Replay.of(journal), HERE, Fault(Loss(0.9), "loss"))
        self.assertEqual([unit for unit, verdict in enumerate(found) if verdict == DROP], [3, 5])
        self.assertEqual(set(found), {DROP, DELIVER})

    def test_other_places(self) -> None:
        """What was decided at one place is not carried out at another."""
        journal = Journal([Entry(HERE, 3, 0.0, DROP)])
        other = Place("a-b", 4, "upstream", "loss")
        self.assertEqual(
            set(judged(Replay.of(journal), other, Fault(Loss(0.9), "loss"))), {DELIVER}
        )

    def test_what_is_no_decision(self) -> None:
        """A rate is computed as ever."""
        fault = Fault(Bandwidth(1000.0), "rate")
        found = judged(Replay.of(Journal()), HERE, fault)
        self.assertEqual(found, judged(Dice(7), HERE, fault))

    def test_toxicity(self) -> None:
        """A fault of some connections works where it has decided, and one of all everywhere."""
        replay = Replay.of(Journal([Entry(HERE, 3, 0.0, DROP)]))
        some, every = Fault(Loss(0.3), "loss", toxicity=0.5), Fault(Loss(0.3), "loss")
        there = Place("a-b", 4, "upstream", "loss")
        self.assertEqual([replay.hits(place, some) for place in (HERE, there)], [True, False])
        self.assertEqual([replay.hits(place, every) for place in (HERE, there)], [True, True])
