"""
Tests on a simulated network, under pytest and under trial.

A function of the network, for many seeds: `simulated`. A class of tests, with a network for each:
`SimulationMixin`. For the fixtures of pytest there is `lab.simulator.pytest_plugin`.
"""

from collections.abc import Callable, Iterable
from functools import wraps
from inspect import signature
from typing import Any

from lab.errors import LabError, LocalError
from lab.simulator.exploring import explore
from lab.simulator.network import Network, simulate
from lab.simulator.reports import report
from lab.testing import tell_at_failure

Test = Callable[..., object]


def simulated(seeds: Iterable[int] = range(10)) -> Callable[[Test], Callable[..., None]]:
    """
    Have a test run once for each seed, as by `explore`.

    Args:
        seeds: The seeds.

    Returns:
        A decorator of functions and methods with an argument ``net``, which gets the network.
        Neither pytest nor trial see that argument; others may be fixtures of pytest.

    Raises:
        LocalError: At a function that has none.

    >>> @simulated(seeds=[3, 4])
    ... def test_time(net):
    ...     net.run(60)
    ...     print(net.seed, net.now)
    >>> test_time()
    3 60.0
    4 60.0
    """
    chosen = tuple(seeds)

    def decorate(test: Test) -> Callable[..., None]:
        """Make a test of it."""
        whole = signature(test)
        others = [one for one in whole.parameters.values() if one.name != "net"]
        if len(others) == len(whole.parameters):
            raise LocalError(f"{test.__qualname__}{whole} is simulated; give it an argument net")

        @wraps(test)
        def run(*arguments: Any, **keywords: Any) -> None:
            """Explore."""
            try:
                explore(lambda net: test(*arguments, net=net, **keywords), chosen)
            except LabError:
                # What was logged in all these runs would each be an error of its own for trial.
                getattr(next(iter(arguments), None), "flushLoggedErrors", list)()
                raise

        del run.__wrapped__  # which pytest would look at for fixtures
        run.__signature__ = whole.replace(parameters=others)  # type: ignore[attr-defined]
        return run

    return decorate


class SimulationMixin:
    """
    Mixed into a test case of trial's or unittest's, gives each test a network.

    It is closed after the test, which fails if anything went wrong there. When a test fails, the
    report of its network (see `lab.simulator.reports`) is written to standard error.

    Attributes:
        seed: All that is drawn follows from it; set it in the class.
        net: The network.
    """

    seed = 0
    net: Network

    def setUp(self) -> None:
        """Begin."""
        case: Any = super()
        case.setUp()
        case = self
        manager = simulate(self.seed)
        self.net = manager.__enter__()
        case.addCleanup(manager.__exit__, None, None, None)

    def run(self, result: Any = None) -> Any:
        """Run the test; tell more if it fails."""
        tell_at_failure(self, lambda: report(self.net))
        case: Any = super()
        return case.run(result)
