"""From options to a client."""

from typing import Any

import click
from click.testing import CliRunner
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from lab.arithmetic import tcp, udp
from lab.arithmetic.settings import ClientSettings
from lab.backoff import Backoff
from lab.commands.asking import make_backoff, make_client, make_settings, retry_options
from lab.errors import LocalError

USUAL: dict[str, Any] = {
    "timeout": 1.0, "backoff": False, "max_timeout": 2.0, "attempts": None, "jitter": 0.0,
}  # fmt: skip


def settings(**changes: Any) -> ClientSettings:
    """The settings for the usual options with these changes."""
    return make_settings(**USUAL | changes)


class OptionsTests(SynchronousTestCase):
    """The options of attempts."""

    def test_options(self) -> None:
        """They are those that settings are made of, with their defaults."""
        given: dict[str, Any] = {}

        @click.command()
        @retry_options
        def command(**options: Any) -> None:
            """Note them."""
            given.update(options)

        CliRunner().invoke(command, [], catch_exceptions=False)
        self.assertEqual(given, USUAL)
        self.assertEqual(make_backoff(**given | {"attempts": 3}), Backoff.fixed(1.0, 3))


class SettingsTests(SynchronousTestCase):
    """What options mean."""

    def test_without_backoff(self) -> None:
        """One attempt, or as many as were said, with equal waits; the cap has no meaning."""
        self.assertEqual(settings(), ClientSettings(Backoff.fixed(1.0)))
        found = settings(timeout=5.0, attempts=3, jitter=0.5)
        self.assertEqual(found, ClientSettings(Backoff.fixed(5.0, 3, 0.5)))

    def test_with_backoff(self) -> None:
        """Waits double up to the cap."""
        found = settings(timeout=0.1, backoff=True, max_timeout=9.0, attempts=4, jitter=0.5)
        self.assertEqual(found, ClientSettings(Backoff(0.1, 9.0, attempts=4, jitter=0.5)))

    def test_others(self) -> None:
        """What else a client has goes through."""
        found = settings(deadline=3.0, connections=7, repeat=True)
        expected = ClientSettings(Backoff.fixed(1.0), deadline=3.0, connections=7, repeat=True)
        self.assertEqual(found, expected)

    def test_refused(self) -> None:
        """With backoff a timeout must be below its cap; the error says how."""
        error = self.assertRaises(LocalError, settings, timeout=3.0, backoff=True)
        self.assertIn("--max-timeout", str(error))


class ClientTests(SynchronousTestCase):
    """The class for an endpoint."""

    def test_kinds(self) -> None:
        """Datagrams for ``udp:``, streams for all others."""
        reactor = MemoryReactorClock()
        for place, kind in {
            "udp:127.0.0.1:50000": udp.ArithmeticClient,
            "tcp:127.0.0.1:50000": tcp.ArithmeticClient,
            "unix:/tmp/arithmetic": tcp.ArithmeticClient,
        }.items():
            self.assertIs(type(make_client(reactor, place, settings())), kind)

    def test_seed(self) -> None:
        """One seed gives the same ids again, another seed others, and none chance."""
        names = []
        for seed in (7, 7, 8, None, None):
            client = make_client(MemoryReactorClock(), "tcp:127.0.0.1:1", settings(), seed)
            names.append(client._routes[0].way.core._name)
        self.assertEqual(names[0], names[1])
        self.assertEqual(len(set(names)), 4)

    def test_no_endpoint(self) -> None:
        """What is no endpoint is refused."""
        self.assertRaises(LocalError, make_client, MemoryReactorClock(), "tcp", settings())
