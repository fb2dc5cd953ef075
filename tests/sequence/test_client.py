"""The client's side of a sequence, step by step."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lab.core import Finished
from lab.rng import Random
from lab.sequence.client import Connect, Ended, Lost, Retry, SequenceClientCore
from lab.sequence.settings import ClientSettings
from lab.sequence.values import Checksum
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
)
from lab.testing import Playbook

SESSION = Session("1" * 32, bytes(16), 3, 1.0)
NONCE = "2" * 32
LOST = "the connection is lost"


class Middle(Random):
    """Draws the middle, always."""

    def random(self) -> float:
        """It."""
        return 0.5


def checksum(*numbers: int) -> Sum:
    """The checksum over these."""
    found = Checksum()
    for number in numbers:
        found.add(number)
    return Sum(*found.digest())


class ClientCase(SynchronousTestCase):
    """A test case with a core in a play."""

    def play(self, **settings: Any) -> Playbook:
        """A play that has a connection and has begun."""
        self.core = SequenceClientCore(ClientSettings(**settings), Middle())
        play = Playbook(self.core).wait(0.0).tells(Connect(), at=0.0).does(self.core.opened)
        n, interval = settings.get("n"), settings.get("interval")
        return play.sends(encode(Start(n, interval)))

    def running(self, *numbers: int, **settings: Any) -> Playbook:
        """A play that has received these numbers."""
        play = self.play(**settings).receives(encode(SESSION)).tells(SESSION)
        for index, number in enumerate(numbers):
            line = Number(index, number)
            play.receives(encode(line)).tells(line)
        return play

    def lost(self, play: Playbook, wait: float = 0.5, reason: str = LOST) -> Playbook:
        """Lose the connection; another one is asked for after a wait."""
        play.closes().tells(Retry(reason, wait)).wait(wait - 0.01).silent().wait(0.01)
        return play.tells(Connect())

    def again(self, play: Playbook, next: int, reason: str = LOST) -> Playbook:
        """Lose the connection, and have another one."""
        self.lost(play, reason=reason).does(self.core.opened)
        return play.sends(encode(Resume(SESSION.id, next)))


class SequenceTests(ClientCase):
    """From the beginning to the end."""

    def test_equal(self) -> None:
        """Numbers are told as they come; equal checksums are a success, and the server hears it."""
        play = self.running(7, 8, 9, n=3, interval=0.5).receives(encode(checksum(7, 8, 9)))
        text = "local checksum and server checksum are equal"
        play.sends(encode(Done())).tells(Ended("equal", 3, text)).tells(Finished(text))
        play.closes().wait(100.0).receives(encode(Alive(0))).end()

    def test_different(self) -> None:
        """Others are none."""
        play = self.running(7, 8, 9).receives(encode(checksum(7, 9, 8)))
        text = "local checksum and server checksum are different"
        play.sends(encode(Done())).tells(Ended("different", 3, text)).tells(Finished(text)).end()

    def test_heartbeats(self) -> None:
        """One every two seconds; the answers are signs of life."""
        play = self.running()
        for beat in range(5):
            play.wait(2.0).sends(encode(Heartbeat(beat)), at=2.0 * beat + 2)
            play.receives(encode(Alive(beat)))
        play.end()

    def test_silence(self) -> None:
        """After three intervals without any byte the connection is broken off."""
        play = self.running(7).wait(3.0).sends(encode(Heartbeat(0))).does(self.core.heard)
        play.wait(5.9)
        for beat in (1, 2, 3):
            play.sends(encode(Heartbeat(beat)), at=2.0 * beat + 2)
        play.silent().wait(0.1).tells(Lost("silent for 6 s"), at=9.0).wait(100.0).end()
        self.again(play, 1, "silent for 6 s").end()


class ResumeTests(ClientCase):
    """Connections that break."""

    def test_goes_on(self) -> None:
        """It proves that the session is its own, and goes on with the number that is next."""
        play = self.again(self.running(7), 1).receives(encode(Challenge(NONCE)))
        play.sends(encode(Proof(proof(SESSION.key, SESSION.id, NONCE, 1))))
        play.receives(encode(Resumed(1))).tells(Resumed(1))
        play.receives(encode(Number(1, 8))).tells(Number(1, 8))
        play.receives(encode(Number(2, 9))).tells(Number(2, 9))
        play.receives(encode(checksum(7, 8, 9))).sends(encode(Done()))
        self.assertEqual((self.core.state, self.core.connections), ("over", 2))

    def test_no_session_yet(self) -> None:
        """What was cut before there was a session begins anew."""
        play = self.lost(self.play(n=3)).does(self.core.opened)
        play.sends(encode(Start(3))).end()

    def test_known_before(self) -> None:
        """A session of an earlier process goes on where that stopped."""
        self.core = SequenceClientCore(ClientSettings(), Middle(), SESSION, (7, 8))
        play = Playbook(self.core).wait(0.0).tells(Connect()).does(self.core.opened)
        play.sends(encode(Resume(SESSION.id, 2))).receives(encode(Challenge(NONCE)))
        self.assertEqual(self.core.next, 2)

    def test_waits(self) -> None:
        """Each attempt waits longer, up to a cap; a number makes it begin with the first again."""
        play = self.running(7, most_retry=15.0)
        for wait in (0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0):
            self.lost(play, wait).silent()
        play.does(self.core.opened).sends(encode(Resume(SESSION.id, 1)))
        play.receives(encode(Challenge(NONCE)), encode(Resumed(1)), encode(Number(1, 8)))
        play.sends(encode(Proof(proof(SESSION.key, SESSION.id, NONCE, 1)))).tells(Resumed(1))
        play.tells(Number(1, 8))
        self.again(play, 2).end()

    def test_jitter(self) -> None:
        """Waits are drawn, so that many clients do not come at once."""
        waits = set()
        for seed in range(1000):
            core = SequenceClientCore(ClientSettings(), Random(seed))
            core.tick(0.0)
            for _ in range(3):
                core.close(0.0)
            waits.add(core.deadline() or 0.0)
        self.assertGreater(len(waits), 990)
        self.assertTrue(1.0 <= min(waits) < 1.05 and 2.95 < max(waits) <= 3.0)

    def test_most_jitter(self) -> None:
        """However it is drawn, no wait is longer than the longest that is set."""
        core = SequenceClientCore(ClientSettings(most_retry=10.0), Random(1))
        core.tick(0.0)
        for _ in range(1000):
            core.close(0.0)
        waits = [event.wait for event in core.events() if isinstance(event, Retry)][10:]
        self.assertTrue(10 / 3 <= min(waits) < 3.4 and 9.9 < max(waits) <= 10.0)

    def test_repeated(self) -> None:
        """A number that comes again is counted, and not told."""
        play = self.running(7, 8).receives(encode(Number(0, 7)), encode(Number(1, 8))).silent()
        self.assertEqual((self.core.repeated, self.core.next), (2, 2))
        play.end()

    def test_another_length(self) -> None:
        """A sequence of another length than was asked for is not taken; it is asked for again."""
        for n, text in ((4, "a sequence of 3 numbers, and 4 were asked for"), (3, "")):
            play = self.play(n=n).receives(encode(SESSION)).tells(Lost(text) if text else SESSION)
            if text:
                self.lost(play, reason=text).does(self.core.opened)
                play.sends(encode(Start(n, None)))
            play.end()

    def test_out_of_place(self) -> None:
        """What can't be is not shown: the connection is broken off, and another one asked."""
        cases = [
            (encode(Number(2, 9)), "number 2, and 1 is next"),
            (encode(checksum(7)), "a checksum, and not all numbers are there"),
            (encode(SESSION), "a session that was not asked for"),
            (encode(Challenge(NONCE)), "a challenge that was not asked for"),
            (encode(Resumed(1)), "resumed at 1, and 1 is next"),
            (b"number one", "number has 1 words behind it; that is no number"),
            (encode(Unavailable("later")), "the server says: later"),
        ]
        for data, text in cases:
            play = self.running(7).receives(data).tells(Lost(text)).receives(data).silent()
            self.again(play, 1, text).end()
        play = self.again(self.running(7), 1).receives(encode(Resumed(2)))
        play.tells(Lost("resumed at 2, and 1 is next")).end()


class EndTests(ClientCase):
    """What ends it."""

    def test_rejected(self) -> None:
        """A session that is no more is the end, with the last index."""
        play = self.again(self.running(7, 8), 2).receives(encode(Rejected("expired")))
        text = "rejected: expired; the last index is 1"
        play.tells(Ended("rejected", 2, text)).tells(Finished(text)).closes().wait(9.0).end()
        play = self.again(self.running(), 0).receives(encode(Rejected("unknown")))
        text = "rejected: unknown; there was no number"
        play.tells(Ended("rejected", 0, text)).tells(Finished(text)).end()

    def test_restart(self) -> None:
        """Or the beginning of a new one, if that is wished."""
        play = self.again(self.running(7, restart=True), 1).receives(encode(Rejected("expired")))
        play.tells(Rejected("expired")).tells(Lost("rejected: expired"))
        self.lost(play, 1.0, "rejected: expired").does(self.core.opened).sends(encode(Start()))
        play.receives(encode(SESSION)).tells(SESSION).receives(encode(Number(0, 5)))
        play.tells(Number(0, 5)).end()

    def test_full(self) -> None:
        """There was none to be had: that is no session to begin anew."""
        play = self.play(restart=True).receives(encode(Rejected("full")))
        text = "rejected: full; there was no number"
        play.tells(Ended("rejected", 0, text)).tells(Finished(text)).end()

    def test_conflict(self) -> None:
        """Somebody else has it."""
        text = "it was resumed elsewhere"
        play = self.running(7).receives(encode(Conflict()))
        play.tells(Ended("conflict", 1, text)).tells(Finished(text)).end()

    def test_refused(self) -> None:
        """The server does not understand us."""
        text = "the server says: n is '0'"
        play = self.play().receives(encode(Wrong("n is '0'")))
        play.tells(Ended("refused", 0, text)).tells(Finished(text)).end()
