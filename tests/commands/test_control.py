"""The control socket."""

import gc
import json
import socket
import stat
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.commands import control as module
from lab.commands.control import (
    LIMIT,
    ControlCore,
    ControlFactory,
    ControlService,
    clear,
    control_path,
)
from lab.commands.overview import HELP, Overview
from lab.core import Finished, Left
from lab.errors import LocalError
from tests.helpers import folder


def core() -> ControlCore:
    """Of a server without services."""
    return ControlCore(Overview(Clock().seconds, []))


class CoreTests(SynchronousTestCase):
    """Lines and answers."""

    def ask(self, line: bytes) -> tuple[bytes, list[object]]:
        """What is sent, each with its line ending, and what happens."""
        one = core()
        one.message(line, 0.0)
        sent = b"".join(answer + b"\n" for answer in one.outgoing())
        self.assertEqual((one.outgoing(), one.deadline()), ([], None))
        one.tick(0.0)
        one.close(0.0)
        return sent, one.events()

    def test_text(self) -> None:
        """Lines, and an empty one behind them."""
        self.assertEqual(self.ask(b"clients"), (b"no clients\n\n", []))
        self.assertEqual(self.ask(b"help"), (f"{HELP}\n\n".encode(), []))
        self.assertEqual(self.ask(b""), (b"", []))
        self.assertTrue(self.ask(b"x")[0].startswith(b"no word is 'x'; give one of "))

    def test_json(self) -> None:
        """One line, wherever the word for it stands."""
        for line in (b"clients --json", b"--json clients"):
            self.assertEqual(self.ask(line), (b'{"clients": []}\n', []))
        error = json.loads(self.ask(b"disconnect 1 --json")[0])["error"]
        self.assertEqual(error, "there is no client 1; see clients")

    def test_end(self) -> None:
        """Quit ends the connection, stop the server, once it was answered."""
        for word in (b"quit", b"exit"):
            self.assertEqual(self.ask(word), (b"", [Left("it said quit")]))
        one = core()
        one.message(b"stop --json", 0.0)
        self.assertEqual(one.outgoing(), [b'{"stopping": true}'])
        self.assertEqual(one.events(), [Finished("the server was told to stop")])
        self.assertTrue(one.stops)

    def test_long(self) -> None:
        """A line that is too long ends it."""
        sent, events = self.ask(b"x" * (LIMIT + 1))
        self.assertEqual(sent, b"the line is too long; give at most 1,024 bytes\n\n")
        self.assertEqual(events, [Finished("a line of more than 1,024 bytes")])

    @given(st.binary(max_size=60), st.sampled_from([b"", b" --json"]))
    def test_any_bytes(self, said: bytes, behind: bytes) -> None:
        """Whatever comes, an answer is whole, and nothing else happens."""
        line = said.replace(b"\n", b" ") + behind
        sent, _ = self.ask(line)
        self.assertTrue(sent == b"" or sent.endswith(b"\n"))
        if b"--json" in line.split() and sent.startswith(b"{"):
            self.assertEqual(sent.count(b"\n"), 1)
            json.loads(sent)


class PathTests(SynchronousTestCase):
    """Where it is."""

    def test_forms(self) -> None:
        """With its kind or without, and whole."""
        self.assertEqual(control_path("unix:/run/a:b"), Path("/run/a:b"))
        self.assertEqual(control_path("a"), Path.cwd() / "a")

    def test_mistakes(self) -> None:
        """The system has a bound."""
        for text in ("", "unix:", "/" + "a" * 107):
            error = self.assertRaises(LocalError, control_path, text)
            self.assertIn("; give unix:PATH, of at most 107 bytes in all", str(error))

    def test_clear(self) -> None:
        """What is left of a server is removed, and nothing else."""
        path = folder(self) / "control"
        clear(path)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            listening.listen()
            text = str(self.assertRaises(LocalError, clear, path))
            self.assertIn("another server listens there", text)
        clear(path)
        self.assertFalse(path.exists())
        path.write_text("mine")
        text = str(self.assertRaises(LocalError, clear, path))
        self.assertIn("there is something that is no socket", text)
        self.assertEqual(path.read_text(), "mine")


class Hears(Protocol):
    """Hears until the end."""

    def __init__(self) -> None:
        self.data = b""
        self.ended: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Some."""
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        """The end."""
        self.ended.callback(self.data)


class ServiceTests(TestCase):
    """On a real socket."""

    timeout = 30

    def setUp(self) -> None:
        """Listen."""
        self.path = folder(self) / "control"
        self.stopped: Deferred[None] = Deferred()
        overview = Overview(reactor.seconds, [])
        self.factory = ControlFactory(reactor, overview, lambda: self.stopped.callback(None))
        self.service = ControlService(reactor, self.path, self.factory)

    def start(self) -> None:
        """Listen until the test ends."""
        self.service.startService()
        self.addCleanup(self.service.stopService)

    def say(self, data: bytes) -> Any:
        """Say something; all that comes until the end."""
        hears = Hears()
        connected = connectProtocol(UNIXClientEndpoint(reactor, str(self.path)), hears)
        connected.addCallback(lambda _: hears.transport.write(data))
        return connected.addCallback(lambda _: hears.ended)

    @inlineCallbacks
    def test_owner(self) -> Any:
        """Nobody but the owner may connect; in the end it is removed."""
        self.start()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        heard = yield self.say(b"clients\ntransfers --json\nquit\n")
        self.assertEqual(heard, b'no clients\n\n{"transfers": []}\n')
        yield self.service.stopService()
        self.assertFalse(self.path.exists())
        yield self.service.stopService()

    @inlineCallbacks
    def test_stop(self) -> Any:
        """The server is stopped when the answer has arrived."""
        self.start()
        heard = yield self.say(b"stop\n")
        self.assertEqual(heard, b"the server stops\n\n")
        yield self.stopped

    @inlineCallbacks
    def test_many(self) -> Any:
        """More than so many at a time are closed at once; who goes makes room."""
        self.patch(module, "MOST", 1)
        self.start()
        first = Hears()
        yield connectProtocol(UNIXClientEndpoint(reactor, str(self.path)), first)
        heard = yield self.say(b"clients\n")
        self.assertEqual(heard, b"")
        first.transport.write(b"quit\n")
        yield first.ended
        heard = yield self.say(b"clients\nquit\n")
        self.assertEqual(heard, b"no clients\n\n")

    def test_refused(self) -> None:
        """Where nothing can listen that is one line."""
        self.path.write_text("mine")
        self.assertRaises(LocalError, self.service.startService)
        service = ControlService(reactor, Path("/nothing/control"), self.factory)
        text = str(self.assertRaises(LocalError, service.startService))
        self.assertEqual(
            text, "control can't listen on unix:/nothing/control: No such file or directory"
        )
        # Twisted leaves the socket of a port that it can't have to the garbage collector.
        gc.collect()
        left = {warning["category"] for warning in self.flushWarnings()}
        self.assertLessEqual(left, {ResourceWarning})
        self.assertEqual(list(self.path.parent.iterdir()), [self.path])
