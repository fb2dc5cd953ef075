"""The order in which numbered packets came."""

from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.echo import order as room
from lab.echo.order import GAPS, REACH, Kind, Mark, Order
from tests.echo.model import Model, Seen


def told(numbers: list[int]) -> tuple[Order[int], list[Mark[int]]]:
    """What is told of these numbers; a tag is the place in the list."""
    order: Order[int] = Order()
    return order, [order.arrived(number, tag) for tag, number in enumerate(numbers)]


class OrderTests(SynchronousTestCase):
    """Numbers one by one."""

    def test_in_order(self) -> None:
        """Each is above all before it, and knows its neighbour."""
        order, marks = told([0, 1, 2])
        self.assertEqual(marks, [Mark(Kind.NEXT, 0, left) for left in (None, 0, 1)])
        self.assertEqual((order.received, order.missing, order.reordered), (3, 0, 0))

    def test_reordered(self) -> None:
        """One that comes behind two higher ones: RFC 4737's extent, n, and who jumped over it."""
        _, marks = told([0, 1, 3, 4, 2])
        self.assertEqual(marks[2], Mark(Kind.NEXT, skipped=1))
        self.assertEqual(marks[4], Mark(Kind.REORDERED, left=1, right=2, jump=2, extent=2, n=2))

    def test_reordered_among_others(self) -> None:
        """The extent counts from the first that jumped, n only those right before."""
        _, marks = told([5, 0, 4, 3, 1, 2])
        told_of = [(mark.extent, mark.n) for mark in marks[1:]]
        self.assertEqual(told_of, [(1, 1), (2, 0), (3, 1), (4, 2), (5, 0)])

    def test_several(self) -> None:
        """Three come behind four: extents 4, 5, 6; only one has higher ones right before."""
        _, marks = told([number - 1 for number in (1, 2, 3, 7, 8, 9, 10, 4, 5, 6, 11)])
        self.assertEqual([mark.extent for mark in marks[7:]], [4, 5, 6, 0])
        self.assertEqual([mark.n for mark in marks[7:]], [4, 0, 0, 0])

    def test_duplicates(self) -> None:
        """A copy is one whether the first came in order or not, and changes no extent."""
        order, marks = told([0, 2, 2, 0, 1, 1])
        kinds = [mark.kind.value for mark in marks]
        self.assertEqual(
            kinds, ["next", "next", "duplicate", "duplicate", "reordered", "duplicate"]
        )
        self.assertEqual((marks[4].extent, order.duplicates, order.missing), (1, 3, 0))

    def test_absent(self) -> None:
        """Which numbers of a range have not come: in gaps, and above all that came."""
        order, _ = told([0, 3, 4, 8])
        for first, stop, absent in (
            (0, 9, [1, 2, 5, 6, 7]), (2, 11, [2, 5, 6, 7, 9, 10]), (6, 9, [6, 7]), (9, 10, [9]),
        ):  # fmt: skip
            self.assertEqual(list(order.absent(first, stop)), absent)
        self.assertEqual(list(Order[int]().absent(1, 3)), [1, 2])

    def test_far_ahead(self) -> None:
        """A number a quintillion ahead costs no more than any other."""
        order, marks = told([0, 10**18, 10**9])
        self.assertEqual((marks[1].skipped, marks[2].extent), (10**18 - 1, 1))
        self.assertEqual(order.missing, 10**18 + 1 - 3)

    def test_forgotten(self) -> None:
        """What is from before the last gaps is neither a copy nor comes behind: it is forgotten."""
        order, _ = told(list(range(1, 2 * GAPS, 2)))
        self.assertEqual(order.arrived(0, 0).kind, Kind.REORDERED)
        order.arrived(2 * GAPS + 1, 0)
        order.arrived(2 * GAPS + 3, 0)
        received = order.received
        for number in (1, 2):
            self.assertEqual(order.arrived(number, 0).kind, Kind.FORGOTTEN)
        self.assertEqual((order.forgotten, order.received), (2, received))
        self.assertEqual(order.arrived(4, 0).kind, Kind.REORDERED)
        self.assertEqual(len(order._gaps), GAPS - 1)
        # What was lost before stays in the sums.
        self.assertEqual(order.losses(0).periods.count, order.missing)

    def test_reach(self) -> None:
        """Higher ones right before are counted so far back and no farther."""
        _, marks = told([*range(1, 2 * REACH), 0])
        self.assertEqual(marks[-1].n, REACH)
        self.assertEqual(marks[-1].extent, 2 * REACH - 1)

    def test_losses(self) -> None:
        """Runs of lost numbers, those at both ends included (RFC 3357)."""
        order, _ = told([2, 5, 4])
        losses = order.losses(9)
        self.assertEqual(losses.periods.buckets(), [(1, 1), (2, 1), (3, 1)])
        self.assertEqual(losses.distances.buckets(), [(1, 3), (2, 1), (3, 1)])
        self.assertEqual(order.losses(0).periods.buckets(), [(1, 1), (2, 1)])
        self.assertEqual(Order().losses(0).periods.count, 0)


class OrderPropertyTests(SynchronousTestCase):
    """Any numbers in any order, beside the definitions."""

    def compare(self, numbers: list[int]) -> None:
        """All that is told is what the definitions say."""
        order, marks = told(numbers)
        model = Model([Seen(n, 0.0, float(at)) for at, n in enumerate(numbers)], 0)
        for at, (one, mark) in enumerate(zip(model.taken, marks, strict=True)):
            if one not in model.firsts:
                self.assertEqual(mark, Mark(Kind.DUPLICATE))
                continue
            jump = model.jump(one)
            self.assertEqual(mark.jump, None if jump is None else int(jump.at))
            self.assertEqual((mark.extent, mark.n), (model.extent(one), model.n(one)))
            before = {other.number: int(other.at) for other in model.firsts if other.at < at}
            self.assertEqual(mark.left, before.get(one.number - 1))
            self.assertEqual(mark.right, before.get(one.number + 1))
        self.assertEqual(order.received, len(model.firsts))
        self.assertEqual(order.reordered, len(model.reordered))
        self.assertEqual(order.duplicates, len(numbers) - len(model.firsts))
        count = model.packets + 2
        lengths = Model(model.seen, count).bursts
        losses = order.losses(count)
        self.assertEqual(
            [(length, lengths.count(int(length))) for length, _ in losses.periods.buckets()],
            losses.periods.buckets(),
        )
        self.assertEqual(losses.periods.count, len(lengths))
        self.assertEqual(losses.distances.count, max(0, sum(lengths) - 1))

    @settings(deadline=None)
    @given(st.lists(st.integers(0, 30), max_size=40))
    def test_any(self, numbers: list[int]) -> None:
        """Any numbers."""
        self.compare(numbers)

    @settings(deadline=None)
    @given(st.permutations(range(20)))
    def test_permutations(self, numbers: list[int]) -> None:
        """All of them, in any order."""
        self.compare(numbers)

    @settings(deadline=None)
    @given(st.lists(st.integers(0, 60), max_size=60))
    def test_few_gaps(self, numbers: list[int]) -> None:
        """When few gaps are remembered, the sums still agree with each other."""
        with mock.patch.object(room, "GAPS", 3):
            order, marks = told(numbers)
        kinds = [mark.kind for mark in marks]
        self.assertEqual(order.received + order.duplicates + order.forgotten, len(numbers))
        self.assertEqual(order.forgotten, kinds.count(Kind.FORGOTTEN))
        self.assertLessEqual(len(order._gaps), 3)
        losses = order.losses(order.highest + 1)
        self.assertEqual(
            sum(length * times for length, times in losses.periods.buckets()), order.missing
        )
