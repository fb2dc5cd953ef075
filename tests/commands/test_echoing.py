"""What the commands of the echo service share."""

from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from lab.backoff import Backoff
from lab.commands.echoing import (
    code_of,
    complain,
    make_client,
    make_settings,
    server_options,
    split,
)
from lab.echo import tcp, udp
from lab.echo.outcomes import Broken, Cut, Received, Rejected, Stalled, WrongData
from lab.echo.settings import ClientSettings
from lab.echo.wire import Busy, Refused
from lab.errors import ConnectionRefused, LabError, LocalError, NoAnswer
from tests.helpers import folder

USUAL: dict[str, Any] = {
    "timeout": 1.0, "backoff": False, "max_timeout": 2.0, "attempts": None, "jitter": 0.0,
}  # fmt: skip


class OptionsTests(SynchronousTestCase):
    """From options to a client."""

    def test_options(self) -> None:
        """They are those of attempts, and the list of servers."""
        given: dict[str, Any] = {}

        @click.command()
        @server_options
        def command(**options: Any) -> None:
            """Note them."""
            given.update(options)

        CliRunner().invoke(command, [], catch_exceptions=False)
        self.assertEqual(given, {**USUAL, "hosts": None})
        CliRunner().invoke(command, ["--hosts", "a", "--backoff"], catch_exceptions=False)
        self.assertEqual((given["hosts"], given["backoff"]), (Path("a"), True))

    def test_settings(self) -> None:
        """Attempts, deadline and silence; a value that can't be is refused."""
        self.assertEqual(make_settings(**USUAL), ClientSettings())
        made = make_settings(**USUAL | {"backoff": True, "timeout": 0.1}, silence=2, deadline=3)
        self.assertEqual(made, ClientSettings(Backoff(0.1, 2.0), 3, 2))
        self.assertRaises(LocalError, make_settings, **USUAL, silence=0)

    def test_split(self) -> None:
        """The first word if it is an endpoint, otherwise the first of the list."""
        self.assertEqual(split(("tcp:a:1", "b"), None), ("tcp:a:1", ("b",)))
        path = folder(self) / "list"
        path.write_text("udp:c:2\n")
        self.assertEqual(split(("5",), path), ("udp:c:2", ("5",)))
        self.assertEqual(split((), path), ("udp:c:2", ()))

    def test_client(self) -> None:
        """The endpoint string says which."""
        reactor = MemoryReactorClock()
        for endpoint, kind in (("tcp:a:1", tcp.EchoClient), ("udp:a:1", udp.EchoClient)):
            self.assertIsInstance(make_client(reactor, endpoint, ClientSettings()), kind)
        self.assertRaises(LocalError, make_client, reactor, "a", ClientSettings())


class CodeTests(SynchronousTestCase):
    """What an error means for whoever has started the command."""

    def test_each(self) -> None:
        """Each kind has its code."""
        for error, code in (
            (WrongData("", Received(0, 1)), 4),
            (Rejected(Refused(413, "")), 3),
            (Rejected(Busy(5, "")), 3),
            (ConnectionRefused(), 3),
            (NoAnswer(), 5),
            (Stalled(""), 5),
            (Cut(""), 1),
            (Broken(""), 1),
            (LocalError(), 2),
            (None, 1),
        ):
            self.assertEqual(code_of(error), code, error)

    def test_complain(self) -> None:
        """One line on standard error."""

        @click.command()
        def command() -> None:
            """Complain."""
            raise SystemExit(complain(LabError("it broke")))

        done = CliRunner().invoke(command, [])
        self.assertEqual((done.exit_code, done.stderr), (1, "it broke\n"))
