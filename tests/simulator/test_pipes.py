"""One direction of one connection."""

from functools import partial
from typing import Any

from twisted.internet.defer import gatherResults
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from lab.capture.packets import ACK, FIN, PSH, RST, SYN
from lab.capture.recorder import Capture
from lab.faults.datagrams import Bandwidth, Blackhole, Duplicate, Latency, Loss
from lab.faults.fault import Fault
from lab.faults.journal import Dice, Journal
from lab.faults.streams import Cut, LimitData, ResetPeer, SlowClose
from lab.simulator.kernel import Kernel
from lab.simulator.network import Network
from lab.simulator.paths import LATENCY, Path
from lab.simulator.pipes import Pipe
from lab.simulator.tapping import StreamTap, Tap
from tests.capture.blocks import packets
from tests.capture.test_flows import fields
from tests.simulator.test_parity import Connecting, Numbers, Side


class End:
    """An end of a connection that notes what happens to it."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.seen: list[tuple[float, Any]] = []
        self.out: Any = None

    def note(self, what: Any) -> None:
        """It happened."""
        self.seen.append((round(self.kernel.now, 9), what))

    def arrive(self, data: bytes) -> None:
        """Bytes."""
        self.note(data)

    def end(self) -> None:
        """The end."""
        self.note("end")

    def reset(self) -> None:
        """A reset."""
        self.note("reset")

    def taken(self, size: int) -> None:
        """So many bytes need not be waited for."""
        self.note(size)


class PipeTests(SynchronousTestCase):
    """What comes out, and when."""

    def make(self, *faults: Any) -> Pipe:
        """A pipe on a way with these faults."""
        self.kernel, self.journal = Kernel(), Journal()
        self.path = Path("a>b", self.kernel, Dice(7), self.journal)
        self.path.set([Fault(one, f"f{n}") for n, one in enumerate(faults)])
        self.here, self.there = End(self.kernel), End(self.kernel)
        return Pipe(self.path, self.here)

    def test_nothing_wrong(self) -> None:
        """Bytes, their end, and what TCP says come after the usual time, in order."""
        pipe = self.make()
        pipe.send(0, self.there.note, "hello")
        pipe.feed(b"abc", self.there)
        pipe.end(self.there)
        self.kernel.run(1)
        self.assertEqual(self.there.seen, [(LATENCY, w) for w in ("hello", b"abc", "end")])

    def test_faults(self) -> None:
        """A rate cuts bytes in pieces, each at its time; the end comes behind them."""
        pipe = self.make(Latency(0.5), Bandwidth(1000.0))
        pipe.feed(b"x" * 150, self.there)
        pipe.end(self.there)
        self.kernel.run(9)
        expected = [(0.6, b"x" * 100), (0.65, b"x" * 50), (0.65, "end")]
        self.assertEqual(self.there.seen, expected)
        self.assertEqual(self.here.seen, [])

    def test_no_faults_of_streams(self) -> None:
        """A fault that only datagrams have does nothing to a stream."""
        self.make(Duplicate(1.0)).feed(b"abc", self.there)
        self.kernel.run(1)
        self.assertEqual(self.there.seen, [(LATENCY, b"abc")])

    def test_nothing_overtakes(self) -> None:
        """What TCP says never comes before bytes that were sent ahead of it, nor after others."""
        pipe = self.make(Latency(1.0), Bandwidth(1000.0))
        pipe.feed(b"x" * 50, self.there)
        self.kernel.run(1.05)
        pipe.send(0, self.there.note, "word")
        self.path.set([])
        pipe.feed(b"y", self.there)
        self.kernel.run(9)
        self.assertEqual([what for _, what in self.there.seen], [b"x" * 50, "word", b"y"])
        self.assertEqual(self.there.seen[1][0], self.there.seen[2][0])

    def test_end_alone(self) -> None:
        """An end with nothing before it takes as long as bytes would."""
        pipe = self.make(Latency(0.5))
        pipe.end(self.there)
        self.kernel.run(9)
        self.assertEqual(self.there.seen, [(0.5, "end")])

    def test_acknowledgements(self) -> None:
        """They hold up no bytes that are under way, and wait for none."""
        pipe = self.make(Latency(1.0), Bandwidth(100.0))
        pipe.feed(b"x" * 50, self.there)
        self.kernel.run(0.9)
        pipe.confirm(7, self.there.note)
        self.kernel.run(9)
        expected = [(1.1, b"x" * 10), (1.2, b"x" * 10), (1.3, b"x" * 10)]
        self.assertEqual(self.there.seen[:3], expected)
        self.assertIn((1.9, 7), self.there.seen)

    def test_lost_bytes(self) -> None:
        """Bytes that a fault takes are not waited for by the sender."""
        pipe = self.make(Blackhole())
        pipe.feed(b"abc", self.there)
        self.kernel.run(9)
        self.assertEqual((self.there.seen, self.here.seen), ([], [(0.0, 3)]))

    def test_close_and_reset(self) -> None:
        """A fault that closes or resets does so in both directions."""
        pipe = self.make(LimitData(2))
        pipe.feed(b"abc", self.there)
        self.kernel.run(9)
        self.assertEqual(self.there.seen, [(LATENCY, b"ab"), (LATENCY, "end")])
        self.assertIn((LATENCY, "end"), self.here.seen)
        pipe = self.make(ResetPeer(0.5))
        pipe.feed(b"abc", self.there)
        self.kernel.run(9)
        self.assertEqual(self.there.seen[-1], (0.5 + LATENCY, "reset"))
        self.assertIn((0.5 + LATENCY, "reset"), self.here.seen)

    def test_cut_at_a_byte(self) -> None:
        """A cut connection is reset at both ends, behind the bytes that passed."""
        pipe = self.make(Cut(0.2))
        for _ in range(50):
            pipe.feed(b"abc", self.there)
        self.kernel.run(9)
        (entry,) = self.journal.entries
        *_, seen, reset = self.there.seen
        assert entry.verdict.cut
        self.assertEqual(seen, (LATENCY, b"abc"[: entry.verdict.cut]))
        self.assertEqual(reset, (LATENCY, "reset"))
        self.assertEqual(self.here.seen[-1], reset)

    def test_cut(self) -> None:
        """While the way is cut all waits; mended, it goes on in order."""
        for faults in ([], [SlowClose(0.5)]):
            pipe = self.make(*faults)
            self.path.cut = True
            pipe.feed(b"abc", self.there)
            pipe.send(0, self.there.note, "word")
            pipe.end(self.there)
            self.kernel.run(5)
            self.assertEqual(self.there.seen, [])
            self.path.heal()
            self.kernel.run(9)
            self.assertEqual([what for _, what in self.there.seen], [b"abc", "word", "end"])

    def test_faults_change(self) -> None:
        """Faults may come and go while bytes are under way; a pipe that is closed follows none."""
        pipe = self.make()
        self.path.set([Fault(Bandwidth(10.0), "rate")])
        pipe.feed(b"abcdefghij", self.there)
        self.kernel.run(0.35)
        self.path.set([])
        self.kernel.run(9)
        self.assertEqual(b"".join(what for _, what in self.there.seen), b"abcdefghij")
        self.assertLess(self.there.seen[-1][0], 0.4)
        pipe.close()
        pipe.close()
        self.path.set([Fault(Blackhole(), "hole")])
        pipe.feed(b"k", self.there)
        self.kernel.run(10)
        self.assertEqual(self.there.seen[-1][1], b"k")

    def test_journal(self) -> None:
        """Decisions name the way and the number of the connection on it."""
        pipe = self.make(Loss(1.0))
        other = Pipe(self.path, self.here)
        for one in (pipe, other):
            one.feed(b"abc", self.there)
        places = {(e.place.link, e.place.connection) for e in self.journal.entries}
        self.assertEqual(places, {("a>b", 0), ("a>b", 1)})


def _the(side: Side) -> Side:
    """This one, whatever is asked for."""
    return side


class ConnectionTests(SynchronousTestCase):
    """Whole connections on bad ways."""

    def transfer(self, *faults: Any, size: int = 300_000, until: float = 600.0) -> Side:
        """Send so much from one host to another; the client has noted it."""
        self.net = Network(7)
        here, there = self.net.host("here"), self.net.host("there")
        self.net.link("there", "here", *(Fault(f, f"f{n}") for n, f in enumerate(faults)))
        pieces = size // 1000
        script = {"made": lambda side: Numbers(side, pieces, 1000, streaming=False)}
        factory = Factory()
        factory.buildProtocol = lambda addr: Side(script)  # type: ignore[method-assign]
        there.reactor.listenTCP(80, factory)
        side = Side({})
        here.reactor.connectTCP("there", 80, Connecting(side))
        self.net.run_until(side.over, limit=until)
        return side

    def test_loss_is_delay(self) -> None:
        """With 5 % loss no byte is missing, but it takes much longer."""
        times = []
        for faults in ((Latency(0.01),), (Latency(0.01), Loss(0.05))):
            side = self.transfer(*faults)
            self.assertEqual(len(side.seen[1]), 300_000)
            self.assertEqual(side.seen[2], "ConnectionDone")
            times.append(self.net.now)
        self.assertGreater(times[1], 5 * times[0])

    def test_rate(self) -> None:
        """A rate is kept, to 1 %."""
        side = self.transfer(Bandwidth(50_000.0))
        self.assertEqual(len(side.seen[1]), 300_000)
        self.assertApproximates(self.net.now, 6.0, 0.06)

    def test_rate_of_all(self) -> None:
        """Connections that have a rate together have half each; else each has one."""
        for scope, seconds in (("proxy", 6.0), ("client", 6.0), ("connection", 3.0)):
            net = Network(7)
            net.link("a", "b", Fault(Bandwidth(100_000.0, scope=scope), "rate"))
            servers = [Side({}) for _ in range(2)]
            for number, server in enumerate(servers):
                factory = Factory.forProtocol(partial(_the, server))
                net.host("b").reactor.listenTCP(80 + number, factory)
                script = {"made": lambda side: Numbers(side, 300, 1000, streaming=False)}
                net.host("a").reactor.connectTCP("b", 80 + number, Connecting(Side(script)))
            net.run(seconds / 2)
            half = [len(side.seen[1]) for side in servers]
            self.assertApproximates(half[0], half[1], 0.02 * half[1])
            self.assertApproximates(sum(half), 300_000, 6000)
            net.run_until(gatherResults([side.over for side in servers]))
            self.assertApproximates(net.now, seconds, 0.02 * seconds)

    def test_same_seed(self) -> None:
        """One seed gives the same again."""
        digests = set()
        for _ in range(2):
            self.transfer(Latency(0.01, 0.005), Loss(0.05))
            digests.add((self.net.digest(), self.net.now))
        self.assertEqual(len(digests), 1)

    def test_closed_by_a_fault(self) -> None:
        """A limit of bytes closes the connection; what was under way is all that arrives."""
        side = self.transfer(LimitData(1000))
        self.assertEqual(len(side.seen[1]), 1000)
        self.assertEqual(side.seen[2], "ConnectionDone")


class TappedTests(SynchronousTestCase):
    """What a capture sees of two pipes, one for each direction."""

    def make(self, *faults: Any, back: bool = True) -> None:
        """Two ends with a pipe each; the faults are on the first one's way."""
        self.kernel, self.file = Kernel(), bytearray()
        capture = Capture(self.file.extend, "")
        self.ends = End(self.kernel), End(self.kernel)
        addresses = ("10.0.0.2", 1), ("10.0.0.3", 2)
        for here, there, names in ((0, 1, "ab"), (1, 0, "ba")):
            path = Path(">".join(names), self.kernel, Dice(7), Journal())
            path.set([Fault(one, f"f{n}") for n, one in enumerate(faults) if names == "ab"])
            tap = Tap(capture, self.kernel, *names)
            seen = StreamTap(tap, addresses[here], addresses[there]) if back or not here else None
            self.ends[here].out = Pipe(path, self.ends[here], seen)
        self.paths = self.ends[0].out._path, self.ends[1].out._path

    def seen(self) -> list[tuple[int, int, int, int, bytes, str]]:
        """Interface, numbers, flags, data and comment of all packets."""
        return [(one.side, *fields(one.data), one.comment) for one in packets(bytes(self.file))]

    def test_a_life(self) -> None:
        """What is said, bytes, the end; TCP acknowledges an end by itself."""
        self.make()
        a, b = self.ends
        a.out.send(SYN, a.note, "syn")
        a.out.acknowledge(1)
        b.out.acknowledge(1)
        a.out.feed(b"abc", b)
        a.out.end(b)
        self.kernel.run(0.5)
        b.out.confirm(3, b.note)
        self.kernel.run(1)
        expected = [
            (0, 0, 0, SYN, b"", ""),
            (0, 1, 1, ACK | PSH, b"abc", ""),
            (0, 4, 1, ACK | FIN, b"", ""),
            (1, 0, 0, SYN, b"", ""),
            (1, 1, 0, PSH, b"abc", ""),
            (1, 4, 0, FIN, b"", ""),
            (1, 0, 2, ACK, b"", ""),
            (0, 0, 2, ACK, b"", ""),
            (1, 0, 5, ACK, b"", ""),
            (0, 0, 5, ACK, b"", ""),
        ]
        self.assertEqual(self.seen(), expected)

    def test_ended_by_a_fault(self) -> None:
        """Both sides see FIN, or RST, with the fault that has sent it."""
        for fault, flag in ((LimitData(2), FIN), (ResetPeer(0.5), RST)):
            for back in (True, False):
                self.make(fault, back=back)
                self.ends[0].out.feed(b"abc", self.ends[1])
                self.kernel.run(1)
                ends = [row for row in self.seen() if row[3] & flag]
                self.assertEqual([row[0] for row in ends], [1, 0] if back else [1])
                self.assertTrue(all(row[5].startswith("ended by f0") for row in ends))

    def test_cut(self) -> None:
        """What is sent into a cut is seen, and seen again when it is mended."""
        self.make()
        a, b = self.ends
        self.paths[0].cut = True
        a.out.feed(b"abc", b)
        self.paths[0].heal()
        self.kernel.run(1)
        self.assertEqual(
            [(row[0], row[4], row[5]) for row in self.seen()],
            [(0, b"abc", "dropped by partition"), (0, b"abc", ""), (1, b"abc", "")],
        )
