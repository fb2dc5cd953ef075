"""The asking side of one connection."""

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.core import Part
from lab.download import client, wire
from lab.download.client import (
    CHUNK,
    HEAD,
    Answered,
    Data,
    Digests,
    DownloadClientCore,
    Failed,
    Misplaced,
    Placed,
)
from lab.download.outcomes import Broken, Cut, Stalled
from lab.download.settings import ClientSettings
from lab.download.wire import (
    Busy,
    Content,
    Entries,
    Entry,
    Get,
    Hashed,
    Hashes,
    List,
    Refused,
    Stat,
    Status,
    Working,
)
from lab.errors import Unreachable
from lab.testing import Playbook, chunkings
from tests.download.servers import lines, sha256

TAG = "0" * 32
STATUS = Status(5, 7, TAG, "a" * 64)
DIGESTS = sha256(b"hello") + sha256(b"")


def asked(*requests: Any, **settings: Any) -> DownloadClientCore:
    """A core with a connection, which has asked."""
    core = DownloadClientCore(ClientSettings(**settings))
    core.open(0.0)
    for request in requests:
        core.ask(request, 0.0)
    core.outgoing()
    return core


def told(core: DownloadClientCore, *chunks: bytes, now: float = 0.0) -> list[Any]:
    """What is told after these chunks, with content that belongs together in one."""
    events: list[Any] = []
    for chunk in chunks:
        core.message(chunk, now)
        for event in core.events():
            last = events[-1] if events else None
            if isinstance(event, Data) and isinstance(last, Data) and last.number == event.number:
                events[-1] = Data(event.number, last.data + event.data)
            else:
                events.append(event)
    return events


def failure(core: DownloadClientCore, *chunks: bytes) -> Exception:
    """What it fails with."""
    *_, last = told(core, *chunks)
    assert isinstance(last, Failed)
    assert core.over
    assert not core.waiting
    return last.error


ALL = (List(), Stat("a"), Hashes("a"), Get("a", 0, 5, TAG), Get("a", 0, 0, TAG), Stat("b"))
ANSWERS = (
    lines(Entries(2), Entry(5, 7, "a"), Entry(0, -7, "dir/.b"))
    + lines(Working(0, 5), STATUS, Hashed(5, TAG, wire.PIECE, 1), sha256(b"hello"))
    + lines(Content(5, TAG))
    + b"he\nlo"
    + lines(Content(0, TAG), Refused(404, "there is none"))
)
EVENTS = [
    Answered(1, (Entry(5, 7, "a"), Entry(0, -7, "dir/.b"))),
    Answered(2, STATUS),
    Answered(3, Digests(5, TAG, wire.PIECE, sha256(b"hello"))),
    Data(4, b"he\nlo"),
    Answered(4, None),
    Answered(5, None),
    Answered(6, Refused(404, "there is none")),
]


class AnswerTests(SynchronousTestCase):
    """What is made of what comes."""

    def test_any_chunks(self) -> None:
        """However it was cut: the same answers, in order."""
        for chunks in chunkings(ANSWERS):
            core = asked(*ALL)
            self.assertEqual(told(core, *chunks), EVENTS)
            self.assertEqual(core.asked, 0)
            self.assertTrue(core.heard)

    def test_whole_chunks(self) -> None:
        """A chunk of content is handed on as it is, and not copied."""
        core = asked(Get("a", 0, 5000, TAG))
        told(core, lines(Content(5000, TAG)))
        chunk = bytes(4000)
        [event] = told(core, chunk)
        self.assertIs(event.data, chunk)

    def test_empty_lists(self) -> None:
        """No files, no pieces."""
        core = asked(List(), Hashes("a"))
        events = told(core, lines(Entries(0), Hashed(0, TAG, wire.PIECE, 0)))
        digests = Digests(0, TAG, wire.PIECE, b"")
        self.assertEqual(events, [Answered(1, ()), Answered(2, digests)])

    def test_kinds(self) -> None:
        """It is known of which kind the digests are."""
        core = asked(Hashes("a", ("blake3",)))
        events = told(core, lines(Hashed(5, TAG, wire.PIECE, 1, "blake3"), bytes(32)))
        digests = Digests(5, TAG, wire.PIECE, bytes(32), "blake3")
        self.assertEqual(events, [Answered(1, digests)])

    def test_busy(self) -> None:
        """A server may be too busy."""
        self.assertEqual(
            told(asked(Stat("a")), b"429 1500 later\r\n"), [Answered(1, Busy(1.5, "later"))]
        )

    def test_nonsense(self) -> None:
        """What is not in the protocol, or not what was asked for, is the end of it."""
        for request, answer, text in (
            (Stat("a"), b"what?\n", "is no reply"),
            (Stat("a"), b"x" * 20_000, "a line of more than 16,384 bytes"),
            (Get("a", 0, 5, TAG), lines(Content(6, TAG)), "6 bytes of version 0+ came, and 5"),
            (Get("a", 0, 5, TAG), lines(Content(5, "1" * 32)), "version 1+ came, and 5 of 0+"),
            (List(), b"200 1000000000000\n", "count is"),
            (List(), lines(Entries(1), Entry(1, 1, "../../etc/passwd")), "name that can't be"),
            (List(), lines(Entries(1), Entry(1, 1, "/etc/passwd")), "name that can't be"),
            (Hashes("a"), b"200 5 %s 5 1\n" % TAG.encode(), "give pieces of"),
            (Hashes("a"), lines(Hashed(5, TAG, wire.PIECE, 1)) + b"zz\n", "digest is"),
            (Hashes("a"), lines(Hashed(5, TAG, wire.PIECE, 1, "blake3")), "nobody has asked"),
        ):
            error = failure(asked(request), answer)
            self.assertIsInstance(error, Broken)
            self.assertRegex(str(error), text)
            self.assertNotIn("\n", str(error))

    def test_unasked(self) -> None:
        """So is what nobody asked for; nothing is told behind it."""
        core = asked(Stat("a"))
        error = failure(core, lines(STATUS, STATUS, STATUS))
        self.assertRegex(str(error), "and nothing was asked")
        self.assertEqual(told(core, lines(STATUS)), [])

    def test_list_without_end(self) -> None:
        """The list of files is bounded, whatever the names in it."""
        self.patch(client, "LISTED", 100)
        answer = lines(Entries(3), *[Entry(1, 1, "x" * 60)] * 3)
        self.assertRegex(str(failure(asked(List()), answer)), "more than 100 bytes")

    @given(st.lists(st.sampled_from(ALL)), st.data())
    def test_anything(self, requests: list[Any], data: Any) -> None:
        """Nothing that comes raises; what is told is in order, and a failure is the last."""
        core = asked(*requests)
        parts = st.one_of(st.binary(max_size=80), st.sampled_from(ANSWERS.splitlines(True)))
        events = told(core, *data.draw(st.lists(parts, max_size=20)))
        self.assertEqual([e for e in events[:-1] if isinstance(e, Failed)], [])
        numbers = [event.number for event in events if isinstance(event, Answered)]
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))


class TimeTests(SynchronousTestCase):
    """How long it waits, and for what."""

    def silent(self, core: DownloadClientCore, **words: Any) -> str:
        """What it says when nothing more comes; it does so after 10 s."""
        play = Playbook(core).wait(9.99).silent().wait(0.01)
        [[at, _, failed]] = play._seen
        self.assertEqual(at, 10.0)
        assert isinstance(failed.error, Stalled)
        self.assertIsNone(core.deadline())
        return str(failed.error)

    def test_silence(self) -> None:
        """Who sends nothing is given up."""
        self.assertEqual(self.silent(asked(Stat("a"))), "nothing came within 10 s")

    def test_line_without_end(self) -> None:
        """A line that is not ended is nothing."""
        core = asked(Stat("a"))
        for second in range(10):
            core.message(b"2", float(second))
        self.assertEqual(self.silent(core), "nothing came within 10 s")

    def test_slow(self) -> None:
        """Nor is a trickle of content; what is fast enough goes on."""
        core = asked(Get("a", 0, 5000, TAG), slowest=10.0)
        core.message(lines(Content(5000, TAG)) + b"x", 0.0)
        core.message(b"x" * 98, 9.0)
        core.events()
        self.assertEqual(core.deadline(), 10.0)
        core.message(b"x", 9.5)
        self.assertEqual(core.deadline(), 19.5)
        core.message(b"x", 10.0)
        core.events()
        core.tick(19.5)
        [failed] = core.events()
        self.assertEqual(str(failed.error), "only 1 bytes came within 10 s")

    def test_nothing_asked(self) -> None:
        """Who is not asked may be silent; time counts from the next question on."""
        core = asked()
        self.assertIsNone(core.deadline())
        core.ask(Stat("a"), 100.0)
        self.assertEqual(core.deadline(), 110.0)
        core.ask(Stat("a"), 105.0)
        self.assertEqual(core.deadline(), 110.0)

    def test_work(self) -> None:
        """A server that works is waited for, as long as the work goes on."""
        core = asked(Hashes("a"))
        for second in range(300):
            core.message(lines(Working(0, 10**9)), float(second))
        self.assertEqual(core.deadline(), 309.0)
        core.message(lines(Working(2**20 - 1, 10**9)), 301.0)
        self.assertEqual(core.deadline(), 309.0)
        core.message(lines(Working(2**20, 10**9)), 302.0)
        self.assertEqual(core.deadline(), 312.0)

    def test_work_without_end(self) -> None:
        """Whatever it says, it is not waited for beyond a bound."""
        core = asked(Hashes("a"))
        for hour in range(25):
            core.message(lines(Working(hour * 2**30, 10**18)), hour * 3600.0)
        self.assertEqual(core.deadline(), 23 * 3600 + 10.0)

    def test_placed(self) -> None:
        """Content that has a place goes there, and counts as any other."""
        core = asked()
        numbers: list[int] = []

        def into(number: int) -> Part | None:
            """It has one that is larger, and then one that is smaller than what comes."""
            numbers.append(number)
            return Part(7, 100, 9 if len(numbers) < 4 else 2)

        self.assertEqual((core.room(), core.ahead()), (None, CHUNK))
        first = core.ask(Get("a", 0, 5, TAG), 0.0, into)
        second = core.ask(Get("a", 5, 5, TAG), 0.0)
        line = lines(Content(5, TAG))
        self.assertEqual((core.room(), core.ahead()), (None, len(line)))
        self.assertEqual(told(core, line[:-2]), [])
        self.assertEqual(core.ahead(), 2)
        self.assertEqual(told(core, line[-2:] + b"h"), [Data(first, b"h")])
        self.assertEqual((core.room(), core.room()), (Part(7, 100, 4), Part(7, 100, 2)))
        self.assertEqual(set(numbers), {first})
        core.hold(3.0)
        self.assertEqual((core.room(), core.ahead()), (None, CHUNK))
        core.release(4.0)
        core.placed(2, 5.0)
        self.assertEqual(core.deadline(), 14.0)
        core.placed(2, 6.0)
        said = [Placed(first, 2), Placed(first, 2), Answered(first, None)]
        self.assertEqual((core.events(), core.deadline()), (said, 16.0))
        self.assertEqual(told(core, lines(Content(5, TAG)) + b"h"), [Data(second, b"h")])
        self.assertIsNone(core.room())

    def test_another_line(self) -> None:
        """Where a longer line comes, as that there is none, it is read to its end."""
        core = asked()
        number = core.ask(Get("a", 0, 5, TAG), 0.0, lambda number: Part(7, 0, 5))
        line, events = (
            b"404 there is no such file, nor has there been one, as far as is known\n",
            [],
        )
        while line:
            ahead = core.ahead()
            self.assertGreater(ahead, 0)
            events += told(core, line[:ahead])
            line = line[ahead:]
        self.assertIsInstance(events[0].value, Refused)
        self.assertEqual((events[0].number, len(events)), (number, 1))
        core.ask(Get("a", 0, 5, TAG), 0.0, lambda number: Part(7, 0, 5))
        line = lines(Content(5, TAG))
        self.assertEqual(told(core, line[:-1] + b"\r"), [])
        self.assertEqual(core.ahead(), HEAD)
        self.assertEqual(told(core, b"\n"), [])
        self.assertEqual(core.room(), Part(7, 0, 5))

    def test_misplaced(self) -> None:
        """A file that takes no more is the end."""
        core = asked()
        number = core.ask(Get("a", 0, 5, TAG), 0.0, lambda number: Part(7, 0, 5))
        told(core, lines(Content(5, TAG)))
        error = OSError("full")
        core.misplaced(error, 1.0)
        self.assertEqual(core.events(), [Misplaced(number, error)])
        self.assertEqual((core.over, core.room()), (True, None))

    def test_held(self) -> None:
        """While nobody takes content nothing is read, and nobody is silent."""
        core = asked(Get("a", 0, 5, TAG))
        core.hold(1.0)
        self.assertTrue(core.busy())
        self.assertEqual(core.messages([lines(Content(5, TAG))], 1.0), 0)
        self.assertIsNone(core.deadline())
        core.release(50.0)
        self.assertEqual(core.outgoing(), [b""])
        self.assertEqual(core.deadline(), 60.0)
        self.assertEqual(core.messages([lines(Content(5, TAG)), b"x"], 51.0), 1)

    def test_standing_still(self) -> None:
        """Who was not running looks first at what waits to be read, once."""
        core = asked(Stat("a"))
        core.tick(500.0)
        self.assertEqual(core.deadline(), 500.0 + client.STALL)
        core.message(lines(STATUS), 500.0)
        self.assertEqual(core.events(), [Answered(1, STATUS)])
        core.ask(Stat("a"), 500.0)
        core.tick(900.0)
        core.tick(1000.0)
        self.assertIsInstance(core.events()[0], Failed)


class WayTests(SynchronousTestCase):
    """With a connection, and without."""

    def test_before(self) -> None:
        """What was asked before there is a connection is sent then, in order."""
        core = DownloadClientCore(ClientSettings())
        core.ask(Stat("a b"), 0.0)
        core.ask(Get("a", 0, 5, TAG), 0.0)
        self.assertEqual((core.outgoing(), core.deadline(), core.waiting), ([], None, 1))
        self.assertFalse(core.opened)
        core.open(2.0)
        self.assertTrue(core.opened)
        self.assertEqual(core.outgoing(), [b"stat a%20b\n", b"get a 0 5 %s\n" % TAG.encode()])
        self.assertEqual(core.deadline(), 12.0)
        core.ask(List(), 3.0)
        self.assertEqual(core.outgoing(), [b"list\n"])

    def test_lost(self) -> None:
        """A connection that breaks is something else than one that is not made; once."""
        core = asked(Stat("a"))
        core.close(1.0)
        core.lost(Unreachable("again"), 1.0)
        [failed] = core.events()
        self.assertIsInstance(failed.error, Cut)
        core = DownloadClientCore(ClientSettings())
        core.lost(Unreachable("no way"), 1.0)
        self.assertEqual(str(core.events()[0].error), "no way")

    def test_stopped(self) -> None:
        """Nobody wants to know: nothing is told."""
        core = asked(Stat("a"))
        core.stop(1.0)
        core.lost(Unreachable("gone"), 1.0)
        self.assertEqual(told(core, lines(STATUS)), [])
        self.assertEqual(core._due, 10.0)
        self.assertLess(core._due, math.inf)
