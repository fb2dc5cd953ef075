"""Who is asked for which piece next."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from lab.download.scheduling import COPIES, Scheduler

NAMES = st.sampled_from("abcd")


def with_sources(count: int, *names: str, **words: object) -> Scheduler:
    """A scheduler of pieces of 1,000 bytes."""
    scheduler = Scheduler(count, 1000, **words)
    for name in names:
        scheduler.add(name)
    return scheduler


def takes(scheduler: Scheduler, name: str) -> list[int]:
    """All that a source takes now."""
    taken = []
    while (piece := scheduler.take(name)) is not None:
        taken.append(piece)
    return taken


class WindowTests(SynchronousTestCase):
    """How many pieces a source owes."""

    def test_least(self) -> None:
        """Two, as long as nothing is known of it."""
        self.assertEqual(takes(with_sources(10, "a"), "a"), [0, 1])

    def test_fast(self) -> None:
        """What it gives in half a second; but not more than what is allowed."""
        scheduler = with_sources(1000, "a", most=40)
        scheduler.measure("a", 20_000.0)
        self.assertEqual(takes(scheduler, "a"), list(range(10)))
        scheduler.measure("a", 1e9)
        self.assertEqual(len(takes(scheduler, "a")), 30)
        self.assertEqual(scheduler.owes("a"), list(range(40)))

    def test_few_left(self) -> None:
        """Its part of a half of what is left, so that little is asked for twice in the end."""
        scheduler = with_sources(20, "a", "b")
        for name in ("a", "b"):
            scheduler.measure(name, 1e9)
            self.assertEqual(len(takes(scheduler, name)), 5)
        for piece in range(5):
            scheduler.came("a", piece)
            scheduler.right(piece)
        self.assertEqual(takes(scheduler, "a"), [10, 11, 12, 13])

    def test_there_already(self) -> None:
        """What is there is not asked for."""
        scheduler = with_sources(5, "a", have=[0, 2])
        self.assertEqual(scheduler.left, 3)
        self.assertEqual(takes(scheduler, "a"), [1, 3])
        self.assertTrue(scheduler.is_done(2))
        self.assertFalse(scheduler.is_done(1))


class LossTests(SynchronousTestCase):
    """Sources that go, and pieces that are wrong."""

    def test_gone(self) -> None:
        """What a source owed is asked of others, from the first on."""
        scheduler = with_sources(4, "a", "b")
        takes(scheduler, "a")
        scheduler.remove("a")
        scheduler.remove("a")
        self.assertEqual(takes(scheduler, "b"), [0, 1])

    def test_given_back(self) -> None:
        """So is one piece that it will not give."""
        scheduler = with_sources(4, "a", "b")
        takes(scheduler, "a")
        scheduler.give_back("a", 1)
        self.assertEqual((scheduler.owes("a"), takes(scheduler, "b")), ([0], [1, 2]))

    def test_wrong(self) -> None:
        """A piece is on its way, is checked, is wrong, and is asked for again."""
        scheduler = with_sources(1, "a", "b", doubles=False)
        takes(scheduler, "a")
        scheduler.came("a", 0)
        self.assertEqual(takes(scheduler, "b"), [])
        scheduler.wrong(0)
        self.assertEqual(takes(scheduler, "b"), [0])
        scheduler.came("b", 0)
        self.assertTrue(scheduler.right(0))
        self.assertEqual(scheduler.left, 0)

    def test_twice(self) -> None:
        """The first copy counts, and it counts once."""
        scheduler = with_sources(1, "a", "b")
        takes(scheduler, "a")
        self.assertEqual(takes(scheduler, "b"), [0])
        self.assertEqual(scheduler.owners(0), ["a", "b"])
        scheduler.came("a", 0)
        scheduler.came("b", 0)
        scheduler.wrong(0)
        self.assertEqual(takes(scheduler, "b"), [])
        self.assertEqual((scheduler.right(0), scheduler.left), (True, 0))

    def test_late_copy(self) -> None:
        """A copy of what is there is no news; a source that goes leaves nothing missing."""
        scheduler = with_sources(1, "a", "b", "c")
        for name in "abc":
            takes(scheduler, name)
        for name, news in (("a", True), ("b", False)):
            scheduler.came(name, 0)
            self.assertEqual(scheduler.right(0), news)
        scheduler.remove("c")
        self.assertEqual(takes(scheduler, "a"), [])


class EndTests(SynchronousTestCase):
    """What is done when there is nothing left to ask for."""

    def test_slow(self) -> None:
        """Who has nothing to do takes what the slowest will give last."""
        scheduler = with_sources(4, "a", "b", "c")
        takes(scheduler, "a")
        takes(scheduler, "b")
        scheduler.measure("a", 1000.0)
        scheduler.measure("b", 500.0)
        self.assertEqual(scheduler.take("c"), 3)
        self.assertIsNone(scheduler.take("c"))

    def test_not_sooner(self) -> None:
        """Unless it would take longer for it than who owes it."""
        scheduler = with_sources(1, "a", "b", "c")
        takes(scheduler, "a")
        for name, rate in (("a", 1000.0), ("b", 1000.0), ("c", 1100.0)):
            scheduler.measure(name, rate)
        self.assertEqual((takes(scheduler, "b"), takes(scheduler, "c")), ([], [0]))

    def test_stuck(self) -> None:
        """One that gives nothing any more will give it never."""
        scheduler = with_sources(1, "a", "b")
        takes(scheduler, "a")
        scheduler.measure("b", 1.0)
        self.assertEqual(takes(scheduler, "b"), [0])

    def test_copies(self) -> None:
        """A piece is asked for so often at most; not at all while one is checked."""
        scheduler = with_sources(1, *"abcde")
        self.assertEqual([takes(scheduler, name) for name in "abcde"], [[0]] * COPIES + [[]] * 2)
        scheduler.came("a", 0)
        self.assertEqual(takes(scheduler, "a"), [])

    def test_large(self) -> None:
        """Pieces that can't be kept in memory come from one source each."""
        scheduler = with_sources(1, "a", "b", doubles=False)
        takes(scheduler, "a")
        self.assertEqual(takes(scheduler, "b"), [])


class SchedulerMachine(RuleBasedStateMachine):
    """Sources come and go, and pieces come, right and wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 12
        self.scheduler = Scheduler(self.count, 1000, most=6)
        self.sources: set[str] = set()
        self.checked: list[int] = []
        self.done: list[int] = []

    @rule(name=NAMES)
    def add(self, name: str) -> None:
        """A source comes."""
        self.scheduler.add(name)
        self.sources.add(name)

    @precondition(lambda self: self.sources)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        """One goes."""
        name = data.draw(st.sampled_from(sorted(self.sources)))
        self.scheduler.remove(name)
        self.sources.discard(name)

    @precondition(lambda self: self.sources)
    @rule(data=st.data(), rate=st.sampled_from([0.0, 100.0, 3000.0, 10_000.0]))
    def measure(self, data: st.DataObject, rate: float) -> None:
        """One has a rate."""
        self.scheduler.measure(data.draw(st.sampled_from(sorted(self.sources))), rate)

    @rule()
    def ask(self) -> None:
        """All are asked for what they may owe; then nobody is idle beside one who owes two."""
        for name in sorted(self.sources):
            takes(self.scheduler, name)
        scheduler = self.scheduler
        for idle in [name for name in self.sources if not scheduler.owes(name)]:
            for other in self.sources:
                owed = scheduler.owes(other)
                free = [
                    piece
                    for piece in owed[1:]
                    if len(scheduler.owners(piece)) < COPIES
                    and piece not in self.checked
                    and not scheduler.is_done(piece)
                ]
                assert not free, (idle, other, owed)

    @precondition(lambda self: any(self.scheduler.owes(name) for name in self.sources))
    @rule(data=st.data())
    def come(self, data: st.DataObject) -> None:
        """The next piece of a source comes."""
        owing = sorted(name for name in self.sources if self.scheduler.owes(name))
        name = data.draw(st.sampled_from(owing))
        piece = self.scheduler.owes(name)[0]
        self.scheduler.came(name, piece)
        self.checked.append(piece)

    @precondition(lambda self: self.checked)
    @rule(right=st.booleans())
    def check(self, *, right: bool) -> None:
        """What has come is checked, in order."""
        piece = self.checked.pop(0)
        if right:
            if self.scheduler.right(piece):
                self.done.append(piece)
        else:
            self.scheduler.wrong(piece)

    @invariant()
    def once(self) -> None:
        """Each piece is verified once."""
        assert len(set(self.done)) == len(self.done)
        assert self.scheduler.left == self.count - len(self.done)

    def teardown(self) -> None:
        """No piece was lost: one source more, and all will be there."""
        for name in self.sources:
            self.scheduler.remove(name)
        while self.checked:
            self.check(right=False)
        self.scheduler.add("last")
        while (piece := self.scheduler.take("last")) is not None:
            self.scheduler.came("last", piece)
            assert self.scheduler.right(piece)
        assert self.scheduler.left == 0


class AnyOrderTests(SynchronousTestCase):
    """The machine, as a test."""

    def test_any(self) -> None:
        """Whatever comes in whatever order."""
        limits = settings(max_examples=60, stateful_step_count=40, deadline=None)
        run_state_machine_as_test(SchedulerMachine, settings=limits)
