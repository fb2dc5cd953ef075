"""
How a command runs: a coroutine on the reactor, an exit code at the end.

Exit codes: 0 ok, 1 failed, 2 usage, 3 refused, 4 data wrong, 5 timed out, 130 interrupted.
"""

import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.python.failure import Failure

from lab.errors import ConnectionRefused, LabError, LocalError, NoAnswer

OK, FAILED, USAGE, REFUSED, DATA_WRONG, TIMED_OUT, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130


class Stopped(CancelledError):
    """Ctrl-C ended it, and its text says what there is to say of that."""


def code_of(error: BaseException | None) -> int:
    """
    The exit code that an error stands for.

    >>> code_of(NoAnswer("no answer within 3.1 s after 5 attempts"))
    5
    """
    for kind, code in ((LocalError, USAGE), (ConnectionRefused, REFUSED), (NoAnswer, TIMED_OUT)):
        if isinstance(error, kind):
            return code
    return FAILED


def complain(failure: Failure) -> None:
    """One line on standard error for an error of ours, a traceback for a bug."""
    if failure.check(LabError):
        sys.stderr.write(f"{failure.value}\n")
    else:
        failure.printTraceback(sys.stderr)


def run(main: Callable[[Any], Coroutine[Deferred[Any], Any, int]]) -> NoReturn:
    """
    Run a coroutine on the reactor until it returns its exit code, and end the program with it.

    Ctrl-C and SIGTERM cancel what it waits for, so that its ``finally`` clauses clean up; it may
    raise `Stopped` then.

    Args:
        main: Called with the reactor.
    """
    from twisted.internet import reactor as any_reactor

    reactor: Any = any_reactor
    codes: list[int] = []
    stopped_by: list[int] = []
    said: list[str] = ["interrupted"]

    def stop() -> None:
        # A signal may come while the reactor ends, and what was cancelled may end behind it.
        with suppress(ReactorNotRunning):
            reactor.stop()

    def begin() -> None:
        def cancel() -> None:
            working.cancel()

        def note(failure: Failure) -> Failure:
            if failure.check(Stopped):
                said.append(str(failure.value))
            return failure

        def interrupt(number: int, _: object) -> None:
            # A second Ctrl-C does not wait for the cleaning.
            reactor.callFromThread(stop if stopped_by else cancel)
            stopped_by.append(number)

        # Before anything is begun that would have to be cleaned.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, interrupt)
        working = Deferred.fromCoroutine(main(reactor))
        working.addErrback(note)
        working.addCallbacks(codes.append, lambda failure: codes.append(_ended(failure)))
        working.addBoth(lambda _: stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    if stopped_by:
        sys.stderr.write(f"{said[-1]}\n")
        raise SystemExit(128 + stopped_by[0])
    raise SystemExit(codes[0] if codes else FAILED)


def _ended(failure: Failure) -> int:
    """The exit code of a failure, after saying what it was."""
    if failure.check(CancelledError):
        return INTERRUPTED
    if failure.check(BrokenPipeError):
        # Whoever read the output has seen enough. At its end Python writes what is left of it.
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return FAILED
    complain(failure)
    return code_of(failure.value)
