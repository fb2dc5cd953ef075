"""
A plug-in for pytest: ``pytest_plugins = ["lab.proxy.pytest_plugin"]`` in ``conftest.py``.

A test with an argument ``blocking_proxies`` gets proxies in a thread of their own: they run
whatever the test does. A test with an argument ``proxies`` is one of pytest-twisted's, and they run
in its reactor, while the test waits. Their seed is 0, or that of ``@pytest.mark.seed(7)``. They are
closed after the test; if it fails, pytest shows what happened at them.

There are two fixtures, because a test says only by what it does which one it needs: a test in the
thread of the reactor that waits in a socket of its own would wait for ever.
"""

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from lab.proxy.blocking import BlockingProxies, ReactorThread
from lab.proxy.blocking import blocking_proxies as blocking
from lab.proxy.testing import Proxies, installed

#: The proxies of a test, whatever the fixtures are called by which it came to them.
MADE = pytest.StashKey[list[Proxies | BlockingProxies]]()


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of the marker."""
    config.addinivalue_line("markers", "seed(number): the seed of the proxies")


@pytest.fixture(scope="session")
def _proxy_thread() -> Iterator[ReactorThread]:
    """The thread of all tests."""
    with ReactorThread() as thread:
        yield thread


@pytest.fixture
def blocking_proxies(
    request: pytest.FixtureRequest, _proxy_thread: ReactorThread
) -> Iterator[BlockingProxies]:
    """Proxies for a test that blocks."""
    with blocking(_seed(request), _proxy_thread) as proxies:
        _keep(request, proxies)
        yield proxies


@pytest.fixture
def proxies(request: pytest.FixtureRequest) -> Iterator[Proxies]:
    """Proxies for a test of pytest-twisted's."""
    if not request.config.pluginmanager.hasplugin("twisted"):
        pytest.fail(
            "proxies are for tests of pytest-twisted's, which is not there; "
            "for others there are blocking_proxies",
            pytrace=False,
        )
    from pytest_twisted import blockon

    made = Proxies(installed(), _seed(request))
    _keep(request, made)
    yield made
    blockon(made.close())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what has happened at the proxies of a failing test."""
    told = yield
    if told.when == "call" and told.failed:
        told.sections += [("proxies", made.report()) for made in item.stash.get(MADE, [])]
    return told


def _keep(request: Any, made: Proxies | BlockingProxies) -> None:
    """Remember them for the report."""
    request.node.stash.setdefault(MADE, []).append(made)


def _seed(request: Any) -> int:
    """That of the marker, or 0."""
    marker = request.node.get_closest_marker("seed")
    return marker.args[0] if marker else 0
