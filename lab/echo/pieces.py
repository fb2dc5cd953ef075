"""
The receiving side of a file over datagrams. Knows no transport.

**What it must do.** Take pieces in any order and more than once, hand each character on once, and
never one that is not that of the file; say what is missing, or ask for it until it is there; end,
whatever is lost, and cost bounded memory, whatever is sent.

**How it does it.** A request for a part is a fetch, with an id of its own. It is sent again until
something comes; it is over when its part is there, or when nothing more is to be expected: some
time after its end was heard, or after a silence. The first fetch is for all; for what is missing
then there are others, until a whole row of them has brought nothing. How many there are at a time
is one more after each that is complete, and half as many after one that is not: what was lost may
have been too much at once. What a datagram holds is looked at alone, and not which fetch it belongs
to.

When all is there, and no end was heard, whoever is reliable asks for that, too. If it never comes
the file is whole all the same, and is not confirmed: each of its characters was held against what
it has to be, and the SHA-256 could say no more.

Datagrams whose characters are not those of the file are counted, and passed over, as if a network
had lost them. So is an end with another SHA-256.
"""

import math
from collections import deque
from itertools import islice
from typing import Any

from attrs import define, evolve, field

from lab.backoff import no_answer
from lab.echo.assembly import Assembly
from lab.echo.attempts import Attempts, Patience
from lab.echo.operation import Operation
from lab.echo.outcomes import Characters, Cut, Received, Rejected, Stalled, WrongData
from lab.echo.wire import (
    Busy,
    Challenge,
    Data,
    File,
    FileEnd,
    Quit,
    Ready,
    Refused,
    WireError,
    encode,
    read_reply,
)
from lab.errors import NoAnswer, Unreachable

#: So many fetches for what is missing are under way at a time, at most, and at first.
MOST, FIRST = 8, 2
#: When so many in a row have brought nothing, it is given up.
TRIES = 12
#: So many of them are planned at a time.
ROUND = 4096
#: After an end, what it has overtaken may take so long, in seconds.
LAST = 0.3
#: A server that says that it sends, and sends nothing, is waited for so often.
PATIENCE = 2
#: When all is there and no end was heard, the server is asked for its SHA-256 so often.
PROMPTS = 5


@define(eq=False)
class _Fetch:
    """
    A request for a part.

    Attributes:
        due: When something is to be done about it, in seconds.
        heard: Whether something came of it.
        ended: Whether its end came.
        fresh: Whether it brought anything new.
        patience: So many more times it is enough that the server says that it is there.
        asked_again: Whether it was asked again after a silence.
        busy: With a server that is too busy for it.
        waiting: Whether it waits for a server that is.
    """

    part: File
    attempts: Attempts
    due: float = math.inf
    heard: bool = False
    ended: bool = False
    fresh: bool = False
    patience: int = PATIENCE
    asked_again: bool = False
    busy: Patience = field(factory=Patience)
    waiting: bool = False


@define(eq=False, kw_only=True)
class PieceClientCore(Operation):
    """
    Receives a part of a file, in any order.

    Args:
        wanted: What is asked for; its id does not matter.
        reliable: Whether to ask for what is missing.
    """

    wanted: File
    reliable: bool = False
    _held: bool = field(init=False, default=False)
    _there: Assembly = field(init=False)
    _fetches: dict[bytes, _Fetch] = field(init=False, factory=dict)
    _requests: int = field(init=False, default=0)
    #: What was missing, and is still to be asked for.
    _todo: deque[tuple[int, int]] = field(init=False, factory=deque)
    #: How many fetches may be under way, and how many in a row have brought nothing.
    _window: int = field(init=False, default=FIRST)
    _barren: int = field(init=False, default=0)
    #: How often the end was asked for alone.
    _prompts: int = field(init=False, default=0)
    _token: bytes = field(init=False, default=b"", repr=False)
    _now: float = field(init=False, default=0.0)

    def __attrs_post_init__(self) -> None:
        """Nothing is there."""
        self._there = Assembly(self.wanted)

    # The verbs of a core, and those of its transport.

    def open(self, now: float) -> None:
        """There is a port: ask for all; or again, at another address."""
        if self._requests:
            for fetch in self._fetches.values():
                self._say(fetch.attempts.data)
        else:
            self._asked = self._now = now
            self._fetch(self.wanted.offset, self._there.stop, now)

    def message(self, data: bytes, now: float) -> None:
        """A datagram."""
        self._now = max(self._now, now)
        if self.over:
            self.traffic.late += 1
            return
        try:
            reply: Any = read_reply(data)
        except WireError:
            self.traffic.malformed += 1
            return
        fetch = self._fetches.get(reply.id)
        ours = reply.id.startswith(self.name + b"-")
        new = ours and isinstance(reply, Data) and self._data(reply)
        if fetch is not None:
            self.heard = True
            if new:
                fetch.fresh, fetch.asked_again, fetch.patience = True, False, PATIENCE
            self._hear(fetch, reply, now, new=new)
        elif not (ours and isinstance(reply, Data)):
            self.traffic.late += 1
        self._settle(now)

    def tick(self, now: float) -> None:
        """Something is to be sent again, or given up."""
        self._now = max(self._now, now)
        due = [fetch for fetch in self._fetches.values() if fetch.due <= now]
        if self.heard and self._stood_still(max((fetch.due for fetch in due), default=now), now):
            # We were not running: what waits to be read is looked at first.
            for fetch in due:
                fetch.due = self._put_off
            return
        for fetch in due:
            self._overdue(fetch, now)
        self._settle(now)

    def hold(self, now: float) -> None:
        """Nobody takes characters from now on: those that come are lost."""
        self._held = True

    def release(self, now: float) -> None:
        """Somebody does again."""
        self._held = False
        for fetch in self._fetches.values():
            fetch.due = max(fetch.due, now + self.settings.silence)

    def lost(self, error: NoAnswer | Unreachable, now: float) -> None:
        """There is no port any more, or there will be none."""
        self._fail(Cut(str(error), self.so_far()) if self._there.size else error)

    def stop(self, now: float) -> None:
        """Nobody wants the rest."""
        self.over = True
        self._leave()

    def deadline(self) -> float | None:
        """When something is to be done about a fetch."""
        if self.over or self._held:
            return None
        return min((fetch.due for fetch in self._fetches.values()), default=None)

    def so_far(self) -> Received:
        """What is there."""
        return self._there.received(self._now - self._asked, self._requests)

    # What comes.

    def _data(self, data: Data) -> bool:
        """Some characters; gives whether there are new ones among them."""
        if self._held:
            self.traffic.unread += 1
            return False
        unread = self._there.unread
        new = self._there.take(data)
        self.traffic.unread += self._there.unread - unread
        self._events += [Characters(offset, characters) for offset, characters in new]
        if new:
            self._barren = 0
        return bool(new)

    def _hear(self, fetch: _Fetch, reply: Any, now: float, *, new: bool) -> None:
        """Something came of a fetch."""
        if isinstance(reply, Challenge):
            self._token = reply.token
            if fetch.attempts.prove(reply.token):
                self._say(fetch.attempts.data)
        elif isinstance(reply, Refused):
            self._fail(Rejected(reply))
        elif isinstance(reply, Busy):
            self._wait(fetch, reply, now)
        elif isinstance(reply, FileEnd):
            new = not fetch.ended
            fetch.heard = fetch.ended = True
            if fetch.part.length == self.wanted.length:
                self._there.note(reply.sha256)
        elif isinstance(reply, Ready):
            new = fetch.patience > 0
            fetch.heard, fetch.patience = True, fetch.patience - new
        elif isinstance(reply, Data):
            new = new or not fetch.heard
            fetch.heard = True
        else:
            self.traffic.malformed += 1
        if new:
            # What brings nothing new gives it no more time, or it might never come to an end.
            fetch.due = now + (LAST if fetch.ended else self.settings.silence)

    def _wait(self, fetch: _Fetch, busy: Busy, now: float) -> None:
        """The server is too busy."""
        wait = fetch.busy.wait(busy.wait_ms)
        if wait is None:
            self._fail(Rejected(busy))
        else:
            fetch.waiting, fetch.due = True, now + wait

    # What is to be done.

    def _overdue(self, fetch: _Fetch, now: float) -> None:
        """A fetch has waited for long enough."""
        if fetch.waiting or (fetch.heard and not fetch.ended and not fetch.asked_again):
            # After a silence, a server says where it is when it is asked again.
            fetch.asked_again, fetch.waiting = not fetch.waiting, False
            fetch.attempts = self._attempts_for(fetch.part)
        if not fetch.ended and fetch.attempts.again(now):
            fetch.due = fetch.attempts.due
            self._say(fetch.attempts.data)
        else:
            self._over(fetch)

    def _over(self, fetch: _Fetch) -> None:
        """Nothing is to be expected of this one any more."""
        del self._fetches[fetch.part.id]
        self._window = max(1, self._window // 2)
        self._barren += not fetch.fresh
        if fetch.part.id == self._first_id and not (fetch.heard or self._there.size):
            self._fail(no_answer(fetch.attempts.count, self._now - self._asked))

    def _settle(self, now: float) -> None:
        """Let go what is complete, ask for what is missing, or come to the end."""
        if self.over:
            return
        for fetch in list(self._fetches.values()):
            if self._is_complete(fetch, now):
                del self._fetches[fetch.part.id]
                self._window = min(MOST, self._window + 1)
        if self._there.whole:
            if not (self._fetches or self._ask_end(now)):
                self._finish()
        elif self.reliable and self._first_id not in self._fetches:
            self._refill(now)
        elif not self._fetches:
            self._finish()

    def _is_complete(self, fetch: _Fetch, now: float) -> bool:
        """Whether all of its part is there; for the whole, and its SHA-256."""
        start = fetch.part.offset
        if self._there.lacks(start, start + fetch.part.length):
            return False
        if fetch.part.id != self._first_id or self._there.confirmed:
            return True
        if not fetch.asked_again:
            fetch.due = min(fetch.due, now + LAST)
        return False

    def _refill(self, now: float) -> None:
        """Ask for what is missing."""
        if self._barren >= TRIES:
            self._give_up()
        while len(self._fetches) < self._window and not self.over:
            if not self._todo:
                if self._fetches:
                    return
                self._todo.extend(islice(self._there.gaps(), ROUND))
            start, stop = self._todo.popleft()
            if self._there.lacks(start, stop):
                self._fetch(start, stop, now)

    def _fetch(self, start: int, stop: int, now: float) -> None:
        """Ask for a part."""
        self._requests += 1
        id = b"%s-%d" % (self.name, self._requests)
        part = File(self.wanted.n, start, stop - start, self.wanted.seed, id)
        self._begin(_Fetch(part, self._attempts_for(part)), now)

    def _ask_end(self, now: float) -> bool:
        """
        Ask for the SHA-256, if it is wanted and was not heard; gives whether.

        To the request of a file that it has just sent, the server says the end of that alone.
        """
        heard = self._there.confirmed or self._there.contradicted
        if heard or not self.reliable or self._prompts == PROMPTS:
            return False
        self._prompts += 1
        part = evolve(self.wanted, id=self._first_id)
        self._begin(_Fetch(part, self._attempts_for(part), heard=True), now)
        return True

    def _begin(self, fetch: _Fetch, now: float) -> None:
        """Ask for the first time."""
        self._fetches[fetch.part.id] = fetch
        fetch.attempts.again(now)
        fetch.due = fetch.attempts.due
        self._say(fetch.attempts.data)

    def _attempts_for(self, part: File) -> Attempts:
        """Those of a request; once our address is proved, it stays so for a while."""
        attempts = self._attempts(encode(part))
        attempts.token = self._token
        return attempts

    def _finish(self) -> None:
        """Nothing more is to be asked for."""
        ours = self.so_far()
        if self._there.contradicted:
            self._fail(WrongData("the server's SHA-256 is another", ours))
        elif ours.damaged and not ours.received:
            self._give_up()
        else:
            self._end(ours)
            self._leave()

    def _give_up(self) -> None:
        """Nothing comes any more, or nothing that is right."""
        ours = self.so_far()
        if ours.damaged and not ours.received:
            self._fail(WrongData("what comes is not the file", ours))
        else:
            many = ours.length - ours.received
            self._fail(Stalled(f"{many:,} of {ours.length:,} characters do not come", ours))

    def _fail(self, error: Exception) -> None:
        """It has failed."""
        self._end(error)
        self._leave()

    def _leave(self) -> None:
        """Stop what is under way."""
        if self._fetches:
            self._say(encode(Quit()))
            self._fetches.clear()
        self._go()

    @property
    def _first_id(self) -> bytes:
        """Of the fetch for all."""
        return self.name + b"-1"
