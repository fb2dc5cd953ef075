"""One request that is sent until it is answered, and the proof of address. Knows no transport."""

import math
from collections.abc import Iterator

from attrs import define, field

from lab.wire.tokens import with_token

#: Most times a server may ask for one more proof of our address before it is not believed.
CHALLENGES = 3
#: Part of its wait by which an attempt may be late and still keep the schedule.
TOLERANCE = 0.1
#: A server that is too busy is asked again after so long at most, in seconds, and so often.
LONGEST, TIMES = 10.0, 10


@define(eq=False)
class Attempts:
    """
    The attempts of a request.

    Args:
        message: The request.
        waits: How long each attempt waits, in seconds.
        last: It is given up at this time, whatever attempts are left, in seconds.
        token: What proves our address, if the server has said so already.

    Attributes:
        due: When the attempt has waited for long enough, in seconds.
        count: How many attempts there were.
        challenges: How often the server has asked for a proof.

    >>> attempts = Attempts(b"#a-1 limits", iter([0.1, 0.2]))
    >>> [(attempts.again(now), attempts.due) for now in (0.0, 0.1)], attempts.again(0.3)
    ([(True, 0.1), (True, 0.30000000000000004)], False)
    """

    _message: bytes
    _waits: Iterator[float]
    last: float = math.inf
    token: bytes = field(default=b"", repr=False)
    due: float = field(init=False, default=math.inf)
    count: int = field(init=False, default=0)
    challenges: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        """Until the first attempt, nothing but the end counts."""
        self.due = self.last

    @property
    def data(self) -> bytes:
        """What is to be sent."""
        return with_token(self.token, self._message) if self.token else self._message

    def again(self, now: float) -> bool:
        """Begin another attempt, if there is one left; then the data are to be sent."""
        wait = next(self._waits, None) if now < self.last else None
        if wait is None:
            return False
        # A timer that comes a little late must not move the whole schedule. If all stood still
        # for longer, attempts have to wait again, or they would be made all at once.
        begun = self.due if 0 <= now - self.due < wait * TOLERANCE else now
        self.due = min(begun + wait, self.last)
        self.count += 1
        return True

    def prove(self, token: bytes) -> bool:
        """Our address has to be proved with this: whether the data are to be sent at once."""
        self.challenges += 1
        self.token = token
        return self.challenges <= CHALLENGES


@define
class Patience:
    """
    With a server that is too busy: it says when to ask again, and is not asked for ever.

    >>> patience = Patience()
    >>> patience.wait(2500)
    2.5
    """

    _times: int = field(init=False, default=0)

    def wait(self, wait_ms: int) -> float | None:
        """
        How long to wait before it is asked again.

        Args:
            wait_ms: What it says, in milliseconds.

        Returns:
            Seconds; None if it was asked often enough.
        """
        self._times += 1
        return min(wait_ms / 1000, LONGEST) if self._times <= TIMES else None
