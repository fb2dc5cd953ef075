"""The receiving side of a stream."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.echo.attempts import TIMES
from lab.echo.datagrams import EchoDatagramCore
from lab.echo.measuring import AGAIN, COPIES, LAST, MORE, Plan
from lab.echo.outcomes import Broken, Gone, Measured, Rejected, Stalled
from lab.echo.settings import ServerSettings
from lab.echo.streams import StreamClientCore
from lab.echo.wire import Challenge, StreamEnd, encode, encode_packets
from lab.errors import LocalError, NoAnswer
from lab.testing import Pair, Playbook
from lab.wire.tokens import Tokens
from tests.echo.cores import TOKEN, common, opened, result, rows

ASKED = b"#a-1 stream 100 3 64"


def make(*, datagrams: bool = True, keep: bool = False, **words: Any) -> StreamClientCore:
    """A core that asks for three packets, one every 100 ms."""
    plan = Plan(**{"interval": 0.1, "count": 3, "size": 64, "timeout": 2.0, **words}, keep=keep)
    return StreamClientCore(plan=plan, **common(datagrams=datagrams))


def packet(seq: int, sent: float, size: int = 64, id: bytes = b"a-1") -> bytes:
    """A packet as it leaves, at a time of the server's clock in seconds."""
    return encode_packets(id, range(seq, seq + 1), round(sent * 1e9) + 10**18, size)


def end(count: int = 3) -> bytes:
    """What is behind them."""
    return encode(StreamEnd(count, 1, 2_000_000, 4_000_000, b"a-1"))


def ends(play: Playbook) -> list[tuple[float, Any]]:
    """What was told, when, without rows."""
    seen = [(when, event) for when, kind, event in play._seen if kind == "told"]
    return [(when, event) for when, event in seen if not rows([event])]


class DatagramTests(SynchronousTestCase):
    """Over datagrams."""

    def test_all(self) -> None:
        """It asks, packets come, the end comes; a little later that is told, and no more."""
        play = opened(core := make()).sends(ASKED)
        for seq in range(3):
            play.receives(packet(seq, seq / 10)).wait(0.1)
        play.receives(end()).wait(9.0)
        (when, done), (_, gone) = ends(play)
        self.assertAlmostEqual(when, 0.3 + LAST)
        measured = done.value
        self.assertEqual((measured.ended, measured.packets, gone), (True, (), Gone()))
        report = measured.report
        self.assertEqual((report.received, report.lost, report.size), (3, 0, 192))
        sender = report.sender
        self.assertEqual(
            (sender.count, sender.missed, sender.mean, sender.most), (3, 1, 2e-3, 4e-3)
        )
        self.assertTrue(core.heard)
        self.assertIsNone(core.deadline())
        core.message(packet(2, 0.2), 9.0)
        self.assertEqual(core.traffic.late, 1)

    def test_overtaken_by_the_end(self) -> None:
        """What the end has overtaken counts; each gives those behind it more time."""
        play = opened(make()).sends(ASKED)
        play.receives(packet(0, 0.0)).wait(0.2).receives(end()).wait(0.4)
        play.receives(packet(2, 0.2)).wait(1.1).receives(packet(1, 0.1)).wait(9.0)
        (when, done), _ = ends(play)
        # The slowest took 1.6 s longer than the fastest, and it never waits more than its timeout.
        self.assertAlmostEqual(when, 1.7 + 2.0)
        self.assertEqual((done.value.report.received, done.value.report.reordered), (3, 1))

    def test_a_little_late(self) -> None:
        """What is a little late behind the end gives those behind it little more time."""
        play = opened(make()).sends(ASKED).receives(packet(0, 0.0)).wait(0.2).receives(end())
        play.wait(0.1).receives(packet(2, 0.2)).wait(9.0)
        (when, _), _ = ends(play)
        self.assertAlmostEqual(when, 0.3 + LAST + 2 * 0.1)

    def test_stopped(self) -> None:
        """Who wants no more has lost only what was found missing."""
        core = make(count=100)
        core.open(0.0)
        core.message(packet(0, 0.0), 0.0)
        core.message(packet(2, 0.2), 0.2)
        core.stop(0.2)
        report = result(core.events()).report
        self.assertEqual((report.received, report.lost), (2, 1))

    def test_silence(self) -> None:
        """Without an end, a silence is; every packet resets it; the server is told to stop."""
        play = opened(make(timeout=2.0)).sends(ASKED)
        play.receives(packet(0, 0.0)).wait(1.9).receives(packet(1, 0.1)).wait(1.99)
        self.assertEqual(ends(play), [])
        play.wait(9.0)
        (when, done), (_, gone) = ends(play)
        self.assertAlmostEqual(when, 3.9)
        report = done.value.report
        self.assertEqual((report.received, report.lost, done.value.ended), (2, 1, False))
        quits = [(round(when, 3), what) for when, kind, what in play._seen if kind == "sent"]
        expected = [round(when + later, 3) for later in (0.0, *AGAIN)]
        self.assertEqual(quits, [(at, b"#a-1 quit") for at in expected])
        self.assertEqual(gone, Gone())

    def test_all_lost(self) -> None:
        """If nothing came but the end, all is lost, which is a result."""
        play = opened(make()).sends(ASKED).receives(end(), end()).wait(9.0)
        (when, done), _ = ends(play)
        self.assertAlmostEqual(when, LAST)
        self.assertEqual((done.value.report.received, done.value.report.lost), (0, 3))

    def test_stopped_by_the_server(self) -> None:
        """A server that has sent fewer has lost none of the others."""
        play = opened(make()).sends(ASKED).receives(packet(0, 0.0), end(1)).wait(9.0)
        (_, done), _ = ends(play)
        self.assertEqual((done.value.report.received, done.value.report.lost), (1, 0))

    def test_schedule(self) -> None:
        """Asked at 0, 0.1, 0.3, 0.7 and 1.5 s; given up at 3.1 s."""
        play = opened(make()).wait(3.1)
        for at in (0, 0.1, 0.3, 0.7, 1.5):
            play.sends(ASKED, at)
        play.sends(b"#a-1 quit", 3.1)
        ((when, done),) = ends(play)
        self.assertAlmostEqual(when, 3.1)
        self.assertIsInstance(done.value, NoAnswer)
        self.assertEqual(str(done.value), "no answer within 3.1 s after 5 attempts")

    def test_not_asked_again(self) -> None:
        """As soon as something came it is not asked again."""
        play = opened(make()).sends(ASKED).receives(packet(0, 0.0)).wait(1.9)
        self.assertEqual([kind for _, kind, _ in play._seen], ["told"])  # a row

    def test_proof(self) -> None:
        """A challenge is met; then the next packet may be an interval away, after all attempts."""
        play = opened(make(timeout=10.0)).sends(ASKED, 0.0)
        play.receives(encode(Challenge(TOKEN, b"a-1"))).wait(13.0)
        proved = b"token=" + TOKEN + b" " + ASKED
        for at in (0, 0.1, 0.3, 0.7, 1.5):
            play.sends(proved, at)
        play.silent().wait(0.2).sends(b"#a-1 quit", 3.1 + 10.0)

    def test_refused(self) -> None:
        """A refusal is the end, before the first packet; behind it, it is out of place."""
        core = make()
        opened(core).receives(b"")
        core.message(b"#a-1 413 count is 3; at most 2", 0.0)
        events = core.events()
        self.assertIsInstance(result(events), Rejected)
        self.assertEqual(events[-1], Gone())
        for said in (b"#a-1 413 count is 3; at most 2", b"#a-1 429 1000 too many"):
            core = make()
            opened(core).receives(packet(0, 0.0))
            core.message(said, 0.0)
            self.assertEqual((core.events(), core.traffic.malformed), ([], 1))

    def test_busy(self) -> None:
        """A server that is busy is asked again when it has said, so often."""
        for datagrams in (True, False):
            core, now = make(datagrams=datagrams), 0.0
            core.open(now)
            for number in range(TIMES):
                self.assertEqual(core.outgoing(), [ASKED])
                core.message(b"#a-1 429 2500 later", now)
                if datagrams and number:
                    core.message(b"#a-1 429 9000 later", now)  # the answer to an attempt before
                self.assertEqual((core.events(), core.deadline()), ([], now + 2.5))
                now += 2.5
                core.tick(now)
                self.assertAlmostEqual(core.deadline(), now + (0.1 if datagrams else 2.0))
            core.message(b"#a-1 429 2500 later", now)
            error = result(core.events())
            assert isinstance(error, Rejected)
            self.assertEqual(str(error), "the server refuses: later")

    def test_busy_no_longer(self) -> None:
        """The proof still holds; what comes before it is asked again ends the wait."""
        core = make()
        core.open(0.0)
        core.message(encode(Challenge(TOKEN, b"a-1")), 0.0)
        core.message(b"#a-1 429 1000 later", 0.1)
        core.outgoing()
        core.tick(1.1)
        self.assertEqual(core.outgoing(), [b"token=" + TOKEN + b" " + ASKED])
        core.message(b"#a-1 429 1000 later", 1.2)
        core.message(packet(0, 0.0), 1.3)
        self.assertEqual(core.deadline(), 2.3)  # of a row
        core.tick(2.3)
        self.assertEqual((core.outgoing(), core.deadline()), ([], 3.3))
        core.tick(3.3)
        self.assertEqual(result(core.events()).report.received, 1)

    def test_foreign(self) -> None:
        """What is not of this stream is counted, and changes nothing."""
        play = opened(core := make()).sends(ASKED).receives(packet(0, 0.0))
        before = core.so_far()
        wrong = (
            b"nonsense",
            packet(1, 0.1, id=b"a-2"),
            packet(1, 0.1, id=b"b-1"),
            packet(1, 0.1, size=65),
            end(4),
            b"#a-1 200 counts 1 1",
        )
        play.receives(*wrong).silent()
        self.assertEqual((core.traffic.malformed, core.so_far()), (len(wrong), before))
        play.receives(packet(7, 0.7))
        self.assertEqual(core.so_far().report.foreign, 1)

    def test_next_address(self) -> None:
        """At another address it is asked again; not after the end."""
        play = opened(core := make()).sends(ASKED)
        play.wait(0.05).does(core.open).sends(ASKED).wait(0.05).sends(ASKED, 0.1)
        core.stop(0.1)
        core.outgoing()
        core.open(0.2)
        self.assertEqual(core.outgoing(), [])

    def test_kept(self) -> None:
        """Each packet, if asked for; those that were lost are put where the plan has them."""
        play = opened(make(keep=True)).sends(ASKED)
        play.receives(packet(0, 0.0)).wait(0.1).receives(packet(1, 0.1), packet(1, 0.1), end())
        play.wait(9.0)
        (_, done), _ = ends(play)
        found = [(one.number, round(one.sent, 6), one.copies) for one in done.value.packets]
        self.assertEqual(found, [(0, 0.0, 1), (1, 0.1, 2), (2, 0.2, 0)])

    def test_not_lost_yet(self) -> None:
        """A row while it lasts counts as lost what was found missing, and not what is to come."""
        play = opened(make(count=100)).sends(ASKED.replace(b" 3 ", b" 100 "))
        play.receives(packet(0, 0.0), packet(2, 0.2)).wait(1.0)
        found = rows([event for _, _, event in play._seen])
        self.assertEqual(found, [(0.0, 1.0, 2, 1)])

    def test_endless(self) -> None:
        """Who sends copies for ever comes to an end all the same."""
        core, now = make(), 0.0
        core.open(0.0)
        while not core.over:
            now += 0.01
            core.message(packet(1, 0.1), now)
        self.assertAlmostEqual(now, 0.01 * (3 * COPIES + MORE + 1))
        broken = result(core.events())
        assert isinstance(broken, Broken)
        self.assertEqual(str(broken), "1,049 packets came, and 3 were asked for")
        self.assertEqual(core.outgoing(), [ASKED, b"#a-1 quit"])

    def test_interval(self) -> None:
        """An interval is a whole number of milliseconds: no other can be asked for."""
        make(interval=0.007)
        for interval in (0.0004, 0.0015):
            error = self.assertRaises(LocalError, make, interval=interval)
            text = f"interval is {interval:g} s; give whole milliseconds"
            self.assertEqual(str(error), text)

    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.binary(max_size=9))))
    def test_any(self, said: list[tuple[int, int, bytes]]) -> None:
        """Whatever comes, there is one end, and it is a result, or that nobody answered."""
        core = make()
        play = opened(core)
        for seq, kind, data in said:
            play.receives((packet(seq, 0.0), end(seq), b"#a-1 " + data, data)[kind]).wait(0.3)
        play.wait(20.0)
        (_, done), (_, gone) = ends(play)
        self.assertIsInstance(done.value, Measured | NoAnswer)
        if isinstance(done.value, Measured):
            report: Any = done.value.report
            self.assertLessEqual(report.packets, 3)
        self.assertEqual((gone, core.deadline()), (Gone(), None))


class ConnectionTests(SynchronousTestCase):
    """Over a connection."""

    def test_all(self) -> None:
        """The end is the end, at once; the line ending counts in the size."""
        play = opened(make(datagrams=False)).sends(ASKED)
        for seq in range(3):
            play.receives(packet(seq, seq / 10, size=63)).wait(0.1)
        play.receives(end())
        (when, done), (_, gone) = ends(play)
        self.assertAlmostEqual(when, 0.3)
        self.assertEqual((done.value.report.size, done.value.ended, gone), (192, True, Gone()))

    def test_silence(self) -> None:
        """A silence is a failure, before anything came and behind."""
        play = opened(make(datagrams=False, timeout=2.0)).sends(ASKED).wait(2.0)
        play.sends(b"#a-1 quit", 2.0)
        (_, done), _ = ends(play)
        self.assertEqual(str(done.value), "no answer within 2 s after 1 attempt")
        self.assertIs(type(done.value), NoAnswer)
        play = opened(make(datagrams=False, timeout=2.0)).sends(ASKED)
        play.receives(packet(0, 0.0, size=63)).wait(2.0)
        (when, done), _ = ends(play)
        self.assertAlmostEqual(when, 2.0)
        self.assertIsInstance(done.value, Stalled)
        self.assertEqual(done.value.so_far.report.received, 1)

    def test_nonsense(self) -> None:
        """What is not in the protocol, or not in its place, breaks it."""
        wrong = (
            b"nonsense",
            packet(0, 0.0, size=64),
            packet(0, 0.0, size=63, id=b"a-2"),
            end(4),
            end(3),
            b"#a-1 200 counts 1 1",
            packet(1, 0.1, size=63),
            b"9" * 70_000,
        )
        for said in wrong:
            core = make(datagrams=False)
            core.open(0.0)
            core.message(said, 0.0)
            events = core.events()
            self.assertIsInstance(result(events), Broken)
            self.assertEqual(events[-1], Gone())


class PairTests(SynchronousTestCase):
    """Against the server's core."""

    def test_datagrams(self) -> None:
        """With its proof of address: all packets, on time."""
        core = make(count=50, interval=0.01)
        server = EchoDatagramCore(ServerSettings(), 0.0, Tokens(b"k" * 16), "peer")
        pair = Pair(core, server, lambda _: [0.02], lambda _: [0.03])
        core.open(0.0)
        pair.run(20.0)
        measured = result([event for _, event in pair.told[0]])
        self.assertEqual((measured.report.received, measured.report.lost), (50, 0))
        self.assertAlmostEqual(measured.report.seconds, 0.49)
        self.assertEqual((measured.ended, server.counters.streams), (True, 1))

    def test_busy(self) -> None:
        """Whoever finds the server too busy gets his stream when the other has ended."""
        server = EchoDatagramCore(ServerSettings(streams=1), 0.0, Tokens(b"k" * 16), "peer")
        token = Tokens(b"k" * 16).make("peer", 0.0)
        server.message(b"token=" + token + b" #b-1 stream 500 6", 0.0)
        core = make(count=5)
        pair = Pair(core, server)
        core.open(0.0)
        pair.run(20.0)
        measured = result([event for _, event in pair.told[0]])
        self.assertEqual((measured.report.received, measured.ended), (5, True))
        self.assertEqual(server.counters.busy, 3)

    def test_lost_requests(self) -> None:
        """Whatever is lost on the way up, the server sends one stream."""
        sent = []

        def second(message: bytes) -> list[float]:
            sent.append(message)
            return [0.01] if len(sent) % 2 == 0 else []

        core = make(count=5)
        server = EchoDatagramCore(ServerSettings(), 0.0, Tokens(b"k" * 16), "peer")
        pair = Pair(core, server, second)
        core.open(0.0)
        pair.run(20.0)
        measured = result([event for _, event in pair.told[0]])
        self.assertEqual((measured.report.received, server.counters.streams), (5, 1))
