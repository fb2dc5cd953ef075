"""Proof of address."""

import re

from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.arithmetic.replies import ReplyCache
from lab.arithmetic.server import ArithmeticServerCore, Counters
from lab.arithmetic.settings import ServerSettings
from lab.core import Finished
from lab.testing import Playbook
from lab.wire.tokens import ALLOWED, HEADERS, LIFETIME, ProvedCore, Tokens, allowed, with_token

KEY = b"0123456789abcdef"
PEER = "192.0.2.1 5000"
TIMES = st.floats(0, 1e7)
#: 401 and a token, behind an id perhaps.
CHALLENGE = re.compile(rb"(?:#[A-Za-z0-9-]{1,20} )?401 ([A-Za-z0-9_-]{22})")


class TokensTests(SynchronousTestCase):
    """Tokens, made and checked."""

    tokens = Tokens(KEY)

    @settings(deadline=None)
    @given(TIMES, st.floats(0, 29.999999))
    def test_good_for_30_seconds(self, made: float, age: float) -> None:
        """Whenever it was made, a token of less than 30 seconds is good."""
        token = self.tokens.make(PEER, made)
        self.assertRegex(token, rb"\A[A-Za-z0-9_-]{22}\Z")
        self.assertTrue(self.tokens.check(token, PEER, made + age))

    @settings(deadline=None)
    @given(TIMES, st.floats(0, 1e6))
    def test_never_good_for_more_than_60(self, made: float, more: float) -> None:
        """Whenever it was made, a token of 60 seconds or more is not."""
        token = self.tokens.make(PEER, made)
        self.assertFalse(self.tokens.check(token, PEER, made + LIFETIME + more))

    def test_boundaries(self) -> None:
        """One made at the beginning of its time lives longest, one made at its end shortest."""
        longest, shortest = self.tokens.make(PEER, 300.0), self.tokens.make(PEER, 329.999)
        self.assertEqual(longest, shortest)
        self.assertTrue(self.tokens.check(longest, PEER, 359.999))
        self.assertFalse(self.tokens.check(longest, PEER, 360.0))

    def test_not_before_it_was_made(self) -> None:
        """A token of the future is none of ours."""
        self.assertFalse(self.tokens.check(self.tokens.make(PEER, 330.0), PEER, 329.0))

    @settings(deadline=None)
    @given(st.text(max_size=20), st.text(max_size=20))
    def test_other_peer(self, one: str, other: str) -> None:
        """A token is good for the address it was made for, and for no other."""
        token = self.tokens.make(one, 0.0)
        self.assertEqual(self.tokens.check(token, other, 0.0), one == other)

    def test_read(self) -> None:
        """A token stands before the request; only a good one proves the address."""
        good, bad = self.tokens.make(PEER, 0.0), self.tokens.make("other", 0.0)
        for token, proved in ((good, True), (bad, False)):
            found = self.tokens.read(b"token=" + token + b" a b", PEER, 1.0)
            self.assertEqual(found, (b"a b", proved))
        for plain in (b"", b"a b", b"token=", b"token=" + good, b" token=" + good + b" a"):
            self.assertEqual(self.tokens.read(plain, PEER, 1.0), (plain, False))

    def test_form(self) -> None:
        """In a request the token stands first."""
        asked = with_token(b"x" * 22, b"#k +,1,1")
        self.assertEqual(asked, b"token=" + b"x" * 22 + b" #k +,1,1")

    def test_other_key(self) -> None:
        """A token that somebody else signed is no good."""
        self.assertFalse(self.tokens.check(Tokens(KEY[::-1]).make(PEER, 0.0), PEER, 0.0))

    @settings(deadline=None)
    @given(st.binary(max_size=30), st.integers(0, 21), st.sampled_from(b"Az09-_"))
    def test_forged(self, guess: bytes, place: int, byte: int) -> None:
        """Neither a guess nor a token with a byte changed is good."""
        token = self.tokens.make(PEER, 0.0)
        changed = token[:place] + bytes([byte]) + token[place + 1 :]
        self.assertFalse(self.tokens.check(guess, PEER, 0.0))
        self.assertEqual(self.tokens.check(changed, PEER, 0.0), changed == token)

    def test_key_is_not_shown(self) -> None:
        """A log that shows the object does not show the key."""
        self.assertNotIn("0123", repr(self.tokens))


class AllowedTests(SynchronousTestCase):
    """How much an address may have before it is proved."""

    def test_three_times(self) -> None:
        """Three times the bytes, headers counted on each datagram."""
        most = ALLOWED * (5 + HEADERS) - HEADERS
        self.assertTrue(allowed([], 0))
        self.assertTrue(allowed([b"x" * most], 5))
        self.assertFalse(allowed([b"x" * (most + 1)], 5))
        self.assertFalse(allowed([b"x" * (most // 2)] * 2, 5))


@define
class Talker:
    """A core that answers each message with messages of the sizes that it was given."""

    sizes: list[int]
    asked: list[bytes] = field(factory=list)
    _outgoing: list[bytes] = field(factory=list)
    _events: list[object] = field(factory=list)

    def message(self, data: bytes, now: float) -> None:
        """Answer at length."""
        self.asked.append(data)
        self._outgoing += [b"x" * size for size in self.sizes]

    def tick(self, now: float) -> None:
        """Say one more thing."""
        self._outgoing.append(b"tick %g" % now)

    def close(self, now: float) -> None:
        """Say so."""
        self._events.append(Finished("closed"))

    def outgoing(self) -> list[bytes]:
        """The answers."""
        out, self._outgoing = self._outgoing, []
        return out

    def events(self) -> list[object]:
        """What it said."""
        events, self._events = self._events, []
        return events

    def deadline(self) -> float | None:
        """One for all times."""
        return 7.0


def weight(messages: list[bytes]) -> int:
    """What these datagrams take on the network, in bytes."""
    return sum(len(message) + HEADERS for message in messages)


class ProvedCoreTests(SynchronousTestCase):
    """A core behind a check of the address."""

    def setUp(self) -> None:
        """A core that can be made to say anything."""
        self.talker = Talker([500])
        self.tokens = Tokens(KEY)
        self.core = ProvedCore(self.talker, PEER, self.tokens)

    def ask(self, data: bytes, now: float = 0.0) -> list[bytes]:
        """What is answered to this message."""
        self.core.message(data, now)
        return self.core.outgoing()

    def ask_proved(self, data: bytes, now: float, made: float) -> list[bytes]:
        """What is answered to this message with a token that was made at that time."""
        return self.ask(b"token=%s %s" % (self.tokens.make(PEER, made), data), now)

    @settings(deadline=None, max_examples=300)
    @given(
        st.binary(max_size=60) | st.from_regex(rb"(token=[\w-]{22} )?(#[\w-]{1,20} )?[+,0-9]{0,9}"),
        st.lists(st.integers(0, 250), max_size=4),
    )
    def test_never_more_than_three_times(self, data: bytes, sizes: list[int]) -> None:
        """Whatever comes without proof, and whatever is answered, not more is sent."""
        self.talker.sizes = sizes
        answers = self.ask(data)
        self.assertTrue(weight(answers) <= ALLOWED * (len(data) + HEADERS))
        answered = [len(answer) for answer in answers] == sizes
        self.assertTrue(answered or CHALLENGE.fullmatch(*answers))

    def test_limit_is_exact(self) -> None:
        """Three times is allowed, a byte more is not."""
        request = b"x" * 10
        most = ALLOWED * (len(request) + HEADERS) - HEADERS
        for size, challenged in [(most, 0), (most + 1, 1)]:
            self.talker.sizes = [size]
            self.ask(request)
            self.assertEqual(self.core.challenged, challenged)

    def test_id_is_kept(self) -> None:
        """A challenge carries the id of its request, so that its sender knows what to repeat."""
        token = self.tokens.make(PEER, 0.0)
        self.assertEqual(self.ask(b"#k3 x", 0.0), [b"#k3 401 " + token])
        self.assertEqual(self.ask(b"x", 0.0), [b"401 " + token])

    def test_proved(self) -> None:
        """With its token a request is answered at any length, and handed on without it."""
        self.assertEqual(self.ask_proved(b"#k3 x", 50.0, made=30.0), [b"x" * 500])
        self.assertEqual((self.talker.asked, self.core.challenged), ([b"#k3 x"], 0))

    def test_expired(self) -> None:
        """With a token that is too old the answer is a new token, and the id is found behind it."""
        self.assertEqual(
            self.ask_proved(b"#k3 x", 90.0, made=30.0),
            [b"#k3 401 " + self.tokens.make(PEER, 90.0)],
        )
        self.assertEqual(self.talker.asked, [b"#k3 x"])

    def test_token_of_another(self) -> None:
        """A token that was made for another address proves nothing."""
        token = self.tokens.make("198.51.100.7 5000", 0.0)
        answers = self.ask(b"token=%s x" % token)
        self.assertEqual(answers, [b"401 " + self.tokens.make(PEER, 0.0)])

    def test_not_quite_a_token(self) -> None:
        """What only begins like a token is handed on as it is."""
        for data in (b"token=", b"token=abc x", b"token=" + b"x" * 23 + b" y", b"Token=abc"):
            self.ask(data)
            self.assertEqual(self.talker.asked.pop(), data)

    def test_other_verbs(self) -> None:
        """Ticks, ends, events and deadlines are those of the core behind."""
        play = Playbook(self.core)
        self.assertEqual(self.core.deadline(), 7.0)
        play.does(self.core.tick).sends(b"tick 0")
        play.closes().tells(Finished("closed")).end()


class ExecutedOnceTests(SynchronousTestCase):
    """The challenge and the reply cache of a server together."""

    def test_executed_once(self) -> None:
        """The request that is repeated with its token is answered from the cache."""
        counters, replies = Counters(), ReplyCache(10, 10_000)
        server = ArithmeticServerCore(ServerSettings(), 0.0, counters, PEER, replies)
        core = ProvedCore(server, PEER, Tokens(KEY))
        request = b"#k3 **,10,1000"
        core.message(request, 0.0)
        token = CHALLENGE.fullmatch(*core.outgoing())[1]
        play = Playbook(core, 0.1)
        for _ in range(2):
            play.receives(b"token=%s %s" % (token, request)).sends(b"#k3 200,1" + b"0" * 1000)
        play.end()
        self.assertEqual((counters.executed, counters.repeated, core.challenged), (1, 2, 1))
