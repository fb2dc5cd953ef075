"""Which talk it is, and whole programs on real terminals, pipes and files."""

import os
import pty
import select
import signal
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from lab.commands.conversation.converse import converse
from lab.commands.conversation.pipe import OUTPUT_CLOSED
from lab.commands.running import INTERRUPTED
from lab.errors import LocalError
from tests.commands.conversation.helpers import (
    LEFT,
    PATIENCE,
    UP,
    BoundedTestCase,
    FakeReactor,
    FakeSession,
    now,
    take,
)
from tests.helpers import folder

#: A program that answers in capitals.
TALKER = [sys.executable, str(Path(__file__).with_name("talker.py"))]


class ChoiceTests(BoundedTestCase):
    """Which talk it is, on a fake reactor."""

    def setUp(self) -> None:
        """A terminal."""
        self.reactor, self.session = FakeReactor(), FakeSession()
        self.patch(os, "environ", {**os.environ, "TERM": "xterm"})
        self.master, self.slave = pty.openpty()
        self.addCleanup(os.close, self.slave)
        self.addCleanup(os.close, self.master)
        self.addCleanup(lambda: self.assertTrue(self.reactor.idle()))

    def pipe(self) -> tuple[int, int]:
        """A pipe, which is open as long as the test."""
        ends = os.pipe()
        for end in ends:
            self.addCleanup(os.close, end)
        return ends

    def converse(self, *files: int) -> Deferred[int]:
        """Begin to talk; the test ends it."""
        stdin, stdout, stderr = files
        done = converse(self.reactor, self.session, help="", files=(stdin, stdout, stderr))
        self.addCleanup(done.addErrback(lambda failure: failure.trap(CancelledError)).cancel)
        return done

    def test_a_terminal_on_both_sides_is_a_dialogue(self) -> None:
        """There is a prompt."""
        self.converse(self.slave, self.slave, self.slave)
        self.assertIn(b"> ", take(self.master))

    def test_a_terminal_that_cannot_move_its_cursor_is_a_pipe(self) -> None:
        """With TERM=dumb lines are read as they are, and the terminal stays as it is."""
        self.patch(os, "environ", {**os.environ, "TERM": "dumb"})
        before = termios.tcgetattr(self.slave)
        self.converse(self.slave, self.slave, self.slave)
        self.assertEqual(termios.tcgetattr(self.slave), before)
        os.write(self.master, b"quit\n")
        self.reactor.until(lambda: bool(self.session.lines))
        self.assertEqual(self.session.lines, ["quit"])

    def test_a_terminal_on_one_side_is_a_pipe(self) -> None:
        """Neither answers nor requests of a script are a dialogue."""
        reader, writer = self.pipe()
        os.write(writer, b"a\n")
        self.converse(reader, self.slave, self.slave)
        os.write(self.master, b"b\n")
        self.converse(self.slave, writer, writer)
        self.reactor.until(lambda: len(self.session.lines) == 2)
        self.assertEqual(sorted(self.session.lines), ["a", "b"])

    def test_one_file_for_answers_and_errors_keeps_the_order(self) -> None:
        """With 2>&1 errors stand between the answers, also when the pipe is full for a while."""
        given, lines = self.pipe()
        reader, writer = self.pipe()
        errors = os.dup(writer)
        self.addCleanup(os.close, errors)
        os.write(lines, b"a\nb\n")
        self.converse(given, writer, errors)
        self.reactor.until(lambda: len(self.session.answers) == 2)
        long = "A" * 100_000
        self.session.answers[0].callback(long)
        self.session.answers[1].errback(LocalError("hm"))
        got = b""
        while not got.endswith(b"hm\n"):
            got += take(reader)
            self.reactor.turn()
        self.assertEqual(got, long.encode() + b"\nline 2: hm\n")

    def test_a_closed_stdout_is_an_error(self) -> None:
        """It fails with the reason, and stderr is a file of its own."""
        given, lines = self.pipe()
        os.write(lines, b"a\n")
        done = converse(self.reactor, self.session, help="", files=(given, 999, self.slave))
        self.reactor.until(lambda: bool(self.session.answers))
        self.session.answers[0].callback("A")
        self.assertIn("Bad file", str(self.failureResultOf(done, LocalError).value))

    def test_an_error_is_1_if_nobody_says_otherwise(self) -> None:
        """The exit code of an error is 1 by default."""
        given, lines = os.pipe()
        self.addCleanup(os.close, given)
        os.write(lines, b"a\n")
        os.close(lines)
        done = converse(self.reactor, self.session, help="", files=(given, self.slave, self.slave))
        self.reactor.until(lambda: bool(self.session.answers))
        self.session.answers[0].errback(LocalError("hm"))
        self.reactor.until(lambda: bool(done.called))
        self.assertEqual(self.successResultOf(done), 1)


def environment() -> dict[str, str]:
    """What a child needs to import the same code."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TERM": "xterm"}


class Terminal:
    """
    A program on a pseudo-terminal.

    Args:
        arguments: For the talker.
    """

    def __init__(self, *arguments: str) -> None:
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        self.process = subprocess.Popen(
            [*TALKER, *arguments],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env=environment(),
            start_new_session=True,
        )

    def expect(self, text: str) -> None:
        """Wait until this is shown; what came before it is dropped."""
        deadline = now() + PATIENCE
        while text.encode() not in self.seen:
            left = deadline - now()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                raise AssertionError(f"no {text!r} in {self.seen!r}")
            self.seen += os.read(self.master, 65_536)
        self.seen = self.seen.partition(text.encode())[2]

    def type(self, data: bytes, then: str) -> None:
        """Press these keys and wait until this is shown."""
        os.write(self.master, data)
        self.expect(then)

    def end(self) -> int:
        """Wait for the end, check that the terminal is as it was, and return the exit code."""
        code = self.process.wait(PATIENCE)
        assert termios.tcgetattr(self.slave) == self.before
        assert os.get_blocking(self.slave)
        return code

    def close(self) -> None:
        """Leave nothing running."""
        self.process.kill()
        self.process.wait(PATIENCE)
        os.close(self.master)
        os.close(self.slave)


class TerminalTests(BoundedTestCase):
    """A real program on a real terminal."""

    def terminal(self, *arguments: str) -> Terminal:
        """A program that shows its prompt."""
        terminal = Terminal(*arguments)
        self.addCleanup(terminal.close)
        terminal.expect("demo> ")
        return terminal

    def test_types_a_line_recalls_it_and_ends(self) -> None:
        """A line is shown and answered, Up brings it back, Ctrl-D ends with 0."""
        terminal = self.terminal()
        terminal.type(
            "h\u00e9 \u65e5\r".encode(), "demo> h\u00e9 \u65e5\r\nH\u00c9 \u65e5\r\n\rdemo> "
        )
        terminal.type(UP + LEFT + b"a\r", "demo> h\u00e9 a\u65e5\r\nH\u00c9 A\u65e5\r\n\rdemo> ")
        terminal.type(b"\x04", "\r\n")
        self.assertEqual(terminal.end(), 0)

    def test_completes_helps_and_says_what_is_wrong(self) -> None:
        """TAB, help, an error and quit do what they should."""
        terminal = self.terminal()
        terminal.type(b"al\t\r", "ALPHA\r\n")
        terminal.type(b"help\r", "some help\r\n")
        terminal.type(b"bad\r", "bad is bad\r\n")
        terminal.type(b"quit\r", "quit\r\n")
        self.assertEqual(terminal.end(), 0)

    def test_ctrl_c_under_way_and_at_the_prompt(self) -> None:
        """The first interrupts the line, the second ends with 130."""
        terminal = self.terminal()
        terminal.type(b"slow\r", "started\r\n")
        terminal.type(b"\x03", "interrupted\r\n\rdemo> ")
        terminal.type(b"on\r", "ON\r\n\rdemo> ")
        os.write(terminal.master, b"\x03")
        self.assertEqual(terminal.end(), INTERRUPTED)

    def test_a_signal_gives_the_terminal_back(self) -> None:
        """SIGTERM ends the program while a line is under way, and the terminal is as it was."""
        terminal = self.terminal()
        terminal.type(b"slow\r", "started\r\n")
        self.assertNotEqual(termios.tcgetattr(terminal.slave), terminal.before)
        terminal.process.terminate()
        terminal.expect("interrupted\r\n")
        self.assertEqual(terminal.end(), 128 + signal.SIGTERM)

    def test_a_bug_gives_the_terminal_back(self) -> None:
        """A traceback is shown, from the left edge, on a terminal that is as it was."""
        terminal = self.terminal()
        terminal.type(b"bug\r", "ZeroDivisionError")
        self.assertEqual(terminal.end(), 1)

    def test_a_crash_gives_the_terminal_back(self) -> None:
        """A reactor that ends without a word leaves it to the end of the program."""
        terminal = self.terminal("--hard")
        terminal.type(b"crash\r", "CRASH\r\n")
        self.assertEqual(terminal.end(), 7)

    def test_works_on_asyncio(self) -> None:
        """The other reactor does the same."""
        terminal = self.terminal("--asyncio")
        terminal.type(b"al\t\r", "ALPHA\r\n")
        terminal.type(b"\x04", "\r\n")
        self.assertEqual(terminal.end(), 0)


class PipeTests(BoundedTestCase):
    """A real program between real pipes and files."""

    def talk(self, *arguments: str, **files: Any) -> "subprocess.CompletedProcess[bytes]":
        """Run the talker to its end."""
        return subprocess.run(
            [*TALKER, *arguments],
            env=environment(),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            **files,
        )

    def test_a_pipe(self) -> None:
        """Answers on stdout, errors on stderr, the worst code at the end."""
        ended = self.talk(input=b"a\n\nbad\r\nhelp")
        self.assertEqual(ended.stdout, b"A\nHELP\n")
        self.assertEqual(ended.stderr, b"line 3: bad is bad\n")
        self.assertEqual(ended.returncode, 3)

    def test_a_file_on_both_reactors(self) -> None:
        """A file that epoll refuses is read all the same."""
        path = folder(self) / "lines"
        path.write_bytes(b"abc\n" * 50_000)
        for arguments in ((), ("--asyncio",)):
            with path.open("rb") as file:
                ended = self.talk(*arguments, stdin=file)
            self.assertEqual(ended.stderr, b"")
            self.assertEqual((ended.stdout, ended.returncode), (b"ABC\n" * 50_000, 0))

    def test_the_null_device(self) -> None:
        """No lines are no work."""
        ended = self.talk(stdin=subprocess.DEVNULL)
        self.assertEqual((ended.stdout, ended.stderr, ended.returncode), (b"", b"", 0))

    def test_a_reader_that_leaves(self) -> None:
        """As before ``| head -1``: the end is quiet, though lines go on and on."""
        with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as yes:
            program = subprocess.Popen(
                TALKER,
                stdin=yes.stdout,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(),
            )
            self.addCleanup(program.kill)
            self.addCleanup(yes.kill)
            assert program.stdout is not None
            head = subprocess.run(
                ["head", "-1"],
                stdin=program.stdout,
                capture_output=True,
                timeout=PATIENCE,
                check=True,
            )
            program.stdout.close()
            _, errors = program.communicate(timeout=PATIENCE)
            yes.kill()
        self.assertEqual((head.stdout, errors), (b"Y\n", b""))
        self.assertEqual(program.returncode, OUTPUT_CLOSED)

    def test_a_bug_is_not_hidden(self) -> None:
        """It fails with the traceback of the session's error."""
        ended = self.talk(input=b"bug\n")
        self.assertIn(b"ZeroDivisionError", ended.stderr)
        self.assertEqual(ended.returncode, 1)
