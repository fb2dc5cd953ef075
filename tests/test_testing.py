"""The test kit itself: it must see what is wrong."""

import contextlib
import unittest
from collections.abc import Callable
from io import StringIO
from typing import Any

from attrs import define, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial import reporter
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.testing import PIECE, Fate, Pair, Playbook, at_once, chunkings, tell_at_failure
from tests.helpers import together


@frozen
class Rang:
    """An event of `Bell`."""

    times: int
    late: float


@define
class Bell:
    """A core that rings every so many seconds, and gives back what it hears unless it's `ok`."""

    step: float = 1.0
    due: float | None = 1.0
    rung: int = 0
    heard: list[tuple[float, bytes]] = field(factory=list)
    _outgoing: list[bytes] = field(factory=list)
    _events: list[object] = field(factory=list)

    def message(self, data: bytes, now: float) -> None:
        """Say ok."""
        self.heard.append((now, data))
        if data != b"ok":
            self._outgoing.append(b"ok")

    def tick(self, now: float) -> None:
        """Ring."""
        assert self.due is not None
        self.rung += 1
        self._outgoing.append(b"ring %d" % self.rung)
        self._events.append(Rang(self.rung, now - self.due))
        self.due += self.step

    def close(self, now: float) -> None:
        """Ring no more."""
        self.due = None
        self._events.append("closed")

    def set(self, now: float) -> None:
        """Ring from now on."""
        self.due = now + self.step

    def outgoing(self) -> list[bytes]:
        """What is sent."""
        out, self._outgoing = self._outgoing, []
        return out

    def events(self) -> list[object]:
        """What is told."""
        events, self._events = self._events, []
        return events

    def deadline(self) -> float | None:
        """When it rings."""
        return self.due


def quiet() -> Bell:
    """A bell that does not ring until it is set."""
    return Bell(due=None)


@define
class Letter:
    """A core whose answer to a message is a body: so many letters, and then its length."""

    left: int = 0
    said: bool = True
    size: int = 0
    _given: bool = False

    def message(self, data: bytes, now: float) -> None:
        """So many."""
        self.left = self.size = int(data)
        self.said, self._given = False, False

    def read(self, size: int, now: float) -> bytes:
        """The next of them."""
        size = min(size, self.left)
        self.left -= size
        return b"x" * size

    def tick(self, now: float) -> None:
        """Never."""

    def close(self, now: float) -> None:
        """Nothing."""

    def outgoing(self) -> list[object]:
        """First itself, and then its length."""
        if self.said:
            return []
        if not self._given:
            self._given = True
            return [b"it comes", self]
        self.said = True
        return [b"%d" % self.size]

    def events(self) -> list[object]:
        """None."""
        return []

    def deadline(self) -> float | None:
        """None."""
        return None


class PlaybookTests(SynchronousTestCase):
    """Plays of one core."""

    def test_body(self) -> None:
        """A body is read at once, in pieces, and what comes behind it is sent behind it."""
        play = Playbook(Letter()).receives(b"%d" % (PIECE + 3))
        play.sends(b"it comes").sends(b"x" * PIECE).sends(b"xxx").sends(b"%d" % (PIECE + 3)).end()
        Playbook(Letter()).receives(b"0").sends(b"it comes").sends(b"0").end()

    def assertFails(self, play: Callable[[], object], text: str) -> None:
        """This play fails, and says so."""
        error = self.assertRaises(AssertionError, play)
        self.assertIn(text, str(error))

    def test_datagrams(self) -> None:
        """Datagrams that leave together are so many messages."""
        bell = Bell()
        bell._outgoing = [together(b"onetwo", 3)]  # type: ignore[list-item]
        Playbook(bell).receives(b"hey").sends(b"one").sends(b"two").sends(b"ok").end()

    def test_chart(self) -> None:
        """A play that goes as it is written."""
        bell = quiet()
        play = Playbook(bell, now=10.0).silent().does(bell.set)
        play.wait(2.5).sends(b"ring 1", 11.0).tells(Rang(1, 0.0), 11.0)
        play.sends(b"ring 2", 12).tells(Rang(2, 0.0))
        play.receives(b"hello", b"ok", b"you").sends(b"ok", 12.5).sends(b"ok")
        play.closes().tells("closed").wait(100).end()
        self.assertEqual(play.now, 112.5)

    def test_ticks_at_each_deadline(self) -> None:
        """However long the wait, no deadline is passed over."""
        bell = Bell(step=0.1, due=0.1)
        play = Playbook(bell).wait(1.05)
        for times in range(1, 11):
            play.sends(b"ring %d" % times, times / 10).tells(Rang(times, 0.0), times / 10)
        play.end()

    def test_deadline_in_the_past(self) -> None:
        """A deadline that has passed is kept at once, and time does not go back."""
        Playbook(Bell(step=10.0, due=1.0), now=5.0).wait(0).sends(b"ring 1", 5.0).tells(
            Rang(1, 4.0), 5.0
        ).end()

    def test_stands_still(self) -> None:
        """A core whose deadline does not move on is found out."""
        self.assertFails(lambda: Playbook(Bell(step=0.0)).wait(2), "stands still at 1.0")

    def test_other_message(self) -> None:
        """Another message than the expected one."""
        play = Playbook(quiet()).receives(b"hello")
        self.assertFails(lambda: play.sends(b"no"), "expected sent b'no', but sent b'ok' at 0.0")

    def test_other_kind(self) -> None:
        """A message where an event was expected."""
        play = Playbook(quiet()).receives(b"hello")
        self.assertFails(lambda: play.tells(b"ok"), "expected told b'ok', but sent b'ok' at 0.0")

    def test_other_time(self) -> None:
        """The right message at the wrong time."""
        play = Playbook(Bell()).wait(1)
        self.assertFails(lambda: play.sends(b"ring 1", 1.1), "at 1.1, but it was at 1.0")

    def test_nothing(self) -> None:
        """Silence where something was expected."""
        self.assertFails(lambda: Playbook(quiet()).sends(b"ok"), "but nothing more has happened")

    def test_something(self) -> None:
        """Something where silence was expected, also at the end."""
        for expectation in (Playbook.silent, Playbook.end):
            play = Playbook(quiet()).receives(b"hello")
            self.assertFails(lambda play=play, e=expectation: e(play), "expected nothing")

    def test_numbers_are_close(self) -> None:
        """Floats may differ in their last digits, in events too, and may be whole."""
        for event, expected in [
            (Rang(1, 0.1 + 0.2), Rang(1, 0.3)),
            (Rang(1, 3.0), Rang(1, 3)),
            (0.1 + 0.2, 0.3),
            (b"x", b"x"),
        ]:
            bell = quiet()
            bell._events.append(event)
            Playbook(bell).closes().tells(expected).tells("closed").end()

    def test_numbers_are_not_that_close(self) -> None:
        """What differs for a reader differs here: values, types, and truth from numbers."""
        for event, expected in [
            (Rang(1, 0.3), Rang(1, 0.30001)),
            (Rang(1, 0.3), Rang(2, 0.3)),
            (Rang(1, 0.3), (1, 0.3)),
            (1, True),
            (b"x", "x"),
        ]:
            bell = quiet()
            bell._events.append(event)
            play = Playbook(bell).closes()
            self.assertFails(lambda play=play, e=expected: play.tells(e), "expected told")


class PairTests(SynchronousTestCase):
    """Two cores and a link."""

    def run_pair(self, until: float, to_right: Fate = at_once, to_left: Fate = at_once) -> Pair:
        """A bell that rings, and one that listens."""
        self.left, self.right = Bell(), quiet()
        pair = Pair(self.left, self.right, to_right, to_left)
        pair.run(until)
        return pair

    def test_perfect(self) -> None:
        """What one sends the other hears at once, and back."""
        pair = self.run_pair(2.5)
        self.assertEqual(self.right.heard, [(1.0, b"ring 1"), (2.0, b"ring 2")])
        self.assertEqual(self.left.heard, [(1.0, b"ok"), (2.0, b"ok")])
        self.assertEqual(pair.told, ([(1.0, Rang(1, 0.0)), (2.0, Rang(2, 0.0))], []))
        self.assertEqual(pair.now, 2.5)

    def test_delay(self) -> None:
        """Each direction has a delay of its own."""
        self.run_pair(1.75, lambda _: (0.25,), lambda _: (0.5,))
        self.assertEqual(self.right.heard, [(1.25, b"ring 1")])
        self.assertEqual(self.left.heard, [(1.75, b"ok")])

    def test_loss(self) -> None:
        """What is lost is never heard."""
        self.run_pair(9.5, lambda data: () if data == b"ring 3" else (0.0,), lambda _: ())
        self.assertNotIn((3.0, b"ring 3"), self.right.heard)
        self.assertEqual((len(self.right.heard), self.left.heard), (8, []))

    def test_duplicate(self) -> None:
        """What is there twice is heard twice."""
        self.run_pair(1.5, lambda _: (0.0, 0.25))
        self.assertEqual(self.right.heard, [(1.0, b"ring 1"), (1.25, b"ring 1")])

    def test_reordering(self) -> None:
        """What takes longer comes later than what was sent after it."""
        self.run_pair(3.25, lambda data: (2.25,) if data == b"ring 1" else (0.125,))
        heard = [data for _, data in self.right.heard]
        self.assertEqual(heard, [b"ring 2", b"ring 3", b"ring 1"])

    def test_same_time_keeps_order(self) -> None:
        """What is due at the same moment comes in the order in which it was sent."""
        self.run_pair(2.0, lambda data: (1.0,) if data == b"ring 1" else (0.0,))
        self.assertEqual([data for _, data in self.right.heard], [b"ring 1", b"ring 2"])

    def test_until_nothing_is_due(self) -> None:
        """Without an end it goes on until there is silence, and the clock stays there."""
        left, right = quiet(), quiet()
        left.message(b"hello", 0.0)
        pair = Pair(left, right, lambda _: (3.0,))
        pair.run()
        self.assertEqual((right.heard, pair.now), ([(3.0, b"ok")], 3.0))

    def test_goes_on(self) -> None:
        """A run goes on where the last one stopped, and never back."""
        pair = self.run_pair(1.5)
        pair.run(2.5)
        pair.run(2.0)
        self.assertEqual((self.left.rung, pair.now), (2, 2.5))


class ChunkingsTests(SynchronousTestCase):
    """Streams in chunks."""

    @settings(deadline=None)
    @given(st.binary(max_size=40))
    def test_whole(self, data: bytes) -> None:
        """Every chunking is of the whole stream, and no chunk is empty."""
        for chunks in chunkings(data):
            self.assertEqual(b"".join(chunks), data)
            self.assertTrue(all(chunks))

    def test_all_of_them(self) -> None:
        """One byte at a time, all at once, and every place for a cut."""
        found = list(chunkings(b"abcd"))
        for chunks in ([b"a", b"b", b"c", b"d"], [b"abcd"], [b"a", b"bcd"], [b"abc", b"d"]):
            self.assertIn(chunks, found)
        self.assertEqual(list(chunkings(b"")), [])


class TellTests(SynchronousTestCase):
    """A report of what has failed."""

    def told(self, kind: Any, test: Callable[..., Any]) -> tuple[bool, str]:
        """Whether a case whose test this is passes, and what is written."""

        class Cases(kind):  # type: ignore[misc]
            """One test."""

            def run(self, result: Any = None) -> Any:
                """See the test kit."""
                tell_at_failure(self, lambda: "it was night")
                return super().run(result)

            runTest = test

        trials = issubclass(kind, SynchronousTestCase)
        result: Any = reporter.TestResult() if trials else unittest.TestResult()
        # Under pytest, `tests/conftest.py` raises what trial has put into the result.
        again = contextlib.suppress(ZeroDivisionError, TypeError, unittest.SkipTest)
        with contextlib.redirect_stderr(StringIO()) as err, again:
            Cases().run(result)
        return result.wasSuccessful(), err.getvalue()

    def kinds(self) -> list[Any]:
        """All kinds of cases."""
        return [unittest.TestCase, SynchronousTestCase, TestCase]

    def test_fails(self) -> None:
        """It is told; a test that passes or is skipped has nothing to tell."""

        def skip(case: unittest.TestCase) -> None:
            """Be skipped."""
            case.skipTest("not today")

        for kind in self.kinds():
            self.assertEqual(self.told(kind, lambda _: 1 / 0), (False, "it was night\n"))
            self.assertEqual(self.told(kind, lambda _: None), (True, ""))
            self.assertEqual(self.told(kind, skip), (True, ""))

    def test_coroutine(self) -> None:
        """Of a test that is a coroutine, it is told when it fails."""

        async def fails(_: object) -> None:
            """Wait, and fail."""
            await succeed(None)
            raise ZeroDivisionError

        async def passes(_: object) -> None:
            """Wait."""
            await succeed(None)

        self.assertEqual(self.told(TestCase, fails), (False, "it was night\n"))
        self.assertEqual(self.told(TestCase, passes), (True, ""))

    def test_asyncio(self) -> None:
        """Coroutines of asyncio's are seen as such."""

        async def fails(_: object) -> None:
            """Fail."""
            raise ZeroDivisionError

        kind = unittest.IsolatedAsyncioTestCase
        self.assertEqual(self.told(kind, fails), (False, "it was night\n"))

    def test_deferred(self) -> None:
        """Of a test that returns a Deferred, it is told when that fails."""

        def fails(_: object) -> Deferred[None]:
            """Fail."""
            return fail(ZeroDivisionError())

        self.assertEqual(self.told(TestCase, fails), (False, "it was night\n"))
        self.assertEqual(self.told(TestCase, lambda _: succeed(None)), (True, ""))

    def test_generator(self) -> None:
        """A test that would never run is still refused by trial."""

        def yields(_: object) -> Any:
            """Be a generator."""
            yield

        self.assertEqual(self.told(TestCase, yields), (False, ""))
