"""
The SHA-256 of parts of files whose characters are a function of their place. Knows no transport.

**What it must do.** To find a SHA-256 takes three times as long as to make the characters and to
send them. They are always the same, so what was summed up once is not to be summed up again.

**How it does it.** While characters are summed up, the state of the sum is kept every now and then:
that of all characters of a seed's file from one offset on. Whoever asks for a part that begins
there goes on from the last state within it. Nothing is left to sum up if it is the longest so far;
of a longer one, what is beyond; of a shorter one less than 1 MiB, or a part in 32.

**What it may cost.** A state has 250 bytes. Of a file as long as the service sends by default there
are 75, of any file `STATES`, and they are kept for `RUNS` beginnings, of which that is forgotten
first that was asked for longest ago. One is remembered only when somebody has taken 1 MiB from
there. The beginning of the file with the seed 0 is never forgotten: most ask for that.
"""

import hashlib
from bisect import bisect_right
from collections import OrderedDict
from typing import Any

from attrs import define, field

#: States are so many characters apart; so many are summed up in less than a millisecond.
STEP = 2**20
#: Or this part of the characters before them.
PART = 32
#: Most states of one beginning: enough for 32 GiB.
STATES = 256
#: Most beginnings.
RUNS = 32


@define(eq=False)
class _Run:
    """
    States of the sum of all characters from one beginning on.

    Attributes:
        counts: After how many characters, ascending.
        states: What they were.
        longest: How many the longest part had that was summed up to its end.
        end: The state then.
    """

    counts: list[int] = field(init=False, factory=lambda: [0])
    states: list[Any] = field(init=False, factory=lambda: [hashlib.sha256()])
    longest: int = field(init=False, default=0)
    end: Any = field(init=False, factory=hashlib.sha256)

    def within(self, length: int) -> tuple[int, Any]:
        """The last state in a part of this length: after how many characters, and a copy."""
        at = bisect_right(self.counts, length) - 1
        if self.counts[at] <= self.longest <= length:
            return self.longest, self.end.copy()
        return self.counts[at], self.states[at].copy()

    def note(self, count: int, state: Any) -> None:
        """A sum has come so far."""
        last = self.counts[-1]
        if count >= last + max(STEP, last // PART) and len(self.counts) < STATES:
            self.counts.append(count)
            self.states.append(state.copy())

    def note_end(self, count: int, state: Any) -> None:
        """A sum has come to its end."""
        if count > self.longest:
            self.longest, self.end = count, state.copy()


class Sums:
    """What is known of sums: for each beginning, which is a seed and an offset, its states."""

    def __init__(self) -> None:
        self._first = _Run()
        self._runs: OrderedDict[tuple[int, int], _Run] = OrderedDict()

    def __len__(self) -> int:
        """How many beginnings there are besides the one that always is."""
        return len(self._runs)

    def within(self, seed: int, offset: int, length: int) -> tuple[int, Any]:
        """The last state in a part of a file: after how many characters, and a copy."""
        begin = seed, offset
        if begin in self._runs:
            return self.run(begin).within(length)
        return (_Run() if any(begin) else self._first).within(length)

    def run(self, begin: tuple[int, int]) -> _Run:
        """What is known of a beginning; it is the last to be forgotten from now on."""
        if not any(begin):
            return self._first
        if begin not in self._runs:
            self._runs[begin] = _Run()
            if len(self._runs) > RUNS:
                self._runs.popitem(last=False)
        self._runs.move_to_end(begin)
        return self._runs[begin]


_sums = Sums()


class Sum:
    """
    The SHA-256 of a part of a file, whose characters are handed over in order.

    Args:
        seed: Which file.
        offset: Of the first character.
        length: How many.
        known: What is known of others, and will be of this one.

    >>> one = Sum(0, 10, 4)
    >>> one.update(b"lfn,")
    >>> one.hexdigest() == hashlib.sha256(b"lfn,").hexdigest()
    True
    """

    def __init__(self, seed: int, offset: int, length: int, known: Sums = _sums) -> None:
        self._begin, self._length, self._known = (seed, offset), length, known
        self._given = 0
        # Short parts need no help, and give none.
        self._long = length >= STEP
        self._summed, self._sha256 = 0, hashlib.sha256()
        if self._long:
            self._summed, self._sha256 = known.within(seed, offset, length)
        self._next = self._summed + STEP

    def update(self, data: bytes) -> None:
        """
        The next characters.

        Args:
            data: They have to be those of the file.
        """
        at = self._given
        self._given += len(data)
        if self._given <= self._summed:
            return
        self._sha256.update(data if at >= self._summed else memoryview(data)[self._summed - at :])
        self._summed = self._given
        if self._summed >= self._next:
            self._next = self._summed + STEP
            self._known.run(self._begin).note(self._summed, self._sha256)

    def hexdigest(self) -> str:
        """The SHA-256 of the part, when all was handed over; 64 hexadecimal digits."""
        if self._given != self._length:
            left = self._length - self._given
            raise AssertionError(f"{left:,} characters were not handed over")
        if self._long:
            self._known.run(self._begin).note_end(self._length, self._sha256)
        return self._sha256.hexdigest()
