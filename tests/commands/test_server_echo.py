"""What lab-server makes of the options of the echo service and its old relatives."""

import math
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from lab.adapters.endpoints import DatagramServerEndpoint
from lab.commands.server_echo import EchoListeners, echo_settings
from lab.commands.server_options import CLASSIC, ECHO
from lab.echo.settings import ServerSettings
from lab.errors import LocalError

CLIENT = ("127.0.0.1", 5000)
DATAGRAMS = DatagramServerEndpoint(None, 0)  # type: ignore[arg-type]


class Port:
    """The transport of a protocol of datagrams."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def write(self, data: bytes, address: object = None) -> None:
        """Note it."""
        self.sent.append(data)

    def getHost(self) -> IPv4Address:
        """Where it is."""
        return IPv4Address("UDP", "127.0.0.1", 4002)


def settings(**words: str) -> ServerSettings:
    """Those of options, of which these were given."""
    given = {name.replace("_", "-"): text for name, text in words.items()}
    return echo_settings({"idle": "300"} | {row[0]: row[2] for row in ECHO} | given)


class SettingsTests(SynchronousTestCase):
    """What options say."""

    def test_defaults(self) -> None:
        """Without options they are those of the service."""
        self.assertEqual(settings(), ServerSettings())

    def test_all(self) -> None:
        """Each limit has its option, in the units that people type."""
        made = settings(
            idle="1m", stream_interval="20ms", stream_packets="7", stream_size="99",
            file_size="0", rate="64K", total_rate="1M", streams="2", total_streams="3",
            pace="2K", piece="8",
        )  # fmt: skip
        expected = ServerSettings(60, 0.02, 7, 99, 0, 65536, 2**20, 2, 3, 2048, 8)
        self.assertEqual(made, expected)
        self.assertEqual(settings().rate, math.inf)

    def test_mistakes(self) -> None:
        """What can't be is said under the name of the option, with what is allowed."""
        for name, text, said in (
            ("stream_interval", "2h", "stream-interval is '2h'; give at most 3,600 s"),
            ("stream_packets", "0", "stream-packets is '0'; give a whole number from 1 to"),
            ("stream_size", "63", "stream-size is '63'; give a whole number from 64 to 65,507"),
            ("file_size", "x", "file-size is 'x'; give a whole number from 0 to"),
            ("rate", "0", "rate is '0'; give more than 0, for example 64K or 10M"),
            ("pace", "fast", "pace is 'fast'; give bytes, for example"),
            ("streams", "0", "streams is '0'; give a whole number from 1 to 1,000,000"),
            ("total_streams", "-1", "total-streams is '-1'; give a whole number from 1 to"),
            ("piece", "65401", "piece is '65401'; give a whole number from 1 to 65,400"),
        ):
            error = self.assertRaises(LocalError, settings, **{name: text})
            self.assertIn(said, str(error))


class ListenersTests(SynchronousTestCase):
    """What listens."""

    def setUp(self) -> None:
        """Listeners of a server with a limit."""
        self.clock = Clock()
        limits = ServerSettings(streams=1)
        self.listeners = EchoListeners(self.clock, limits, 7)

    def connection(self, factory: Any) -> Any:
        """A connection to it."""
        protocol = factory.buildProtocol(IPv4Address("TCP", *CLIENT))
        protocol.makeConnection(StringTransport())
        return protocol

    def datagrams(self, protocol: Any, *sent: bytes) -> list[bytes]:
        """What is answered to datagrams."""
        port = Port()
        protocol.makeConnection(port)
        for one in sent:
            protocol.datagramReceived(one, CLIENT)
        return port.sent

    def test_echo(self) -> None:
        """Both ways of the echo service answer, share their budget, and count for themselves."""
        factory, report = self.listeners.listener("echo", object())
        connection = self.connection(factory)
        connection.dataReceived(b"hello\nstream 1000\n")
        other, _ = self.listeners.listener("echo", object())
        second = self.connection(other)
        second.dataReceived(b"stream\n")
        self.assertTrue(second.transport.value().startswith(b"429 1000 there are 1 streams"))
        self.assertEqual(report(), "1 echoed, 0 probes, 1 streams, 0 files, 0 refused, 0 busy")
        protocol, report = self.listeners.listener("echo", DATAGRAMS)
        self.assertEqual(
            self.datagrams(protocol, b"probe 1 2", b"hi"), [b"probed 1 2 1 0 0", b"hi"]
        )
        self.assertEqual(
            report(),
            "1 echoed, 1 probes, 0 streams, 0 files, 0 refused, 0 busy, 0 ignored, "
            "0 sent in batches, 0 not sent",
        )

    def test_classic_streams(self) -> None:
        """Over streams: what comes back, nothing, characters."""
        for name, answer in zip(CLASSIC, (b"a\n", b"", b' !"#$%'), strict=True):
            factory, report = self.listeners.listener(name, object())
            self.assertEqual(report(), "0 connections")
            connection = self.connection(factory)
            connection.dataReceived(b"a\n")
            self.assertEqual(connection.transport.value()[:6], answer)
            self.assertEqual(report(), "1 connections")

    def test_classic_datagrams(self) -> None:
        """Over datagrams the same; the lengths of chargen are those of the seed."""
        lengths = []
        for name in (*CLASSIC, "chargen"):
            protocol, report = self.listeners.listener(name, DATAGRAMS)
            answers = self.datagrams(protocol, b"a" * 200, b"a" * 200)
            self.assertEqual(report(), "2 datagrams, 0 ignored, 0 not sent")
            lengths.append([len(answer) for answer in answers])
        self.assertEqual(lengths[:2], [[200, 200], []])
        self.assertEqual(lengths[2], lengths[3])
