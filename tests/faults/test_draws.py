"""Random numbers with a distribution."""

from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise
from math import erf, sqrt

from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.faults.draws import DISTRIBUTIONS, PARETO_CUT, Draws, check_correlation
from lab.rng import stream

NUMBER = 100_000


def sample(name: str, correlation: float = 0.0, number: int = NUMBER) -> list[float]:
    """So many draws of a distribution."""
    draws = Draws(stream(7, "draws", name, correlation), correlation)
    return [DISTRIBUTIONS[name](draws) for _ in range(number)]


def normal(x: float) -> float:
    """The distribution function of the normal distribution."""
    return 0.5 * (1.0 + erf(x / sqrt(2.0)))


def pareto(x: float) -> float:
    """That of the pareto distribution of shape 3, moved and scaled, and cut."""
    if x >= PARETO_CUT:
        return 1.0
    return 1.0 - (0.75 * x + 1.5) ** -3.0 if x > -2.0 / 3.0 else 0.0


def paretonormal(x: float) -> float:
    """That of a quarter of the one and three quarters of the other: an integral over the first."""
    steps, width = 400, 8.0
    total = 0.0
    for step in range(steps):
        low = -width + 2.0 * width * step / steps
        high = low + 2.0 * width / steps
        middle = (low + high) / 2.0
        total += (normal(high) - normal(low)) * pareto((x - 0.25 * middle) / 0.75)
    return total


FUNCTIONS: dict[str, Callable[[float], float]] = {
    "uniform": lambda x: min(1.0, max(0.0, (x + 1.0) / 2.0)),
    "normal": normal,
    "pareto": pareto,
    "paretonormal": paretonormal,
}


def distance(values: list[float], function: Callable[[float], float], step: int = 1) -> float:
    """The statistic of Kolmogorov and Smirnov, taken at every so-manieth value."""
    values = sorted(values)
    number = len(values)
    found = 0.0
    for index in range(0, number, step):
        there = function(values[index])
        below = bisect_right(values, values[index]) / number
        found = max(found, abs(below - there), abs(index / number - there))
    return found


def autocorrelation(values: list[float]) -> float:
    """Of each value with the one before."""
    mean = sum(values) / len(values)
    over = sum((a - mean) * (b - mean) for a, b in pairwise(values))
    return over / sum((value - mean) ** 2 for value in values)


class DistributionsTests(SynchronousTestCase):
    """Each distribution, alone and correlated."""

    def assertDistributed(self, name: str, correlation: float) -> None:
        """A KS test at p = 0.001; correlated values count for fewer, by (1 - rho) / (1 + rho)."""
        number = NUMBER * (1 - correlation) / (1 + correlation)
        # The integral of paretonormal is slow, and there one value in 50 is enough.
        step = 50 if name == "paretonormal" else 1
        values = sample(name, correlation)
        # The cut gathers a few in 10,000 values at one place, which a continuous test can't take.
        values = [value for value in values if value < PARETO_CUT] if name == "pareto" else values
        scale = pareto(PARETO_CUT - 1e-9) if name == "pareto" else 1.0
        found = distance(values, lambda x: FUNCTIONS[name](x) / scale, step)
        self.assertLess(found, 1.95 / sqrt(number))

    def test_distributions(self) -> None:
        """Draws are distributed as their name says."""
        for name in DISTRIBUTIONS:
            self.assertDistributed(name, 0.0)

    def test_correlation_keeps_the_distribution(self) -> None:
        """The same holds for draws that are like the one before."""
        for name in DISTRIBUTIONS:
            self.assertDistributed(name, 0.5)

    def test_correlation(self) -> None:
        """Normal draws have just the correlation that was asked for, to 0.02."""
        for correlation in (0.25, 0.5, 0.9):
            found = autocorrelation(sample("normal", correlation))
            self.assertApproximates(found, correlation, 0.02)

    def test_no_correlation(self) -> None:
        """Without one, there is none."""
        for name in DISTRIBUTIONS:
            self.assertApproximates(autocorrelation(sample(name)), 0.0, 0.02)

    def test_pareto_is_that_of_netem(self) -> None:
        """Mean about 0, standard deviation 0.8, at most 4 and at least -2/3."""
        values = sample("pareto")
        mean = sum(values) / NUMBER
        self.assertApproximates(mean, -0.03, 0.02)
        self.assertApproximates(sqrt(sum((v - mean) ** 2 for v in values) / NUMBER), 0.82, 0.03)
        self.assertEqual(max(values), PARETO_CUT)
        self.assertGreaterEqual(min(values), -2.0 / 3.0)

    def test_a_tail_without_an_end(self) -> None:
        """A draw of 1, to which a normal number far out rounds, is cut like any other."""

        class Far(Draws):
            """It draws nothing but 1."""

            def next(self) -> float:
                """One."""
                return 1.0

        self.assertEqual(DISTRIBUTIONS["pareto"](Far(stream(7))), PARETO_CUT)

    def test_seed(self) -> None:
        """Equal streams give equal draws."""
        for name in DISTRIBUTIONS:
            self.assertEqual(sample(name, 0.5, 100), sample(name, 0.5, 100))

    def test_wrong_correlation(self) -> None:
        """1 would repeat one number for ever; less than 0 says nothing."""
        for value in (-0.1, 1.0, float("nan")):
            self.assertRaises(LocalError, check_correlation, value)
        check_correlation(0.0)
        check_correlation(0.999)
