"""``lab stream``: its options, what it shows and writes, how it ends."""

import json
from typing import Any

from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol

from lab.commands import stream
from lab.commands.stream import Measuring, milliseconds
from lab.commands.streaming import Request
from lab.echo.oneway import OneWay
from lab.echo.outcomes import Measured
from lab.echo.settings import ServerSettings
from lab.errors import LocalError
from lab.faults.datagrams import Latency, Loss
from lab.faults.fault import Fault
from lab.simulator.network import Network
from tests.commands.echoes import TCP, UDP, EchoCommandCase, serve
from tests.helpers import folder


class Breaking(Protocol):
    """A server that breaks off behind the second packet."""

    def dataReceived(self, data: bytes) -> None:
        """Send two packets, and no more."""
        id = data.split(b" ")[0]
        for number in range(2):
            line = b"%s packet %d 0 " % (id, number)
            self.transport.write(line + b"." * (63 - len(line)) + b"\n")
        self.transport.loseConnection()


class StreamCase(EchoCommandCase):
    """Calls ``lab stream``."""

    module, name = stream, "stream"

    def lossy(self, net: Network) -> None:
        """Of all datagrams, one in five is lost."""
        serve(net)
        net.link("server", "client", Fault(Loss(0.2), "loss"))

    def silent(self, net: Network) -> None:
        """A server that nothing comes from."""
        serve(net)
        net.partition("server", "client")

    def breaking(self, net: Network) -> None:
        """A server that breaks off."""

        def start(reactor: Any, disk: dict[str, Any]) -> None:
            """Start it."""
            TCP4ServerEndpoint(reactor, 80).listen(Factory.forProtocol(Breaking))

        net.host("server").start(start)


class EndTests(StreamCase):
    """How it ends, and what it says."""

    def test_whole(self) -> None:
        """Rows as they are over, then the report; 0."""
        for endpoint in (TCP, UDP):
            done = self.call(endpoint, "--interval", "100", "--count", "25")
            self.assertEqual((done.exit_code, done.stderr), (0, ""))
            lines = done.stdout.splitlines()
            self.assertEqual([line[:4] for line in lines[:3]], ["0-1 ", "1-2 ", "2-3 "])
            self.assertIn("packets          25", lines)
            self.assertIn("lost             0 (0 %)", lines)

    def test_losses_are_a_result(self) -> None:
        """What is lost is said, and is no failure."""
        self.prepare = self.lossy
        done = self.call(UDP, "--interval", "20", "--count", "500", "--backoff", "--json")
        self.assertEqual((done.exit_code, done.stderr), (0, ""))
        told = json.loads(done.stdout)["end"]["sum"]
        self.assertEqual(told["packets"], 500)
        self.assertTrue(60 < told["lost_packets"] < 140, told)

    def test_round_trip(self) -> None:
        """Probes have round trips, and ways of their losses."""
        done = self.call(UDP, "--round-trip", "--interval", "100", "--count", "12")
        self.assertEqual((done.exit_code, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"(?m)^lost +0 \(0 %\): 0 up, 0 down$")
        self.assertRegex(done.stdout, r"(?m)^round trip +min ")

    def test_in_flight(self) -> None:
        """What is not answered yet is not lost, in the rows before the end."""

        def slow(net: Network) -> None:
            """Each way takes a quarter of a second."""
            serve(net)
            for ends in (("server", "client"), ("client", "server")):
                net.link(*ends, Fault(Latency(0.25), "latency"))

        self.prepare = slow
        done = self.call(UDP, "--round-trip", "--interval", "100", "--count", "20")
        first, *_, last = [line for line in done.stdout.splitlines() if " s: " in line]
        self.assertRegex(first, r"^0-1 s: [56] packets, 0 lost, [45] in flight, 0 duplicates, ")
        self.assertNotIn("in flight", last)
        self.assertNotIn("jitter", done.stdout)

    def test_interrupted(self) -> None:
        """Ctrl-C ends the stream at the server, too; the report of what came is there."""
        self.interrupt = 2.05
        done = self.call(UDP, "--interval", "100", "--count", "100")
        self.assertRegex(done.stdout, r"(?m)^packets +2[01]$")
        self.assertEqual(done.stderr, "")  # `run` says what there is to say
        self.interrupt = 2.05
        done = self.call(TCP, "--interval", "100", "--count", "100", "--json")
        told = json.loads(done.stdout)
        self.assertEqual(told["error"], "interrupted")
        self.assertIn(told["end"]["sum"]["packets"], (20, 21))

    def test_interrupted_before_anything(self) -> None:
        """Without anything there is no report."""
        self.prepare = self.silent
        self.interrupt = 0.5
        done = self.call(UDP)
        self.assertEqual((done.exit_code, done.output), (130, ""))

    def test_nothing_came(self) -> None:
        """Nobody answers: 5, and a line; or an object that says so."""
        self.prepare = self.silent
        done = self.call(UDP, "--timeout", ".5")
        self.assertEqual((done.exit_code, done.stdout), (5, ""))
        self.assertEqual(done.stderr, "no answer within 500 ms after 1 attempt\n")
        done = self.call(UDP, "--timeout", ".5", "--json")
        self.assertEqual((done.exit_code, done.stderr), (5, ""))
        self.assertEqual(json.loads(done.stdout)["end"], {})

    def test_no_end(self) -> None:
        """If it falls silent in the middle, the report says of what came, and 5."""

        def prepare(net: Network) -> None:
            """A network that is cut after a while."""
            serve(net)
            net.at(2.05, net.partition, "server", "client")

        self.prepare = prepare
        done = self.call(UDP, "--interval", "100", "--count", "100", "--receive-timeout", "3")
        self.assertEqual(done.exit_code, 5)
        self.assertEqual(done.stderr, "nothing more came, and not the end of the stream either\n")
        self.assertRegex(done.stdout, r"(?m)^received +2[01], ")

    def test_only_the_end_was_lost(self) -> None:
        """If each packet came, nothing is missing."""
        meter = OneWay(2)
        measuring = Measuring(Request(UDP, 0.1, 2, 64), None, None, None)
        for number, code in ((0, 5), (1, 0)):
            meter.arrived(number, number / 10, number / 10, 64)
            measured = Measured(meter.report())
            self.assertEqual(measuring._judge(measured)[1], code)

    def test_broken(self) -> None:
        """A connection that breaks in the middle: what came is reported, and 1."""
        self.prepare = self.breaking
        done = self.call(TCP, "--count", "5")
        self.assertEqual(done.exit_code, 1)
        self.assertRegex(done.stdout, r"(?m)^received +2, ")
        self.assertEqual(done.stderr.count("\n"), 1)

    def test_refused(self) -> None:
        """The server says what it allows: 3. So does nobody at all."""
        self.prepare = lambda net: serve(net, ServerSettings(packets=4))
        for endpoint in (TCP, UDP):
            done = self.call(endpoint, "--count", "5")
            said = "the server refuses: count is 5; at most 4\n"
            self.assertEqual((done.exit_code, done.stdout, done.stderr), (3, "", said))
        self.assertEqual(self.call("tcp:server:9").exit_code, 3)


class FileTests(StreamCase):
    """What is written besides."""

    def test_packets(self) -> None:
        """What became of each packet, as the report says in all."""
        self.prepare = self.lossy
        path = folder(self) / "packets"
        words = ("--interval", "20", "--count", "100", "--backoff", "--packets", str(path))
        done = self.call(UDP, "--json", *words)
        packets = [json.loads(line) for line in path.read_text().splitlines()]
        self.assertEqual([one["packet"] for one in packets], list(range(100)))
        lost = sum(one["class"] == "lost" for one in packets)
        self.assertEqual(lost, json.loads(done.stdout)["end"]["sum"]["lost_packets"])
        self.assertGreater(lost, 0)

    def test_plot(self) -> None:
        """A picture, of a stream and of probes."""
        for words, text in (((), "delay above the least"), (("--round-trip",), "round trip")):
            path = folder(self) / "a.svg"
            done = self.call(UDP, "--interval", "20", "--count", "5", *words, "--plot", str(path))
            self.assertEqual(done.exit_code, 0)
            self.assertIn(f"<!-- {text} (", path.read_text())

    def test_nowhere(self) -> None:
        """A picture that can't be written is one line; the report is there."""
        done = self.call(UDP, "--interval", "20", "--count", "5", "--plot", "/none/a.png")
        self.assertEqual(done.exit_code, 2)
        self.assertIn("packets          5", done.stdout)
        self.assertIn("picture is '/none/a.png'; No such file or directory", done.stdout)


class OptionsTests(StreamCase):
    """What can be said, and what can't."""

    def test_server(self) -> None:
        """Without an endpoint it is the first of the list."""
        path = folder(self) / "hosts"
        path.write_text(f"{TCP}\nudp:none:1\n")
        done = self.call("--hosts", str(path), "--interval", "0", "--json")
        self.assertEqual(done.exit_code, 0)
        self.assertEqual(json.loads(done.stdout)["start"]["connecting_to"], TCP)

    def test_mistakes(self) -> None:
        """Each is one line with what is allowed, and 2."""
        for words, said in (
            (("20",), "lab stream: '20' is no endpoint; give one like udp:localhost:50001"),
            ((TCP, "20"), "lab stream: '20' is no endpoint; give one like udp:localhost:50001"),
            ((TCP, "--interval", "x"), "lab stream: interval is 'x'; give seconds"),
            ((TCP, "--interval", "1.5"), "lab stream: interval is '1.5'; give whole milliseconds"),
            ((TCP, "--plot", "a.gif"), "lab stream: plot is 'a.gif'; give a name that ends in"),
            ((TCP, "--count", "0"), "lab stream: count is '0'; give a whole number from 1 to"),
            (("--hosts", "/none"), "lab stream: hosts is '/none'; No such file or directory"),
        ):
            done = self.call(*words)
            self.assertEqual(done.exit_code, 2, words)
            self.assertTrue(done.stderr.startswith(said), done.stderr)
        done = self.call(TCP, "--size", "63")
        self.assertEqual((done.exit_code, done.stderr), (2, "size is 63; give 64 to 65,507\n"))

    def test_milliseconds(self) -> None:
        """Plain numbers are milliseconds; with a unit they are what they say."""
        for text, seconds in (("0", 0), ("20", 0.02), ("20ms", 0.02), ("2s", 2), (".5s", 0.5)):
            self.assertEqual(milliseconds(text, "interval"), seconds)
        for text in ("1.5", "1.5ms", "100us", ".5", "", "-1", "20 0"):
            self.assertRaises(LocalError, milliseconds, text, "interval")
