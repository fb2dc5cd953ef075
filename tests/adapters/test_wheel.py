"""The wheel beside Twisted's clock: never early, a slot late at most, and nothing left behind."""

import math
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.error import AlreadyCalled, AlreadyCancelled, ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from lab.adapters.wheel import LONGEST, TimerWheel, WheelCall
from lab.core import Series
from lab.errors import LocalError

SLOT = 0.01
#: What rounding may do, in seconds.
HAIR = 1e-9
#: Also such as end exactly with a slot, are short, and far away.
WAITS = st.one_of(
    st.sampled_from([0.0, 0.05, 0.1, 0.11, 0.5, 1.0, 3600.0]),
    st.floats(0.0, 3.0),
    st.integers(10, 300).map(lambda slots: slots * SLOT),
)


class WheelMachine(RuleBasedStateMachine):
    """What a program may do with calls, and what Twisted's clock makes of the same."""

    def __init__(self) -> None:
        super().__init__()
        self.clock, self.oracle = Clock(), Clock()
        self.wheel = TimerWheel(self.clock)
        #: By number: the call, its twin, and which addition or move was its last.
        self.calls: dict[int, tuple[IDelayedCall, IDelayedCall, int]] = {}
        self.made: list[int] = []
        self.count = 0

    def pick(self, choice: int) -> int | None:
        """One of those whose time has not come."""
        waiting = sorted(number for number, calls in self.calls.items() if calls[1].active())
        return waiting[choice % len(waiting)] if waiting else None

    @rule(wait=WAITS)
    def add(self, wait: float) -> None:
        """One more call."""
        self.count += 1
        number = self.count
        call = self.wheel.callLater(wait, self.made.append, number)
        self.calls[number] = call, self.oracle.callLater(wait, bool), number

    @rule(choice=st.integers(0, 99))
    def cancel(self, choice: int) -> None:
        """One less."""
        if number := self.pick(choice):
            for call in self.calls.pop(number)[:2]:
                call.cancel()

    @rule(choice=st.integers(0, 99), wait=WAITS, how=st.sampled_from(["reset", "delay"]))
    def move(self, choice: int, wait: float, how: str) -> None:
        """Another time; it stands behind all others of that."""
        if number := self.pick(choice):
            for call in self.calls[number][:2]:
                getattr(call, how)(wait)
            self.count += 1
            self.calls[number] = (*self.calls[number][:2], self.count)

    @rule(wait=WAITS)
    def advance(self, wait: float) -> None:
        """Time goes by."""
        due = {number: calls[1].getTime() for number, calls in self.calls.items()}
        order = {number: calls[2] for number, calls in self.calls.items()}
        ours = {number for number, calls in self.calls.items() if type(calls[0]) is WheelCall}
        self.clock.advance(wait)
        self.oracle.advance(wait)
        now = self.oracle.seconds()
        for number in self.made:
            assert due[number] <= now + HAIR
            assert not self.calls.pop(number)[0].active()
        assert all(due[number] > now - SLOT - HAIR for number in self.calls)
        from_slots = [number for number in self.made if number in ours]
        assert from_slots == sorted(from_slots, key=lambda number: (due[number], order[number]))
        self.made.clear()

    @invariant()
    def same(self) -> None:
        """Both know the same calls at the same times, and one call of the reactor is enough."""
        for call, twin, _ in self.calls.values():
            assert call.active()
            assert abs(call.getTime() - twin.getTime()) < HAIR
        ours = [calls[0] for calls in self.calls.values() if type(calls[0]) is WheelCall]
        assert len(self.wheel) == len(ours)
        assert len(self.wheel.getDelayedCalls()) == len(self.calls)
        others = len(self.calls) - len(ours)
        assert len(self.clock.getDelayedCalls()) == others + bool(ours)
        assert self.wheel._entries == sum(map(len, self.wheel._slots.values()))
        assert sorted(self.wheel._heap) == sorted(self.wheel._slots)


class MachineTests(SynchronousTestCase):
    """The wheel beside Twisted's own clock."""

    def test_as_the_clock(self) -> None:
        """Whatever is done, in whatever order: the same calls, in time."""
        run_state_machine_as_test(
            WheelMachine, settings=settings(max_examples=100, stateful_step_count=30)
        )


class WheelTests(SynchronousTestCase):
    """Single claims."""

    def setUp(self) -> None:
        """A wheel on a clock."""
        self.clock = Clock()
        self.wheel = TimerWheel(self.clock)
        self.made: list[Any] = []

    def later(self, wait: float, name: Any) -> Any:
        """A call that is noted."""
        return self.wheel.callLater(wait, lambda: self.made.append((name, self.clock.seconds())))

    def test_interfaces(self) -> None:
        """It is a clock, and its calls are calls."""
        verifyObject(IReactorTime, self.wheel)
        call = self.later(1.0, "a")
        verifyObject(IDelayedCall, call)
        call.cancel()

    def test_end_of_slot(self) -> None:
        """A call is made when its slot has ended, with its arguments, not before its time."""
        self.wheel.callLater(0.123, lambda *a, **b: self.made.append((a, b)), 1, two=2)
        self.clock.advance(0.1299)
        self.assertEqual(self.made, [])
        self.clock.advance(0.0002)
        self.assertEqual(self.made, [((1,), {"two": 2})])

    def test_short_and_endless(self) -> None:
        """What is short is exact, and what is longer than time is not for slots."""
        self.later(0.0999, "short")
        self.wheel.callLater(LONGEST, bool).cancel()
        self.assertEqual(len(self.wheel), 0)
        self.clock.advance(0.0999)
        self.assertEqual(self.made, [("short", 0.0999)])

    def test_rounding(self) -> None:
        """A quotient that was rounded down makes no call early."""
        wait = math.nextafter(3 * SLOT, 1)
        self.assertTrue(wait / SLOT == 3 and wait > 3 * SLOT)
        TimerWheel(self.clock, shortest=SLOT).callLater(wait, self.made.append, 1)
        (call,) = self.clock.getDelayedCalls()
        self.assertEqual(call.getTime(), 4 * SLOT)
        call.cancel()

    def test_one_call_of_the_reactor(self) -> None:
        """A thousand calls are one; it comes sooner for a sooner one, and goes with the last."""
        calls = [self.later(2.0 + number / 1000, number) for number in range(1000)]
        calls.append(self.later(1.0, "first"))
        (one,) = self.clock.getDelayedCalls()
        self.assertApproximates(one.getTime(), 1.0, HAIR)
        for call in calls:
            call.cancel()
        self.assertEqual((self.clock.getDelayedCalls(), len(self.wheel)), ([], 0))

    def test_memory(self) -> None:
        """What is cancelled or moved for ever leaves no more than as many entries again."""
        kept = [self.later(50.0, number) for number in range(100)]
        for number in range(5000):
            self.later(1.0 + number % 40, number).cancel()
            kept[number % 100].reset(60.0 + number % 7)
        self.assertTrue(self.wheel._entries <= 2 * 100 + 64 + 1, self.wheel._entries)

    def test_mistakes(self) -> None:
        """A call that fails is logged, and the next one is made."""
        self.wheel.callLater(1.0, lambda: 1 / 0)
        self.later(1.0, "next")
        self.clock.advance(1.0)
        self.assertEqual(self.made, [("next", 1.0)])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_in_a_turn(self) -> None:
        """A call may cancel one of its slot, move another, and ask for more."""
        last = self.later(1.002, "last")
        moved = self.later(1.003, "moved")

        def change() -> None:
            last.cancel()
            moved.reset(0)
            self.later(0.5, "more")
            self.made.append(len(self.wheel.getDelayedCalls()))

        self.wheel.callLater(1.001, change)
        self.clock.pump([1.01, 0.51])
        self.assertEqual([name for name, _ in self.made[1:]], ["moved", "more"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_again(self) -> None:
        """A call that is being made may be made once more, with its arguments; then it is over."""
        times = [2.5, 4.0]

        def make(*arguments: int, **named: int) -> None:
            """Note it, and come again."""
            self.made.append((self.clock.seconds(), arguments, named, call.active()))
            if times:
                self.assertTrue(self.wheel.again(call, times.pop(0)))
                self.assertTrue(call.active())

        call = self.wheel.callLater(1.0, make, 1, two=2)
        self.clock.pump([1.0, 1.49, 0.02])
        self.assertEqual((call.getTime(), len(self.wheel)), (4.0, 1))
        self.clock.advance(2.0)
        found = [(round(at, 2), *rest) for at, *rest in self.made]
        self.assertEqual(found, [(at, (1,), {"two": 2}, False) for at in (1.0, 2.51, 4.51)])
        self.assertRaises(AlreadyCalled, call.cancel)
        self.assertEqual((len(self.wheel), self.clock.getDelayedCalls()), (0, []))
        self.assertIsNone(call._call)

    def test_again_and_cancelled(self) -> None:
        """Such a call can be cancelled and moved as any other."""
        for change in "cancel", "delay":
            call = self.wheel.callLater(1.0, lambda: self.wheel.again(call, 30.0))  # noqa: B023
            self.clock.advance(1.0)
            call.delay(1.0)
            self.assertEqual((call.getTime(), len(self.wheel)), (31.0, 1), change)
            call.cancel()
            self.assertRaises(AlreadyCancelled, call.cancel)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_not_again(self) -> None:
        """A call of the reactor's, and a wait that is none for slots, are not for `again`."""
        results = []
        short = self.wheel.callLater(0.05, lambda: results.append(self.wheel.again(short, 9.0)))
        for at in (-1.0, 1.05, LONGEST + 1.0):
            call = self.wheel.callLater(
                1.0,
                lambda at=at: results.append(self.wheel.again(call, at)),  # noqa: B023
            )
            self.clock.advance(1.0)
            self.clock.rightNow = 0.0
        self.assertEqual(results, [False] * 4)
        waits = self.later(1.0, "waits")
        self.assertFalse(self.wheel.again(waits, 2.0))
        self.clock.advance(1.0)
        self.assertFalse(self.wheel.again(waits, 2.0))
        self.assertEqual((len(self.wheel), self.clock.getDelayedCalls()), (0, []))

    def test_too_late(self) -> None:
        """A call that was made or cancelled says so to whoever still wants something of it."""
        made, cancelled = self.later(1.0, "made"), self.later(1.0, "cancelled")
        cancelled.cancel()
        self.clock.advance(1.0)
        for call, error in (made, AlreadyCalled), (cancelled, AlreadyCancelled):
            self.assertRaises(error, call.cancel)
            self.assertRaises(error, call.reset, 1.0)
            self.assertRaises(error, call.delay, 1.0)
            self.assertFalse(call.active())

    def test_settings(self) -> None:
        """Slots that can't be are refused."""
        for slot in (0.0, -1.0, 0.2, float("nan")):
            self.assertRaises(LocalError, TimerWheel, self.clock, slot)


class SendingTests(SynchronousTestCase):
    """Lines of a series, which the wheel sends by itself."""

    def setUp(self) -> None:
        """A call, which gives the wheel a series of six lines, one a second from the second on."""
        self.clock = Clock()
        self.wheel = TimerWheel(self.clock)
        self.series = Series(2.0, 1.0, lines=[b"%d\n" % number for number in range(5, -1, -1)])
        self.seen: list[tuple[str, float]] = []
        #: What the system says, if it does not take all.
        self.says: list[Any] = []
        self.call = self.wheel.callLater(1.0, self.make)
        self.clock.advance(1.0)
        self.seen.clear()

    def make(self) -> None:
        """Note it, and have the wheel send."""
        self.note("made")
        self.wheel.send(self.call, self.series, self.send)

    def send(self, data: bytes) -> Any:
        """The system takes it, or does not."""
        self.note(data.decode())
        said = self.says.pop(0) if self.says else len(data)
        if isinstance(said, Exception):
            raise said
        return said

    def note(self, what: str) -> None:
        """It happens now."""
        self.seen.append((what, round(self.clock.seconds(), 2)))

    def pump(self, *times: float) -> None:
        """It is later and later."""
        for at in times:
            self.clock.advance(at - self.clock.seconds())

    def test_each_in_its_time(self) -> None:
        """With but one line left the call is made, and has to see to that."""
        self.assertEqual((self.call.getTime(), self.call.active()), (2.0, True))
        self.pump(1.99, 2.01, 3.01, 4.01, 5.01, 6.01, 7.01, 8.01)
        sent = [(f"{number}\n", number + 2.01) for number in range(5)]
        self.assertEqual(self.seen, [*sent, ("made", 7.01)])
        self.assertEqual((self.series.lines, self.series.done), ([b"5\n"], 5))
        self.assertEqual((self.call.active(), self.clock.getDelayedCalls()), (False, []))

    def test_late(self) -> None:
        """Those whose time has come go out together; when nothing is left, the call is made."""
        self.pump(4.5, 7.5)
        self.assertEqual(self.seen, [("0\n1\n2\n", 4.5), ("3\n4\n5\n", 7.5), ("made", 7.5)])
        self.assertEqual(self.series.done, 6)

    def test_until(self) -> None:
        """From then on nothing is sent; before the next would be too late, the call is made."""
        self.series.until = 4.0
        self.pump(2.01, 3.01)
        self.assertEqual(self.seen, [("0\n", 2.01), ("1\n", 3.01), ("made", 3.01)])
        self.pump(4.01)
        self.assertEqual(self.seen[3:], [("made", 4.01)])

    def test_less(self) -> None:
        """What the system does not take is the next line, and the call is made at once."""
        for said, left in (
            (1, b"\n"),
            (0, b"0\n"),
            (BlockingIOError(), b"0\n"),
            (ValueError(), b"0\n"),
            (ConnectionDone(), b"0\n"),
        ):
            self.setUp()
            self.says = [said]
            self.pump(2.01)
            self.assertEqual(self.seen, [("0\n", 2.01), ("made", 2.01)])
            self.assertEqual((self.series.lines[-1], self.series.done), (left, 0))

    def test_less_of_the_last(self) -> None:
        """A call that is to be made for two reasons is made once."""
        self.says = [1]
        self.pump(9.0)
        self.assertEqual(self.seen, [("0\n1\n2\n3\n4\n5\n", 9.0), ("made", 9.0)])
        self.assertEqual(self.series.lines, [b"\n1\n2\n3\n4\n5\n"])

    def test_less_harms_no_other(self) -> None:
        """All others of the slot are sent; whoever is called may cancel or move them."""
        other = Series(3.0, 1.0, lines=[b"b\n", b"a\n"])
        call = self.wheel.callLater(1.0, lambda: self.wheel.send(call, other, self.send))
        self.pump(2.0)
        self.assertEqual(call.getTime(), 3.0)
        self.says = [0, 0]
        self.call._call = call.cancel  # type: ignore[attr-defined]
        self.pump(3.01)
        self.assertEqual([what for what, _ in self.seen], ["0\n", "1\n", "a\n"])
        self.assertEqual((len(self.wheel), self.clock.getDelayedCalls()), (0, []))

    def test_taken_meanwhile(self) -> None:
        """Nothing is sent before its time, and nothing that is not there: the call is made."""
        self.series.take(2.0)
        self.pump(2.01)
        self.series.lines.clear()
        self.pump(3.01)
        self.assertEqual(self.seen, [("made", 2.01), ("made", 3.01)])

    def test_moved(self) -> None:
        """Who moves the call wants it to be made; one that is cancelled sends nothing."""
        self.call.reset(0.5)
        self.pump(1.51)
        self.call.delay(1.5)
        self.pump(2.01, 3.51)
        self.assertEqual(self.seen, [("made", 1.51), ("made", 3.51)])
        self.setUp()
        self.call.cancel()
        self.pump(9.0)
        self.assertEqual((self.seen, self.clock.getDelayedCalls()), ([], []))

    def test_not(self) -> None:
        """One line, and a call that is not being made, are not for it."""
        self.assertFalse(self.wheel.send(self.call, self.series, self.send))
        self.series.lines[1:] = []
        self.pump(2.01)
        self.assertEqual((self.seen, self.call.active()), ([("made", 2.01)], False))
