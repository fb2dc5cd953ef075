"""Stand-ins for a reactor and a session, and tests that end also when something blocks."""

import os
import select
import signal
import time
import unittest
from collections.abc import Callable

from attrs import Factory, define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor, IWriteDescriptor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

#: No wait for the kernel or another process is longer, in seconds; only failures reach it.
PATIENCE = 30.0
#: Some things take real time, which is their own.
now = time.monotonic
UP, DOWN, LEFT, HOME, END, DELETE = (
    b"\x1b[A",
    b"\x1b[B",
    b"\x1b[D",
    b"\x1b[H",
    b"\x1b[F",
    b"\x1b[3~",
)


class BoundedTestCase(SynchronousTestCase):
    """Its tests end, also when something of ours blocks."""

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        """Run one test, and interrupt it when it takes too long."""
        before = signal.signal(signal.SIGALRM, self.expire)
        signal.setitimer(signal.ITIMER_REAL, 2 * PATIENCE)
        try:
            ended: unittest.TestResult | None = super().run(result)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        return ended

    def expire(self, *_: object) -> None:
        """It takes too long."""
        raise TimeoutError(f"{self.id()} blocks")


class FakeReactor(Clock):
    """A clock that also knows who is watched."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[IReadDescriptor] = set()
        self.writers: set[IWriteDescriptor] = set()
        self.addReader, self.removeReader = self.readers.add, self.readers.discard
        self.addWriter, self.removeWriter = self.writers.add, self.writers.discard

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
        return not (self.readers or self.writers or self.getDelayedCalls())


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


def take(fd: int) -> bytes:
    """What there is to read, without waiting for ever."""
    assert select.select([fd], [], [], PATIENCE)[0], "nothing to read"
    return os.read(fd, 65_536)
