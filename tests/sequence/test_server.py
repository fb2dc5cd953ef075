"""The server's side of one connection, step by step."""

from itertools import count
from typing import Any

import hypothesis
from attrs import evolve
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from lab.core import Finished, Series
from lab.rng import stream
from lab.sequence.records import Record
from lab.sequence.server import (
    AHEAD,
    Attach,
    Create,
    Forget,
    Load,
    Lost,
    Progress,
    SequenceServerCore,
)
from lab.sequence.settings import ServerSettings
from lab.sequence.values import LONGEST, Checksum, value
from lab.sequence.wire import (
    Alive,
    Challenge,
    Conflict,
    Done,
    Heartbeat,
    Number,
    Proof,
    Rejected,
    Resume,
    Resumed,
    Session,
    Start,
    Sum,
    Unavailable,
    Wrong,
    encode,
    proof,
    read_server,
)
from lab.testing import Playbook
from tests.helpers import thorough

#: What the stand-in for a source of secrets gives, one after the other.
ID, KEY, NONCE = (bytes([number]) * 16 for number in (1, 2, 1))
#: A session of three numbers, all of which are due within `AHEAD`.
RECORD = Record(ID.hex(), KEY, 3, 1.0, "10.0.0.2", sent=3)


def number(index: int) -> bytes:
    """The line with a number."""
    return encode(Number(index, value(KEY, index)))


def checksum(n: int) -> bytes:
    """The line with the checksum over the first numbers."""
    found = Checksum()
    for index in range(n):
        found.add(value(KEY, index))
    return encode(Sum(*found.digest()))


def struck(core: SequenceServerCore, now: float) -> bytes | None:
    """What a wheel sends by itself, or a driver if the core strikes."""
    series: Series | None = core._series
    assert series is not None
    if len(series.lines) < 2 or not series.due() <= now < series.until:
        series = core.strike(now)
    return series and series.take(now)


class ServerCase(SynchronousTestCase):
    """A test case with a core in a play."""

    def play(self, *, now: float = 0.0, **settings: Any) -> Playbook:
        """A play with a core."""
        secrets = count(1)
        self.core = SequenceServerCore(
            ServerSettings(**settings),
            now,
            lambda: bytes([next(secrets)]) * 16,
            stream(7),
            "10.0.0.2",
        )
        return Playbook(self.core, now)

    def running(self, n: int = 3, **settings: Any) -> Playbook:
        """A play whose session has begun."""
        play = self.play(**settings).receives(encode(Start(n)))
        interval = self.core._settings.interval
        record = evolve(RECORD, n=n, interval=interval, sent=min(n, int(AHEAD / interval) + 1))
        play.tells(Create(record)).does(lambda now: self.core.created(True, now))
        return play.sends(encode(Session(record.id, KEY, n, record.interval)))

    def resuming(self, next: int, sent: int, *, now: float = 0.0, **record: Any) -> Playbook:
        """A play that has come to a valid proof; the session is kept like this."""
        kept = evolve(RECORD, sent=sent, **record)
        play = self.play(now=now).receives(encode(Resume(kept.id, next)))
        play.tells(Load(kept.id)).does(lambda now: self.core.loaded(kept, now))
        play.sends(encode(Challenge(NONCE.hex())))
        return play.receives(encode(Proof(proof(KEY, kept.id, NONCE.hex(), next))))

    def taken(self, play: Playbook, **record: Any) -> Playbook:
        """The store gives it."""
        play.tells(Attach(evolve(RECORD, epoch=2, **record)))
        return play.does(lambda now: self.core.attached(True, now))


class SequenceTests(ServerCase):
    """A session from its beginning to its end."""

    def test_a_whole_sequence(self) -> None:
        """Numbers at 0, 1, 2 s, then the checksum; the session is forgotten after ``done``."""
        play = self.running()
        for index in range(3):
            play.sends(number(index), at=float(index))
            if index == 2:
                play.sends(checksum(3), at=2.0)
            play.wait(1.0)
        play.receives(encode(Done())).tells(Forget(RECORD)).tells(Finished("done"))
        play.closes().wait(100.0).end()

    def test_drawn(self) -> None:
        """Without a number the server draws one; the interval is the client's, within bounds."""
        for asked, given in ((None, 1.0), (0.5, 0.5), (0.0001, 0.001)):
            play = self.play().receives(encode(Start(5, asked)))
            play.tells(Create(evolve(RECORD, n=5, interval=given, sent=5))).end()
        random, lengths = stream(7), set()
        for _ in range(20):
            core = SequenceServerCore(ServerSettings(), 0.0, lambda: ID, random)
            core.message(encode(Start()), 0.0)
            (create,) = core.events()
            assert isinstance(create, Create)
            lengths.add(create.record.n)
        self.assertGreater(len(lengths), 15)
        self.assertTrue(all(1 <= n <= LONGEST for n in lengths))

    def test_no_drift(self) -> None:
        """A tick that comes late moves no other number; what is due is sent at once."""
        play = self.running(n=100, interval=0.1)
        play.sends(number(0), at=0.0)
        self.core.tick(0.35)
        found = self.core.outgoing()
        self.assertEqual(found, [number(1), number(2), number(3)])
        self.assertAlmostEqual(self.core.deadline() or 0.0, 0.4)

    def test_full(self) -> None:
        """If there are too many sessions, it is rejected."""
        play = self.play().receives(encode(Start(3))).tells(Create(RECORD))
        play.does(lambda now: self.core.created(False, now)).sends(encode(Rejected("full"))).tells(
            Rejected("full")
        )
        play.tells(Finished("rejected: full")).closes().end()

    def test_gone_while_asking(self) -> None:
        """A client that is gone when the store answers can still resume."""
        play = self.play().receives(encode(Start(3))).tells(Create(RECORD)).closes().silent()
        play.does(lambda now: self.core.created(True, now))
        play.tells(Progress(evolve(RECORD, sent=0, deadline=30.0))).end()
        attached = evolve(RECORD, epoch=2)
        play = self.resuming(0, 3).tells(Attach(attached)).closes().silent()
        play.does(lambda now: self.core.attached(True, now))
        play.tells(Progress(evolve(attached, deadline=30.0))).end()
        play = self.play().receives(encode(Resume(RECORD.id, 0))).tells(Load(RECORD.id)).closes()
        play.does(lambda now: self.core.loaded(RECORD, now)).end()


class ResumeTests(ServerCase):
    """A session goes on."""

    def test_goes_on(self) -> None:
        """The number that is next comes at once, the others follow; the checksum is over all."""
        play = self.taken(self.resuming(1, 2, now=50.0))
        play.sends(encode(Resumed(1)), at=50.0).sends(number(1), at=50.0).wait(1.0)
        play.sends(number(2), at=51.0).sends(checksum(3), at=51.0)
        play.closes().tells(Progress(evolve(RECORD, epoch=2, deadline=81.0))).end()

    def test_before_the_first(self) -> None:
        """Nothing was received yet."""
        play = self.taken(self.resuming(0, 0)).sends(encode(Resumed(0))).sends(number(0))
        play.closes().tells(Progress(evolve(RECORD, epoch=2, sent=1, deadline=30.0))).end()

    def test_after_the_last(self) -> None:
        """All was received but the checksum."""
        play = self.taken(self.resuming(3, 3)).sends(encode(Resumed(3))).sends(checksum(3))
        play.receives(encode(Done())).tells(Forget(evolve(RECORD, epoch=2)))

    def test_long_checksum(self) -> None:
        """What was sent elsewhere is summed up a part at a time: others have their turn."""
        play = self.taken(self.resuming(1000, 1000, n=1000), n=1000, sent=1000)
        play.sends(encode(Resumed(1000))).silent()
        play.wait(0.0005).silent().wait(1.0).sends(checksum(1000), at=0.003).silent()

    def test_the_window(self) -> None:
        """At 29.999 s it goes on, at 30 s it does not."""
        for now, answer in ((29.999, None), (30.0, "expired"), (31.0, "expired")):
            kept = evolve(RECORD, deadline=30.0)
            play = self.play(now=now).receives(encode(Resume(RECORD.id, 0)))
            play.tells(Load(RECORD.id)).does(lambda now, kept=kept: self.core.loaded(kept, now))
            if answer is None:
                play.sends(encode(Challenge(NONCE.hex())))
            else:
                play.sends(encode(Rejected(answer))).tells(Rejected(answer)).tells(
                    Finished(f"rejected: {answer}")
                ).end()

    def test_unknown(self) -> None:
        """Nobody knows it."""
        play = self.play().receives(encode(Resume(RECORD.id, 0))).tells(Load(RECORD.id))
        play.does(lambda now: self.core.loaded(None, now)).sends(encode(Rejected("unknown"))).tells(
            Rejected("unknown")
        )
        play.tells(Finished("rejected: unknown")).end()

    def test_ahead(self) -> None:
        """Who has the key, but asks for what was never sent before, hears so."""
        play = self.resuming(3, 2).sends(encode(Rejected("ahead"))).tells(Rejected("ahead"))
        play.tells(Finished("rejected: ahead")).end()

    def test_no_proof(self) -> None:
        """Without the key, or for another place, or with an old nonce, nothing is told or done."""
        for key, nonce, next in (
            (bytes(16), NONCE.hex(), 1),
            (KEY, NONCE.hex(), 2),
            (KEY, bytes(16).hex(), 1),
        ):
            kept = evolve(RECORD, sent=0)
            play = self.play().receives(encode(Resume(RECORD.id, 1))).tells(Load(RECORD.id))
            play.does(lambda now, kept=kept: self.core.loaded(kept, now))
            play.sends(encode(Challenge(NONCE.hex())))
            play.receives(encode(Proof(proof(key, RECORD.id, nonce, next))))
            play.sends(encode(Rejected("proof"))).tells(Rejected("proof")).tells(
                Finished("rejected: proof")
            )
            play.closes().end()

    def test_somebody_was_faster(self) -> None:
        """Two prove at once: one has it, and the other hears so."""
        attached, text = evolve(RECORD, epoch=2), "another connection resumes the session at the"
        play = self.resuming(0, 0).tells(Attach(attached))
        play.does(lambda now: self.core.attached(False, now))
        play.sends(encode(Unavailable(f"{text} same time")))
        play.tells(Finished(f"{text} same time")).closes().end()
        play = self.resuming(0, 0).tells(Attach(attached)).closes()
        play.does(lambda now: self.core.attached(False, now)).end()

    def test_conflict(self) -> None:
        """The newest wins: the old connection says so, and does not touch the session."""
        play = self.play()
        self.assertEqual(self.core.epoch, 0)
        play = self.running().sends(number(0))
        self.assertEqual(self.core.epoch, 1)
        play.does(self.core.conflict).sends(encode(Conflict()))
        play.tells(Finished("the session was resumed elsewhere")).closes().wait(100.0)
        play.does(self.core.conflict).end()


class StoreTests(ServerCase):
    """What the store knows, and when."""

    def long(self) -> Playbook:
        """A session of a thousand numbers, every second, of which the store knows 61."""
        return self.running(1000, heartbeat=1000.0).sends(number(0))

    def numbers(self, play: Playbook, *indexes: int) -> Playbook:
        """These come, a second apart."""
        for index in indexes:
            play.wait(1.0).sends(number(index), at=float(index))
        return play

    def known(self, sent: int) -> Record:
        """The session, as the store has it."""
        return evolve(RECORD, n=1000, sent=sent)

    def test_ahead_of_the_numbers(self) -> None:
        """No number is sent that the store does not know of; it is told in time."""
        play = self.numbers(self.long(), *range(1, 31))
        play.tells(Progress(self.known(91))).does(lambda now: self.core.progressed(91, now))
        self.numbers(play, *range(31, 61)).tells(Progress(self.known(121)))
        self.numbers(play, *range(61, 91)).tells(Progress(self.known(151))).wait(3.0).silent()
        play.does(lambda now: self.core.progressed(121, now))
        play.sends(number(91)).sends(number(92)).sends(number(93)).silent()
        play.closes().tells(Progress(evolve(self.known(94), deadline=123.0)))
        play.does(lambda now: self.core.progressed(94, now)).end()

    def test_long_intervals(self) -> None:
        """The store hears that the client is there, however rare the numbers are."""
        play = self.running(3, interval=90.0, heartbeat=100.0).sends(number(0)).wait(30.0)
        play.tells(Progress(evolve(RECORD, interval=90.0, sent=2)), at=30.0)

    def test_after_the_checksum(self) -> None:
        """Also while nothing is missing but ``done``."""
        play = self.running(1, heartbeat=100.0).sends(number(0)).sends(checksum(1)).wait(30.0)
        play.tells(Progress(evolve(RECORD, n=1, sent=1)), at=30.0)
        play.does(lambda now: self.core.progressed(1, now)).does(self.core.failed).wait(1.0)
        play.tells(Progress(evolve(RECORD, n=1, sent=1)), at=31.0)

    def test_fails_to_begin(self) -> None:
        """A store that fails is told to the client, which may come again."""
        text = "the sessions can't be reached"
        for line in (Start(3), Resume(RECORD.id, 0)):
            play = self.play().receives(encode(line))
            play.tells(Create(RECORD) if line == Start(3) else Load(RECORD.id))
            play.does(self.core.failed).sends(encode(Unavailable(text))).tells(Finished(text))
            play.does(self.core.failed).closes().end()

    def test_fails_later(self) -> None:
        """The session goes on as far as the store knows, which is asked every second."""
        text = "the sessions can't be reached"
        play = self.numbers(self.long(), *range(1, 31))
        for index in range(31, 61):
            play.tells(Progress(self.known(60 + index))).does(self.core.failed)
            self.numbers(play, index)
        play.tells(Progress(self.known(121))).does(self.core.failed)
        play.sends(encode(Unavailable(text))).tells(Progress(evolve(self.known(61), deadline=90.0)))
        play.tells(Finished(text)).end()


class LifeTests(ServerCase):
    """Who is there."""

    def test_heartbeats(self) -> None:
        """Each is answered, in every state; whoever sends them is not given up."""
        play = self.play()
        for beat in range(10):
            play.wait(5.9).receives(encode(Heartbeat(beat))).sends(encode(Alive(beat)))
        play.end()

    def test_together(self) -> None:
        """The answer leaves with a number that is due soon; the next heartbeat takes it along."""
        play = self.running(100).sends(number(0), at=0.0).wait(1.0).sends(number(1), at=1.0)
        play.wait(0.5).receives(encode(Heartbeat(0))).silent().wait(0.5)
        play.sends(encode(Alive(0)), at=2.0).sends(number(2), at=2.0)
        play.wait(0.6).receives(encode(Heartbeat(1))).silent()
        play.wait(0.2).receives(encode(Heartbeat(2)))
        play.sends(encode(Alive(1)), at=2.8).sends(encode(Alive(2)), at=2.8)

    def test_not_so_long(self) -> None:
        """It waits for half the time between two heartbeats, and a second, and no longer."""
        for heartbeat, interval, late in ((2.0, 2.9, 0.9), (2.0, 3.1, 1.1), (5.0, 6.1, 1.1)):
            play = self.running(9, interval=interval, heartbeat=10.0).sends(number(0))
            play.wait(heartbeat).receives(encode(Heartbeat(0)))
            if late > 1:
                play.sends(encode(Alive(0)), at=heartbeat)
            play.silent().wait(late)
            if late < 1:
                play.sends(encode(Alive(0)), at=interval)
            play.sends(number(1), at=interval)
        play = self.running(9).sends(number(0))
        for beat, at in enumerate((0.3, 0.6)):
            play.wait(0.3).receives(encode(Heartbeat(beat))).sends(encode(Alive(beat)), at=at)
        play.wait(0.3).receives(encode(Heartbeat(2))).silent().wait(0.2)
        play.sends(encode(Alive(2)), at=1.0).sends(number(1))

    def test_before_the_end(self) -> None:
        """Whatever ends the connection with a line, what was said before is answered before it."""
        text = "done is only for the answer to a checksum"
        for end, line in (
            (lambda play: play.receives(encode(Done())), Wrong(text)),
            (lambda play: play.does(self.core.conflict), Conflict()),
        ):
            play = self.running(9).sends(number(0)).wait(0.9).receives(encode(Heartbeat(5)))
            end(play.silent()).sends(encode(Alive(5))).sends(encode(line))
        play = self.running(2).sends(number(0)).wait(0.9).receives(encode(Heartbeat(5))).silent()
        play.wait(0.2).sends(encode(Alive(5)), at=1.0).sends(number(1)).sends(checksum(2))

    def test_any_bytes(self) -> None:
        """A part of a line is a sign of life."""
        play = self.play().wait(5.0).does(self.core.heard).wait(5.9).silent()
        play.wait(0.1).tells(Lost("silent for 6 s"), at=11.0).end()

    def test_silence(self) -> None:
        """After three intervals without anything the client is lost, and the session waits."""
        play = self.running(n=10, interval=4.0).sends(number(0))
        play.wait(5.9).sends(number(1), at=4.0).silent()
        detached = evolve(RECORD, n=10, interval=4.0, sent=2, deadline=36.0)
        play.wait(0.1).tells(Lost("silent for 6 s"), at=6.0).tells(Progress(detached))
        play.closes().receives(encode(Heartbeat(0))).wait(100.0).end()

    def test_held_up(self) -> None:
        """A server that could not read is silent itself: it reads first, and then judges."""
        for speaks in (True, False):
            self.running(n=9)
            core = self.core
            core.outgoing()
            core.tick(7.5)
            self.assertEqual(core.outgoing(), [number(index) for index in range(1, 8)])
            self.assertEqual(core.events(), [])
            due = core.deadline()
            self.assertTrue(due is not None and 7.5 < due < 7.6)
            if speaks:
                core.heard(7.5)
                self.assertEqual(core.deadline(), 8.0)
            else:
                core.tick(9.0)
                lost, progress = core.events()
                self.assertEqual((type(lost), type(progress)), (Lost, Progress))

    def test_early_tick(self) -> None:
        """A tick that comes before its time does nothing."""
        self.play().does(self.core.tick).end()

    def test_wrong(self) -> None:
        """What has no place is told so, and ends the connection; the session waits."""
        for data, text in (
            (encode(Start(1)), "start is only for the first line"),
            (encode(Resume("0" * 32, 0)), "resume is only for the first line"),
            (encode(Done()), "done is only for the answer to a checksum"),
        ):
            play = self.running().sends(number(0))
            play.receives(data).sends(encode(Wrong(text)))
            play.tells(Progress(evolve(RECORD, sent=1, deadline=30.0)))
            play.tells(Finished(text)).receives(data).end()
        for data, text in (
            (encode(Proof("0" * 64)), "proof is only for the answer to a challenge"),
            (encode(Done()), "done is only for the answer to a checksum"),
            (b"start 0", "n is '0'; give 1 to 65535"),
        ):
            play = self.play().receives(data).sends(encode(Wrong(text)))
            play.tells(Finished(text)).closes().end()


class ShortTests(ServerCase):
    """The short ways beside the verbs: the same bytes, the same state."""

    def twins(self, n: int, rest: int) -> list[SequenceServerCore]:
        """Two cores that have got equally far; what they have sent is taken."""
        found = []
        for _ in range(2):
            play = self.running(n) if not rest else self.resuming(rest, rest + 2, n=n)
            if rest:
                sent = max(rest + 2, min(n, rest + 61))
                self.taken(play, n=n, sent=sent)
            self.core.outgoing()
            self.core.events()
            found.append(self.core)
        return found

    def out(self, plain: SequenceServerCore, sent: bytes, short: SequenceServerCore) -> None:
        """What one sends is what was sent of the other, and what it sends."""
        sent += b"".join(line + b"\n" for line in short.outgoing())
        self.assertEqual(sent, b"".join(line + b"\n" for line in plain.outgoing()))

    @hypothesis.given(
        st.integers(1, 60),
        st.integers(0, 3),
        st.lists(
            st.sampled_from(["tick", "late", "early", "beat", "soon", "told", "lost"]), max_size=60
        ),
    )
    @hypothesis.settings(max_examples=60)
    def test_as_the_verbs(self, n: int, rest: int, steps: list[str]) -> None:
        """Whatever happens meanwhile, a core with the short ways sends what one without does."""
        short, plain = self.twins(n, min(rest, n))
        now = 0.0
        for step in steps:
            due = plain.deadline()
            if due is None:
                break
            early = max(now, min(due, now + 0.3))
            times = {"late": due + 1.5, "early": max(now, due - 0.5), "soon": early}
            now = times.get(step, max(now, due))
            if step in {"beat", "soon"}:
                answer = short.reply(b"heartbeat 7\n", now)
                plain.message(b"heartbeat 7", now)
                self.assertEqual(answer, b"".join(line + b"\n" for line in plain.outgoing()))
            elif step == "told":
                for core in (short, plain):
                    core.progressed(min(n, core._may + 3), now)
            elif step == "lost":
                for core in (short, plain):
                    core.failed(now)
            else:
                sent = struck(short, now)
                again = short.deadline()
                if sent is None or (again is not None and again <= now):
                    short.tick(now)
                plain.tick(now)
                self.out(plain, sent or b"", short)
            self.out(plain, b"", short)
            self.assertEqual(short.events(), plain.events())
            self.assertEqual((short.deadline(), short.sent), (plain.deadline(), plain.sent))

    def test_strikes(self) -> None:
        """The numbers that follow are struck; the first and the last are not, nor too early."""
        self.running(5)
        core = self.core
        core.outgoing()
        self.assertIsNone(core.strike(0.9))
        series = core.strike(1.0)
        assert series is not None
        self.assertEqual(series.lines, [number(index) + b"\n" for index in (3, 2, 1)])
        self.assertEqual(series.take(1.0), number(1) + b"\n")
        self.assertEqual((core.deadline(), core.sent), (2.0, 2))
        self.assertEqual(series.take(3.5), number(2) + b"\n" + number(3) + b"\n")
        self.assertIsNone(core.strike(4.0))
        core.tick(4.0)
        self.assertEqual(core.outgoing(), [number(4), checksum(5)])

    def test_strikes_a_few_at_a_time(self) -> None:
        """A client that is gone has not cost much, and the rest is made when it is due."""
        self.running(50, heartbeat=100.0)
        for at, ready in ((1.0, 8), (2.0, 7), (7.0, 6), (8.0, 9)):
            series = self.core.strike(at)
            assert series is not None
            self.assertEqual(len(series.lines), ready)
            series.take(at)
        self.core.close(8.0)
        self.assertEqual((series.lines, self.core.sent), ([], 9))

    def test_strikes_until_the_store_is_told(self) -> None:
        """What is due together with that, or behind it, is not struck."""
        self.running(99, interval=8.0, heartbeat=100.0)
        series = self.core.strike(8.0)
        assert series is not None
        self.assertEqual(len(series.lines), 2)
        series.take(16.0)
        self.assertEqual(self.core.deadline(), 24.0)
        self.assertIsNone(self.core.strike(24.0))

    def test_strikes_the_last_that_the_store_knows_of(self) -> None:
        """Behind it no number is due, only that the store is told."""
        self.running(40, interval=4.0, heartbeat=1000.0)
        core = self.core
        for at in range(4, 60, 4):
            core.tick(float(at))
        series = core.strike(60.0)
        assert series is not None
        self.assertEqual(series.lines, [number(15) + b"\n"])
        series.take(60.0)
        self.assertEqual((core.deadline(), core.sent), (84.0, 16))

    def test_strikes_nothing_else(self) -> None:
        """Without a session, in silence and when the store is to be told, it is not for short."""
        self.play()
        self.assertIsNone(self.core.strike(1.0))
        self.running(50)
        core = self.core
        self.assertIsNone(core.strike(6.0))
        for at in range(1, 30):
            core.heard(at)
            core.tick(float(at))
        self.assertIsNone(core.strike(30.0))

    def test_strikes_what_is_summed_up(self) -> None:
        """As long as numbers of connections before are not in the sum, none is made ready."""
        self.taken(self.resuming(1000, 1000, n=2000), n=2000, sent=1061)
        core = self.core
        self.assertIsNone(core.strike(1.0))
        for at in (1.0, 2.0, 3.0):
            core.tick(at)
        self.assertIsNotNone(core.strike(4.0))

    def test_replies(self) -> None:
        """One heartbeat is answered; more lines, other ones, and those behind the end are not."""
        self.running(9, heartbeat=100.0)
        for lines in (b"done\n", b"heartbeat 1\n" * 2, b"heartbeat 4294967295\n", b"heartbeat x\n"):
            self.assertIsNone(self.core.reply(lines, 0.1))
        self.assertEqual(self.core.reply(b"heartbeat 007\r\n", 0.1), b"alive 7\n")
        self.assertEqual(self.core.reply(b"heartbeat 8\n", 0.5), b"alive 8\n")
        self.assertEqual(self.core.reply(b"heartbeat 9\n", 0.9), b"")
        self.assertEqual(struck(self.core, 1.0), b"alive 9\n" + number(1) + b"\n")
        self.assertEqual(self.core.reply(b"heartbeat 10\n", 1.8), b"")
        self.assertEqual(self.core.reply(b"heartbeat 11\n", 1.9), b"alive 10\nalive 11\n")
        self.core.close(2.0)
        self.assertIsNone(self.core.reply(b"heartbeat 7\n", 2.0))


class HeartbeatMachine(RuleBasedStateMachine):
    """What may happen to a session while its client says that it is there."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.beaten = 0.0
        self.beats = 0
        #: Heartbeats that have no answer yet: the number, and the time until which it may wait.
        self.waiting: list[tuple[int, float]] = []
        self.away = False
        self.numbers = 0

    @initialize(
        n=st.sampled_from([1, 5, 1000]),
        next=st.sampled_from([0, 3, 1000]),
        interval=st.sampled_from([0.05, 0.7, 1.0, 2.9, 60.0]),
    )
    def begin(self, n: int, next: int, interval: float) -> None:
        """A session begins, or goes on."""
        settings = ServerSettings(interval=interval, heartbeat=1000.0)
        self.core = core = SequenceServerCore(settings, 0.0, lambda: ID, stream(7))
        self.numbers = next = min(n, next)
        if next:
            core.message(encode(Resume(RECORD.id, next)), 0.0)
            core.loaded(evolve(RECORD, n=n, interval=interval, sent=next), 0.0)
            core.message(encode(Proof(proof(KEY, RECORD.id, ID.hex(), next))), 0.0)
            core.attached(True, 0.0)
        else:
            core.message(encode(Start(n)), 0.0)
            core.created(True, 0.0)
        self.key = KEY if next else ID
        core.events()
        for line in core.outgoing():
            self.numbers += type(read_server(line)) is Number

    @rule(wait=st.sampled_from([0.0, 0.01, 0.1, 0.4, 1.0, 2.0, 5.0]), short=st.booleans())
    def beat(self, wait: float, *, short: bool) -> None:
        """A heartbeat comes after so long."""
        self.advance(self.now + wait)
        over = self.core.state == "over"
        if not over:
            patience = min(1.0, (self.now - self.beaten) / 2)
            self.waiting.append((self.beats, self.now + patience))
        self.beaten = self.now
        answer = self.core.reply(b"heartbeat %d\n" % self.beats, self.now) if short else None
        if answer is None:
            self.core.message(b"heartbeat %d" % self.beats, self.now)
        self.beats += 1
        self.take((answer or b"").splitlines())

    @rule(away=st.booleans(), wait=st.sampled_from([0.0, 0.3, 9.0]))
    def store(self, *, away: bool, wait: float) -> None:
        """The store answers from now on, or does not."""
        self.away = away
        self.advance(self.now + wait)

    @rule(what=st.sampled_from(["done", "conflict", "wrong", "close"]), wait=st.floats(0.0, 0.5))
    def end(self, what: str, wait: float) -> None:
        """The session comes to an end here, if it may."""
        self.advance(self.now + wait)
        if what == "conflict":
            self.core.conflict(self.now)
        elif what == "close":
            self.core.close(self.now)
            self.waiting.clear()
        elif what == "wrong" or self.core.state == "waiting":
            self.core.message(what.encode(), self.now)
        self.take([])

    def advance(self, until: float) -> None:
        """Time passes, and every call comes when it is due."""
        while (due := self.core.deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            sent = struck(self.core, self.now)
            if sent is None:
                self.core.tick(self.now)
            self.take((sent or b"").splitlines())
        self.now = until

    def take(self, lines: list[bytes]) -> None:
        """What it says, in its order, and in time; the store hears what is for it."""
        for event in self.core.events():
            if isinstance(event, Progress) and self.core.state != "over":
                if self.away:
                    self.core.failed(self.now)
                else:
                    self.core.progressed(event.record.sent, self.now)
        for line in map(read_server, [*lines, *self.core.outgoing()]):
            if isinstance(line, Alive):
                beat, limit = self.waiting.pop(0)
                assert line.number == beat
                assert self.now <= limit + 1e-9
            elif isinstance(line, Number):
                assert line == Number(self.numbers, value(self.key, line.index))
                self.numbers += 1

    @invariant()
    def at_most_one_waits(self) -> None:
        """No answer is forgotten: one may wait, until it may no longer, and none at the end."""
        assert len(self.waiting) <= (self.beats > 0 and self.core.state == "running")
        assert all(self.now <= limit + 1e-9 for _, limit in self.waiting)


class MachineTests(SynchronousTestCase):
    """Heartbeats and their answers, whatever happens."""

    def explore(self, examples: int) -> None:
        """So many runs."""
        settings = hypothesis.settings(max_examples=examples, stateful_step_count=20)
        run_state_machine_as_test(HeartbeatMachine, settings=settings)

    def test_answers(self) -> None:
        """Every heartbeat is answered once, in its order and in time."""
        self.explore(60)

    @thorough
    def test_many_answers(self) -> None:
        """Much of it."""
        self.explore(800)
