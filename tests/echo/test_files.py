"""The receiving side of a file over a connection."""

import hashlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.echo.attempts import TIMES
from lab.echo.files import LINE, FileClientCore
from lab.echo.outcomes import (
    Broken,
    Characters,
    Cut,
    Done,
    Gone,
    Received,
    Rejected,
    Stalled,
    WrongData,
)
from lab.echo.pattern import characters
from lab.echo.wire import File
from lab.errors import NoAnswer, RemoteError, Unreachable
from lab.testing import chunkings
from tests.echo.cores import common, opened, result

N, OFFSET, SEED = 200, 20, 3
TEXT = characters(SEED, OFFSET, N - OFFSET)
DIGEST = hashlib.sha256(TEXT).hexdigest()
READY = b"#a-1 200 ready 180\n"
WHOLE = READY + TEXT + b"\n#a-1 sha256 %s\n" % DIGEST.encode()


def make(**settings: Any) -> FileClientCore:
    """A core that asks for the characters from 20 to 200."""
    wanted = File(N, OFFSET, seed=SEED, id=b"a-1")
    return FileClientCore(wanted=wanted, **common(datagrams=False, **settings))


def fed(*chunks: bytes) -> FileClientCore:
    """A core to which these chunks came, one second after it asked."""
    core = make()
    core.open(0.0)
    for chunk in chunks:
        core.message(chunk, 1.0)
    return core


def text(events: list[object]) -> bytes:
    """The characters among events, which are in order."""
    given = b""
    for event in events:
        if isinstance(event, Characters):
            assert event.offset == OFFSET + len(given)
            given += event.data
    return given


class WholeTests(SynchronousTestCase):
    """Files that come as they should."""

    def test_asks(self) -> None:
        """It asks once, with all numbers."""
        opened(make()).sends(b"#a-1 file 200 20 180 3\n").wait(4.9).end()

    def test_any_chunks(self) -> None:
        """However what comes is cut, each character is told once, in order, and then the end."""
        for chunks in chunkings(WHOLE):
            events = fed(*chunks).events()
            self.assertEqual(text(events), TEXT)
            *_, done, gone = events
            expected = Received(OFFSET, 180, (), DIGEST, confirmed=True, seconds=1.0)
            self.assertEqual((done, gone), (Done(0, expected), Gone()))

    def test_carriage_returns(self) -> None:
        """Lines may end in CRLF, and what is behind the end is nothing."""
        core = fed(WHOLE.replace(b"\n", b"\r\n") + b"nonsense\n")
        self.assertTrue(result(core.events()).whole)
        core.message(b"more nonsense", 2.0)
        core.tick(99.0)
        self.assertEqual((core.events(), core.deadline()), ([], None))

    def test_nothing(self) -> None:
        """A part without characters has an end, too."""
        core = FileClientCore(wanted=File(5, 5, id=b"a-1"), **common(datagrams=False))
        digest = hashlib.sha256(b"").hexdigest().encode()
        core.message(b"#a-1 200 ready 0\n\n#a-1 sha256 %s\n" % digest, 0.0)
        self.assertEqual(result(core.events()).received, 0)


class FailureTests(SynchronousTestCase):
    """Everything that is not whole, or not the file."""

    def test_every_cut(self) -> None:
        """Cut behind any byte, it is never a success, and says where to go on."""
        for place in range(len(WHOLE)):
            core = fed(WHOLE[:place])
            core.lost(Unreachable("it broke"), 2.0)
            events = core.events()
            error = result(events)
            self.assertIsInstance(error, Unreachable)
            self.assertEqual(str(error), "it broke")
            came = max(0, min(place - len(READY), len(TEXT)))
            self.assertEqual(len(text(events)), came)
            if place >= len(READY):
                assert isinstance(error, Cut)
                assert isinstance(error.so_far, Received)
                self.assertEqual((error.so_far.next, error.so_far.seconds), (OFFSET + came, 2.0))
            else:
                self.assertNotIsInstance(error, Cut)

    def test_every_change(self) -> None:
        """With any byte changed, it is never a success, and what was right before is told."""
        for place, byte in enumerate(WHOLE):
            changed = WHOLE[:place] + bytes([byte ^ 1]) + WHOLE[place + 1 :]
            core = fed(changed)
            core.lost(Unreachable("it broke"), 2.0)
            events = core.events()
            error = result(events)
            self.assertIsInstance(error, RemoteError | Unreachable)
            came = place - len(READY)
            if 0 <= came < len(TEXT):
                assert isinstance(error, WrongData)
                self.assertEqual(str(error), f"character {OFFSET + came} is not that of the file")
                self.assertEqual((error.so_far.next, text(events)), (OFFSET + came, TEXT[:came]))

    def test_other_digest(self) -> None:
        """A SHA-256 that is another is wrong data."""
        other = b"0" * 64
        error = result(fed(WHOLE.replace(DIGEST.encode(), other)).events())
        self.assertIsInstance(error, WrongData)
        self.assertEqual(str(error), "the server's SHA-256 is another")

    def test_nonsense(self) -> None:
        """What is not in the protocol, or not in its place, is the end of it."""
        wrong = (
            b"nonsense\n",
            b"\n",
            b"200 ready 180\n",
            b"#a-1 200 ready 179\n",
            b"#a-1 200 ready 180 10 18\n",
            b"#a-1 sha256 %s\n" % DIGEST.encode(),
            b"9" * (LINE + 1),
            READY + TEXT + b"x\n",
            READY + TEXT + b"\n\n",
            READY + TEXT + b"\n#a-1 300 no\n",
            READY + TEXT + b"\n#a-1 200 ready 180\n",
            READY + TEXT + b"\n#a-2 sha256 %s\n" % DIGEST.encode(),
            READY + TEXT + b"\n" + b"9" * (LINE + 1),
        )
        for said in wrong:
            core = fed(said)
            events = core.events()
            error = result(events)
            self.assertIsInstance(error, Broken)
            self.assertEqual((events[-1], core.traffic.malformed), (Gone(), 1))
            self.assertEqual(isinstance(error.so_far, Received), said.startswith(READY))

    def test_refused(self) -> None:
        """A refusal is one."""
        self.assertIsInstance(
            result(fed(b"#a-1 413 file is 200; at most 100\n").events()), Rejected
        )

    def test_busy(self) -> None:
        """A server that is busy is asked again when it has said; a while later it is a refusal."""
        core, now, busy = make(silence=5.0), 0.0, b"#a-1 429 2500 later\n"
        core.open(now)
        for _ in range(TIMES):
            self.assertEqual(core.outgoing(), [b"#a-1 file 200 20 180 3\n"])
            core.message(busy, now)
            self.assertEqual((core.events(), core.deadline()), ([], now + 2.5))
            now += 2.5
            core.tick(now)
            self.assertEqual(core.deadline(), now + 5.0)
        core.message(busy, now)
        error = result(core.events())
        assert isinstance(error, Rejected)
        self.assertEqual(str(error), "the server refuses: later")

    def test_busy_no_longer(self) -> None:
        """When it is asked again it may come; silence counts as ever."""
        for said in (WHOLE, b""):
            core = fed(b"#a-1 429 250 later\n")
            core.tick(1.25)
            core.message(said, 1.5)
            core.tick(core.deadline() or 9.0)
            value = result(core.events())
            self.assertIsInstance(value, Received if said else NoAnswer)

    @given(st.lists(st.binary(max_size=60), max_size=8))
    def test_any_bytes(self, chunks: list[bytes]) -> None:
        """Whatever comes, nothing raises, and it is no success."""
        core = fed(*chunks)
        core.lost(Unreachable("it broke"), 2.0)
        self.assertIsInstance(result(core.events()), RemoteError | Unreachable)


class SilenceTests(SynchronousTestCase):
    """Time."""

    def test_no_answer(self) -> None:
        """A server that says nothing is given up."""
        core = make(silence=5.0)
        core.open(0.0)
        self.assertEqual(core.deadline(), 5.0)
        core.tick(5.0)
        error = result(core.events())
        self.assertEqual((type(error), str(error)), (NoAnswer, "nothing came for 5 s"))

    def test_stalled(self) -> None:
        """Every chunk gives it more time; then it says where to go on."""
        core = fed(READY + TEXT[:7])
        core.message(TEXT[7:9], 5.5)
        core.tick(6.0)
        self.assertIsNone(next((e for e in core.events() if isinstance(e, Done)), None))
        core.tick(10.5)
        stalled = result(core.events())
        assert isinstance(stalled, Stalled)
        assert isinstance(stalled.so_far, Received)
        self.assertEqual(stalled.so_far.next, OFFSET + 9)

    def test_held(self) -> None:
        """While nobody takes characters none is taken, and no silence counts."""
        core = make()
        self.assertIsNone(core.deadline())
        core.open(0.0)
        core.outgoing()
        self.assertEqual((core.busy(), core.messages([READY, TEXT], 0.0)), (False, 1))
        core.hold(0.0)
        self.assertEqual((core.busy(), core.messages([TEXT], 0.0)), (True, 0))
        self.assertEqual((core.deadline(), core.outgoing(), core.events()), (None, [], []))
        core.release(50.0)
        # By something to send, be it empty, a protocol knows that it may go on.
        self.assertEqual((core.busy(), core.outgoing(), core.deadline()), (False, [b""], 55.0))
        core.messages([TEXT], 51.0)
        self.assertEqual(text(core.events()), TEXT)

    def test_stop(self) -> None:
        """Who does not want the rest hears no more."""
        core = fed(READY)
        core.stop(1.0)
        self.assertEqual((core.events(), core.over, core.deadline()), ([Gone()], True, None))
        core.message(TEXT, 1.0)
        core.close(2.0)
        self.assertEqual(core.events(), [])
