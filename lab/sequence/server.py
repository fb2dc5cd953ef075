"""
The server's side of one connection. Knows no transport and no store.

What it wants of the store it tells as events: `Create`, `Load`, `Attach`, `Progress`, `Forget`.
Whoever has the store answers with `created`, `loaded`, `attached`, `progressed`, with `failed` when
the store does not answer, and with `conflict` when the session belongs to another connection.
Besides, it tells of each `lab.sequence.wire.Rejected`.

No number is sent before the store knows that it may have been, or a server that was killed would
take a client that has it for a liar. So that this costs no write for each number, the store is told
ahead which numbers are due in the next `AHEAD` seconds.

The answer to a heartbeat leaves together with the next number, if that is due so soon that the
client can't mind: a call of the system costs more than all the rest of a line. How long a client
may wait is told by its heartbeats themselves, of which it may have others than we think.

Its states are ``new`` (nothing was said), ``asking`` (the store was), ``challenged`` (a proof is
due), ``running`` (numbers are due), ``waiting`` (all was said, and ``done`` is due), ``over``.
"""

import hmac
import math
import re
from collections.abc import Callable
from typing import Any

from attrs import define, evolve, field, frozen

from lab.core import Finished, Series
from lab.rng import Random
from lab.sequence import wire
from lab.sequence.records import Record
from lab.sequence.settings import ServerSettings
from lab.sequence.values import LONGEST, Checksum, Values

#: A side that hears nothing for so many heartbeats takes the other for lost.
SILENCES = 3
#: The store knows the numbers of so many seconds ahead, and is told half as often.
AHEAD = 60.0
# Whoever is called so much later than asked for was held up, and has not read all that came.
_HELD_UP = 0.1
# A store that fails is asked again after so many seconds.
_ASK_AGAIN = 1.0
# Numbers that were sent on other connections are summed up so many at a time, and so often, in
# seconds: a reactor has others to serve.
_CATCH_UP, _TURN = 256, 0.001
# So many numbers are ready to be sent at most.
_READY = 8
# The answer to a heartbeat may wait for so much of the time since the one before it, and at most so
# long, in seconds: whoever takes us for lost after three of them hears us in one and a half.
_PART, _TOGETHER = 0.5, 1.0
# What most lines are; a number of so few digits is surely one.
_HEARTBEAT = re.compile(rb"heartbeat ([0-9]{1,9})\r?\n")


@frozen
class Create:
    """Keep this session; answered by `SequenceServerCore.created`."""

    record: Record


@frozen
class Load:
    """Look for this session; answered by `SequenceServerCore.loaded`."""

    id: str


@frozen
class Attach:
    """Take a session whose epoch is one less; answered by `SequenceServerCore.attached`."""

    record: Record


@frozen
class Progress:
    """
    So far the session is, and with a deadline its client is lost.

    Answered by `SequenceServerCore.progressed`; if the epoch is old, by `conflict`.
    """

    record: Record


@frozen
class Forget:
    """The session is over."""

    record: Record


@frozen
class Lost:
    """The client is silent: the connection is to be broken off."""

    reason: str


@define(eq=False)
class SequenceServerCore:
    """
    Serves one connection.

    Args:
        settings: Of the server.
        now: When the client came, in seconds.
        secret: Gives 128 bits that nobody can guess, each time.
        random: Where the length of a sequence is drawn from, when the client leaves it open.
        address: Who the client is.

    """

    _settings: ServerSettings
    _heard: float
    _secret: Callable[[], bytes]
    _random: Random
    _address: str = ""
    state: str = field(init=False, default="new")
    #: As the store has it.
    _record: Record | None = field(init=False, default=None)
    #: Whether the session is ours, to be given back when the connection ends.
    _owns: bool = field(init=False, default=False)
    #: The first number of this connection; all times follow from when it was due.
    _first: int = field(init=False, default=0)
    #: The numbers behind it, of which some are ready to be sent.
    _series: Series = field(init=False, factory=Series)
    #: So many were sent on connections before.
    _before: int = field(init=False, default=0)
    #: So many numbers may be sent; and when the store is to be told of more.
    _may: int = field(init=False, default=0)
    _ask_at: float = field(init=False, default=0.0)
    #: The numbers, while it sends some.
    _values: Values = field(init=False)
    _sum: Checksum = field(init=False, factory=Checksum)
    _summed: float = field(init=False, default=0.0)
    _nonce: str = field(init=False, default="")
    #: When the newest heartbeat came, its answer, and the number of ours that this leaves with.
    _beaten: float = field(init=False)
    _owed: bytes = field(init=False, default=b"")
    _owed_with: int = field(init=False, default=-1)
    _outgoing: list[bytes] = field(init=False, factory=list)
    _events: list[object] = field(init=False, factory=list)
    #: A client may be silent for so long, in seconds.
    _patience: float = field(init=False)
    #: What stands in for the time of the last bytes, when we could not read.
    _excuse: float = field(init=False, default=-math.inf)

    def __attrs_post_init__(self) -> None:
        """Reckon once what each number needs."""
        self._patience = SILENCES * self._settings.heartbeat
        self._series.until = self._heard + self._patience
        self._beaten = self._heard

    # The verbs of a core.

    def message(self, data: bytes, now: float) -> None:
        """One line of the client's."""
        self.heard(now)
        if self.state == "over":
            return
        try:
            line = wire.read_client(data)
        except wire.WireError as error:
            self._wrong(str(error))
            return
        handlers: dict[type[Any], Callable[[Any, float], None]] = {
            wire.Start: self._start,
            wire.Resume: self._resume,
            wire.Proof: self._prove,
            wire.Heartbeat: self._beat,
            wire.Done: self._done,
        }
        handlers[type(line)](line, now)

    def reply(self, lines: bytes, now: float) -> bytes | None:
        """The answer to a heartbeat that comes alone; see `lab.core.PromptCore`."""
        found = _HEARTBEAT.fullmatch(lines)
        if found is None or self.state == "over":
            return None
        self.heard(now)
        answer = b"alive %d\n" % int(found[1])
        if self._owe(answer, now):
            return b""
        return self._take_owed() + answer

    def heard(self, now: float) -> None:
        """Some bytes of the client's are here: it lives."""
        self._heard = now
        self._series.until = now + self._patience

    def tick(self, now: float) -> None:
        """Numbers are due, or the client has been silent for too long."""
        if self._is_silent(now):
            self._events.append(Lost(f"silent for {now - self._heard:.3g} s"))
            self._leave(now)
            return
        if self._owns and now >= self._ask_at:
            self._ask(now)
        if self.state == "running":
            self._send(now)

    def strike(self, now: float) -> Series | None:
        """Numbers that are not the last, if nothing else is due; see `lab.core.TickingCore`."""
        series = self._series
        if self.state != "running" or not series.due() <= now < series.until:
            return None
        if len(series.lines) < 2:
            self._prepare()
        return series if series.lines else None

    def close(self, now: float) -> None:
        """The client is gone."""
        self._leave(now)

    def outgoing(self) -> list[bytes]:
        """Lines."""
        if not self._outgoing:
            # The list stays: a new one for each of many cores keeps the garbage collector busy.
            return []
        out, self._outgoing = self._outgoing, []
        return out

    def events(self) -> list[object]:
        """What the store is asked, and the end."""
        if not self._events:
            return []
        events, self._events = self._events, []
        return events

    def deadline(self) -> float | None:
        """When the next number is due, or silence becomes too long."""
        if self.state == "over":
            return None
        silence = self._heard + self._patience
        ask = self._ask_at if self._owns else math.inf
        return min(silence, ask, self._due() if self.state == "running" else math.inf)

    @property
    def sent(self) -> int:
        """No more numbers of the session than these have been sent."""
        return max(self._before, self._next)

    @property
    def epoch(self) -> int:
        """That of the session; 0 without one."""
        return 0 if self._record is None else self._record.epoch

    # What the store answers.

    def created(self, kept: bool, now: float) -> None:  # noqa: FBT001 - what the store says
        """The session is kept, or there are too many."""
        self._owns = kept
        if self.state == "over":
            self._leave(now)
        elif kept:
            record = self._session
            self._say(wire.Session(record.id, record.key, record.n, record.interval))
            self._run(now)
        else:
            self._reject("full")

    def loaded(self, record: Record | None, now: float) -> None:
        """The session is there, or is not."""
        if self.state == "over":
            return
        if record is None or now >= record.deadline:
            self._reject("unknown" if record is None else "expired")
            return
        self._record, self._nonce = record, self._secret().hex()
        self.state = "challenged"
        self._say(wire.Challenge(self._nonce))

    def attached(self, good: bool, now: float) -> None:  # noqa: FBT001 - what the store says
        """The session is ours, or somebody else was faster."""
        self._owns = good
        if self.state == "over":
            self._leave(now)
        elif good:
            self._say(wire.Resumed(self._next))
            self._run(now)
        else:
            self._give_up("another connection resumes the session at the same time", now)

    def progressed(self, sent: int, now: float) -> None:
        """The store knows that so many numbers may have been sent."""
        self._may = max(self._may, sent)
        if self.state == "running":
            self._send(now)

    def failed(self, now: float) -> None:
        """The store does not answer; what it knows of may still be sent."""
        if self.state == "over":
            return
        if self._owns and (self._next < self._may or self._next == self._session.n):
            self._ask_at = now + _ASK_AGAIN
        else:
            self._give_up("the sessions can't be reached", now)

    def conflict(self, now: float) -> None:
        """The session belongs to another connection from now on."""
        self._owns = False
        if self.state != "over":
            self._say(wire.Conflict())
            self._finish("the session was resumed elsewhere", now)

    # What the client says.

    def _start(self, line: wire.Start, now: float) -> None:
        """Begin a session."""
        if self.state != "new":
            self._wrong("start is only for the first line")
            return
        n = line.n or self._random.randint(1, LONGEST)
        interval = max(line.interval or self._settings.interval, self._settings.fastest)
        record = Record(self._secret().hex(), self._secret(), n, interval, self._address)
        self._record = evolve(record, sent=self._due_by(record, now, now))
        self.state = "asking"
        self._events.append(Create(self._record))

    def _resume(self, line: wire.Resume, now: float) -> None:
        """Go on with a session."""
        if self.state != "new":
            self._wrong("resume is only for the first line")
            return
        self._first = line.next
        self.state = "asking"
        self._events.append(Load(line.id))

    def _prove(self, line: wire.Proof, now: float) -> None:
        """Look at the proof; only who has the key hears anything of the session."""
        if self.state != "challenged":
            self._wrong("proof is only for the answer to a challenge")
            return
        record = self._session
        right = wire.proof(record.key, record.id, self._nonce, self._next)
        if not hmac.compare_digest(line.mac, right):
            self._reject("proof")
        elif self._next > record.sent:
            self._reject("ahead")
        else:
            self.state, self._before = "asking", record.sent
            sent = max(record.sent, self._due_by(record, now, now))
            self._record = evolve(record.attached(), sent=sent)
            self._events.append(Attach(self._record))

    def _beat(self, line: wire.Heartbeat, now: float) -> None:
        """Answer, now or with the next number."""
        answer = wire.Alive(line.number)
        if not self._owe(wire.encode(answer) + b"\n", now):
            self._say(answer)

    def _done(self, line: wire.Done, now: float) -> None:
        """The client has all, and the session is over."""
        if self.state != "waiting":
            self._wrong("done is only for the answer to a checksum")
            return
        self._owns = False
        self._events.append(Forget(self._session))
        self._finish("done", now)

    # What the server says.

    @property
    def _next(self) -> int:
        """The number that comes next."""
        return self._first + self._series.done

    @property
    def _session(self) -> Record:
        """The session, where there must be one."""
        assert self._record is not None  # noqa: S101 - the states say so
        return self._record

    def _run(self, now: float) -> None:
        """Send numbers, the first at once."""
        self.state, self._may = "running", self._session.sent
        self._series.begin, self._series.step = now, self._session.interval
        self._values = Values(self._session.key)
        self._ask_at = self._half_ahead(now)
        self._send(now)

    def _due(self) -> float:
        """When the next number is due, or the next part of the checksum."""
        record = self._session
        if self._next == record.n:
            return self._summed + _TURN
        if self._next == self._may:
            return math.inf
        return self._series.due()

    def _due_by(self, record: Record, begin: float, now: float) -> int:
        """How many numbers are sent until `AHEAD` seconds from now, those before included."""
        return min(record.n, self._first + int((now + AHEAD - begin) / record.interval) + 1)

    def _half_ahead(self, now: float) -> float:
        """When the store is to be told again; if that can be, when a number is due as well."""
        at, series = now + AHEAD / 2, self._series
        due = series.begin + (at - series.begin) // series.step * series.step
        return due if due > now else at

    def _ask(self, now: float) -> None:
        """Have the store know what is due next, and that the client is there."""
        self._ask_at = self._half_ahead(now)
        record = self._session
        sent = max(record.sent, self._due_by(record, self._series.begin, now))
        self._record = evolve(record, sent=sent)
        self._events.append(Progress(self._record))

    def _send(self, now: float) -> None:
        """Send what is due; sum up what was sent on other connections, a part at a time."""
        record = self._session
        while self._next < record.n and self._due() <= now:
            if not self._series.lines:
                self._make_ready(1)
            self._outgoing += self._series.take(now).splitlines()
        summed = self._sum.count
        if summed < self._next:
            self._sum.add(*self._values.values(summed, min(self._next - summed, _CATCH_UP)))
        self._summed = now
        if self._sum.count == record.n:
            self.state = "waiting"
            self._say(wire.Sum(*self._sum.digest()))

    def _prepare(self) -> None:
        """Have numbers ready until the store is to be told; not the last, which ends it all."""
        series, record = self._series, self._session
        index = self._first + series.done + len(series.lines)
        due = series.begin + (index - self._first) * series.step
        before = math.ceil((self._ask_at - due) / series.step)
        many = min(_READY, before, self._may - index, record.n - 1 - index)
        if many > 0 and self._sum.count == index:
            self._make_ready(many)

    def _make_ready(self, many: int) -> None:
        """Have so many numbers more ready."""
        lines = self._series.lines
        index = self._next + len(lines)
        numbers = self._values.values(index, many)
        if self._sum.count == index:
            self._sum.add(*numbers)
        more = [b"number %d %d\n" % pair for pair in enumerate(numbers, index)]
        if self._owed_with == index:
            more[0] = self._owed + more[0]
        more.reverse()
        lines[:0] = more

    def _reject(self, reason: str) -> None:
        """The session does not go on."""
        rejected = wire.Rejected(reason)
        self._say(rejected)
        self._events.append(rejected)
        self._finish(f"rejected: {reason}", self._heard)

    def _give_up(self, text: str, now: float) -> None:
        """It is not the client's fault; it may come again."""
        self._say(wire.Unavailable(text))
        self._finish(text, now)

    def _wrong(self, text: str) -> None:
        """The client is not understood; its session, if it has one, waits for it."""
        self._say(wire.Wrong(text))
        self._finish(text, self._heard)

    def _is_silent(self, now: float) -> bool:
        """Whether the client has sent nothing for too long, as far as we could read."""
        if now < self._heard + self._patience:
            return False
        due = self.deadline()
        if due is None or now <= due + _HELD_UP or self._heard == self._excuse:
            return True
        # What it has sent may be waiting to be read: a turn more, and then no more.
        self.heard(now - self._patience + _TURN)
        self._excuse = self._heard
        return False

    def _owe(self, answer: bytes, now: float) -> bool:
        """Send this with the next number, if that is due so soon that a heartbeat can wait."""
        wait, self._beaten = min(_TOGETHER, _PART * (now - self._beaten)), now
        series = self._series
        index = self._first + series.done
        if (
            self.state != "running"
            or not self._owed_with != index < self._may
            or series.begin + series.done * series.step > now + wait
        ):
            return False
        self._owed, self._owed_with = answer, index
        if series.lines:
            series.lines[-1] = answer + series.lines[-1]
        return True

    def _take_owed(self) -> bytes:
        """The answer that has waited, with its ending, if there is one."""
        if self._owed_with != self._next:
            return b""
        lines = self._series.lines
        self._owed_with = -1
        if lines:
            lines[-1] = lines[-1].removeprefix(self._owed)
        return self._owed

    def _say(self, line: Any) -> None:
        """Send a line, behind the answer that has waited for one."""
        owed = self._take_owed()
        if owed:
            self._outgoing.append(owed[:-1])
        self._outgoing.append(wire.encode(line))

    def _finish(self, reason: str, now: float) -> None:
        """The connection has to end."""
        self._leave(now)
        self._events.append(Finished(reason))

    def _leave(self, now: float) -> None:
        """Nothing more happens here; the session waits for another connection."""
        self.state = "over"
        self._series.lines.clear()
        if self._owns:
            self._owns = False
            deadline = now + self._settings.window
            record = evolve(self._session, sent=self.sent, deadline=deadline)
            self._events.append(Progress(record))
