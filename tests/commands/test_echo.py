"""``lab echo``: what it sends, what comes back, how it talks."""

import json
import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lab.commands import echo, file
from lab.commands.conversation.session import Interrupted
from lab.commands.echo import Questions, choose, read
from lab.commands.echoing import DEFAULT
from lab.echo.pattern import characters
from lab.echo.settings import ServerSettings
from lab.echo.wire import AskLimits, Echo, File, Quit, Stream
from lab.errors import LocalError, NoAnswer
from lab.faults.datagrams import Loss
from lab.faults.fault import Fault
from lab.simulator.network import Network
from tests.commands.echoes import TCP, UDP, EchoCommandCase, Taken, serve
from tests.helpers import folder


class Other(Protocol):
    """A server from which something else comes back."""

    def dataReceived(self, data: bytes) -> None:
        """Answer."""
        self.transport.write(data.replace(b"hello", b"hullo"))


class ReadTests(SynchronousTestCase):
    """What a line asks for."""

    def test_each(self) -> None:
        """Commands are those that a person may mean; all others are text, as it stands."""
        for text, asked in (
            ("hello", Echo(b"hello")),
            ("  two  blanks ", Echo(b"  two  blanks ")),
            ("echo 42", Echo(b"42")),
            ("echo ", Echo(b"")),
            ("42", File(42)),
            ("file 42 2 3 4", File(42, 2, 3, 4)),
            ("007", Echo(b"007")),
            ("stream 20 5 100", Stream(20, 5, 100)),
            ("stream x", Echo(b"stream x")),
            ("limits", AskLimits()),
            ("quit", Quit()),
            ("quit now", Echo(b"quit now")),
            ("probe 1 2", Echo(b"probe 1 2")),
            ("counts", Echo(b"counts")),
            ("#a hello", Echo(b"#a hello")),
            ("#a 42", Echo(b"#a 42")),
            ("\u00e4", Echo(b"\xc3\xa4")),
            ("\udcff", Echo(b"\xff")),
            ("a" * 70_000, Echo(b"a" * 70_000)),
        ):
            self.assertEqual(read(text), asked)


class WordsTests(EchoCommandCase):
    """Texts on the command line."""

    module, name = echo, "echo"

    def test_back(self) -> None:
        """Each comes back on a line of its own, in their order."""
        for endpoint in (TCP, UDP):
            done = self.call(endpoint, "hello", "  two  blanks", "stream", "", "\u00e4 #")
            self.assertEqual(done.exit_code, 0)
            lines = done.stdout.splitlines()
            self.assertEqual(lines[:2], ["hello", "  two  blanks"])
            self.assertEqual(lines[-1], "\u00e4 #")

    def test_quit(self) -> None:
        """Behind quit nothing is asked."""
        self.assertEqual(self.call(TCP, "a", "quit", "b").stdout, "a\n")

    def test_file(self) -> None:
        """A number is a file, which is checked; with --print-file it is printed."""
        out = Taken()
        self.patch(file, "Output", lambda *_: out)
        for endpoint in (TCP, UDP):
            done = self.call(endpoint, "1000", "file 50 10 5 3")
            self.assertEqual((done.exit_code, done.stderr), (0, ""))
            one, other = done.stdout.splitlines()
            self.assertTrue(one.startswith("1,000 characters in "))
            self.assertTrue(other.startswith("5 characters in "))
            done = self.call(endpoint, "1000", "file 50 10 5 3", "--print-file")
            self.assertEqual((done.exit_code, done.output), (0, ""))
            self.assertEqual(out.data, characters(0, 0, 1000) + characters(3, 10, 5))
            out.data.clear()

    def test_interrupted(self) -> None:
        """A stream that is interrupted is reported, and what stands behind it is not sent."""
        self.interrupt = 1.05
        done = self.call(UDP, "stream 100 100", "hello")
        self.assertEqual(done.exit_code, 130)
        self.assertRegex(done.stdout, r"(?m)^packets +1[01]$")
        self.assertNotIn("hello", done.stdout)

    def test_stream(self) -> None:
        """A stream is reported."""
        done = self.call(UDP, "stream 100 15", "hello")
        self.assertEqual((done.exit_code, done.stderr), (0, ""))
        lines = done.stdout.splitlines()
        self.assertRegex(lines[0], r"^0-1 s: 1[01] packets, 0 lost, ")
        self.assertIn("packets          15", lines)
        self.assertEqual(lines[-1], "hello")

    def test_limits(self) -> None:
        """What the server allows, for people."""
        self.prepare = lambda net: serve(net, ServerSettings(interval=0.02, rate=5000.0))
        lines = self.call(TCP, "limits").stdout.splitlines()
        self.assertEqual(lines[0], "interval  at least 20 ms")
        self.assertIn("rate      at most 5,000 bytes/s", lines)
        self.prepare = serve
        self.assertIn("rate      as fast as can be", self.call(TCP, "limits").stdout)

    def test_json(self) -> None:
        """Each is an object, whatever came of it."""
        self.prepare = lambda net: serve(net, ServerSettings(packets=4, file=2000))
        words = ("hello", "1000", "stream 100 3", "limits", "stream 1 5", "2001")
        done = self.call(TCP, "--json", *words)
        self.assertEqual((done.exit_code, done.stderr), (3, ""))
        text, whole, stream, limits, *refused = map(json.loads, done.stdout.splitlines())
        self.assertEqual((text["echo"], text["same"]), ("hello", True))
        self.assertGreater(text["seconds"], 0)
        self.assertEqual((whole["file"]["length"], whole["file"]["missing"]), (1000, []))
        self.assertEqual(stream["end"]["sum"]["packets"], 3)
        self.assertEqual((limits["limits"]["packets"], "id" in limits["limits"]), (4, False))
        self.assertEqual([one["request"] for one in refused], ["stream 1 5", "2001"])
        self.assertEqual(refused[0]["error"], "the server refuses: count is 5; at most 4")

    def test_errors(self) -> None:
        """What fails is a line of standard error; the others are asked all the same."""
        self.prepare = lambda net: serve(net, ServerSettings(packets=4))
        done = self.call(TCP, "stream 1 5", "hello")
        self.assertEqual((done.exit_code, done.stdout), (3, "hello\n"))
        self.assertEqual(done.stderr, "the server refuses: count is 5; at most 4\n")
        self.assertEqual(self.call("tcp:server:9", "hello").exit_code, 3)

    def test_no_answer(self) -> None:
        """Nobody answers: 5."""

        def prepare(net: Network) -> None:
            """A server that is cut off."""
            serve(net)
            net.partition("server", "client")

        self.prepare = prepare
        done = self.call(UDP, "--timeout", ".1", "--backoff", "--attempts", "2", "hello")
        said = "no answer within 300 ms after 2 attempts\n"
        self.assertEqual((done.exit_code, done.stdout, done.stderr), (5, "", said))
        done = self.call(UDP, "--deadline", ".2", "hello")
        self.assertEqual(done.exit_code, 5)

    def test_other(self) -> None:
        """If something else comes back, that is said: 4."""

        def prepare(net: Network) -> None:
            """Such a server."""

            def start(reactor: Any, disk: dict[str, Any]) -> None:
                """Start it."""
                TCP4ServerEndpoint(reactor, 80).listen(Factory.forProtocol(Other))

            net.host("server").start(start)

        self.prepare = prepare
        done = self.call(TCP, "hello", "bye")
        expected = "something else came back: hullo\nbye\n"
        self.assertEqual((done.exit_code, done.stdout), (4, expected))
        self.assertFalse(json.loads(self.call(TCP, "--json", "hello").stdout)["same"])

    def test_missing(self) -> None:
        """A file that can't be had whole is a failure."""

        def prepare(net: Network) -> None:
            """A network that loses all that is long."""
            serve(net)
            net.link("server", "client", Fault(Loss(1.0), "loss", after=0.005))

        self.prepare = prepare
        self.assertIn(self.call(UDP, "100000").exit_code, (1, 5))

    def test_mistakes(self) -> None:
        """Each is one line, and 2."""
        for words, said in (
            ((TCP, "--json", "--print-file"), "a file is no JSON; give --json or --print-file"),
            (("--hosts", "/none", "a"), "hosts is '/none'; No such file or directory"),
            ((TCP, "--timeout", "0", "a"), "timeout is '0'; give more than 0"),
            ((TCP, "--timeout", "3", "--backoff", "a"), "timeout is 3 s; with backoff give less"),
        ):
            done = self.call(*words)
            self.assertEqual(done.exit_code, 2)
            self.assertTrue(done.stderr.startswith(f"lab echo: {said}"), done.stderr)


class TalkTests(EchoCommandCase):
    """A conversation."""

    module, name = echo, "echo"

    def setUp(self) -> None:
        """Stand in for the conversation."""
        super().setUp()
        self.given: dict[str, Any] = {}
        self.lines = ["hello", "stream 100 2"]
        self.printed: list[str | None] = []
        self.interrupted: list[str] = []
        self.code = self.worst = 0
        self.tty = False
        self.patch(echo, "converse", self.converse)
        self.patch(echo, "on_terminal", lambda *_: self.tty)

    def converse(self, reactor: Any, questions: Questions, **given: Any) -> Deferred[int]:
        """What a person types."""
        self.given, questions.code = given, self.worst

        async def talk() -> int:
            """Line by line."""
            for line in self.lines:
                try:
                    self.printed.append(await questions.line(line))
                except NoAnswer:
                    self.printed.append("no answer")
                except Interrupted as error:
                    self.interrupted.append(error.text)
                    raise
            return self.code

        return Deferred.fromCoroutine(talk())

    def test_pipe(self) -> None:
        """On a pipe many lines are under way, quit ends it, and all is kept for the end."""
        done = self.call(TCP)
        self.assertEqual((done.exit_code, done.output), (0, ""))
        self.assertEqual((self.given["last"], self.given["in_flight"]), ("quit", 100))
        first, second = self.printed
        self.assertEqual(first, "hello")
        self.assertIn("\npackets          2\n", second or "")
        self.call(TCP, "--print-file")
        self.assertEqual(self.given["in_flight"], 1)

    def test_terminal(self) -> None:
        """On a terminal rows are shown as they come."""
        self.tty = True
        done = self.call(TCP)
        self.assertEqual(self.printed, ["hello", None])
        self.assertRegex(done.stdout, r"^  seconds +packets")
        self.assertRegex(done.stdout, r"(?m)^packets +2")

    def test_interrupted(self) -> None:
        """A stream that is interrupted has its report, and nothing behind it is asked."""
        for words in ((), ("--json",)):
            self.interrupted.clear()
            self.lines, self.interrupt = ["stream 100 100", "hello"], 2.05
            done = self.call(UDP, *words)
            self.assertEqual((done.exit_code, self.printed), (130, []))
            (text,) = self.interrupted
            self.assertRegex(text, '"packets": 2[01]' if words else r"\npackets +2[01]\n")
        self.tty = True
        done = self.call(UDP)
        self.assertEqual(self.interrupted[1:], [""])
        self.assertRegex(done.stdout, r"(?m)^packets +2[01]")

    def test_printed_on_a_terminal(self) -> None:
        """Behind a file that is printed on a terminal its line ends."""
        self.patch(file, "Output", Taken)
        self.tty, self.lines = True, ["10"]
        self.call(TCP, "--print-file")
        self.assertEqual(self.printed, ["\n"])

    def test_json(self) -> None:
        """With JSON nothing is shown besides."""
        self.tty = True
        self.assertEqual(self.call(TCP, "--json").stdout, "")
        self.assertIn("intervals", json.loads(self.printed[1] or ""))

    def test_code(self) -> None:
        """What went wrong is the exit code of a pipe, and not that of a terminal."""
        self.prepare = lambda net: net.host("server")
        self.lines = []
        for tty, worst, code, expected in (
            (False, 0, 0, 0), (False, 4, 0, 4), (True, 4, 0, 0), (True, 0, 130, 130),
        ):  # fmt: skip
            self.tty, self.code, self.worst = tty, code, worst
            self.assertEqual(self.call(TCP).exit_code, expected)

    def test_help(self) -> None:
        """The help says what can be typed, and errors have their codes."""
        self.call(TCP)
        for word in ("42", "stream", "limits", "echo TEXT", "quit"):
            self.assertIn(word, self.given["help"])
        self.assertEqual(self.given["code_of"](Failure(NoAnswer())), 5)

    def test_completion(self) -> None:
        """What is typed is completed."""
        questions = Questions(Clock(), None, TCP)  # type: ignore[arg-type]
        self.assertEqual(questions.complete("st"), ["stream "])
        self.assertEqual(questions.complete("x"), [])
        self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(questions.line("quit"))))


class ChooseTests(SynchronousTestCase):
    """Which server."""

    def setUp(self) -> None:
        """A list, and nobody at a terminal."""
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(folder(self))
        self.tty = False
        self.patch(echo, "on_terminal", lambda *_: self.tty)
        self.patch(echo, "ask_which", lambda servers: f"asked of {servers}")

    def test_named(self) -> None:
        """One that is named is it."""
        self.tty = True
        self.assertEqual(choose(("udp:a:1", "b"), None), ("udp:a:1", ("b",)))

    def test_list(self) -> None:
        """Otherwise the first of the list, or the usual one."""
        self.assertEqual(choose((), None), (DEFAULT, ()))
        Path("hosts.txt").write_text("tcp:a:1\ntcp:b:1\n")
        self.assertEqual(choose(("x",), None), ("tcp:a:1", ("x",)))
        self.assertRaises(LocalError, choose, (), Path("none"))

    def test_asked(self) -> None:
        """A person who wants to talk is asked."""
        self.tty = True
        self.assertEqual(choose((), None), (f"asked of {[DEFAULT]}", ()))
        self.assertEqual(choose(("x",), None), (DEFAULT, ("x",)))
