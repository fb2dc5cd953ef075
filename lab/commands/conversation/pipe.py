"""
The talk on a pipe or a file: every line is a request, answers come in the order of the lines.

Many lines are under way at once, in bounded memory, at the pace of whoever reads the answers:
input is asked for one chunk at a time, which is all the back pressure there needs to be.
"""

from collections.abc import Callable

from attrs import Factory, define
from twisted.internet.defer import Deferred, DeferredQueue, DeferredSemaphore, maybeDeferred
from twisted.python.failure import Failure

from lab.commands.conversation.descriptors import Input, Output, OutputClosedError
from lab.commands.conversation.session import (
    LINE_LIMIT,
    Interrupted,
    Session,
    begin,
    encode,
    one_line,
)
from lab.errors import LabError, LocalError

#: Most lines that are under way, or answered and not yet printed.
IN_FLIGHT = 100
#: Exit code when nobody reads the answers any more: 128 + SIGPIPE.
OUTPUT_CLOSED = 141

_LINE_BYTES = 4 * LINE_LIMIT  # UTF-8 takes up to four bytes for a character


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
        last: A line that ends the input, if there is one.
        in_flight: So many lines may be under way; with 1, each waits until the answer to the one
            before it was printed.
    """

    _session: Session
    _code_of: Callable[[Failure], int]
    _given: Input
    _out: Output
    _err: Output
    _last: str | None = None
    _in_flight: int = IN_FLIGHT
    _unread: bytearray = Factory(bytearray)
    _over: bool = False
    _window: DeferredSemaphore = Factory(
        lambda self: DeferredSemaphore(self._in_flight), takes_self=True
    )
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
        number, last = 0, None if self._last is None else self._last.encode()
        while not self._over and (line := await self._next()) is not None:
            number += 1
            if line == last:
                break
            if line.strip():
                await self._window.acquire()
                self._answers.put((number, maybeDeferred(self._start, line)))
        self._answers.put(None)

    def _start(self, line: bytes) -> Deferred[str | None]:
        """Start one line."""
        if len(line) > _LINE_BYTES or len(text := _decode(line)) > LINE_LIMIT:
            raise LocalError(f"more than {LINE_LIMIT:,} characters; give a shorter line")
        return begin(self._session, text)

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
            await self._complain(f"line {number}: {one_line(error)}")
            return self._code_of(failure)
        except Interrupted as interrupted:
            await self._show(interrupted.text)
            raise
        await self._show(text)
        return 0

    async def _show(self, text: str | None) -> None:
        """Print an answer, if there is one."""
        if text:
            self._out.write(encode(text))
            await self._out.drain()

    async def _complain(self, text: str) -> None:
        """Print an error; when nobody reads errors, answers go on."""
        self._err.write(encode(text))
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
