"""The rank test, and the correction for many tests."""

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.experiments.ranks import holm, least_possible, rank_test

SOME = st.lists(st.integers(0, 5), min_size=1, max_size=5)


class RankTests(SynchronousTestCase):
    """The test of Mann and Whitney."""

    def test_known(self) -> None:
        """Figures that SciPy 1.17 gives: exact, with equal values, and of many."""
        one = [0.346, 0.822, 0.33, -1.303, 0.905, 0.446, -0.537, 0.581, 0.365, 0.294]
        other = [0.828, 1.347, 0.064, 0.637, 0.318, 1.399, 0.84, 0.508, 0.018, 0.543]
        self.assertApproximates(rank_test(one, other), 0.21756262313537858, 1e-12)
        equal = [1, 1, 2, 3, 3], [2, 3, 3, 4, 5, 5]
        self.assertApproximates(rank_test(*equal), 0.0735930735930736, 1e-12)
        many = list(range(25)), [number + 7 for number in range(0, 50, 2)]
        self.assertApproximates(rank_test(*many), 1.1041864340722743e-05, 1e-12)

    @settings(max_examples=40, deadline=None)
    @given(SOME, SOME)
    def test_by_counting(self, one: list[int], other: list[int]) -> None:
        """The exact test is what counting all choices gives."""
        both = [*one, *other]
        ranks = [sum(y < x for y in both) + (both.count(x) + 1) / 2 for x in both]
        sums = [sum(choice) for choice in combinations(ranks, len(one))]
        found = sum(ranks[: len(one)])
        side = min(sum(s <= found for s in sums), sum(s >= found for s in sums))
        self.assertApproximates(rank_test(one, other), min(1, 2 * side / len(sums)), 1e-12)

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.floats(0, 9), max_size=60), st.lists(st.floats(0, 9), max_size=60))
    def test_symmetric(self, one: list[float], other: list[float]) -> None:
        """It is a probability, the same whichever comes first, and 1 of a run with itself."""
        found = rank_test(one, other)
        self.assertTrue(0 <= found <= 1)
        self.assertApproximates(found, rank_test(other, one), 1e-9)
        self.assertEqual(rank_test(one, one), 1.0)

    def test_empty(self) -> None:
        """Of nothing nothing is said."""
        self.assertEqual((rank_test([], [1.0]), rank_test([1.0], [])), (1.0, 1.0))

    def test_equal(self) -> None:
        """Of many equal values, too."""
        self.assertEqual(rank_test([1] * 30, [1] * 30), 1.0)

    def test_least(self) -> None:
        """No difference between so few is less probable than this."""
        for one, other in ((1, 1), (3, 3), (4, 6)):
            apart = rank_test(range(one), range(10, 10 + other))
            self.assertApproximates(apart, least_possible(one, other), 1e-12)


class HolmTests(SynchronousTestCase):
    """The correction."""

    def test_known(self) -> None:
        """The example of the method: 0.005, 0.01, 0.03, 0.04 become 0.02, 0.03, 0.06, 0.06."""
        found = holm([0.04, 0.01, 0.03, 0.005])
        for got, right in zip(found, [0.06, 0.03, 0.06, 0.02], strict=True):
            self.assertApproximates(got, right, 1e-12)

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.floats(0, 1), max_size=8))
    def test_order(self, given_: list[float]) -> None:
        """None becomes smaller or larger than 1, and their order stays."""
        found = holm(given_)
        for before, after in zip(given_, found, strict=True):
            self.assertTrue(before <= after <= 1)
        pairs = sorted(zip(given_, found, strict=True))
        self.assertEqual([after for _, after in pairs], sorted(found))
