"""``lab stream``: what a network does to a stream of packets."""

import re
from pathlib import Path
from typing import Any

import click
from attrs import frozen

from lab import units
from lab.commands.echoing import (
    code_of,
    make_client,
    make_settings,
    server_options,
    split,
)
from lab.commands.pictures import PICTURE
from lab.commands.running import OK, TIMED_OUT, run
from lab.commands.streaming import Lines, Request, Stoppable, make_view, write_packets
from lab.commands.types import COUNT, SECONDS, Typed
from lab.echo.asking import EchoAsking
from lab.echo.outcomes import Measured
from lab.echo.settings import ClientSettings
from lab.errors import LabError, LocalError


def milliseconds(text: str, name: str) -> float:
    """
    Read a whole number of milliseconds, or a duration with its unit.

    Returns:
        Seconds.

    Raises:
        LocalError: Not such a number.

    >>> milliseconds("20", "interval"), milliseconds("1.5s", "interval")
    (0.02, 1.5)
    """
    plain = re.fullmatch("[0-9]{1,12}", text.strip())
    value = units.seconds(f"{text.strip()}ms" if plain else text, name)
    if round(value * 1000, 9) % 1 or (not plain and re.fullmatch(r"[0-9.]*", text.strip())):
        raise LocalError(f"{name} is {text!r}; give whole milliseconds, for example 20 or 2s")
    return value


_MILLISECONDS = Typed(milliseconds, "ms")


@frozen
class Measuring:
    """
    What is measured, and what is made of it.

    Args:
        request: What is asked for.
        silence: After so long without a packet it is over, in seconds.
        plot: A picture to draw.
        packets: A file of what became of each packet.
    """

    request: Request
    silence: float | None
    plot: Path | None
    packets: Path | None

    async def measure(self, client: EchoAsking, view: Lines) -> int:
        """Measure, show, and give the exit code."""
        request, waiting = self.request, Stoppable()
        begin = client.probe if request.round_trip else client.stream
        measured: Measured | None
        error: LabError | None = None
        try:
            done = begin(
                request.interval,
                request.count,
                request.size,
                keep=bool(self.plot or self.packets),
                timeout=None if self.silence is None else request.interval + self.silence,
                watch=view.row,
            )
            measured = await waiting.wait(done)
        except LabError as failed:
            error, measured = failed, getattr(failed, "so_far", None)
        text, code = ("", OK) if error is None else (str(error), code_of(error))
        if measured is not None and waiting.stopped:
            view.stop(measured)  # the exit code says 130 all the same
        else:
            if measured is not None and error is None:
                text, code = self._judge(measured)
            view.end(measured, text)
        if measured is not None:
            self._keep(measured)
        return code

    def _judge(self, measured: Measured) -> tuple[str, int]:
        """What is wrong with it, and the exit code; losses are a result like any other."""
        if measured.ended or self.request.round_trip:
            return "", OK
        if measured.report.received == self.request.count:  # type: ignore[union-attr]
            return "", OK
        return "nothing more came, and not the end of the stream either", TIMED_OUT

    def _keep(self, measured: Measured) -> None:
        """Draw and write what was asked for."""
        if self.packets is not None:
            write_packets(self.packets, measured.packets)
        if self.plot is not None:
            from lab.experiments.plots.delays import plot_delays

            name = "round trip" if self.request.round_trip else "delay above the least"
            plot_delays(self.plot, measured.packets, title=self.request.title, delay=name)


async def _main(
    reactor: Any, measuring: Measuring, settings: ClientSettings, *, as_json: bool
) -> int:
    """Measure, then let everything go."""
    client = make_client(reactor, measuring.request.endpoint, settings)
    try:
        return await measuring.measure(client, make_view(measuring.request, as_json=as_json))
    finally:
        await client.close()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("words", nargs=-1, metavar="[ENDPOINT]")
@click.option(
    "--interval", type=_MILLISECONDS, default="1000", show_default=True, metavar="MS",
    help="One packet so often, in milliseconds (20, 2s); 0: as fast as may be.",
)  # fmt: skip
@click.option("--count", type=COUNT, default="10", show_default=True, help="How many packets.")
@click.option("--size", type=COUNT, default="64", show_default=True, help="Bytes of each.")
@click.option("--round-trip", is_flag=True, help="Send probes, and measure what is answered.")
@click.option("--json", "as_json", is_flag=True, help="Print one object, of iperf3's form.")
@click.option("--plot", type=PICTURE, metavar="FILE", help="Draw delays, as .png or .svg.")
@click.option(
    "--packets", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write what became of each packet, a JSON object a line.",
)  # fmt: skip
@click.option(
    "--receive-timeout", type=SECONDS,
    help="It is over so long after the last packet and its interval; 5 unless said.",
)  # fmt: skip
@server_options
def command(words: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """
    Have the echo server at ENDPOINT send a stream of packets, and say what came.

    ENDPOINT is tcp:HOST:PORT, udp:HOST:PORT or another endpoint string of Twisted's; if none is
    given, the first of --hosts, of hosts.txt, or tcp:localhost:50001. With --round-trip probes are
    sent instead, and losses on the way there are told from those on the way back. Each second has
    a row, then a table says all. Ctrl-C ends the stream; its report comes all the same.

    \b
    Examples:
      lab stream udp:localhost:50001 --interval 20 --count 500 --size 200
      lab stream udp:localhost:50001 --round-trip --interval 100 --plot delays.png
      lab stream udp:localhost:50001 --interval 10 --count 1000 --json | jq .end.sum

    Exit codes: 0 the stream has ended, whatever was lost, 1 the connection broke, 2 usage, 3 the
    server refuses or nobody listens there, 5 nothing came, or not the end, 130 interrupted.
    """
    plot, packets = options.pop("plot"), options.pop("packets")
    asked = {name: options.pop(name) for name in ("interval", "count", "size", "round_trip")}
    silence, hosts = options.pop("receive_timeout"), options.pop("hosts")
    try:
        endpoint, more = split(words, hosts)
        settings = make_settings(**options, silence=silence)
    except LocalError as error:
        raise click.UsageError(str(error)) from error
    if more:
        raise click.UsageError(f"{more[0]!r} is no endpoint; give one like udp:localhost:50001")
    measuring = Measuring(Request(endpoint, **asked), silence, plot, packets)
    run(lambda reactor: _main(reactor, measuring, settings, as_json=as_json))
