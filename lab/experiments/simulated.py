"""
A repetition of a cell in the simulator: the services' own classes on hosts of their own.

The faults are on the ways between each client and each server, which take 1 ms where none says
how long; a rate of scope ``proxy`` is that of all ways to or from a server. All that comes out
follows from the seed.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.internet.defer import FirstError, gatherResults
from twisted.python.failure import Failure

from lab.experiments.plan import Cell, Repetition
from lab.experiments.subject import Found, Job
from lab.experiments.subjects import SUBJECTS
from lab.experiments.windows import named
from lab.faults.fault import Fault
from lab.faults.sharing import Buckets
from lab.simulator.network import Network, simulate


def run(repetition: Repetition, limit: float) -> tuple[Found, float]:
    """
    Run a repetition.

    Args:
        repetition: Which.
        limit: So much virtual time it takes at most, in seconds.

    Returns:
        What was found, and how long it took, in virtual seconds.

    Raises:
        LabError: It has not ended by then, or something went wrong in it.
    """
    cell, seed = repetition.cell, repetition.seed
    subject = SUBJECTS[cell.service]
    with _scratch(needed=subject.keeps) as scratch, simulate(seed) as net:
        servers = [f"server-{number + 1}" for number in range(cell.whole("servers"))]
        clients = [f"client-{number + 1}" for number in range(cell.whole("clients"))]
        for name in servers:
            host = net.host(name)
            host.within(subject.listen, host.reactor, cell, seed)
        _spoil(net, clients, servers, named(cell.faults()))
        _plan_cut(net, cell, clients, servers)
        endpoints = tuple(f"{cell.transport}:{name}:{subject.port}" for name in servers)
        asking: list[Any] = []
        for number, name in enumerate(clients, 1):
            host = net.host(name)
            folder = None if scratch is None else scratch / name
            if folder is not None:
                folder.mkdir()
            job = Job(cell, number, endpoints, seed, folder)
            asking.append(host.within(subject.ask, host.reactor, job))
        parts = net.run_until(gatherResults(asking, consumeErrors=True).addErrback(_first), limit)
        return subject.sum(cell, parts), net.now


@contextmanager
def _scratch(*, needed: bool) -> Iterator[Path | None]:
    """A folder for files of clients; making and removing one takes longer than some cells."""
    if not needed:
        yield None
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield Path(scratch)


def _spoil(
    net: Network, clients: Sequence[str], servers: Sequence[str], spoilt: Sequence[Fault]
) -> None:
    """Put the faults on all ways, each in its direction."""
    up = [fault for fault in spoilt if fault.stream == "upstream"]
    down = [fault for fault in spoilt if fault.stream == "downstream"]
    for server in servers:
        # As if there were a proxy before it.
        together = Buckets()
        for client in clients:
            for way, faults in (((client, server), up), ((server, client), down)):
                net.path(*way).buckets = together
                net.link(*way, *faults)


def _plan_cut(net: Network, cell: Cell, clients: Sequence[str], servers: Sequence[str]) -> None:
    """Cut all ways at its time, and mend them."""
    if not cell.seconds("cut"):
        return
    begin = cell.seconds("cut-after")
    for client in clients:
        for server in servers:
            for way in ((client, server), (server, client)):
                net.at(begin, net.partition, *way)
                net.at(begin + cell.seconds("cut"), net.heal, *way)


def _first(reason: Failure) -> None:
    """The error of the client that failed, and not of those who waited for all."""
    reason.trap(FirstError)
    reason.value.subFailure.raiseException()  # type: ignore[union-attr]
