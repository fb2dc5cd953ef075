"""How a command runs."""

import io
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any
from unittest import mock

import twisted.internet
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lab import errors
from lab.commands import running
from lab.errors import (
    ConnectionRefused,
    LabError,
    LocalError,
    NoAnswer,
    RemoteError,
    Unreachable,
)

Main = Callable[[Any], Coroutine[Any, Any, int]]


class StandIn:
    """A reactor that runs what it is given until it is stopped, and has signals come by."""

    def __init__(self, *signals: int) -> None:
        self.signals = list(signals)
        #: Those that come when it has ended already.
        self.late: list[int] = []
        self.calls: list[Callable[[], object]] = []
        self.running = True

    def callWhenRunning(self, call: Callable[[], object]) -> None:
        """Call it first."""
        self.calls.append(call)

    callFromThread = callWhenRunning

    def stop(self) -> None:
        """End, once."""
        if not self.running:
            raise ReactorNotRunning
        self.running = False

    def run(self) -> None:
        """Call all there is; when there is nothing, let a signal come."""
        while self.running:
            if self.calls:
                self.calls.pop(0)()
            else:
                self.signal()
        while self.calls or self.late:  # a real one does what was asked of it before it ended
            if not self.calls:
                self.signal()
            self.calls.pop(0)()

    def signal(self) -> None:
        """One comes."""
        number = (self.signals or self.late).pop(0)
        signal.getsignal(number)(number, None)  # type: ignore[operator,misc,arg-type]


class CodeTests(SynchronousTestCase):
    """What errors are in numbers."""

    def test_codes(self) -> None:
        """Each kind of error has the code that is promised."""
        codes = {
            LocalError: 2, ConnectionRefused: 3, NoAnswer: 5, Unreachable: 1, RemoteError: 1,
            LabError: 1, ValueError: 1,
        }  # fmt: skip
        for kind, code in codes.items():
            self.assertEqual(running.code_of(kind("no way")), code)
        self.assertEqual(
            {kind for kind in vars(errors).values() if isinstance(kind, type)},
            {kind for kind in codes if issubclass(kind, LabError)},
        )
        self.assertEqual(running.code_of(None), 1)


class RunTests(SynchronousTestCase):
    """From a coroutine to an exit code."""

    def run_main(self, main: Main, *signals: int) -> tuple[object, str]:
        """The exit code, and what was said on standard error."""
        self.reactor = StandIn(*signals)
        self.patch(sys, "stderr", io.StringIO())
        kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            # Where all tests of a run are synchronous, trial installs no reactor.
            with mock.patch.object(twisted.internet, "reactor", self.reactor, create=True):
                done = self.assertRaises(SystemExit, running.run, main)
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)
        return done.code, sys.stderr.getvalue()

    def test_code(self) -> None:
        """What the coroutine returns is the exit code; it gets the reactor."""

        async def main(reactor: Any) -> int:
            self.assertIs(reactor, self.reactor)
            return 4

        self.assertEqual(self.run_main(main), (4, ""))

    def test_error(self) -> None:
        """An error of ours is one line and its code."""

        async def main(reactor: Any) -> int:
            raise NoAnswer("no answer within 3.1 s after 5 attempts")

        self.assertEqual(self.run_main(main), (5, "no answer within 3.1 s after 5 attempts\n"))

    def test_each_error(self) -> None:
        """The program ends with the code of the error, whatever its kind."""
        for kind, code in ((LocalError, 2), (ConnectionRefused, 3), (RemoteError, 1)):

            async def main(reactor: Any, kind: type[LabError] = kind) -> int:
                raise kind("no way")

            self.assertEqual(self.run_main(main), (code, "no way\n"))

    def test_bug(self) -> None:
        """Anything else is a bug: a traceback, and 1."""

        async def main(reactor: Any) -> int:
            raise ZeroDivisionError

        code, said = self.run_main(main)
        self.assertEqual(code, 1)
        self.assertIn("Traceback", said)
        self.assertIn("ZeroDivisionError", said)

    def test_nobody_reads(self) -> None:
        """Nothing is said where nobody reads the output any more, at the end of Python either."""

        async def main(reactor: Any) -> int:
            sys.stdout.write("hello")
            sys.stdout.flush()
            return 0

        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w") as output:
            self.patch(sys, "stdout", output)
            self.assertEqual(self.run_main(main), (running.FAILED, ""))

    def test_cancelled(self) -> None:
        """Who cancels himself was interrupted, and says nothing."""

        async def main(reactor: Any) -> int:
            waiting: Deferred[int] = Deferred()
            reactor.callFromThread(waiting.cancel)
            return await waiting

        self.assertEqual(self.run_main(main), (130, ""))

    def test_ended_by_somebody_else(self) -> None:
        """A reactor that is stopped before there was a code has failed."""

        async def main(reactor: Any) -> int:
            reactor.stop()
            return await Deferred()

        self.assertEqual(self.run_main(main), (1, ""))

    def test_signals(self) -> None:
        """Ctrl-C and SIGTERM let it clean up; the code is 128 and their number."""
        cleaned: list[bool] = []

        async def main(reactor: Any) -> int:
            try:
                return await Deferred()
            finally:
                cleaned.append(True)

        self.assertEqual(self.run_main(main, signal.SIGINT), (130, "interrupted\n"))
        self.assertEqual(self.run_main(main, signal.SIGTERM), (143, "interrupted\n"))
        self.assertEqual(cleaned, [True, True])

    def test_what_there_is_to_say_of_it(self) -> None:
        """One line of the command's own takes the place of the word."""

        async def main(reactor: Any) -> int:
            try:
                return await Deferred()
            except CancelledError:
                raise running.Stopped("interrupted; half of it is here") from None

        said = (130, "interrupted; half of it is here\n")
        self.assertEqual(self.run_main(main, signal.SIGINT), said)

    def test_a_second_signal(self) -> None:
        """A second Ctrl-C does not wait for the cleaning."""
        kept: list[Deferred[int]] = []

        async def main(reactor: Any) -> int:
            try:
                return await Deferred()
            finally:
                kept.append(Deferred())
                await kept[0]

        said = self.run_main(main, signal.SIGINT, signal.SIGINT)
        self.assertEqual(said, (130, "interrupted\n"))
        self.assertFalse(kept[0].called)
        kept[0].callback(0)

    def test_a_second_signal_at_the_end(self) -> None:
        """One that comes when all is over does no harm."""

        async def main(reactor: Any) -> int:
            reactor.late = [signal.SIGINT]
            return await Deferred()

        self.assertEqual(self.run_main(main, signal.SIGINT), (130, "interrupted\n"))

    def test_complain(self) -> None:
        """An error of ours is one line, a bug a traceback."""
        self.patch(sys, "stderr", io.StringIO())
        running.complain(Failure(LocalError("give less")))
        self.assertEqual(sys.stderr.getvalue(), "give less\n")
        running.complain(Failure(ZeroDivisionError()))
        self.assertIn("ZeroDivisionError", sys.stderr.getvalue())
