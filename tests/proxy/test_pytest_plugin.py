"""The plug-in for pytest, called as pytest calls it."""

import socket
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.proxy import pytest_plugin
from lab.proxy.blocking import ReactorThread


class Request:
    """A stand-in for pytest's request, of a test with these markers."""

    def __init__(self, *plugins: str, **markers: Any) -> None:
        self.node = self.config = self.pluginmanager = self
        self.stash = pytest.Stash()
        self.get_closest_marker = markers.get
        self.hasplugin = plugins.__contains__


def begin(name: str, *arguments: Any) -> Any:
    """What a fixture gives, one after the other."""
    # pytest wraps the function, so that nobody calls a fixture by mistake.
    return getattr(pytest_plugin, name).__wrapped__(*arguments)


class FixtureTests(SynchronousTestCase):
    """The fixtures."""

    def test_blocking(self) -> None:
        """Proxies run in the thread of the session, and are closed at the end."""
        session = begin("_proxy_thread")
        thread = next(session)
        for markers, seed in (({}, 0), ({"seed": pytest.mark.seed(7).mark}, 7)):
            fixture = begin("blocking_proxies", Request(**markers), thread)
            proxies = next(fixture)
            self.assertEqual(proxies.seed, seed)
            address = proxies.before(80).address
            socket.create_connection(address).close()
            self.assertEqual(list(fixture), [])
            self.assertRaises(ConnectionRefusedError, socket.create_connection, address)
            self.assertTrue(thread.call(lambda: thread.reactor.running))
        self.assertEqual(list(session), [])
        self.assertFalse(thread.reactor.running)

    def test_not_there(self) -> None:
        """Without pytest-twisted a test is told what there is."""
        fixture = begin("proxies", Request("other"))
        error = self.assertRaises(pytest.fail.Exception, next, fixture)
        self.assertIn("there are blocking_proxies", str(error))

    def test_marker(self) -> None:
        """The marker is declared, for who allows no others."""
        lines: list[tuple[str, str]] = []
        config: Any = SimpleNamespace(addinivalue_line=lambda *line: lines.append(line))
        pytest_plugin.pytest_configure(config)
        self.assertEqual(
            [(name, text.split("(")[0]) for name, text in lines], [("markers", "seed")]
        )

    def report(self, request: Request, when: str = "call", *, failed: bool = True) -> list[str]:
        """The first lines of what is added to the report of a test."""
        told: Any = SimpleNamespace(when=when, failed=failed, sections=[])
        item: Any = request
        steps = pytest_plugin.pytest_runtest_makereport(item)
        next(steps)
        error = self.assertRaises(StopIteration, steps.send, told)
        self.assertIs(error.value, told)
        self.assertEqual({title for title, _ in told.sections} - {"proxies"}, set())
        return [text.splitlines()[0] for _, text in told.sections]

    def test_report(self) -> None:
        """A test with proxies that fails has their report, both if it has both."""
        with ReactorThread() as thread:
            request = Request("twisted", seed=pytest.mark.seed(7).mark)
            self.assertEqual(self.report(request), [])
            next(begin("blocking_proxies", request, thread))
            self.assertEqual(self.report(request), ["proxies with seed 7:"])
            next(begin("proxies", request))
            self.assertEqual(self.report(request), ["proxies with seed 7:"] * 2)
            self.assertEqual(self.report(request, failed=False), [])
            self.assertEqual(self.report(request, "setup"), [])


class TwistedTests(TestCase):
    """The fixture for pytest-twisted."""

    async def test_proxies(self) -> None:
        """Proxies run in its reactor, and are closed at the end."""
        waiting: list[Deferred[None]] = []
        patched = self.patch(pytest_twisted, "blockon", waiting.append)
        seed = pytest.mark.seed(7).mark
        fixture = begin("proxies", Request("twisted", seed=seed))
        proxies = next(fixture)
        patched.restore()  # or the test itself could not wait
        self.assertEqual(proxies.seed, 7)
        address = proxies.before(80).address
        socket.create_connection(address).close()
        self.assertEqual(list(fixture), [])
        await waiting[0]
        self.assertRaises(ConnectionRefusedError, socket.create_connection, address)
