"""The answering side."""

import math
from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.arithmetic.numbers import OPERATORS
from lab.arithmetic.replies import ReplyCache
from lab.arithmetic.server import TURN, ArithmeticServerCore, Counters, answer_sums
from lab.arithmetic.settings import ServerSettings
from lab.arithmetic.wire import LIMIT
from lab.core import Finished
from lab.testing import Playbook
from lab.wire.lines import LineReader
from tests.helpers import thorough


def make_core(**settings_of: float) -> ArithmeticServerCore:
    """A server core for one peer that came at 0 s."""
    return ArithmeticServerCore(ServerSettings(**settings_of), 0.0)


def one_by_one(lines: Sequence[bytes]) -> tuple[list[bytes], Counters]:
    """The answers to these lines, each alone, and what was counted."""
    core = make_core()
    for line in lines:
        core.message(line, 0.0)
    return core.outgoing(), core.counters


def joined(lines: Sequence[bytes], ending: bytes = b"\n") -> bytes:
    """These lines, each with its ending."""
    return b"".join(line + ending for line in lines)


class AnswerTests(SynchronousTestCase):
    """Requests and their answers."""

    def assertAnswers(self, *pairs: tuple[bytes, bytes]) -> None:
        """Each of these requests has this answer, and with an id the same one behind it."""
        play = Playbook(make_core())
        for request, answer in pairs:
            play.receives(request).sends(answer)
            play.receives(b"#k3-7 " + request).sends(b"#k3-7 " + answer)
        play.end()

    def test_operators(self) -> None:
        """One and one is two, and so on."""
        self.assertAnswers(
            (b"+,1,1", b"200,2"),
            (b"-,1,2", b"200,-1"),
            (b"*,6,7", b"200,42"),
            (b"/,6,3", b"200,2"),
            (b"/,7,2", b"200,3.5"),
            (b"/,1,3", b"200,0.3333333333333333"),
            (b"//,-7,2", b"200,-4"),
            (b"%,-7,2", b"200,1"),
            (b"**,2,100", b"200,1267650600228229401496703205376"),
            (b"**,2,-1", b"200,0.5"),
            (b"+,0.1,0.2", b"200,0.30000000000000004"),
            (b"*,1.5,2", b"200,3.0"),
            (b"+,-0,+007", b"200,7"),
        )

    def test_wrong_requests(self) -> None:
        """Whatever is wrong, the answer is the same."""
        wrong = [b"/,1,0", b"%,1,0", b"//,1,0", b"/,1,0.0", b"**,0,-1"]
        wrong += [b"", b"+", b"+,1", b"+,1,1,1", b",,", b"hello", b"^,1,1", b"sum,1,1"]
        wrong += [b"+,nan,1", b"+,inf,1", b"+,-inf,1", b"+,1_0,1", b"+, 1,1", b"+,1 ,1", b"+,,1"]
        wrong += [b"+,0x1,1", b"+,one,1", b"+,1e999,1", b"*,1e308,10", b"**,-8,0.5", b"+,1,1\r"]
        wrong += [b"**,9,99999999", b"**,10,4300", b"**,2,14285", b"**,-3,-99999999"]
        self.assertAnswers(*[(request, b"300,-1") for request in wrong])

    def test_wrong_ids(self) -> None:
        """An id that is wrong makes a wrong request, and is not echoed."""
        play = Playbook(make_core())
        for request in (b"#k_3 +,1,1", b"# +,1,1", b"#k3+,1,1", b"#" + b"x" * 21 + b" +,1,1"):
            play.receives(request).sends(b"300,-1")
        play.end()

    def test_largest_result(self) -> None:
        """A result of 4,300 digits is given, one of 4,301 is not."""
        play = Playbook(make_core())
        play.receives(b"**,10,4299").sends(b"200,1" + b"0" * 4299)
        play.receives(b"#k **,-10,4299").sends(b"#k 200,-1" + b"0" * 4299)
        play.receives(b"**,10,4300").sends(b"300,-1").end()

    def test_too_long(self) -> None:
        """A line of the limit is answered; a longer one is refused, and ends the connection."""
        longest = b"+,1," + b"0" * (LIMIT - 5) + b"1"
        play = Playbook(make_core()).receives(longest).sends(b"200,2").silent()
        play.receives(longest + b"1").sends(b"300,-1")
        play.tells(Finished("a line of more than 1,024 bytes")).end()

    def test_counters(self) -> None:
        """What is computed and what is refused is counted, over all peers."""
        counters = Counters()
        for _ in range(2):
            core = ArithmeticServerCore(ServerSettings(), 0.0, counters)
            for request in (b"+,1,1", b"/,1,0", b"", b"*,2,3"):
                core.message(request, 0.0)
        self.assertEqual(counters, Counters(executed=4, refused=4))

    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=60))
    def test_any_bytes(self, data: bytes) -> None:
        """Whatever comes has one answer of one line, and the core goes on."""
        core = make_core()
        core.message(data, 0.0)
        core.message(b"+,1,1", 0.0)
        answer, after = core.outgoing()
        self.assertRegex(answer, rb"\A(#[A-Za-z0-9-]{1,20} )?(200,[-+.e0-9]+|300,-1)\Z")
        self.assertEqual(after, b"200,2")


class IdleTests(SynchronousTestCase):
    """Peers that say nothing."""

    def test_idle(self) -> None:
        """After the limit without a request the connection ends."""
        play = Playbook(make_core(idle=30.0)).wait(29.9).silent()
        play.wait(1).tells(Finished("no request for 30 s"), 30.0).end()

    def test_only_once(self) -> None:
        """Who has been told once is not told again: there is nothing more to wait for."""
        core = make_core(idle=30.0)
        Playbook(core).wait(30.0).tells(Finished("no request for 30 s")).wait(999).end()
        self.assertIsNone(core.deadline())

    def test_every_request_counts(self) -> None:
        """Every request gives the peer the whole time again, a wrong one and a batch too."""
        core = make_core(idle=30.0)
        play = Playbook(core).wait(20).receives(b"hello").sends(b"300,-1")
        self.assertEqual(core.deadline(), 50.0)
        play.wait(20).does(lambda now: core.messages([b"+,1,1"] * 9, now))
        self.assertEqual(core.deadline(), 70.0)
        play.wait(20).does(lambda now: core.messages([b"/,1,0"], now))
        self.assertEqual(core.deadline(), 90.0)

    def test_never(self) -> None:
        """Without a limit there is no deadline."""
        self.assertIsNone(make_core(idle=math.inf).deadline())

    def test_close(self) -> None:
        """The end of a peer needs no answer."""
        Playbook(make_core()).closes().end()


class RepeatedTests(SynchronousTestCase):
    """Requests that come again."""

    def make(self, entries: int = 10, peer: str = "a") -> ArithmeticServerCore:
        """A core with a reply cache."""
        self.counters = Counters()
        self.replies = ReplyCache(entries, 100_000)
        return ArithmeticServerCore(ServerSettings(), 0.0, self.counters, peer, self.replies)

    def test_executed_once(self) -> None:
        """However often a request with an id comes, it is executed once, right or wrong."""
        play = Playbook(self.make())
        for _ in range(5):
            play.receives(b"#1 +,1,1").sends(b"#1 200,2")
            play.receives(b"#2 /,1,0").sends(b"#2 300,-1")
        play.end()
        self.assertEqual(self.counters, Counters(executed=1, refused=1, repeated=8))

    def test_without_id(self) -> None:
        """A request without an id is a new one each time, and takes no room."""
        Playbook(self.make()).receives(b"+,1,1", b"+,1,1").sends(b"200,2").sends(b"200,2").end()
        self.assertEqual((self.counters.executed, len(self.replies)), (2, 0))

    def test_too_long(self) -> None:
        """What is too long for a request takes no room either, whatever id it begins with."""
        message = b"#1 +,1," + b"1" * 60_000
        play = Playbook(self.make()).receives(message).sends(b"300,-1")
        play.tells(Finished("a line of more than 1,024 bytes")).end()
        self.assertEqual(len(self.replies), 0)

    def test_same_id_other_request(self) -> None:
        """An id that is used again for another question gets no old answer."""
        play = Playbook(self.make())
        play.receives(b"#1 +,1,1").sends(b"#1 200,2").receives(b"#1 +,1,2").sends(b"#1 200,3").end()

    def test_same_id_other_peer(self) -> None:
        """The same id of another peer is another request."""
        one = self.make()
        other = ArithmeticServerCore(ServerSettings(), 0.0, self.counters, "b", self.replies)
        for core in (one, other):
            Playbook(core).receives(b"#1 +,1,1").sends(b"#1 200,2").end()
        self.assertEqual(self.counters, Counters(executed=2))

    def test_forgotten(self) -> None:
        """What the cache had to let go is executed again."""
        play = Playbook(self.make(entries=1))
        for request in (b"#1 +,1,1", b"#2 +,1,1", b"#1 +,1,1"):
            play.receives(request)
        self.assertEqual((self.counters.executed, self.replies.evicted), (3, 2))


# Lines that are sums, and lines that are nearly: of other arity, with spaces, signs, dots, ids.
DIGITS = st.from_regex(rb"[+-]?[0-9]{1,12}", fullmatch=True)
OPERANDS = DIGITS | st.sampled_from([b"9" * 480, b"-" + b"7" * 490, b"+0", b"00012"])
IDS = st.from_regex(rb"#[A-Za-z0-9-]{1,20} ", fullmatch=True)
HEADS = st.builds(bytes.__add__, st.just(b"") | IDS, st.sampled_from([b"+", b"-", b"*"]))
SUMS = st.tuples(HEADS, OPERANDS, OPERANDS).map(b",".join)
ODD_HEADS = st.sampled_from(
    [
        *(b"/", b"//", b"%", b"**", b"", b" +", b"+ ", b"+-", b"++", b"#k+", b"# +", b"#k  +"),
        *(
            b"#k_3 +",
            b"#" + b"k" * 21 + b" +",
            b"#k #k +",
            b"#k ",
            b"#k\t+",
            b"1",
            b"\r+",
            b"token",
        ),
    ]
)
ODD_OPERANDS = st.sampled_from(
    [
        *(
            b"",
            b" ",
            b" 1",
            b"1 ",
            b"1_0",
            b"+",
            b"-",
            b"--1",
            b"+-1",
            b"1-",
            b"1+1",
            b"1.5",
            b"1.",
        ),
        *(b"1e3", b"nan", b"1\r", b"\r", b"\r1", b"\t1", b"\x0b1", b"\xd9\xa3", b"1\x00", b"1 2"),
        *(b"1,", b",1", b"1,+,1", b"9" * 1017, b"9" * 1030, b"#k +", b"0x1", b"%d", b"1,1,#k *"),
    ]
)
HEADS_OF_ANY_KIND, OPERANDS_OF_ANY_KIND = HEADS | ODD_HEADS, OPERANDS | ODD_OPERANDS
FIELDS = HEADS_OF_ANY_KIND | OPERANDS_OF_ANY_KIND
NEARLY = st.one_of(
    st.tuples(HEADS_OF_ANY_KIND, OPERANDS_OF_ANY_KIND, OPERANDS_OF_ANY_KIND).map(b",".join),
    st.tuples(HEADS, OPERANDS, ODD_OPERANDS).map(b",".join),
    st.lists(FIELDS, max_size=7).map(b",".join),
)
LINES = SUMS | SUMS | SUMS | NEARLY
#: Lines of what long batches are made of.
ALMOST_LISTED = st.lists(st.sampled_from(b"+-*,,0123"), max_size=9).map(bytes)
#: Lines whose fields add up to as many as three each.
UNEVEN = st.lists(
    st.integers(1, 5).flatmap(lambda n: st.lists(FIELDS, min_size=n, max_size=n).map(b",".join)),
    min_size=1,
    max_size=9,
)


class BatchTests(SynchronousTestCase):
    """Many requests at once."""

    def assertAsOneByOne(self, lines: list[bytes]) -> None:
        """Both ways that take many lines answer and count as the one that takes one does."""
        expected, counters = one_by_one(lines)
        answers = answer_sums(joined(lines), len(lines))
        if answers is not None:
            self.assertEqual(answers, joined(expected))
            self.assertEqual(counters, Counters(executed=len(lines)))
        core = make_core()
        rest = lines
        while rest:
            taken = core.messages(rest, 0.0)
            self.assertGreater(taken, 0)
            rest = rest[taken:]
        self.assertEqual(b"\n".join(core.outgoing()), b"\n".join(expected))
        self.assertEqual(core.counters, counters)

    @settings(deadline=None, max_examples=300)
    @given(st.lists(LINES, max_size=9) | st.lists(SUMS, max_size=9) | UNEVEN)
    @example([b"+,1", b"1,+,1,1"])
    @example([b"#a +,1,1", b"+,1,--1"])
    @example([b"+,1,1,1", b"1,1"])
    @example([b"+,1,1", b"", b"+,1,1,+,1,1"])
    @example([b"+,1", b",1", b"+,1,1", b"+,1,1", b"+,1,1"])
    @example([b"#a +,1,1", b"+", b",1,1", b"+,1,1", b"+,1,1"])
    def test_as_one_by_one(self, lines: list[bytes]) -> None:
        """Whatever the lines, their answers are those that each gets alone."""
        self.assertAsOneByOne(lines)

    @thorough
    @settings(deadline=None, max_examples=2_500)
    @given(st.lists(LINES, max_size=12) | UNEVEN)
    def test_as_one_by_one_at_length(self, lines: list[bytes]) -> None:
        """The same, for longer."""
        self.assertAsOneByOne(lines)

    @settings(deadline=None)
    @given(st.lists(ALMOST_LISTED, min_size=1, max_size=4))
    @example([b"1+,1,1"])
    @example([b"0+,1,1"])
    @example([b"+0,1,1"])
    @example([b"1,+,1"])
    @example([b"+,,1"])
    @example([b"+,1,"])
    @example([b"+,00,1"])
    @example([b"+,1,01"])
    @example([b"+,+1,-0"])
    @example([b"12,3"])
    @example([b"+,1", b"1,+,1,1"])
    def test_behind_many(self, lines: list[bytes]) -> None:
        """Behind so many sums that all are read as one list, lines get what they get alone."""
        self.assertAsOneByOne([*[b"+,1,1", b"-,2,3", b"*,4,5"] * 60, *lines])

    @settings(deadline=None)
    @given(st.lists(SUMS, min_size=1, max_size=9), NEARLY, st.integers(0, 9))
    def test_one_that_is_no_sum(self, lines: list[bytes], odd: bytes, place: int) -> None:
        """One line that is no sum between others is answered alike, wherever it stands."""
        self.assertAsOneByOne([*lines[:place], odd, *lines[place:]])

    @settings(deadline=None)
    @given(st.lists(SUMS, min_size=1, max_size=20))
    def test_sums_are_taken_whole(self, lines: list[bytes]) -> None:
        """A batch of sums is answered as a whole."""
        self.assertEqual(answer_sums(joined(lines), len(lines)), joined(one_by_one(lines)[0]))

    def test_answers_in_one(self) -> None:
        """The answers of a batch of sums are one message, in order."""
        core = make_core()
        lines = [b"+,%d,1" % n for n in range(1000)]
        self.assertEqual(core.messages(lines, 0.0), 1000)
        self.assertEqual(core.outgoing(), [b"\n".join(b"200,%d" % n for n in range(1, 1001))])

    def test_not_lines(self) -> None:
        """What holds a line ending is no line, and not taken for two."""
        core = make_core()
        core.messages([*[b"+,1,1"] * 5, b"+,1,1\n+,1,1"], 0.0)
        self.assertEqual(core.outgoing(), [b"200,2"] * 5 + [b"300,-1"])

    def test_all_operators(self) -> None:
        """A batch with every operator is answered in order."""
        lines = [b"%s,7,2" % operator.encode() for operator in OPERATORS] * 3
        self.assertAsOneByOne(lines)

    def test_turn(self) -> None:
        """A batch of long answers is left once they have so many bytes, and goes on after it."""
        core, lines = make_core(), [b"**,10,4299"] * 40
        taken = core.messages(lines, 0.0)
        size = sum(map(len, core.outgoing()))
        self.assertTrue(TURN <= size < TURN + 5000, size)
        self.assertEqual(taken, size // 4304)
        self.assertEqual(core.messages(lines[taken:], 0.0), taken)

    def test_too_long(self) -> None:
        """A line that is too long, which is the last of its batch, ends the connection."""
        core = make_core()
        lines = [b"+,1,1"] * 5 + [b"+,1," + b"1" * LIMIT]
        Playbook(core).does(lambda now: core.messages(lines[:6], now))
        core.messages(lines, 0.0)
        self.assertEqual(core.outgoing(), [b"200,2"] * 5 + [b"300,-1"])
        self.assertEqual(core.events(), [Finished("a line of more than 1,024 bytes")])


class PromptTests(SynchronousTestCase):
    """Batches that are answered with nothing but bytes."""

    @settings(deadline=None)
    @given(st.lists(SUMS, min_size=1, max_size=8), st.sampled_from([b"\n", b"\r\n"]))
    def test_sums(self, lines: list[bytes], ending: bytes) -> None:
        """Sums are, with the bytes that the other verbs give."""
        core = make_core()
        self.assertEqual(core.reply(joined(lines, ending), 7.0), joined(one_by_one(lines)[0]))
        self.assertEqual((core.outgoing(), core.events(), core.deadline()), ([], [], 307.0))
        self.assertEqual(core.counters.executed, len(lines))

    @settings(deadline=None)
    @given(
        st.lists(LINES | UNEVEN.map(b"\n".join) | st.binary(max_size=12), min_size=1, max_size=6)
    )
    @example([b"+,1,1", b"/,1,0"])
    @example([b"+,1," + b"1" * LIMIT])
    @example([b"+,1," + b"1" * (LIMIT - 4)])
    @example([b"+,1," + b"1" * (LIMIT - 3)])
    @example([b"+,1,\xb2"])
    @example([b"+,1,1\r"])
    @example([b"+,1,1\r\r", b"+,1,1"])
    @example([b"+,1,1", b"", b"+,1,1"])
    @example([b"", b"+,1,1"])
    def test_whatever(self, lines: list[bytes]) -> None:
        """Anything else either is as well, or nothing has happened."""
        core = make_core()
        before = core.deadline()
        answers = core.reply(joined(lines), 7.0)
        if answers is None:
            self.assertEqual((core.counters, core.deadline()), (Counters(), before))
        else:
            read = LineReader(LIMIT).feed(joined(lines))
            self.assertEqual(answers, joined(one_by_one(read)[0]))
            self.assertEqual(core.counters.executed, len(read))

    def test_limit(self) -> None:
        """A line of the limit is answered, wherever it stands; one of a byte more is not."""
        short = [b"+,1,1"] * 300
        for place in (0, 1, 150, 300):
            for size in (LIMIT, LIMIT + 1):
                line = b"-,0," + b"0" * (size - 4)
                lines = [*short[:place], line, *short[place:]]
                answers = make_core().reply(joined(lines), 0.0)
                wanted = joined(one_by_one(lines)[0]) if size == LIMIT else None
                self.assertEqual(answers, wanted)

    def test_with_a_cache(self) -> None:
        """A core with a reply cache has to look there first."""
        core = ArithmeticServerCore(ServerSettings(), 0.0, replies=ReplyCache(10, 1000))
        self.assertIsNone(core.reply(b"#a +,1,1\n", 0.0))
