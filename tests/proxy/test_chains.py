"""The faults of a relay by their names, and what they have hit."""

from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.faults.datagrams import Blackhole, Duplicate, Latency, Loss
from lab.faults.fault import Fault
from lab.faults.streams import Cut, Partition, Slicer
from lab.proxy.chains import Chain


class Counting:
    """A relay that hits when it is told to, and forgets as relays do."""

    def __init__(self) -> None:
        self.hits: dict[str, int] = {}
        self.ways: tuple[list[Fault], list[Fault]] = ([], [])
        self.refuses = False

    def set_faults(self, upstream: Sequence[Fault], downstream: Sequence[Fault]) -> None:
        """Keep them."""
        if self.refuses:
            raise LocalError("no")
        self.ways = (list(upstream), list(downstream))
        names = self.names
        self.hits = {name: hits for name, hits in self.hits.items() if name in names}

    @property
    def names(self) -> set[str]:
        """Those in force."""
        return {fault.name for way in self.ways for fault in way}

    def hit(self, name: str) -> None:
        """Do something."""
        self.hits[name] = self.hits.get(name, 0) + 1


class ChainTests(SynchronousTestCase):
    """What is in force."""

    def setUp(self) -> None:
        """Have a relay."""
        self.relay = Counting()
        self.chain = Chain(self.relay, "db", "tcp")

    def names(self) -> tuple[list[str], list[str]]:
        """What the relay has, upstream and downstream."""
        up, down = ([fault.name for fault in way] for way in self.relay.ways)
        return up, down

    def test_add(self) -> None:
        """In the order in which they came, in their direction, with all that was said of them."""
        self.chain.add(Latency(0.1), None, "downstream", 0.5, {"after": 1.0, "every": 9.0,
                                                              "duration": 2.0})  # fmt: skip
        self.chain.add(Loss(0.5), "lossy", "upstream")
        self.chain.add(Slicer(1), None, "both")
        self.assertEqual(self.names(), (["lossy", "slicer"], ["latency", "slicer"]))
        expected = Fault(
            Latency(0.1), "latency", "downstream", 0.5, after=1.0, every=9.0, duration=2.0
        )
        self.assertEqual(self.relay.ways[1][0], expected)
        self.assertEqual(
            [fault.name for fault in self.chain.faults()],
            ["latency", "lossy", "slicer", "slicer"],
        )
        self.assertIn("lossy", self.chain)
        self.assertNotIn("loss", self.chain)

    def test_names(self) -> None:
        """One without a name gets its type, and a number if that is taken."""
        found = [self.chain.add(Latency(one / 10), None, "upstream") for one in range(3)]
        self.assertEqual(found, ["latency", "latency_2", "latency_3"])
        self.chain.remove("latency_2")
        self.assertEqual(self.chain.add(Latency(), None, "downstream"), "latency_2")

    def test_refused(self) -> None:
        """What can't be is refused, and changes nothing."""
        self.chain.add(Latency(0.1), "late", "upstream")
        before = self.names()
        for arguments, text in (
            ((Loss(0.1), "late", "upstream"), "db has a fault 'late'; give another name"),
            ((Loss(0.1), None, "up"), "stream is 'up'; give upstream or downstream"),
            ((Loss(0.1), None, "both", 2.0), "toxicity is 2; give 0 to 1"),
            ((Duplicate(0.1), None, "both"), (
                "fault of tcp is Duplicate(probability=0.1, copies=1); give one of Bandwidth, "
                "Blackhole, Corrupt, Cut, Latency, LimitData, Loss, Noop, PacketLoss, Partition, "
                "ResetPeer, Slicer, SlowClose, Timeout"
            )),
        ):  # fmt: skip
            error = self.assertRaises(LocalError, self.chain.add, *arguments)
            self.assertEqual(str(error), text)
        self.relay.refuses = True
        self.assertRaises(LocalError, self.chain.add, Loss(0.1), None, "upstream")
        self.assertRaises(LocalError, self.chain.remove, "late")
        self.assertEqual((self.names(), [*self.chain.hits()]), (before, ["late"]))
        self.assertIn("late", self.chain)

    def test_datagrams(self) -> None:
        """Datagrams have other faults; one of streams would do nothing to them."""
        chain = Chain(self.relay, "ns", "udp")
        chain.add(Duplicate(0.5), None, "upstream")
        error = self.assertRaises(LocalError, chain.add, Partition(), None, "upstream")
        self.assertIn("fault of udp is Partition(); give one of Bandwidth, ", str(error))

    def test_remove(self) -> None:
        """It is gone, in both directions, and can't be removed again."""
        error = self.assertRaises(LocalError, self.chain.remove, "loss")
        self.assertEqual(str(error), "fault of db is 'loss'; there is none")
        self.chain.add(Loss(0.5), None, "both")
        self.chain.add(Latency(0.5), None, "both")
        self.chain.remove("loss")
        self.assertEqual(self.names(), (["latency"], ["latency"]))
        error = self.assertRaises(LocalError, self.chain.remove, "loss")
        self.assertEqual(str(error), "fault of db is 'loss'; give one of latency")

    def test_cut(self) -> None:
        """A cut is one fault of both directions, however often it is made; healing ends it."""
        self.chain.heal()
        self.assertEqual([self.chain.cut(), self.chain.cut()], ["partition"] * 2)
        self.assertEqual(self.names(), (["partition"], ["partition"]))
        self.assertEqual({one.settings for one in self.chain.faults()}, {Partition()})
        self.chain.heal()
        self.chain.heal()
        self.assertEqual(self.names(), ([], []))

    def test_cut_beside_others(self) -> None:
        """Other faults with such names are none of its business."""
        self.chain.add(Partition(), None, "upstream")
        self.chain.add(Cut(0.1), None, "upstream")
        self.assertEqual(self.chain.cut(), "partition_2")
        self.chain.remove("partition_2")
        self.assertEqual(self.chain.cut(), "partition_2")
        self.chain.heal()
        self.assertEqual(self.names(), (["partition", "cut"], []))

    def test_cut_of_datagrams(self) -> None:
        """They are lost."""
        Chain(self.relay, "ns", "udp").cut()
        self.assertEqual({one.settings for way in self.relay.ways for one in way}, {Blackhole()})

    def test_hits(self) -> None:
        """They add up over the life of a fault, and over several of one name."""
        self.assertEqual(self.chain.hits(), {})
        self.chain.add(Loss(0.5), None, "upstream")
        self.chain.add(Latency(0.5), None, "upstream")
        self.relay.hit("loss")
        self.assertEqual(self.chain.hits(), {"loss": 1, "latency": 0})
        self.chain.remove("loss")
        self.assertEqual(self.chain.hits(), {"loss": 1, "latency": 0})
        self.chain.add(Loss(0.5), None, "upstream")
        self.relay.hit("loss")
        self.relay.hit("latency")
        self.assertEqual(self.chain.hits(), {"loss": 2, "latency": 1})


NAMES = st.sampled_from(["a", "b", "c", None])


class AnyOrder(RuleBasedStateMachine):
    """Whatever is added, taken away and hit: no hit is lost, and none is made up."""

    def __init__(self) -> None:
        super().__init__()
        self.relay = Counting()
        self.chain = Chain(self.relay, "db", "tcp")
        self.expected: dict[str, int] = {}

    @rule(name=NAMES, stream=st.sampled_from(["upstream", "downstream", "both"]))
    def add(self, name: str | None, stream: str) -> None:
        """Add one."""
        if name in self.chain:
            return
        self.expected.setdefault(self.chain.add(Loss(0.5), name, stream), 0)

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        """Take one away."""
        if self.relay.names:
            self.chain.remove(data.draw(st.sampled_from(sorted(self.relay.names))))

    @rule()
    def cut(self) -> None:
        """Cut."""
        self.expected.setdefault(self.chain.cut(), 0)

    @rule()
    def heal(self) -> None:
        """Heal."""
        self.chain.heal()

    @rule(data=st.data())
    def hit(self, data: st.DataObject) -> None:
        """One does something."""
        if self.relay.names:
            name = data.draw(st.sampled_from(sorted(self.relay.names)))
            self.relay.hit(name)
            self.expected[name] += 1

    @invariant()
    def counted(self) -> None:
        """Hits are those that there were, and the relay has what is in force."""
        assert self.chain.hits() == self.expected
        assert {fault.name for fault in self.chain.faults()} == self.relay.names


class AnyOrderTests(SynchronousTestCase):
    """The machine above."""

    def test_any_order(self) -> None:
        """No order of calls loses count."""
        run_state_machine_as_test(
            AnyOrder, settings=settings(deadline=None, max_examples=50, stateful_step_count=30)
        )
