"""Texts and limits, asked by the core."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.backoff import Backoff
from lab.core import Finished
from lab.echo.client import EchoClientCore
from lab.echo.datagrams import EchoDatagramCore
from lab.echo.outcomes import Done, Rejected
from lab.echo.settings import ServerSettings
from lab.echo.wire import LIMIT, AskLimits, Challenge, Echo, Limits, encode
from lab.errors import LocalError, NoAnswer, RemoteError, Unreachable
from lab.testing import Pair, Playbook
from lab.wire.tokens import Tokens
from tests.echo.cores import TOKEN, common, opened

LIMITS = Limits(0, 1000, LIMIT, 10**6, 0, 16)


def make(*, datagrams: bool = True, **settings: object) -> EchoClientCore:
    """A core whose ids begin with ``a``."""
    return EchoClientCore(**common(datagrams=datagrams, **settings))


class EchoTests(SynchronousTestCase):
    """Texts."""

    def test_comes_back(self) -> None:
        """A text comes back as it is, whatever it looks like."""
        play = opened(core := make())
        for number, text in enumerate((b"hello", b"", b"401 " + TOKEN, b"#b x", b"200,1\r\n"), 1):
            play.does(lambda now, text=text: core.ask(Echo(text), now))
            play.sends(b"#a-%d %s" % (number, text))
            play.receives(b"#a-%d %s" % (number, text)).tells(Done(number, text))
        play.end()
        self.assertTrue(core.heard)

    def test_explicit(self) -> None:
        """What would be taken for a command is sent as a text."""
        play = opened(core := make())
        play.does(lambda now: core.ask(Echo(b"stream 10"), now)).sends(b"#a-1 echo stream 10")
        play.receives(b"#a-1 stream 10").tells(Done(1, b"stream 10")).end()

    def test_any_order(self) -> None:
        """Each answer finds its question; one that nobody waits for is late; another's is not."""
        play = opened(core := make())
        for text in (b"one", b"two"):
            play.does(lambda now, text=text: core.ask(Echo(text), now)).sends(
                b"#a-%d %s" % (core.waiting, text)
            )
        play.receives(b"#a-2 two").tells(Done(2, b"two"))
        play.receives(b"#a-2 two", b"#a-9 x", b"#b-1 one", b"one", b"").silent()
        self.assertEqual((core.traffic.late, core.traffic.malformed), (2, 3))
        play.receives(b"#a-1 one").tells(Done(1, b"one")).end()

    def test_refused_texts(self) -> None:
        """Over a connection a text is one line; over datagrams it fits in one."""
        core = make(datagrams=False)
        for text in (b"one\ntwo", b"\n", b"one\r"):
            error = self.assertRaises(LocalError, core.ask, Echo(text), 0.0)
            self.assertTrue(str(error).startswith("text is "), error)
        core.ask(Echo(b"a\rb"), 0.0)
        self.assertRaises(LocalError, core.ask, Echo(bytes(LIMIT - 4)), 0.0)
        self.assertEqual(make().ask(Echo(bytes(LIMIT - 5)), 0.0), 1)
        self.assertEqual(make().ask(Echo(b"one\r\n"), 0.0), 1)

    @given(st.lists(st.binary(max_size=60), max_size=20))
    def test_any_bytes(self, datagrams: list[bytes]) -> None:
        """Whatever comes, nothing raises, and nothing but its own answer ends a question."""
        core = make()
        core.open(0.0)
        core.ask(AskLimits(), 0.0)
        for data in datagrams:
            core.message(data, 0.0)
        self.assertEqual((core.waiting, core.events()), (1, []))


class LimitsTests(SynchronousTestCase):
    """Limits."""

    def test_limits(self) -> None:
        """What is said is told, without the id."""
        play = opened(core := make())
        play.does(lambda now: core.ask(AskLimits(), now)).sends(b"#a-1 limits")
        play.receives(b"#a-1 " + encode(LIMITS)).tells(Done(1, LIMITS)).end()

    def test_proof(self) -> None:
        """Who has to prove its address does so at once, and again with each attempt."""
        play = opened(core := make())
        play.does(lambda now: core.ask(AskLimits(), now)).sends(b"#a-1 limits", 0.0)
        play.receives(encode(Challenge(TOKEN, b"a-1")))
        proved = b"token=" + TOKEN + b" #a-1 limits"
        play.sends(proved, 0.0).wait(0.2).sends(proved, 0.1)
        for _ in range(3):
            play.receives(encode(Challenge(TOKEN, b"a-1")))
        play.sends(proved).sends(proved).end()  # and no more

    def test_rejected(self) -> None:
        """A refusal is one."""
        for said in (b"300 no", b"429 10 no"):
            core = make()
            core.open(0.0)
            core.ask(AskLimits(), 0.0)
            core.message(b"#a-1 " + said, 0.0)
            (done,) = core.events()
            assert isinstance(done, Done)
            self.assertIsInstance(done.value, Rejected)

    def test_nonsense(self) -> None:
        """Over a connection nonsense is the answer; over datagrams it is none."""
        for said in (b"nonsense", b"200 counts 1 1"):
            for datagrams in (True, False):
                core = make(datagrams=datagrams)
                core.open(0.0)
                core.ask(AskLimits(), 0.0)
                core.message(b"#a-1 " + said, 0.0)
                self.assertEqual(core.traffic.malformed, 1)
                ends = [type(event.value) for event in core.events() if isinstance(event, Done)]
                self.assertEqual(ends, [] if datagrams else [RemoteError])


class TimeTests(SynchronousTestCase):
    """Attempts and their end."""

    def test_schedule(self) -> None:
        """Sent at 0, 0.1, 0.3, 0.7 and 1.5 s; given up at 3.1 s, with just these words."""
        play = opened(core := make()).does(lambda now: core.ask(Echo(b"x"), now)).wait(9.0)
        for at in (0, 0.1, 0.3, 0.7, 1.5):
            play.sends(b"#a-1 x", at)
        self.gave_up(play, 3.1, "no answer within 3.1 s after 5 attempts")

    def gave_up(self, play: Playbook, at: float, text: str) -> None:
        """The last thing that happened."""
        ((when, kind, event),) = play._seen
        self.assertAlmostEqual(when, at)
        self.assertEqual((kind, type(event.value), str(event.value)), ("told", NoAnswer, text))

    def test_deadline(self) -> None:
        """It is given up in time, also without a way."""
        core = make(deadline=0.5)
        play = opened(core).does(lambda now: core.ask(Echo(b"x"), now)).wait(9.0)
        for at in (0, 0.1, 0.3):
            play.sends(b"#a-1 x", at)
        self.gave_up(play, 0.5, "no answer within 500 ms after 3 attempts")
        core = make(deadline=0.5)
        play = Playbook(core).does(lambda now: core.ask(Echo(b"x"), now)).wait(9.0)
        self.gave_up(play, 0.5, "no connection within 500 ms")

    def test_waits_for_a_way(self) -> None:
        """Without a way nothing is sent; its attempts begin when there is one."""
        core = make()
        self.assertEqual(core.ask(Echo(b"x"), 0.0), 1)
        self.assertEqual((core.outgoing(), core.deadline()), ([], None))
        play = opened(core, 5.0).sends(b"#a-1 x").wait(0.1).sends(b"#a-1 x", 5.1)
        # Another way, which the first did not lead to: the attempts go on as before.
        play.does(core.open).sends(b"#a-1 x", 5.1).wait(0.2).sends(b"#a-1 x", 5.3)
        play.receives(b"#a-1 x").tells(Done(1, b"x")).end()
        self.assertIsNone(core.deadline())

    def test_cancelled(self) -> None:
        """What nobody wants any more is not asked again, and its answer is late."""
        play = opened(core := make()).does(lambda now: core.ask(Echo(b"x"), now)).sends(b"#a-1 x")
        core.cancel(1)
        play.wait(1.0).receives(b"#a-1 x").end()
        self.assertEqual((core.traffic.late, core.waiting), (1, 0))

    def test_old_timers(self) -> None:
        """A timer of what has ended does nothing, though it be the first."""
        core = make()
        core.open(0.0)
        core.ask(Echo(b"one"), 0.0)
        core.ask(Echo(b"two"), 0.05)
        core.cancel(1)
        core.outgoing()
        core.tick(0.1)
        self.assertEqual(core.outgoing(), [])
        self.assertAlmostEqual(core.deadline() or 0.0, 0.15)
        core.tick(0.16)
        self.assertEqual(core.outgoing(), [b"#a-2 two"])


class LossTests(SynchronousTestCase):
    """Ways that end."""

    def test_lost(self) -> None:
        """What is in flight is lost with the way, each with an error of its own; it goes on."""
        play = opened(core := make())
        for text in (b"one", b"two"):
            play.does(lambda now, text=text: core.ask(Echo(text), now))
        core.outgoing()
        core.lost(Unreachable("the connection broke"), 0.0)
        ends = [event.value for event in core.events() if isinstance(event, Done)]
        self.assertEqual([str(end) for end in ends], ["the connection broke"] * 2)
        self.assertIsNot(ends[0], ends[1])
        core.ask(Echo(b"three"), 1.0)
        self.assertEqual(core.outgoing(), [])

    def test_closed(self) -> None:
        """The peer is gone: the same."""
        core = make()
        core.ask(Echo(b"x"), 0.0)
        core.close(0.0)
        (done,) = core.events()
        assert isinstance(done, Done)
        self.assertIsInstance(done.value, Unreachable)

    def test_too_long(self) -> None:
        """A line that never ends fails what is in flight, and the connection is to end."""
        core = make(datagrams=False)
        core.open(0.0)
        core.ask(Echo(b"x"), 0.0)
        core.message(bytes(LIMIT + 1), 0.0)
        done, finished = core.events()
        assert isinstance(done, Done)
        self.assertEqual(str(done.value), "the server sent a line of more than 65,507 bytes")
        self.assertIsInstance(done.value, RemoteError)
        self.assertIsInstance(finished, Finished)


class ServerTests(SynchronousTestCase):
    """Against the server's core."""

    def test_lossy_link(self) -> None:
        """Over a link that loses three of ten datagrams, each text comes back once."""
        random = Random(7)

        def lossy(message: bytes) -> list[float]:
            return [0.01] if random.random() > 0.3 else []

        core = make(retry=Backoff(0.1, cap=60.0))
        server = EchoDatagramCore(ServerSettings(), 0.0, Tokens(b"k" * 16))
        pair = Pair(core, server, lossy, lossy)
        core.open(0.0)
        numbers = {core.ask(Echo(b"%d" % number), 0.0): b"%d" % number for number in range(100)}
        core.ask(AskLimits(), 0.0)
        pair.run(100.0)
        ends = {event.number: event.value for _, event in pair.told[0]}
        self.assertEqual(len(ends), len(pair.told[0]))
        self.assertEqual({number: ends[number] for number in numbers}, numbers)
        self.assertIsInstance(ends[101], Limits)
