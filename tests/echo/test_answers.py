"""What a peer is told at once."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.echo.answers import LARGEST_SEED, Answers, Counters
from lab.echo.budget import Budget
from lab.echo.settings import ServerSettings
from lab.echo.wire import (
    HUGE,
    AskCounts,
    AskLimits,
    Busy,
    Counts,
    File,
    Limits,
    Probe,
    Probed,
    Refused,
    Stream,
    encode,
    read_reply,
)


def make(told: float = 0, **words: Any) -> Answers:
    """Answers for one peer."""
    limits = ServerSettings(**words)
    return Answers(limits, Counters(), Budget(limits), "a", told)


class AtOnceTests(SynchronousTestCase):
    """Probes and questions."""

    def ask(self, answers: Answers, request: Any, now: float = 0.0) -> Any:
        """The answer, as a value."""
        return read_reply(answers.at_once(request, len(encode(request)), now))

    def test_probes(self) -> None:
        """Probes are counted, those that come again too, and come back with the time."""
        answers = make()
        self.assertEqual(self.ask(answers, AskCounts(b"k")), Counts(0, 0, b"k"))
        self.assertEqual(self.ask(answers, Probe(5, 77), 1.5), Probed(5, 77, 1, 0, 1_500_000_000))
        self.assertEqual(self.ask(answers, Probe(6, 78, id=b"k")), Probed(6, 78, 2, 0, 0, id=b"k"))
        self.assertEqual(self.ask(answers, Probe(5, 79)), Probed(5, 79, 2, 1, 0))
        self.assertEqual(self.ask(answers, AskCounts()), Counts(2, 1))
        self.assertEqual(answers.counters.probes, 3)

    @settings(deadline=None)
    @given(st.integers(0, HUGE), st.integers(0, HUGE), st.none() | st.integers(0, 200))
    def test_as_long(self, seq: int, sent: int, padding: int | None) -> None:
        """The answer is as long as the probe, where that can be, and else has no padding."""
        request = Probe(seq, sent, None if padding is None else b"p" * padding, b"k")
        size = len(encode(request))
        answer = make().at_once(request, size, 1.8e9)
        bare = len(encode(Probed(seq, sent, 1, 0, int(1.8e18), id=b"k")))
        self.assertEqual(len(answer), max(bare, size))
        self.assertEqual(read_reply(answer).seq, seq)

    def test_limits(self) -> None:
        """What is allowed, as set."""
        self.assertEqual(
            self.ask(make(), AskLimits(b"k")),
            Limits(0, 1000, 65_507, 123_456_789, 0, 16, b"k"),
        )
        words = {"interval": 0.029, "packets": 5, "size": 100, "file": 6, "streams": 7}
        self.assertEqual(self.ask(make(8.5, **words), AskLimits()), Limits(29, 5, 100, 6, 8, 7))
        self.assertEqual(self.ask(make(interval=0.0285), AskLimits()).interval_ms, 29)


class RefusalTests(SynchronousTestCase):
    """What is asked for in vain."""

    def test_bounds(self) -> None:
        """Both ends of each are allowed, and what is beyond is refused with the limit."""
        answers = make(interval=0.01, packets=5, size=100, file=1000)
        for good in (
            Stream(10, 1, 64),
            Stream(3_600_000, 5, 100),
            File(0),
            File(1000, 1000, 0, LARGEST_SEED),
            File(1000, 0, 1000),
        ):
            self.assertIsNone(answers.refusal(good))
        wrong = {
            Stream(9, 1): (300, "interval is 9; at least 10"),
            Stream(0, 1): (300, "interval is 0; at least 10"),
            Stream(3_600_001, 1): (413, "interval is 3600001; at most 3600000"),
            Stream(10, 0): (300, "count is 0; at least 1"),
            Stream(10, 6): (413, "count is 6; at most 5"),
            Stream(10, 5, 63): (300, "size is 63; at least 64"),
            Stream(10, 5, 101): (413, "size is 101; at most 100"),
            File(1001): (413, "file is 1001; at most 1000"),
            File(HUGE): (413, f"file is {HUGE}; at most 1000"),
            File(1000, 1001): (413, "offset is 1001; at most 1000"),
            File(1000, 600, 401): (413, "length is 401; at most 400"),
            File(1000, seed=2**63): (413, f"seed is {2**63}; at most {2**63 - 1}"),
        }
        for request, (code, text) in wrong.items():
            self.assertEqual(answers.refusal(request), Refused(code, text))
        self.assertEqual(answers.refusal(Stream(10, 0, id=b"k")).id, b"k")
        self.assertEqual(answers.counters.refused, len(wrong) + 1)

    @settings(deadline=None)
    @given(*[st.integers(0, HUGE) | st.integers(0, 70_000)] * 4)
    def test_any_numbers(self, one: int, two: int, three: int, four: int) -> None:
        """Whatever the numbers, what is refused can be said."""
        for request in (Stream(one, two, three), File(one, two, three, four)):
            refused = make().refusal(request)
            if refused is not None:
                self.assertEqual(read_reply(encode(refused)), refused)

    def test_too_large(self) -> None:
        """So it is with what is no number."""
        answers = make()
        expected = Refused(413, "line is 9 or more; at most 8")
        self.assertEqual(answers.too_large("line", "9 or more", 8), expected)
        self.assertEqual(answers.counters.refused, 1)


class BudgetTests(SynchronousTestCase):
    """What takes part in the budget."""

    def test_begin(self) -> None:
        """Streams and files are counted; with no room there is a wait, rounded up."""
        answers = make(streams=2)
        self.assertIsNone(answers.begin(Stream(), 0.0))
        self.assertIsNone(answers.begin(File(5), 0.0))
        expected = Busy(1000, "there are 2 streams of this address", b"k")
        self.assertEqual(answers.begin(Stream(id=b"k"), 0.0), expected)
        self.assertEqual(answers.counters, Counters(streams=1, files=1, busy=1))

    def test_wait(self) -> None:
        """A wait is never 0 ms."""
        answers = make(rate=1e6)
        answers.begin(Stream(), 0.0)
        answers.budget.spend("a", 100_001, 0.0)
        self.assertEqual(answers.begin(Stream(), 0.0).wait_ms, 1)
