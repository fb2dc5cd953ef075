"""``lab proxy``: what can be typed to a running proxy, ours or any that has Toxiproxy's API."""

import json
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import click
from attrs import asdict, frozen
from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from lab.commands.api import DEFAULT, Api, read_url
from lab.commands.running import OK, run
from lab.commands.types import COUNT, SECONDS, SHARE, TIME
from lab.errors import LocalError, RemoteError
from lab.faults.fault import DIRECTIONS
from lab.faults.profiles import PROFILES
from lab.units import show_seconds

Call = Callable[[Api], Coroutine[Deferred[Any], Any, None]]

#: Short names that the original has as well.
SHORT = {
    "l": "list", "li": "list", "ls": "list", "i": "inspect", "ins": "inspect", "c": "create",
    "new": "create", "tog": "toggle", "d": "delete", "t": "toxic",
}  # fmt: skip
TOXIC_SHORT = {"a": "add", "u": "update", "r": "remove", "delete": "remove", "d": "remove"}


class _Short(click.Group):
    """A group whose commands have short names, too."""

    short: dict[str, str] = SHORT

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        return super().get_command(ctx, self.short.get(cmd_name, cmd_name))


class _ShortToxic(_Short):
    """The same for toxics."""

    short = TOXIC_SHORT


PROXY = ("name", "listen", "upstream", "enabled", "toxics")
TOXIC = ("name", "type", "stream", "toxicity", "attributes")
#: The toxics of a partition, by name, and their directions.
CUTS = {f"partition_{stream}": stream for stream in DIRECTIONS}
#: When a toxic works, and what is said of that.
TIMES = {
    "after": "Begin so long after each connection.",
    "duration": "Work for so long.",
    "every": "Work again so long after each begin.",
}
Row = tuple[str, ...]


@contextmanager
def reading() -> Iterator[None]:
    """Take an answer apart; where something is missing, it was somebody else who answered."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RemoteError("what answers is no proxy: its JSON is that of something else") from error


def cell(value: Any) -> str:
    """A value that somebody else has chosen, as a part of a line."""
    return "".join(char if char.isprintable() else "?" for char in str(value))


def enabled(proxy: Any) -> str:
    """Whether a proxy is."""
    return "enabled" if proxy["enabled"] else "disabled"


def proxy_row(proxy: Any) -> Row:
    """A proxy as a row, up to its toxics."""
    return (*(cell(proxy[title]) for title in PROXY[:3]), enabled(proxy))


@reading()
def rows(proxies: Any) -> list[Row]:
    """A proxy a row, with the number of its toxics."""
    return [(*proxy_row(proxy), str(len(proxy["toxics"]))) for proxy in proxies.values()]


def toxic_row(toxic: Any) -> Row:
    """A toxic as a row."""
    times = {name: toxic[name] for name in TIMES if name in toxic}  # in milliseconds, too
    words = " ".join(f"{name}={value}" for name, value in {**toxic["attributes"], **times}.items())
    known = (cell(toxic[title]) for title in TOXIC[:3])
    return (*known, f"{toxic['toxicity']:g}", cell(words))


@reading()
def toxic_rows(toxics: Any) -> list[Row]:
    """A toxic a row."""
    return [toxic_row(toxic) for toxic in toxics]


@reading()
def overview(proxies: Any, between: str) -> list[Row]:
    """A proxy a row, with its toxics."""
    return [
        (
            *proxy_row(proxy),
            between.join(" ".join(filter(None, toxic_row(toxic))) for toxic in proxy["toxics"]),
        )
        for proxy in proxies.values()
    ]


def table(titles: Row, lines: list[Row]) -> Table:
    """A table for a terminal. Its cells are plain text: an address of IPv6 looks like a style."""
    found = Table(*titles, box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for line in lines:
        found.add_row(*map(Text, line))
    return found


@frozen
class Asked:
    """
    What was typed ahead of the command.

    Args:
        url: Where the API is.
        token: Goes along, if there is one.
        as_json: Whether answers are printed as JSON.
    """

    url: str
    token: str
    as_json: bool

    def run(self, call: Call) -> None:
        """Ask, and end the program."""

        async def main(reactor: Any) -> int:
            """Ask."""
            await call(Api(reactor, self.url, self.token))
            return OK

        run(main)

    @property
    def draws(self) -> bool:
        """Whether answers are tables."""
        return sys.stdout.isatty() and not self.as_json

    def show(self, value: Any, titles: Row, lines: list[Row]) -> None:
        """JSON if asked for, a table on a terminal, words with tabs between them elsewhere."""
        if self.draws:
            Console().print(table(titles, lines))
        elif self.as_json:
            click.echo(json.dumps(value))
        else:
            for line in lines:
                click.echo("\t".join(line))

    def say(self, value: Any, text: str) -> None:
        """JSON if asked for, or a line."""
        click.echo(json.dumps(value) if self.as_json else text)


def attributes(words: tuple[str, ...]) -> dict[str, Any]:
    """
    Attributes from words like ``latency=100``.

    Raises:
        LocalError: A word is none.

    >>> attributes(("latency=100", "distribution=normal"))
    {'latency': 100, 'distribution': 'normal'}
    """
    found: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise LocalError(f"attribute is {word!r}; give NAME=VALUE")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        found[name] = value if isinstance(value, int | float) else text
    return found


def milliseconds(given: Mapping[str, float | None]) -> dict[str, float]:
    """
    Times of a toxic as the API has them, from options in seconds.

    >>> milliseconds({"after": 0.5, "duration": None})
    {'after': 500.0}
    """
    return {
        name: round(seconds * 1000, 6) for name in TIMES if (seconds := given.get(name)) is not None
    }


_pass = click.pass_obj
_name = click.argument("name")


@click.group(cls=_Short, context_settings={"help_option_names": ["--help"]})
@click.option(
    "-h", "--host", envvar="TOXIPROXY_URL", default=DEFAULT, show_default=True, metavar="URL",
    help="Where the API is; also $TOXIPROXY_URL.",
)  # fmt: skip
@click.option("--token", envvar="LAB_PROXY_TOKEN", help="Also $LAB_PROXY_TOKEN.")
@click.option("--json", "as_json", is_flag=True, help="Print the answers of the API.")
@click.pass_context
def command(context: click.Context, host: str, token: str | None, *, as_json: bool) -> None:
    """
    Talk to a running proxy: `twistd -n lab-proxy`, or any that has Toxiproxy's API.

    \b
    Examples:
      lab proxy create -l localhost:49156 -u localhost:49155 sequence
      lab proxy toxic add -t latency -a latency=100 -a jitter=20 sequence
      lab proxy inspect sequence
      lab proxy toggle sequence

    Exit codes: 0 ok, 1 the API refused, 2 usage, 3 nobody listens there.
    """
    try:
        context.obj = Asked(read_url(host), token or "", as_json)
    except LocalError as error:
        raise click.UsageError(str(error)) from error


@command.command("list")
@_pass
def list_(asked: Asked) -> None:
    """List the proxies (l, li, ls)."""

    async def call(api: Api) -> None:
        """Ask."""
        found = await api.call("GET", "proxies")
        asked.show(found, PROXY, rows(found))

    asked.run(call)


@command.command()
@_name
@_pass
def inspect(asked: Asked, name: str) -> None:
    """Show the toxics of the proxy NAME (i, ins)."""

    async def call(api: Api) -> None:
        """Ask."""
        found = await api.call("GET", "proxies", name)
        with reading():
            toxics = toxic_rows(found["toxics"])
        asked.show(found, TOXIC, toxics)

    asked.run(call)


@command.command()
@click.option("-l", "--listen", help="Where clients connect: HOST:PORT.")
@click.option("-u", "--upstream", required=True, help="Where it connects to: HOST:PORT.")
@click.option("--profile", metavar="LINK", help="Have this link; `lab proxy profiles` lists them.")
@_name
@_pass
def create(asked: Asked, /, name: str, **given: str | None) -> None:
    """Create the proxy NAME (c, new)."""

    async def call(api: Api) -> None:
        """Ask."""
        body = {"name": name, **given}
        found = await api.call("POST", "proxies", body=body)
        with reading():
            text = f"{cell(found['name'])} listens on {cell(found['listen'])}"
        asked.say(found, text)

    asked.run(call)


@command.command()
@_name
@_pass
def toggle(asked: Asked, name: str) -> None:
    """Disable the proxy NAME if it is enabled, and the other way round (tog)."""

    async def call(api: Api) -> None:
        """Ask."""
        before = await api.call("GET", "proxies", name)
        with reading():
            body = {"enabled": not before["enabled"]}
        found = await api.call("POST", "proxies", name, body=body)
        with reading():
            text = f"{name} is {enabled(found)}"
        asked.say(found, text)

    asked.run(call)


@command.command()
@_name
@_pass
def delete(asked: Asked, name: str) -> None:
    """Delete the proxy NAME (d)."""

    async def call(api: Api) -> None:
        """Ask."""
        await api.call("DELETE", "proxies", name)
        asked.say(None, f"{name} is deleted")

    asked.run(call)


@command.command()
@_name
@_pass
def partition(asked: Asked, name: str) -> None:
    """Cut the proxy NAME in both directions: streams wait, datagrams are dropped."""

    async def call(api: Api) -> None:
        """Ask."""
        proxy = await api.call("GET", "proxies", name)
        with reading():
            kind = "blackhole" if proxy.get("protocol") == "udp" else "partition"
            there = {toxic["name"] for toxic in proxy["toxics"]}
        for cut, stream in CUTS.items():
            if cut not in there:
                body = {"name": cut, "type": kind, "stream": stream}
                await api.call("POST", "proxies", name, "toxics", body=body)
        asked.say(None, f"{name} is partitioned")

    asked.run(call)


@command.command()
@_name
@_pass
def heal(asked: Asked, name: str) -> None:
    """Mend what `partition` has cut; it does not matter if nothing is."""

    async def call(api: Api) -> None:
        """Ask."""
        proxy = await api.call("GET", "proxies", name)
        with reading():
            there = [toxic["name"] for toxic in proxy["toxics"] if toxic["name"] in CUTS]
        for cut in there:
            await api.call("DELETE", "proxies", name, "toxics", cut)
        asked.say(None, f"{name} is healed")

    asked.run(call)


@command.command()
@_pass
def profiles(asked: Asked) -> None:
    """List the links that have a name, with their sources; no proxy need run."""
    titles = ("profile", "down", "up", "round trip", "loss", "source")
    lines: list[Row] = [
        (
            link.name,
            f"{link.down / 1000:,.0f} KB/s",
            f"{link.up / 1000:,.0f} KB/s",
            show_seconds(link.round_trip),
            f"{link.loss * 100:g} %",
            link.source,
        )
        for link in PROFILES.values()
    ]
    asked.show([asdict(link) for link in PROFILES.values()], titles, lines)


@command.command()
@_pass
def reset(asked: Asked) -> None:
    """Enable all proxies, and remove all toxics."""

    async def call(api: Api) -> None:
        """Ask."""
        await api.call("POST", "reset")
        asked.say(None, "all proxies are enabled, without toxics")

    asked.run(call)


@command.command()
@_pass
def about(asked: Asked) -> None:
    """Show the version and the seed of the proxy itself."""

    async def call(api: Api) -> None:
        """Ask."""
        found = await api.call("GET", "lab")
        with reading():
            text = f"txlab {cell(found['version'])}, seed {cell(found['seed'])}"
        asked.say(found, text)

    asked.run(call)


@command.command()
@click.option("--interval", type=SECONDS, default="1", show_default=True, help="Ask so often.")
@click.option("--count", type=COUNT, help="Ask so many times; without it, until Ctrl-C.")
@_pass
def watch(asked: Asked, interval: float, count: int | None) -> None:
    """Show the proxies and their toxics, again and again."""

    async def main(reactor: Any) -> int:
        """Ask, show, wait."""
        api = Api(reactor, asked.url, asked.token)
        with ExitStack() as stack:
            live = stack.enter_context(Live(auto_refresh=False)) if asked.draws else None
            turn = 0
            while turn != count:
                if turn:
                    await deferLater(reactor, interval)
                found = await api.call("GET", "proxies")
                lines = overview(found, "\n" if live else "; ")
                if live:
                    live.update(table(PROXY, lines), refresh=True)
                else:
                    asked.show(found, PROXY, lines)
                turn += 1
        return OK

    run(main)


@command.group(cls=_ShortToxic)
def toxic() -> None:
    """Add, update or remove toxics (t)."""


_proxy = click.argument("proxy")
_attributes = click.option(
    "-a", "--attribute", "words", multiple=True, metavar="NAME=VALUE", help="May be repeated."
)


def _times(function: Callable[..., None]) -> Callable[..., None]:
    """The options for the times of a toxic, which count from the begin of each connection."""
    for name, text in reversed(TIMES.items()):
        function = click.option(f"--{name}", type=TIME, help=text)(function)
    return function


_toxicity = click.option("--tox", "--toxicity", "toxicity", type=SHARE, help="0 to 1.")


@toxic.command()
@click.option("-t", "--type", "kind", required=True, help="latency, bandwidth, timeout, …")
@click.option("-n", "--name", "--toxicName", help="TYPE_STREAM if none is given.")
@_toxicity
@_attributes
@_times
@click.option("-u", "--upstream", "stream", flag_value="upstream", help="From client to upstream.")
@click.option("-d", "--downstream", "stream", flag_value="downstream", default=True, help="Back.")
@_proxy
@_pass
def add(asked: Asked, /, proxy: str, words: tuple[str, ...], **given: Any) -> None:
    """Add a toxic to PROXY (a)."""
    given["type"] = given.pop("kind")
    body = {**given, **milliseconds(given), "attributes": read_attributes(words)}

    async def call(api: Api) -> None:
        """Ask."""
        found = await api.call("POST", "proxies", proxy, "toxics", body=body)
        asked.show(found, TOXIC, toxic_rows([found]))

    asked.run(call)


@toxic.command()
@click.option("-n", "--name", "--toxicName", required=True, help="Of the toxic.")
@_toxicity
@_attributes
@_times
@_proxy
@_pass
def update(asked: Asked, /, proxy: str, name: str, words: tuple[str, ...], **given: Any) -> None:
    """Change a toxic of PROXY (u)."""
    body = {"attributes": read_attributes(words), **given, **milliseconds(given)}

    async def call(api: Api) -> None:
        """Ask."""
        found = await api.call("POST", "proxies", proxy, "toxics", name, body=body)
        asked.show(found, TOXIC, toxic_rows([found]))

    asked.run(call)


@toxic.command()
@click.option("-n", "--name", "--toxicName", required=True, help="Of the toxic.")
@_proxy
@_pass
def remove(asked: Asked, proxy: str, name: str) -> None:
    """Remove a toxic of PROXY (r, d, delete)."""

    async def call(api: Api) -> None:
        """Ask."""
        await api.call("DELETE", "proxies", proxy, "toxics", name)
        asked.say(None, f"{name} is removed from {proxy}")

    asked.run(call)


def read_attributes(words: tuple[str, ...]) -> dict[str, Any]:
    """The same as `attributes`, for a command line."""
    try:
        return attributes(words)
    except LocalError as error:
        raise click.UsageError(str(error)) from error
