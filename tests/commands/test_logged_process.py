"""A process whose log is read, fed with what a stand-in says."""

import os
import sys
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.logged_process import LoggedProcess

ENDED = Failure(ProcessDone(0))


class Noting(LoggedProcess):
    """Notes all that it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[object] = []

    def logged(self, event: dict[str, Any]) -> None:
        """Note it."""
        super().logged(event)
        self.noted.append(event)

    def wrote(self, text: str) -> None:
        """Note it."""
        super().wrote(text)
        self.noted.append(("wrote", text))

    def complained(self, text: str) -> None:
        """Note it."""
        super().complained(text)
        self.noted.append(("complained", text))

    def ended(self, why: str) -> None:
        """Note it."""
        super().ended(why)
        self.noted.append(("ended", why))


class Reactor:
    """Spawns nothing; its process may be gone."""

    def __init__(self) -> None:
        self.spawned: list[object] = []
        self.signals: list[int] = []
        self.gone = False

    def spawnProcess(self, protocol: Any, executable: str, args: list[str], env: object) -> None:
        """Note it, and be the transport."""
        self.spawned += [executable, args, env]
        protocol.makeConnection(self)

    def signalProcess(self, number: int) -> None:
        """Note it, or be gone."""
        if self.gone:
            raise ProcessExitedAlready
        self.signals.append(number)


class LoggedProcessTests(SynchronousTestCase):
    """What it says, and how it ends."""

    def setUp(self) -> None:
        """One that runs."""
        self.process, self.reactor = Noting(), Reactor()
        self.process.spawn(self.reactor, ["python", "-c", "pass"])

    def test_spawn(self) -> None:
        """It is of this Python and has our environment."""
        words = ["python", "-c", "pass"]
        self.assertEqual(self.reactor.spawned, [sys.executable, words, os.environ])

    def test_lines(self) -> None:
        """Events of the log, other lines and standard error are told apart."""
        self.process.outReceived(b'{"message": "one", "n": 1}\nno JSON\n{"message": 5}\n[1]\n')
        self.process.outReceived(b"[" * 50_000 + b"\n")
        self.process.errReceived(b"bad \xff\n")
        self.assertEqual(
            self.process.noted,
            [
                {"message": "one", "n": 1},
                *(("wrote", text) for text in ("no JSON", '{"message": 5}', "[1]", "[" * 50_000)),
                ("complained", "bad \ufffd"),
            ],
        )

    @settings(deadline=None, max_examples=20)
    @given(st.integers(1, 60))
    def test_any_chunks(self, length: int) -> None:
        """Both may come in pieces of any length."""
        process, log, errors = Noting(), b'{"message": "one"}\ntwo\n', b"three\nfour\n"
        for start in range(0, len(log), length):
            process.outReceived(log[start : start + length])
            process.errReceived(errors[start : start + length])
        told = [one for one in process.noted if isinstance(one, dict) or one[0] == "wrote"]  # type: ignore[index]
        self.assertEqual(told, [{"message": "one"}, ("wrote", "two")])
        rest = [one for one in process.noted if one not in told]
        self.assertEqual(rest, [("complained", "three"), ("complained", "four")])

    def test_ends_within_a_line(self) -> None:
        """What has no end of line is said, too, and is why it has ended."""
        self.process.errReceived(b"one\ntw")
        self.process.errReceived(b"o")
        self.process.processEnded(ENDED)
        self.assertEqual(self.process.noted[-2:], [("complained", "two"), ("ended", "two")])
        self.assertIsNone(self.successResultOf(self.process.gone))

    def test_ends_in_silence(self) -> None:
        """Without a word, it is said how it has ended."""
        self.process.processEnded(ENDED)
        self.assertEqual(self.process.noted, [("ended", ENDED.getErrorMessage())])

    def test_memory_is_bounded(self) -> None:
        """Of much that it says only the end is kept, and nothing of a line without an end."""
        for _ in range(100):
            self.process.errReceived(b"line\n")
        self.assertEqual(len(self.process.last), 20)
        for _ in range(40):
            self.process.errReceived(b"x" * 2**16)
        self.assertLess(sum(map(len, self.process.last)), 2**20 + 100)
        self.process.processEnded(ENDED)

    def test_signals(self) -> None:
        """It is sent signals while it is there."""
        self.process.send_signal(15)
        self.reactor.gone = True
        self.process.send_signal(9)
        self.assertEqual(self.reactor.signals, [15])
