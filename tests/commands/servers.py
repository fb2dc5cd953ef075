"""What tests of ``twistd lab-server`` and ``lab-proxy`` share: services on a fake reactor."""

import io
import sys
from importlib import import_module
from typing import Any

from twisted import internet
from twisted.application.service import IService
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from lab.commands import server
from tests.helpers import captured_logs

TCP, UDP = "tcp:0:interface=127.0.0.1", "udp:0:interface=127.0.0.1"
CLIENT = ("127.0.0.1", 5000)


class Datagrams:
    """A UDP port that notes what is sent, and is its transport."""

    def __init__(self, port: int, protocol: DatagramProtocol, interface: str) -> None:
        self.port, self.protocol, self.interface = port, protocol, interface
        self.sent: list[bytes] = []
        self.open = True

    def write(self, data: bytes, address: object = None) -> None:
        """Note it."""
        self.sent.append(data)

    def getHost(self) -> IPv4Address:
        """Where it is."""
        return IPv4Address("UDP", self.interface, self.port or 4002)

    def stopListening(self) -> None:
        """Note it."""
        self.open = False
        self.protocol.doStop()

    def receive(self, datagram: bytes) -> list[bytes]:
        """What is sent back for a datagram."""
        self.sent.clear()
        self.protocol.datagramReceived(datagram, CLIENT)
        return self.sent


class FakeReactor(MemoryReactorClock):
    """A reactor that listens for datagrams, too."""

    def __init__(self) -> None:
        super().__init__()
        self.udp: list[Datagrams] = []

    def listenUDP(
        self, port: int, protocol: DatagramProtocol, interface: str, maxPacketSize: int
    ) -> Datagrams:
        """Note it."""
        self.udp.append(Datagrams(port, protocol, interface))
        protocol.makeConnection(self.udp[-1])  # type: ignore[arg-type]
        return self.udp[-1]


class CommandTestCase(SynchronousTestCase):
    """
    Parses options of a command of twistd and makes services of them, on a fake reactor.

    Attributes:
        room: The module of the command.
    """

    room: Any

    def setUp(self) -> None:
        """Put the fake in the reactor's place, and keep the hook for exceptions."""
        self.reactor: Any = FakeReactor()
        import_module("twisted.internet.reactor")  # there has to be one in this place
        self.patch(internet, "reactor", self.reactor)
        self.patch(sys, "excepthook", sys.excepthook)

    def options(self, *words: str) -> Any:
        """These options, parsed."""
        options = self.room.Options()
        options.parseOptions(list(words))
        return options

    def mistake(self, *words: str) -> str:
        """The one line that these options are refused with."""
        said = io.StringIO()
        self.patch(sys, "stderr", said)
        ended = self.assertRaises(SystemExit, self.options, *words)
        self.assertEqual(ended.code, 2)
        self.assertEqual(said.getvalue().count("\n"), 1)
        return said.getvalue().removesuffix("\n")

    def start(self, *words: str) -> Any:
        """The services of these options, started; and what they log at their start."""
        with captured_logs() as events:
            service = self.room.makeService(self.options(*words))
            service.privilegedStartService()
            service.startService()
        self.logged = [formatEvent(event) for event in events]
        return service

    def stop(self, service: IService) -> list[str]:
        """Stop them; what they log at their end."""
        with captured_logs() as events:
            self.successResultOf(service.stopService())
        return [formatEvent(event) for event in events]


class ServerTestCase(CommandTestCase):
    """The same of ``twistd lab-server``."""

    room = server
