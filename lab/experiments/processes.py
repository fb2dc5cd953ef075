"""
A repetition of a cell as real processes over loopback: servers, proxies before them, clients.

All of them are started for the repetition, on ports that the system chooses, and ended with it.
"""

import http.client
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import define, field, frozen

from lab.errors import LabError
from lab.experiments.children import Child, Family, always, family
from lab.experiments.plan import Cell, Repetition
from lab.experiments.results import Process
from lab.experiments.subject import Found, Job, Part, shown_size
from lab.experiments.subjects import SUBJECTS
from lab.rng import stream

_PROGRAM = (
    "from lab.experiments.orphans import end_with_parent; end_with_parent(); "
    "from twisted.scripts.twistd import run; run()"
)
#: Starts ``twistd`` in a process that ends when its standard input does.
TWISTD = (sys.executable, "-c", _PROGRAM, "-n", "--pidfile=")
_HERE = "interface=127.0.0.1"
# What is waited for, in words.
_WAITED = {
    "endpoint": "to listen",
    "listen": "to listen",
    "ready": "to be ready",
    "part": "to come to the end",
}
# The two directions that a cut takes.
_CUT = [
    {"type": "partition", "name": f"cut_{way}", "stream": way} for way in ("upstream", "downstream")
]


@frozen
class Stage:
    """
    What repetitions need besides what they measure.

    Args:
        clock: Gives the time, in seconds.
        folder: That of the experiment: files that are served and logs are there.
        client: The command line of a client; it is told its job, and then to begin, by lines.
        wanted: Whether anybody still waits for a repetition that runs.
    """

    clock: Callable[[], float]
    folder: Path
    client: tuple[str, ...]
    wanted: Callable[[], bool] = always

    def log(self, id: str, cell: Cell) -> Path:
        """Where a process writes its log."""
        clients, size = cell.whole("clients"), shown_size(cell.whole("size"))
        return self.folder / "logs" / f"{id}-{clients}c{size}f.log"


def run(
    repetition: Repetition, limit: float, stage: Stage
) -> tuple[Found, float, tuple[Process, ...]]:
    """
    Run a repetition.

    Args:
        repetition: Which.
        limit: It takes no longer, in seconds.
        stage: What it needs.

    Returns:
        What was found, how long the clients took in seconds, and what each process has used.

    Raises:
        LabError: It takes longer, or a process fails.
    """
    cell = repetition.cell
    subject = SUBJECTS[cell.service]
    (stage.folder / "logs").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        with family(stage.clock, limit, stage.wanted) as children:
            running = _Running(repetition, stage, children, Path(scratch))
            running.start()
            began = stage.clock()
            parts = running.perform(began)
            lasted = stage.clock() - began
        used = tuple(child.used for child in children.children if child.used is not None)
    return subject.sum(cell, parts), lasted, used


@define
class _Running:
    """
    A repetition that runs.

    Args:
        repetition: Which.
        stage: What it needs.
        children: Its processes.
        scratch: An empty folder.
    """

    repetition: Repetition
    stage: Stage
    children: Family
    scratch: Path
    clients: list[Child] = field(factory=list)
    proxies: list[Child] = field(factory=list)

    @property
    def cell(self) -> Cell:
        """The cell that it is one of."""
        return self.repetition.cell

    def start(self) -> None:
        """Start all, until every client is ready to begin."""
        # Clients take as long to start as servers do.
        self.clients = [
            self._start(f"client-{number + 1}", self.stage.client)
            for number in range(self.cell.whole("clients"))
        ]
        endpoints = self._servers()
        if self.cell.values["proxy"]:
            endpoints = self._before(endpoints)
        for number, client in enumerate(self.clients, 1):
            folder = self.scratch / client.id
            folder.mkdir()
            job = Job(self.cell, number, tuple(endpoints), self.repetition.seed, folder)
            client.tell(job.as_json())
        self._wait_for(self.clients, "ready")

    def perform(self, began: float) -> list[Part]:
        """Let the clients begin, cut what is to be cut, and wait for what they saw."""
        for client in self.clients:
            client.tell("begin")
        if self.cell.seconds("cut"):
            cut = began + self.cell.seconds("cut-after")
            self.children.wait(cut)
            self._cut("POST")
            self.children.wait(cut + self.cell.seconds("cut"))
            self._cut("DELETE")
        self._wait_for(self.clients, "part")
        return [event["part"] for client in self.clients if (event := client.event("part"))]

    def _servers(self) -> list[str]:
        """Start the servers; gives their endpoints."""
        subject, folder = SUBJECTS[self.cell.service], self.stage.folder / "servers"
        arguments = subject.arguments(self.cell, folder)
        servers = [
            self._twistd(f"server-{number + 1}", "lab-server", *arguments)
            for number in range(self.cell.whole("servers"))
        ]
        self._wait_for(servers, "endpoint")
        return [event["endpoint"] for one in servers if (event := one.event("endpoint"))]

    def _before(self, endpoints: Sequence[str]) -> list[str]:
        """Start a proxy before each server; gives their endpoints, for clients."""
        faults = [word for text in texts(self.cell) for word in ("--fault", text)]
        api = ["--api", f"tcp:0:{_HERE}"] if self.cell.seconds("cut") else []
        listen = f"{self.cell.transport}:0:{_HERE}"
        for number, endpoint in enumerate(endpoints, 1):
            words = ["--listen", listen, "--upstream", endpoint, *faults, *api]
            self.proxies.append(self._twistd(f"proxy-{number}", "lab-proxy", *words))
        self._wait_for(self.proxies, "listen")
        places = [event["listen"] for one in self.proxies if (event := one.event("listen"))]
        return [_client_of(place) for place in places]

    def _twistd(self, id: str, plugin: str, *words: str) -> Child:
        """Start one of our services; servers and proxies draw different things."""
        seed = str(stream(self.repetition.seed, id).getrandbits(32))
        line = (*TWISTD, plugin, *words, "--seed", seed, "--log-format", "json")
        return self._start(id, line)

    def _start(self, id: str, words: Sequence[str]) -> Child:
        """Start a process."""
        return self.children.start(id, words, self.stage.log(id, self.cell))

    def _wait_for(self, children: Sequence[Child], name: str) -> None:
        """Wait for an event of each of them."""
        ids = f"{children[0].id} to {children[-1].id}"
        self.children.until(
            lambda: all(child.event(name) for child in children), f"{ids}: {_WAITED[name]}"
        )

    def _cut(self, method: str) -> None:
        """Cut the ways through all proxies, or mend them."""
        self._wait_for(self.proxies, "endpoint")
        for proxy in self.proxies:
            event = proxy.event("endpoint") or {}
            port = int(event["endpoint"].rpartition(":")[2])
            for toxic in _CUT:
                path, body = "/proxies/proxy/toxics", None
                if method == "DELETE":
                    path += f"/{toxic['name']}"
                else:
                    body = json.dumps(toxic)
                _request(port, method, path, body)


def texts(cell: Cell) -> list[str]:
    """
    The faults of a cell in their short form.

    >>> texts(Cell({"fault": "loss:probability=0.1;noop"}))
    ['loss:probability=0.1', 'noop']
    """
    return [text for text in str(cell.values["fault"]).split(";") if text]


def _client_of(listen: str) -> str:
    """The endpoint of a client for one of a proxy that listens here."""
    kind, port, *_ = listen.split(":")
    return f"{kind}:127.0.0.1:{port}"


def _request(port: int, method: str, path: str, body: str | None) -> None:
    """
    Ask the API of a proxy.

    Raises:
        LabError: It refuses, or does not answer.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        said = answer.read(1000).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise LabError(f"the proxy does not answer: {error}") from error
    finally:
        connection.close()
    if answer.status >= 300:
        raise LabError(f"the proxy refuses {method} {path}: {said.strip()}")
