"""The sending side of probes."""

from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.echo.datagrams import EchoDatagramCore
from lab.echo.measuring import LAST, Plan
from lab.echo.outcomes import Broken, Gone, Measured, Rejected, Stalled
from lab.echo.prober import BURST, PAUSE, ProbeClientCore
from lab.echo.report import ProbeReport
from lab.echo.settings import ServerSettings
from lab.echo.wire import Challenge, Probed, encode, read_request
from lab.testing import Pair, Playbook
from lab.wire.tokens import Tokens
from tests.echo.cores import TOKEN, common, opened, result, rows
from tests.echo.test_streams import ends


def make(*, datagrams: bool = True, keep: bool = False, **words: Any) -> ProbeClientCore:
    """A core that sends three probes, one every 100 ms; its rows are long."""
    usual = {"interval": 0.1, "count": 3, "size": 64, "timeout": 2.0, "rows": 100.0}
    plan = Plan(**{**usual, **words}, keep=keep)
    return ProbeClientCore(plan=plan, **common(datagrams=datagrams))


def probe(seq: int, at: float, size: int = 64) -> bytes:
    """A probe as it leaves at a time, in seconds."""
    return (b"#a-1 probe %d %d " % (seq, int(at * 1e9))).ljust(size, b".")


def answer(seq: int, at: float, received: int, duplicates: int = 0) -> bytes:
    """An answer to a probe that left at a time, in seconds."""
    at_ns = int(at * 1e9)
    return encode(Probed(seq, at_ns, received, duplicates, 10**18 + at_ns, b"..", b"a-1"))


class DatagramTests(SynchronousTestCase):
    """Over datagrams."""

    def test_all(self) -> None:
        """Probes leave on time; when their answers have had theirs, counts are asked for."""
        play = opened(core := make())
        for seq in range(3):
            at = seq / 10
            play.sends(probe(seq, at), at).receives(answer(seq, at, seq + 1)).wait(0.1)
        play.wait(0.4).sends(b"#a-2 counts", 0.2 + LAST)
        play.receives(b"#a-2 200 counts 3 1").wait(1.0)
        (_, done), (_, gone) = ends(play)
        report = done.value.report
        self.assertEqual((done.value.ended, done.value.packets, gone), (True, (), Gone()))
        self.assertEqual((report.sent, report.answered, report.lost), (3, 3, 0))
        self.assertEqual(report.duplicates_up, 1)
        self.assertTrue(core.heard)
        core.message(answer(0, 0.0, 1), 12.0)
        self.assertEqual((core.traffic.late, core.deadline()), (1, None))

    def test_both_ways(self) -> None:
        """What was lost on which way is told apart by the counts."""
        play = opened(core := make()).sends(probe(0, 0.0))
        play.receives(answer(0, 0.0, 1)).wait(2.2)
        play = Playbook(core, 2.2).receives(b"#a-2 200 counts 2 0")
        (_, done), _ = ends(play)
        report = done.value.report
        self.assertEqual((report.lost_up, report.lost_down, report.lost_unknown), (1, 1, 0))

    def test_slow(self) -> None:
        """Answers of a slow way are waited for: as long as those so far took, and somewhat more."""
        core = make(timeout=9.0, interval=1.0)
        play = opened(core).wait(2.5).receives(answer(0, 0.0, 1))
        play.sends(probe(0, 0.0)).sends(probe(1, 1.0)).sends(probe(2, 2.0))
        play.wait(1.0).receives(answer(1, 1.0, 2)).wait(1.0).receives(answer(2, 2.0, 3))
        play.wait(9.0)
        sent = [(when, what) for when, kind, what in play._seen if kind == "sent"]
        when, what = sent[0]
        self.assertAlmostEqual(when, 5.0)
        self.assertEqual(what, b"#a-2 counts")

    def test_silence(self) -> None:
        """If nothing is answered, counts neither, nobody is there."""
        play = opened(make(timeout=2.0))
        for seq in range(3):
            play.wait(0.1).sends(probe(seq, seq / 10), seq / 10)
        play.wait(9.0)
        for at in (0, 0.1, 0.3, 0.7, 1.5):
            play.sends(b"#a-2 counts", 2.2 + at)
        (when, done), _ = ends(play)
        self.assertAlmostEqual(when, 2.2 + 3.1)
        self.assertIsInstance(done.value, Stalled)
        self.assertEqual(str(done.value), "no answer within 5.3 s after 5 attempts")
        self.assertEqual(done.value.so_far.report.sent, 3)

    def test_no_counts(self) -> None:
        """If only counts are not answered there is a result, and something that nobody knows."""
        play = opened(make()).receives(answer(0, 0.0, 1)).wait(20.0)
        (_, done), _ = ends(play)
        report = done.value.report
        self.assertEqual((done.value.ended, report.answered, report.lost_unknown), (False, 1, 2))

    def test_standstill(self) -> None:
        """What was due while we were not running leaves at once, on the plan that it was due by."""
        core = make(count=1000, interval=0.001, timeout=2.0)
        core.open(0.0)
        core.message(answer(0, 0.0, 1), 0.0)
        self.assertEqual(len(core.outgoing()), 1)
        core.tick(0.5)
        self.assertEqual(len(core.outgoing()), BURST)
        deadline = core.deadline()
        assert deadline is not None
        self.assertAlmostEqual(deadline, 0.5 + PAUSE)
        for _ in range(5):
            core.tick(deadline)
            deadline = core.deadline() or 0.0
        self.assertEqual(len(core.outgoing()), 506 - 1 - BURST)

    def test_fastest(self) -> None:
        """Without an interval there are ten thousand a second."""
        play = opened(make(interval=0.0, count=1000)).wait(0.0995)
        self.assertApproximates(len(play._seen), 995, 12)

    def test_rows(self) -> None:
        """Rows are those of the probes that were sent in them."""
        play = opened(make(interval=0.5, count=5, rows=1.0))
        for seq in range(5):
            play.receives(answer(seq, seq / 2, seq + 1)).wait(0.5)
        found = rows([event for _, _, event in play._seen])
        self.assertEqual(found, [(0.0, 1.0, 2, 0), (1.0, 2.0, 2, 0)])

    def test_foreign(self) -> None:
        """What is no answer to a probe is counted, and changes nothing."""
        core = make()
        core.open(0.0)
        before = core.so_far()
        wrong = (
            b"nonsense",
            b"#a-2 200 counts 1 1",
            b"#b-1 " + answer(0, 0.0, 1)[5:],
            answer(1, 0.1, 1),
            answer(0, 0.0, 0),
            answer(0, 0.0, 2),
            b"#a-1 200 counts 1 1",
        )
        for said in wrong:
            core.message(said, 0.0)
        self.assertEqual((core.traffic.malformed, core.so_far()), (len(wrong), before))

    def test_wrong_counts(self) -> None:
        """Counts that can't be are none; a challenge is met."""
        play = opened(core := make()).wait(2.2)
        for said in (b"#a-2 200 counts 4 0", b"#a-2 200 ready 5"):
            play.receives(said)
        self.assertEqual(core.traffic.malformed, 2)
        play = Playbook(core, 2.2).receives(encode(Challenge(TOKEN, b"a-2")))
        play.sends(b"token=" + TOKEN + b" #a-2 counts")

    def test_refused(self) -> None:
        """A refusal is the end, whatever is refused."""
        for said in (b"#a-1 413 no", b"#a-2 429 1000 no"):
            core = make()
            opened(core).wait(2.2)
            core.message(said, 2.2)
            self.assertIsInstance(result(core.events()), Rejected)

    def test_stop(self) -> None:
        """What there is so far is the end, and at the server there is nothing to be stopped."""
        core = make(keep=True)
        core.open(0.0)
        core.message(answer(0, 0.0, 1), 0.05)
        core.outgoing()
        core.stop(0.1)
        events = core.events()
        measured = result(events)
        self.assertEqual((measured.report.sent, measured.report.answered), (1, 1))
        self.assertEqual([(one.number, one.delay) for one in measured.packets], [(0, 0.05)])
        self.assertEqual((core.outgoing(), events[-1]), ([], Gone()))
        core.open(0.2)
        self.assertEqual(core.outgoing(), [])

    def test_next_address(self) -> None:
        """At another address it goes on where it is; what was sent before is lost."""
        core = make()
        core.open(0.0)
        core.outgoing()
        core.open(0.05)
        self.assertEqual(core.outgoing(), [])

    @given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.binary(max_size=9))))
    def test_any(self, said: list[tuple[int, int, bytes]]) -> None:
        """Whatever comes, there is one end, and its sums are right."""
        core = make()
        play = opened(core)
        for seq, kind, data in said:
            counts = b"#a-2 200 counts %d %d" % (seq, len(data))
            play.receives((answer(seq, 0.0, seq), counts, b"#a-1 " + data, data)[kind]).wait(0.2)
        play.wait(20.0)
        (_, done), (_, gone) = ends(play)
        measured = done.value.so_far if isinstance(done.value, Stalled) else done.value
        assert isinstance(measured, Measured)
        report = measured.report
        assert isinstance(report, ProbeReport)
        self.assertEqual(report.answered + report.lost, report.sent)
        self.assertEqual((gone, core.deadline()), (Gone(), None))


class ConnectionTests(SynchronousTestCase):
    """Over a connection."""

    def test_sizes(self) -> None:
        """The line ending counts in the size; counts are asked for once, and have to come."""
        play = opened(make(datagrams=False, timeout=2.0)).wait(2.2)
        for seq in range(3):
            play.sends(probe(seq, seq / 10, 63))
        play.sends(b"#a-2 counts", 2.2).wait(9.0)
        (when, done), (_, gone) = ends(play)
        self.assertAlmostEqual(when, 4.2)
        self.assertIsInstance(done.value, Stalled)
        self.assertEqual(str(done.value), "nothing came for 2 s")
        self.assertEqual(gone, Gone())

    def test_nonsense(self) -> None:
        """What is not in its place breaks it."""
        core = make(datagrams=False)
        core.open(0.0)
        core.message(answer(1, 0.1, 1), 0.0)
        self.assertIsInstance(result(core.events()), Broken)


class PairTests(SynchronousTestCase):
    """Against the server's core."""

    def test_ground_truth(self) -> None:
        """On links that lose, the losses of each way are those that there were."""
        random = Random(7)
        lost = {"up": set[bytes](), "down": 0}

        def up(message: bytes) -> list[float]:
            if read_request(message).id == b"a-1" and random.random() < 0.1:
                lost["up"].add(message)
                return []
            return [0.01 + random.random() / 50]

        def down(message: bytes) -> list[float]:
            if message.startswith(b"#a-1") and random.random() < 0.05:
                lost["down"] += 1
                return []
            return [0.02 + random.random() / 50]

        core = make(count=1000, interval=0.001)
        server = EchoDatagramCore(ServerSettings(), 0.0, Tokens(b"k" * 16))
        pair = Pair(core, server, up, down)
        core.open(0.0)
        pair.run(20.0)
        report = result([event for _, event in pair.told[0]]).report
        self.assertEqual((report.lost_up, report.lost_down), (len(lost["up"]), lost["down"]))
        self.assertGreater(report.lost_down, 20)
        self.assertEqual((report.lost_unknown, report.sent), (0, 1000))
