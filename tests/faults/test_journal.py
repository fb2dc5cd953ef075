"""Decisions, kept and made again."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.faults.datagrams import Bandwidth, Loss
from lab.faults.fault import Fault
from lab.faults.journal import Dice, Entry, Journal, Line, Place, Replay, Toxicity
from lab.faults.verdicts import DELIVER, DROP, Verdict
from tests.faults.test_verdicts import VERDICTS

PLACES = st.builds(
    Place, st.text(max_size=9), st.integers(0, 9), st.sampled_from(["upstream", "downstream"]),
    st.text(max_size=9),
)  # fmt: skip
ENTRIES: st.SearchStrategy[Line] = st.one_of(
    st.builds(Entry, PLACES, st.integers(0, 10**6), st.floats(0, 1e9), VERDICTS),
    st.builds(Toxicity, PLACES, st.floats(0, 1e9), st.booleans(), st.floats(0, 1)),
)
KEYS = [
    "link", "connection", "direction", "fault", "unit", "at", "verdict", "draw", "journal", "seed",
    "delays", "held",
]  # fmt: skip
VALUES = (
    st.none() | st.text() | st.floats() | st.integers() | st.lists(st.integers())
    | st.sampled_from(["hit", "miss", "drop", "hold"])
)  # fmt: skip
HERE = Place("a-b", 3, "upstream", "loss")


class PlaceTests(SynchronousTestCase):
    """Where faults sit."""

    def test_of(self) -> None:
        """Each fault of a link has its place there."""
        self.assertEqual(Place("a-b", 3, "upstream").of("loss"), HERE)


class JournalTests(SynchronousTestCase):
    """Lines of JSON."""

    @given(st.lists(ENTRIES, max_size=5), st.none() | st.integers(0, 2**64))
    def test_round_trip(self, entries: list[Line], seed: int | None) -> None:
        """What was recorded reads as it was; an entry is one line."""
        journal = Journal(seed=seed)
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

    def test_toxicity(self) -> None:
        """Whether a fault works on a connection is a line with a word and a draw, and no unit."""
        line = Toxicity(HERE, 0.5, hit=False, draw=0.7).encode()
        self.assertEqual(
            line,
            '{"link": "a-b", "connection": 3, "direction": "upstream", "fault": "loss", '
            '"at": 0.5, "verdict": "miss", "draw": 0.7}',
        )
        self.assertEqual(Toxicity(HERE, 0.5, hit=True, draw=0.7).kind, "hit")
        for word, draw in (("hit", 0.0), ("miss", 1.0)):
            by_hand = line.replace("miss", word).replace(', "draw": 0.7', "")
            expected = [Toxicity(HERE, 0.5, word == "hit", draw)]
            self.assertEqual(Journal.read([by_hand]).entries, expected)
        self.assertRaises(LocalError, Journal.read, [line.replace("0.7", "7.0")])

    def test_header(self) -> None:
        """The first line names the seed, if it is known; of two journals the first does."""
        header = '{"journal": 1, "seed": 12}'
        self.assertEqual(list(Journal(seed=12).lines()), [header])
        self.assertEqual(list(Journal().lines()), [])
        self.assertEqual(Journal.read([header, header.replace("12", "13")]), Journal(seed=12))
        for line in (header.replace("1,", "2,"), '{"journal": 1}', '{"journal": 1, "seed": "x"}'):
            self.assertRaises(LocalError, Journal.read, [line])

    def test_watch(self) -> None:
        """Who watches a journal is told of each entry, and no equality minds it."""
        seen: list[Line] = []
        journal, entry = Journal(watch=seen.append), Entry(HERE, 0, 0.0, DROP)
        journal.record(entry)
        self.assertEqual((seen, journal), ([entry], Journal([entry])))

    @given(
        st.text()
        | st.from_regex(r'\{"(link|unit|verdict|journal)": .{0,20}\}')
        | st.dictionaries(st.sampled_from(KEYS), VALUES).map(json.dumps)
    )
    def test_any_text(self, line: str) -> None:
        """Whatever a line holds, it is read or refused by our own error."""
        try:
            Journal.read([line])
        except LocalError as error:
            self.assertRegex(str(error), "give one (of a journal|that was recorded)|that is no ")

    def test_wrong_line(self) -> None:
        """A line that is refused is named by its number."""
        error = self.assertRaises(LocalError, Journal.read, ["", "[1]"])
        self.assertTrue(str(error).startswith("line 2 of the journal: line is '[1]'"))

    def test_no_time(self) -> None:
        """Nothing is decided at a time that is none."""
        for at in (math.inf, math.nan):
            lines = [Entry(Place("a>b"), 3, at, Verdict(())), Toxicity(Place("a>b"), at, True, 0.5)]
            for line in lines:
                self.assertRaises(LocalError, Journal.read, [line.encode()])

    def test_deep_line(self) -> None:
        """A line that is nested without end is refused as well."""
        self.assertRaises(LocalError, Journal.read, ["[" * 100_000])


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
        draws = [dice.draw(Place("a-b", number), half) for number in range(10_000)]
        self.assertApproximates(sum(draw < 0.5 for draw in draws) / 10_000, 0.5, 0.015)
        self.assertTrue(all(0 <= draw < 1 for draw in draws))
        self.assertEqual(draws, [dice.draw(Place("a-b", number), half) for number in range(10_000)])


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
        """A fault works where it did; where nothing says so, where it has decided something."""
        lines = [Toxicity(HERE, 0.0, hit=True, draw=0.2), Entry(HERE, 3, 0.0, DROP)]
        there = Place("a-b", 4, "upstream", "loss")
        some = Fault(Loss(0.3), "loss", toxicity=0.5)
        for entries, draws in ((lines, [0.2, 1.0]), (lines[1:], [0.0, 1.0])):
            replay = Replay.of(Journal(entries))
            self.assertEqual([replay.draw(place, some) for place in (HERE, there)], draws)
        miss = Replay.of(Journal([Toxicity(there, 0.0, hit=False, draw=0.7)]))
        self.assertEqual(miss.draw(there, some), 0.7)
