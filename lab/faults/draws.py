"""
Random numbers with a distribution, each perhaps like the one before it.

Correlation keeps the distribution: what is correlated is a normal number behind each draw, by an
autoregressive process of order 1 (a Gaussian copula), and not the draw itself. tc-netem mixes
each uniform draw with the one before, which makes it less uniform: with its formula, a loss of
1 % and a correlation of 25 % loses 0.0002 % of a million packets.
"""

from collections.abc import Callable
from math import sqrt
from statistics import NormalDist

from attrs import define, field

from lab.errors import LocalError
from lab.rng import Random

_NORMAL = NormalDist()
#: Where the pareto distribution is cut, in jitters, as in tc-netem's table.
PARETO_CUT = 4.0


@define
class Draws:
    """
    Uniform numbers from 0 to 1, correlated.

    Args:
        random: Where they come from.
        correlation: Of the normal number behind a draw with that of the draw before; 0 to less
            than 1.
    """

    _random: Random = field(repr=False)
    _correlation: float = 0.0
    _last: float | None = None

    def next(self) -> float:
        """The next number."""
        if not self._correlation:
            return self._random.random()
        return _NORMAL.cdf(self.next_normal())

    def next_normal(self) -> float:
        """The next number as a normal one: mean 0, standard deviation 1."""
        fresh = self.fresh()
        if self._last is not None:
            rho = self._correlation
            fresh = rho * self._last + sqrt(1.0 - rho * rho) * fresh
        self._last = fresh
        return fresh

    def fresh(self) -> float:
        """A normal number that is like none before."""
        return self._random.gauss(0.0, 1.0)


def _uniform(draws: Draws) -> float:
    """Flat from -1 to 1."""
    return 2.0 * draws.next() - 1.0


def _normal(draws: Draws) -> float:
    """Standard deviation 1."""
    return draws.next_normal()


def _pareto(draws: Draws) -> float:
    """Shape 3, moved and scaled as in tc-netem: mean about 0, a long tail that is cut."""
    # A correlated draw may round to 1, where the tail has no end.
    left = max(1.0 - draws.next(), 1e-12)
    tail: float = left ** (-1.0 / 3.0)
    return min(PARETO_CUT, (tail - 1.5) * 4.0 / 3.0)


def _paretonormal(draws: Draws) -> float:
    """A quarter normal, three quarters pareto."""
    return 0.25 * draws.fresh() + 0.75 * _pareto(draws)


#: What a jitter of 1 may be: the names are tc-netem's.
DISTRIBUTIONS: dict[str, Callable[[Draws], float]] = {
    "uniform": _uniform,
    "normal": _normal,
    "pareto": _pareto,
    "paretonormal": _paretonormal,
}


def check_correlation(value: float) -> None:
    """
    Refuse what is no correlation.

    Raises:
        LocalError: Not from 0 to less than 1.
    """
    if not 0 <= value < 1:
        raise LocalError(f"correlation is {value:g}; give 0 to less than 1, for example 0.25")
