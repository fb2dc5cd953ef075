"""
One direction of one connection: what goes from one end to the other, in order.

Bytes and their end go through the faults that streams have; what TCP says among itself takes the
latency of the way. How a connection begins and ends never comes before what was sent ahead of it,
nor after what was sent behind it; acknowledgements keep no order.
"""

from collections.abc import Sequence
from typing import Any

from lab.capture.packets import ACK, FIN
from lab.faults.journal import Place
from lab.faults.pipe import StreamLink
from lab.faults.streams import CLOSE, END, RESET, Item
from lab.faults.words import Touch, all_told
from lab.simulator.kernel import Event
from lab.simulator.paths import Path
from lab.simulator.tapping import StreamTap


class Pipe:
    """
    A pipe.

    Args:
        path: The way it takes.
        owner: The end that sends.
        tap: Sees it for a capture.
    """

    def __init__(self, path: Path, owner: Any, tap: StreamTap | None = None) -> None:
        self._path, self._owner, self._tap = path, owner, tap
        self._number = path.connections
        path.connections += 1
        path.pipes[self] = None
        self._peer: Any = None
        self._link: StreamLink | None = None
        self._timer: Event | None = None
        self._last = 0.0
        self._end_at = 0.0  # when the end arrives, at the earliest: a link may let it pass at once
        self._inside = 0  # bytes that went in and have not come out
        self.follow()

    def follow(self) -> None:
        """The faults of the way have changed."""
        path, now = self._path, self._path.kernel.now
        if self._link is not None:
            self._link.update(path.streams, now)
            self._pump(self._link)
        elif path.streams:
            place = Place(path.name, self._number)
            self._link = StreamLink(
                path.streams,
                path.decisions,
                place,
                journal=path.journal,
                now=now,
                watch=self._tap,
                share=path.lane,
            )

    def close(self) -> None:
        """Nobody sends any more; what is under way goes on."""
        self._path.pipes.pop(self, None)

    def send(self, flags: int, function: Any, *arguments: Any) -> None:
        """
        Let something be called at the other end.

        Args:
            flags: What TCP says, for a capture.
            function: What is called.
            arguments: With what.
        """
        packet = self._tap.say(flags) if self._tap else b""
        self._go(packet, self._control, flags, function, arguments)

    def confirm(self, size: int, function: Any) -> None:
        """
        Let the other end know that so many bytes have been taken.

        That keeps no order with bytes of ours: it holds up none that are under way.
        """
        self.acknowledge(size)
        packet = self._tap.say(ACK) if self._tap else b""
        self._go(packet, self._confirm, function, size)

    def feed(self, data: bytes, peer: Any) -> None:
        """Send bytes to the other end."""
        self._peer = peer
        packet = self._tap.send(data) if self._tap else b""
        self._go(packet, self._feed, data)

    def end(self, peer: Any) -> None:
        """Say that no more will come."""
        self._peer = peer
        packet = self._tap.say(FIN) if self._tap else b""
        self._go(packet, self._end)

    def acknowledge(self, size: int) -> None:
        """The owner has taken so much of what the other end sends; only a capture wants to know."""
        if self._tap:
            self._tap.acknowledge(size)

    def _go(self, packet: bytes, step: Any, *arguments: Any) -> None:
        """Take a step now, or when the way is not cut any more."""
        path = self._path
        if not path.cut:
            step(packet, *arguments)
            return
        if self._tap:
            self._tap.leaves(packet, path.why)
        path.hold(self._go, packet, step, *arguments)

    def _control(self, packet: bytes, flags: int, function: Any, arguments: Any) -> None:
        """What TCP says among itself leaves."""
        path, tap = self._path, self._tap
        when = path.kernel.now + path.latency
        if tap is None:
            self._at(when, function, *arguments)
            return
        tap.leaves(packet)
        self._at(when, tap.hear, packet, flags, tap.acked)
        self._at(when, function, *arguments)

    def _confirm(self, packet: bytes, function: Any, size: int) -> None:
        """An acknowledgement leaves."""
        kernel, tap = self._path.kernel, self._tap
        when = kernel.now + self._path.latency
        if tap is not None:
            tap.leaves(packet)
            kernel.at(when, tap.hear, packet, ACK, tap.acked)
        kernel.at(when, function, size)

    def _feed(self, packet: bytes, data: bytes) -> None:
        """Bytes leave."""
        path, link = self._path, self._link
        if link is None:
            self._arrive(data, path.kernel.now + path.latency)
        else:
            self._inside += len(data)
            link.feed(data, path.kernel.now)
            self._pump(link)
        if self._tap:
            touched = link.chunk.touched if link is not None else []
            self._tap.leaves(packet, all_told([touch for _, _, touch in touched]))

    def _end(self, packet: bytes) -> None:
        """Their end leaves."""
        path, link = self._path, self._link
        self._end_at = path.kernel.now + path.latency
        if self._tap:
            self._tap.leaves(packet)
        if link is None:
            self._arrive(END, self._end_at)
        else:
            link.end(path.kernel.now)
            self._pump(link)

    def _at(self, when: float, function: Any, *arguments: Any) -> None:
        """Let something happen, but not before what was sent ahead of it."""
        self._last = max(when, self._last)
        self._path.kernel.at(self._last, function, *arguments)

    def _pump(self, link: StreamLink) -> None:
        """Take what comes out, and come again when more is due."""
        kernel = self._path.kernel
        items, pieces = link.outgoing(), iter(link.departed)
        for item in items:
            touches: Sequence[Touch] = ()
            if isinstance(item, bytes):
                self._inside -= len(item)
                touches = next(pieces).touches if self._tap else ()
            self._arrive(item, kernel.now + self._path.more, touches)
        gone = self._inside - link.buffered
        if gone:  # a fault has taken them: for the sender they have arrived
            self._inside -= gone
            kernel.at(kernel.now, self._owner.taken, gone)
        if self._timer is not None:
            kernel.withdraw(self._timer)
            self._timer = None
        due = link.deadline()
        if due is not None:
            self._timer = kernel.at(due, self._tick, link)

    def _tick(self, link: StreamLink) -> None:
        """Time has come."""
        self._timer = None
        link.tick(self._path.kernel.now)
        self._pump(link)

    def _arrive(self, item: Item, when: float, touches: Sequence[Touch] = ()) -> None:
        """One item comes out; what closes or resets does so in both directions."""
        peer, owner = self._peer, self._owner
        if item is END:
            when = max(when, self._end_at)
        if self._tap:
            self._at(when, self._seen, self._tap, item, peer, touches)
        if isinstance(item, bytes):
            self._at(when, peer.arrive, item)
        elif item is END:
            self._at(when, peer.end)
        elif item is RESET:
            self._at(when, peer.reset)
            self._at(when, owner.reset)
        else:
            self._at(when, peer.end)
            self._at(when, owner.end)

    def _seen(self, tap: StreamTap, item: Item, peer: Any, touches: Sequence[Touch]) -> None:
        """A capture sees it arrive."""
        told = tap.ending if item is CLOSE or item is RESET else ""
        tap.arrive(item, told or all_told(touches))
        if told:
            peer.out.seen_back(item, told)
        elif item is END:  # TCP acknowledges that by itself
            peer.out.acknowledge(1)
            peer.out.send(ACK, _nothing)

    def seen_back(self, item: Item, told: str) -> None:
        """A capture sees the owner's peer end it, which a fault has done."""
        if self._tap:
            self._tap.arrive(item, told)


def _nothing() -> None:
    """Nobody has to be told."""
