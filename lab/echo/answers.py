"""What one peer of the echo service is told at once. Knows no transport."""

import math
from typing import Any

from attrs import define, evolve, field

from lab.echo.budget import Budget
from lab.echo.probes import Seen
from lab.echo.settings import ServerSettings
from lab.echo.wire import (
    LEAST_SIZE,
    LONGEST,
    TOO_LARGE,
    WRONG,
    AskCounts,
    Busy,
    Counts,
    File,
    Limits,
    Probe,
    Probed,
    Refused,
    Stream,
    encode,
)

#: The largest seed of a file.
LARGEST_SEED = 2**63 - 1


@define
class Counters:
    """
    What a server did, over all its peers.

    Attributes:
        echoed: Texts that went back.
        probes: Probes that were answered.
        streams: Streams that have begun.
        files: Files that have begun.
        refused: Requests that asked for too much, or were too long.
        busy: Requests that were answered with 429.
    """

    echoed: int = 0
    probes: int = 0
    streams: int = 0
    files: int = 0
    refused: int = 0
    busy: int = 0


@define(eq=False)
class Answers:
    """
    Answers one peer.

    Args:
        settings: Limits.
        counters: Shared by all peers of a server.
        budget: Shared by all peers of a server.
        address: Of the peer, as far as limits for one address go.
        rate: Most bytes a second that it may expect; 0 for no limit.
    """

    settings: ServerSettings
    counters: Counters
    budget: Budget
    address: str
    _rate: float = 0.0
    _seen: Seen = field(init=False, factory=Seen)

    def at_once(self, request: Any, size: int, now: float) -> bytes:
        """
        The answer to a question that can be answered now.

        Args:
            request: A probe, or a question for counts or limits.
            size: Its bytes.
            now: The time, in seconds.
        """
        if isinstance(request, Probe):
            return self._probed(request, size, now)
        if isinstance(request, AskCounts):
            return encode(Counts(self._seen.received, self._seen.duplicates, request.id))
        return encode(evolve(self._limits(), id=request.id))

    def refusal(self, request: Stream | File) -> Refused | None:
        """What is wrong with a request, if something is."""
        for what, value, least, most in self._bounds(request):
            if value < least:
                return self._refuse(WRONG, f"{what} is {value}; at least {least}", request.id)
            if value > most:
                return self.too_large(what, f"{value}", most, request.id)
        return None

    def too_large(self, what: str, value: str, most: int, id: bytes = b"") -> Refused:
        """The answer to what is too large."""
        return self._refuse(TOO_LARGE, f"{what} is {value}; at most {most}", id)

    def begin(self, request: Stream | File, now: float) -> Busy | None:
        """Take something of the budget for this answer; `Budget.end` gives it back."""
        busy = self.budget.begin(self.address, now)
        if busy is not None:
            self.counters.busy += 1
            wait, reason = busy
            return Busy(max(1, math.ceil(wait * 1000)), reason, request.id)
        if isinstance(request, Stream):
            self.counters.streams += 1
        else:
            self.counters.files += 1
        return None

    def _probed(self, request: Probe, size: int, now: float) -> bytes:
        """The answer to a probe, as long as that if it can be."""
        self.counters.probes += 1
        self._seen.add(request.seq)
        reply = Probed(
            request.seq,
            request.sent_ns,
            self._seen.received,
            self._seen.duplicates,
            int(now * 1e9),
            id=request.id,
        )
        answer = encode(reply)
        left = size - len(answer) - 1
        if request.padding is None or left < 0:
            return answer
        return answer + b" " + request.padding[:left]

    def _limits(self) -> Limits:
        """What is allowed."""
        s = self.settings
        return Limits(self._shortest(), s.packets, s.size, s.file, int(self._rate), s.streams)

    def _shortest(self) -> int:
        """The shortest interval, in milliseconds."""
        return math.ceil(round(self.settings.interval * 1000, 6))

    def _bounds(self, request: Stream | File) -> list[tuple[str, int, int, int]]:
        """What has a bound: its name, its value, the least and the most."""
        s = self.settings
        if isinstance(request, Stream):
            return [
                ("interval", request.interval_ms, self._shortest(), LONGEST * 1000),
                ("count", request.count, 1, s.packets),
                ("size", request.size, LEAST_SIZE, s.size),
            ]
        return [
            ("file", request.n, 0, s.file),
            ("offset", request.offset, 0, request.n),
            ("length", request.length, 0, request.n - request.offset),
            ("seed", request.seed, 0, LARGEST_SEED),
        ]

    def _refuse(self, code: int, text: str, id: bytes) -> Refused:
        """Count, and say so."""
        self.counters.refused += 1
        return Refused(code, text, id)
