"""The arithmetic service, measured: requests at planned times, and how late the answers came."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from lab.adapters.endpoints import clientFromString
from lab.arithmetic import tcp, udp
from lab.arithmetic.asking import Asking
from lab.arithmetic.load import Load, Outcome
from lab.arithmetic.settings import ClientSettings
from lab.experiments.plan import Cell
from lab.experiments.rows import Rows, series
from lab.experiments.subject import Found, Job, Part, one, share, timed, together
from lab.pacing import Schedule
from lab.rng import stream


class ArithmeticSubject:
    """Requests at planned times."""

    port = 50000
    keeps = False

    def arguments(self, cell: Cell, folder: Path) -> list[str]:
        """Those of ``twistd lab-server``."""
        return ["--arithmetic", f"{cell.transport}:0:interface=127.0.0.1"]

    def listen(self, reactor: Any, cell: Cell, seed: int) -> None:
        """A server in the simulator."""
        if cell.transport == "tcp":
            reactor.listenTCP(self.port, tcp.ArithmeticFactory(reactor))
            return
        key = stream(seed, "key").randbytes(16)
        protocol = udp.ArithmeticDatagramProtocol(reactor, key=key)
        reactor.listenUDP(self.port, protocol, maxPacketSize=65535)

    def ask(self, reactor: Any, job: Job) -> Deferred[Part]:
        """Ask at a steady rate; clients take turns, so that they are not in step."""
        cell = job.cell
        client = _client(reactor, job)
        rate, count = cell.whole("rate"), cell.whole("count")
        rows = Rows(reactor.seconds(), count / rate)
        begin = rows.begin + (job.number - 1) / (rate * cell.whole("clients"))
        schedule, random = Schedule(rate, begin, count), stream(job.seed, "requests", job.number)
        load = Load(reactor, client, schedule, random, tell=rows.add)

        def ended(outcome: Outcome) -> Deferred[Part]:
            """All have their answer, or none."""
            part = {
                "asked": outcome.asked,
                "right": outcome.right,
                "sent": client.traffic.sent,
                "seconds": reactor.seconds() - begin,
                "latency": outcome.latency.as_json(),
                "naive": outcome.naive.as_json(),
                "error": outcome.last_error,
                **rows.as_json(),
            }
            return client.close().addCallback(lambda _: part)

        load.start()
        return load.finished.addCallback(ended)

    def sum(self, cell: Cell, parts: Sequence[Part]) -> Found:
        """What all clients saw."""
        asked, right, sent = (
            sum(part[name] for part in parts) for name in ("asked", "right", "sent")
        )
        measures = {
            "success": one(share(right, asked), better="more"),
            "throughput": one(share(right, max(part["seconds"] for part in parts)), "1/s", "more"),
            "attempts": one(share(sent, asked), better="less"),
        }
        if right:
            measures["latency"] = timed("s", together(parts, "latency"))
            measures["latency_naive"] = timed("s", together(parts, "naive"))
        return Found(measures, series(parts))


def _client(reactor: Any, job: Job) -> Asking:
    """A client as the cell wants it."""
    cell, random = job.cell, stream(job.seed, "client", job.number)
    settings = ClientSettings(cell.retry())
    place: Any = clientFromString(reactor, job.endpoint)
    kind: Any = tcp.ArithmeticClient if cell.transport == "tcp" else udp.ArithmeticClient
    client: Asking = kind(reactor, place, settings, random)
    return client
