"""
Makes trial's `TestCase` run under pytest-twisted.

pytest-twisted runs the reactor in a greenlet for the whole session, and trial's `TestCase`
would like to start and stop it for each test. Here it waits in pytest-twisted's way instead.
`tests/pytest_only/test_trial.py` is the canary: it fails if left-over calls, errors in the log
or unhandled failures no longer fail a test.
"""

from typing import Any

import pytest
import pytest_twisted
from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.trial import _asynctest, util


def _wait(self: Any, deferred: "Deferred[Any]", running: object = None) -> None:
    """Wait for a Deferred that has no failure."""
    pytest_twisted.blockon(deferred)


def _clean_pending(self: Any) -> list[str]:
    """Cancel what is left in the reactor, and say what it was."""
    reactor = self._getReactor()
    for _ in range(2):  # let short calls run out, as trial does with two iterations
        pytest_twisted.blockon(task.deferLater(reactor, 0))
    pending = [call for call in reactor.getDelayedCalls() if call.active()]
    texts = [str(call) for call in pending]
    for call in pending:
        call.cancel()
    return texts


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process has it still to do when others are done."""
    items.sort(key=lambda item: item.get_closest_marker("early") is None)


@pytest.hookimpl(trylast=True)  # pytest-twisted installs its reactor in the same hook
def pytest_configure() -> None:
    """Replace the two methods that would run the reactor themselves."""
    pytest_twisted.init_twisted_greenlet()
    if pytest_twisted._instances.gr_twisted is not None:
        _asynctest.TestCase._wait = _wait
        util._Janitor._cleanPending = _clean_pending
