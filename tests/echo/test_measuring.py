"""What the cores that measure share: plans, rows, quitting."""

import math
from typing import Any

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase

from lab.echo import intervals
from lab.echo.attempts import CHALLENGES, Attempts
from lab.echo.measuring import AGAIN, COPIES, LAST, MORE, Measuring, Plan
from lab.echo.oneway import OneWay
from lab.echo.outcomes import Broken, Cut, Done, Gone, Measured, Rejected, Row, Stalled
from lab.echo.wire import Challenge, Refused
from lab.errors import LocalError, NoAnswer, Unreachable
from lab.testing import Playbook
from tests.echo.cores import TOKEN, common, result, rows


@define(eq=False, kw_only=True)
class Meter(Measuring):
    """A measure to which packets come by themselves, of no delay."""

    overdue: list[float] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        """The meter."""
        super().__attrs_post_init__()
        self.meter = OneWay(self.plan.count, interval=self.plan.rows)
        self.meter.stopped()

    def open(self, now: float) -> None:
        """There is a transport."""
        self._opened = True

    def message(self, data: bytes, now: float) -> None:
        """A packet with this number."""
        self._now = now
        if self._start is None:
            self._start = now
        self.heard = True
        self.meter.arrived(int(data), now, now, 64)
        self._due = now + self.plan.timeout

    def _overdue(self, now: float) -> None:
        """Silence."""
        super()._overdue(now)
        self.overdue.append(now)
        self._stall(now)


def make(*, datagrams: bool = True, **words: Any) -> Meter:
    """A measure of ten packets."""
    plan = Plan(**{"interval": 0.1, "count": 10, "size": 64, **words})
    return Meter(plan=plan, **common(datagrams=datagrams))


class PlanTests(SynchronousTestCase):
    """What may be asked for."""

    def test_allowed(self) -> None:
        """The ends of what is allowed are."""
        Plan(0, 1, 64, timeout=0.001, late=0, rows=0.1)
        Plan(3600, 10**9, 65_507, timeout=3600.1, late=9.0, rows=1e6)

    def test_endless(self) -> None:
        """Copies without end are one."""
        core = make()
        core.open(0.0)
        core.message(b"1", 0.0)
        for _ in range(10 * COPIES + MORE):
            core._arrived(0.0)
        self.assertEqual(core.events(), [])
        core._arrived(0.0)
        self.assertIsInstance(result(core.events()), Broken)

    def test_refused(self) -> None:
        """What is beyond them is not, and the error says what is."""
        right = {"interval": 0.1, "count": 10, "size": 64}
        wrong: dict[str, tuple[float, ...]] = {
            "interval": (-0.001, 3600.1, math.nan),
            "count": (0, 10**9 + 1),
            "size": (63, 65_508),
            "rows": (0, 0.01, math.inf),
            "late": (-1, math.nan),
            "timeout": (0, 0.1, math.inf, math.nan),
        }
        for name, values in wrong.items():
            for value in values:
                words: dict[str, Any] = {**right, name: value}
                error = self.assertRaises(LocalError, Plan, **words)
                self.assertIn("; give ", str(error))
                self.assertIn(f" is {value:g}", str(error))


class RowTests(SynchronousTestCase):
    """Rows while it lasts."""

    def test_rows(self) -> None:
        """Each is told when it is over, also one in which nothing came, and the last at the end."""
        core = make(timeout=3.0)
        play = Playbook(core).does(core.open)
        play.receives(b"0").wait(0.5).receives(b"1").wait(2.0).receives(b"3").wait(0.1)
        self.assertEqual([round(when, 9) for when, _, _ in play._seen], [1.0, 2.0])
        core.stop(play.now)
        events = core.events()
        seen = [event for _, _, event in play._seen]
        found = rows([*seen, *events])
        self.assertEqual(found, [(0.0, 1.0, 2, 0), (1.0, 2.0, 0, 0), (2.0, 3.0, 1, 1)])
        self.assertIsInstance(events[-1], Done)

    def test_no_rows(self) -> None:
        """Before something came there are none."""
        core = make()
        play = Playbook(core).does(core.open).wait(9.0)
        self.assertIsNone(core.deadline())
        play.end()

    def test_only_the_end(self) -> None:
        """A stream of which nothing came but its end has rows, too, in which there is nothing."""
        core = make()
        core.open(0.0)
        core._start = 5.0
        core.tick(6.0)
        self.assertEqual(rows(core.events()), [(0.0, 1.0, 0, 0)])

    def test_many_rows(self) -> None:
        """When there are too many they get twice as long, and each time is shown once."""
        self.patch(intervals, "ROWS", 40)
        core = make(rows=0.1, timeout=10.0)
        core.open(0.0)
        shown: list[tuple[float, float, int, int]] = []
        core.message(b"0", 0.0)
        now, number = 0.0, 0
        while number < 9:
            number += 1
            until = now + 1.0
            while (deadline := core.deadline()) is not None and deadline <= until:
                core.tick(deadline)
                shown += rows(core.events())
            now = until
            core.message(b"%d" % number, now)
        ends = [0.0, *(end for _, end, _, _ in shown)]
        for before, (start, end, _, _) in zip(ends, shown, strict=False):
            self.assertAlmostEqual(start, before, delta=0.11)
            self.assertGreater(end, start)
        self.assertAlmostEqual(shown[-1][1] - shown[-1][0], 0.4)


class EndTests(SynchronousTestCase):
    """How it ends."""

    def quits(self, play: Playbook, at: float) -> None:
        """The server is told to stop, three times."""
        for later in (0.0, *AGAIN):
            play.wait(max(0.0, at + later - play.now)).sends(b"#a-1 quit", at + later)

    def test_stop(self) -> None:
        """What there is so far is the end; the server is told to stop; behind that is nothing."""
        core = make()
        core.open(0.0)
        core.message(b"1", 0.0)
        core.stop(0.5)
        core.stop(0.5)
        measured = result(core.events())
        self.assertEqual(measured, Measured(core.meter.report()))
        self.assertEqual(core.outgoing(), [b"#a-1 quit"])
        play = Playbook(core, 0.5)
        play.wait(0.05).sends(b"#a-1 quit", 0.55).wait(1.0).sends(b"#a-1 quit", 0.7)
        play.tells(Gone(), 0.7).end()
        self.assertIsNone(core.deadline())

    def test_stop_before(self) -> None:
        """Without anything to tell there is no end; without a transport, nothing to be sent."""
        core = make()
        core.stop(0.0)
        self.assertEqual((core.events(), core.outgoing()), ([Gone()], []))
        core = make()
        core.open(0.0)
        core.stop(0.0)
        self.assertEqual((core.events(), core.outgoing()), ([], [b"#a-1 quit"]))

    def test_stop_on_a_connection(self) -> None:
        """There it is said once, and that is it."""
        core = make(datagrams=False)
        core.open(0.0)
        core.message(b"1", 0.0)
        core.stop(0.5)
        self.assertEqual(core.outgoing(), [b"#a-1 quit"])
        self.assertEqual(core.events()[-1], Gone())

    def test_lost(self) -> None:
        """A way that ends is told: as it is, or with what there was."""
        core = make()
        core.open(0.0)
        core.lost(error := NoAnswer("no way"), 0.0)
        self.assertIs(result(core.events()), error)
        self.assertEqual(core.outgoing(), [])
        core = make()
        core.open(0.0)
        core.message(b"1", 0.0)
        core.lost(Unreachable("it broke"), 0.0)
        events = core.events()
        cut = result(events)
        assert isinstance(cut, Cut)
        self.assertEqual((str(cut), cut.so_far), ("it broke", core.so_far()))
        self.assertEqual((core.outgoing(), events[-1]), ([b"#a-1 quit"], Gone()))

    def test_lost_while_quitting(self) -> None:
        """Who was just saying quit says so a last time."""
        core = make()
        core.open(0.0)
        core.message(b"1", 0.0)
        core.stop(0.0)
        core.events()
        core.outgoing()
        core.lost(Unreachable("the client was closed"), 0.01)
        self.assertEqual((core.events(), core.deadline()), ([Gone()], None))
        self.assertEqual(core.outgoing(), [b"#a-1 quit"])

    def test_stalled(self) -> None:
        """A silence is told with what there was."""
        core = make(timeout=2.5, rows=1.0)
        play = Playbook(core).does(core.open).receives(b"1").wait(2.5)
        events = [event for _, kind, event in play._seen if kind == "told"]
        stalled = result(events)
        assert isinstance(stalled, Stalled)
        self.assertEqual((str(stalled), core.overdue), ("nothing came for 2.5 s", [2.5]))
        self.assertEqual(len([event for event in events if isinstance(event, Row)]), 2)

    def test_wrong(self) -> None:
        """What is not in the protocol ends a connection, and is counted over datagrams."""
        core = make()
        core._wrong("nonsense", 0.0)
        self.assertEqual((core.events(), core.traffic.malformed), ([], 1))
        core = make(datagrams=False)
        core.open(0.0)
        core._wrong("nonsense", 0.0)
        broken = result(core.events())
        assert isinstance(broken, Broken)
        self.assertEqual((str(broken), broken.so_far), ("nonsense", None))
        core = make(datagrams=False)
        core.open(0.0)
        core.message(b"1", 0.0)
        core._wrong("nonsense", 0.0)
        self.assertEqual(result(core.events()).so_far, core.so_far())

    def test_endless(self) -> None:
        """Copies without end are one."""
        core = make()
        core.open(0.0)
        core.message(b"1", 0.0)
        for _ in range(10 * COPIES + MORE):
            core._arrived(0.0)
        self.assertEqual(core.events(), [])
        core._arrived(0.0)
        self.assertIsInstance(result(core.events()), Broken)

    def test_refused(self) -> None:
        """A refusal is the end; a challenge is met, unless there are too many of them."""
        core, attempts = make(), Attempts(b"#a-1 word", iter([1.0]))
        for _ in range(CHALLENGES + 1):
            core._refused(Challenge(TOKEN), attempts)
        self.assertEqual(core.outgoing(), [b"token=" + TOKEN + b" #a-1 word"] * CHALLENGES)
        core._refused(refused := Refused(300, "no"), attempts)
        events = core.events()
        rejected = result(events)
        assert isinstance(rejected, Rejected)
        self.assertEqual((rejected.reply, events[-1]), (refused, Gone()))

    def test_grace(self) -> None:
        """What is on its way has longer the more delays differ, and never more than the timeout."""
        core = make(timeout=5.0)
        self.assertEqual(core._grace(), LAST)
        core._arrived(7.0)
        self.assertEqual(core._grace(), LAST)
        core._arrived(8.0)
        self.assertEqual(core._grace(), LAST + 2.0)
        core._arrived(80.0)
        self.assertEqual(core._grace(), 5.0)
