"""The console of a server."""

import io
import os
import pty
import sys
from typing import Any

from twisted.internet.task import Clock
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.console import ConsoleService, ConsoleSession, Screen, check_terminal
from lab.commands.overview import Overview
from lab.errors import LocalError
from tests.commands.conversation.helpers import BoundedTestCase, FakeReactor, take
from tests.helpers import captured_logs


class SessionTests(SynchronousTestCase):
    """What the words do."""

    def setUp(self) -> None:
        """A console."""
        self.stopped: list[bool] = []
        overview = Overview(Clock().seconds, [])
        self.session = ConsoleSession(overview, lambda: self.stopped.append(True))

    def test_words(self) -> None:
        """They are answered as text; stop stops."""
        self.assertEqual(self.successResultOf(self.session.line("clients")), "no clients")
        self.assertRaises(LocalError, self.session.line, "x")
        self.assertEqual(self.stopped, [])
        self.assertEqual(self.successResultOf(self.session.line("stop")), "the server stops")
        self.assertEqual(self.stopped, [True])

    def test_completion(self) -> None:
        """Words that begin so."""
        self.assertEqual(self.session.complete("st"), ["statistics", "stop"])


class ScreenTests(SynchronousTestCase):
    """What is written to standard output."""

    def test_lines(self) -> None:
        """Only whole lines are said."""
        said: list[str] = []
        screen = Screen(said.append)
        for text, lines in (
            ("a\nb", ["a\n"]),
            ("c\nd\ne", ["bc\nd\n"]),
            ("f", []),
            ("\n", ["ef\n"]),
        ):
            said.clear()
            self.assertEqual(screen.write(text), len(text))
            self.assertEqual(said, lines)
        screen.flush()


class TerminalTests(SynchronousTestCase):
    """Where there can be none."""

    def test_background(self) -> None:
        """In the background there is none; a line says what there is instead."""
        for wanted, twistd in ((False, {"nodaemon": 0}), (True, {"nodaemon": 1}), (True, None)):
            check_terminal({"console": wanted}, twistd)
        options = usage.Options()
        error = self.assertRaises(LocalError, check_terminal, {"console": True}, options)
        self.assertIn("lab server --control PATH", str(error))


class ServiceTests(BoundedTestCase):
    """On a pipe, and on a terminal, with a fake reactor."""

    def setUp(self) -> None:
        """Nothing runs."""
        self.reactor, self.stopped = FakeReactor(), []

    def make(self, *files: int) -> ConsoleService:
        """A console on these descriptors."""
        session = ConsoleSession(Overview(self.reactor.seconds, []), self.stop)
        return ConsoleService(self.reactor, session, self.stop, files)  # type: ignore[arg-type]

    def stop(self) -> None:
        """The server is to stop."""
        self.stopped.append(True)

    def pipes(self) -> tuple[int, int, int]:
        """What is typed, where it is read, and where answers go."""
        (theirs, ours), (shown, out) = os.pipe(), os.pipe()
        for fd in (theirs, shown, out):
            self.addCleanup(os.close, fd)
        self.shown = shown
        return ours, theirs, out

    def test_pipe(self) -> None:
        """Lines are answered; their end is not that of the server."""
        ours, theirs, out = self.pipes()
        service = self.make(theirs, out, out)
        before = sys.stdout
        service.show_log()
        self.assertIs(sys.stdout, before)
        service.startService()
        os.write(ours, b"clients\n")
        os.close(ours)
        with captured_logs() as events:
            self.reactor.until(lambda: any("console" in e["log_format"] for e in events))
        self.assertEqual(take(self.shown), b"no clients\n")
        service.stopService()
        self.assertEqual((self.stopped, self.reactor.idle()), ([], True))

    def test_stopped(self) -> None:
        """It ends with the server, without a word."""
        ours, theirs, out = self.pipes()
        self.addCleanup(os.close, ours)
        service = self.make(theirs, out, out)
        service.startService()
        with captured_logs() as events:
            service.stopService()
        self.assertEqual((events, self.reactor.idle()), ([], True))

    def test_closed(self) -> None:
        """Where nothing can be read the server goes on without it."""
        ours, _, out = self.pipes()
        os.close(ours)
        directory = os.open("/", os.O_RDONLY)
        self.addCleanup(os.close, directory)
        service = self.make(directory, out, out)
        with captured_logs() as events:
            service.startService()
            self.reactor.until(lambda: bool(events))
        self.assertIn("can't be read", events[0]["why"])

    def test_interrupted(self) -> None:
        """On a terminal the log goes above the prompt, and Ctrl-C stops the server."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        self.patch(os, "environ", {**os.environ, "TERM": "xterm"})
        output = io.StringIO()
        self.patch(sys, "stdout", output)
        service = self.make(slave, slave, slave)
        service.show_log()
        screen: Any = sys.stdout
        self.assertIsInstance(screen, Screen)
        screen.write("old\n")
        self.assertEqual(output.getvalue(), "old\n")
        service.startService()
        seen = take(master)
        screen.write("news\n")
        while b"\r\x1b[Knews\r\n\rlab-server> " not in seen:
            seen += take(master)
        os.write(master, b"\x03")
        self.reactor.until(lambda: bool(self.stopped))
        service.stopService()
        self.assertTrue(self.reactor.idle())
