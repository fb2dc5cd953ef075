"""The loop that runs a core, on a clock."""

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lab.adapters.driver import Driver
from lab.adapters.wheel import TimerWheel
from lab.core import Broken, Finished, Left, Series


class FakeCore:
    """A core that notes its calls, and sends and tells what it is given."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.out: list[bytes] = []
        self.told: list[object] = []
        self.due: float | None = None
        #: When it wants to be called after the next tick.
        self.later: list[float] = []

    def message(self, data: bytes, now: float) -> None:
        """Note it."""
        self.calls.append(("message", data, now))

    def tick(self, now: float) -> None:
        """Note it, and be due again."""
        self.calls.append(("tick", now))
        self.due = self.later.pop(0) if self.later else None

    def close(self, now: float) -> None:
        """Note it."""
        self.calls.append(("close", now))

    def outgoing(self) -> list[bytes]:
        """What it was given to send."""
        out, self.out = self.out, []
        return out

    def events(self) -> list[object]:
        """What it was given to tell."""
        told, self.told = self.told, []
        return told

    def deadline(self) -> float | None:
        """When it was told to be due."""
        return self.due


class FakeBatchCore(FakeCore):
    """One that takes two lines of a batch."""

    def messages(self, batch: list[bytes], now: float) -> int:
        """Note it."""
        self.calls.append(("messages", tuple(batch), now))
        return 2


class FakeTickingCore(FakeCore):
    """One that strikes with a series of lines, a second and a half apart from the first second."""

    def __init__(self, *lines: bytes) -> None:
        super().__init__()
        self.series = Series(1.0, 1.5, lines=[*reversed(lines)])
        self.due = 1.0

    def strike(self, now: float) -> Series | None:
        """Note it."""
        self.calls.append(("strike", now))
        return self.series if self.series.lines else None

    def deadline(self) -> float | None:
        """That of the next line, or what it was told."""
        return self.series.due() if self.series.lines else self.due


class DriverCase(SynchronousTestCase):
    """A test case with a driver, and notes of what it did."""

    def make(self, core: FakeCore | None = None) -> None:
        """A driver whose transport and listener take notes."""
        self.core, self.clock = core or FakeCore(), Clock()
        self.driver = Driver(self.core, self.clock)
        self.did: list[tuple[str, Any]] = []
        self.driver.write = self.note("write")
        self.driver.tell = self.note("tell")
        self.driver.finish = self.note("finish")
        self.driver.leave = self.note("leave")

    def note(self, kind: str) -> Callable[[Any], None]:
        """A function that notes what it gets."""
        return lambda what: self.did.append((kind, what))

    def timers(self) -> list[float]:
        """When the clock will call."""
        return [call.getTime() for call in self.clock.getDelayedCalls()]


class FeedingTests(DriverCase):
    """What goes into a core."""

    def test_message(self) -> None:
        """A message comes with the time."""
        self.make()
        self.clock.advance(3)
        self.driver.message(b"a")
        self.assertEqual(self.core.calls, [("message", b"a", 3.0)])

    def test_batch_of_a_plain_core(self) -> None:
        """A core that takes one message at a time gets each of a batch, and all are taken."""
        self.make()
        self.assertEqual(self.driver.messages([b"a", b"b", b"c"]), 3)
        self.assertEqual(self.core.calls, [("message", data, 0.0) for data in (b"a", b"b", b"c")])

    def test_batch_of_a_batch_core(self) -> None:
        """A core that takes batches gets it whole, and says how many it took."""
        self.make(FakeBatchCore())
        self.clock.advance(3)
        self.assertEqual(self.driver.messages([b"a", b"b", b"c"]), 2)
        self.assertEqual(self.core.calls, [("messages", (b"a", b"b", b"c"), 3.0)])

    def test_close(self) -> None:
        """The core is told that the peer is gone, its last words are delivered, the timer ends."""
        self.make()
        self.core.due, self.core.told = 5.0, ["bye"]
        self.clock.advance(1)
        self.driver.close()
        self.assertEqual(self.core.calls, [("close", 1.0)])
        self.assertEqual(self.did, [("tell", "bye")])
        self.assertEqual(self.timers(), [])


class StateTests(DriverCase):
    """What the driver knows of its core."""

    def test_busy(self) -> None:
        """Whether a core is busy it says itself; a plain one never is."""
        self.make()
        self.assertFalse(self.driver.busy())
        core: Any = FakeBatchCore()
        answers = [True, False]
        core.busy = lambda: answers.pop(0)
        driver = Driver(core, self.clock)
        self.assertEqual((driver.busy(), driver.busy()), (True, False))

    def test_now(self) -> None:
        """The time is that of the clock, but never before that of a tick."""
        self.make()
        self.clock.advance(3)
        self.assertEqual(self.driver.now(), 3)
        self.core.due = 5.0
        self.driver.settle()
        (timer,) = self.clock.getDelayedCalls()
        self.clock.rightNow = 4.9
        timer.func()
        self.assertEqual((self.core.calls, self.driver.now()), ([("tick", 5.0)], 5.0))
        self.clock.rightNow = 6.0
        self.assertEqual(self.driver.now(), 6.0)


class DeliveryTests(DriverCase):
    """What comes out of a core."""

    def test_write_then_tell(self) -> None:
        """What is sent goes out in one piece, before any event is told."""
        self.make()
        self.core.out, self.core.told = [b"a", b"b"], ["one", Finished("enough"), "two"]
        self.driver.message(b"x")
        self.assertEqual(
            self.did,
            [("write", [b"a", b"b"]), ("tell", "one"), ("finish", "enough"), ("tell", "two")],
        )

    def test_leave(self) -> None:
        """It is told apart whether a peer is told to go or wants to."""
        self.make()
        self.core.out, self.core.told = [b"a"], [Left("quit")]
        self.driver.message(b"x")
        self.assertEqual(self.did, [("write", [b"a"]), ("leave", "quit")])

    def test_abort(self) -> None:
        """What can't be kept ends the connection at once."""
        self.make()
        self.driver.abort = lambda reason: self.did.append(("abort", reason))
        self.core.told = [Broken("gone")]
        self.driver.message(b"x")
        self.assertEqual(self.did, [("abort", "gone")])

    def test_nothing(self) -> None:
        """Without anything to send, nothing is written."""
        self.make()
        for act in (lambda: self.driver.message(b"x"), lambda: self.driver.messages([b"x"])):
            act()
            self.assertEqual(self.did, [])

    def test_batch_is_delivered(self) -> None:
        """What a batch makes the core send and tell goes out too."""
        self.make(FakeBatchCore())
        self.core.out, self.core.told = [b"a"], ["one"]
        self.driver.messages([b"x", b"y"])
        self.assertEqual(self.did, [("write", [b"a"]), ("tell", "one")])

    def test_nobody_takes_it(self) -> None:
        """A driver without transport and listener drops what its core sends and tells."""
        core = FakeCore()
        core.out, core.told = [b"a"], ["one", Finished("enough")]
        Driver(core, Clock()).settle()
        self.assertEqual((core.out, core.told), ([], []))

    def test_unplug(self) -> None:
        """Unplugged, it neither writes nor ends a connection, but still tells."""
        self.make()
        self.driver.unplug()
        self.core.out, self.core.told = [b"a"], ["one", Finished("enough"), Left("quit")]
        self.core.told.append(Broken("gone"))
        self.driver.settle()
        self.assertEqual(self.did, [("tell", "one")])

    def test_told_may_call(self) -> None:
        """Who is told may call the core: everything is delivered, in order, by one loop."""
        self.make()

        def tell(event: object) -> None:
            self.did.append(("tell", event))
            if event == "one":
                self.core.out, self.core.told = [b"b"], ["three"]
                self.driver.message(b"y")

        self.driver.tell = tell
        self.core.out, self.core.told = [b"a"], ["one", "two"]
        self.driver.message(b"x")
        self.assertEqual(
            self.did,
            [
                ("write", [b"a"]),
                ("tell", "one"),
                ("tell", "two"),
                ("write", [b"b"]),
                ("tell", "three"),
            ],
        )

    def test_error(self) -> None:
        """After an error of a listener's the driver works on."""
        self.make()

        def tell(event: object) -> None:
            raise ZeroDivisionError

        self.driver.tell = tell
        self.core.told = ["one"]
        self.assertRaises(ZeroDivisionError, self.driver.message, b"x")
        self.core.out = [b"a"]
        self.driver.message(b"y")
        self.assertEqual(self.did, [("write", [b"a"])])


class TimerTests(DriverCase):
    """The one timer."""

    def test_tick(self) -> None:
        """The core is called at its deadline, again at the next, and what it sends goes out."""
        self.make()
        self.core.due, self.core.later = 1.0, [2.5]
        self.driver.settle()
        self.assertEqual(self.timers(), [1.0])
        self.clock.advance(1.0)
        self.assertEqual(self.timers(), [2.5])
        self.core.out = [b"a"]
        self.clock.advance(1.5)
        self.assertEqual(self.core.calls, [("tick", 1.0), ("tick", 2.5)])
        self.assertEqual(self.did, [("write", [b"a"])])
        self.assertEqual(self.timers(), [])

    def test_no_deadline(self) -> None:
        """A core that waits for nothing has no timer."""
        self.make()
        self.driver.message(b"x")
        self.assertEqual(self.timers(), [])

    def test_earlier(self) -> None:
        """A deadline that is earlier than the timer moves it."""
        self.make()
        for self.core.due in (5.0, 2.0):
            self.driver.settle()
            self.assertEqual(self.timers(), [self.core.due])

    def test_later(self) -> None:
        """One that is later leaves it; it comes, sees that nothing is due, and is set again."""
        self.make()
        for self.core.due in (2.0, 5.0):
            self.driver.settle()
        self.assertEqual(self.timers(), [2.0])
        self.clock.advance(2.0)
        self.assertEqual((self.core.calls, self.timers()), ([], [5.0]))
        self.clock.advance(3.0)
        self.assertEqual(self.core.calls, [("tick", 5.0)])

    def test_no_deadline_any_more(self) -> None:
        """A timer for a deadline that was taken back comes to nothing."""
        self.make()
        self.core.due = 2.0
        self.driver.settle()
        self.core.due = None
        self.driver.settle()
        self.clock.advance(2.0)
        self.assertEqual((self.core.calls, self.timers()), ([], []))

    def test_past(self) -> None:
        """A deadline that is over is due at once, and not before now."""
        self.make()
        self.clock.advance(10.0)
        self.core.due = 2.0
        self.driver.settle()
        self.assertEqual(self.timers(), [10.0])
        self.clock.advance(0)
        self.assertEqual(self.core.calls, [("tick", 10.0)])

    def test_clock_that_is_a_hair_early(self) -> None:
        """A timer that comes a hair before its time ticks, and tells the core the time it set."""
        self.make()
        self.core.due = 1.0
        self.driver.settle()
        (timer,) = self.clock.getDelayedCalls()
        self.clock.calls.remove(timer)
        self.clock.rightNow = 1.0 - 1e-9
        timer.func()
        self.assertEqual((self.core.calls, self.timers()), ([("tick", 1.0)], []))

    def test_stop(self) -> None:
        """Stopped, it has no timer and sets none."""
        self.make()
        self.core.due = 1.0
        self.driver.settle()
        self.driver.stop()
        self.assertEqual(self.timers(), [])
        self.driver.settle()
        self.assertEqual(self.timers(), [])
        self.driver.stop()

    @given(st.lists(st.floats(0, 100), min_size=1, max_size=10))
    def test_one_timer(self, deadlines: list[float]) -> None:
        """Whatever deadlines come, there is one timer, never later than the last of them."""
        self.make()
        for self.core.due in deadlines:
            self.driver.settle()
            (at,) = self.timers()
            self.assertLessEqual(at, self.core.due)
        self.clock.pump([101, 0])
        self.assertEqual(self.core.calls, [("tick", 101.0)])


class StrikingTests(DriverCase):
    """The short way of a core that has one when its time has come."""

    def begin(self, *lines: bytes) -> None:
        """A core that strikes with these, and is due after a second."""
        self.make(FakeTickingCore(*lines))
        self.driver.give = self.note("give")
        self.driver.settle()

    def on_a_wheel(self, *lines: bytes) -> None:
        """The same, where the time is that of a wheel and the system takes what is sent."""
        self.begin()
        self.driver.stop()
        self.wheel = TimerWheel(self.clock)
        self.core = FakeTickingCore(*lines)
        self.driver = Driver(self.core, self.wheel)
        self.driver.give, self.driver.send = self.note("give"), self.sent
        self.driver.settle()

    def sent(self, data: bytes) -> int:
        """The system takes it."""
        self.did.append(("send", data))
        return len(data)

    def test_strikes(self) -> None:
        """What it gives is sent, and it is called again when it says, without another verb."""
        self.begin(b"one\n", b"two\n")
        self.core.due = 4.5
        self.clock.advance(1.0)
        self.assertEqual((self.did, self.timers()), ([("give", b"one\n")], [2.5]))
        self.clock.advance(1.5)
        self.assertEqual((self.did[1:], self.timers()), ([("give", b"two\n")], [4.5]))
        self.assertEqual(self.core.calls, [("strike", 1.0), ("strike", 2.5)])

    def test_late(self) -> None:
        """Lines whose time has come are given together."""
        self.begin(b"one\n", b"two\n", b"three\n")
        self.clock.advance(3.0)
        self.assertEqual((self.did, self.timers()), ([("give", b"one\ntwo\n")], [4.0]))

    def test_on_a_wheel(self) -> None:
        """It sends all but the last, at the time of each, and it is one timer."""
        self.on_a_wheel(b"one\n", b"two\n", b"three\n", b"four\n")
        (timer,) = self.wheel.getDelayedCalls()
        for at, due in ((1.01, 2.5), (2.51, 4.0), (4.01, 5.5)):
            self.clock.advance(at - self.clock.seconds())
            self.assertEqual(self.wheel.getDelayedCalls(), [timer])
            self.assertEqual(timer.getTime(), due)
        self.core.due = None
        self.clock.advance(1.5)
        self.assertEqual([what for what, _ in self.did], ["give", "send", "send", "give"])
        self.assertEqual([name for name, *_ in self.core.calls], ["strike", "strike"])

    def test_queue(self) -> None:
        """From when something else has to be sent before, the wheel sends nothing."""
        self.on_a_wheel(b"one\n", b"two\n", b"three\n")
        self.clock.pump([1.01])
        self.driver.queue()
        self.clock.pump([1.5, 1.5])
        self.assertEqual([what for what, _ in self.did], ["give", "give", "give"])

    def test_earlier(self) -> None:
        """What is due before the next line is not kept waiting by it."""
        self.on_a_wheel(b"one\n", b"two\n", b"three\n")
        self.clock.advance(1.01)
        self.driver.settle()
        self.assertEqual([call.getTime() for call in self.wheel.getDelayedCalls()], [2.5])
        self.core.deadline = lambda: 2.0  # type: ignore[method-assign]
        self.driver.settle()
        self.assertEqual([call.getTime() for call in self.wheel.getDelayedCalls()], [2.0])

    def test_without_a_deadline(self) -> None:
        """On a wheel, too, there may be nothing more to be called for."""
        self.on_a_wheel(b"one\n")
        self.core.due = None
        self.clock.advance(1.01)
        self.assertEqual((self.did, self.clock.calls), ([("give", b"one\n")], []))

    def test_ticks_otherwise(self) -> None:
        """Where it does not strike, or nobody takes bytes, it ticks."""
        self.begin()
        self.core.later = [2.0]
        self.clock.advance(1.0)
        self.driver.unplug()
        self.clock.advance(1.0)
        self.assertEqual(self.core.calls, [("strike", 1.0), ("tick", 1.0), ("tick", 2.0)])

    def test_end(self) -> None:
        """Who ends the driver meanwhile finds no timer; who calls the core has it set once."""
        self.begin(b"one\n", b"two\n")
        self.driver.give = lambda data: self.driver.stop()
        self.clock.advance(1.0)
        self.assertEqual(self.timers(), [])
        self.begin(b"one\n")
        self.core.due = 1.5
        self.driver.give = lambda data: self.driver.settle()
        self.clock.advance(1.0)
        self.assertEqual(self.timers(), [1.5])
