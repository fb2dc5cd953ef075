"""
A plug-in for pytest: ``pytest_plugins = ["lab.simulator.pytest_plugin"]`` in ``conftest.py``.

A test with an argument ``net`` gets a network of the simulator's. Its seed is 0, or that of
``@pytest.mark.seed(7)``. When the test has ended, anything that went wrong on a host is an error.
When it fails, pytest shows the report of its network, see `lab.simulator.reports`.
"""

from collections.abc import Generator, Iterator

import pytest

from lab.simulator.network import Network, simulate
from lab.simulator.reports import report


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of the marker."""
    config.addinivalue_line("markers", "seed(number): the seed of the simulated network")


@pytest.fixture
def net(request: pytest.FixtureRequest) -> Iterator[Network]:
    """A simulated network."""
    marker = request.node.get_closest_marker("seed")
    with simulate(marker.args[0] if marker else 0) as network:
        yield network


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the network of a failing test has to say."""
    told = yield
    network = getattr(item, "funcargs", {}).get("net")
    if told.when == "call" and told.failed and isinstance(network, Network):
        told.sections.append(("simulation", report(network)))
    return told
