"""Cells for tests, and subjects that are measured in the simulator."""

from typing import Any

from twisted.internet.defer import gatherResults

from lab.experiments.plan import Cell, Repetition, read
from lab.experiments.subject import Found, Job, Part, Subject
from lab.faults.fault import Fault
from lab.simulator.network import simulate


def cell(*lines: str) -> Cell:
    """The only cell of a plan."""
    (found,) = read("\n".join(["[experiment]", *lines])).cells()
    return found


def repetition(*lines: str, seed: int = 7) -> Repetition:
    """A repetition of the only cell of a plan."""
    return Repetition(0, cell(*lines), seed)


def parts(subject: Subject, cell: Cell, *faults: Fault, seed: int = 7) -> list[Part]:
    """What the clients of a cell see of one server, at whose side of the way these faults are."""
    with simulate(seed) as net:
        server = net.host("server")
        server.within(subject.listen, server.reactor, cell, seed)
        asking: list[Any] = []
        for number in range(1, cell.whole("clients") + 1):
            host = net.host(f"client-{number}")
            net.link(server, host, *faults)
            job = Job(cell, number, (f"{cell.transport}:server:{subject.port}",), seed)
            asking.append(host.within(subject.ask, host.reactor, job))
        found: list[Part] = net.run_until(gatherResults(asking), 100)
        return found


def found(subject: Subject, cell: Cell, *faults: Fault) -> Found:
    """What comes of that."""
    return subject.sum(cell, parts(subject, cell, *faults))


def value(found: Found, name: str) -> float:
    """The only sample of a measure."""
    (sample,) = found.measures[name].samples
    return sample
