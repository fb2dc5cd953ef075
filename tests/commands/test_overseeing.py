"""``lab server``."""

import json
import os
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.commands import overseeing as module
from lab.commands.control import ControlFactory, ControlService
from lab.commands.main import main
from lab.commands.overseeing import Asking, OverseeingSession, Refused
from lab.commands.overview import Overview
from lab.errors import ConnectionRefused, NoAnswer, RemoteError, Unreachable
from tests.helpers import folder


class AskingTests(SynchronousTestCase):
    """One line after the other."""

    def setUp(self) -> None:
        """A connection."""
        self.asking, self.transport = Asking(), StringTransport()
        self.asking.makeConnection(self.transport)

    def test_answers(self) -> None:
        """In the order of the questions."""
        first, second = self.asking.ask("clients"), self.asking.ask("stop")
        self.assertEqual(self.transport.value(), b"clients --json\nstop --json\n")
        self.asking.dataReceived(b'{"clients": []}\n{"stopping"')
        self.assertEqual(self.successResultOf(first), {"clients": []})
        self.assertNoResult(second)
        self.asking.dataReceived(b": true}\n")
        self.assertEqual(self.successResultOf(second), {"stopping": True})

    def test_refused(self) -> None:
        """What can't be, and what is no answer."""
        for line, kind in (
            (b'{"error": "no"}', Refused),
            (b"no clients", RemoteError),
            (b"7", RemoteError),
            (b"\xff", RemoteError),
        ):
            asked = self.asking.ask("x")
            self.asking.dataReceived(line + b"\n")
            self.failureResultOf(asked, kind)

    def test_unasked(self) -> None:
        """What nobody has asked for ends it."""
        self.asking.dataReceived(b"{}\n")
        self.assertTrue(self.transport.disconnecting)

    def test_lost(self) -> None:
        """When the server has ended nothing is answered any more."""
        asked = self.asking.ask("clients")
        self.asking.connectionLost()
        self.failureResultOf(asked, Unreachable)
        self.failureResultOf(self.asking.ask("clients"), Unreachable)


class SessionTests(SynchronousTestCase):
    """What the words do."""

    def session(self, *, as_json: bool) -> OverseeingSession:
        """A conversation."""
        self.clock, self.asking = Clock(), Asking()
        self.asking.makeConnection(StringTransport())
        return OverseeingSession(self.clock, self.asking, as_json=as_json)

    def test_shown(self) -> None:
        """As text, or as it came."""
        for as_json, text in ((False, "no clients"), (True, '{"clients": []}')):
            shown = Deferred.fromCoroutine(self.session(as_json=as_json).line("clients"))
            self.asking.dataReceived(b'{"clients":[]}\n')
            self.assertEqual(self.successResultOf(shown), text)

    def test_silence(self) -> None:
        """A server that says nothing is not waited for, for ever."""
        shown = Deferred.fromCoroutine(self.session(as_json=False).line("clients"))
        self.clock.advance(10)
        self.failureResultOf(shown, NoAnswer)
        self.asking.connectionLost()

    def test_completion(self) -> None:
        """Words that begin so."""
        self.assertEqual(self.session(as_json=False).complete("d"), ["disconnect"])


class MainTests(TestCase):
    """With a real socket."""

    timeout = 30

    def setUp(self) -> None:
        """A server."""
        self.path = folder(self) / "control"
        factory = ControlFactory(reactor, Overview(reactor.seconds, []), lambda: None)
        service = ControlService(reactor, self.path, factory)
        service.startService()
        self.addCleanup(service.stopService)
        self.said: list[tuple[str, bool]] = []
        self.patch(module.click, "echo", lambda text, err=False: self.said.append((text, err)))

        self.factory = factory

    async def leave(self) -> None:
        """Wait until the server has seen that nobody is there any more."""
        while self.factory._connections:
            await deferLater(reactor, 0)

    def tearDown(self) -> Any:
        """Nobody is."""
        return Deferred.fromCoroutine(self.leave())

    def main(self, line: str, path: Path | None = None, *, as_json: bool = False) -> Any:
        """Run it."""
        return Deferred.fromCoroutine(
            module._main(reactor, path or self.path, line, as_json=as_json)
        )

    @inlineCallbacks
    def test_words(self) -> Any:
        """One answer, and the exit code."""
        code = yield self.main("clients")
        self.assertEqual((code, self.said), (0, [("no clients", False)]))
        code = yield self.main("clients", as_json=True)
        self.assertEqual((code, json.loads(self.said[1][0])), (0, {"clients": []}))
        code = yield self.main("disconnect 7")
        self.assertEqual((code, self.said[2]), (3, ("there is no client 7; see clients", True)))

    @inlineCallbacks
    def test_nobody(self) -> Any:
        """Where no server listens that is one line."""
        failure = yield self.assertFailure(
            self.main("clients", self.path / "nothing"), ConnectionRefused
        )
        self.assertIn("Not a directory; start it with --control unix:", str(failure))

    @inlineCallbacks
    def test_conversation(self) -> Any:
        """Without a word lines are read, and the worst of the exit codes counts."""
        theirs, ours = os.pipe()
        os.write(ours, b"clients\ndisconnect 7\nquit\n")
        os.close(ours)
        shown, out = os.pipe()
        real = module.converse

        def converse(*args: Any, **words: Any) -> Any:
            """On pipes."""
            return real(*args, **words, files=(theirs, out, out))

        self.patch(module, "converse", converse)
        code = yield self.main("")
        self.assertEqual(code, 3)
        self.assertEqual(
            os.read(shown, 1000), b"no clients\nline 2: there is no client 7; see clients\n"
        )
        for fd in (theirs, shown, out):
            os.close(fd)


class CommandTests(SynchronousTestCase):
    """What is typed."""

    def invoke(self, *words: str) -> tuple[int, str]:
        """Type it."""
        done = CliRunner().invoke(main, ["server", *words], prog_name="lab")
        return done.exit_code, done.output

    def test_mistakes(self) -> None:
        """They are one line."""
        for words, said in (
            (("clients",), "Missing option '--control'"),
            (("x", "--control", "a"), "no word is 'x'; give one of clients, transfers, "),
            (("stop", "--control", ""), "control is ''; give unix:PATH"),
        ):
            code, output = self.invoke(*words)
            self.assertEqual((code, output.count("\n")), (2, 1))
            self.assertIn(said, output)

    def test_run(self) -> None:
        """The words are one line for the server."""
        ran: list[Any] = []
        self.patch(module, "run", lambda main: ran.append(main("reactor")))
        self.patch(module, "_main", lambda *args, **words: (args, words))
        self.invoke("disconnect", "7", "--control", "unix:/a", "--json")
        self.assertEqual(ran, [(("reactor", Path("/a"), "disconnect 7"), {"as_json": True})])
