"""
What a client of the echo service is told in the end: values, errors, and events on the way.

Knows neither protocol nor transport. An error that comes in the middle says how far it got.
"""

from attrs import define, field, frozen

from lab.echo.figures import Packet
from lab.echo.report import Interval, ProbeReport, Report
from lab.echo.wire import Busy, Refused
from lab.errors import NoAnswer, RemoteError, Unreachable


@frozen
class Measured:
    """
    What a stream or probes have shown.

    Args:
        report: All figures: `lab.echo.report.Report` of a stream, `lab.echo.report.ProbeReport` of
            probes.
        packets: Each packet, if they were to be kept.
        ended: Whether the server has said that this was all; of probes, whether it has said what
            it counted.
    """

    report: Report | ProbeReport
    packets: tuple[Packet, ...] = field(default=(), repr=False)
    ended: bool = False


@frozen
class Received:
    """
    What came of a file.

    Args:
        offset: Where in the file the part begins that was asked for.
        length: Characters that were asked for.
        missing: What did not come: (start, stop) each, offsets in the file.
        sha256: Of the characters that were asked for, if they are all there.
        confirmed: Whether the server has said the same SHA-256.
        seconds: How long it took.
        duplicates: Over datagrams, those that brought nothing new.
        damaged: Over datagrams, those that held something else than the file.
        requests: Over datagrams, requests for parts that it took.
    """

    offset: int
    length: int
    missing: tuple[tuple[int, int], ...] = ()
    sha256: str | None = None
    confirmed: bool = False
    seconds: float = 0.0
    duplicates: int = 0
    damaged: int = 0
    requests: int = 1

    @property
    def whole(self) -> bool:
        """Whether all is there."""
        return not self.missing

    @property
    def received(self) -> int:
        """How many characters came."""
        return self.length - sum(stop - start for start, stop in self.missing)

    @property
    def next(self) -> int:
        """Where to go on: all before this offset is there."""
        return self.missing[0][0] if self.missing else self.offset + self.length


#: What there was when something failed; None if there was nothing.
SoFar = Measured | Received | None


class Rejected(RemoteError):
    """
    The server refuses, or is too busy.

    Attributes:
        reply: What it said.
    """

    def __init__(self, reply: Refused | Busy) -> None:
        text = reply.text if isinstance(reply, Refused) else reply.reason
        super().__init__(f"the server refuses: {text}")
        self.reply = reply


class WrongData(RemoteError):
    """
    Something else came than the file has.

    Attributes:
        so_far: What had come before that.
    """

    def __init__(self, text: str, so_far: Received) -> None:
        super().__init__(text)
        self.so_far = so_far


class Broken(RemoteError):
    """
    In the middle of it, something came that is not in the protocol.

    Attributes:
        so_far: What had come before that.
    """

    def __init__(self, text: str, so_far: SoFar = None) -> None:
        super().__init__(text)
        self.so_far = so_far


class Cut(Unreachable):
    """
    The connection broke in the middle of it.

    Attributes:
        so_far: What had come before that.
    """

    def __init__(self, text: str, so_far: SoFar = None) -> None:
        super().__init__(text)
        self.so_far = so_far


class Stalled(NoAnswer):
    """
    In the middle of it, nothing came any more.

    Attributes:
        so_far: What had come before that.
    """

    def __init__(self, text: str, so_far: SoFar = None) -> None:
        super().__init__(text)
        self.so_far = so_far


# Events of the cores.


@frozen
class Done:
    """
    Something has ended: it is the last event of it.

    Args:
        number: What the core calls it; 0 where there is only one.
        value: What came of it, or an exception.
    """

    number: int
    value: object


@frozen
class Row:
    """An interval of a stream or of probes is over."""

    interval: Interval


@frozen
class Characters:
    """Some of a file, each character once."""

    offset: int
    data: bytes = field(repr=False)


@frozen
class Gone:
    """There is no more to be sent or heard: no transport is needed."""


@define
class Traffic:
    """
    What a client sent and saw, whatever for.

    Attributes:
        sent: Messages that were sent, retransmissions included.
        late: Messages that nobody waited for any more: too late, or there twice.
        malformed: Messages that are not in the protocol, or not in their place.
        unread: Datagrams with characters that came while nobody took them.
    """

    sent: int = 0
    late: int = 0
    malformed: int = 0
    unread: int = 0
