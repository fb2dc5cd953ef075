"""
The relays of a registry, on any reactor: that of a program, or of a host in a simulation.

Knows neither HTTP nor a command line.
"""

from functools import partial
from typing import Any

from attrs import field, frozen

from lab.faults.journal import Journal
from lab.faults.link import Decisions
from lab.proxy.datagrams import DatagramRelay
from lab.proxy.ports import connector
from lab.proxy.recording import Recording, RelayRecording
from lab.proxy.registry import Relay
from lab.proxy.room import Room
from lab.proxy.streams import StreamRelay


@frozen
class Relays:
    """
    Makes relays; what a `lab.proxy.registry.Registry` is given.

    Args:
        reactor: Connects, resolves names and has a clock.
        decisions: Where verdicts come from: `lab.faults.journal.Dice`, or
            `lab.faults.journal.Replay` for what was decided at another proxy.
        journal: Takes what is decided; without, none is kept.
        recording: Takes what goes through; without, nothing is recorded.
        room: What faults on streams may hold back, in all of them together.
    """

    reactor: Any
    decisions: Decisions
    journal: Journal | None = None
    recording: Recording | None = None
    room: Room = field(factory=Room)

    def __call__(self, name: str, upstream: str, protocol: str) -> Relay:
        """
        Make one.

        Args:
            name: Of the proxy.
            upstream: ``HOST:PORT`` or an endpoint string.
            protocol: ``tcp`` or ``udp``.

        Raises:
            LocalError: A wrong endpoint string, or one for the other protocol.
        """
        connect = connector(self.reactor, upstream, protocol)
        capture = RelayRecording(self.recording, name, upstream) if self.recording else None
        make = DatagramRelay if protocol == "udp" else partial(StreamRelay, room=self.room)
        return make(
            self.reactor,
            name,
            connect,
            decisions=self.decisions,
            journal=self.journal,
            capture=capture,
        )
