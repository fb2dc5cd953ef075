"""The talk with a person or a script: units with a fake reactor, then real pipes and terminals."""

import errno
import os
import pty
import select
import stat
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import Factory, define
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReadDescriptor, IWriteDescriptor
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.terminal import (
    HISTORY_LIMIT,
    IN_FLIGHT,
    INTERRUPTED,
    LINE_LIMIT,
    LISTED,
    OUTPUT_CLOSED,
    TYPE_AHEAD,
    Dialogue,
    Editor,
    Input,
    Keyboard,
    Output,
    OutputClosedError,
    converse,
)
from lab.errors import LocalError, RemoteError

#: No wait for the kernel or another process is longer, in seconds; only failures reach it.
PATIENCE = 30.0
#: Some things take real time, which is their own.
now = time.monotonic  # noqa: TID251
UP, DOWN, LEFT, HOME, END, DELETE = (
    b"\x1b[A",
    b"\x1b[B",
    b"\x1b[D",
    b"\x1b[H",
    b"\x1b[F",
    b"\x1b[3~",
)


class FakeReactor(Clock):
    """A clock that also knows who is watched."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[IReadDescriptor] = set()
        self.writers: set[IWriteDescriptor] = set()
        self.triggers: list[Callable[..., Any]] = []
        self.addReader, self.removeReader = self.readers.add, self.readers.discard
        self.addWriter, self.removeWriter = self.writers.add, self.writers.discard

    def addSystemEventTrigger(
        self, phase: str, eventType: str, callable: Callable[..., Any], *args: Any, **kw: Any
    ) -> Any:
        """Remember whom to call at the end."""
        self.triggers.append(callable)
        return callable

    def removeSystemEventTrigger(self, triggerID: Any) -> None:
        """Forget it."""
        self.triggers.remove(triggerID)

    def turn(self, wait: float = 0) -> None:
        """One turn of the loop: timers, then whoever can read or write, if need be after a wait."""
        self.advance(0)
        readable, writable, _ = select.select(list(self.readers), list(self.writers), [], wait)
        for reader in readable:
            reader.doRead()
        for writer in writable:
            writer.doWrite()

    def until(self, happened: Callable[[], bool]) -> None:
        """Turn until this has happened."""
        deadline = now() + PATIENCE
        while not happened():
            assert now() < deadline, "it didn't happen"
            self.turn(0.01)

    def idle(self) -> bool:
        """Whether nothing of ours is left with the reactor."""
        return not (self.readers or self.writers or self.triggers or self.getDelayedCalls())


@define
class FakeSession:
    """
    Keeps the lines, and answers when the test says so.

    Attributes:
        words: Offered for completion, whatever was typed.
        lines: What was asked.
        answers: Their Deferreds.
        begin: Makes them.
    """

    prompt: str = "> "
    words: list[str] = Factory(list)
    lines: list[str] = Factory(list)
    answers: list[Deferred[str | None]] = Factory(list)
    begin: Callable[[str], Deferred[str | None]] = lambda text: Deferred()

    def line(self, text: str) -> Deferred[str | None]:
        """Begin a line."""
        self.lines.append(text)
        self.answers.append(self.begin(text))
        return self.answers[-1]

    def complete(self, text: str) -> list[str]:
        """All words there are."""
        return list(self.words)


class BrokenSession(FakeSession):
    """Has a bug where completions are made."""

    def complete(self, text: str) -> list[str]:
        """Fail."""
        raise ZeroDivisionError


def press(editor: Editor, *keys: str) -> str:
    """Press the keys and return the text."""
    for key in keys:
        editor.press(key)
    return editor.text


def folder(test: SynchronousTestCase) -> Path:
    """A folder that is gone after the test."""
    made = tempfile.TemporaryDirectory()
    test.addCleanup(made.cleanup)
    return Path(made.name)


def take(fd: int) -> bytes:
    """What there is to read, without waiting for ever."""
    assert select.select([fd], [], [], PATIENCE)[0], "nothing to read"
    return os.read(fd, 65_536)


class EditorTests(SynchronousTestCase):
    """The line, without a terminal."""

    def test_types_where_the_cursor_is(self) -> None:
        """A character goes before the cursor, wherever that was moved."""
        self.assertEqual(press(Editor(), *"ac", "[LEFT_ARROW]", "b"), "abc")
        self.assertEqual(press(Editor(), *"bc", "[HOME]", "a", "[END]", "d"), "abcd")

    def test_deletes_on_both_sides_of_the_cursor(self) -> None:
        """Backspace, Delete, Ctrl-W, Ctrl-U and Ctrl-K take what their names say."""
        left = "[LEFT_ARROW]"
        for keys, text in (
            (["\x7f"], "one tw"),
            (["\x08"], "one tw"),
            ([left, "[DELETE]"], "one tw"),
            ([left, "\x04"], "one tw"),
            (["\x17"], "one "),
            ([left, "\x15"], "o"),
            (["\x01", "[RIGHT_ARROW]", "\x0b"], "o"),
            (["[HOME]", "\x7f"], "one two"),
        ):
            with self.subTest(keys=keys):
                self.assertEqual(press(Editor(), *"one two", *keys), text)

    def test_recalls_and_comes_back(self) -> None:
        """Up goes to earlier lines, down back to what was being typed; the ends hold."""
        editor = Editor(["first", "second"])
        for key, text in (
            ("n", "n"),
            ("[UP_ARROW]", "second"),
            ("[UP_ARROW]", "first"),
            ("[UP_ARROW]", "first"),
            ("[DOWN_ARROW]", "second"),
            ("[DOWN_ARROW]", "n"),
            ("[DOWN_ARROW]", "n"),
        ):
            self.assertEqual(press(editor, key), text)

    def test_remembers_what_was_taken(self) -> None:
        """Lines are remembered in order, without blank ones and without repetition."""
        editor = Editor()
        for text in ("a", "b", "b", " ", "", "a"):
            press(editor, *text)
            editor.take()
        self.assertEqual((editor.history, editor.text), (["a", "b", "a"], ""))

    def test_history_is_bounded(self) -> None:
        """The oldest line goes when there are too many."""
        editor = Editor([str(number) for number in range(HISTORY_LIMIT)])
        press(editor, "x")
        editor.take()
        self.assertEqual((len(editor.history), editor.history[0]), (HISTORY_LIMIT, "1"))

    def test_line_is_bounded(self) -> None:
        """A line takes so many characters and no more."""
        editor = Editor()
        editor.replace(0, 0, "x" * LINE_LIMIT)
        self.assertFalse(editor.press("y"))
        self.assertEqual(len(editor.text), LINE_LIMIT)

    def test_control_codes_do_nothing(self) -> None:
        """Neither unknown keys nor control codes get into a line."""
        editor = Editor()
        did = [
            editor.press(key) for key in ("\x00", "\x1b", "\x9b", "\u2028", "[F5]", "[LEFT_ARROW]")
        ]
        self.assertEqual((did, editor.text), ([False] * 6, ""))

    def test_wide_and_narrow_characters(self) -> None:
        """The column counts what a terminal draws: two for wide, none for combining."""
        self.assertEqual(Editor().view(20), ("", 0))
        for text, column in (("a\u00e9", 2), ("\u65e5\u672c", 4), ("e\u0301", 1)):
            editor = Editor()
            press(editor, *text)
            self.assertEqual(editor.view(20), (text, column))
        editor = Editor()
        press(editor, *("\u65e5" * 5), "[HOME]")
        self.assertEqual(editor.view(5), ("\u65e5\u65e5", 0))

    @settings(deadline=None)
    @given(
        st.lists(st.sampled_from([*"abc \u65e5\u0301", "[HOME]", "[LEFT_ARROW]", "\x7f", "\x17"])),
        st.integers(4, 12),
    )
    def test_window_holds_the_cursor(self, keys: list[str], room: int) -> None:
        """Whatever is typed, the part that is shown fits and has the cursor in it."""
        editor = Editor()
        press(editor, *keys)
        shown, column = editor.view(room)
        wide = sum(1 + (char == "\u65e5") for char in shown if char != "\u0301")
        self.assertLessEqual(wide, room)
        self.assertTrue(0 <= column <= room)
        self.assertIn(shown, editor.text)


class KeyboardTests(SynchronousTestCase):
    """Keys out of bytes."""

    def keys(self, *chunks: bytes) -> list[str]:
        """All keys in some chunks."""
        keyboard = Keyboard()
        for chunk in chunks:
            keyboard.feed(chunk)
        got = []
        while keyboard.waiting():
            got.append(self.successResultOf(keyboard.get()))
        return got

    def test_any_chunking_gives_the_same_keys(self) -> None:
        """Keys and characters may come in pieces."""
        data = "a\u00e9\u65e5".encode() + UP + DELETE + b"\x1bOB" + b"\x1bOF\r"
        keys = ["a", "\u00e9", "\u65e5", "[UP_ARROW]", "[DELETE]", "[DOWN_ARROW]", "[END]", "\r"]
        for size in range(1, len(data) + 1):
            chunks = [data[at : at + size] for at in range(0, len(data), size)]
            self.assertEqual(self.keys(*chunks), keys)

    def test_foreign_keys_are_no_text(self) -> None:
        """Alt with a letter, Ctrl with an arrow and bytes that are no UTF-8 give nothing."""
        self.assertEqual(self.keys(b"\x1bx\x1b[1;5C\xff\xfe\x1bOZy"), ["y"])

    def test_type_ahead_is_bounded(self) -> None:
        """So many keys are kept, and what comes after them is lost."""
        self.assertEqual(len(self.keys(b"x" * (TYPE_AHEAD + 10))), TYPE_AHEAD)

    def test_whoever_asks_is_told_when_a_key_comes(self) -> None:
        """A key that comes later answers who asked, and one who gave up gets none."""
        keyboard = Keyboard()
        gone = keyboard.get()
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        asked = keyboard.get()
        self.assertNoResult(asked)
        keyboard.feed(b"k")
        self.assertEqual(self.successResultOf(asked), "k")


class DialogueTests(SynchronousTestCase):
    """The talk, with keys as bytes and a screen that is a list of bytes."""

    def setUp(self) -> None:
        """Begin to talk."""
        self.columns = 40
        self.begin(FakeSession())

    def begin(self, session: FakeSession) -> None:
        """Begin to talk with this session."""
        self.session, self.editor, self.keyboard = session, Editor(), Keyboard()
        self.screen = bytearray()
        dialogue = Dialogue(
            self.session,
            "HELP\nTEXT",
            self.editor,
            self.keyboard,
            self.screen.extend,
            lambda: self.columns,
        )
        self.done = Deferred.fromCoroutine(dialogue.run())

    def shows(self, *, of: bytes = b"") -> bytes:
        """What is written on the screen when these keys are pressed."""
        self.screen.clear()
        self.keyboard.feed(of)
        return bytes(self.screen)

    def test_begins_with_a_prompt(self) -> None:
        """The prompt stands there and the cursor behind it."""
        self.assertEqual(self.screen, b"\r> \x1b[K\r\x1b[2C")

    def test_shows_what_is_typed(self) -> None:
        """The line is drawn again once for each chunk, with the cursor in its place."""
        self.assertEqual(self.shows(of=b"abc" + LEFT), b"\r> abc\x1b[K\r\x1b[4C")

    def test_carries_out_a_line_and_prints_all_rows_of_the_answer(self) -> None:
        """The prompt comes back behind the answer and not before."""
        self.assertEqual(self.shows(of=b"ask\r"), b"\r\x1b[K> ask\n")
        self.screen.clear()
        self.session.answers[0].callback("one\ntwo\n")
        self.assertEqual(self.session.lines, ["ask"])
        self.assertTrue(self.screen.startswith(b"one\ntwo\n\r> "))

    def test_no_answer_prints_nothing(self) -> None:
        """After None and an empty text there is only the prompt."""
        for number, answer in enumerate((None, "")):
            self.shows(of=b"ask\r")
            self.screen.clear()
            self.session.answers[number].callback(answer)
            self.assertTrue(self.screen.startswith(b"\r> "))

    def test_an_error_is_one_line_and_the_talk_goes_on(self) -> None:
        """Whatever a peer put into it, an error is one line without control codes."""
        self.shows(of=b"ask\r")
        self.screen.clear()
        self.session.answers[0].errback(RemoteError("bad\nnews \x1b[2J\u00e9"))
        self.assertTrue(self.screen.startswith("bad\\nnews \\x1b[2J\u00e9\n\r> ".encode()))
        self.assertNoResult(self.done)

    def test_a_bug_ends_the_talk(self) -> None:
        """What is no LabError comes out of it."""
        self.shows(of=b"ask\r")
        self.session.answers[0].errback(ZeroDivisionError())
        self.failureResultOf(self.done, ZeroDivisionError)

    def test_blank_lines_are_no_requests(self) -> None:
        """Enter alone, and behind blanks, gives a new prompt."""
        self.assertTrue(self.shows(of=b"\r  \r").endswith(b"\r> \x1b[K\r\x1b[2C"))
        self.assertEqual((self.session.lines, self.editor.history), ([], []))

    def test_help(self) -> None:
        """The word prints the text and is no request; with a blank before it, it is one."""
        self.assertIn(b"HELP\nTEXT\n\r> ", self.shows(of=b"help\r"))
        self.assertEqual(self.session.lines, [])
        self.shows(of=b" help\r")
        self.assertEqual(self.session.lines, [" help"])

    def test_words_that_end(self) -> None:
        """Both words end the talk with 0."""
        for word in (b"quit\r", b"exit \r"):
            self.begin(FakeSession())
            self.shows(of=word)
            self.assertEqual(self.successResultOf(self.done), 0)

    def test_ctrl_d(self) -> None:
        """It deletes in a line, and ends with 0 on an empty one."""
        self.shows(of=b"a" + HOME + b"\x04")
        self.assertEqual(self.editor.text, "")
        self.assertNoResult(self.done)
        self.assertEqual(self.shows(of=b"\x04"), b"\n")
        self.assertEqual(self.successResultOf(self.done), 0)

    def test_ctrl_c_at_the_prompt(self) -> None:
        """With nothing under way it ends with the code of an interrupt, whatever was typed."""
        self.shows(of=b"abc\x03")
        self.assertEqual(self.successResultOf(self.done), INTERRUPTED)

    def test_ctrl_c_under_way(self) -> None:
        """It cancels the line, drops what was typed ahead, says so and goes on."""
        cancelled: list[Deferred[str | None]] = []
        self.session.begin = lambda text: Deferred(cancelled.append)
        self.shows(of=b"slow\r")
        self.shows(of=b"ahead\r")
        self.assertTrue(self.shows(of=b"\x03").startswith(b"interrupted\n\r> "))
        self.assertEqual(cancelled, self.session.answers)
        self.assertEqual((self.session.lines, self.editor.text), (["slow"], ""))
        self.assertNoResult(self.done)

    def test_ctrl_c_in_one_chunk_with_the_line(self) -> None:
        """A quick hand interrupts the line and doesn't end the talk; what follows is kept."""
        self.assertIn(b"interrupted\n\r> next", self.shows(of=b"slow\r\x03next"))
        self.assertNoResult(self.done)

    def test_an_interrupted_line_may_still_say_something(self) -> None:
        """What a cancelled line answers is printed, an error of its is not."""
        self.session.begin = lambda text: Deferred(lambda answer: answer.callback("2 of 9"))
        self.shows(of=b"slow\r")
        self.assertTrue(self.shows(of=b"\x03").startswith(b"2 of 9\ninterrupted\n\r> "))
        self.session.begin = lambda text: Deferred(lambda answer: answer.errback(RemoteError()))
        self.shows(of=b"slow\r")
        self.assertTrue(self.shows(of=b"\x03").startswith(b"interrupted\n\r> "))

    def test_what_is_typed_under_way_is_kept(self) -> None:
        """Keys wait for the answer, and then do what they would have done."""
        self.shows(of=b"one\r")
        self.assertEqual(self.shows(of=b"two\rthree"), b"")
        self.session.answers[0].callback("1")
        self.assertEqual(self.session.lines, ["one", "two"])
        self.session.answers[1].callback("2")
        self.assertEqual((self.editor.text, self.editor.cursor), ("three", 5))

    def test_many_lines_in_one_chunk(self) -> None:
        """Lines that are answered at once need no depth of the stack."""
        self.session.begin = succeed
        self.assertEqual(self.shows(of=b"x\r" * 5000).count(b"> x\nx\n"), 5000)

    def test_recalls_with_the_arrows(self) -> None:
        """Up brings the last line back into the prompt, and Enter asks again."""
        self.shows(of=b"one\r")
        self.session.answers[0].callback("1")
        self.assertIn(b"\r> one\x1b[K", self.shows(of=UP))
        self.shows(of=b"\r")
        self.assertEqual(self.session.lines, ["one", "one"])

    def test_completes_what_is_common(self) -> None:
        """TAB puts in what all completions share, before the cursor only."""
        self.session.words = ["alpha one", "alpha other", "beta"]
        self.assertIn(b"> alpha o", self.shows(of=b"al\t"))
        self.assertIn(b"> alpha onez\x1b[K\r\x1b[11C", self.shows(of=b"nz" + LEFT + b"\t"))

    def test_lists_what_differs(self) -> None:
        """A second TAB lists the last words below, and draws the line again."""
        self.session.words = ["get one", "get other"]
        self.assertEqual(self.shows(of=b"g\t\t"), b"\none  other\n\r> get o\x1b[K\r\x1b[7C")

    def test_a_long_list_is_cut(self) -> None:
        """Of many completions some are listed, with the number of the others."""
        self.session.words = [f"w{number:03}" for number in range(LISTED + 11)]
        shown = self.shows(of=b"w\t")
        self.assertIn(b"and 11 more", shown)
        self.assertEqual(shown.count(b"w0"), LISTED)

    def test_our_words_are_completed_too(self) -> None:
        """TAB knows help and quit."""
        self.assertIn(b"> help\x1b", self.shows(of=b"he\t"))
        self.assertIn(b"\nhelp  quit\n", self.shows(of=b"\x15\t"))

    def test_nothing_to_complete_rings(self) -> None:
        """No completion, one that is there already, and unfit ones ring the bell."""
        self.session.words = ["al", "al\x1b", "other"]
        self.assertEqual(self.shows(of=b"al\t"), b"\r> al\x1b[K\r\x1b[4C\a")
        self.assertNotIn(b"\a", self.shows(of=b"x"))

    def test_a_bug_in_complete_ends_the_talk(self) -> None:
        """It comes out of the talk like any other."""
        self.begin(BrokenSession())
        self.shows(of=b"\t")
        self.failureResultOf(self.done, ZeroDivisionError)

    def test_a_long_line_is_shown_in_part_and_then_whole(self) -> None:
        """What is drawn stays in the row while it is typed; Enter shows the whole line."""
        text = b"".join(b"%02d" % number for number in range(50))
        drawn = self.shows(of=text)
        self.assertLess(len(drawn.removeprefix(b"\r").partition(b"\x1b")[0]), self.columns)
        self.assertTrue(self.shows(of=b"\r").endswith(b"> " + text + b"\n"))

    def test_keys_without_effect_ring(self) -> None:
        """The bell rings once for a chunk, and only where something was amiss."""
        self.assertEqual(self.shows(of=LEFT + LEFT), b"\r> \x1b[K\r\x1b[2C\a")
        self.assertNotIn(b"\a", self.shows(of=b"x" + LEFT))

    def test_a_prompt_may_be_empty_and_may_change(self) -> None:
        """It is asked for at each drawing, and its columns are counted."""
        for prompt, drawn in (("", b"\r\x1b[K\r"), ("\u65e5 ", b"\r\xe6\x97\xa5 \x1b[K\r\x1b[3C")):
            self.session.prompt = prompt
            self.assertTrue(self.shows(of=b"\r").endswith(drawn))

    def test_a_narrow_terminal_is_asked_anew(self) -> None:
        """The width counts at each drawing, and one of three columns breaks nothing."""
        self.columns = 3
        self.assertIn(b"45678", self.shows(of=b"012345678"))


class InputTests(SynchronousTestCase):
    """Reading when somebody asks."""

    def setUp(self) -> None:
        """A reactor on which nothing may be left."""
        self.reactor = FakeReactor()
        self.addCleanup(lambda: self.assertTrue(self.reactor.idle()))

    def open(self, path: str) -> Input:
        """The input of a file."""
        fd = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        return Input(self.reactor, fd)

    def pipe(self) -> tuple[Input, int]:
        """The input of a pipe, and where to write."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        return Input(self.reactor, reader), writer

    def test_a_file_is_read_in_chunks_without_a_poll(self) -> None:
        """Each chunk comes in a turn of the reactor, which watches nothing."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"x" * 100_000)
            file.flush()
            source, sizes = self.open(file.name), []
            for _ in range(3):
                asked = source.read()
                self.assertNoResult(asked)
                self.assertEqual(self.reactor.readers, set())
                self.reactor.turn()
                sizes.append(len(self.successResultOf(asked)))
        self.assertEqual(sizes, [65_536, 100_000 - 65_536, 0])

    def test_the_null_device_is_at_its_end(self) -> None:
        """/dev/null, which can't be polled, gives the end."""
        asked = self.open(os.devnull).read()
        self.reactor.turn()
        self.assertEqual((self.successResultOf(asked), self.reactor.readers), (b"", set()))

    def test_a_pipe_is_watched_only_while_somebody_asks(self) -> None:
        """Nothing is read before it is asked for; the end of the writer is the end."""
        source, writer = self.pipe()
        os.write(writer, b"abc")
        self.reactor.turn()
        asked = source.read()
        self.assertEqual(self.reactor.readers, {source})
        self.reactor.turn()
        self.assertEqual((self.successResultOf(asked), self.reactor.readers), (b"abc", set()))
        os.close(writer)
        asked = source.read()
        self.reactor.turn()
        self.assertEqual(self.successResultOf(asked), b"")

    def test_a_pipe_that_the_reactor_gave_up_is_at_its_end(self) -> None:
        """A hang-up that is no data is told as the end."""
        source, writer = self.pipe()
        os.close(writer)
        asked = source.read()
        source.connectionLost(Failure(ConnectionError()))
        self.assertEqual(self.successResultOf(asked), b"")

    def test_close_is_the_end_for_whoever_asks(self) -> None:
        """Who asked before and who asks after are both told that it is the end."""
        source, writer = self.pipe()
        self.addCleanup(os.close, writer)
        asked = source.read()
        source.close()
        self.assertEqual(self.successResultOf(asked), b"")
        self.assertEqual(self.successResultOf(source.read()), b"")

    def test_cancelled_leaves_nothing(self) -> None:
        """Who gives up is not watched for any more, on a pipe and on a file."""
        source, writer = self.pipe()
        self.addCleanup(os.close, writer)
        for asked in (source.read(), self.open(os.devnull).read()):
            asked.cancel()
            self.failureResultOf(asked, CancelledError)
        self.assertTrue(self.reactor.idle())

    def test_the_log_knows_who_it_was(self) -> None:
        """The reactor logs an error with what the descriptor is for."""
        names = (Input(self.reactor, 0).logPrefix(), Output(self.reactor, 1).logPrefix())
        self.assertEqual(names, ("input", "output"))

    def test_others_may_have_been_faster(self) -> None:
        """On a non-blocking pipe that is empty after all, waiting goes on."""
        source, writer = self.pipe()
        self.addCleanup(os.close, writer)
        os.set_blocking(source.fileno(), False)
        asked = source.read()
        source.doRead()
        self.assertNoResult(asked)
        source.close()

    def test_what_cannot_be_read_is_said(self) -> None:
        """A closed descriptor and a folder are LocalErrors with the reason."""
        closed = Input(self.reactor, 9999)
        self.assertIn("Bad file", str(self.failureResultOf(closed.read(), LocalError).value))
        asked = self.open(tempfile.gettempdir()).read()
        self.reactor.turn()
        self.assertIn("directory", str(self.failureResultOf(asked, LocalError).value))


class OutputTests(SynchronousTestCase):
    """Writing at the pace of who reads."""

    def setUp(self) -> None:
        """A pipe, and a reactor on which nothing may be left."""
        self.reactor = FakeReactor()
        self.reader, self.writer = os.pipe()
        self.output = Output(self.reactor, self.writer)
        self.addCleanup(os.close, self.writer)
        self.addCleanup(lambda: self.assertTrue(self.reactor.idle()))

    def test_writes_at_once_what_there_is_room_for(self) -> None:
        """A short text needs no turn of the reactor."""
        self.output.write(b"abc")
        self.successResultOf(self.output.drain())
        self.assertEqual(take(self.reader), b"abc")
        os.close(self.reader)

    def test_waits_for_room_and_loses_nothing(self) -> None:
        """More than a pipe holds is written as it is read, without blocking or O_NONBLOCK."""
        data = bytes(range(256)) * 4_000
        self.output.write(data)
        drained, got = self.output.drain(), b""
        self.assertNoResult(drained)
        while len(got) < len(data):
            got += take(self.reader)
            self.reactor.turn()
        self.successResultOf(drained)
        self.assertEqual(got, data)
        self.assertTrue(os.get_blocking(self.writer))
        os.close(self.reader)

    def test_nobody_waits(self) -> None:
        """What is written without waiting for it gets out as well."""
        self.output.write(b"x" * 100_000)
        got = 0
        while got < 100_000:
            got += len(take(self.reader))
            self.reactor.turn()
        os.close(self.reader)

    def test_a_descriptor_that_cannot_be_watched(self) -> None:
        """A reactor that refuses it is an error like any other."""

        def refuse(*_: object) -> None:
            """As epoll does with itself."""
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

        self.patch(self.reactor, "addWriter", refuse)
        self.output.write(b"x" * 1_000_000)
        error = self.failureResultOf(self.output.drain(), LocalError)
        self.assertIn("Invalid argument", str(error.value))
        os.close(self.reader)

    def test_others_may_take_the_room(self) -> None:
        """A non-blocking pipe with less room than promised is written when there is more."""
        os.set_blocking(self.writer, False)
        self.patch(select, "select", lambda *_: ((), (self.writer,), ()))
        self.output.write(b"x" * 1_000_000)
        drained = self.output.drain()
        self.assertNoResult(drained)
        self.assertEqual(self.reactor.writers, {self.output})
        drained.addErrback(lambda _: None).cancel()
        os.close(self.reader)

    def test_nobody_reads(self) -> None:
        """At once or while it waits, a closed reader is an error of its own; and for good."""
        self.output.write(b"x" * 1_000_000)
        drained = self.output.drain()
        os.close(self.reader)
        self.output.connectionLost(Failure(ConnectionError()))
        self.failureResultOf(drained, OutputClosedError)
        self.output.write(b"more")
        self.failureResultOf(self.output.drain(), OutputClosedError)

    def test_cancelled_leaves_nothing(self) -> None:
        """Who gives up waiting throws away what is not written."""
        self.output.write(b"x" * 1_000_000)
        drained = self.output.drain()
        drained.cancel()
        self.failureResultOf(drained, CancelledError)
        self.assertTrue(self.reactor.idle())
        os.close(self.reader)

    def test_what_cannot_be_written_is_said(self) -> None:
        """A full disk and a closed descriptor are LocalErrors with the reason."""
        os.close(self.reader)
        with Path("/dev/full").open("wb") as full:
            output = Output(self.reactor, full.fileno())
            output.write(b"x")
            error = self.failureResultOf(output.drain(), LocalError)
        self.assertIn("No space left", str(error.value))
        closed = Output(self.reactor, 999)
        closed.write(b"x")
        self.assertIn("Bad file", str(self.failureResultOf(closed.drain(), LocalError).value))


class LinesTests(SynchronousTestCase):
    """Lines of a file, answers to files, on a fake reactor."""

    def setUp(self) -> None:
        """Where answers go."""
        self.reactor, self.session = FakeReactor(), FakeSession()
        self.out, self.err = self.file(), self.file()

    def file(self, data: bytes = b"") -> int:
        """A temporary file with this in it."""
        fd, path = tempfile.mkstemp()
        self.addCleanup(os.close, fd)
        Path(path).unlink()
        os.write(fd, data)
        os.lseek(fd, 0, os.SEEK_SET)
        return fd

    def start(self, data: bytes, turns: int = 5) -> Deferred[int]:
        """Carry out these lines."""
        self.given = self.file(data)
        done = converse(
            self.reactor,
            self.session,
            help="",
            code_of=lambda failure: 3 if failure.check(RemoteError) else 2,
            files=(self.given, self.out, self.err),
        )
        for _ in range(turns):
            self.reactor.turn()
        return done

    def printed(self, fd: int) -> str:
        """What is in a file."""
        return os.pread(fd, 1_000_000, 0).decode()

    def test_answers_come_in_the_order_of_the_lines(self) -> None:
        """An answer waits for those before it."""
        done = self.start(b"a\nb\nc\n")
        first, second, third = self.session.answers
        third.callback("C")
        first.callback("A")
        self.assertEqual(self.printed(self.out), "A\n")
        second.callback("B\nB")
        self.assertEqual(self.printed(self.out), "A\nB\nB\nC\n")
        self.assertEqual(self.successResultOf(done), 0)
        self.assertTrue(self.reactor.idle())

    def test_every_line_that_is_not_blank_is_a_request(self) -> None:
        """Words of ours too, and the last without an ending; CR LF is an ending."""
        self.start("help\n\n  \r\nquit\r\n one \n\u65e5".encode())
        self.assertEqual(self.session.lines, ["help", "quit", " one ", "\u65e5"])

    def test_errors_go_to_stderr_and_the_worst_code_is_ours(self) -> None:
        """An error is one line with the number of its line; the highest code counts."""
        done = self.start(b"a\n\nb\nc\nd\n")
        for answer, result in zip(
            self.session.answers, ("A", RemoteError("no\nway"), LocalError("hm"), None), strict=True
        ):
            answer.callback(result) if result is None or isinstance(
                result, str
            ) else answer.errback(result)
        self.assertEqual(self.printed(self.out), "A\n")
        self.assertEqual(self.printed(self.err), "line 3: no\\nway\nline 4: hm\n")
        self.assertEqual(self.successResultOf(done), 3)

    def test_one_file_for_both_keeps_the_order(self) -> None:
        """With 2>&1 errors stand between the answers, where they belong."""
        self.err = os.dup(self.out)
        self.addCleanup(os.close, self.err)
        self.start(b"a\nb\nc\n")
        self.session.answers[0].callback("A")
        self.session.answers[1].errback(LocalError("hm"))
        self.session.answers[2].callback("C")
        self.assertEqual(self.printed(self.out), "A\nline 2: hm\nC\n")

    def test_so_many_lines_are_under_way(self) -> None:
        """The next line begins when the oldest answer is printed, not when any has come."""
        self.start(b"x\n" * 300)
        self.assertEqual(len(self.session.lines), IN_FLIGHT)
        self.session.answers[1].callback(None)
        self.assertEqual(len(self.session.lines), IN_FLIGHT)
        self.session.answers[0].callback(None)
        self.assertEqual(len(self.session.lines), IN_FLIGHT + 2)

    def test_a_long_file_is_not_read_ahead(self) -> None:
        """While answers are due, one chunk is read, whatever the length of the file."""
        self.start((b"x" * 99 + b"\n") * 100_000, turns=50)
        self.assertEqual(os.lseek(self.given, 0, os.SEEK_CUR), 65_536)

    def test_a_slow_reader_holds_the_lines_back(self) -> None:
        """While nobody takes the answers, no more lines are begun."""
        reader, self.out = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, self.out)
        self.session.begin = lambda text: succeed("x" * 10_000)
        done = self.start(b"x\n" * 1_000, turns=50)
        begun = len(self.session.lines)
        self.assertLess(begun, 200)
        got = 0
        while got < 1_000 * 10_001:
            got += len(take(reader))
            self.reactor.turn()
        self.assertEqual(self.successResultOf(done), 0)

    def test_lines_that_are_too_long_or_no_text(self) -> None:
        """Each is an error of its own, and the lines after it are carried out."""
        lines = (b"x" * LINE_LIMIT, b"x" * (LINE_LIMIT + 1), b"ab\xff", b"y" * 1_000_000, b"z")
        done = self.start(b"\n".join(lines), turns=30)
        self.assertEqual(self.session.lines, ["x" * LINE_LIMIT, "z"])
        for answer in self.session.answers:
            answer.callback(None)
        text = "more than 10,000 characters; give a shorter line"
        self.assertEqual(
            self.printed(self.err),
            f"line 2: {text}\nline 3: byte 3 is not UTF-8; give text\nline 4: {text}\n",
        )
        self.assertEqual(self.successResultOf(done), 2)

    def test_the_longest_line_is_taken_in_any_letters(self) -> None:
        """The limit counts characters, also where each is four bytes."""
        text = "\U0001f600" * LINE_LIMIT
        self.start(f"{text}\r\n{text}".encode(), turns=30)
        self.assertEqual(self.session.lines, [text, text])

    def test_a_bug_ends_it_and_cancels_the_rest(self) -> None:
        """What is no LabError comes out; nothing more is begun."""
        done = self.start(b"x\n" * 300)
        self.session.answers[0].errback(ZeroDivisionError())
        self.failureResultOf(done, ZeroDivisionError)
        self.assertTrue(all(answer.called for answer in self.session.answers))
        self.assertEqual(len(self.session.lines), IN_FLIGHT)
        self.assertTrue(self.reactor.idle())

    def test_cancelled_cancels_what_is_under_way(self) -> None:
        """Nothing is left of a talk that was cancelled."""
        done = self.start(b"a\nb\n")
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertTrue(all(answer.called for answer in self.session.answers))
        self.assertTrue(self.reactor.idle())

    def test_nobody_reads_the_answers(self) -> None:
        """It ends with the code of a closed pipe, and what is under way is cancelled."""
        reader, self.out = os.pipe()
        self.addCleanup(os.close, self.out)
        os.close(reader)
        done = self.start(b"a\nb\n")
        self.session.answers[0].callback("A")
        self.assertEqual(self.successResultOf(done), OUTPUT_CLOSED)
        self.assertTrue(self.session.answers[1].called)
        self.assertTrue(self.reactor.idle())

    def test_nobody_reads_answers_and_errors(self) -> None:
        """With 2>&1 an error too finds out that nobody reads."""
        reader, self.out = os.pipe()
        os.close(reader)
        self.err = os.dup(self.out)
        for fd in (self.out, self.err):
            self.addCleanup(os.close, fd)
        done = self.start(b"a\nb\n")
        self.session.answers[0].errback(LocalError("hm"))
        self.assertEqual(self.successResultOf(done), OUTPUT_CLOSED)

    def test_what_cannot_be_read_ends_it(self) -> None:
        """It fails with the reason, behind the answers to what was read before."""
        chunks = [b"a\n"]

        def read(*_: int) -> bytes:
            """A disk that fails soon."""
            if not chunks:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return chunks.pop()

        self.session.begin = succeed
        self.patch(os, "read", read)
        done = self.start(b"")
        self.assertIn("Input/output", str(self.failureResultOf(done, LocalError).value))
        self.assertEqual(self.printed(self.out), "a\n")

    def test_nobody_reads_the_errors(self) -> None:
        """Without a stderr the answers go on and the code stays."""
        self.err = 999
        done = self.start(b"a\nb\n")
        self.session.answers[0].errback(LocalError("hm"))
        self.session.answers[1].callback("B")
        self.assertEqual((self.printed(self.out), self.successResultOf(done)), ("B\n", 2))


class TalkTests(SynchronousTestCase):
    """A pseudo-terminal on a fake reactor: how a talk begins and ends."""

    def setUp(self) -> None:
        """Begin to talk."""
        self.patch(os, "environ", {**os.environ, "TERM": "xterm"})
        self.reactor, self.session, self.seen = FakeReactor(), FakeSession(), b""
        self.master, self.slave = pty.openpty()
        self.addCleanup(os.close, self.slave)
        self.addCleanup(lambda: os.close(self.master))
        self.before = termios.tcgetattr(self.slave)
        self.history, self.keeps = folder(self) / "history", True

    def talk(self) -> Deferred[int]:
        """Begin to talk."""
        output = os.dup(self.slave)
        self.addCleanup(os.close, output)
        return converse(
            self.reactor,
            self.session,
            help="",
            history=self.history if self.keeps else None,
            files=(self.slave, output, output),
        )

    def type(self, data: bytes, then: bytes) -> None:
        """Press these keys and turn the reactor until this is shown."""
        os.write(self.master, data)
        self.seen = b""

        def shown() -> bool:
            """Read what is there."""
            if select.select([self.master], [], [], 0)[0]:
                self.seen += os.read(self.master, 65_536)
            return then in self.seen

        self.reactor.until(shown)

    def assertEnded(self) -> None:
        """The terminal is as it was, and nothing is left."""
        self.assertEqual(termios.tcgetattr(self.slave), self.before)
        self.assertTrue(self.reactor.idle())

    def test_the_end_leaves_nothing_behind(self) -> None:
        """After quit the terminal is as it was, and the line is in the history."""
        done = self.talk()
        self.assertNotEqual(termios.tcgetattr(self.slave), self.before)
        self.type(b"quit\r", b"> quit\r\n")
        self.assertEqual(self.successResultOf(done), 0)
        self.assertEqual(self.history.read_text(), "quit\n")
        self.assertEnded()

    def test_history_is_recalled_as_far_as_it_is_text(self) -> None:
        """Lines with control codes are left out, and what is no UTF-8 is replaced."""
        self.history.write_bytes(b"old\x1b[2J\nol\xff\n\nquit\n")
        done = self.talk()
        self.type(UP + UP + UP, "> ol\ufffd".encode())
        self.type(DOWN + b"\r", b"> quit\r\n")
        self.assertEqual(self.successResultOf(done), 0)
        self.assertEqual(self.history.read_text(), "ol\ufffd\nquit\n")

    def test_cancelled_under_way(self) -> None:
        """A talk that is cancelled cancels its line, keeps its history and leaves nothing."""
        done = self.talk()
        self.type(b"slow\r", b"> slow\r\n")
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertTrue(self.session.answers[0].called)
        self.assertEqual(self.history.read_text(), "slow\n")
        self.assertEnded()

    def test_cancelled_at_the_prompt(self) -> None:
        """It may be cancelled before anything was typed."""
        done = self.talk()
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertEnded()

    def test_a_bug_leaves_nothing_behind(self) -> None:
        """The terminal is as it was before the error is told."""
        done = self.talk()
        self.type(b"x\r", b"> x\r\n")
        self.session.answers[0].errback(ZeroDivisionError())
        self.failureResultOf(done, ZeroDivisionError)
        self.assertEnded()

    def test_the_reactor_stops(self) -> None:
        """The trigger ends the talk at once, also while a line is under way."""
        done = self.talk()
        self.type(b"slow\r", b"> slow\r\n")
        self.reactor.triggers.pop()()
        self.assertEqual(self.successResultOf(done), INTERRUPTED)
        self.assertEnded()

    def test_the_terminal_goes_away(self) -> None:
        """A hang-up interrupts the line and ends the talk with 0."""
        done = self.talk()
        self.type(b"slow\r", b"> slow\r\n")
        self.hang_up()
        self.reactor.until(lambda: bool(done.called))
        self.assertEqual(self.successResultOf(done), 0)
        self.assertTrue(self.session.answers[0].called)
        self.assertTrue(self.reactor.idle())

    def test_an_answer_after_the_terminal_went_away(self) -> None:
        """Writing to a terminal that is gone, and asking for its width, break nothing."""
        done = self.talk()
        self.type(b"slow\r", b"> slow\r\n")
        self.hang_up()
        self.session.answers[0].callback("late")
        self.reactor.until(lambda: bool(done.called))
        self.assertEqual(self.successResultOf(done), 0)

    def hang_up(self) -> None:
        """Close the other side of the terminal."""
        os.close(self.master)
        self.master = os.open(os.devnull, os.O_RDONLY)

    def test_output_is_processed_while_keys_are_raw(self) -> None:
        """What others print meanwhile begins at the left edge."""
        done = self.talk()
        self.type(b"slow\r", b"> slow\r\n")
        os.write(self.slave, b"by others\n")
        self.type(b"", b"by others\r\n")
        done.cancel()
        self.failureResultOf(done, CancelledError)

    def test_history_that_cannot_be_read_or_kept(self) -> None:
        """A folder in its place changes nothing else, and no other file is left in it."""
        self.history.mkdir()
        done = self.talk()
        self.type(b"exit\r", b"> exit\r\n")
        self.assertEqual(self.successResultOf(done), 0)
        self.assertEqual([*self.history.parent.rglob("*")], [self.history])
        self.assertEnded()

    def test_no_history_is_kept_unless_asked_for(self) -> None:
        """Without a file the lines are gone with the talk."""
        self.keeps = False
        done = self.talk()
        self.type(b"exit\r", b"> exit\r\n")
        self.assertEqual(self.successResultOf(done), 0)
        self.assertEqual([*self.history.parent.iterdir()], [])

    def test_a_terminal_that_cannot_move_its_cursor_is_a_pipe(self) -> None:
        """With TERM=dumb lines are read as they are, and nothing is drawn."""
        self.patch(os, "environ", {**os.environ, "TERM": "dumb"})
        done = self.talk()
        self.assertEqual(termios.tcgetattr(self.slave), self.before)
        self.type(b"quit\n", b"quit\r\n")
        self.reactor.until(lambda: bool(self.session.answers))
        self.session.answers[0].callback("QUIT")
        self.type(b"\x04", b"QUIT\r\n")
        self.reactor.until(lambda: bool(done.called))
        self.assertEqual(self.successResultOf(done), 0)


# From here on there are real processes.

SCRIPT = """
import sys
if "--asyncio" in sys.argv:
    from twisted.internet import asyncioreactor
    asyncioreactor.install()
from pathlib import Path
from lab.commands.terminal import converse
assert "twisted.internet.reactor" not in sys.modules or "--asyncio" in sys.argv
from lab.errors import LocalError
from twisted.internet import defer, task

class Upper:
    prompt = "demo> "
    def complete(self, text):
        return [word for word in ("alpha", "beta") if word.startswith(text)]
    async def line(self, text):
        if text == "slow":
            print("started", flush=True)
            await defer.Deferred()
        if text == "bad":
            raise LocalError("bad is bad")
        return str(1 // 0) if text == "bug" else text.upper()

async def main(reactor):
    history = Path(sys.argv[1]) if sys.argv[1:2] and sys.argv[1] != "--asyncio" else None
    raise SystemExit(
        await converse(reactor, Upper(), help="some help", code_of=lambda f: 3, history=history)
    )

task.react(lambda reactor: defer.ensureDeferred(main(reactor)))
"""


def environment() -> dict[str, str]:
    """What a child needs to import the same code."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TERM": "xterm"}


class Terminal:
    """
    A program on a pseudo-terminal.

    Args:
        arguments: For the script.
    """

    def __init__(self, *arguments: str) -> None:
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *arguments],
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


class TerminalTests(SynchronousTestCase):
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
        self.assertEqual(terminal.end(), INTERRUPTED)

    def test_a_bug_gives_the_terminal_back(self) -> None:
        """A traceback is shown, from the left edge, on a terminal that is as it was."""
        terminal = self.terminal()
        terminal.type(b"bug\r", "ZeroDivisionError")
        self.assertEqual(terminal.end(), 1)

    def test_works_on_asyncio(self) -> None:
        """The other reactor does the same."""
        terminal = self.terminal("--asyncio")
        terminal.type(b"al\t\r", "ALPHA\r\n")
        terminal.type(b"\x04", "\r\n")
        self.assertEqual(terminal.end(), 0)

    def test_history_is_kept_for_its_owner(self) -> None:
        """The next program recalls what was typed in this one, from a file of mode 0600."""
        path = folder(self) / "deep" / "history"
        terminal = self.terminal(str(path))
        terminal.type(b"one\r", "ONE\r\n")
        terminal.type(b"two\r\x04", "TWO\r\n")
        self.assertEqual(terminal.end(), 0)
        self.assertEqual(path.read_text(), "one\ntwo\n")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(list(path.parent.iterdir()), [path])
        path.write_text("old\n" * 2_000 + "bad\x1b[2J\nlast\n")
        terminal = self.terminal(str(path))
        terminal.type(UP + UP + b"\r\x04", "OLD\r\n")
        self.assertEqual(terminal.end(), 0)
        self.assertEqual(path.read_text(), "old\n" * 998 + "last\nold\n")

    def test_history_that_cannot_be_kept_is_no_obstacle(self) -> None:
        """Where no file can be, the talk goes on without."""
        terminal = self.terminal("/dev/null/history")
        terminal.type(b"one\r\x04", "ONE\r\n")
        self.assertEqual(terminal.end(), 0)


class PipeTests(SynchronousTestCase):
    """A real program between real pipes and files."""

    def run_script(self, *arguments: str, **files: Any) -> "subprocess.CompletedProcess[bytes]":
        """Run the script to its end."""
        return subprocess.run(
            [sys.executable, "-c", SCRIPT, *arguments],
            env=environment(),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            **files,
        )

    def test_a_pipe(self) -> None:
        """Answers on stdout, errors on stderr, the worst code at the end."""
        ended = self.run_script(input=b"a\n\nbad\r\nhelp")
        self.assertEqual(ended.stdout, b"A\nHELP\n")
        self.assertEqual(ended.stderr, b"line 3: bad is bad\n")
        self.assertEqual(ended.returncode, 3)

    def test_a_file_on_both_reactors(self) -> None:
        """A file that epoll refuses is read all the same."""
        path = folder(self) / "lines"
        path.write_bytes(b"abc\n" * 50_000)
        for arguments in ((), ("--asyncio",)):
            with path.open("rb") as file:
                ended = self.run_script(*arguments, stdin=file)
            self.assertEqual(ended.stderr, b"")
            self.assertEqual((ended.stdout, ended.returncode), (b"ABC\n" * 50_000, 0))

    def test_the_null_device(self) -> None:
        """No lines are no work."""
        ended = self.run_script(stdin=subprocess.DEVNULL)
        self.assertEqual((ended.stdout, ended.stderr, ended.returncode), (b"", b"", 0))

    def test_a_reader_that_leaves(self) -> None:
        """As before ``| head -1``: the end is quiet, though lines go on and on."""
        with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as yes:
            program = subprocess.Popen(
                [sys.executable, "-c", SCRIPT],
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
        ended = self.run_script(input=b"bug\n")
        self.assertIn(b"ZeroDivisionError", ended.stderr)
        self.assertEqual(ended.returncode, 1)
