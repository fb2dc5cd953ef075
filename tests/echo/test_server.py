"""The answering side on a stream."""

import hashlib
import math
from collections.abc import Sequence
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.core import Finished, Left
from lab.echo.answers import Counters
from lab.echo.budget import Budget
from lab.echo.pattern import characters
from lab.echo.server import LINES, TURN, EchoServerCore
from lab.echo.settings import ServerSettings
from lab.echo.wire import LIMIT, Stream, StreamEnd, read_reply, read_request
from lab.testing import Playbook


def make(**words: Any) -> EchoServerCore:
    """A core for a peer that came at 0 s."""
    return EchoServerCore(ServerSettings(**words), 0.0)


def packet(seq: int, now: float, size: int = 64, id: bytes = b"") -> bytes:
    """A packet that left then."""
    return (b"%spacket %d %d " % (id, seq, int(now * 1e9))).ljust(size - 1, b".") + b"\n"


def sha256(data: bytes) -> bytes:
    """The line behind a file."""
    return b"sha256 " + hashlib.sha256(data).hexdigest().encode()


def all_of(core: EchoServerCore, lines: Sequence[bytes], now: float = 0.0) -> bytes:
    """What these lines are answered, sent at once, until something is due later."""
    left, got = list(lines), b""
    while left or core.busy():
        if left:
            del left[: core.messages(left, now)]
        out = core.outgoing()
        if not out:
            break
        for item in out:
            if isinstance(item, bytes):
                got += item + b"\n"
                continue
            while data := item.read(1000, now):
                got += data
        for item in core.outgoing():
            assert isinstance(item, bytes)
            got += item + b"\n"
    return got


SAID = st.sampled_from(
    b"hello||echo x|#k echo x|#k y|007|42x|streams|probe 1 x|counts|#k counts|limits|stream 0 0|"
    b"probe 7 7|x\r|12|0".split(b"|")
)


class AnswerTests(SynchronousTestCase):
    """What is answered at once."""

    def test_answers(self) -> None:
        """Text as it is, the explicit form without its word, ids in front."""
        play = Playbook(make())
        for said, answer in (
            (b"hello", b"hello"),
            (b"", b""),
            (b"echo stream", b"stream"),
            (b"echo ", b""),
            (b"echo", b"echo"),
            (b"007", b"007"),
            (b"counts", b"200 counts 0 0"),
            (b"probe 1 2", b"probed 1 2 1 0 0"),
            (b"counts", b"200 counts 1 0"),
            (b"stream 0 0", b"300 count is 0; at least 1"),
            (b"123456790", b"413 file is 123456790; at most 123456789"),
        ):
            play.receives(said).sends(answer)
        play.receives(b"#k-1 hello").sends(b"#k-1 hello")
        play.receives(b"#k-1 echo 42").sends(b"#k-1 42")
        play.receives(b"#k-1 counts").sends(b"#k-1 200 counts 1 0")
        play.receives(b"#k-1 stream 1 0").sends(b"#k-1 300 count is 0; at least 1").end()

    def test_limits(self) -> None:
        """What is allowed; a rate only if there is one."""
        limits = b"200 limits interval=0 packets=1000 size=65507 file=123456789 rate=%d streams=16"
        Playbook(make()).receives(b"limits").sends(limits % 0).end()
        play = Playbook(make(rate=9e6, total_rate=5e6))
        play.receives(b"limits").sends(limits % 5_000_000).end()

    def test_counters(self) -> None:
        """What was done is counted, over all peers."""
        counters = Counters()
        for _ in range(2):
            core = EchoServerCore(ServerSettings(), 0.0, counters)
            all_of(core, [b"a", b"b", b"echo c", b"5", b"stream 0 1", b"stream 0 0", b"probe 1 1"])
        self.assertEqual(counters, Counters(echoed=6, probes=2, streams=2, files=2, refused=2))

    def test_quit(self) -> None:
        """The connection ends; nothing behind it is answered."""
        for said in (b"quit", b"#k quit"):
            play = Playbook(make()).receives(b"a", said).sends(b"a")
            play.tells(Left("it said quit")).wait(10**6).end()
        core = make()
        self.assertEqual(core.messages([b"a", b"quit", b"b"], 0.0), 2)
        self.assertEqual(core.outgoing(), [b"a"])

    def test_too_long(self) -> None:
        """A line of the limit comes back; a longer one is refused, and ends the connection."""
        longest = b"x" * LIMIT
        play = Playbook(make()).receives(longest).sends(longest)
        play.receives(longest + b"x").sends(b"413 line is 65508 or more; at most 65507")
        play.tells(Finished("a line of more than 65,507 bytes")).end()

    @settings(deadline=None)
    @given(st.lists(SAID, min_size=1, max_size=12))
    @example([b"a\n#k 5"])
    def test_as_one_by_one(self, lines: list[bytes]) -> None:
        """Lines that come together are answered as each alone, also where all is text."""
        one_by_one = make()
        alone = b"".join(all_of(one_by_one, [line]) for line in lines)
        together = make()
        self.assertEqual(all_of(together, lines), alone)
        self.assertEqual(together.counters, one_by_one.counters)

    def test_turns(self) -> None:
        """Many lines, and lines with long answers, are left in part."""
        core = make()
        self.assertEqual(core.messages([b""] * 10_000, 0.0), LINES)
        self.assertEqual(sum(item.count(b"\n") + 1 for item in core.outgoing()), LINES)
        taken = core.messages([b"limits"] * 3000, 0.0)
        size = sum(map(len, core.outgoing()))
        self.assertTrue(TURN <= size < TURN + 100, size)
        self.assertLess(taken, 3000)

    @settings(deadline=None, max_examples=200)
    @given(st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), max_size=5))
    def test_any_bytes(self, lines: list[bytes]) -> None:
        """Whatever comes, the core goes on, unless it was asked to end."""
        core = make()
        if not any(type(read_request(line)) is Stream for line in lines):
            all_of(core, lines or [b""])
            if not core.events():
                self.assertEqual(all_of(core, [b"after"]), b"after\n")


class FileTests(SynchronousTestCase):
    """Files."""

    def test_file(self) -> None:
        """How many, the characters, and their digest."""
        play = Playbook(make()).receives(b"1000").sends(b"200 ready 1000")
        text = characters(0, 0, 1000)
        play.sends(text).sends(b"").sends(sha256(text))
        play.receives(b"#k file 1000 400 500 7").sends(b"#k 200 ready 500")
        text = characters(7, 400, 500)
        play.sends(text).sends(b"").sends(b"#k " + sha256(text))
        play.receives(b"file 0").sends(b"200 ready 0").sends(b"").sends(sha256(b"")).end()

    def test_pulled(self) -> None:
        """Nothing is made that is not read, and no more at a time than is asked for."""
        core = make()
        core.message(b"123456789", 0.0)
        ready, body = core.outgoing()
        self.assertEqual((ready, core.busy()), (b"200 ready 123456789", True))
        self.assertEqual(core.outgoing(), [])
        self.assertEqual(body.read(1000, 1.0), characters(0, 0, 1000))
        self.assertEqual(body.read(10, 2.0), characters(0, 1000, 10))

    def test_lines_wait(self) -> None:
        """While a file is on its way no line is taken; quit does not cut it."""
        core = make()
        self.assertEqual(core.messages([b"10", b"a", b"quit"], 0.0), 1)
        self.assertEqual(core.messages([b"a", b"quit", b"quit"], 0.0), 0)
        expected = b"200 ready 10\n" + b"0" * 10 + b"\n" + sha256(b"0" * 10) + b"\na\n"
        self.assertEqual(all_of(core, [b"a", b"quit"]), expected)
        self.assertEqual(core.events(), [Left("it said quit")])

    def test_not_busy_with_a_message(self) -> None:
        """A body that nobody has can be read all the same: there is nothing."""
        self.assertEqual(make().read(100, 0.0), b"")


class StreamTests(SynchronousTestCase):
    """Packets, one so often."""

    def test_stream(self) -> None:
        """Each at its time, the first at once, and then how it went."""
        play = Playbook(make(), 5.0).receives(b"stream 500 3 100").wait(60)
        for seq, at in enumerate((5.0, 5.5, 6.0)):
            play.sends(packet(seq, at, 100), at)
        play.sends(b"end 3 0 0 0", 6.0).end()

    def test_defaults(self) -> None:
        """Ten packets of 64 bytes, one a second."""
        play = Playbook(make()).receives(b"#k stream").wait(60)
        for seq in range(10):
            play.sends(packet(seq, seq, id=b"#k "), seq)
        play.sends(b"#k end 10 0 0 0", 9.0).end()

    def test_at_once(self) -> None:
        """With interval 0, as fast as they are read."""
        expected = b"".join(packet(seq, 2.0, 70) for seq in range(5)) + b"end 5 0 0 0\n"
        self.assertEqual(all_of(make(), [b"stream 0 5 70"], 2.0), expected)

    def run_late(self, late: Sequence[float], request: bytes) -> tuple[list[Any], float]:
        """A stream whose ticks are late by these times, again and again; replies and the end."""
        core = make(packets=10_000)
        core.message(request, 0.0)
        now, ticks, sent = 0.0, 0, b""
        while True:
            for item in core.outgoing():
                if isinstance(item, bytes):
                    sent += item + b"\n"
                else:
                    while data := item.read(65_536, now):
                        sent += data
            for item in core.outgoing():
                assert isinstance(item, bytes)
                sent += item + b"\n"
            if not core.busy():
                return [read_reply(line) for line in sent.splitlines()], now
            due = core.deadline()
            assert due is not None
            now = max(now, due + late[ticks % len(late)])
            ticks += 1
            core.tick(now)

    def test_ten_thousand(self) -> None:
        """10,000 packets, one a millisecond, take 9.999 s and what the last tick is late."""
        replies, ended = self.run_late([0.0], b"stream 1 10000")
        self.assertApproximates(ended, 9.999, 1e-9)
        self.assertEqual(replies[-1], StreamEnd(10_000, 0, 0, 0))
        for number in (1, 9999):
            self.assertApproximates(replies[number].sent_ns, number * 1_000_000, 2)

    def test_late_ticks(self) -> None:
        """Ticks that come late make packets late, and move none of the others."""
        late = [0.0002, 0.0, 0.0071, 0.0009, 0.003]
        replies, ended = self.run_late(late, b"stream 1 10000")
        *packets, end = replies
        self.assertEqual([one.seq for one in packets], list(range(10_000)))
        errors = [one.sent_ns - one.seq * 1_000_000 for one in packets]
        self.assertTrue(0 <= ended - 9.999 <= max(late) + 1e-9)
        self.assertTrue(all(-2 <= error <= 7_100_002 for error in errors))
        self.assertEqual(end.count, 10_000)
        self.assertEqual(end.missed, sum(error > 1_000_002 for error in errors))
        self.assertGreater(end.missed, 1000)
        self.assertApproximates(end.max_ns, max(errors), 2)
        self.assertApproximates(end.mean_ns, sum(errors) / 10_000, 2)

    def test_not_read(self) -> None:
        """Packets that nobody reads are not made, and are late when they are."""
        core = make()
        core.message(b"stream 10 100", 0.0)
        (body,) = core.outgoing()
        self.assertEqual(len(body.read(10**6, 0.0)), 64)
        self.assertEqual(core.deadline(), 300.0)
        self.assertEqual(len(body.read(10**6, 5.0)), 99 * 64)
        self.assertEqual(body.read(10**6, 5.0), b"")
        (end,) = core.outgoing()
        self.assertEqual(read_reply(end).missed, 99)

    def test_lines_wait(self) -> None:
        """Lines wait for the end of a stream, whenever they came."""
        core = make()
        self.assertEqual(core.messages([b"stream 1000 3", b"a", b"b"], 0.0), 1)
        play = Playbook(core).does(lambda now: None).wait(1.0)
        for _ in range(2):
            self.assertEqual(core.messages([b"a", b"b"], 1.0), 0)
        play.wait(5)
        for seq in range(3):
            play.sends(packet(seq, seq), seq)
        play.sends(b"end 3 0 0 0", 2.0)
        self.assertEqual(core.messages([b"a", b"b"], 5.0), 2)
        play.does(lambda now: None).sends(b"a\nb").end()

    def test_quit(self) -> None:
        """A quit that comes while packets do ends them, with what there was."""
        core = make()
        core.messages([b"#s stream 1000"], 0.0)
        play = Playbook(core).does(lambda now: None).wait(1.5)
        self.assertEqual(core.messages([b"a"], 1.5), 0)
        self.assertEqual(core.messages([b"a", b"#q quit"], 1.5), 0)
        play.does(lambda now: None)
        for seq in range(2):
            play.sends(packet(seq, seq, id=b"#s "), seq)
        play.sends(b"#s end 2 0 0 0", 1.5)
        self.assertEqual(core.messages([b"a", b"#q quit"], 1.5), 2)
        play.does(lambda now: None).sends(b"a").tells(Left("it said quit")).end()

    def test_quit_of_what_is_read(self) -> None:
        """It ends packets that are being read as well, and streams that wait before it."""
        core = make()
        core.messages([b"stream 0 1000 1000"], 0.0)
        (body,) = core.outgoing()
        body.read(5000, 0.0)
        waiting = [b"stream 5 5", b"7", b"quit"]
        self.assertEqual(core.messages(waiting, 0.0), 0)
        self.assertEqual(body.read(5000, 0.0), b"")
        self.assertEqual(core.outgoing(), [b"end 5 0 0 0"])
        rest = b"end 0 0 0 0\n200 ready 7\n0000000\n" + sha256(b"0" * 7) + b"\n"
        self.assertEqual(all_of(core, waiting), rest)

    def test_quit_before(self) -> None:
        """A quit that was there before the stream began lets it come to its end."""
        core = make()
        self.assertEqual(core.messages([b"stream 1000 2", b"quit"], 0.0), 1)
        play = Playbook(core).does(lambda now: None)
        self.assertEqual(core.messages([b"quit", b"a"], 0.0), 0)
        play.wait(5)
        for seq in range(2):
            play.sends(packet(seq, seq), seq)
        play.sends(b"end 2 0 0 0", 1.0)
        self.assertEqual(core.messages([b"quit", b"a"], 5.0), 1)


class IdleTests(SynchronousTestCase):
    """Peers that say nothing, and that take nothing."""

    def test_idle(self) -> None:
        """A peer that asks nothing is let go; every line gives it the whole time again."""
        gone = Finished("nothing was asked or taken for 30 s")
        play = Playbook(make(idle=30.0)).wait(29).receives(b"a").sends(b"a").wait(29)
        play.receives(b"counts").sends(b"200 counts 0 0").wait(10**6).tells(gone, 88.0).end()

    def test_never(self) -> None:
        """Without a limit there is no end."""
        self.assertIsNone(make(idle=math.inf).deadline())

    def test_long_interval(self) -> None:
        """Who waits for the next packet of a slow stream is not idle, and has its time after it."""
        play = Playbook(make(idle=30.0)).receives(b"stream 100000 2").wait(100)
        play.sends(packet(0, 0.0)).sends(packet(1, 100.0), 100.0).sends(b"end 2 0 0 0", 100.0)
        play.wait(29.9).silent().wait(1)
        play.tells(Finished("nothing was asked or taken for 30 s"), 130.0).end()

    def test_takes_nothing(self) -> None:
        """A peer that takes nothing of its answer for so long is let go, and its place is free."""
        budget = Budget(ServerSettings(idle=30.0))
        core = EchoServerCore(ServerSettings(idle=30.0), 0.0, Counters(), budget)
        core.message(b"1000000", 0.0)
        body = core.outgoing()[-1]
        body.read(1000, 20.0)
        self.assertEqual((core.deadline(), budget.running), (50.0, 1))
        core.tick(50.0)
        self.assertEqual(core.events(), [Finished("nothing was asked or taken for 30 s")])
        self.assertEqual((core.deadline(), budget.running, core.outgoing()), (None, 0, []))
        self.assertEqual(body.read(1000, 50.0), b"")


class BudgetTests(SynchronousTestCase):
    """What peers share."""

    def test_streams(self) -> None:
        """An address with too many streams has to wait; text it gets all the same."""
        limits = ServerSettings(streams=1)
        budget, counters = Budget(limits), Counters()
        one, two, other = (
            EchoServerCore(limits, 0.0, counters, budget, address) for address in "aab"
        )
        busy = b"429 1000 there are 1 streams of this address"
        one.message(b"stream", 0.0)
        play = Playbook(two).receives(b"stream", b"#k 5", b"x")
        play.sends(busy).sends(b"#k " + busy).sends(b"x").end()
        Playbook(other).receives(b"0").sends(b"200 ready 0").sends(b"").sends(sha256(b"")).end()
        self.assertEqual(counters.busy, 2)
        one.close(0.0)
        one.close(0.0)
        Playbook(two).receives(b"0").sends(b"200 ready 0").sends(b"").sends(sha256(b"")).end()
        self.assertEqual(budget.running, 0)

    def test_rate(self) -> None:
        """A file takes as long as its bytes at the rate, less what the bucket holds."""
        core = make(rate=100_000.0)
        core.message(b"200000", 5.0)
        play = Playbook(core, 5.0).does(lambda now: None).wait(60)
        sent = [(when, what) for when, _, what in play._seen]
        self.assertEqual(b"".join(what for _, what in sent[1:-2]), characters(0, 0, 200_000))
        self.assertApproximates(sent[-1][0], 6.8, 0.02)
        for when, _ in sent:
            past = sum(len(what) for at, what in sent[1:-2] if at <= when)
            self.assertLess(past, 100_000 * (when - 4.9) + core._answers.budget.share + 1)

    def test_rate_of_a_stream(self) -> None:
        """Packets wait for the rate too, and are late; and one that is stopped has ended."""
        play = Playbook(make(rate=10_000.0)).receives(b"stream 1 100 1000").wait(60)
        sent = play._seen
        self.assertEqual(len(sent), 101)
        self.assertApproximates(sent[-1][0], 9.8, 0.11)
        self.assertGreater(read_reply(sent[-1][2]).missed, 80)
        core = make(rate=1000.0)
        core.messages([b"stream 0 100 1000"], 0.0)
        play = Playbook(core).does(lambda now: None)
        self.assertLess(len(play._seen), 5)
        core.messages([b"quit"], 0.0)
        play.does(lambda now: None)
        self.assertEqual(play._seen[-1][2], b"end %d 0 0 0" % (len(play._seen) - 1))
