"""Lines of a file, answers to files, on a fake reactor."""

import errno
import gc
import os
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed

from lab.commands.conversation.descriptors import Input, Output
from lab.commands.conversation.pipe import IN_FLIGHT, OUTPUT_CLOSED, Lines
from lab.commands.conversation.session import LINE_LIMIT, Interrupted
from lab.errors import LocalError, RemoteError
from tests.commands.conversation.helpers import BoundedTestCase, FakeReactor, FakeSession, take

#: A character of four bytes.
FACE = "\U0001f600".encode()


class LinesTests(BoundedTestCase):
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

    def start(
        self, data: bytes, turns: int = 5, given: int | None = None, **more: Any
    ) -> Deferred[int]:
        """Carry out these lines, or those that come from a descriptor."""
        self.given = self.file(data) if given is None else given
        out = Output(self.reactor, self.out)
        lines = Lines(
            self.session,
            lambda failure: 3 if failure.check(RemoteError) else 2,
            Input(self.reactor, self.given),
            out,
            out if self.err == self.out else Output(self.reactor, self.err),
            **more,
        )
        done = Deferred.fromCoroutine(lines.run())
        for _ in range(turns):
            self.reactor.turn()
        return done

    def printed(self, fd: int) -> str:
        """What is in a file."""
        return os.pread(fd, 1_000_000, 0).decode()

    def test_last(self) -> None:
        """A line may be the last; what stands before it is answered, what follows is not begun."""
        for given in (b"a\nquit now\nquit\nb\n", b"a\nquit now\nquit\r\nb", b"a\nquit now\nquit"):
            self.session = FakeSession()
            done = self.start(given, last="quit")
            self.assertEqual(self.session.lines, ["a", "quit now"])
            for answer in self.session.answers:
                answer.callback("1")
            self.assertEqual(self.successResultOf(done), 0)
            self.assertTrue(self.reactor.idle())

    def test_one_after_the_other(self) -> None:
        """With one in flight, each line waits until the answer to the one before was printed."""
        self.start(b"a\nb\n", in_flight=1)
        self.assertEqual(self.session.lines, ["a"])
        self.session.answers[0].callback("A")
        self.assertEqual((self.session.lines, self.printed(self.out)), (["a", "b"], "A\n"))

    def test_interrupted(self) -> None:
        """What there is to say of an interrupted line is printed; those behind it are cancelled."""
        self.session.begin = lambda text: Deferred(
            lambda answer: answer.errback(Interrupted(f"half of {text}"))
        )
        done = self.start(b"a\nb\n")
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertEqual((self.printed(self.out), self.printed(self.err)), ("half of a\n", ""))
        self.assertTrue(all(answer.called for answer in self.session.answers))
        self.assertTrue(self.reactor.idle())

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
        self.err = self.out
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
        lines = (b"x" * LINE_LIMIT, b"x" * (LINE_LIMIT + 1), b"ab\xff", b"z", FACE * 1_000_000)
        done = self.start(b"\n".join(lines), turns=30)
        self.assertEqual(self.session.lines, ["x" * LINE_LIMIT, "z"])
        for answer in self.session.answers:
            answer.callback(None)
        text = "more than 10,000 characters; give a shorter line"
        self.assertEqual(
            self.printed(self.err),
            f"line 2: {text}\nline 3: byte 3 is not UTF-8; give text\nline 5: {text}\n",
        )
        self.assertEqual(self.successResultOf(done), 2)

    def test_the_longest_line_is_taken_in_any_letters(self) -> None:
        """The limit counts characters, also where each is four bytes."""
        text = FACE.decode() * LINE_LIMIT
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
        self.session.answers.clear()
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_cancelled_cancels_what_is_under_way(self) -> None:
        """Nothing is left of a talk that was cancelled, nobody listens for more lines."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        os.write(writer, b"a\nb\n")
        done = self.start(b"", given=reader)
        self.assertEqual(self.session.lines, ["a", "b"])
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
        self.session = FakeSession(begin=succeed)
        done = self.start(b"a\nb\n")
        self.assertEqual(self.successResultOf(done), OUTPUT_CLOSED)
        self.assertEqual(self.session.lines, ["a"])

    def test_nobody_reads_answers_and_errors(self) -> None:
        """With 2>&1 an error too finds out that nobody reads."""
        reader, self.out = os.pipe()
        os.close(reader)
        self.addCleanup(os.close, self.out)
        self.err = self.out
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
