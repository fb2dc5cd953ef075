"""
The answering side over datagrams: a core for each peer, which may have several answers under way.

Knows no transport. What takes time is told apart by its id, is begun only for an address that has
proved itself, and is sent at a pace, for nobody says here how fast he reads.
"""

import math
from collections import OrderedDict

from attrs import define, field

from lab.core import Datagrams, Finished
from lab.echo.answers import Answers, Counters
from lab.echo.budget import Budget
from lab.echo.runs import PacketRun, PieceRun, Run
from lab.echo.settings import ServerSettings
from lab.echo.wire import (
    CONFLICT,
    LIMIT,
    Challenge,
    Echo,
    File,
    Quit,
    Refused,
    Request,
    Stream,
    Text,
    WireError,
    encode,
    read_request,
)
from lab.wire.tokens import HEADERS, Tokens, allowed

#: The end of a stream or a file is said again so many seconds after it.
AGAIN = (0.05, 0.2)
#: A request that comes again so many seconds after its end begins nothing.
REMEMBERED = 10.0
#: So many ends are remembered; the oldest is forgotten first.
ENDS = 100
#: So many bytes of one answer are sent before others get their turn; with what stands before them
#: they are one batch for `lab.adapters.offload`.
TURN = 64_000
#: So many batches of a stream with interval 0: a turn of the reactor costs half as much as one. A
#: batch is what the system takes at once, in datagrams and in bytes.
BATCHES, SEGMENTS, TOGETHER = 8, 64, 65_507
#: What has a pace is gone on with so often, in seconds.
TICK = 0.0005
#: What is behind its pace goes on when others had their turn: in so many seconds.
SOON = 1e-6
#: What is behind its pace, because nobody ran, may catch up with what it would send in so many
#: seconds, twice the steps of a timer, or with so many bytes: a third of what a receiver's buffer
#: holds that is as Linux makes it. More of its time is lost, but none of its datagrams.
COARSE, LEAST_BURST = 0.002, 32_000


@define(eq=False)
class _Slot:
    """
    What is on its way, or was.

    Attributes:
        wake: When there is something to do, in seconds; infinity for never.
        ends: When the end is to be said again.
        running: Whether it takes part in the budget.
        ended: When it ended.
    """

    request: Stream | File
    run: Run
    wake: float
    running: bool = True
    stopped: bool = False
    ends: list[float] = field(factory=list)
    ended: float = math.inf

    def again(self) -> list[bytes]:
        """What the answer to its request is, when that comes again."""
        if self.running:
            return self.run.first()
        return [] if self.stopped else self.run.last()


@define(eq=False)
class EchoDatagramCore:
    """
    Answers the datagrams of one peer.

    Args:
        settings: Its limits.
        now: When the peer came, in seconds.
        tokens: Shared by all cores of a server.
        peer: What it has to prove to be; its address and port.
        address: Of the peer, as far as limits for one address go.
        counters: Shared by all cores of a server.
        budget: Shared by all cores of a server.

    Attributes:
        challenged: Requests that need a proof and had none.
    """

    _settings: ServerSettings
    _now: float
    _tokens: Tokens
    _peer: str = ""
    _address: str = ""
    counters: Counters = field(factory=Counters)
    _budget: Budget | None = None
    challenged: int = field(init=False, default=0)
    _answers: Answers = field(init=False)
    _slots: OrderedDict[bytes, _Slot] = field(init=False, factory=OrderedDict)
    _finished: bool = field(init=False, default=False)
    _outgoing: list[bytes | Datagrams] = field(init=False, factory=list)
    _events: list[object] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        """Who is alone shares a budget with nobody."""
        limits = self._settings
        rate = min(limits.rate, limits.total_rate, limits.pace)
        budget = self._budget or Budget(limits)
        self._answers = Answers(limits, self.counters, budget, self._address, rate)

    def message(self, data: bytes, now: float) -> None:
        """Answer one request."""
        self._now = now
        said, proved = self._tokens.read(data, self._peer, now)
        try:
            request = read_request(said)
        except WireError:
            size = f"{len(said)}"
            self._outgoing.append(encode(self._answers.too_large("datagram", size, LIMIT)))
            return
        if isinstance(request, Quit):
            self._quit(request.id, now)
        elif isinstance(request, Stream | File):
            self._ask(request, proved, now)
        else:
            answer = self._at_once(request, len(said), now)
            if proved or allowed([answer], len(data)):
                self._outgoing.append(answer)
            else:
                self._challenge(request.id, now)

    def tick(self, now: float) -> None:
        """Something is to be sent, or the peer was idle for too long."""
        due = [slot for slot in self._slots.values() if slot.wake <= now]
        for slot in due:
            self._go(slot, now)
        if due:
            self._now = now
        else:
            self._finished = True
            self._events.append(Finished(f"no request for {self._settings.idle:g} s"))

    def close(self, now: float) -> None:
        """The peer is gone, and what is on its way with it."""
        self._quit(b"", now)

    def outgoing(self) -> list[bytes | Datagrams]:
        """The answers."""
        out, self._outgoing = self._outgoing, []
        return out

    def events(self) -> list[object]:
        """`lab.core.Finished`, when there is nothing more to do with this peer."""
        events, self._events = self._events, []
        return events

    def deadline(self) -> float | None:
        """When something is to be sent, or the peer will have been idle for too long."""
        wake = min((slot.wake for slot in self._slots.values()), default=math.inf)
        if wake == math.inf and not self._finished:
            wake = self._now + self._settings.idle
        return wake if wake < math.inf else None

    def _at_once(self, request: Request, size: int, now: float) -> bytes:
        """The answer to what takes no time."""
        if isinstance(request, Echo):
            self.counters.echoed += 1
            return encode(Text(request.text, request.id))
        return self._answers.at_once(request, size, now)

    def _challenge(self, id: bytes, now: float) -> None:
        """Prove your address first."""
        self.challenged += 1
        self._outgoing.append(encode(Challenge(self._tokens.make(self._peer, now), id)))

    def _ask(self, request: Stream | File, proved: bool, now: float) -> None:  # noqa: FBT001
        """Begin an answer that takes time, or say why not."""
        refused = self._answers.refusal(request)
        if refused is not None:
            self._outgoing.append(encode(refused))
        elif not proved:
            self._challenge(request.id, now)
        else:
            self._forget(now)
            slot = self._slots.get(request.id)
            # Without an id, one that has ended can't be told from one that comes again.
            if slot is None or not (request.id or slot.running):
                self._begin(request, now)
            elif slot.request == request:
                self._outgoing += slot.again()
            else:
                text = "there is another request with this id"
                self._outgoing.append(encode(Refused(CONFLICT, text, request.id)))

    def _begin(self, request: Stream | File, now: float) -> None:
        """Begin, unless the server is too busy."""
        busy = self._answers.begin(request, now)
        if busy is not None:
            self._outgoing.append(encode(busy))
            return
        slot = self._slots[request.id] = _Slot(request, self._run(request, now), now)
        self._outgoing += slot.run.first()
        self._go(slot, now)

    def _run(self, request: Stream | File, now: float) -> Run:
        """What gives the answer; as fast as allowed is the pace, headers included."""
        pace, piece = self._settings.pace, self._settings.piece
        if isinstance(request, Stream):
            size = request.size
            return PacketRun(request, now, b"", pace / (size + HEADERS), _burst(pace, size))
        return PieceRun(request, now, piece, pace / (piece + HEADERS), _burst(pace, piece))

    def _go(self, slot: _Slot, now: float) -> None:
        """Do what is due."""
        if slot.running:
            self._send(slot, now)
        else:
            self._say_end(slot)

    def _send(self, slot: _Slot, now: float) -> None:
        """Send what is due, as much as is its turn."""
        budget = self._answers.budget
        wait = budget.wait(self._address, now)
        if not wait:
            sent = slot.run.take(min(_turn(slot.request), budget.share), now)
            budget.spend(self._address, sum(map(_size, sent)), now)
            self._outgoing += sent
        next = slot.run.next()
        if next is None:
            self._ended(slot, now)
            slot.ends = [now + later for later in AGAIN]
            self._say_end(slot)
        else:
            slot.wake = max(next, now + (wait or _pause(slot.request, behind=next <= now)))

    def _say_end(self, slot: _Slot) -> None:
        """Say that it has ended, and when that is to be said again."""
        self._outgoing += slot.run.last()
        slot.wake = slot.ends.pop(0) if slot.ends else math.inf

    def _ended(self, slot: _Slot, now: float) -> None:
        """It has ended, and counts no longer."""
        slot.running, slot.wake, slot.ended = False, math.inf, now
        self._answers.budget.end(self._address)

    def _quit(self, id: bytes, now: float) -> None:
        """Stop what has this id, or everything."""
        for name, slot in self._slots.items():
            if id in (b"", name):
                if slot.running:
                    self._ended(slot, now)
                slot.stopped, slot.wake = True, math.inf

    def _forget(self, now: float) -> None:
        """Remember no end for longer than is said, and not too many."""
        over = [name for name, slot in self._slots.items() if not slot.running]
        for number, name in enumerate(over):
            if now >= self._slots[name].ended + REMEMBERED or number < len(over) - ENDS:
                del self._slots[name]


def _pause(request: Stream | File, *, behind: bool) -> float:
    """
    How long an answer is let alone after its turn, in seconds.

    What is due at times of its own comes at them, and if it is behind them, not all at once. The
    rest comes some together; if it is behind its pace, as soon as others had their turn.
    """
    planned = isinstance(request, Stream) and not _is_bulk(request)
    if planned:
        return TICK if behind else 0.0
    return SOON if behind else TICK


def _turn(request: Stream | File) -> int:
    """Bytes of an answer that are sent before others get their turn."""
    if isinstance(request, Stream) and not request.interval_ms:
        return BATCHES * min(SEGMENTS, TOGETHER // request.size) * request.size
    return TURN


def _size(data: bytes | Datagrams) -> int:
    """Bytes of what is sent."""
    return data.count * data.size if isinstance(data, Datagrams) else len(data)


def _is_bulk(request: Stream | File) -> bool:
    """Whether these are packets that come as fast as may be."""
    return isinstance(request, Stream) and not request.interval_ms


def _burst(pace: float, size: int) -> int:
    """How many datagrams of this size may leave together, at a pace in bytes a second."""
    return max(1, int(max(LEAST_BURST, pace * COARSE)) // size)
