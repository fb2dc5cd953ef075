"""The streams of the echo service, measured: what is lost of them, and how unsteady they come."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lab.adapters.endpoints import clientFromString
from lab.backoff import Backoff
from lab.echo import tcp, udp
from lab.echo.asking import EchoAsking
from lab.echo.outcomes import Measured
from lab.echo.settings import ClientSettings, ServerSettings
from lab.errors import LabError
from lab.experiments.plan import Cell
from lab.experiments.results import Series
from lab.experiments.subject import Found, Job, Part, one, share, timed, together
from lab.rng import stream
from lab.statistics import Histogram

#: A stream is over so long after its last packet, in seconds, beside its interval.
SILENCE = 2.0
# Rows of a stream at most, and the shortest, in seconds.
_ROWS, _SHORTEST = 20, 0.1
_COUNTED = ("received", "lost", "duplicates", "reordered", "late", "size")


class EchoSubject:
    """Streams of packets."""

    port = 50001
    keeps = False

    def arguments(self, cell: Cell, folder: Path) -> list[str]:
        """Those of ``twistd lab-server``; all clients have one address."""
        return [
            "--echo", f"{cell.transport}:0:interface=127.0.0.1",
            "--stream-packets", str(cell.whole("count")),
            "--streams", "1000",
        ]  # fmt: skip

    def listen(self, reactor: Any, cell: Cell, seed: int) -> None:
        """A server in the simulator."""
        settings = ServerSettings(packets=cell.whole("count"), streams=1000)
        if cell.transport == "tcp":
            reactor.listenTCP(self.port, tcp.EchoFactory(reactor, settings))
            return
        key = stream(seed, "key").randbytes(16)
        protocol = udp.EchoDatagramProtocol(reactor, settings, key=key)
        reactor.listenUDP(self.port, protocol, maxPacketSize=65535)

    def ask(self, reactor: Any, job: Job) -> Deferred[Part]:
        """Have a stream sent, and measure it; one of which nothing comes is lost as a whole."""
        client, cell = _client(reactor, job), job.cell
        interval, count = 1 / cell.whole("rate"), cell.whole("count")
        row = max(_SHORTEST, interval * count / _ROWS)
        measuring = client.stream(
            interval,
            count,
            cell.whole("size"),
            interval_of_rows=row,
            keep=True,
        )

        def failed(reason: Failure) -> Measured | None:
            """It broke; what there is counts."""
            reason.trap(LabError)
            found: Measured | None = getattr(reason.value, "so_far", None)
            return found

        def ended(measured: Measured | None) -> Deferred[Part]:
            """Nothing more comes."""
            part = _part(measured, count, row)
            return client.close().addCallback(lambda _: part)

        return measuring.addErrback(failed).addCallback(ended)

    def sum(self, cell: Cell, parts: Sequence[Part]) -> Found:
        """What all clients saw."""
        total = {name: sum(part[name] for part in parts) for name in _COUNTED}
        packets = total["received"] + total["lost"]
        measures = {
            "loss": one(share(total["lost"], packets), better="less"),
            "throughput": one(
                share(total["size"], max(part["seconds"] for part in parts)), "B/s", "more"
            ),
            **{
                name: one(share(total[name], packets), better="less")
                for name in ("duplicates", "reordered", "late")
            },
        }
        heard = [part for part in parts if part["received"]]
        if heard:
            jitter = sum(part["jitter"] for part in heard) / len(heard)
            measures["jitter"] = one(jitter, "s", "less")
            measures["delay"] = timed("s", together(heard, "delay"))
        return Found(measures, _series(parts))


def _client(reactor: Any, job: Job) -> EchoAsking:
    """A client; the request is not what is measured, so it is sent until it is heard."""
    settings = ClientSettings(Backoff(0.25, 8.0), silence=SILENCE)
    random = stream(job.seed, "client", job.number)
    place: Any = clientFromString(reactor, job.endpoint)
    kind: Any = tcp.EchoClient if job.cell.transport == "tcp" else udp.EchoClient
    client: EchoAsking = kind(reactor, place, settings, random)
    return client


def _part(measured: Measured | None, count: int, row: float) -> Part:
    """What one client saw, in rows of so many seconds."""
    delays = Histogram()
    part: dict[str, Any] = dict.fromkeys(_COUNTED, 0) | {"lost": count}
    part |= {"jitter": 0.0, "seconds": 0.0, "row": row, "fates": [], "jitters": []}
    if measured is not None:
        report: Any = measured.report
        part |= {name: getattr(report, name) for name in (*_COUNTED, "jitter", "seconds")}
        part["jitters"] = [one.jitter for one in report.intervals]
        for packet in measured.packets:
            # When it was sent, and not when somebody found it missing.
            place = int(packet.sent / row)
            part["fates"] += [[0, 0] for _ in range(place + 1 - len(part["fates"]))]
            part["fates"][place][packet.delay is None] += 1
            if packet.delay is not None:
                delays.add(packet.delay)
    return part | {"delay": delays.as_json()}


def _series(parts: Sequence[Part]) -> dict[str, Series]:
    """Loss and jitter over time, of all streams: they have rows of one length."""
    row = parts[0]["row"]
    losses, jitters = {}, {}
    for place, fates in enumerate(
        zip_longest(*(part["fates"] for part in parts), fillvalue=(0, 0))
    ):
        came, lost = (sum(column) for column in zip(*fates, strict=True))
        losses[round(place * row, 9)] = share(lost, came + lost)
    for place, uneven in enumerate(zip_longest(*(part["jitters"] for part in parts))):
        # Where nothing came, nobody knows.
        known = [one for one in uneven if one is not None]
        if known:
            jitters[round(place * row, 9)] = sum(known) / len(known)
    if not losses:
        return {}
    return {
        "loss": Series("1", losses.keys(), losses.values()),
        "jitter": Series("s", jitters.keys(), jitters.values()),
    }
