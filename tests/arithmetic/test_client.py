"""The asking side."""

from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from lab.arithmetic.client import (
    CHALLENGES,
    TOLERANCE,
    Answered,
    ArithmeticClientCore,
    GaveUp,
    Lost,
    Traffic,
)
from lab.arithmetic.replies import ReplyCache
from lab.arithmetic.server import ArithmeticServerCore, Counters
from lab.arithmetic.settings import ClientSettings, ServerSettings
from lab.arithmetic.wire import LIMIT, REPLY_LIMIT, Reply
from lab.backoff import Backoff
from lab.core import Finished
from lab.errors import LocalError
from lab.rng import Random, stream
from lab.testing import Fate, Pair, Playbook
from lab.wire.ids import read_id
from lab.wire.tokens import ProvedCore, Tokens
from tests.helpers import thorough

SCHEDULE = Backoff(first=0.1, cap=2.0)
TOKEN = b"abcdefghijklmnopqrstuv"


class ClientCase(SynchronousTestCase):
    """A test case with a client core that is called ``a``."""

    def make(
        self,
        retry: Backoff = SCHEDULE,
        *,
        deadline: float | None = None,
        repeat: bool = False,
        opened: bool = True,
    ) -> Playbook:
        """The play of a core, with a way to its server or still without."""
        asked = ClientSettings(retry, deadline=deadline, repeat=repeat)
        self.core = ArithmeticClientCore(asked, "a", stream(7, "jitter"))
        self.traffic = self.core.traffic
        play = Playbook(self.core)
        return play.does(self.core.open) if opened else play

    def ask(self, body: bytes = b"+,1,1") -> Callable[[float], object]:
        """The command that asks."""
        return lambda now: self.core.ask(body, now)


class AskTests(ClientCase):
    """Questions and their answers."""

    def test_answer(self) -> None:
        """A request is sent with an id, and its answer told with that number."""
        play = self.make().does(self.ask()).sends(b"#a-1 +,1,1", 0.0).wait(0.05)
        play.receives(b"#a-1 200,2").tells(Answered(1, Reply(200, 2, id=b"a-1"), 1, 0.05))
        play.wait(9).end()
        self.assertIsNone(self.core.deadline())
        self.assertEqual(self.traffic, Traffic(requests=1, sent=1, answered=1))

    def test_refusal(self) -> None:
        """A refusal is an answer too."""
        play = self.make().does(self.ask(b"hello")).sends(b"#a-1 hello")
        play.receives(b"#a-1 300,-1").tells(Answered(1, Reply(300, id=b"a-1"), 1, 0.0)).end()

    def test_any_order(self) -> None:
        """Any number of requests are in flight, and may be answered in any order."""
        play = self.make()
        for number in range(1, 6):
            play.does(self.ask(b"+,0,%d" % number)).sends(b"#a-%d +,0,%d" % (number, number))
        self.assertEqual(self.core.waiting, 5)
        for number in (3, 1, 5, 4, 2):
            id = b"a-%d" % number
            play.receives(b"#%s 200,%d" % (id, number))
            play.tells(Answered(number, Reply(200, number, id=id), 1, 0.0))
        play.wait(9).end()
        self.assertEqual(self.core.waiting, 0)

    def test_not_a_line(self) -> None:
        """What would be two lines is refused, and takes no number."""
        self.make()
        for body in (b"+,1,1\n+,2,2", b"\n", b"+,1,1\r"):
            self.assertRaises(LocalError, self.core.ask, body, 0.0)
        self.assertEqual((self.core.ask(b"+,1,1", 0.0), self.core.waiting), (1, 1))

    def test_too_long(self) -> None:
        """Id and request together have 1,024 bytes at most; the error says what is left."""
        self.make()
        self.core.ask(b"x" * (LIMIT - 5), 0.0)
        self.assertEqual([len(message) for message in self.core.outgoing()], [LIMIT])
        error = self.assertRaises(LocalError, self.core.ask, b"x" * (LIMIT - 4), 0.0)
        self.assertEqual(str(error), "request has 1,020 bytes; give at most 1,019")


class ScheduleTests(ClientCase):
    """When a request is sent again, and when it is given up."""

    def assertSends(self, play: Playbook, *times: float) -> None:
        """The first request is sent at just these times."""
        for at in times:
            play.sends(b"#a-1 +,1,1", at)

    def test_backoff(self) -> None:
        """It is sent at 0, 0.1, 0.3, 0.7 and 1.5 s, and given up at 3.1 s."""
        play = self.make().does(self.ask()).wait(9)
        self.assertSends(play, 0.0, 0.1, 0.3, 0.7, 1.5)
        play.tells(GaveUp(1, attempts=5, waited=3.1), 3.1).end()
        self.assertEqual(self.traffic, Traffic(requests=1, sent=5, gave_up=1))

    def test_no_backoff(self) -> None:
        """Without backoff one attempt is made."""
        play = self.make(Backoff.fixed(0.5)).does(self.ask()).wait(9)
        self.assertSends(play, 0.0)
        play.tells(GaveUp(1, attempts=1, waited=0.5), 0.5).end()

    def test_cap(self) -> None:
        """A higher cap gives more attempts, and the waits go on doubling."""
        play = self.make(Backoff(first=0.1, cap=4.0)).does(self.ask()).wait(9)
        self.assertSends(play, 0.0, 0.1, 0.3, 0.7, 1.5, 3.1)
        play.tells(GaveUp(1, attempts=6, waited=6.3), 6.3).end()

    def test_attempts(self) -> None:
        """The number of attempts ends it before the cap does."""
        play = self.make(Backoff(first=0.1, cap=2.0, attempts=3)).does(self.ask()).wait(9)
        self.assertSends(play, 0.0, 0.1, 0.3)
        play.tells(GaveUp(1, attempts=3, waited=0.7), 0.7).end()

    def test_deadline(self) -> None:
        """A request's deadline ends it in the middle of an attempt."""
        play = self.make(deadline=1.0).does(self.ask()).wait(9)
        self.assertSends(play, 0.0, 0.1, 0.3, 0.7)
        play.tells(GaveUp(1, attempts=4, waited=1.0), 1.0).end()

    def test_deadline_beyond_the_attempts(self) -> None:
        """A deadline that is later than the last attempt changes nothing."""
        play = self.make(Backoff.fixed(0.5), deadline=9.0).does(self.ask()).wait(99)
        self.assertSends(play, 0.0)
        play.tells(GaveUp(1, attempts=1, waited=0.5), 0.5).end()

    def test_jitter(self) -> None:
        """Each wait is the one that the stream gives, and within its bounds."""
        policy = Backoff(first=0.1, cap=2.0, jitter=0.5)
        play, at = self.make(policy).does(self.ask()).wait(99), 0.0
        plain = policy.waits()
        for wait in policy.waits(stream(7, "jitter")):
            play.sends(b"#a-1 +,1,1", at)
            self.assertTrue(0.5 <= wait / next(plain) <= 1.5)
            at += wait
        play.tells(GaveUp(1, attempts=5, waited=at), at).end()

    def test_each_request_its_own(self) -> None:
        """Requests that were asked at different times wait for themselves."""
        play = self.make(Backoff.fixed(0.5)).does(self.ask()).wait(0.3).does(self.ask()).wait(9)
        play.sends(b"#a-1 +,1,1", 0.0).sends(b"#a-2 +,1,1", 0.3)
        play.tells(GaveUp(1, 1, 0.5), 0.5).tells(GaveUp(2, 1, 0.5), 0.8).end()

    def test_shortest_timeout(self) -> None:
        """A timeout of a millisecond still sends, even after a long wait for a way."""
        play = self.make(Backoff.fixed(0.001), opened=False).does(self.ask()).wait(60).silent()
        play.does(self.core.open).wait(1)
        self.assertSends(play, 60.0)
        play.tells(GaveUp(1, attempts=1, waited=60.001), 60.001).end()

    def test_late_timer(self) -> None:
        """A timer that comes a little late moves nothing that follows."""
        play = self.make().does(self.ask()).sends(b"#a-1 +,1,1")
        self.core.tick(0.1 + 0.2 * TOLERANCE * 0.99)
        self.assertTrue(abs(self.core.deadline() - 0.3) < 1e-9)
        play.does(lambda _: None).sends(b"#a-1 +,1,1").end()

    def test_much_too_late(self) -> None:
        """When all stood still, an attempt waits for its whole time from when it is made."""
        self.make().does(self.ask())
        self.core.tick(50.0)
        self.assertEqual((len(self.core.outgoing()), self.core.deadline()), (1, 50.2))

    def test_tick_too_early(self) -> None:
        """A tick before the time does nothing."""
        play = self.make().does(self.ask()).sends(b"#a-1 +,1,1")
        play.wait(0.05).does(self.core.tick).silent()
        play.wait(0.05).sends(b"#a-1 +,1,1", 0.1).end()


class LateTests(ClientCase):
    """Answers that nobody waits for."""

    def test_late(self) -> None:
        """An answer after giving up is counted, and not taken for that of the next request."""
        play = self.make(Backoff.fixed(0.5)).does(self.ask()).wait(1).does(self.ask(b"*,6,7"))
        play.sends(b"#a-1 +,1,1").tells(GaveUp(1, 1, 0.5)).sends(b"#a-2 *,6,7")
        play.receives(b"#a-1 200,2").silent().receives(b"#a-2 200,42")
        play.tells(Answered(2, Reply(200, 42, id=b"a-2"), 1, 0.0)).end()
        self.assertEqual((self.traffic.late, self.traffic.answered), (1, 1))

    def test_duplicate(self) -> None:
        """An answer that is there twice is told once."""
        play = self.make().does(self.ask()).sends(b"#a-1 +,1,1")
        play.receives(b"#a-1 200,2", b"#a-1 200,2")
        play.tells(Answered(1, Reply(200, 2, id=b"a-1"), 1, 0.0)).end()
        self.assertEqual((self.traffic.late, self.traffic.answered), (1, 1))

    def test_of_others(self) -> None:
        """Answers with no id, or with that of another connection, are nobody's."""
        play = self.make().does(self.ask()).sends(b"#a-1 +,1,1")
        for answer in (b"200,2", b"300,-1", b"#b-1 200,2", b"#a-2 200,2", b"401 " + TOKEN):
            play.receives(answer).silent()
        self.assertEqual((self.traffic.late, self.core.waiting), (5, 1))

    def test_cancelled(self) -> None:
        """A request that was cancelled is not sent again, tells nothing, and its answer is late."""
        play = self.make().does(self.ask()).sends(b"#a-1 +,1,1")
        play.does(lambda _: self.core.cancel(1))
        self.assertIsNone(self.core.deadline())
        play.wait(9).receives(b"#a-1 200,2").end()
        self.assertEqual((self.traffic.late, self.core.waiting), (1, 0))

    def test_cancelled_twice(self) -> None:
        """What has ended, or never was, can be cancelled without harm."""
        play = self.make().does(self.ask()).sends(b"#a-1 +,1,1")
        for number in (1, 1, 7):
            self.core.cancel(number)
        play.does(self.ask()).sends(b"#a-2 +,1,1").end()

    def test_cancelled_beside_others(self) -> None:
        """The timers of others stay when one is cancelled."""
        play = self.make(Backoff.fixed(0.5)).does(self.ask()).does(self.ask())
        play.sends(b"#a-1 +,1,1").sends(b"#a-2 +,1,1").does(lambda _: self.core.cancel(1))
        play.wait(9).tells(GaveUp(2, 1, 0.5), 0.5).end()


class MalformedTests(ClientCase):
    """What is no answer."""

    def test_counted(self) -> None:
        """It is counted and dropped, and the request goes on waiting."""
        play = self.make().does(self.ask()).sends(b"#a-1 +,1,1")
        for data in (b"", b"hello", b"#a-1 200,nan", b"#a-1 500,1", b"\x00" * REPLY_LIMIT):
            play.receives(data).silent()
        self.assertEqual((self.traffic.malformed, self.core.waiting), (5, 1))

    def test_too_long(self) -> None:
        """What is longer than any answer ends the connection: what follows can't be read."""
        play = self.make().receives(b"2" * (REPLY_LIMIT + 1))
        play.tells(Finished(f"not a reply: {b'2' * 40!r}")).end()
        self.assertEqual(self.traffic.malformed, 1)


class WayTests(ClientCase):
    """Ways that come and go."""

    def test_waits_for_a_way(self) -> None:
        """Before there is a way nothing is sent and nothing runs out."""
        play = self.make(opened=False).does(self.ask()).does(self.ask()).wait(50).silent()
        self.assertIsNone(self.core.deadline())
        play.does(self.core.open).sends(b"#a-1 +,1,1", 50.0).sends(b"#a-2 +,1,1", 50.0).end()
        self.assertTrue(abs(self.core.deadline() - 50.1) < 1e-9)

    def test_deadline_without_a_way(self) -> None:
        """But a request's deadline counts from when it was asked."""
        play = self.make(opened=False, deadline=1.0).does(self.ask()).wait(9)
        play.tells(GaveUp(1, attempts=0, waited=1.0), 1.0).end()
        self.assertEqual(self.traffic, Traffic(requests=1, gave_up=1))

    def test_deadline_after_a_way(self) -> None:
        """A way that comes late leaves the rest of the deadline."""
        play = self.make(opened=False, deadline=1.0).does(self.ask()).wait(0.8)
        play.does(self.core.open).wait(9).sends(b"#a-1 +,1,1", 0.8).sends(b"#a-1 +,1,1", 0.9)
        play.tells(GaveUp(1, attempts=2, waited=1.0), 1.0).end()

    def test_closed(self) -> None:
        """What is in flight when the way breaks is lost."""
        play = self.make().does(self.ask()).does(self.ask()).closes()
        play.sends(b"#a-1 +,1,1").sends(b"#a-2 +,1,1").tells(Lost(1)).tells(Lost(2))
        play.wait(9).end()
        self.assertEqual((self.traffic.lost, self.core.waiting), (2, 0))

    def test_asked_after_closing(self) -> None:
        """What is asked without a way waits for the next one, and gets a new id."""
        play = self.make().does(self.ask()).closes().sends(b"#a-1 +,1,1").tells(Lost(1))
        play.does(self.ask()).wait(9).silent()
        play.does(self.core.open).sends(b"#a-2 +,1,1", 9.0).end()

    def test_repeat(self) -> None:
        """With `repeat` it is sent again on the next way, on its old timeouts."""
        play = self.make(Backoff.fixed(1.0, attempts=2), repeat=True).does(self.ask())
        play.sends(b"#a-1 +,1,1", 0.0).wait(0.5).closes().wait(0.1).silent()
        play.does(self.core.open).sends(b"#a-1 +,1,1", 0.6).wait(9)
        play.sends(b"#a-1 +,1,1", 1.0).tells(GaveUp(1, attempts=2, waited=2.0), 2.0).end()
        self.assertEqual((self.traffic.sent, self.traffic.lost), (3, 0))

    def test_repeat_without_a_way(self) -> None:
        """Attempts that come due without a way are not made, and not counted."""
        play = self.make(Backoff.fixed(1.0, attempts=3), repeat=True).does(self.ask()).closes()
        play.wait(9).sends(b"#a-1 +,1,1", 0.0).tells(GaveUp(1, attempts=1, waited=3.0), 3.0).end()

    def test_fail(self) -> None:
        """When there will be no way all is lost, what waited for it too."""
        for opened, repeat in [(False, False), (True, True)]:
            play = self.make(opened=opened, repeat=repeat).does(self.ask())
            if opened:
                play.sends(b"#a-1 +,1,1")
            play.does(self.core.fail).tells(Lost(1)).wait(9).receives(b"#a-1 200,2").silent()
            self.assertEqual((self.traffic.lost, self.traffic.late), (1, 1))
            play.does(self.ask()).silent().does(self.core.open).sends(b"#a-2 +,1,1", 9.0).end()


class ChallengeTests(ClientCase):
    """Servers that ask for a proof of the address."""

    def test_proved(self) -> None:
        """The request is repeated at once with the token, which is no attempt."""
        play = self.make().does(self.ask()).sends(b"#a-1 +,1,1").wait(0.05)
        play.receives(b"#a-1 401 " + TOKEN).sends(b"token=%s #a-1 +,1,1" % TOKEN, 0.05)
        play.receives(b"#a-1 200,2").tells(Answered(1, Reply(200, 2, id=b"a-1"), 1, 0.05)).end()
        self.assertEqual(self.traffic.sent, 2)

    def test_retransmissions(self) -> None:
        """They carry the token, and come when they would have come without it."""
        play = self.make().does(self.ask()).wait(0.05).receives(b"#a-1 401 " + TOKEN).wait(9)
        play.sends(b"#a-1 +,1,1", 0.0)
        for at in (0.05, 0.1, 0.3, 0.7, 1.5):
            play.sends(b"token=%s #a-1 +,1,1" % TOKEN, at)
        play.tells(GaveUp(1, attempts=5, waited=3.1), 3.1).end()

    def test_new_token(self) -> None:
        """A newer token takes the place of the one before."""
        play = self.make().does(self.ask()).sends(b"#a-1 +,1,1")
        for token in (TOKEN, TOKEN[::-1]):
            play.receives(b"#a-1 401 " + token).sends(b"token=%s #a-1 +,1,1" % token)
        play.end()

    def test_not_for_ever(self) -> None:
        """A server that never believes it is asked no faster than by the timeouts."""
        play = self.make(Backoff.fixed(1.0)).does(self.ask()).sends(b"#a-1 +,1,1")
        for _ in range(CHALLENGES):
            play.receives(b"#a-1 401 " + TOKEN).sends(b"token=%s #a-1 +,1,1" % TOKEN)
        for _ in range(5):
            play.receives(b"#a-1 401 " + TOKEN).silent()
        play.wait(9).tells(GaveUp(1, attempts=1, waited=1.0), 1.0).end()

    def test_with_a_server(self) -> None:
        """A long answer from a real server is there after two round trips, computed once."""
        counters = Counters()
        server = ArithmeticServerCore(
            ServerSettings(), 0.0, counters, "peer", ReplyCache(10, 100_000)
        )
        self.make(Backoff.fixed(1.0))
        self.core.ask(b"**,10,4000", 0.0)
        proved = ProvedCore(server, "peer", Tokens(b"k" * 16))
        pair = Pair(self.core, proved, lambda _: (0.01,), lambda _: (0.01,))
        pair.run(0.9)
        [(when, told)] = pair.told[0]
        self.assertEqual((told.reply.value, told.attempts), (10**4000, 1))
        self.assertTrue(abs(when - 0.04) < 1e-9)
        self.assertEqual((counters.executed, counters.repeated, proved.challenged), (1, 1, 1))


class BadNetworkTests(SynchronousTestCase):
    """Ten thousand requests on a network that loses, repeats and reorders."""

    NUMBER = 10_000

    def run_pair(self, entries: int) -> None:
        """Ask them all at once, with a server that keeps so many answers."""
        self.counters, self.replies = Counters(), ReplyCache(entries, 2**24)
        server = ArithmeticServerCore(ServerSettings(), 0.0, self.counters, "peer", self.replies)
        asked = ClientSettings(Backoff.fixed(0.5, attempts=60, jitter=0.2))
        self.client = ArithmeticClientCore(asked, "a", stream(1, "jitter"))
        self.client.open(0.0)
        for number in range(1, self.NUMBER + 1):
            self.client.ask(b"+,%d,%d" % (number, number), 0.0)
        pair = Pair(self.client, server, bad_link(stream(2, "there")), bad_link(stream(2, "back")))
        pair.run(60.0)
        self.told = [event for _, event in pair.told[0]]

    def assertAllRight(self) -> None:
        """Every request has one answer, and it is its own."""
        self.assertEqual(len(self.told), self.NUMBER)
        answers = {event.number: event.reply.value for event in self.told}
        self.assertEqual(answers, {number: 2 * number for number in range(1, self.NUMBER + 1)})
        traffic = self.client.traffic
        self.assertEqual((traffic.answered, traffic.gave_up), (self.NUMBER, 0))
        self.assertGreater(traffic.sent, 1.5 * self.NUMBER)
        self.assertGreater(traffic.late, 0)

    def test_executed_once(self) -> None:
        """All answers are right, and the server computed each just once."""
        self.run_pair(self.NUMBER)
        self.assertAllRight()
        self.assertEqual((self.counters.executed, self.replies.evicted), (self.NUMBER, 0))
        self.assertGreater(self.counters.repeated, 0)

    def test_small_cache(self) -> None:
        """With a cache that is too small all answers are right, but some were computed again."""
        self.run_pair(100)
        self.assertAllRight()
        self.assertGreater(self.counters.executed, self.NUMBER)
        self.assertEqual(self.replies.evicted, self.counters.executed - 100)


def bad_link(random: Random) -> Fate:
    """30 % are lost, 10 % there twice; none takes more than 0.2 s, and many overtake others."""

    def fate(_: bytes) -> tuple[float, ...]:
        """The delays of one message."""
        if random.random() < 0.3:
            return ()
        copies = 2 if random.random() < 0.1 else 1
        return tuple(random.uniform(0.01, 0.2) for _ in range(copies))

    return fate


PLACES = st.integers(0, 50)


class Conversation(RuleBasedStateMachine):
    """A client core, a server, and a network between them that does what it likes."""

    @initialize(
        retry=st.builds(
            Backoff,
            st.sampled_from([0.001, 0.1, 1.0]),
            st.just(2.0),
            attempts=st.none() | st.integers(1, 4),
            jitter=st.sampled_from([0.0, 0.5]),
        ),
        deadline=st.none() | st.sampled_from([0.05, 1.0]),
        repeat=st.booleans(),
        now=st.sampled_from([0.0, 1e9]),
    )
    def begin(self, retry: Backoff, deadline: float | None, repeat: bool, now: float) -> None:  # noqa: FBT001
        """A client without a way yet."""
        asked = ClientSettings(retry, deadline=deadline, repeat=repeat)
        self.core = ArithmeticClientCore(asked, "a", stream(7))
        self.server = ArithmeticServerCore(ServerSettings(), now)
        self.now, self.way = now, False
        self.results: dict[int, int] = {}
        self.ended: dict[int, object] = {}
        self.sent: list[bytes] = []
        self.answers: list[bytes] = []

    @rule(operand=st.integers(0, 10**6))
    def ask(self, operand: int) -> None:
        """Ask something whose answer nothing else has, and whose number nothing had."""
        number = self.core.ask(b"+,%d,1" % operand, self.now)
        assert number not in self.results
        self.results[number] = operand + 1
        self.settle()

    @precondition(lambda self: self.results)
    @rule(place=PLACES)
    def cancel(self, place: int) -> None:
        """Forget a request, which may have ended long ago."""
        number = 1 + place % len(self.results)
        self.core.cancel(number)
        self.ended.setdefault(number, "cancelled")
        self.settle()

    @rule()
    def open(self) -> None:
        """There is a way."""
        self.way = True
        self.core.open(self.now)
        self.settle()

    @rule(verb=st.sampled_from(["close", "fail"]))
    def lose_way(self, verb: str) -> None:
        """The way is gone, and what is on it."""
        self.way = False
        self.sent.clear()
        getattr(self.core, verb)(self.now)
        self.settle()
        assert verb == "close" or not self.core.waiting

    @precondition(lambda self: self.sent)
    @rule(place=PLACES, fate=st.sampled_from(["lost", "there", "there, and again later"]))
    def arrive(self, place: int, fate: str) -> None:
        """A request reaches the server, or doesn't."""
        place %= len(self.sent)
        message = self.sent[place]
        if fate != "there, and again later":
            del self.sent[place]
        if fate != "lost":
            self.server.message(message.rpartition(b"token=" + TOKEN + b" ")[2], self.now)
            self.answers += self.server.outgoing()

    @precondition(lambda self: self.sent)
    @rule(place=PLACES)
    def challenge(self, place: int) -> None:
        """The server wants a proof, perhaps of a request that was answered long ago."""
        message = self.sent[place % len(self.sent)].rpartition(b"token=" + TOKEN + b" ")[2]
        self.answers.append(b"#%s 401 %s" % (read_id(message), TOKEN))

    @precondition(lambda self: self.way and self.answers)
    @rule(place=PLACES, again=st.booleans())
    def answer(self, place: int, again: bool) -> None:  # noqa: FBT001
        """An answer reaches the client, however old it is, and perhaps not for the last time."""
        place %= len(self.answers)
        message = self.answers[place]
        if not again:
            del self.answers[place]
        self.core.message(message, self.now)
        self.settle()

    @precondition(lambda self: self.way)
    @rule(data=st.binary(max_size=20) | st.sampled_from([b"300,-1", b"#b-1 200,2", b"#a-0 200,1"]))
    def rubbish(self, data: bytes) -> None:
        """Something else reaches the client."""
        self.core.message(data, self.now)
        self.settle()

    @rule(late=st.sampled_from([0.0, 0.0, 0.001, 30.0]))
    def tick(self, late: float) -> None:
        """The time comes that it waits for, or a later one."""
        deadline = self.core.deadline()
        if deadline is not None:
            self.now = max(self.now, deadline) + late
            self.core.tick(self.now)
            self.settle()
            following = self.core.deadline()
            assert following is None or following > self.now

    @rule(time=st.floats(0, 0.5))
    def wait(self, time: float) -> None:
        """Time passes, and nobody says so."""
        self.now += time

    @invariant()
    def all_there(self) -> None:
        """What has not ended is in flight, and the counters add up."""
        if not hasattr(self, "core"):
            return
        traffic = self.core.traffic
        told = [event for event in self.ended.values() if event != "cancelled"]
        assert self.core.waiting == len(self.results) - len(self.ended)
        assert traffic.requests == len(self.results)
        assert traffic.answered + traffic.gave_up + traffic.lost == len(told)

    def teardown(self) -> None:
        """With a way that stays and a network that loses all, everything ends by itself."""
        if hasattr(self, "core"):
            self.open()
            while self.core.deadline() is not None:
                self.tick(0.0)
            assert len(self.ended) == len(self.results)

    def settle(self) -> None:
        """Take what was sent and told: only on a way, only once, and only what is right."""
        for message in self.core.outgoing():
            assert self.way
            request = message.rpartition(b"token=" + TOKEN + b" ")[2]
            number = int(read_id(request).removeprefix(b"a-"))
            assert request == b"#a-%d +,%d,1" % (number, self.results[number] - 1)
            assert number not in self.ended
            self.sent.append(message)
        for event in self.core.events():
            assert isinstance(event, Answered | GaveUp | Lost)
            assert event.number not in self.ended
            self.ended[event.number] = event
            if isinstance(event, Answered):
                assert event.reply.value == self.results[event.number]


class ConversationTests(SynchronousTestCase):
    """Whatever happens to a client core."""

    def test_conversation(self) -> None:
        """Every request that is not cancelled ends with one event, which is its own."""
        run_state_machine_as_test(
            Conversation, settings=settings(deadline=None, max_examples=150, stateful_step_count=50)
        )

    @thorough
    def test_conversation_at_length(self) -> None:
        """The same, for longer."""
        run_state_machine_as_test(
            Conversation,
            settings=settings(deadline=None, max_examples=1000, stateful_step_count=80),
        )
