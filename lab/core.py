"""
The verbs of a core: what every protocol here can do, without I/O and without a clock.

A core is told what happened and when. It says what to send, what the application should know
and when it wants to be called again. Whoever runs it (`lab.adapters`, `lab.testing`) calls,
after each verb that tells it something, `outgoing`, `events` and `deadline`, in that order.
Time is in seconds, from any origin, and never goes back.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from attrs import define, field, frozen


@frozen
class Finished:
    """
    The event by which a core asks for the end of the connection, after what is outgoing.

    Args:
        reason: Why, in a few words for the log.
    """

    reason: str


@frozen
class Left:
    """
    The event by which a core ends a connection as its peer has asked for.

    Nobody is told off: the peer may take what is outgoing as slowly as if it had ended by itself.

    Args:
        reason: What it said, in a few words.
    """

    reason: str


@frozen
class Broken:
    """
    The event by which a core ends a connection at once, because it can't send what it has promised.

    Args:
        reason: Why, in a few words for the log.
    """

    reason: str


class Body(Protocol):
    """
    Many bytes of one answer, which are pulled while the transport has room for them.

    It is no message: nothing is put behind its bytes. A core gives it last in `outgoing`, is
    ``busy`` from then on, and has nothing else to send until the end of the body was read. What
    follows then, such as a checksum, is outgoing; so are bytes that were not there yet, as a body
    again, perhaps the same.

    Whoever pulls may know of bodies that can more than be read: of a `FileBody` it may hand the
    file to the system instead, where nothing stands between it and the socket.
    """

    def read(self, size: int, now: float) -> bytes:
        """
        The bytes that come next.

        Args:
            size: About how many. It is one record, if bytes come in records and one is longer.
            now: The time, in seconds.

        Returns:
            At least one byte, or none at the end.
        """


@frozen
class Part:
    """
    A part of a file.

    Args:
        fd: The descriptor of the file.
        offset: Where the part begins, in bytes.
        size: How many bytes; more than 0.
    """

    fd: int
    offset: int
    size: int


@runtime_checkable
class FileBody(Body, Protocol):
    """A body whose bytes are those of a file."""

    def part(self, now: float) -> Part | None:
        """
        What may be sent of the file now, instead of reading it.

        Returns:
            None: only `read` can tell how it goes on.
        """

    def sent(self, size: int, now: float) -> None:
        """So many bytes of the part were sent, which are not to be read any more."""


@frozen
class Datagrams:
    """
    Datagrams of one size that leave together, and are made as they leave.

    A core that sends datagrams may give this in `outgoing` instead of each of them. So whoever
    sends can hand as many to the system at once as it takes, and needs memory for these only:
    always the same, which the processor has at hand.

    Args:
        make: Gives those from one number to before another, one behind the other. They hold until
            it is called again.
        count: How many there are; at least 1.
        size: Bytes of each; more than 0.

    >>> list(Datagrams(lambda begin, end: b"one two "[4 * begin : 4 * end], 2, 4))
    [b'one ', b'two ']
    """

    make: Callable[[int, int], bytes | bytearray | memoryview]
    count: int
    size: int

    def __iter__(self) -> Iterator[bytes]:
        """Each of them."""
        return (bytes(self.make(number, number + 1)) for number in range(self.count))

    def __len__(self) -> int:
        """How many there are."""
        return self.count

    def __bytes__(self) -> bytes:
        """All of them, without their seams."""
        return bytes(self.make(0, self.count))


class Core(Protocol):
    """One side of one conversation with one peer."""

    def message(self, data: bytes, now: float) -> None:
        """The peer sent one message: a line without its ending, or a datagram."""

    def tick(self, now: float) -> None:
        """The time that `deadline` named has come."""

    def close(self, now: float) -> None:
        """The peer is gone; nothing that is sent from now on arrives."""

    def outgoing(self) -> list[Any]:
        """
        The messages to send, oldest first; each is given once. The last may be a `Body`.

        Over datagrams there may be `Datagrams` among them.
        """

    def events(self) -> list[object]:
        """What the application should know, oldest first; each is given once."""

    def deadline(self) -> float | None:
        """When to call `tick`, in seconds, or None for never."""


@runtime_checkable
class BatchCore(Core, Protocol):
    """A core that is faster when it gets all the lines of a chunk at once."""

    def messages(self, batch: Sequence[bytes], now: float) -> int:
        """
        The peer sent these lines.

        Returns:
            How many were taken, at least one (but see `BusyCore`): a batch that is much work is
            left in part, so that other connections get their turn. An entry of `outgoing` may
            then hold several replies with a line ending between them.
        """


@runtime_checkable
class PromptCore(Core, Protocol):
    """A core that can answer lines with nothing but bytes, without the other verbs."""

    def reply(self, lines: bytes, now: float) -> bytes | None:
        """
        The peer sent these lines, and nothing is outgoing.

        Args:
            lines: At least one, each with its ending: LF, or CR and LF. They may be longer than
                a line may be.
            now: The time, in seconds.

        Returns:
            What `outgoing` would give after these messages, each with its ending, if all lines are
            taken, there is no event, and `deadline` is not before what it was; that may be no
            bytes. Otherwise None, and nothing has happened: `message` or `messages` is called.
        """


@define(eq=False)
class Series:
    """
    What a core sends at regular times, as long as nothing else happens.

    The core and whoever sends have it in common. Who sends takes the last of the lines when its
    time has come, and counts it; the core, when it is called, may put more of them in front, change
    them or take them away.

    Attributes:
        begin: When the first was due, in seconds.
        step: Seconds from one to the next.
        done: How many were taken.
        until: None is taken from then on before the core was called, in seconds.
        lines: Those that come, each with its ending, the next one last.
    """

    begin: float = 0.0
    step: float = 0.0
    done: int = 0
    until: float = math.inf
    lines: list[bytes] = field(factory=list)

    def due(self) -> float:
        """When the next is due, in seconds."""
        return self.begin + self.done * self.step

    def take(self, now: float) -> bytes:
        """The next, and those behind it that are due."""
        line = self.lines.pop()
        done = self.done + 1
        while self.lines and self.begin + done * self.step <= now:
            line += self.lines.pop()
            done += 1
        self.done = done
        return line

    def give_back(self, line: bytes) -> None:
        """What could not be sent of what was taken."""
        self.done -= 1
        self.lines.append(line)


@runtime_checkable
class TickingCore(Core, Protocol):
    """
    A core that most often has nothing but a line to send when its time has come.

    That takes a fraction of the time of all the verbs, above all if one call gives the lines of
    several times. It is never busy (`BusyCore`).
    """

    def strike(self, now: float) -> Series | None:
        """
        A time that `deadline` has named has come, and nothing is outgoing.

        Returns:
            What it sends: a line that is due now, and perhaps those of the times that follow, up to
            the first at which something else is due. That is always the same series. It is what
            `outgoing` would give after `tick`, and there is no event; `deadline` says when the next
            is due, also while the core is not called. Otherwise None, and nothing has happened:
            `tick` is called.
        """


class BusyCore(BatchCore, Protocol):
    """
    A core that does not take every message at once: an answer of it takes time, or is a `Body`.

    While it is busy, `messages` may take none. The same lines are shown to it again together with
    more that came, so that it may look at them, and when it is busy no longer. When that is it
    tells by having something outgoing.
    """

    def busy(self) -> bool:
        """Whether an answer is on its way that the next has to wait for."""
