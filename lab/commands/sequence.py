"""``lab sequence``: receive one sequence to its end, whatever happens to connections."""

import json
import re
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from attrs import define, field
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from lab import units
from lab.adapters.endpoints import DatagramClientEndpoint, clientFromString
from lab.commands.logs import LEVELS, log_to_file
from lab.commands.running import DATA_WRONG, FAILED, OK, REFUSED, run
from lab.commands.types import SECONDS
from lab.errors import LocalError
from lab.sequence.client import Ended, Retry
from lab.sequence.settings import ClientSettings
from lab.sequence.state import StateFile
from lab.sequence.tcp import Event, SequenceClient
from lab.sequence.values import LONGEST
from lab.sequence.wire import Number, Rejected, Resumed, Session

DEFAULT = "tcp:localhost:49155"
#: Where it is logged, unless somebody says.
LOG_FILE = "logs/app.log"
# A bar is drawn so often, in seconds, however often numbers come.
_DRAWN = 0.1
_CODES = {"equal": OK, "different": DATA_WRONG, "rejected": REFUSED, "conflict": REFUSED}
_log = Logger("lab.sequence")
# What is said at the end stands in the log under this name, at whatever level it is kept.
_system = Logger("system")


def describe(event: Event) -> str:
    """
    What a client tells of, in words for people.

    >>> describe(Resumed(7))
    'goes on with number 7'
    """
    if isinstance(event, Session):
        every = units.show_seconds(event.interval)
        return f"session {event.id}: n = {event.n:,}, a number every {every}"
    if isinstance(event, Number):
        return f"{event.index} {event.value}"
    if isinstance(event, Retry):
        return f"{event.reason}; the next attempt is in {units.show_seconds(event.wait)}"
    if isinstance(event, Resumed):
        return f"goes on with number {event.next}"
    return f"rejected: {event.reason}; it begins anew"


def verdict(ended: Ended) -> str:
    """How it ended, in the words that stand on standard output and in the log."""
    return f"{'SUCCESS' if ended.outcome == 'equal' else 'FAILURE'}! {ended.text}"


@define
class Tally:
    """
    What has come so far, of how much.

    Args:
        since: When this process began, in seconds.
        n: How many numbers there are to be; 0 while nobody knows.
        interval: Between two, in seconds.
        before: So many were there before.
    """

    since: float
    n: int = 0
    interval: float = 0.0
    before: int = 0
    received: int = field(init=False, default=0)
    reconnections: int = field(init=False, default=0)

    def count(self, event: Event) -> None:
        """Something has come."""
        if isinstance(event, Session):
            self.n, self.interval, self.before, self.received = event.n, event.interval, 0, 0
        elif isinstance(event, Number):
            self.received += 1
        elif isinstance(event, Resumed):
            self.reconnections += 1

    @property
    def there(self) -> int:
        """How many numbers are there."""
        return self.before + self.received

    def text(self, now: float) -> str:
        """All of it, and how long the rest takes if nothing happens."""
        rate = self.received / max(now - self.since, 0.001)
        left = timedelta(seconds=round((self.n - self.there) * self.interval))
        again = "reconnection" if self.reconnections == 1 else "reconnections"
        return (
            f"{self.there:,} of {self.n:,}, {rate:.3g}/s, {self.reconnections} {again}, {left} left"
        )


class Lines:
    """Numbers are lines of standard output; what happens besides, of standard error."""

    def __init__(self, seconds: Callable[[], float], tally: Tally) -> None:
        self.seconds, self.tally = seconds, tally

    def event(self, event: Event) -> None:
        """Something has come, which is counted already."""
        click.echo(describe(event), err=not isinstance(event, Number))

    def end(self, ended: Ended) -> None:
        """The last word."""
        click.echo(f"system - {verdict(ended)}")

    def close(self) -> None:
        """Nothing more is shown."""


class JsonLines(Lines):
    """Everything is a JSON object, a line of standard output; the key is in none."""

    def event(self, event: Event) -> None:
        """Something has come."""
        self._write(type(event).__name__.lower(), event)

    def end(self, ended: Ended) -> None:
        """The last word."""
        self._write("ended", ended, verdict=f"system - {verdict(ended)}")

    def _write(self, kind: str, event: Any, **more: str) -> None:
        """One line."""
        # What is not shown by repr is secret.
        names = [one.name for one in event.__attrs_attrs__ if one.repr]
        values = {name: getattr(event, name) for name in names}
        at = round(self.seconds(), 6)
        click.echo(json.dumps({"event": kind, "time": at, **values, **more}))


class Bar(Lines):
    """
    On a terminal: a bar below the numbers.

    Args:
        seconds: Gives the time.
        tally: What has come.
        console: The terminal.
    """

    def __init__(self, seconds: Callable[[], float], tally: Tally, console: Console) -> None:
        super().__init__(seconds, tally)
        columns = (BarColumn(20), TextColumn("{task.description}"))
        # Without a thread, which would ask a clock of its own; and without taking standard output
        # over, which may be a pipe.
        self._progress = Progress(
            *columns,
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("connecting", total=None)
        self._drawn = 0.0
        self._progress.start()

    def event(self, event: Event) -> None:
        """Something has come."""
        if not isinstance(event, Number):
            self._progress.console.print(describe(event), highlight=False, style="dim")
        elif sys.stdout.isatty():
            self._progress.console.print(describe(event), highlight=False)
        else:
            super().event(event)
        now, n = self.seconds(), self.tally.n
        if now >= self._drawn + _DRAWN or not isinstance(event, Number):
            self._drawn = now
            text = describe(event) if isinstance(event, Retry) else self.tally.text(now)
            self._progress.update(
                self._task, total=n or None, completed=self.tally.there, description=text
            )
            self._progress.refresh()

    def close(self) -> None:
        """No bar any more."""
        self._progress.stop()


def make_view(seconds: Callable[[], float], tally: Tally, *, as_json: bool) -> Lines:
    """What shows it: JSON if asked for, a bar on a terminal, lines elsewhere."""
    if as_json:
        return JsonLines(seconds, tally)
    for stream in (sys.stdout, sys.stderr):
        if stream.isatty():
            return Bar(seconds, tally, Console(file=stream))
    return Lines(seconds, tally)


@define
class Receiving:
    """
    One sequence of one client.

    Args:
        view: Shows it.
        tally: Counts it.
        state: Keeps it, if somebody wants that.
    """

    view: Lines
    tally: Tally
    state: StateFile | None
    _done: Any = None
    _broken: str = ""

    async def to_its_end(self, client: SequenceClient) -> Ended:
        """
        Receive it.

        Raises:
            LocalError: It can't be kept.
        """
        self._done = client.receive(self._event)
        try:
            ended: Ended = await self._done
        except CancelledError:
            if self._broken:
                raise LocalError(self._broken) from None
            raise
        return ended

    def _event(self, event: Event) -> None:
        """Keep it first, then tell: what was told is kept."""
        if self._broken:
            return
        if self.state is not None and isinstance(event, Session | Number):
            try:
                self.state.keep(event)
            except OSError as error:
                self._broken = f"state is {str(self.state.path)!r}; {error.strerror}"
                self._done.cancel()
                return
        self.tally.count(event)
        _log_event(event)
        self.view.event(event)


def _log_event(event: Event) -> None:
    """In the log, too; the numbers only for those who want everything."""
    if isinstance(event, Number):
        _log.debug("number {text}", text=describe(event))
    elif isinstance(event, Retry | Rejected):
        _log.warn("{text}", text=describe(event))
    else:
        _log.info("{text}", text=describe(event))


def read_words(words: tuple[str, ...]) -> tuple[str, int | None]:
    """
    The endpoint and n; an endpoint has a word and a colon.

    Raises:
        LocalError: Neither, or too many.

    >>> read_words(("tcp:localhost:49155", "20"))
    ('tcp:localhost:49155', 20)
    """
    endpoint = DEFAULT
    if words and re.match(r"[a-z][a-z0-9]*:", words[0]):
        endpoint, words = words[0], words[1:]
    if len(words) > 1:
        raise LocalError(f"{words[1]!r} is one word too many; give [ENDPOINT] [N]")
    return endpoint, units.count(words[0], "n", most=LONGEST) if words else None


def open_state(path: Path | None, n: int | None) -> StateFile | None:
    """
    The file to go on from.

    Raises:
        LocalError: It can't be had, or it has another sequence than the one that is asked for.
    """
    if path is None:
        return None
    state = StateFile(path)
    if state.session is not None and n not in {None, state.session.n}:
        state.close()
        raise LocalError(f"state is {str(path)!r}, of n = {state.session.n}; n can't be {n} there")
    return state


async def _main(
    reactor: Any, endpoint: str, settings: ClientSettings, state: StateFile | None, *, as_json: bool
) -> int:
    """Receive, and say how it ended."""
    place = clientFromString(reactor, endpoint)
    if isinstance(place, DatagramClientEndpoint):
        raise LocalError(f"endpoint is {endpoint!r}; give one of streams, like {DEFAULT}")
    tally, known = Tally(reactor.seconds()), None
    if state is not None and state.session is not None:
        session = state.session
        tally = Tally(reactor.seconds(), session.n, session.interval, len(state.numbers))
        known = session, state.numbers
        _log.info("{path} has {count} numbers", path=str(state.path), count=len(state.numbers))
    client = SequenceClient(reactor, place, settings, session=known)
    view = make_view(reactor.seconds, tally, as_json=as_json)
    try:
        ended = await Receiving(view, tally, state).to_its_end(client)
    except CancelledError:
        if state is not None:
            click.echo(f"goes on from {state.path} when it is typed again", err=True)
        raise
    finally:
        view.close()
    view.end(ended)
    say = _system.info if ended.outcome == "equal" else _system.error
    say("{text}", text=verdict(ended))
    if state is not None and ended.outcome in {"equal", "different"}:
        state.remove()
    elif state is not None:
        click.echo(f"what was received is in {state.path}", err=True)
    return _CODES.get(ended.outcome, FAILED)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("words", nargs=-1, metavar="[ENDPOINT] [N]")
@click.option("--interval", type=SECONDS, help="Ask for a number so often; the server decides.")
@click.option(
    "--heartbeat-interval", "heartbeat", type=SECONDS, default="2", show_default=True,
    help="Say so often that we are there; the server is lost after three of them.",
)  # fmt: skip
@click.option(
    "--state", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Keep what was received here, and go on from it.",
)  # fmt: skip
@click.option(
    "--on-reject", type=click.Choice(["stop", "restart"]), default="stop", show_default=True,
    help="What to do when the server has the session no more.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each event.")
@click.option(
    "--log-file", type=click.Path(dir_okay=False, path_type=Path), default=LOG_FILE,
    show_default=True, help="Log here; the folder is made.",
)  # fmt: skip
@click.option(
    "--log-level", type=click.Choice(LEVELS), default="info", show_default=True,
    help="Log this and what is worse.",
)  # fmt: skip
def command(words: tuple[str, ...], **options: Any) -> None:
    """
    Receive a sequence of N numbers from the server at ENDPOINT.

    ENDPOINT is tcp:localhost:49155 if none is given; tls:HOST:PORT, unix:PATH and the other
    endpoint strings of Twisted's are as good. Without N, 1 to 65535, the server draws it. A number
    comes every second, or every --interval. When a connection is lost another one goes on with the
    number that is next, for as long as the server keeps the session, 30 s; attempts are made for
    ever. At the end the checksum over what was received is compared with the server's.

    Numbers are lines "INDEX NUMBER" on standard output. On a terminal a bar shows how many of N
    have come, the rate, the reconnections, and how long the rest takes.

    \b
    Examples:
      lab sequence 20
      lab sequence tcp:localhost:49155 1000 --interval 10ms
      lab sequence 20 --state twenty.state     (goes on after kill -9, if typed again)

    Exit codes: 0 the checksums are equal, 1 the server did not understand, 2 usage, 3 the session
    was rejected or resumed elsewhere, 4 the checksums are different, 130 interrupted.
    """
    as_json, path = options.pop("as_json"), options.pop("state")
    level, log_file = options.pop("log_level"), options.pop("log_file")
    restart = options.pop("on_reject") == "restart"
    try:
        endpoint, n = read_words(words)
        settings = ClientSettings(n, restart=restart, **options)
        log_to_file(log_file, level)
        state = open_state(path, n)
    except LocalError as error:
        raise click.UsageError(str(error)) from error
    try:
        run(lambda reactor: _main(reactor, endpoint, settings, state, as_json=as_json))
    finally:
        if state is not None:
            state.close()
