"""``lab file``: a file from an echo server, every character of it checked."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import click
from attrs import asdict, frozen

from lab import units
from lab.adapters.endpoints import DatagramClientEndpoint, clientFromString
from lab.commands.conversation.descriptors import Output, OutputClosedError
from lab.commands.conversation.pipe import OUTPUT_CLOSED
from lab.commands.echoing import code_of, make_client, make_settings, server_options, split
from lab.commands.progress import DRAWN, TOLD, Pace, bars, event
from lab.commands.running import FAILED, OK, run
from lab.commands.saving import Nowhere, Printed, Saved, Spool
from lab.commands.types import SECONDS, SEED
from lab.echo.asking import MOST, EchoAsking
from lab.echo.outcomes import Received
from lab.echo.settings import ClientSettings
from lab.echo.tables import show_rate
from lab.errors import LabError, LocalError


def describe(received: Received) -> str:
    """
    What came of a file, in words for people.

    >>> describe(Received(0, 10, sha256="ab" * 32, confirmed=True, seconds=2.0))[:48]
    '10 characters in 2 s, 40 bit/s; every one right;'
    """
    rate = show_rate(8 * received.received / max(received.seconds, 1e-6))
    text = f"{received.received:,} characters in {units.show_seconds(received.seconds)}, {rate}"
    if not received.whole:
        missing, gaps = received.length - received.received, len(received.missing)
        return f"{text}; {missing:,} of {received.length:,} are missing, in {gaps:,} gaps"
    said = "as the server's" if received.confirmed else "the server's was not heard"
    again = f", {received.requests - 1:,} requests for what was missing"
    text += "; every one right" + (again if received.requests > 1 else "")
    return f"{text}; SHA-256 {received.sha256}, {said}"


class Quiet:
    """Nobody wants to see how far it is."""

    def begin(self, before: int) -> None:
        """So many characters are there already."""

    def step(self, written: int, total: int) -> None:
        """So many more were written, of how many."""

    def close(self) -> None:
        """Nothing more is shown of how far it is."""


class Lines(Quiet):
    """
    Progress as lines, one a second at most.

    Args:
        seconds: Gives the time.
        out: Where they go.
    """

    every = TOLD

    def __init__(self, seconds: Callable[[], float], out: IO[str]) -> None:
        self._pace, self._out, self._before = Pace(seconds, self.every), out, 0

    def begin(self, before: int) -> None:
        """So many characters are there already."""
        self._before = before
        if before:
            self._say(f"goes on with character {before:,}")

    def step(self, written: int, total: int) -> None:
        """So many more were written, of how many."""
        if self._pace.due():
            self.show(self._before + written, self._before + total, self._pace.passed())

    def text(self, there: int, total: int, seconds: float) -> str:
        """How far it is."""
        rate = show_rate(8 * (there - self._before) / seconds)
        return f"{there:,} of {total:,} characters ({100 * there / total:.0f} %), {rate}"

    def show(self, there: int, total: int, seconds: float) -> None:
        """It is so far."""
        self._say(self.text(there, total, seconds))

    def end(self, received: Received, path: Path | None) -> None:
        """It is over, and nothing broke."""
        self._say(describe(received) + (f"; in {path}" if path and received.whole else ""))

    def fail(self, error: LabError) -> None:
        """Something broke, or is wrong."""
        click.echo(str(error), err=True)

    def _say(self, text: str) -> None:
        """One line."""
        click.echo(text, file=self._out)


class JsonLines(Lines):
    """Everything is a JSON object a line."""

    def begin(self, before: int) -> None:
        """So many characters are there already."""
        self._before = before
        self._say(event("begun", received=before))

    def show(self, there: int, total: int, seconds: float) -> None:
        """It is so far."""
        self._say(event("progress", characters=there, of=total, seconds=round(seconds, 6)))

    def end(self, received: Received, path: Path | None) -> None:
        """It is over, and nothing broke."""
        more = {"whole": received.whole, "file": str(path) if path and received.whole else None}
        self._say(event("ended", **asdict(received), **more))

    def fail(self, error: LabError) -> None:
        """Something broke, or is wrong."""
        so_far = getattr(error, "so_far", None)
        there = so_far.received if isinstance(so_far, Received) else 0
        self._say(event("failed", error=str(error), received=there))


class Bar(Lines):
    """A bar on a terminal."""

    every = DRAWN

    def __init__(self, seconds: Callable[[], float], out: IO[str]) -> None:
        super().__init__(seconds, out)
        self._progress = bars(out)
        self._task = self._progress.add_task("connecting", total=None)

    def begin(self, before: int) -> None:
        """So many characters are there already."""
        super().begin(before)
        self._progress.start()

    def show(self, there: int, total: int, seconds: float) -> None:
        """It is so far."""
        text = self.text(there, total, seconds)
        self._progress.update(self._task, total=total, completed=there, description=text)
        self._progress.refresh()

    def close(self) -> None:
        """No bar any more."""
        self._progress.stop()


@frozen
class Wanted:
    """
    What is asked for, and where it goes.

    Args:
        endpoint: Of the server.
        n: Characters of the file.
        seed: Which of these files.
        reliable: Over datagrams, whether to ask for what is missing.
        path: A file for it.
        resume: Whether to go on with what is there of it.
        printed: Whether it goes to standard output.
        as_json: Whether what is told is JSON.
        offset: Where a part of it begins; only of one that is not saved.
        length: Characters of that part; all to the end if None.
    """

    endpoint: str
    n: int
    seed: int = 0
    reliable: bool = False
    path: Path | None = None
    resume: bool = False
    printed: bool = False
    as_json: bool = False
    offset: int = 0
    length: int | None = None

    def sink(self, out: Output | None, *, ordered: bool) -> Nowhere:
        """
        Where it goes.

        Args:
            out: Standard output, if it is to be printed.
            ordered: Whether its characters come in order.
        """
        if self.path is not None:
            return Saved(self.path, self.n, self.seed, self.resume, out)
        if out is not None:
            return Printed(out) if ordered else Spool(out, self.offset)
        return Nowhere()

    def view(self, seconds: Callable[[], float]) -> Lines:
        """What shows it, and on standard error if the file goes to standard output."""
        out = sys.stderr if self.printed else sys.stdout
        if self.as_json:
            return JsonLines(seconds, out)
        # A bar on the terminal on which the file is printed would be in its way.
        drawn = out.isatty() and not (self.printed and sys.stdout.isatty())
        return (Bar if drawn else Lines)(seconds, out)


async def fetch(reactor: Any, client: EchoAsking, wanted: Wanted, view: Quiet) -> Received:
    """
    Receive a file, and bring it where it should be.

    Args:
        reactor: Of the program.
        client: Of the server.
        wanted: What to receive, and where it goes.
        view: Shows how far it is.

    Returns:
        What came. Only if it is whole is it where it should be.

    Raises:
        LabError: It broke, was wrong, or can't be kept.
    """
    datagrams = isinstance(clientFromString(reactor, wanted.endpoint), DatagramClientEndpoint)
    sink = wanted.sink(Output(reactor, 1) if wanted.printed else None, ordered=not datagrams)
    try:
        before = sink.begin()
        view.begin(before)
        received = await client.file(
            wanted.n,
            sink.write,
            offset=wanted.offset + before,
            length=wanted.length,
            seed=wanted.seed,
            reliable=wanted.reliable and datagrams,
            progress=view.step,
        )
        if received.whole:
            await sink.finish()
        return received
    finally:
        view.close()
        if kept := sink.close():
            click.echo(kept, err=True)


async def receive(reactor: Any, client: EchoAsking, wanted: Wanted) -> int:
    """
    Receive a file, show how far it is, and say how it ended.

    Args:
        reactor: Of the program.
        client: Of the server.
        wanted: What to receive, and where it goes.

    Returns:
        The exit code: 0 only if it is whole, and where it should be.
    """
    view = wanted.view(reactor.seconds)
    try:
        received = await fetch(reactor, client, wanted, view)
    except LabError as error:
        view.fail(error)
        return code_of(error)
    except OutputClosedError:
        return OUTPUT_CLOSED
    view.end(received, wanted.path)
    if received.whole:
        return OK
    click.echo("--reliable asks for what is missing", err=True)
    return FAILED


async def _main(reactor: Any, wanted: Wanted, settings: ClientSettings) -> int:
    """Receive, then let everything go."""
    client = make_client(reactor, wanted.endpoint, settings)
    try:
        return await receive(reactor, client, wanted)
    finally:
        await client.close()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("words", nargs=-1, metavar="[ENDPOINT] N")
@click.option(
    "-o", "--output", "path", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Save it; until it is whole, under this name with .part behind it.",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="With -o: go on with what is there of it.")
@click.option("--print-file", "printed", is_flag=True, help="Write it to standard output.")
@click.option(
    "--reliable", is_flag=True, help="Over UDP: ask for what is missing until all is there."
)
@click.option("--seed", type=SEED, default="0", show_default=True, help="Which of these files.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each event.")
@click.option(
    "--receive-timeout", type=SECONDS, help="Give up when nothing came for so long; 5 unless said."
)
@server_options
def command(words: tuple[str, ...], **options: Any) -> None:
    """
    Receive a file of N characters from the echo server at ENDPOINT.

    ENDPOINT is tcp:HOST:PORT, udp:HOST:PORT or another endpoint string of Twisted's; if none is
    given, the first of --hosts, of hosts.txt, or tcp:localhost:50001. The file is made of nothing:
    every character follows from its place and from --seed, so that one that is missing, moved or
    changed is found. Without -o and --print-file only progress and a summary are shown.

    \b
    Examples:
      lab file 1000000
      lab file tcp:localhost:50001 123456789 -o big.txt
      lab file udp:localhost:50001 1000000 --reliable --print-file | sha256sum

    Exit codes: 0 the file is whole and every character right, 1 something is missing or the
    connection broke, 2 usage, 3 the server refuses or nobody listens there, 4 data wrong, 5 nothing
    came any more, 130 interrupted.
    """
    hosts, silence = options.pop("hosts"), options.pop("receive_timeout")
    names = ("path", "resume", "printed", "reliable", "seed", "as_json")
    given = {name: options.pop(name) for name in names}
    try:
        endpoint, more = split(words, hosts)
        n = units.count(" ".join(more), "n", least=0, most=MOST)
        settings = make_settings(**options, silence=silence)
    except LocalError as error:
        raise click.UsageError(str(error)) from error
    if given["resume"] and given["path"] is None:
        raise click.UsageError("resume goes on with a file; give its name with -o")
    run(lambda reactor: _main(reactor, Wanted(endpoint, n, **given), settings))
