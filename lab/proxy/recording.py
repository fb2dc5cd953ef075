"""
What a capture has of a proxy: both legs of each connection and of each client of datagrams.

A proxy has two interfaces, one to its clients and one to its upstream, so that delay and loss are
the difference between them. What a fault has touched has a comment.

Bytes and ends are seen as they come out of the kernel, and as they are given to it: those that
wait because a peer does not read look as if they were sent. Of TLS there is what goes through it.

Knows no transports: it is told their addresses.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from lab.capture.conversations import Conversation
from lab.capture.ends import in_words, pair
from lab.capture.packets import MSS, udp, unreachable
from lab.capture.recorder import Capture
from lab.faults.datagrams import Loss
from lab.faults.fault import Fault
from lab.faults.trail import Chunk, Piece, Watch
from lab.faults.verdicts import Verdict
from lab.faults.words import (
    Touch,
    Touched,
    all_told,
    done_by,
    joined,
    segment_comments,
    told,
)

# The numbers of SYNs are so far apart.
_APART = 64_000
# So much of a packet is enough for what ICMP says of it, in bytes.
_QUOTED = 1294


class Recording:
    """
    What goes through all proxies, in one capture.

    Args:
        capture: Takes it.
        seconds: Gives the time, on the capture's clock.
    """

    def __init__(self, capture: Capture, seconds: Callable[[], float]) -> None:
        self.capture, self.seconds = capture, seconds
        self._count = 0

    def next(self) -> int:
        """The number of one more leg, from 0."""
        self._count += 1
        return self._count - 1


class RelayRecording:
    """
    What goes through one proxy.

    Args:
        recording: Where it belongs to.
        name: Of the proxy.
        upstream: Where its connections go.
    """

    def __init__(self, recording: Recording, name: str, upstream: str) -> None:
        self.recording = recording
        self._name, self._upstream = name, upstream
        self._clients: int | None = None

    def side(self, host: Any, *, inbound: bool) -> int:
        """
        The number of one of its two interfaces.

        Args:
            host: Our address there.
            inbound: Whether it is that to the clients.
        """
        capture, name = self.recording.capture, self._name
        if not inbound:
            return capture.side(f"{name}-upstream", f"from {name} to {self._upstream}")
        if self._clients is None:
            text = f"from clients to {name}, which listens on {in_words(host)}"
            self._clients = capture.side(f"{name}-client", text)
        return self._clients

    def legs(self) -> "list[StreamLeg]":
        """The legs of one more connection: to its client, to its upstream."""
        return [StreamLeg(self, inbound=inbound) for inbound in (True, False)]


class StreamLeg:
    """
    One leg of a connection. Nothing is seen of it before it is there, nor when it is gone.

    Args:
        relay: Where it belongs to.
        inbound: Whether the peer has made it: that to the client.
    """

    def __init__(self, relay: RelayRecording, *, inbound: bool) -> None:
        self._relay, self._inbound = relay, inbound
        self._seconds = relay.recording.seconds
        self._talk: Conversation | None = None

    def made(self, host: Any, peer: Any) -> None:
        """It is there, between these addresses."""
        recording = self._relay.recording
        number = recording.next()
        side = self._relay.side(host, inbound=self._inbound)
        ends = pair(recording.capture, host, peer, number)
        self._talk = Conversation(recording.capture, side, *ends, first=number * _APART % 2**32)
        self._talk.open(self._seconds(), inbound=self._inbound)

    def came(self, data: bytes, touched: Sequence[Touched] = ()) -> None:
        """The peer has sent bytes, with which faults have done this so far."""
        self._send(data, touched, inbound=True)

    def left(self, data: bytes, touched: Sequence[Touched] = ()) -> None:
        """We have sent bytes, with which faults have done this."""
        self._send(data, touched, inbound=False)

    def wasted(self, data: bytes) -> None:
        """The peer has sent bytes that nobody wants any more."""
        if self._talk is not None:
            comments = ["thrown away: the connection is closed"] * -(-len(data) // MSS)
            self._talk.send(self._seconds(), data, comments, inbound=True)

    def note(self, comment: str) -> None:
        """There is something to say of what the peer has sent before."""
        if self._talk is not None:
            self._talk.note(self._seconds(), comment)

    def ended(self, why: str = "", *, inbound: bool) -> None:
        """One of the two sends no more: the peer, if that is inbound."""
        if self._talk is not None:
            self._talk.end(self._seconds(), why, inbound=inbound)

    def reset(self, why: str = "", *, inbound: bool) -> None:
        """One of the two has destroyed it: the peer, if that is inbound."""
        if self._talk is not None:
            self._talk.reset(self._seconds(), why, inbound=inbound)
            self._talk = None

    def _send(self, data: bytes, touched: Sequence[Touched], *, inbound: bool) -> None:
        """Bytes are sent."""
        if self._talk is not None:
            comments = segment_comments(touched, len(data), MSS) if touched else ()
            self._talk.send(self._seconds(), data, comments, inbound=inbound)


class Way:
    """
    One direction of a connection: what comes in at one leg and goes out at the other.

    Args:
        source: Where bytes come in.
        sink: Where they go out.
        watch: Who else is told what faults do.

    Attributes:
        ending: Which fault has ended the connection, in words; empty if none has.
    """

    traces = True

    def __init__(self, source: StreamLeg, sink: StreamLeg, watch: Watch) -> None:
        self._source, self._sink, self._watch = source, sink, watch
        self.ending = ""
        self._came = 0
        #: What was dropped when it had been seen to come in: from which byte to which, by whom.
        self._lost: list[tuple[int, int, str]] = []

    def passed(self, data: bytes) -> None:
        """Bytes go through, and no fault is there."""
        self._came += len(data)
        self._source.came(data)
        self._sink.left(data)

    def came(self, data: bytes, chunk: Chunk) -> None:
        """Bytes have come in, and faults have done something to them at once."""
        self._source.came(data, chunk.touched)
        chunk.late = partial(self._late, self._came)
        self._came += len(data)

    def left(self, data: bytes, pieces: Iterable[Piece]) -> None:
        """Bytes go out, if there are any, all pieces together; what was dropped meanwhile is so."""
        if self._lost:
            lost, self._lost = self._lost, []
            self._source.note(joined([f"{by}: Seq {a + 1} to {b}" for a, b, by in lost]))
        if not data:
            return
        touched: list[Touched] = []
        at = 0
        for piece in pieces:
            touched += [(at, at + piece.size, touch) for touch in piece.touches]
            at += piece.size
        self._sink.left(data, touched)

    def ended_by(self, touches: Sequence[Touch] = ()) -> None:
        """The source sends no more; faults have done this with that so far."""
        self._source.ended(all_told(touches), inbound=True)

    def _late(self, start: int, touched: Touched) -> None:
        """Something is done to bytes of a chunk that begins there; what goes out says it itself."""
        begin, end, (fault, done) = touched
        dropped = done == "dropped" if isinstance(done, str) else done.kind == "drop"
        if not dropped or isinstance(fault.settings, Loss):
            return
        first, by = start + begin, told(fault, done)
        if self._lost and self._lost[-1][1:] == (first, by):
            first = self._lost.pop()[0]
        self._lost.append((first, start + end, by))

    # What faults say: `lab.faults.trail.Watch`.

    def judged(self, fault: Fault, done: Verdict | str, start: int, size: int) -> None:
        """Hand it on: links keep what was done to which bytes."""
        self._watch.judged(fault, done, start, size)

    def ended(self, fault: Fault) -> None:
        """Keep who it was."""
        self._watch.ended(fault)
        self.ending = done_by(fault, "ended")


class DatagramLeg:
    """
    What goes between us and one client, or us and the upstream for it.

    Args:
        relay: Where it belongs to.
        host: Our address.
        peer: The other.
        inbound: Whether it is that to the client.
    """

    def __init__(self, relay: RelayRecording, host: Any, peer: Any, *, inbound: bool) -> None:
        self._recording = recording = relay.recording
        self._side = relay.side(host, inbound=inbound)
        self._here, self._there = pair(recording.capture, host, peer, recording.next())
        self._last = b""

    def came(self, data: bytes, told: str = "") -> None:
        """The peer has sent a datagram, and there is this to say of it."""
        if self._recording.capture.wanted:
            self._add(udp(self._there, self._here, data), told, inbound=True)

    def left(self, data: bytes, told: str = "") -> None:
        """We have sent one."""
        if self._recording.capture.wanted:
            packet = udp(self._here, self._there, data)
            self._last = packet[:_QUOTED]
            self._add(packet, told, inbound=False)

    def refused(self) -> None:
        """ICMP says that nobody listens where the last one went, as far as one can tell."""
        if self._last:
            self._add(unreachable(self._last), "", inbound=True)

    def _add(self, packet: bytes, told: str, *, inbound: bool) -> None:
        """One packet."""
        recording = self._recording
        seconds = recording.seconds()
        recording.capture.packet(self._side, seconds, packet, inbound=inbound, comment=told)
