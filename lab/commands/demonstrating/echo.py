"""The scenes of the echo service: a stream that is measured, and a file of which all is checked."""

from typing import Any

from lab.backoff import Backoff
from lab.commands.demonstrating.scene import Link, Scene, Toxic, World
from lab.commands.echoing import make_client
from lab.echo.figures import Packet
from lab.echo.outcomes import Measured, Received
from lab.echo.report import Interval
from lab.echo.settings import ClientSettings
from lab.units import show_seconds, show_size

#: One packet so often, in seconds; how many, and bytes of each.
INTERVAL, PACKETS, SIZE = 0.02, 500, 200
#: Characters of the file, and how many of them pass a second.
CHARACTERS, RATE = 400_000, 50_000
JITTER = Toxic(
    "latency", "downstream", "{} packets delayed",
    {"latency": 30, "jitter": 8, "distribution": "normal"},
)  # fmt: skip
REORDER = Toxic(
    "reorder", "downstream", "{} overtaken", {"probability": 0.05, "displacement": 3}
)  # fmt: skip
LIMIT = Toxic("bandwidth", "downstream", "{} chunks held up", {"rate": RATE // 1000})
# Nothing but the end of a stream may be lost here: a few attempts are plenty.
_RETRY = Backoff(first=0.5, cap=5.0)
# The client tells of a stream so often, in seconds.
_TOLD = 0.25


class Stream(Scene):
    """Packets, one after the other, of which each is late by another time."""

    def __init__(self) -> None:
        asked = f"{PACKETS:,} packets of {SIZE} bytes, one every {show_seconds(INTERVAL)}"
        link = Link("echo-udp", "echo", "udp", (JITTER, REORDER))
        super().__init__("stream, UDP, jitter", asked, (link,), PACKETS, "packets")
        self.packets: tuple[Packet, ...] = ()

    async def play(self, world: World) -> None:
        """See `Scene.play`."""
        settings = ClientSettings(_RETRY)
        place = world.places[self.links[0].name]
        client = make_client(world.reactor, place, settings, world.seed)
        try:
            measured: Measured = await client.stream(
                INTERVAL, PACKETS, SIZE, interval_of_rows=_TOLD, keep=True, watch=self._watch
            )
        finally:
            await client.close()
        self.judge(measured)

    def _watch(self, row: Interval) -> None:
        """Some more have come."""
        self.move(self.done + row.received)

    def judge(self, measured: Measured) -> None:
        """A stream has ended: each packet has come, or was lost and counted."""
        report: Any = measured.report
        self.packets = measured.packets
        self.move(report.received)
        self.arrived = (
            f"{report.received:,} packets, {report.lost:,} lost, {report.reordered:,} out of "
            f"order, jitter {show_seconds(report.jitter)}"
        )
        if not measured.ended or report.packets != PACKETS:
            self.wrong.append(f"of {PACKETS:,} packets {report.packets:,} are accounted for")
        if not report.reordered:
            self.wrong.append("all came in order")


class File(Scene):
    """A file over a connection that is slow."""

    def __init__(self) -> None:
        link = Link("echo-tcp", "echo", "tcp", (LIMIT,))
        name = f"file, TCP, {show_size(RATE)}/s"
        super().__init__(name, f"{CHARACTERS:,} characters", (link,), CHARACTERS, "characters")

    async def play(self, world: World) -> None:
        """See `Scene.play`."""
        settings = ClientSettings(_RETRY)
        place = world.places[self.links[0].name]
        client = make_client(world.reactor, place, settings, world.seed)
        try:
            received: Received = await client.file(
                CHARACTERS, lambda *_: None, progress=lambda done, _: self.move(done)
            )
        finally:
            await client.close()
        self.judge(received)

    def judge(self, received: Received) -> None:
        """A file has ended: each of its characters is right, or that has failed before."""
        self.arrived = f"{received.received:,} characters in {show_seconds(received.seconds)}"
        if received.confirmed:
            self.arrived += ", SHA-256 as the server's"
        else:
            self.wrong.append("the server has not said the same SHA-256")
