"""What every echo client can do, over both transports."""

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.defer import fail as failed
from twisted.trial.unittest import SynchronousTestCase

from lab.backoff import Backoff
from lab.echo.asking import MOST, ROOM
from lab.echo.outcomes import Cut, Measured, Received, Rejected, Stalled
from lab.echo.pattern import characters
from lab.echo.report import ProbeReport, Report
from lab.echo.settings import ServerSettings
from lab.echo.wire import LIMIT, Limits
from lab.errors import ConnectionRefused, LocalError, NoAnswer, Unreachable
from lab.faults.datagrams import Duplicate, Latency, Loss, Reorder
from lab.faults.fault import Fault
from lab.faults.streams import Cut as CutFault
from lab.faults.streams import Slicer
from lab.simulator import exhaust, explore
from lab.simulator.network import Network
from tests.echo.scenes import Scene, scene, set_up


class File:
    """Takes the characters of a file, and checks that each comes once."""

    def __init__(self) -> None:
        self.parts: dict[int, bytes] = {}

    def write(self, offset: int, data: bytes) -> None:
        """Keep it."""
        if offset in self.parts:
            raise AssertionError(f"{offset} again")
        self.parts[offset] = data

    @property
    def text(self) -> bytes:
        """All of it, without what is missing."""
        return b"".join(data for _, data in sorted(self.parts.items()))


class _Both:
    """What goes over either transport."""

    transport = ""

    def scene(self, limits: ServerSettings | None = None, **words: Any) -> Any:
        """A network with a server and a client."""
        return scene(self.transport, limits, **words)

    def test_echo(self: Any) -> None:
        """Texts come back, whatever they look like, any number in flight, in their order."""
        texts = [b"hello", b"", b"stream 10", b"42", b"#id x", b"quit", b"\xff" * 9000, b"401 x"]
        with self.scene() as s:
            asked = [s.client.echo(text) for text in texts * 20]
            self.assertEqual([s.wait(one) for one in asked], texts * 20)
            self.assertEqual(s.left(), [])
            self.assertEqual((s.client.traffic.sent, s.client.traffic.late), (160, 0))

    def test_limits(self: Any) -> None:
        """Limits are told."""
        with self.scene(ServerSettings(file=99)) as s:
            limits = s.wait(s.client.limits())
            self.assertIsInstance(limits, Limits)
            self.assertEqual((limits.file, limits.id), (99, b""))

    def test_stream(self: Any) -> None:
        """A stream is measured, with rows while it lasts, and each packet if they are kept."""
        with self.scene() as s:
            rows: list[Any] = []
            asked = s.client.stream(
                0.01, 250, 100, watch=lambda row: rows.append((s.net.now, row)), keep=True
            )
            measured = s.wait(asked)
            report = measured.report
            self.assertIsInstance(report, Report)
            found = (report.received, report.lost, report.duplicates, report.size)
            self.assertEqual(found, (250, 0, 0, 25_000))
            self.assertAlmostEqual(report.seconds, 2.49)
            self.assertEqual((measured.ended, len(measured.packets)), (True, 250))
            seen = [(row.start, row.received, row.size) for _, row in rows]
            self.assertEqual(seen, [(r.start, r.received, r.size) for r in report.intervals])
            (first, _), (second, _), _ = rows
            self.assertAlmostEqual(second - first, 1.0)
            self.assertEqual(s.server.budget.running, 0)
            self.assertEqual(s.left(), [])

    def test_stopped(self: Any) -> None:
        """Who cancels a stream has the report so far, and the server stops."""
        with self.scene() as s:
            asked = s.client.stream(0.01, 1000, 100)
            s.net.run(1.5)
            self.assertEqual(s.server.budget.running, 1)
            asked.cancel()
            measured = self.successResultOf(asked)
            self.assertGreater(measured.report.received, 140)
            self.assertEqual((measured.report.lost, measured.ended), (0, False))
            s.net.run(0.1)
            self.assertEqual(s.server.budget.running, 0)
            s.net.run(5)
            self.assertEqual(s.left(), [])

    def test_stopped_early(self: Any) -> None:
        """Before anything came there is nothing to be told."""
        with self.scene() as s:
            asked = s.client.stream(0.01, 1000, 100)
            asked.cancel()
            self.failureResultOf(asked, CancelledError)
            s.net.run(1)
            self.assertEqual((s.left(), s.server.budget.running), ([], 0))

    def test_probe(self: Any) -> None:
        """Probes are answered, and counted at both ends."""
        with self.scene() as s:
            rows: list[Any] = []
            measured = s.wait(s.client.probe(0.01, 150, 100, watch=rows.append))
            report = measured.report
            self.assertIsInstance(report, ProbeReport)
            self.assertEqual((report.sent, report.answered, report.lost), (150, 150, 0))
            self.assertEqual((report.down.size, measured.ended), (15_000, True))
            self.assertEqual(tuple(rows), report.intervals)
            self.assertEqual(s.left(), [])

    def test_file(self: Any) -> None:
        """A file comes whole, or a part of it, and each character once."""
        with self.scene() as s:
            told: list[tuple[int, int]] = []
            for part in ({}, {"offset": 777}, {"offset": 777, "length": 5000, "seed": 3}):
                file = File()
                asked = s.client.file(
                    100_000, file.write, **part, progress=lambda *of: told.append(of)
                )
                received = s.wait(asked)
                offset = part.get("offset", 0)
                length = part.get("length", 100_000 - offset)
                self.assertEqual(file.text, characters(part.get("seed", 0), offset, length))
                self.assertEqual((received.whole, received.confirmed), (True, True))
                self.assertEqual((told[-1], sorted(told)), ((length, length), told))
                told.clear()
            self.assertEqual(s.left(), [])

    def test_slow_writer(self: Any) -> None:
        """One that takes its time is not called again before, and gets all if it is reliable."""
        with self.scene(ServerSettings(pace=10**6)) as s:
            file, busy = File(), [0]

            def write(offset: int, data: bytes) -> Deferred[None]:
                """It takes 20 ms."""
                file.write(offset, data)
                busy[0] += 1
                self.assertEqual(busy[0], 1)
                done: Deferred[None] = Deferred()
                s.net.at(s.net.now + 0.02, written, done)
                return done

            def written(done: Deferred[None]) -> None:
                """It has."""
                busy[0] -= 1
                done.callback(None)

            received = s.wait(s.client.file(300_000, write, reliable=True))
            self.assertEqual((received.whole, busy[0]), (True, 0))
            self.assertEqual(file.text, characters(0, 0, 300_000))
            self.assertGreater(received.seconds, 0.02 * (len(file.parts) - 1) - 5)
            self.assertEqual(s.left(), [])

    def test_memory(self: Any) -> None:
        """Who writes nothing holds the server up, or loses what comes beyond a bound."""
        with self.scene(ServerSettings(pace=10**8)) as s:
            never: Deferred[None] = Deferred()
            asked = s.client.file(20_000_000, lambda offset, data: never)
            s.net.run(5)
            route: Any
            (route,) = s.client._routes
            waiting = route.way.may_end.__self__._waiting
            self.assertLess(waiting, ROOM + 70_000)
            asked.cancel()
            self.failureResultOf(asked, CancelledError)
            never.callback(None)
            self.assertEqual(s.left(), [])
            s.net.run(1)
            self.assertEqual(s.server.budget.running, 0)

    def test_writer_fails(self: Any) -> None:
        """What a writer raises, at once or later, fails the file; so does what progress raises."""

        class Full(Exception):
            """No space is left."""

        def full(*_: Any) -> None:
            """No."""
            raise Full

        later: Deferred[None] = Deferred()
        with self.scene() as s:
            for write, progress in (
                (full, bool),
                (lambda *_: failed(Full()), bool),
                (lambda *_: later, bool),
                (lambda *_: succeed(None), full),
            ):
                asked = s.client.file(100_000, write, progress=lambda *of, to=progress: to(of))
                s.net.run(0.1)
                if not asked.called:
                    later.errback(Full())
                self.failureResultOf(asked, Full)
                s.net.run(1)
                self.assertEqual(s.server.budget.running, 0)
            self.assertEqual(s.left(), [])

    def test_watcher_fails(self: Any) -> None:
        """What a watcher raises fails the stream, and the server stops."""
        with self.scene() as s:
            asked = s.client.stream(0.01, 1000, 100, watch=lambda row: 1 // 0)
            s.net.run(1.5)
            self.failureResultOf(asked, ZeroDivisionError)
            self.assertEqual((s.server.budget.running, s.left()), (0, []))

    def test_refused(self: Any) -> None:
        """What the server does not allow is refused with its words."""
        limits = ServerSettings(packets=5, file=10)
        with self.scene(limits) as s:
            for asked in (s.client.stream(0.1, 6, 100), s.client.file(11, File().write)):
                error = self.assertRaises(Rejected, s.wait, asked)
                self.assertRegex(str(error), "^the server refuses: .*; at most [0-9]+$")
            self.assertEqual(s.left(), [])

    def test_wrong_arguments(self: Any) -> None:
        """What can't be is refused at once, and nothing is sent."""
        with self.scene() as s:
            client, write = s.client, File().write
            wrong = (
                lambda: client.echo(bytes(LIMIT)),
                lambda: client.stream(-1, 10, 64),
                lambda: client.stream(0.0005, 10, 64),
                lambda: client.stream(1, 0, 64),
                lambda: client.stream(1, 10, 63),
                lambda: client.stream(1, 10, 64, timeout=1),
                lambda: client.stream(1, 10, 64, interval_of_rows=0.01),
                lambda: client.probe(1, 10, LIMIT + 1),
                lambda: client.file(-1, write),
                lambda: client.file(MOST + 1, write),
                lambda: client.file(10, write, offset=11),
                lambda: client.file(10, write, offset=5, length=6),
                lambda: client.file(10, write, seed=-1),
            )
            for ask in wrong:
                self.assertIn("; give ", str(self.assertRaises(LocalError, ask)))
            self.assertEqual((client.traffic.sent, s.left()), (0, []))

    def test_nobody_there(self: Any) -> None:
        """Where nobody listens, everything is refused."""
        with self.scene() as s:
            s.wait(s.port.stopListening())
            for ask in (
                lambda: s.client.echo(b"hello"),
                lambda: s.client.stream(0.1, 10, 64),
                lambda: s.client.probe(0.1, 10, 64),
                lambda: s.client.file(10, File().write),
            ):
                error = self.assertRaises(ConnectionRefused, s.wait, ask())
                # What was under way is told with the probes.
                self.assertFalse(hasattr(error, "so_far"))
            self.assertEqual(s.left(), [])

    def test_silent_host(self: Any) -> None:
        """Where nothing comes from there is no answer."""
        with self.scene(retry=Backoff(0.1, cap=2.0)) as s:
            s.net.partition("client", "server")
            for ask in (
                lambda: s.client.echo(b"hello"),
                lambda: s.client.stream(0.1, 10, 64),
                lambda: s.client.probe(0.1, 10, 64),
                lambda: s.client.file(10, File().write),
            ):
                before = s.net.now
                self.assertRaises(NoAnswer, s.wait, ask())
                self.assertLess(s.net.now - before, 10.0)
            self.assertEqual(s.left(), [])

    def test_crash(self: Any) -> None:
        """A server that goes away in the middle is found out, and there is what had come."""
        with self.scene() as s:
            stream = s.client.stream(0.01, 1000, 64)
            probe = s.client.probe(0.01, 1000, 64)
            file = s.client.file(100_000_000, lambda *_: None)
            s.net.run(0.5)
            s.net.host("server").crash()
            for asked in (stream, probe, file):
                try:
                    value = s.wait(asked)
                except (Cut, Stalled) as error:
                    value = error.so_far
                self.assertIsInstance(value, Measured | Received)
                self.assertFalse(getattr(value, "ended", False) or getattr(value, "whole", False))
            self.assertEqual(s.left(), [])

    def test_close(self: Any) -> None:
        """Closing fails what is in flight, tells servers to stop, and leaves nothing."""
        with self.scene() as s:
            asked = [
                s.client.stream(0.01, 1000, 64),
                s.client.file(100_000_000, lambda *_: None),
                s.client.probe(0.01, 1000, 64),
                s.client.echo(b"hello"),
            ]
            s.net.run(0.2)
            asked.append(s.client.echo(b"hello"))
            left = s.left()
            for one in (asked[0], asked[1], asked[2], asked[4]):
                error = self.failureResultOf(one, Unreachable).value
                self.assertEqual(str(error), "the client was closed")
            self.assertEqual((self.successResultOf(asked[3]), left), (b"hello", []))
            s.net.run(0.1)
            self.assertEqual(s.server.budget.running, 0)
            self.assertRaises(LocalError, s.client.echo, b"hello")
            self.assertRaises(LocalError, s.client.file, 10, File().write)
            error = self.assertRaises(LocalError, s.client.stream, 1, 1, 64)
            self.assertEqual(str(error), "the client is closed; make a new one")
            self.assertIsNone(s.wait(s.client.close()))

    def test_closed_by_who_is_told(self: Any) -> None:
        """Whoever is told that it failed may close the client."""
        with self.scene() as s:
            s.wait(s.port.stopListening())
            closing: list[Any] = []
            asked = s.client.echo(b"hello")
            asked.addErrback(lambda _: closing.append(s.client.close()))
            s.wait(asked)
            self.assertIsNone(s.wait(closing[0]))
            self.assertEqual(s.left(), [])

    def test_cancelled(self: Any) -> None:
        """A text that nobody waits for any more is forgotten."""
        with self.scene() as s:
            asked = s.client.echo(b"hello")
            asked.cancel()
            self.failureResultOf(asked, CancelledError)
            self.assertEqual(s.wait(s.client.echo(b"more")), b"more")
            self.assertEqual(s.left(), [])


class StreamTests(_Both, SynchronousTestCase):
    """Over TCP."""

    transport = "tcp"

    def test_again(self) -> None:
        """When the connection broke, what is asked next has another; and none is made before."""
        with self.scene() as s:
            self.assertFalse(s.client._asking.way.heard)
            s.wait(s.client.echo(b"hello"))
            self.assertTrue(s.client._asking.way.heard)
            net: Network = s.net
            connections = list(net.host("client").ends)
            for end in connections:
                end.abortConnection()
            net.run(1)
            self.assertEqual(list(net.host("client").ends), [])
            self.assertEqual(s.wait(s.client.echo(b"again")), b"again")

    def test_every_cut(self) -> None:
        """Wherever a connection is cut, on either way, it is no success that is not whole."""
        for run in (cut_file, cut_stream):
            self.assertGreater(exhaust(run), 150)

    def test_bad_network(self) -> None:
        """On bad networks all is right in the end."""
        self.assertEqual(explore(bad_network_tcp, range(20)), 20)


class DatagramTests(_Both, SynchronousTestCase):
    """Over UDP."""

    transport = "udp"

    def test_bad_network(self) -> None:
        """On bad networks texts come back, files get whole, and reports are true."""
        self.assertEqual(explore(bad_network_udp, range(40)), 40)

    def test_close_behind_a_stop(self) -> None:
        """A server that was just told to stop is told so three times before all is closed."""
        with self.scene() as s:
            heard: list[bytes] = []
            receive = s.server.datagramReceived

            def noting(datagram: bytes, address: Any) -> None:
                """Note it."""
                heard.append(datagram)
                receive(datagram, address)

            s.server.datagramReceived = noting
            asked = s.client.stream(0.01, 1000, 100)
            s.net.run(0.5)
            asked.cancel()
            self.successResultOf(asked)
            self.assertEqual(s.left(), [])
            s.net.run(1)
            self.assertEqual(sum(one.endswith(b" quit") for one in heard), 3)

    def test_unreliable(self) -> None:
        """What is missing of a file is said."""
        with self.scene() as s:
            s.net.link("server", "client", Fault(Loss(0.3), "loss"))
            file = File()
            received = s.wait(s.client.file(100_000, file.write))
            self.assertFalse(received.whole)
            self.assertEqual(received.received, len(file.text))
            for start, stop in received.missing:
                self.assertFalse(any(start <= offset < stop for offset in file.parts))


def link(net: Network, *faults: Any) -> None:
    """These are wrong with both ways."""
    for way in (("client", "server"), ("server", "client")):
        net.link(*way, *(Fault(one, f"{number}") for number, one in enumerate(faults)))


def outcome(s: Scene, asked: Deferred[Any]) -> Any:
    """What comes of it, be it an error of those that it may be."""
    try:
        return s.wait(asked)
    except (Unreachable, NoAnswer) as error:
        return error


def cut_file(net: Network) -> None:
    """A short file on a connection with a cut that is to be placed."""
    link(net, CutFault())
    s, file = set_up(net, "tcp", silence=2.0), File()
    value = outcome(s, s.client.file(60, file.write))
    whole = isinstance(value, Received) and value.whole and value.confirmed
    if whole != (not isinstance(value, Exception)):
        raise AssertionError(value)
    if not characters(0, 0, 60).startswith(file.text) or (whole and len(file.text) < 60):
        raise AssertionError(file.text)
    if isinstance(value, Cut | Stalled) and value.so_far.next != len(file.text):  # type: ignore[union-attr]
        raise AssertionError(value.so_far)
    if s.left():
        raise AssertionError(s.left())


def cut_stream(net: Network) -> None:
    """A short stream on a connection with a cut that is to be placed."""
    link(net, CutFault())
    s = set_up(net, "tcp", silence=2.0)
    value = outcome(s, s.client.stream(0.01, 2, 64))
    so_far = getattr(value, "so_far", value)
    if isinstance(value, Measured) and not (value.ended and value.report.received == 2):
        raise AssertionError(value)
    if isinstance(so_far, Measured) and so_far.report.received > 2:
        raise AssertionError(so_far)
    if s.left():
        raise AssertionError(s.left())


def bad_network_tcp(net: Network) -> None:
    """A network that loses, delays, and cuts in pieces; and is away for a while."""
    link(net, Latency(0.05, 0.04), Loss(0.05), Slicer(100, 50))
    if net.seed % 2:
        net.at(0.3, net.partition, "server", "client")
        net.at(2.0, net.heal, "server", "client")
    s, file = set_up(net, "tcp", retry=Backoff.fixed(20.0), silence=60.0), File()
    asked = s.client.file(50_000, file.write)
    stream, probe = s.client.stream(0.01, 50, 200), s.client.probe(0.01, 50, 200)
    if s.wait(s.client.echo(b"hello")) != b"hello" or not s.wait(asked).confirmed:
        raise AssertionError("what came is wrong")
    if file.text != characters(0, 0, 50_000):
        raise AssertionError("a file is wrong")
    if (s.wait(stream).report.received, s.wait(probe).report.answered) != (50, 50):
        raise AssertionError("a report is wrong")
    if s.left():
        raise AssertionError(s.left())


def bad_network_udp(net: Network) -> None:
    """Datagrams are lost, come twice, and in another order; and for a while none at all."""
    link(net, Latency(0.02, 0.01), Loss(0.2), Duplicate(0.1), Reorder(0.1))
    if net.seed % 2:
        net.at(0.3, net.partition, "server", "client")
        net.at(0.8, net.heal, "server", "client")
    s, file = set_up(net, "udp", retry=Backoff(0.2, cap=60.0)), File()
    asked = s.client.file(100_000, file.write, reliable=True)
    stream, probe = s.client.stream(0.01, 100, 200), s.client.probe(0.01, 100, 200)
    echoes = [s.client.echo(b"%d" % number) for number in range(20)]
    if [s.wait(one) for one in echoes] != [b"%d" % number for number in range(20)]:
        raise AssertionError("a text is wrong")
    if not s.wait(asked).whole or file.text != characters(0, 0, 100_000):
        raise AssertionError("a file is wrong")
    report, probes = s.wait(stream).report, s.wait(probe).report
    if report.packets != 100 or report.lost != 100 - report.received or report.received < 30:
        raise AssertionError(report)
    if probes.sent != 100 or probes.lost_up + probes.lost_down + probes.lost_unknown != probes.lost:
        raise AssertionError(probes)
    if s.server.counters.streams != 1:
        raise AssertionError(s.server.counters)
    if s.left():
        raise AssertionError(s.left())
