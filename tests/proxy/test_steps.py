"""Steps, and the order in which they come."""

import math

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.faults.datagrams import Blackhole, Latency
from lab.faults.streams import Partition
from lab.proxy.steps import WORDS, Plan, Step, partition, read_steps

STEPS = st.builds(Step, st.sampled_from(WORDS), st.integers(0, 9), st.integers(0, 4))


class ReadTests(SynchronousTestCase):
    """What is written for a step."""

    def test_read(self) -> None:
        """A time in any unit, perhaps another after which it comes again, and what is done."""
        for text, step in (
            ("10:partition", Step("partition", 10.0)),
            ("500ms/1m:heal", Step("heal", 0.5, 60.0)),
            (".5/.001:down", Step("down", 0.5, 0.001)),
            ("0:latency:latency=100,name=x:y", Step("latency:latency=100,name=x:y", 0.0)),
            ("1:partition:stream=upstream", Step("partition:stream=upstream", 1.0)),
        ):
            self.assertEqual(Step.read(text), step)
        self.assertEqual([Step.read(f"0:{word}").what for word in WORDS], list(WORDS))

    def test_refused(self) -> None:
        """What can't be is one line with what can."""
        for text, line in (
            ("partition", "at is 'partition'; give SECONDS:STEP, for example 10:partition or 10/"),
            ("", "at is ''; give SECONDS:STEP"),
            (":heal", "at is ''; give seconds"),
            ("-1:heal", "at is '-1'; give seconds"),
            ("1/:heal", "at is ''; give seconds"),
            ("1/0:heal", "at is '0'; give 0.001 to 1e+09 s"),
            ("1/100us:heal", "at is '100us'; give 0.001 to 1e+09 s"),
            ("9999999999:heal", "at is '9999999999'; give 0 to 1e+09 s"),
            ("1:", "step is ''; give one of partition, heal, down, up, drop, reset, or a fault"),
            ("1:cure", "step is 'cure'; give one of"),
            ("1:Heal", "step is 'Heal'; give one of"),
        ):
            error = self.assertRaises(LocalError, Step.read, text)
            self.assertTrue(str(error).startswith(line), str(error))

    @given(st.text(max_size=30))
    def test_any_text(self, text: str) -> None:
        """Any text is a step or refused."""
        for word in (text, f"1:{text}", f"1/{text}:heal"):
            try:
                Step.read(word)
            except LocalError:
                continue

    def test_for_protocols(self) -> None:
        """A fault has to be one of each protocol that there is a proxy of."""
        both = ("1:latency:latency=5", "2:partition", "3:blackhole")
        self.assertEqual(len(read_steps(both, ("tcp", "udp"))), 3)
        self.assertEqual(len(read_steps(("1:cut",), ("tcp",))), 1)
        error = self.assertRaises(LocalError, read_steps, ("1:cut",), ("tcp", "udp"))
        self.assertIn("type is 'cut'; give one of", str(error))
        self.assertRaises(LocalError, read_steps, ("1:latency:late=1",), ("tcp",))
        self.assertEqual(read_steps((), ("tcp",)), [])


class ToxicsTests(SynchronousTestCase):
    """What a step gives a proxy."""

    def test_partition(self) -> None:
        """Both directions: streams wait, datagrams are dropped."""
        for protocol, kind in (("tcp", Partition), ("udp", Blackhole)):
            found = [toxic.fault() for toxic in Step("partition", 0.0).toxics(protocol)]
            self.assertEqual(found, [toxic.fault() for toxic in partition(protocol)])
            self.assertEqual([type(fault.settings) for fault in found], [kind] * 2)
            self.assertEqual(
                [(fault.name, fault.stream) for fault in found],
                [(f"partition_{stream}", stream) for stream in ("upstream", "downstream")],
            )

    def test_fault(self) -> None:
        """A fault is a toxic of the name that it has or gets."""
        (toxic,) = Step.read("1:latency:latency=100,after=500,stream=upstream").toxics("udp")
        self.assertEqual((toxic.name, toxic.protocol), ("latency_upstream", "udp"))
        self.assertEqual(toxic.fault().settings, Latency(0.1))
        self.assertEqual(toxic.fault().after, 0.5)

    def test_words(self) -> None:
        """Other steps give none."""
        for word in set(WORDS) - {"partition"}:
            self.assertEqual(Step(word, 0.0).toxics("tcp"), [])


class PlanTests(SynchronousTestCase):
    """When which step is due."""

    def test_once(self) -> None:
        """Each at its time, and those of one time in the order in which they were given."""
        heal, cut, down = Step("heal", 15.0), Step("partition", 10.0), Step("down", 15.0)
        plan = Plan([heal, cut, down])
        self.assertEqual((plan.deadline(), plan.take(9.9)), (10.0, []))
        self.assertEqual(plan.take(10.0), [(10.0, cut)])
        self.assertEqual(plan.deadline(), 15.0)
        self.assertEqual(plan.take(20.0), [(15.0, heal), (15.0, down)])
        self.assertEqual((plan.deadline(), plan.take(99.0)), (None, []))
        self.assertIsNone(Plan([]).deadline())

    def test_again(self) -> None:
        """For ever, at whole periods from the first time: a tenth of a second does not add up."""
        plan = Plan([Step("partition", 1.0, 0.1)])
        for number in range(1000):
            self.assertEqual(plan.deadline(), 1.0 + number * 0.1)
            ((at, _),) = plan.take(plan.deadline() or 0.0)
            self.assertEqual(at, 1.0 + number * 0.1)
        self.assertEqual(Step("heal", 1.0).time(1), math.inf)

    def test_late(self) -> None:
        """Who is late finds each step once, at its last time: what is in force is then right."""
        cut, heal = Step("partition", 10.0, 60.0), Step("heal", 15.0, 60.0)
        plan = Plan([cut, heal])
        self.assertEqual(plan.take(72.0), [(15.0, heal), (70.0, cut)])
        self.assertEqual(plan.take(1e9)[-1][1], heal)
        self.assertEqual(plan.deadline(), 1000000030.0)

    @given(st.lists(STEPS, max_size=6), st.lists(st.integers(0, 5), max_size=12))
    def test_in_time(self, steps: list[Step], waits: list[int]) -> None:
        """Asked at any times, a plan gives for each step its last time, and nothing before it."""
        plan, now, last = Plan(steps), 0.0, -1.0
        for wait in waits:
            now += wait
            found = plan.take(now)
            self.assertEqual([at for at, _ in found], sorted(at for at, _ in found))
            expected = []
            for step in steps:
                every = step.every or 1000
                times = [step.at + n * every for n in range(200) if step.at + n * every <= now]
                if times and times[-1] > last:
                    expected.append((times[-1], step.what))
            self.assertEqual(sorted((at, step.what) for at, step in found), sorted(expected))
            due = plan.deadline()
            self.assertTrue(due is None or due > now)
            last = now
