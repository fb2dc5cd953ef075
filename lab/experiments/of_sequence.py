"""The sequence service, measured: whether sequences come to their end, whatever is cut."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from lab.adapters.endpoints import clientFromString
from lab.experiments.plan import Cell, show
from lab.experiments.results import Measure
from lab.experiments.subject import Found, Job, Part, one, share, timed, together
from lab.rng import stream
from lab.sequence.load import Load, Outcome
from lab.sequence.load import Plan as LoadPlan
from lab.sequence.settings import ClientSettings, ServerSettings
from lab.sequence.tcp import SequenceFactory

_COUNTED = ("numbers", "wrong", "resumed", "retried")


class SequenceSubject:
    """Sequences that are cut."""

    port = 49155
    keeps = False

    def arguments(self, cell: Cell, folder: Path) -> list[str]:
        """Those of ``twistd lab-server``."""
        return [
            "--sequence", "tcp:0:interface=127.0.0.1",
            "--interval", show(cell.seconds("interval")),
            "--heartbeat-interval", show(cell.seconds("heartbeat")),
            "--reconnect-window", show(cell.seconds("window")),
        ]  # fmt: skip

    def listen(self, reactor: Any, cell: Cell, seed: int) -> None:
        """A server in the simulator."""
        settings = ServerSettings(
            interval=cell.seconds("interval"),
            heartbeat=cell.seconds("heartbeat"),
            window=cell.seconds("window"),
        )
        secrets = stream(seed, "secret")
        factory = SequenceFactory(
            reactor,
            settings,
            secret=lambda: secrets.randbytes(16),
            random=stream(seed, "length"),
        )
        reactor.listenTCP(self.port, factory)

    def ask(self, reactor: Any, job: Job) -> Deferred[Part]:
        """Receive one sequence, and hold each number against the truth."""
        cell, begin = job.cell, reactor.seconds()
        settings = ClientSettings(
            cell.whole("count"), cell.seconds("interval"), cell.seconds("heartbeat"), retry=0.1
        )
        place: Any = clientFromString(reactor, job.endpoint)
        random = stream(job.seed, "client", job.number)
        load = Load(reactor, place, settings, LoadPlan(1, 1), random)

        def ended(outcome: Outcome) -> Part:
            """It has come to its end, or was given up."""
            return {
                **{name: getattr(outcome, name) for name in _COUNTED},
                "whole": outcome.ended["equal"],
                "seconds": reactor.seconds() - begin,
                "lateness": outcome.lateness.as_json(),
                "error": outcome.last_error,
            }

        load.start()
        return load.finished.addCallback(ended)

    def sum(self, cell: Cell, parts: Sequence[Part]) -> Found:
        """What all clients saw."""
        total = {name: sum(part[name] for part in parts) for name in (*_COUNTED, "whole")}
        wanted = cell.whole("count") * len(parts)
        measures = {
            "completion": one(share(total["whole"], len(parts)), better="more"),
            "numbers": one(share(total["numbers"], wanted), better="more"),
            "wrong": one(share(total["wrong"], wanted), better="less"),
            "resumptions": one(share(total["resumed"], len(parts)), better="less"),
            "retries": one(share(total["retried"], len(parts)), better="less"),
        }
        times = [part["seconds"] for part in parts if part["whole"]]
        if times:
            measures["duration"] = Measure("s", times, better="less")
        lateness = together(parts, "lateness")
        if lateness.count:
            measures["lateness"] = timed("s", lateness)
        return Found(measures)
