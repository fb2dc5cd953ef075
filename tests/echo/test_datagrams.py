"""The answering side over datagrams."""

import hashlib
import math
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.core import Finished
from lab.echo.answers import Counters
from lab.echo.budget import Budget
from lab.echo.datagrams import BATCHES, ENDS, SOON, TICK, TURN, EchoDatagramCore
from lab.echo.pattern import characters
from lab.echo.settings import ServerSettings
from lab.echo.wire import (
    LIMIT,
    Data,
    FileEnd,
    Packet,
    Ready,
    StreamEnd,
    read_reply,
)
from lab.testing import Playbook
from lab.wire.tokens import ALLOWED, HEADERS, Tokens
from tests.echo.cores import each

PEER = "192.0.2.1 5000"
TOKENS = Tokens(b"0123456789abcdef")


def make(**words: Any) -> EchoDatagramCore:
    """A core for a peer that came at 0 s."""
    return EchoDatagramCore(ServerSettings(**words), 0.0, TOKENS, PEER, "192.0.2.1")


def proved(request: bytes, now: float = 0.0) -> bytes:
    """The request, behind what proves the address."""
    return b"token=%s %s" % (TOKENS.make(PEER, now), request)


def sent(play: Playbook) -> list[tuple[float, Any]]:
    """What was sent, as values, with the times."""
    found = [(when, read_reply(what)) for when, kind, what in play._seen if kind == "sent"]
    play._seen.clear()
    return found


class AnswerTests(SynchronousTestCase):
    """What is answered at once."""

    def test_byte_for_byte(self) -> None:
        """Text comes back as it is, of any size, with what a line would end in."""
        for size in (0, 1, 1200, 8193, LIMIT):
            text = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
            Playbook(make()).receives(text).sends(text).end()
        play = Playbook(make())
        for text in (b"hello\n", b"hello\r\n", b"\n", b"quit\n\n", b"stream x\n", b"#k hello\n"):
            play.receives(text).sends(text)
        play.receives(b"echo stream\n").sends(b"stream\n")
        play.receives(b"#k echo 5").sends(b"#k 5").end()

    def test_commands(self) -> None:
        """A final line ending is no part of a command."""
        for ending in (b"", b"\n", b"\r\n"):
            play = Playbook(make()).receives(b"probe 1 2" + ending).sends(b"probed 1 2 1 0 0")
            play.receives(b"#k counts" + ending).sends(b"#k 200 counts 1 0")
            play.receives(b"stream 1 0" + ending).sends(b"300 count is 0; at least 1")
            play.receives(b"quit" + ending).end()

    def test_limits(self) -> None:
        """What is allowed: over datagrams there is always a rate. It takes a proof."""
        limits = b"200 limits interval=0 packets=1000 size=65507 file=123456789 rate=%d streams=16"
        for words, rate in (({}, 4_000_000), ({"rate": 3e6}, 3_000_000), ({"pace": 3.0}, 3)):
            play = Playbook(make(**words)).receives(b"limits")
            play.sends(b"401 " + TOKENS.make(PEER, 0.0))
            play.receives(proved(b"#k limits")).sends(b"#k " + limits % rate).end()

    def test_too_long(self) -> None:
        """A datagram that only IPv6 can carry is refused."""
        play = Playbook(make()).receives(b"x" * (LIMIT + 1))
        play.sends(b"413 datagram is 65508; at most 65507").end()

    def test_proof_is_no_text(self) -> None:
        """What proves the address is cut off, also where it is wrong."""
        play = Playbook(make()).receives(proved(b"hello")).sends(b"hello")
        play.receives(b"token=" + b"x" * 22 + b" hello").sends(b"hello")
        play.receives(b"token=x hello").sends(b"token=x hello").end()

    @settings(deadline=None, max_examples=300)
    @given(
        st.lists(
            st.binary(max_size=60)
            | st.sampled_from(
                b"stream|#k stream 1|7|file 100000|counts|limits|quit|probe 1 1".split(b"|")
            ),
            max_size=20,
        )
    )
    def test_never_more_than_three_times(self, datagrams: list[bytes]) -> None:
        """Whatever comes without a proof, never more goes back than three times its bytes."""
        core = make()
        for number, data in enumerate(datagrams):
            core.message(data, number / 10)
            size = sum(len(answer) + HEADERS for answer in each(core.outgoing()))
            self.assertLessEqual(size, ALLOWED * (len(data) + HEADERS))
            if core.deadline() is not None and core.deadline() <= number / 10:
                core.tick(number / 10)
                self.assertEqual(each(core.outgoing()), [])

    def test_challenge(self) -> None:
        """What takes time needs a proof, however little it would send; so does a wrong one."""
        core = make()
        play = Playbook(core)
        challenge = b"401 " + TOKENS.make(PEER, 0.0)
        for request in (b"stream", b"0", b"token=" + b"x" * 22 + b" stream"):
            play.receives(request).sends(challenge)
        play.receives(b"#k stream").sends(b"#k " + challenge).end()
        self.assertEqual((core.challenged, core.counters), (4, Counters()))


class StreamTests(SynchronousTestCase):
    """Packets, one so often."""

    def test_stream(self) -> None:
        """Each at its time, and the end three times."""
        play = Playbook(make()).receives(proved(b"#k stream 500 3 100")).wait(60)
        for seq, at in enumerate((0.0, 0.5, 1.0)):
            packet = (b"#k packet %d %d " % (seq, int(at * 1e9))).ljust(100, b".")
            play.sends(packet, at)
        for at in (1.0, 1.05, 1.2):
            play.sends(b"#k end 3 0 0 0", at)
        play.end()

    def test_several(self) -> None:
        """Several of a peer do not disturb each other, and each has its id."""
        play = Playbook(make())
        play.receives(proved(b"#a stream 100 20"), proved(b"#b stream 150 10"), proved(b"#c 5"))
        found = sent(play.wait(5))
        for id, interval, count in ((b"a", 0.1, 20), (b"b", 0.15, 10)):
            packets = [
                (at, one.seq) for at, one in found if one.id == id and isinstance(one, Packet)
            ]
            self.assertEqual([seq for _, seq in packets], list(range(count)))
            for at, seq in packets:
                self.assertApproximates(at, seq * interval, 1e-9)
        self.assertEqual(sum(one.id == b"c" for _, one in found), 5)

    def test_ten_thousand(self) -> None:
        """10,000 packets, one a millisecond, end on time, also when ticks come late."""
        for late in ([0.0], [0.0004, 0.0075, 0.0, 0.0011]):
            core = make(packets=10_000)
            core.message(proved(b"stream 1 10000"), 0.0)
            found, now, ticks = [], 0.0, 0
            while not found or not isinstance(found[-1], StreamEnd):
                found += map(read_reply, each(core.outgoing()))
                now = max(now, core.deadline() + late[ticks % len(late)])
                ticks += 1
                core.tick(now)
            *packets, end = found
            self.assertEqual([one.seq for one in packets], list(range(10_000)))
            errors = [one.sent_ns - one.seq * 1_000_000 for one in packets]
            self.assertTrue(all(-2 <= error <= max(late) * 1e9 + 2 for error in errors))
            self.assertEqual(end.missed, sum(error > 1_000_002 for error in errors))
            self.assertApproximates(end.max_ns, max(errors), 2)
            self.assertApproximates(end.mean_ns, sum(errors) / 10_000, 2)

    def test_at_once(self) -> None:
        """With interval 0 it goes at the pace, in turns between which there is time."""
        play = Playbook(make(pace=128_000.0)).receives(proved(b"stream 0 1000 100"))
        found = sent(play.wait(5))
        times = [at for at, one in found if isinstance(one, Packet)]
        self.assertEqual(len(times), 1000)
        self.assertApproximates(times[-1], 0.999, TICK)
        steps = sorted(set(times))
        self.assertTrue(all(b - a > TICK / 2 for a, b in pairwise(steps)))
        self.assertEqual({one for _, one in found[1000:]}, {StreamEnd(1000, 0, 0, 0)})

    def test_turns(self) -> None:
        """However much is due, no more goes out in a turn than its share."""
        core = make(pace=1e12, packets=2000)
        core.message(proved(b"stream 0 2000 1000"), 0.0)
        self.assertEqual((len(each(core.outgoing())), core.deadline()), (1, TICK))
        turns, now = 0, TICK
        while core._slots[b""].running:
            self.assertEqual(each(core.outgoing()), [])
            # Who is behind goes on as soon as the others had theirs.
            self.assertApproximates(core.deadline(), now, SOON / 10)
            core.tick(now)
            turns, now = turns + 1, now + SOON
            if core._slots[b""].running:
                self.assertEqual(len(each(core.outgoing())), BATCHES * 64)
        self.assertEqual(turns, math.ceil(1999 / (BATCHES * 64)))

    def test_made_together(self) -> None:
        """What leaves together is in one piece, and makes full batches."""
        for size, batch in ((64, 64), (1000, 64), (1200, 54), (40_000, 1), (65_507, 1)):
            core = make(pace=1e12, size=65_507, packets=10_000)
            core.message(proved(b"stream 0 10000 %d" % size), 0.0)
            core.outgoing()
            core.tick(0.1)
            (datagrams,) = core.outgoing()
            self.assertEqual((len(datagrams), datagrams.size), (BATCHES * batch, size))
            self.assertEqual(len(bytes(datagrams)), BATCHES * batch * size)

    def test_does_not_catch_up(self) -> None:
        """With interval 0, what could not be sent for a while does not come all at once."""
        for pace, most in ((4e6, 32_000), (1e8, 200_000)):
            core = make(pace=pace)
            core.message(proved(b"stream 0 1000 972"), 0.0)
            each(core.outgoing())
            now, found = 0.1, []
            while core.deadline() < 0.1 + TICK / 2:
                now = max(now, core.deadline())
                core.tick(now)
                found += each(core.outgoing())
            self.assertApproximates(sum(map(len, found)), most, 2000)
            self.assertApproximates(core.deadline(), now + TICK, 1e-9)

    def test_catches_up_in_turns(self) -> None:
        """So it is with packets that are late: others have their turn in between."""
        core = make()
        core.message(proved(b"stream 1 200 1000"), 0.0)
        each(core.outgoing())
        core.tick(10.0)
        self.assertEqual(len(each(core.outgoing())), 64)
        self.assertApproximates(core.deadline(), 10 + TICK, 1e-9)
        core.tick(core.deadline())
        self.assertEqual(len(each(core.outgoing())), 64)


class FileTests(SynchronousTestCase):
    """Files."""

    def check(self, found: list[tuple[float, Any]], offset: int, length: int, seed: int) -> None:
        """All pieces of this part came, and three times the end."""
        ready = found[0][1]
        self.assertIsInstance(ready, Ready)
        pieces = [one for _, one in found if isinstance(one, Data)]
        data = b"".join(one.characters for one in pieces)
        self.assertEqual(data, characters(seed, offset, length))
        self.assertEqual((ready.length, ready.count), (length, len(pieces)))
        end = FileEnd(len(pieces), hashlib.sha256(data).hexdigest(), ready.id)
        self.assertEqual([one for _, one in found[-3:]], [end] * 3)
        self.assertEqual(len(found), len(pieces) + 4)

    def test_file(self) -> None:
        """How many, each piece with its offset, how many there were with the digest."""
        play = Playbook(make()).receives(proved(b"#k file 100000 5 50000 7"))
        found = sent(play.wait(5))
        self.check(found, 5, 50_000, 7)
        self.assertEqual([one.offset for _, one in found[1:3]], [5, 1205])
        self.assertEqual({one.id for _, one in found}, {b"k"})
        self.assertTrue(all(len(one.characters) == 1200 for _, one in found[1:-4]))

    def test_nothing(self) -> None:
        """A file of nothing has an end."""
        play = Playbook(make()).receives(proved(b"0")).sends(b"200 ready 0 1200 0").wait(1)
        for _ in range(3):
            play.sends(b"end 0 " + hashlib.sha256(b"").hexdigest().encode())
        play.end()

    def test_pace(self) -> None:
        """It takes as long as its bytes at the pace, with headers, and is even."""
        play = Playbook(make(pace=1028 * 1000.0, piece=1000)).receives(proved(b"500000"))
        found = sent(play.wait(5))
        self.check(found, 0, 500_000, 0)
        for at, one in found[1:-3]:
            planned = one.offset / 1e6
            self.assertTrue(-1e-9 < at - planned < 0.0015, (at, planned))

    def test_turns(self) -> None:
        """However much is due, no more goes out in a turn than its share."""
        core = make(pace=1e12, piece=1000)
        core.message(proved(b"1000000"), 0.0)
        core.outgoing()
        core.tick(TICK)
        self.assertEqual(len(core.outgoing()), TURN // 1000)

    def test_refused(self) -> None:
        """What is beyond the limits needs no proof to be refused."""
        play = Playbook(make()).receives(b"123456790")
        play.sends(b"413 file is 123456790; at most 123456789")
        play.receives(b"#k stream 1 1001").sends(b"#k 413 count is 1001; at most 1000").end()


class AgainTests(SynchronousTestCase):
    """Requests that come again."""

    def test_running(self) -> None:
        """A request with the id of one that runs begins nothing, but says again what it said."""
        core = make()
        play = Playbook(core).receives(proved(b"#k stream 100 5"), proved(b"#k stream 100 5"))
        found = sent(play.wait(5))
        self.assertEqual(sum(isinstance(one, Packet) for _, one in found), 5)
        play.receives(proved(b"#f 100000", 5.0)).does(lambda now: None)
        play.receives(proved(b"#f 100000", 5.0))
        found = sent(play.wait(5))
        self.assertEqual(sum(isinstance(one, Ready) for _, one in found), 2)
        self.assertEqual(sum(isinstance(one, Data) for _, one in found), 84)
        self.assertEqual((core.counters.streams, core.counters.files), (1, 1))

    def test_ended(self) -> None:
        """For 10 s after the end it is told how that was; later it is a new request."""
        play = Playbook(make()).receives(proved(b"#k 5")).wait(9.9)
        end = sent(play)[-1][1]
        play.receives(proved(b"#k 5", 9.9))
        self.assertEqual(sent(play), [(9.9, end)])
        play.wait(0.1).receives(proved(b"#k 5", 10.0))
        self.assertIsInstance(sent(play)[0][1], Ready)

    def test_needs_a_proof(self) -> None:
        """Also what comes again is told only to a proved address."""
        play = Playbook(make()).receives(proved(b"#k 5")).wait(1)
        sent(play)
        play.receives(b"#k 5").sends(b"#k 401 " + TOKENS.make(PEER, 1.0)).end()

    def test_other_request(self) -> None:
        """An id that is taken is not given to another request before that is forgotten."""
        play = Playbook(make()).receives(proved(b"#k 5")).wait(1)
        sent(play)
        conflict = b"#k 409 there is another request with this id"
        play.receives(proved(b"#k 6", 1.0)).sends(conflict)
        play.wait(9).receives(proved(b"#k 6", 10.0))
        self.assertEqual(sent(play)[0][1], Ready(6, 1200, 1, b"k"))

    def test_without_id(self) -> None:
        """Without an id there is one at a time; when it has ended the next is a new one."""
        play = Playbook(make()).receives(proved(b"stream 100 2"), proved(b"stream 100 2"))
        play.receives(proved(b"5")).sends(b"packet 0 0 ".ljust(64, b"."))
        play.sends(b"409 there is another request with this id").wait(1)
        sent(play)
        play.receives(proved(b"stream 100 2", 1.0))
        self.assertEqual(sent(play)[0][1].seq, 0)

    def test_bounded(self) -> None:
        """No more ends are remembered than a number, and each only for its time."""
        core = make()
        play = Playbook(core)
        for number in range(3 * ENDS):
            play.receives(proved(b"#%d 0" % number, play.now)).wait(0.01)
            self.assertLessEqual(len(core._slots), ENDS + 1)
        play.wait(20).receives(proved(b"#x 0", play.now))
        self.assertEqual(list(core._slots), [b"x"])


class QuitTests(SynchronousTestCase):
    """The end of what runs."""

    def begin(self) -> tuple[EchoDatagramCore, Playbook]:
        """Three that run."""
        core = make()
        play = Playbook(core)
        for id in (b"a", b"b", b"c"):
            play.receives(proved(b"#%s stream 1000 100" % id))
        sent(play)
        return core, play

    def test_all(self) -> None:
        """Without an id all stop, without a word, and their places are free."""
        core, play = self.begin()
        self.assertEqual(core._answers.budget.running, 3)
        play.wait(0.5).receives(b"quit").wait(100).silent()
        self.assertEqual(core._answers.budget.running, 0)

    def test_one(self) -> None:
        """With an id that one stops; another id stops nothing."""
        core, play = self.begin()
        play.wait(0.5).receives(b"#b quit", b"#x quit").wait(0.5)
        self.assertEqual([one.id for _, one in sent(play)], [b"a", b"c"])
        self.assertEqual(core._answers.budget.running, 2)

    def test_comes_again(self) -> None:
        """A request that comes again after a quit begins nothing and is told nothing."""
        _, play = self.begin()
        play.receives(b"quit", proved(b"#a stream 1000 100")).wait(9).silent()

    def test_ends(self) -> None:
        """A quit behind the end saves saying it again; one with nothing to stop does nothing."""
        play = Playbook(make()).receives(b"quit", proved(b"#k 0"), b"#k quit", b"quit")
        self.assertEqual(len(sent(play.wait(5))), 2)


class IdleTests(SynchronousTestCase):
    """Peers that are gone."""

    def test_forgotten(self) -> None:
        """A peer that asks nothing for so long is forgotten."""
        core = make(idle=30.0)
        play = Playbook(core).receives(b"a").sends(b"a").wait(29).receives(b"a").sends(b"a")
        play.wait(10**6).tells(Finished("no request for 30 s"), 59.0).end()
        self.assertIsNone(core.deadline())
        self.assertIsNone(make(idle=math.inf).deadline())

    def test_not_in_a_stream(self) -> None:
        """Not while there is something to send; the time counts from the last of that."""
        play = Playbook(make(idle=30.0)).receives(proved(b"stream 100000 2")).wait(110)
        self.assertEqual(len(sent(play)), 5)
        play.wait(10**6).tells(Finished("no request for 30 s"), 130.2).end()

    def test_close(self) -> None:
        """A peer that is forgotten gives back its places."""
        core = make()
        core.message(proved(b"#k stream"), 0.0)
        core.close(1.0)
        core.close(1.0)
        self.assertEqual(core._answers.budget.running, 0)


class BudgetTests(SynchronousTestCase):
    """What peers share."""

    def test_streams(self) -> None:
        """An address with too many has to wait, whatever port it asks from."""
        limits = ServerSettings(streams=1)
        budget, counters = Budget(limits), Counters()
        one, two = (
            EchoDatagramCore(limits, 0.0, TOKENS, PEER, "192.0.2.1", counters, budget)
            for _ in range(2)
        )
        one.message(proved(b"stream"), 0.0)
        play = Playbook(two).receives(b"#k stream", proved(b"#k stream"))
        play.sends(b"#k 401 " + TOKENS.make(PEER, 0.0))
        play.sends(b"#k 429 1000 there are 1 streams of this address")
        play.receives(b"text").sends(b"text").end()
        one.message(b"quit", 0.0)
        play.receives(proved(b"#k 5"))
        self.assertIsInstance(sent(play)[0][1], Ready)

    def test_rate(self) -> None:
        """Several together have the rate of their address, and no more."""
        core = make(rate=100_000.0)
        play = Playbook(core)
        for id in (b"a", b"b"):
            play.receives(proved(b"#%s file 100000 0 100000" % id))
        found = sent(play.wait(20))
        data = [(at, len(one.characters)) for at, one in found if isinstance(one, Data)]
        self.assertEqual(sum(size for _, size in data), 200_000)
        self.assertApproximates(data[-1][0], 1.9, 0.15)
        for at, _ in data:
            past = sum(size for when, size in data if when <= at)
            self.assertLess(past, 100_000 * (at + 0.1) + core._answers.budget.share + 1300)

    def test_rate_of_a_stream(self) -> None:
        """Packets wait for the rate, and are late."""
        play = Playbook(make(rate=10_000.0)).receives(proved(b"stream 1 100 1000"))
        found = sent(play.wait(60))
        packets = [at for at, one in found if isinstance(one, Packet)]
        self.assertEqual(len(packets), 100)
        self.assertApproximates(packets[-1], 9.8, 0.11)
        self.assertGreater(found[-1][1].missed, 80)
