"""
The talk between a person, or a script, and a command: lines in, answers out. POSIX only.

Knows no service: a command gives a `Session`, and `converse` runs it with a line editor on a
terminal and with plain lines on a pipe or a file.

**What it must do.** On a terminal: edit, recall and complete a line, interrupt what is under way,
and leave the terminal as it was, however the talk ends. On a pipe: answer in the order of the
lines with many of them under way, in bounded memory, at the pace of whoever reads the answers.

**What it may assume.** Terminals understand ``CSI K`` (erase to the end of the row) and ``CSI C``
(cursor forward), and UTF-8 is spoken everywhere.

**How it does it.** Both talks are coroutines, so that ``finally`` and ``with`` put things right
whatever happens. Input is asked for one chunk at a time, which is all the back pressure there
needs to be. A line longer than the row is shown through a window that follows the cursor.

**What was refused.** ``StandardIO`` sets O_NONBLOCK, which belongs to the open file and not to
the descriptor: stderr and the shell would get it too (Twisted #3442), and it closes what it is
given. ``HistoricRecvLine`` edits bytes, clears the screen and breaks at the end of a row; only
its parser of keys, `ServerProtocol`, is used. Rows that wrap need the place of the cursor
tracked over them, and every change of the window's size spoils that.
"""

import atexit
import codecs
import os
import select
import stat
import tempfile
import termios
import textwrap
import unicodedata
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, cast

from attrs import Factory, define, field
from twisted.conch.insults.insults import ServerProtocol, TerminalProtocol
from twisted.internet.defer import (
    CancelledError,
    Deferred,
    DeferredQueue,
    DeferredSemaphore,
    fail,
    maybeDeferred,
    succeed,
)
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor, IWriteDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from lab.errors import LabError, LocalError

#: Most characters of a line; a longer one is refused on a pipe, and not typed on a terminal.
LINE_LIMIT = 10_000
#: Most lines that are kept to be recalled.
HISTORY_LIMIT = 1_000
#: Most lines of a pipe that are under way, or answered and not yet printed.
IN_FLIGHT = 100
#: Most keys that are kept while a line is under way; what is typed after them is lost.
TYPE_AHEAD = 100_000
#: Most completions that are listed.
LISTED = 100
#: Exit codes: Ctrl-C at the prompt; nobody reads the answers any more (128 + SIGPIPE).
INTERRUPTED, OUTPUT_CLOSED = 130, 141

_CHUNK = 65_536  # bytes of one read
_LINE_BYTES = 4 * LINE_LIMIT  # UTF-8 takes up to four bytes for a character
_ENDINGS, _HELP = ("quit", "exit"), "help"
_CTRL_C, _CTRL_D, _TAB, _HANG_UP = "\x03", "\x04", "\t", "[HANG_UP]"
_log = Logger()


class Session(Protocol):
    """
    What a command gives.

    Attributes:
        prompt: Plain text shown before the line that is typed; read anew for each line.
    """

    prompt: str

    def line(self, text: str) -> Awaitable[str | None]:
        """
        Carry out one line.

        Args:
            text: 1 to `LINE_LIMIT` characters, not all blank, without a line ending.

        Returns:
            A Deferred or a coroutine with the text to print, of any number of lines; None or
            an empty text prints nothing. It is cancelled at Ctrl-C.

        Raises:
            LabError: Its text is printed as one line, and the talk goes on. Any other
                exception is a bug and ends the talk.
        """

    def complete(self, text: str) -> list[str]:
        """
        What could stand in the place of ``text``, which is all that stands before the cursor.

        Each completion is a whole replacement and begins with ``text``, as ``get readme.txt``
        does with ``get re``; nothing is put behind it.
        """


def converse(
    reactor: Any,
    session: Session,
    *,
    help: str,
    code_of: Callable[[Failure], int] = lambda failure: 1,
    history: Path | None = None,
    files: tuple[int, int, int] = (0, 1, 2),
) -> Deferred[int]:
    """
    Carry out what is typed, or what comes on a pipe, until it ends.

    With a terminal on both sides a line is edited, ``help``, ``quit`` and ``exit`` are words of
    ours (with a blank before them they are requests), and errors don't change the exit code.
    Otherwise every line that is not blank is a request, up to `IN_FLIGHT` of them are under
    way, answers are printed in the order of the lines, and errors, with the number of the line,
    go to stderr.

    Args:
        reactor: Of its interfaces `IReactorFDSet`, `IReactorTime` and `IReactorCore` are used.
        session: Carries out the lines.
        help: What ``help`` prints.
        code_of: The exit code of a `LabError`, 1 to 255; asked on a pipe only.
        history: A file that keeps the last `HISTORY_LIMIT` lines that were typed.
        files: The descriptors of stdin, stdout and stderr; they are left open and as they were.

    Returns:
        Fires with the exit code: 0 after ``quit``, Ctrl-D and the end of input, `INTERRUPTED`
        after Ctrl-C with nothing under way or when the reactor stops, `OUTPUT_CLOSED`
        when nobody reads the answers; on a pipe the highest code of the errors. Fails with
        `LocalError` when stdin can't be read or stdout not written, and with whatever a
        session raises that is no `LabError`. Cancel it to end the talk.
    """
    stdin, stdout, stderr = files
    given, shown = Input(reactor, stdin), Output(reactor, stdout)
    if on_terminal(stdin, stdout):
        talk = _talk(reactor, session, help, history, given, shown)
        return Deferred.fromCoroutine(talk)
    errors = shown if _same(stdout, stderr) else Output(reactor, stderr)
    return Deferred.fromCoroutine(Lines(session, code_of, given, shown, errors).run())


def on_terminal(stdin: int, stdout: int) -> bool:
    """Whether there is a person to talk to, on a terminal that can move its cursor."""
    return os.isatty(stdin) and os.isatty(stdout) and os.environ.get("TERM") != "dumb"


def _same(one: int, other: int) -> bool:
    """Whether two descriptors are one file, so that what is written must keep its order."""
    try:
        return os.path.sameopenfile(one, other)
    except OSError:  # one of them is closed
        return False


def _begin(session: Session, text: str) -> Deferred[str | None]:
    """Start to carry out a line."""
    return cast("Deferred[str | None]", maybeDeferred(session.line, text))


def _encode(text: str) -> bytes:
    """The text with a line ending behind it."""
    return (text.removesuffix("\n") + "\n").encode("utf-8", "backslashreplace")


def _one_line(error: LabError) -> str:
    """The text of an error, of which a peer may have written a part, without control codes."""
    text = str(error) or type(error).__name__
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


# Descriptors.


@implementer(IReadDescriptor)
@define(eq=False)
class Input:
    """
    A file descriptor that is read when somebody asks, and not before.

    Files and devices such as ``/dev/null`` never block and can't be polled (epoll says EPERM):
    they are read in the next turn of the reactor.

    Args:
        reactor: Watches the descriptor.
        fd: What is read; it is left open.
    """

    _reactor: Any
    _fd: int
    _asked: Deferred[bytes] | None = None
    _turn: IDelayedCall | None = None
    _closed: bool = False

    def read(self) -> Deferred[bytes]:
        """
        Fires with the next bytes, at most 65,536, or with none at the end.

        Raises:
            LocalError: In the Deferred, when that descriptor can't be read.
        """
        if self._closed:
            return succeed(b"")
        asked: Deferred[bytes] = Deferred(self._forget)
        self._asked = asked
        try:
            if self._may_wait():
                self._reactor.addReader(self)
            else:
                self._turn = self._reactor.callLater(0, self.doRead)
        except OSError as error:
            self._tell(error)
        return asked

    def close(self) -> None:
        """Read no more; whoever asked is told that it is the end."""
        self._closed = True
        self._tell(b"")

    def doRead(self) -> None:
        """There is something to read."""
        self._turn = None
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:  # somebody else's O_NONBLOCK, and somebody else was faster
            return
        except OSError as error:
            self._tell(error)
        else:
            self._tell(data)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor gave up watching: whoever wrote is gone."""
        self._tell(b"")

    def fileno(self) -> int:
        """What the reactor watches."""
        return self._fd

    def logPrefix(self) -> str:
        """For the reactor's log."""
        return "input"

    def _may_wait(self) -> bool:
        """Whether there may be nothing to read for a while."""
        mode = os.fstat(self._fd).st_mode
        return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(self._fd)

    def _tell(self, result: bytes | OSError) -> None:
        """Answer whoever asked."""
        asked = self._asked
        self._forget(asked)
        if asked is None:
            return
        if isinstance(result, OSError):
            asked.errback(LocalError(f"standard input can't be read: {result.strerror}"))
        else:
            asked.callback(result)

    def _forget(self, asked: Deferred[bytes] | None) -> None:
        """Watch no more: nobody asks."""
        self._asked = None
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        elif asked is not None:
            self._reactor.removeReader(self)


class OutputClosedError(Exception):
    """Nobody reads the answers any more (EPIPE)."""


@implementer(IWriteDescriptor)
@define(eq=False)
class Output:
    """
    A file descriptor that is written at once as far as it takes it; the rest waits for room.

    What polls as writable takes `select.PIPE_BUF` bytes without blocking, hence the pieces.

    Args:
        reactor: Watches the descriptor.
        fd: What is written; it is left open.
    """

    _reactor: Any
    _fd: int
    _rest: bytearray = Factory(bytearray)
    _error: Exception | None = None
    _drained: Deferred[None] | None = None

    def write(self, data: bytes) -> None:
        """Write this after all that was written before; after an error nothing is written."""
        if self._error is None:
            self._rest += data
            self._push()
        if self._rest:
            try:
                self._reactor.addWriter(self)
            except OSError as error:  # the descriptor was closed, and is now something else
                self._fail(error)

    def drain(self) -> Deferred[None]:
        """
        Fires when all is written; the rest is thrown away when it is cancelled.

        Raises:
            OutputClosedError: In the Deferred: nobody reads any more.
            LocalError: In the Deferred: it can't be written, as on a full disk.
        """
        if self._error is not None:
            return fail(self._error)
        if not self._rest:
            return succeed(None)
        self._drained = Deferred(self._stop)
        return self._drained

    def doWrite(self) -> None:
        """There is room."""
        self._push()
        if not self._rest:
            drained = self._drained
            self._stop(drained)
            if drained is not None:
                drained.callback(None if self._error is None else Failure(self._error))

    def connectionLost(self, reason: Failure) -> None:
        """The reactor gave up watching: whoever read is gone, and writing shows it."""
        self.doWrite()

    def fileno(self) -> int:
        """What the reactor watches."""
        return self._fd

    def logPrefix(self) -> str:
        """For the reactor's log."""
        return "output"

    def _push(self) -> None:
        """Write what can be written without waiting."""
        try:
            while self._rest and select.select((), (self._fd,), (), 0)[1]:
                del self._rest[: os.write(self._fd, self._rest[: select.PIPE_BUF])]
        except BlockingIOError:  # somebody else's O_NONBLOCK, and less room than was promised
            return
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        """Nothing can be written from now on."""
        self._error = LocalError(f"standard output can't be written: {error.strerror}")
        if isinstance(error, BrokenPipeError):
            self._error = OutputClosedError()
        self._rest.clear()

    def _stop(self, drained: Deferred[None] | None) -> None:
        """Write no more of what there is."""
        self._drained = None
        self._rest.clear()
        self._reactor.removeWriter(self)


# A pipe.


@define(eq=False)
class Lines:
    """
    Carries out the lines of a pipe or a file.

    One coroutine reads lines and starts them, as many as `IN_FLIGHT`; another prints the
    answers, oldest first, and for each that is printed the first may start one more.

    Args:
        session: Carries out the lines.
        code_of: The exit code of an error.
        given: The lines.
        out: Where answers go.
        err: Where errors go; may be ``out``.
    """

    _session: Session
    _code_of: Callable[[Failure], int]
    _given: Input
    _out: Output
    _err: Output
    _unread: bytearray = Factory(bytearray)
    _over: bool = False
    _window: DeferredSemaphore = Factory(lambda: DeferredSemaphore(IN_FLIGHT))
    _answers: "DeferredQueue[tuple[int, Deferred[str | None]] | Failure | None]" = Factory(
        DeferredQueue
    )

    async def run(self) -> int:
        """
        Carry out all lines.

        Returns:
            The highest exit code of the errors, 0 without any.
        """
        worst = 0
        Deferred.fromCoroutine(self._start_all()).addErrback(self._answers.put)
        try:
            while (item := await self._answers.get()) is not None:
                assert not isinstance(item, Failure), "`get` raises it"  # noqa: S101 - for mypy
                worst = max(worst, await self._print(*item))
                self._window.release()
        except OutputClosedError:
            return OUTPUT_CLOSED
        finally:
            self._stop()
        return worst

    async def _start_all(self) -> None:
        """Start each line that is not blank, when it may."""
        number = 0
        while not self._over and (line := await self._next()) is not None:
            number += 1
            if line.strip():
                await self._window.acquire()
                self._answers.put((number, maybeDeferred(self._start, line)))
        self._answers.put(None)

    def _start(self, line: bytes) -> Deferred[str | None]:
        """Start one line."""
        if len(line) > _LINE_BYTES or len(text := _decode(line)) > LINE_LIMIT:
            raise LocalError(f"more than {LINE_LIMIT:,} characters; give a shorter line")
        return _begin(self._session, text)

    async def _next(self) -> bytes | None:
        """The next line without its ending, cut if it is far too long; None at the end."""
        line = bytearray()
        while (end := self._unread.find(b"\n")) < 0:
            line += self._unread[: _LINE_BYTES + 2 - len(line)]  # two, for one may be a CR
            self._unread = bytearray(await self._given.read())
            if not self._unread:
                return bytes(line) or None
        line += self._unread[:end]
        del self._unread[: end + 1]
        return bytes(line.removesuffix(b"\r"))

    async def _print(self, number: int, answer: Deferred[str | None]) -> int:
        """Print what came of a line, and return its exit code."""
        try:
            text = await answer
        except LabError as error:
            failure = Failure()
            await self._complain(f"line {number}: {_one_line(error)}")
            return self._code_of(failure)
        if text:
            self._out.write(_encode(text))
            await self._out.drain()
        return 0

    async def _complain(self, text: str) -> None:
        """Print an error; when nobody reads errors, answers go on."""
        self._err.write(_encode(text))
        try:
            await self._err.drain()
        except (OutputClosedError, LocalError):
            if self._err is self._out:
                raise

    def _stop(self) -> None:
        """Read no more, and cancel what is under way."""
        self._over = True
        self._given.close()
        for item in self._answers.pending:
            if isinstance(item, tuple):
                item[1].addErrback(lambda _: None)
                item[1].cancel()


def _decode(line: bytes) -> str:
    """The text of a line."""
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise LocalError(f"byte {error.start + 1} is not UTF-8; give text") from error


# A terminal.


def _typable(char: str) -> bool:
    """Whether a character may stand in a line: no control code, and no line ending."""
    return unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")


def _width(text: str) -> int:
    """The columns that a text takes on a terminal."""
    marks = sum(unicodedata.category(char) in ("Mn", "Me", "Cf") for char in text)
    return len(text) - marks + sum(unicodedata.east_asian_width(char) in "WF" for char in text)


@define
class Editor:
    r"""
    A line that is typed, and those that were typed before. Knows no terminal.

    Args:
        history: Earlier lines, oldest first; `take` adds to it, and keeps `HISTORY_LIMIT`.

    Attributes:
        text: The line so far, at most `LINE_LIMIT` characters.
        cursor: How many characters stand before the cursor.

    >>> editor = Editor(["+,1,1"])
    >>> [editor.press(key) for key in ("[UP_ARROW]", "\x7f", "2")], editor.text
    ([True, True, True], '+,1,2')
    """

    history: list[str] = Factory(list)
    text: str = field(default="", init=False)
    cursor: int = field(default=0, init=False)
    _draft: str = field(default="", init=False)
    _at: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin after the last line."""
        self._at = len(self.history)

    def press(self, key: str) -> bool:
        """
        Do what a key means.

        Returns:
            Whether the key did anything.
        """
        before = self.text, self.cursor
        if key in _BINDINGS:
            _BINDINGS[key](self)
        elif len(key) == 1 and _typable(key):
            self.replace(self.cursor, self.cursor, key)
        return (self.text, self.cursor) != before

    def replace(self, start: int, end: int, new: str = "") -> None:
        """Put a text in the place of these characters, if it fits, and the cursor behind it."""
        text = self.text[:start] + new + self.text[end:]
        if len(text) <= LINE_LIMIT:
            self.text, self.cursor = text, start + len(new)

    def move(self, to: int) -> None:
        """Put the cursor behind so many characters."""
        self.cursor = min(max(to, 0), len(self.text))

    def recall(self, step: int) -> None:
        """Go to an earlier (-1) or a later (1) line; behind the last is what was being typed."""
        if not 0 <= self._at + step <= len(self.history):
            return
        if self._at == len(self.history):
            self._draft = self.text
        self._at += step
        self.text = [*self.history, self._draft][self._at]
        self.cursor = len(self.text)

    def take(self) -> str:
        """The line, which is remembered unless it is blank or the last again; begin another."""
        text = self.text
        if text.strip() and self.history[-1:] != [text]:
            self.history.append(text)
            del self.history[:-HISTORY_LIMIT]
        self.text, self.cursor, self._draft, self._at = "", 0, "", len(self.history)
        return text

    def view(self, room: int) -> tuple[str, int]:
        """
        The part of the line around the cursor that fits.

        Args:
            room: Columns there are; at least 4.

        Returns:
            The part, and the column of the cursor in it, from 0 to ``room``.
        """
        start, column = 0, _width(self.text[: self.cursor])
        if column > room:
            while column > room * 2 // 3:
                column -= _width(self.text[start])
                start += 1
        shown = self.text[start : start + room]
        while _width(shown) > room:
            shown = shown[:-1]
        return shown, column

    def word(self) -> int:
        """Where the word before the cursor begins, in characters."""
        return self.text[: self.cursor].rstrip().rfind(" ") + 1


#: Keys and what they do, as in other programs that read lines.
_BINDINGS: dict[str, Callable[[Editor], None]] = {
    "[LEFT_ARROW]": lambda editor: editor.move(editor.cursor - 1),
    "[RIGHT_ARROW]": lambda editor: editor.move(editor.cursor + 1),
    "[HOME]": lambda editor: editor.move(0),
    "[END]": lambda editor: editor.move(len(editor.text)),
    "[UP_ARROW]": lambda editor: editor.recall(-1),
    "[DOWN_ARROW]": lambda editor: editor.recall(1),
    "[DELETE]": lambda editor: editor.replace(editor.cursor, editor.cursor + 1),
    "\x7f": lambda editor: editor.replace(max(editor.cursor - 1, 0), editor.cursor),
    "\x0b": lambda editor: editor.replace(editor.cursor, len(editor.text)),  # Ctrl-K
    "\x15": lambda editor: editor.replace(0, editor.cursor),  # Ctrl-U
    "\x17": lambda editor: editor.replace(editor.word(), editor.cursor),  # Ctrl-W
}
_BINDINGS |= {
    alias: _BINDINGS[key]
    for alias, key in {
        "\x01": "[HOME]",
        "\x02": "[LEFT_ARROW]",
        "\x05": "[END]",
        "\x06": "[RIGHT_ARROW]",
        "\x08": "\x7f",
        "\x0e": "[DOWN_ARROW]",
        "\x10": "[UP_ARROW]",
        _CTRL_D: "[DELETE]",
    }.items()
}


#: What `ServerProtocol` says of the keys of a terminal in application mode, ESC O A for one.
_APPLICATION_KEYS = {
    b"\x1b[OA": b"[UP_ARROW]",
    b"\x1b[OB": b"[DOWN_ARROW]",
    b"\x1b[OC": b"[RIGHT_ARROW]",
    b"\x1b[OD": b"[LEFT_ARROW]",
    b"\x1b[OF": b"[END]",
    b"\x1b[OH": b"[HOME]",
}


class Keyboard(TerminalProtocol):
    """
    Keys out of the bytes of a terminal, kept until somebody asks for one.

    A key is one character, which may be a control code, or a name such as ``[UP_ARROW]``.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._keys: deque[str] = deque()
        self._asked: Deferred[str] | None = None
        self._interrupt: Callable[[], None] | None = None
        self._parser = ServerProtocol(lambda: self)
        self._parser.connectionMade()

    def feed(self, data: bytes) -> None:
        """Take some bytes of the terminal's."""
        self._parser.dataReceived(data)
        self._wake()

    def hang_up(self, key: str) -> None:
        """Interrupt what is under way; this key is the last, whatever else was typed."""
        self._keys = deque([key])
        if self._interrupt is not None:
            self._interrupt()
        self._wake()

    def waiting(self) -> bool:
        """Whether there is a key to get."""
        return bool(self._keys)

    def get(self) -> Deferred[str]:
        """Fires with the next key; one may ask at a time."""
        asked: Deferred[str] = Deferred(self._forget)
        self._asked = asked
        self._wake()
        return asked

    @contextmanager
    def interrupting(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """While a line is under way, Ctrl-C calls this and drops the keys that wait."""
        self._interrupt = interrupt
        try:
            if _CTRL_C in self._keys:  # it came in one chunk with the line
                while _CTRL_C in self._keys:
                    self._keys.popleft()
                interrupt()
            yield
        finally:
            self._interrupt = None

    def keystrokeReceived(self, keyID: bytes, modifier: bytes | None) -> None:
        """One byte, or the name of a key; with a modifier it means nothing to us."""
        key = self._decoder.decode(keyID) if len(keyID) == 1 else keyID.decode()
        if key == _CTRL_C and self._interrupt is not None:
            self._keys.clear()
            self._interrupt()
        elif key and modifier is None and len(self._keys) < TYPE_AHEAD:
            self._keys.append(key)

    def unhandledControlSequence(self, seq: bytes) -> None:
        """A key that the parser doesn't know."""
        if seq in _APPLICATION_KEYS:
            self.keystrokeReceived(_APPLICATION_KEYS[seq], None)

    def _wake(self) -> None:
        """Give the next key to whoever asks, if there are both."""
        if self._keys and self._asked is not None:
            asked, self._asked = self._asked, None
            asked.callback(self._keys.popleft())

    def _forget(self, asked: Deferred[str]) -> None:
        """Nobody asks any more."""
        self._asked = None


@define(eq=False)
class Dialogue:
    """
    The talk on a terminal: prompt, line, answer. Knows no descriptor.

    Args:
        session: Carries out the lines.
        help: What ``help`` prints.
        editor: The line that is typed.
        keyboard: Where keys come from.
        write: Takes what is to be shown.
        columns: How wide the terminal is just now.
    """

    _session: Session
    _help: str
    _editor: Editor
    _keyboard: Keyboard
    _write: Callable[[bytes], None]
    _columns: Callable[[], int]
    _bell: bool = False

    async def run(self) -> int:
        """Talk until the end, and return the exit code."""
        while isinstance(text := await self._read(), str):
            word = text.rstrip()
            if word in _ENDINGS:
                return 0
            if word == _HELP:
                self._write(_encode(self._help))
            elif word:
                await self._carry_out(text)
        return text

    async def _read(self) -> str | int:
        """The next line, or the exit code at the end."""
        while True:
            if not self._keyboard.waiting():
                self._draw()
            key = await self._keyboard.get()
            if key in ("\r", "\n"):
                self._write(b"\r\x1b[K" + _encode(self._session.prompt + self._editor.text))
                return self._editor.take()
            if key in (_CTRL_C, _HANG_UP) or (key == _CTRL_D and not self._editor.text):
                self._write(b"\n")
                return INTERRUPTED if key == _CTRL_C else 0
            if key == _TAB:
                self._complete()
            elif not self._editor.press(key):
                self._bell = True

    async def _carry_out(self, text: str) -> None:
        """Carry out one line and print what comes of it."""
        under_way, interrupted = _begin(self._session, text), False

        def interrupt() -> None:
            """Ctrl-C was pressed."""
            nonlocal interrupted
            interrupted = True
            under_way.cancel()

        try:
            if under_way.called:
                answer = await under_way
            else:
                with self._keyboard.interrupting(interrupt):
                    answer = await under_way
        except LabError as error:
            answer = None if interrupted else _one_line(error)
        except CancelledError:
            if not interrupted:
                raise
            answer = None
        if answer:
            self._write(_encode(answer))
        if interrupted:
            self._write(b"interrupted\n")

    def _draw(self) -> None:
        """Show the prompt and the line, or what fits of it."""
        columns, prompt = self._columns(), self._session.prompt
        shown, column = self._editor.view(max(columns - _width(prompt) - 1, 8))
        line = f"\r{prompt}{shown}\x1b[K\r"
        if column + _width(prompt):
            line += f"\x1b[{column + _width(prompt)}C"
        self._write((line + "\a" * self._bell).encode())
        self._bell = False

    def _complete(self) -> None:
        """Put what all completions have in common before the cursor, or list them."""
        before = self._editor.text[: self._editor.cursor]
        ours = [word for word in (_HELP, *_ENDINGS[:1]) if word.startswith(before)]
        found = list(dict.fromkeys([*self._session.complete(before), *ours]))
        found = [text for text in found if text.startswith(before) and all(map(_typable, text))]
        common = os.path.commonprefix(found)  # noqa: RUF071 - these are no paths
        if len(common) > len(before):
            self._editor.replace(0, len(before), common)
        elif len(found) > 1:
            self._list([text[before.rfind(" ") + 1 :] for text in found])
        else:
            self._bell = True

    def _list(self, words: list[str]) -> None:
        """Show what there is to choose from; the line is drawn again below."""
        more = f"  and {len(words) - LISTED} more" if len(words) > LISTED else ""
        rows = textwrap.fill("  ".join(words[:LISTED]) + more, max(self._columns() - 1, 8))
        self._write(b"\n" + _encode(rows))


@define(eq=False)
class RawMode:
    """
    A terminal that gives each key as it is pressed, without showing it.

    Output is processed as before, so that what others print begins at the left edge.

    Args:
        fd: The terminal.
    """

    _fd: int
    _before: list[Any] = Factory(list)

    def __enter__(self) -> None:
        """Change the terminal, and see to it that it is put back when the program ends."""
        self._before = termios.tcgetattr(self._fd)
        raw = termios.tcgetattr(self._fd)
        raw[0] &= ~termios.IXON
        raw[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
        raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
        atexit.register(self.restore)
        termios.tcsetattr(self._fd, termios.TCSANOW, raw)

    def __exit__(self, *reason: object) -> None:
        """Put it back."""
        self.restore()
        atexit.unregister(self.restore)

    def restore(self) -> None:
        """Put it back as it was; a terminal that is gone needs nothing."""
        with suppress(termios.error):
            termios.tcsetattr(self._fd, termios.TCSANOW, self._before)


async def _talk(
    reactor: Any, session: Session, help: str, history: Path | None, given: Input, out: Output
) -> int:
    """Talk on a terminal, and return the exit code."""
    editor, keyboard = Editor(_load(history) if history else []), Keyboard()
    dialogue = Dialogue(session, help, editor, keyboard, out.write, lambda: _columns(out.fileno()))
    with RawMode(given.fileno()), _at_shutdown(reactor, lambda: keyboard.hang_up(_CTRL_C)):
        Deferred.fromCoroutine(_type(given, keyboard))
        try:
            code = await dialogue.run()
        finally:
            given.close()
            if history is not None:
                _save(history, editor.history)
    with suppress(OutputClosedError, LocalError):
        await out.drain()
    return code


async def _type(given: Input, keyboard: Keyboard) -> None:
    """Bring keys to the keyboard, also while a line is under way."""
    with suppress(LocalError):  # a terminal that is gone says EIO
        while data := await given.read():
            keyboard.feed(data)
    keyboard.hang_up(_HANG_UP)


@contextmanager
def _at_shutdown(reactor: Any, action: Callable[[], None]) -> Iterator[None]:
    """Do this when the reactor is stopped meanwhile, as SIGTERM does."""
    fired = False

    def fire() -> None:
        """The reactor stops."""
        nonlocal fired
        fired = True
        action()

    trigger = reactor.addSystemEventTrigger("before", "shutdown", fire)
    try:
        yield
    finally:
        if not fired:
            reactor.removeSystemEventTrigger(trigger)


def _columns(fd: int) -> int:
    """How wide a terminal is."""
    try:
        return os.get_terminal_size(fd).columns or 80
    except OSError:
        return 80


# History.


def _load(path: Path) -> list[str]:
    """The lines that were kept, oldest first."""
    try:
        lines = path.read_text("utf-8", "replace").split("\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        _log.warn("no history from {path}: {reason}", path=path, reason=error.strerror)
        return []
    good = (line[:LINE_LIMIT] for line in lines if line and all(map(_typable, line)))
    return list(good)[-HISTORY_LIMIT:]


def _save(path: Path, lines: list[str]) -> None:
    """Keep these lines, for their owner only; a file that is half written replaces nothing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
        new = Path(name)
        try:
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        _log.warn("no history in {path}: {reason}", path=path, reason=error.strerror)
