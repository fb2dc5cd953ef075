"""
Child processes that are started, listened to, and always ended: without a reactor, so that what
each has used can be asked of the system when it ends.

A child ends by itself when its standard input does (see `lab.experiments.orphans`), so that none
outlives a parent that was killed.
"""

import json
import os
import re
import selectors
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from attrs import define, field

from lab.errors import LabError, NoAnswer
from lab.experiments.results import LONGEST, Process
from lab.units import show_seconds
from lab.wire.lines import LineReader

#: So long a child may take to end after SIGTERM, in seconds.
PATIENCE = 10.0
#: So often it is asked whether a repetition is still wanted, in seconds.
ASKED = 0.5
_CHUNK = 2**16
# The keys of events that somebody waits for; of the others none is kept.
_KNOWN = {"endpoint", "listen", "ready", "part", "failed"}


class ChildError(LabError):
    """A child ended by itself, or said that it failed."""


class Unwanted(LabError):
    """Whoever asked for it has gone."""


def always() -> bool:
    """What is wanted whatever happens."""
    return True


@define(eq=False)
class Child:
    """
    One child, whose lines of JSON are events.

    Args:
        id: Which.
        process: The process.
        log: All that it writes is written there, too.

    Attributes:
        events: What it has said that somebody may wait for.
        ended: Whether it is there no more.
        used: What it has used; known when it has ended.
    """

    id: str
    process: "subprocess.Popen[bytes]"
    log: BinaryIO
    events: list[dict[str, Any]] = field(factory=list)
    ended: bool = False
    used: Process | None = None
    _reader: LineReader = field(factory=lambda: LineReader(LONGEST))
    _last: str = ""
    _memory: int = 0

    def tell(self, values: Any) -> None:
        """Write a line of JSON to its standard input; if it has ended, that is seen elsewhere."""
        with suppress(OSError, ValueError):
            self._stdin().write(json.dumps(values).encode() + b"\n")

    def event(self, name: str) -> dict[str, Any] | None:
        """The first event that has this key."""
        return next((event for event in self.events if name in event), None)

    def heard(self, data: bytes) -> None:
        """It has written something."""
        self.log.write(data)
        for line in self._reader.feed(data):
            try:
                event = json.loads(line)
            except ValueError:
                event = None
            if isinstance(event, dict) and not _KNOWN.isdisjoint(event):
                self.events.append(event)
            self._last = _worded(event) or line.decode(errors="replace") or self._last

    def look(self) -> None:
        """
        See whether it goes well.

        Raises:
            ChildError: It has ended, or says that it failed.
        """
        failed = self.event("failed")
        if failed is not None:
            raise ChildError(f"{self.id} failed: {failed['failed']}")
        if self.ended:
            raise ChildError(f"{self.id} has ended: {self._last}"[:500])

    def terminate(self) -> None:
        """Ask it to end."""
        if not self.ended:
            self._memory = memory_of(self.process.pid)
            self.process.send_signal(signal.SIGTERM)
            with suppress(OSError):
                self._stdin().close()

    def reap(self) -> None:
        """It has closed its output: it is ending, or has ended."""
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.ended = True
        for file in (self.process.stdout, self.process.stdin):
            with suppress(OSError):
                file.close()  # type: ignore[union-attr]
        # What the system keeps of a process counts memory of the one that it was forked from.
        memory = self._memory or usage.ru_maxrss * 1024
        self.used = Process(self.id, round(usage.ru_utime + usage.ru_stime, 6), memory)

    def _stdin(self) -> BinaryIO:
        """What we write to; it has no buffer."""
        stdin: Any = self.process.stdin
        return stdin  # type: ignore[no-any-return]


def memory_of(pid: int) -> int:
    """Most memory that a process has had, in bytes; 0 where the system does not say."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s*([0-9]+) kB", text)
    return int(found[1]) * 1024 if found else 0


class Family:
    """
    The children of one repetition.

    Args:
        clock: Gives the time, in seconds.
        limit: All of it takes no longer, in seconds.
        wanted: Whether anybody still waits for it.

    Attributes:
        children: Those that were started.
    """

    def __init__(
        self, clock: Callable[[], float], limit: float, wanted: Callable[[], bool] = always
    ) -> None:
        self.children: list[Child] = []
        self._clock, self._limit, self._wanted = clock, limit, wanted
        self._end = clock() + limit
        self._selector = selectors.DefaultSelector()

    def start(self, id: str, words: Sequence[str], log: Path) -> Child:
        """
        Start a child.

        Args:
            id: Which.
            words: Its command line.
            log: What it writes is added there.
        """
        file = log.open("ab")
        # Of a session of its own: Ctrl-C is for us, and we end our children.
        process = subprocess.Popen(  # noqa: S603 - our own words
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
        )
        child = Child(id, process, file)
        self.children.append(child)
        self._selector.register(process.stdout, selectors.EVENT_READ, child)  # type: ignore[arg-type]
        return child

    def until(self, done: Callable[[], bool], what: str) -> None:
        """
        Listen to all children until something is so.

        Args:
            done: Whether it is.
            what: Which, for the error.

        Raises:
            ChildError: A child has ended before, or failed.
            NoAnswer: It takes too long.
            Unwanted: Nobody waits for it any more.
        """
        while not done():
            left = self._end - self._clock()
            if left <= 0:
                raise NoAnswer(f"{what}: not within the limit of {show_seconds(self._limit)}")
            self._look(left)

    def wait(self, until: float) -> None:
        """
        Listen until a time, in seconds of the clock.

        Raises:
            ChildError: A child has ended before, or failed.
            Unwanted: Nobody waits for it any more.
        """
        while (left := until - self._clock()) > 0:
            self._look(left)

    def end(self) -> None:
        """End all of them, if need be by force."""
        for child in self.children:
            child.terminate()
        end = self._clock() + PATIENCE
        while any(not child.ended for child in self.children):
            left = end - self._clock()
            if left <= 0:
                for child in [one for one in self.children if not one.ended]:
                    child.process.kill()
                end = self._clock() + PATIENCE
                continue
            self._listen(left)
        for child in self.children:
            child.log.close()
        self._selector.close()

    def _look(self, limit: float) -> None:
        """Listen for so long at most, in seconds, and see whether it goes well."""
        self._listen(min(limit, ASKED))
        for child in self.children:
            child.look()
        if not self._wanted():
            raise Unwanted("nobody waits for it any more")

    def _listen(self, limit: float) -> None:
        """Take what has been written, waiting for it for so long at most, in seconds."""
        for key, _ in self._selector.select(limit):
            child: Child = key.data
            data = os.read(key.fd, _CHUNK)
            if data:
                child.heard(data)
            else:
                self._selector.unregister(key.fileobj)
                child.reap()


@contextmanager
def family(
    clock: Callable[[], float], limit: float, wanted: Callable[[], bool] = always
) -> Iterator[Family]:
    """Children that are ended at the end, whatever happens."""
    made = Family(clock, limit, wanted)
    try:
        yield made
    finally:
        made.end()


def _worded(event: Any) -> str:
    """What an event of a log says."""
    return str(event.get("message", "")) if isinstance(event, dict) else ""
