"""Relays that carry nothing, for tests of what is around them."""

from collections.abc import Sequence
from typing import Any

from twisted.internet.protocol import DatagramProtocol, Factory, Protocol

from lab.faults.fault import Fault


class FakeRelay:
    """
    Notes what it is told.

    Args:
        name: Of its proxy.
        upstream: Where its connections would go.
        protocol: ``tcp`` or ``udp``.
    """

    def __init__(self, name: str, upstream: str, protocol: str = "tcp") -> None:
        self.name, self.upstream, self.protocol = name, upstream, protocol
        self.factory: Any = Listening(self) if protocol == "tcp" else DatagramProtocol()
        self.connections = self.accepted = self.refused = self.drops = self.number = 0
        self.received = {"upstream": 0, "downstream": 0}
        self.sent = {"upstream": 0, "downstream": 0}
        self.hits: dict[str, int] = {}
        self.special: dict[str, int] = {}
        self.faults: list[tuple[list[str], list[str]]] = []
        #: The faults that there were when something connected.
        self.met: list[tuple[list[str], list[str]]] = []

    def set_faults(self, upstream: Sequence[Fault], downstream: Sequence[Fault]) -> None:
        """Note their names."""
        self.faults.append(([one.name for one in upstream], [one.name for one in downstream]))

    def drop(self) -> None:
        """Note it."""
        self.drops += 1


class Listening(Factory):
    """Accepts, counts, and closes."""

    noisy = False

    def __init__(self, relay: FakeRelay) -> None:
        self._relay = relay

    def buildProtocol(self, addr: object) -> Protocol:
        """Note the faults that are in force."""
        self._relay.accepted += 1
        self._relay.met.append(self._relay.faults[-1])
        return Closing()


class Closing(Protocol):
    """Says hello and closes."""

    def connectionMade(self) -> None:
        """Both at once."""
        self.transport.write(b"hello")
        self.transport.loseConnection()
