"""Files that are downloaded together: how far they are, and what became of them. Pure."""

from pathlib import Path

from attrs import define, field

from lab import units
from lab.commands.conversation.session import printable
from lab.commands.progress import clock, part
from lab.download.outcomes import Progress, SourceProgress


@define(eq=False)
class Batch:
    """
    Files that somebody asked for with one command.

    Args:
        names: On the servers, each once.
        folder: Where they go.
        sha256: What the one file has to have; None if nobody says.

    Attributes:
        running: Those that have begun and are not over, and how far they are.
        size: Bytes of those that are here, whole.
        whole: How many are here.
        codes: Exit codes of those that are over.
    """

    names: tuple[str, ...]
    folder: Path
    sha256: str | None = None
    running: dict[str, Progress] = field(init=False, factory=dict)
    size: int = field(init=False, default=0)
    whole: int = field(init=False, default=0)
    codes: dict[str, int] = field(init=False, factory=dict)

    @property
    def code(self) -> int:
        """The exit code of the first, in the order of the names, that has failed; or 0."""
        return next((self.codes[name] for name in self.names if self.codes.get(name)), 0)

    def total(self) -> Progress:
        """All of them in one, as far as they have begun; its size is that of those."""
        each = list(self.running.values())
        size = self.size + sum(one.size or 0 for one in each)
        done = self.size + sum(one.done for one in each)
        rate = sum(one.rate for one in each)
        eta = (size - done) / rate if rate > 0 else None
        return Progress(size, done, rate=rate, eta=eta)

    def text(self) -> str:
        """How far it is, in one row."""
        if len(self.names) == 1:
            return "".join(show(name, one) for name, one in self.running.items())
        ended = f"{len(self.codes):,} of {len(self.names):,} files"
        each = [f"{printable(name)} {_percent(one)}" for name, one in self.running.items()]
        return "; ".join([f"{ended}, {_figures(self.total())}", ", ".join(each)]).removesuffix("; ")

    def left(self) -> str:
        """What there is of those that were begun and are not whole; empty if that is nothing."""
        sizes = [one.size or 0 for one in self.running.values()]
        if not sum(sizes):
            return ""
        there = part(sum(one.done for one in self.running.values()), sum(sizes))
        if len(self.names) == 1:
            return f"{there} are here"
        return f"{self.whole:,} of {len(self.names):,} files are here, and {there} of others"


def show(name: str, progress: Progress) -> str:
    """
    How far a file is.

    >>> show("a", Progress(100, 50, rate=10.0, eta=5.0))
    'a: 50 of 100 bytes (50 %), 10 bytes/s, 0:05 left'
    """
    return f"{printable(name)}: {_figures(progress)}"


def show_source(source: SourceProgress) -> str:
    """What a server is doing."""
    text = f"{source.name} {source.state}, {source.bytes:,} bytes, {source.pieces:,} pieces"
    rate = f", {units.show_size(source.rate)}/s" if source.rate else ""
    return text + rate + (f"; {printable(source.note)}" if source.note else "")


def _figures(progress: Progress) -> str:
    """Bytes, percent, rate, and how long it still takes."""
    if progress.size is None:
        said = (_state(source) for source in progress.sources)
        return ", ".join(dict.fromkeys(said)) or "begins"
    text = f"{part(progress.done, progress.size)} ({_percent(progress)})"
    if progress.rate:
        text += f", {units.show_size(progress.rate)}/s"
    return text if progress.eta is None else f"{text}, {clock(progress.eta)} left"


def _state(source: SourceProgress) -> str:
    """What a server is doing, and why."""
    return f"{source.state} ({printable(source.note)})" if source.note else source.state


def _percent(progress: Progress) -> str:
    """So much of it, rounded down: all of it only at the end."""
    if not progress.size:
        return "0 %"
    return f"{100 * progress.done // progress.size} %"
