"""
What a client of the download service is told: how far it is, what came, and what went wrong.

Knows neither protocol nor transport. The text of an error is one line: which source, what, and
whether running it again goes on from where it ended.
"""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from attrs import field, frozen

from lab.errors import LabError, LocalError, NoAnswer, RemoteError, Unreachable


class State(StrEnum):
    """What a source is doing."""

    CONNECTING = "connecting"
    #: It is asked for its version of the file, which it may have to read.
    ASKING = "asking"
    #: It owes pieces.
    BUSY = "busy"
    #: There is nothing to ask it for, or it has asked to wait.
    WAITING = "waiting"
    #: There is no connection; it is tried again.
    LOST = "lost"
    #: What it has is not what is downloaded. It is left out.
    OTHER = "other"
    #: It has refused. It is left out.
    REJECTED = "rejected"
    #: What it sent is not in its own list, or not in the protocol. It is left out.
    LYING = "lying"


@frozen
class SourceProgress:
    """
    One source.

    Args:
        name: What it was called when the client was made.
        state: What it is doing.
        bytes: Of content that came from it.
        pieces: That it has given, and that are right.
        rate: In bytes/s, of late.
        note: Why it is in this state, in a few words; empty if that says nothing.
    """

    name: str
    state: State
    bytes: int = 0
    pieces: int = 0
    rate: float = 0.0
    note: str = ""


@frozen
class Progress:
    """
    How far a download is.

    Args:
        size: Of the file, in bytes; None as long as no source has told.
        done: Bytes that are there and right.
        reused: Of these, what was there before.
        fetched: Bytes of content that came from sources, whatever became of them.
        wrong: Pieces that came and were not right.
        rate: In bytes/s, of late.
        eta: How long it will take at that rate, in seconds; None if that can't be said.
        sources: One each, in their order.
    """

    size: int | None = None
    done: int = 0
    reused: int = 0
    fetched: int = 0
    wrong: int = 0
    rate: float = 0.0
    eta: float | None = None
    sources: tuple[SourceProgress, ...] = ()


@frozen
class Fetched:
    """
    A file that is whole.

    Args:
        name: What it is called there.
        path: Where it is here.
        size: In bytes.
        sha256: Of all of it, 64 hexadecimal digits; as the sources say, whose lists of pieces are
            what was checked.
        confirmed: Whether that was computed here, too: it is if it was given, or if there is but
            one piece.
        seconds: How long it took.
        reused: Bytes that were there before.
        fetched: Bytes of content that came from sources.
        wasted: Of these, what was not needed: there twice, or wrong.
        wrong: Pieces that came and were not right.
        sources: One each, in their order.
    """

    name: str
    path: Path
    size: int
    sha256: str
    confirmed: bool = False
    seconds: float = 0.0
    reused: int = 0
    fetched: int = 0
    wasted: int = 0
    wrong: int = 0
    sources: tuple[SourceProgress, ...] = field(default=())


class Rejected(RemoteError):
    """A server has refused: there is no such file, or it is too busy, for example."""


class WrongData(RemoteError):
    """What came is not what the server itself has listed, or not what was asked for."""


class Broken(RemoteError):
    """A server sent something that is not in the protocol."""


class Changed(RemoteError):
    """The file was changed on the servers again and again."""


class Cut(Unreachable):
    """The connection to the last source broke, and there was no other."""


class Stalled(NoAnswer):
    """The last source sent nothing any more."""


class NoRoom(LocalError):
    """The disk is full, or will be; what was got is kept."""


class InUse(LocalError):
    """Somebody else downloads to the same target."""


#: Of several errors, the first of these that there is says most.
_TELLING = (Rejected, WrongData, Changed, Broken, Stalled, Cut, LabError)


def worst(errors: Sequence[tuple[str, LabError]]) -> tuple[str, LabError]:
    """
    Of the errors of sources, the one that says most; of those that say as much, the first.

    Args:
        errors: Names of sources, and what each has failed with; at least one.

    >>> worst([("a", Unreachable("gone")), ("b", Cut("cut")), ("c", Cut("cut"))])
    ('b', Cut('cut'))
    """
    ranked = ((kind, pair) for kind in _TELLING for pair in errors if isinstance(pair[1], kind))
    return next(ranked)[1]
