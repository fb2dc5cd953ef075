"""
One direction of one connection: what goes from one end to the other, in order.

Bytes and their end go through the faults that streams have; what TCP says among itself takes the
latency of the way, and never comes before what was sent ahead of it.
"""

from typing import Any

from lab.faults.journal import Place
from lab.faults.pipe import StreamLink
from lab.faults.streams import END, RESET, Item
from lab.simulator.kernel import Event
from lab.simulator.paths import Path


class Pipe:
    """
    A pipe.

    Args:
        path: The way it takes.
        owner: The end that sends.
    """

    def __init__(self, path: Path, owner: Any) -> None:
        self._path, self._owner = path, owner
        self._number = path.connections
        path.connections += 1
        path.pipes[self] = None
        self._peer: Any = None
        self._link: StreamLink | None = None
        self._timer: Event | None = None
        self._last = 0.0
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
                path.streams, path.decisions, place, journal=path.journal, now=now
            )

    def close(self) -> None:
        """Nobody sends any more; what is under way goes on."""
        self._path.pipes.pop(self, None)

    def send(self, function: Any, *arguments: Any) -> None:
        """Let something be called at the other end."""
        path = self._path
        if path.cut:
            path.hold(self.send, function, *arguments)
        else:
            self._at(path.kernel.now + path.latency, function, *arguments)

    def feed(self, data: bytes, peer: Any) -> None:
        """Send bytes to the other end."""
        self._peer = peer
        path, link = self._path, self._link
        if path.cut:
            path.hold(self.feed, data, peer)
        elif link is None:
            self._at(path.kernel.now + path.latency, peer.arrive, data)
        else:
            self._inside += len(data)
            link.feed(data, path.kernel.now)
            self._pump(link)

    def end(self, peer: Any) -> None:
        """Say that no more will come."""
        self._peer = peer
        path, link = self._path, self._link
        if path.cut:
            path.hold(self.end, peer)
        elif link is None:
            self._at(path.kernel.now + path.latency, peer.end)
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
        for item in link.outgoing():
            self._arrive(item, kernel.now + self._path.more)
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

    def _arrive(self, item: Item, when: float) -> None:
        """One item comes out; what closes or resets does so in both directions."""
        peer, owner = self._peer, self._owner
        if isinstance(item, bytes):
            self._inside -= len(item)
            self._at(when, peer.arrive, item)
        elif item is END:
            self._at(when, peer.end)
        elif item is RESET:
            self._at(when, peer.reset)
            self._at(when, owner.reset)
        else:
            self._at(when, peer.end)
            self._at(when, owner.end)
