"""What ``lab demo`` shows of the echo service: a stream and a file through a bad network."""

from typing import Any

from attrs import define, field
from twisted.internet.defer import DeferredList

from lab import units
from lab.backoff import Backoff
from lab.commands.echoing import make_client
from lab.echo.outcomes import Measured, Received
from lab.echo.settings import ClientSettings
from lab.errors import LabError

#: Options of the proxy: what is wrong with the way back.
FAULTS = ("latency:latency=20,jitter=5", "loss:probability=0.03")
#: What is shown of both.
STREAM, FILE = "stream, jitter", "file, 3% loss"
#: One packet so often, in seconds; how many, and bytes of each; characters of the file.
INTERVAL, PACKETS, SIZE, CHARACTERS = 0.005, 100, 200, 50_000
# Nine attempts: of a few requests, none is given up.
_PATIENT = Backoff(first=0.1, cap=20.0)


@define
class EchoLeg:
    """
    One part of the demo, and what was seen in it.

    Args:
        name: What is shown of it.
        asked: Packets or characters.
        right: How many came, and are right.
        whole: Whether it went as it should.
        again: Requests for what was missing.
        lost: Packets that were lost; of a file nothing is, in the end.
        times: Median, 99th percentile and maximum of the delays above the least, in seconds.
        error: What went wrong.
    """

    name: str
    asked: int
    right: int = 0
    whole: bool = False
    again: int = 0
    lost: int = 0
    times: tuple[float, ...] = field(default=())
    error: str = ""

    def streamed(self, measured: Measured) -> None:
        """A stream has ended: each packet has come, or was lost."""
        report: Any = measured.report
        self.right, self.lost = report.received, report.lost
        self.whole = measured.ended and report.packets == self.asked
        if report.pdv is not None:
            self.times = (report.pdv.p50, report.pdv.p99, report.pdv.most)

    def filed(self, received: Received) -> None:
        """A file has ended: each of its characters is right, or it failed."""
        self.right, self.again = received.received, received.requests - 1
        self.whole = received.whole

    @property
    def row(self) -> tuple[str, ...]:
        """For the table."""
        counts = (self.asked, self.again, self.lost, self.right)
        times = [units.show_seconds(seconds) for seconds in self.times] or [""] * 3
        return self.name, *(f"{n:,}" for n in counts), *times

    @property
    def told(self) -> str:
        """How it ended, in a line."""
        kind, thing = (("file", "characters"), ("stream", "packets"))[self.name == STREAM]
        return f"echo, {kind}: {self.right:,} of {self.asked:,} {thing}"


async def echo(reactor: Any, endpoint: str, seed: int) -> list[EchoLeg]:
    """
    Have a stream and a file sent at a time.

    Args:
        reactor: Of the program.
        endpoint: Of the proxy.
        seed: Draws ids.

    Returns:
        What was seen of both.
    """
    stream, file = EchoLeg(STREAM, PACKETS), EchoLeg(FILE, CHARACTERS)
    client = make_client(reactor, endpoint, ClientSettings(_PATIENT), seed)
    try:
        asked = (
            client.stream(INTERVAL, PACKETS, SIZE).addCallback(stream.streamed),
            client.file(CHARACTERS, lambda *_: None, reliable=True).addCallback(file.filed),
        )
        results: Any = await DeferredList(asked, consumeErrors=True)
        for leg, (done, failure) in zip((stream, file), results, strict=True):
            if not done:
                failure.trap(LabError)
                leg.error = str(failure.value)
    finally:
        await client.close()
    return [stream, file]
