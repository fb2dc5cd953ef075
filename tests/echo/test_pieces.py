"""The receiving side of a file over datagrams."""

import hashlib
from collections.abc import Callable
from random import Random
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.backoff import Backoff
from lab.echo import assembly, pieces
from lab.echo.attempts import LONGEST, TIMES
from lab.echo.datagrams import EchoDatagramCore
from lab.echo.outcomes import Characters, Cut, Gone, Received, Rejected, Stalled, WrongData
from lab.echo.pattern import characters
from lab.echo.pieces import LAST, MOST, PATIENCE, PROMPTS, TRIES, PieceClientCore
from lab.echo.settings import ServerSettings
from lab.echo.wire import Busy, Challenge, Data, File, FileEnd, Ready, encode
from lab.errors import NoAnswer, RemoteError, Unreachable
from lab.testing import Pair
from lab.wire.tokens import Tokens
from tests.echo.cores import TOKEN, common, opened, result

N, OFFSET, SEED = 200, 20, 3
TEXT = characters(SEED, OFFSET, N - OFFSET)
DIGEST = hashlib.sha256(TEXT).hexdigest()
ASKED = b"#a-1 file 200 20 180 3"
READY = encode(Ready(180, 60, 3, b"a-1"))
END = encode(FileEnd(3, DIGEST, b"a-1"))


def make(*, reliable: bool = False, n: int = N, **settings: Any) -> PieceClientCore:
    """A core that asks for the characters from 20 on."""
    wanted = File(n, OFFSET, seed=SEED)
    return PieceClientCore(wanted=wanted, reliable=reliable, **common(**settings))


def piece(start: int, stop: int, id: bytes = b"a-1") -> bytes:
    """A datagram with the characters between."""
    return encode(Data(start, characters(SEED, start, stop - start), id))


def text(events: list[Any]) -> dict[int, int]:
    """The characters among events by their offset, each of which comes once."""
    given: dict[int, int] = {}
    for event in events:
        if isinstance(event, Characters):
            new = dict(enumerate(event.data, event.offset))
            assert not new.keys() & given.keys()
            given |= new
    return given


def fed(core: PieceClientCore, *datagrams: bytes, now: float = 1.0) -> list[Any]:
    """What is told after these datagrams."""
    for datagram in datagrams:
        core.message(datagram, now)
    return core.events()


def asked(**words: Any) -> PieceClientCore:
    """A core that has asked."""
    core = make(**words)
    core.open(0.0)
    core.outgoing()
    return core


def once() -> Backoff:
    """One attempt of a second for each request."""
    return Backoff.fixed(1.0)


class WholeTests(SynchronousTestCase):
    """What comes whole."""

    def test_any_order(self) -> None:
        """Pieces come in any order and more than once; with the end it is there."""
        core = asked()
        parts = [piece(140, 200), piece(20, 80), piece(20, 80), END, piece(70, 145), END]
        events = fed(core, READY, *parts)
        there = text(events)
        self.assertEqual(bytes(there[place] for place in range(20, 200)), TEXT)
        expected = Received(20, 180, (), DIGEST, confirmed=True, seconds=1.0, duplicates=1)
        self.assertEqual((result(events), events[-1]), (expected, Gone()))
        # What comes behind it is late.
        self.assertEqual((core.traffic.late, core.outgoing(), core.deadline()), (1, [], None))

    def test_lost_end(self) -> None:
        """When all is there and no end, it is asked for once more, and then it is good as it is."""
        play = opened(make(silence=5.0)).sends(ASKED, 0.0)
        play.receives(READY, piece(20, 200))
        ((_, _, part),) = play._seen
        self.assertEqual(part, Characters(20, TEXT))
        play._seen.clear()
        play.wait(9.0)
        for at in (0, 0.1, 0.3, 0.7, 1.5):
            play.sends(ASKED, LAST + at)
        events = [event for _, kind, event in play._seen if kind == "told"]
        received = result(events)
        self.assertAlmostEqual(received.seconds, LAST + 3.1)
        self.assertEqual(evolve(received, seconds=0.0), Received(20, 180, (), DIGEST))

    def test_lost_end_comes(self) -> None:
        """It is there when it is asked for once more."""
        core = asked()
        fed(core, piece(20, 200))
        core.tick(1.0 + LAST)
        self.assertEqual(core.outgoing(), [ASKED])
        self.assertTrue(result(fed(core, END, now=1.5)).confirmed)

    def test_lost_end_of_one_that_is_reliable(self) -> None:
        """It is asked for again, so often, with all attempts; then it is good as it is."""
        core = make(reliable=True, retry=once())
        play = opened(core).sends(ASKED, 0.0).receives(piece(20, 200)).wait(60.0)
        asked = [when for when, kind, _ in play._seen if kind == "sent"]
        # Once after the first request, then as often as it is prompted, and once more each time.
        self.assertEqual(len(asked), 1 + 2 * PROMPTS)
        received = result([event for _, kind, event in play._seen if kind == "told"])
        self.assertEqual((received.whole, received.confirmed), (True, False))
        self.assertEqual((received.requests, core.deadline()), (1, None))

    def test_end_of_what_was_asked_for_again(self) -> None:
        """If all ends of the first request were lost, it is asked for when all is there."""
        core = asked(reliable=True, retry=once(), silence=1.0)
        fed(core, piece(20, 100), now=0.5)
        core.tick(1.5)
        core.tick(2.5)
        (rest,) = [data for data in core.outgoing() if b"a-2" in data]
        self.assertEqual(rest, b"#a-2 file 200 100 100 3")
        self.assertFalse(core.over)
        fed(core, piece(100, 200, b"a-2"), now=2.6)
        self.assertEqual(core.outgoing(), [ASKED])
        self.assertTrue(result(fed(core, END, now=2.7)).confirmed)

    def test_another_end(self) -> None:
        """Who says another SHA-256 is not asked again."""
        core = asked(reliable=True)
        other = encode(FileEnd(3, "0" * 64, b"a-1"))
        fed(core, piece(20, 200), other)
        core.tick(core.deadline())
        self.assertIsInstance(result(core.events()), WrongData)

    def test_nothing(self) -> None:
        """A part without characters is there when its end is."""
        core = PieceClientCore(wanted=File(5, 5), **common())
        core.open(0.0)
        digest = hashlib.sha256(b"").hexdigest()
        events = fed(core, encode(Ready(0, 60, 0, b"a-1")), encode(FileEnd(0, digest, b"a-1")))
        self.assertTrue(result(events).confirmed)

    def test_proof(self) -> None:
        """A challenge is met, and the token serves for all that is asked later."""
        core = asked(reliable=True)
        fed(core, encode(Challenge(TOKEN, b"a-1")))
        self.assertEqual(core.outgoing(), [b"token=" + TOKEN + b" " + ASKED])
        fed(core, piece(20, 100), END)
        core.tick(1.0 + LAST)
        again = b"token=" + TOKEN + b" #a-2 file 200 100 100 3"
        self.assertEqual(core.outgoing(), [again])
        for _ in range(3):
            fed(core, encode(Challenge(TOKEN, b"a-2")))
        self.assertEqual(core.outgoing(), [again] * 3)
        fed(core, encode(Challenge(TOKEN, b"a-2")))
        self.assertEqual(core.outgoing(), [])


class MissingTests(SynchronousTestCase):
    """What does not come."""

    def test_said(self) -> None:
        """What is missing is said, some time after the end."""
        core = asked()
        fed(core, READY, piece(20, 80), END)
        self.assertEqual(core.deadline(), 1.0 + LAST)
        fed(core, piece(100, 150), now=1.2)
        self.assertEqual(core.deadline(), 1.2 + LAST)
        core.tick(1.2 + LAST)
        received = result(core.events())
        self.assertEqual(received.missing, ((80, 100), (150, 200)))
        self.assertEqual((received.whole, received.received, received.next), (False, 110, 80))
        self.assertIsNone(received.sha256)
        self.assertEqual(core.outgoing(), [])

    def test_silence(self) -> None:
        """Without an end, a silence is one, if asking again brings nothing; the server stops."""
        play = opened(make(silence=5.0)).sends(ASKED, 0.0).receives(READY, piece(20, 80))
        play._seen.clear()
        play.wait(20.0)
        for at in (0, 0.1, 0.3, 0.7, 1.5):
            play.sends(ASKED, 5.0 + at)
        events = [event for _, kind, event in play._seen if kind == "told"]
        received = result(events)
        self.assertEqual(received.missing, ((80, 200),))
        self.assertAlmostEqual(received.seconds, 8.1)

    def test_server_goes_on(self) -> None:
        """A server that says that it is still there is waited for, but not for ever."""
        core = asked(silence=5.0, retry=once())
        fed(core, READY, piece(20, 80))
        for turn in range(3):
            core.tick(6.0 + 5 * turn)
            self.assertEqual(core.outgoing(), [ASKED])
            fed(core, READY, piece(80 + turn, 81 + turn), now=6.0 + 5 * turn)
        core.tick(21.0)
        self.assertEqual(core.outgoing(), [ASKED])
        fed(core, READY, now=21.0)
        core.tick(26.0)
        self.assertEqual(result(core.events()).missing, ((83, 200),))

    def test_endless(self) -> None:
        """What brings nothing new does not keep it going: copies, ends, promises."""
        for said in (READY, piece(20, 80), encode(Data(20, b"x", b"a-1")), END):
            core, now = asked(silence=5.0, retry=once()), 0.0
            fed(core, piece(20, 80), now=now)
            while not core.over:
                now += 0.25
                fed(core, said, now=now)
                while (core.deadline() or now + 1) <= now:
                    core.tick(now)
            self.assertLess(now, 5.0 * (PATIENCE + 3))

    def test_no_answer(self) -> None:
        """Asked at 0, 0.1, 0.3, 0.7 and 1.5 s; given up at 3.1 s, reliable or not."""
        for reliable in (True, False):
            play = opened(make(reliable=reliable)).wait(9.0)
            for at in (0, 0.1, 0.3, 0.7, 1.5):
                play.sends(ASKED, at)
            (when, _, done), (_, _, gone) = play._seen
            self.assertAlmostEqual(when, 3.1)
            self.assertEqual(str(done.value), "no answer within 3.1 s after 5 attempts")
            self.assertEqual((type(done.value), gone), (NoAnswer, Gone()))

    def test_asked_for(self) -> None:
        """If it is to be reliable it is asked for: in few requests, and not too many at a time."""
        self.patch(assembly, "PART", 50)
        self.patch(assembly, "NEAR", 5)
        core = asked(reliable=True)
        fed(core, piece(20, 40), piece(44, 50), piece(56, 60), piece(64, 70), END)
        core.tick(1.0 + LAST)
        # As much was lost as there was, so it begins with one.
        self.assertEqual(core.outgoing(), [b"#a-2 file 200 40 4 3"])
        fed(core, piece(40, 44, b"a-2"))
        self.assertEqual(core.outgoing(), [b"#a-3 file 200 50 14 3", b"#a-4 file 200 70 50 3"])
        # What came by another request is not asked for, and nothing is asked for twice.
        fed(core, piece(120, 170, b"a-3"), piece(50, 64, b"a-3"))
        self.assertEqual(core.outgoing(), [b"#a-5 file 200 170 30 3"])
        events = fed(core, piece(70, 120, b"a-4"), piece(170, 200, b"a-5"))
        received = result(events)
        self.assertEqual((received.whole, received.requests), (True, 5))
        self.assertTrue(received.confirmed)

    def test_window(self) -> None:
        """Each that is complete makes room for one more, up to a bound."""
        self.patch(assembly, "PART", 1)
        core = asked(reliable=True)
        fed(core, END)
        core.tick(1.0 + LAST)
        seen = []
        for place in range(20, 180):
            fed(core, piece(place, place + 1, b"a-%d" % (place - 18)))
            seen.append(len(core._fetches))
        self.assertEqual(seen[:4], [2, 3, 4, 5])
        self.assertEqual(max(seen), MOST)

    def test_gives_up(self) -> None:
        """When a row of requests brings nothing it is given up, and says what there is."""
        core = asked(reliable=True, retry=once())
        fed(core, piece(20, 40), END)
        now, sent = 1.0, 0
        while not core.over:
            now = core.deadline() or 0.0
            core.tick(now)
            sent += len(core.outgoing())
        self.assertEqual(sent, TRIES)
        error = result(core.events())
        assert isinstance(error, Stalled)
        assert isinstance(error.so_far, Received)
        self.assertEqual(str(error), "160 of 180 characters do not come")
        self.assertEqual(error.so_far.next, 40)

    def test_rounds(self) -> None:
        """However much is missing, only so much is planned at a time."""
        self.patch(pieces, "ROUND", 2)
        self.patch(assembly, "PART", 10)
        core = asked(reliable=True)
        fed(core, END)
        core.tick(1.0 + LAST)
        self.assertEqual(len(core._todo) + len(core._fetches), 2)
        core = PieceClientCore(wanted=File(10**18), reliable=True, **common())
        core.open(0.0)
        fed(core, encode(FileEnd(3, DIGEST, b"a-1")))
        core.tick(1.0 + LAST)
        self.assertEqual(len(core._todo) + len(core._fetches), 2)


class FaultTests(SynchronousTestCase):
    """What servers and networks do besides."""

    def test_damaged(self) -> None:
        """Characters that are not those of the file are passed over, as if they were lost."""
        core = asked()
        events = fed(
            core,
            encode(Data(20, b"x" * 60, b"a-1")),
            encode(Data(19, characters(SEED, 19, 60), b"a-1")),
            encode(Data(190, characters(SEED, 190, 11), b"a-1")),
            piece(80, 200),
            END,
        )
        self.assertEqual(text(events).keys(), set(range(80, 200)))
        core.tick(1.0 + LAST)
        received = result(core.events())
        self.assertEqual((received.missing, received.damaged), (((20, 80),), 3))

    def test_all_damaged(self) -> None:
        """If nothing that came is the file, it is wrong data, reliable or not."""
        for reliable in (True, False):
            core = asked(reliable=reliable, retry=once())
            fed(core, encode(Data(20, b"x" * 60, b"a-1")), END)
            while not core.over:
                core.tick(core.deadline() or 0.0)
            error = result(core.events())
            self.assertIsInstance(error, WrongData)
            self.assertEqual(str(error), "what comes is not the file")

    def test_other_digest(self) -> None:
        """A SHA-256 that is another is not believed, but if there is no other, neither is ours."""
        other = encode(FileEnd(3, "0" * 64, b"a-1"))
        core = asked()
        fed(core, piece(20, 200), other, other)
        self.assertFalse(core.over)
        core.tick(1.0 + LAST)
        error = result(core.events())
        self.assertIsInstance(error, WrongData)
        self.assertEqual(str(error), "the server's SHA-256 is another")
        core = asked()
        self.assertTrue(result(fed(core, piece(20, 200), other, END)).confirmed)

    def test_late(self) -> None:
        """Characters count whichever request they belong to; other answers of old ones are late."""
        core = asked(reliable=True)
        fed(core, piece(20, 100), END)
        core.tick(1.0 + LAST)
        fed(core, piece(100, 150), END)
        self.assertEqual((core.so_far().received, core.traffic.late), (130, 1))

    def test_foreign(self) -> None:
        """What is none of ours is nothing, and so is what is no answer to a file."""
        core = asked()
        events = fed(core, b"nonsense", piece(20, 80, b"b-1"), piece(20, 80, b""), END[5:])
        events += fed(core, b"#a-1 200 counts 1 1")
        self.assertEqual(events, [])
        self.assertEqual((core.traffic.malformed, core.traffic.late), (2, 3))

    def test_refused(self) -> None:
        """A refusal is the end."""
        core = asked()
        events = fed(core, b"#a-1 413 file is 200; at most 100")
        self.assertIsInstance(result(events), Rejected)
        self.assertEqual(events[-1], Gone())

    def test_busy(self) -> None:
        """A server that is busy is asked again when it has said, so often."""
        core, now = asked(), 0.0
        for _ in range(TIMES):
            self.assertEqual(fed(core, encode(Busy(2500, "later", b"a-1")), now=now), [])
            self.assertEqual(core.deadline(), now + 2.5)
            now += 2.5
            core.tick(now)
            self.assertEqual(core.outgoing(), [ASKED])
        self.assertIsInstance(
            result(fed(core, encode(Busy(2500, "later", b"a-1")), now=now)), Rejected
        )
        core = asked()
        fed(core, encode(Busy(10**15, "later", b"a-1")))
        self.assertEqual(core.deadline(), 1.0 + LONGEST)

    def test_unread(self) -> None:
        """What makes too many parts is counted as not read."""
        self.patch(assembly, "PARTS", 1)
        core = asked()
        fed(core, piece(30, 31), piece(40, 41), piece(31, 32))
        self.assertEqual((core.traffic.unread, core.so_far().received), (1, 2))

    def test_held(self) -> None:
        """While nobody takes characters they are lost, and no silence counts."""
        core = asked(silence=5.0)
        core.hold(0.0)
        self.assertIsNone(core.deadline())
        self.assertEqual(fed(core, piece(20, 80)), [])
        self.assertEqual(core.traffic.unread, 1)
        core.release(50.0)
        self.assertEqual(core.deadline(), 55.0)
        self.assertEqual(len(text(fed(core, piece(20, 80)))), 60)

    def test_standstill(self) -> None:
        """Whoever was not running looks first for what waits to be read."""
        core = asked(silence=5.0)
        fed(core, READY)
        core.tick(60.0)
        self.assertEqual((core.outgoing(), core.events()), ([], []))
        self.assertTrue(result(fed(core, piece(20, 200), END, now=60.0)).whole)

    def test_lost(self) -> None:
        """A way that ends is told: as it is, or with what there is."""
        core = asked()
        core.lost(error := Unreachable("it broke"), 1.0)
        self.assertIs(result(core.events()), error)
        core = asked()
        fed(core, piece(20, 80))
        core.close(1.0)
        cut = result(core.events())
        assert isinstance(cut, Cut)
        assert isinstance(cut.so_far, Received)
        self.assertEqual((cut.so_far.next, core.outgoing()), (80, [b"quit"]))

    def test_stop(self) -> None:
        """Who does not want the rest says so, and hears no more."""
        core = asked()
        core.stop(1.0)
        self.assertEqual((core.outgoing(), core.events()), ([b"quit"], [Gone()]))
        self.assertIsNone(core.deadline())

    def test_next_address(self) -> None:
        """At another address it is asked again."""
        play = opened(core := make()).sends(ASKED).does(core.open).sends(ASKED)
        play.wait(0.1).sends(ASKED, 0.1).end()

    @given(st.lists(st.tuples(st.integers(0, 210), st.integers(0, 60), st.binary(max_size=9))))
    def test_any(self, said: list[tuple[int, int, bytes]]) -> None:
        """Whatever comes, what is told is the file, and the end says just what was told."""
        core = asked(reliable=bool(len(said) % 2), retry=once())
        events, now = [], 0.0
        for number, (start, size, data) in enumerate(said):
            id = b"a-%d" % (1 + number % 3)
            datagrams = [
                piece(start, start + size, id) if size else END,
                b"#%s data %d x%s" % (id, start, data),
                b"#" + id + b" " + data,
                data,
            ]
            events += fed(core, datagrams[number % 4], now=now)
            deadline = core.deadline()
            if deadline is not None and number % 2:
                now = max(now, deadline)
                core.tick(now)
        while not core.over:
            core.tick(core.deadline() or 0.0)
        events += core.events()
        there = text(events)
        self.assertEqual(there, {place: TEXT[place - 20] for place in there})
        value = result(events)
        value = getattr(value, "so_far", value)
        if isinstance(value, Received):
            missing = {place for part in value.missing for place in range(*part)}
            self.assertEqual(missing, set(range(20, 200)) - there.keys())


class Damaged(PieceClientCore):
    """One that gets one byte in a thousand wrong."""

    draws: Random

    def message(self, data: bytes, now: float) -> None:
        """Some of it is changed on the way."""
        damaged = bytearray(data)
        for place in range(len(data)):
            if self.draws.random() < 0.001:
                damaged[place] ^= 1 << self.draws.randrange(8)
        super().message(bytes(damaged), now)


class PairTests(SynchronousTestCase):
    """Against the server's core, over links that do what networks do."""

    def run_pair(
        self, core: PieceClientCore, fate: Callable[[Random, bytes], list[float]], seed: int
    ) -> list[Any]:
        """What is told; each message of both sides has the fate that it draws."""
        up, down = Random(seed), Random(seed + 1)
        server = EchoDatagramCore(
            ServerSettings(pace=10**6), 0.0, Tokens(b"k" * 16), "peer", "peer"
        )
        pair = Pair(core, server, lambda m: fate(up, m), lambda m: fate(down, m))
        core.open(0.0)
        pair.run(1000.0)
        return [event for _, event in pair.told[0]]

    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 10**6), st.floats(0, 0.4))
    def test_reliable(self, seed: int, loss: float) -> None:
        """Whatever share of datagrams is lost, doubled and delayed, all is there in the end."""

        def fate(random: Random, message: bytes) -> list[float]:
            copies = (random.random() > loss) + (random.random() < 0.1)
            return [0.01 + random.random() / 20 for _ in range(copies)]

        core = make(reliable=True, n=60_000, retry=Backoff.fixed(0.3, attempts=100))
        events = self.run_pair(core, fate, seed)
        there = text(events)
        whole = bytes(there[place] for place in range(20, 60_000))
        self.assertEqual(whole, characters(SEED, 20, 60_000 - 20))
        self.assertTrue(result(events).whole)

    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 10**6))
    def test_changed(self, seed: int) -> None:
        """Of what is changed on the way nothing is told."""

        def fate(random: Random, message: bytes) -> list[float]:
            return [0.01]

        wanted = File(12_000, OFFSET, seed=SEED)
        core = Damaged(wanted=wanted, reliable=True, **common())
        core.draws = Random(seed)
        events = self.run_pair(core, fate, seed)
        there = text(events)
        whole = characters(SEED, 20, 11_980)
        self.assertTrue(all(byte == whole[place - 20] for place, byte in there.items()))
        value = result(events)
        if isinstance(value, Received):
            self.assertEqual((value.whole, len(there)), (True, 12_000 - 20))
        else:
            self.assertIsInstance(value, RemoteError | Stalled)
