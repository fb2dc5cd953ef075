"""A pseudo-terminal on a fake reactor: how a talk begins and ends."""

import errno
import os
import pty
import select
import termios

from twisted.internet.defer import CancelledError, Deferred

from lab.commands.conversation.aside import Aside
from lab.commands.conversation.descriptors import Input, Output
from lab.commands.conversation.terminal import talk
from tests.commands.conversation.helpers import (
    DOWN,
    UP,
    BoundedTestCase,
    FakeReactor,
    FakeSession,
)
from tests.helpers import folder


class TalkTests(BoundedTestCase):
    """A pseudo-terminal on a fake reactor: how a talk begins and ends."""

    def setUp(self) -> None:
        """Begin to talk."""
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
        given, out = Input(self.reactor, self.slave), Output(self.reactor, output)
        history = self.history if self.keeps else None
        return Deferred.fromCoroutine(talk(self.session, "", history, given, out, Aside()))

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

    def test_history_is_recalled(self) -> None:
        """The lines of the file are there, and those that were typed are added to it."""
        self.history.write_text("one\ntwo\n")
        done = self.talk()
        self.type(UP + UP, b"> one\x1b")
        self.type(DOWN + b"3\x04", b"> two3\x1b")
        self.type(b"\r", b"> two3\r\n")
        self.session.answers[0].callback(None)
        self.type(b"quit\r", b"> quit\r\n")
        self.assertEqual(self.successResultOf(done), 0)
        self.assertEqual(self.history.read_text(), "one\ntwo\ntwo3\nquit\n")

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

    def test_the_terminal_fails(self) -> None:
        """A terminal that can't be read any more is the same as one that is gone."""
        done = self.talk()
        self.type(b"", b"\x1b[2C")

        def read(*_: int) -> bytes:
            """As in the background of a session that is over."""
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        self.patch(os, "read", read)
        os.write(self.master, b"x")
        self.reactor.until(lambda: bool(done.called))
        self.assertEqual(self.successResultOf(done), 0)
        self.assertEnded()

    def test_keys_are_shown_by_us_alone(self) -> None:
        """The terminal neither echoes nor takes a key for itself, as it would Ctrl-S."""
        done = self.talk()
        self.type(b"", b"\x1b[2C")
        self.type(b"a", b"\x1b[3C")
        self.assertEqual(self.seen, b"\r> a\x1b[K\r\x1b[3C")
        self.type(b"\x13b", b"> ab\x1b")
        done.cancel()
        self.failureResultOf(done, CancelledError)

    def test_a_terminal_of_no_known_width(self) -> None:
        """It is taken for one of 80 columns, as for this one that says 0."""
        done = self.talk()
        self.type(b"x" * 77, b"> " + b"x" * 77)
        done.cancel()
        self.failureResultOf(done, CancelledError)

    def test_output_is_processed_while_keys_are_raw(self) -> None:
        """What others print meanwhile begins at the left edge."""
        done = self.talk()
        self.type(b"slow\r", b"> slow\r\n")
        os.write(self.slave, b"by others\n")
        self.type(b"", b"by others\r\n")
        done.cancel()
        self.failureResultOf(done, CancelledError)

    def test_no_history_is_kept_unless_asked_for(self) -> None:
        """Without a file the lines are gone with the talk."""
        self.keeps = False
        done = self.talk()
        self.type(b"exit\r", b"> exit\r\n")
        self.assertEqual(self.successResultOf(done), 0)
        self.assertEqual([*self.history.parent.iterdir()], [])
