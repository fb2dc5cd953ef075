"""
The answering side on a stream: a core for each connection, which answers in order.

Knows no transport. Text and questions are answered at once. A stream or a file takes time: its
bytes are the core's body, and the lines behind it wait. Among those that come meanwhile ``quit`` is
looked for, because it ends a stream. A stream has a body whenever packets are due, and none in
between; so packets that a peer does not take are not made before it does, and are late.
"""

import math
import re
from collections.abc import Sequence

from attrs import define, field

from lab.core import Body, Finished, Left
from lab.echo.answers import Answers, Counters
from lab.echo.budget import Budget
from lab.echo.runs import FileRun, PacketRun, Run
from lab.echo.settings import ServerSettings
from lab.echo.wire import LIMIT, Echo, File, Quit, Stream, Text, encode, read_request

#: A batch is left when its answers have so many bytes.
TURN = 65_536
#: Or when it has had so many lines: to join them takes 80 bytes for each.
LINES = 4096
#: Nothing is waited for in shorter steps, in seconds.
TICK = 0.001
_QUIT = re.compile(rb"(?:#[A-Za-z0-9-]{1,20} )?quit")
# How a line begins that may be something else than text.
_MAYBE = re.compile(
    rb"^(?:#[A-Za-z0-9-]{1,20} )?(?:[0-9]|echo |stream|file |probe |counts|limits|quit)",
    re.MULTILINE,
)


@define(eq=False)
class EchoServerCore:
    """
    Answers the lines of one connection.

    Args:
        settings: Its limits.
        now: When the peer came, in seconds.
        counters: Shared by all cores of a server.
        budget: Shared by all cores of a server.
        address: Of the peer, as far as limits for one address go.
    """

    _settings: ServerSettings
    _now: float
    counters: Counters = field(factory=Counters)
    _budget: Budget | None = None
    _address: str = ""
    _answers: Answers = field(init=False)
    #: What is on its way; whether the transport has it as a body; when it is looked at otherwise.
    _run: Run | None = field(init=False, default=None)
    _pulled: bool = field(init=False, default=False)
    _wake: float = field(init=False, default=0.0)
    #: Lines that wait, and were looked at or there before; whether one of them says quit.
    _looked: int = field(init=False, default=0)
    _quitting: bool = field(init=False, default=False)
    _finished: bool = field(init=False, default=False)
    _outgoing: list[bytes | Body] = field(init=False, factory=list)
    _events: list[object] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        """Who is alone shares a budget with nobody."""
        rate = min(self._settings.rate, self._settings.total_rate)
        self._answers = Answers(
            self._settings,
            self.counters,
            self._budget or Budget(self._settings),
            self._address,
            0 if rate == math.inf else rate,
        )

    def message(self, data: bytes, now: float) -> None:
        """Answer one line, of a peer whose answers have all been sent."""
        self.messages([data], now)

    def messages(self, batch: Sequence[bytes], now: float) -> int:
        """Answer as many of these lines as one turn should; returns how many."""
        if self._run is not None:
            self._look(batch)
            return 0
        self._now = now
        turn = batch[:LINES]
        text = b"\n".join(turn)
        if max(map(len, turn)) <= LIMIT and not _MAYBE.search(text):
            self.counters.echoed += len(turn)
            self._outgoing.append(text)
            return len(turn)
        taken = size = 0
        while taken < len(turn) and size < TURN and not (self._run or self._finished):
            size += self._answer(turn[taken], now)
            taken += 1
        self._looked = len(batch) - taken
        return taken

    def busy(self) -> bool:
        """Whether a stream or a file is on its way."""
        return self._run is not None

    def read(self, size: int, now: float) -> bytes:
        """Of the stream or the file, what is due: the core is the body of its own answers."""
        run, budget = self._run, self._answers.budget
        self._pulled, self._now = False, now
        if run is None:
            return b""
        wait = budget.wait(self._address, now)
        if not wait:
            data = b"".join(map(bytes, run.take(min(size, budget.share), now)))
            if data:
                budget.spend(self._address, len(data), now)
                self._pulled = True
                return data
        self._wake = max(run.next() or now, now + max(wait, TICK) if wait else now)
        return b""

    def tick(self, now: float) -> None:
        """Packets are due, or the peer was idle for too long."""
        if self._run is None or self._pulled:
            idle = f"{self._settings.idle:g} s"
            self._finish(Finished(f"nothing was asked or taken for {idle}"))
        else:
            self._pull()

    def close(self, now: float) -> None:
        """The peer is gone, and what is on its way with it."""
        self._end()

    def outgoing(self) -> list[bytes | Body]:
        """The answers; what is behind a stream or a file, when that has been read to its end."""
        out, self._outgoing = self._outgoing, []
        run = self._run
        if run is not None and not self._pulled and run.next() is None:
            out += run.last()
            self._end()
        return out

    def events(self) -> list[object]:
        """`lab.core.Finished` or `lab.core.Left`, when the connection has to end."""
        events, self._events = self._events, []
        return events

    def deadline(self) -> float | None:
        """When packets are due, or the peer will have been idle for too long."""
        if self._run is not None and not self._pulled:
            return self._wake
        if self._finished or self._settings.idle == math.inf:
            return None
        return self._now + self._settings.idle

    def _answer(self, line: bytes, now: float) -> int:
        """Answer one line; returns about how many bytes that are."""
        if len(line) > LIMIT:
            self._say(encode(self._answers.too_large("line", f"{LIMIT + 1} or more", LIMIT)))
            self._finish(Finished(f"a line of more than {LIMIT:,} bytes"))
            return 0
        request = read_request(line)
        if isinstance(request, Echo):
            self.counters.echoed += 1
            return self._say(encode(Text(request.text, request.id)))
        if isinstance(request, Stream | File):
            return self._begin(request, now)
        if isinstance(request, Quit):
            self._finish(Left("it said quit"))
            return 0
        return self._say(self._answers.at_once(request, len(line), now))

    def _begin(self, request: Stream | File, now: float) -> int:
        """Begin an answer that takes time, or say why not."""
        refused = self._answers.refusal(request) or self._answers.begin(request, now)
        if refused is not None:
            return self._say(encode(refused))
        if isinstance(request, Stream):
            self._run = PacketRun(request, now, b"\n")
        else:
            self._run = FileRun(request, now)
        self._hurry()
        self._outgoing += self._run.first()
        self._pull()
        return 0

    def _pull(self) -> None:
        """Have the transport read what is due."""
        self._outgoing.append(self)
        self._pulled = True

    def _look(self, waiting: Sequence[bytes]) -> None:
        """Whether a line that came meanwhile ends the stream."""
        if any(map(_QUIT.fullmatch, waiting[self._looked :])):
            self._quitting = True
            self._hurry()
        self._looked = len(waiting)

    def _hurry(self) -> None:
        """Who has said quit in a stream wants no more packets; a file is sent to its end."""
        if self._quitting and isinstance(self._run, PacketRun):
            self._run.stop()

    def _say(self, message: bytes) -> int:
        """Send a line; returns its bytes."""
        self._outgoing.append(message)
        return len(message)

    def _end(self) -> None:
        """Nothing is on its way any more."""
        if self._run is not None:
            self._run, self._pulled = None, False
            self._answers.budget.end(self._address)

    def _finish(self, event: Finished | Left) -> None:
        """The connection has to end."""
        self._end()
        self._finished = True
        self._events.append(event)
