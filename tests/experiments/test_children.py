"""Child processes: what they say, how they end, and what they have used."""

import os
import signal
import sys
import time

from twisted.trial.unittest import SynchronousTestCase

from lab.errors import NoAnswer
from lab.experiments import children
from lab.experiments.children import (
    Child,
    ChildError,
    Family,
    Unwanted,
    family,
    memory_of,
)
from tests.helpers import folder

#: Says that it is ready, and stays until its standard input ends.
READY = "print('{\"ready\": true}', flush=True); import sys; sys.stdin.read()"


def running(child: Child) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(child.process.pid, 0)
    except ProcessLookupError:
        return False
    return True


class ChildrenTests(SynchronousTestCase):
    """Real processes, that do next to nothing."""

    def setUp(self) -> None:
        """A folder for logs."""
        self.folder = folder(self)

    def start(self, made: Family, program: str, id: str = "child-1") -> Child:
        """Start a program."""
        return made.start(id, [sys.executable, "-c", program], self.folder / f"{id}.log")

    def test_whole(self) -> None:
        """It is told things, says things, is logged, ended, and has used something."""
        program = (
            "import json, sys; said = json.loads(sys.stdin.readline()); "
            "print('no JSON'); print('[1]'); print(json.dumps({'other': 1})); "
            "print(json.dumps({'part': said}), flush=True); sys.stdin.read()"
        )
        with family(time.monotonic, 60.0) as made:
            child = self.start(made, program)
            child.tell({"a": [1]})
            made.until(lambda: child.event("part") is not None, "to say something")
            self.assertEqual(child.events, [{"part": {"a": [1]}}])
            self.assertTrue(running(child))
        self.assertFalse(running(child))
        assert child.used is not None
        self.assertEqual(child.used.id, "child-1")
        self.assertGreater(child.used.cpu, 0)
        self.assertGreater(child.used.memory, 2**20)
        log = (self.folder / "child-1.log").read_text()
        self.assertEqual(log.splitlines()[0], "no JSON")

    def test_two_at_a_time(self) -> None:
        """All are listened to."""
        with family(time.monotonic, 60.0) as made:
            both = [self.start(made, READY, f"child-{number}") for number in (1, 2)]
            made.until(lambda: all(child.event("ready") for child in both), "to be ready")

    def test_ends_by_itself(self) -> None:
        """Then the last that it said is the reason; it is told nothing any more."""
        program = 'print(\'{"message": "no such port"}\'); raise SystemExit(1)'
        with family(time.monotonic, 60.0) as made:
            child = self.start(made, program)
            with self.assertRaisesRegex(ChildError, "child-1 has ended: no such port"):
                made.until(lambda: False, "to be ready")
            child.tell("anything")
            with self.assertRaisesRegex(ChildError, "has ended"):
                self.start(made, READY, "child-2")
                made.wait(time.monotonic() + 60)
        self.assertEqual(child.process.returncode, 1)

    def test_says_that_it_failed(self) -> None:
        """Then what it says is the reason."""
        program = 'print(\'{"failed": "no way"}\', flush=True); import sys; sys.stdin.read()'
        with family(time.monotonic, 60.0) as made:
            self.start(made, program)
            with self.assertRaisesRegex(ChildError, "child-1 failed: no way"):
                made.until(lambda: False, "to be ready")

    def test_limit(self) -> None:
        """It does not take longer than it may."""
        with (
            family(lambda: 5.0, 0.0) as made,
            self.assertRaisesRegex(NoAnswer, "to be ready: not within the limit of 0 s"),
        ):
            made.until(lambda: False, "to be ready")

    def test_wait(self) -> None:
        """A time that has come is not waited for; all are listened to meanwhile."""
        with family(time.monotonic, 60.0) as made:
            made.wait(time.monotonic())
            child = self.start(made, READY)
            made.wait(time.monotonic() + 0.01)
            made.until(lambda: child.event("ready") is not None, "to be ready")

    def test_unwanted(self) -> None:
        """When nobody waits for it any more it ends, whatever is waited for."""
        for wait in (
            lambda made: made.until(lambda: False, "to be ready"),
            lambda made: made.wait(time.monotonic() + 60.0),
        ):
            asked = [False, True, True]
            with (
                self.assertRaisesRegex(Unwanted, "^nobody waits for it any more$"),
                family(time.monotonic, 60.0, asked.pop) as made,
            ):
                child = self.start(made, READY)
                wait(made)
            self.assertEqual((asked, running(child)), ([], False))

    def test_stubborn(self) -> None:
        """Who does not end when asked to is ended by force."""
        self.patch(children, "PATIENCE", 0.3)
        program = f"import signal; signal.signal({signal.SIGTERM}, signal.SIG_IGN); "
        program += "print('{\"ready\": 1}', flush=True); signal.pause()"
        with family(time.monotonic, 60.0) as made:
            child = self.start(made, program)
            made.until(lambda: child.event("ready") is not None, "to be ready")
        self.assertEqual(child.process.returncode, -signal.SIGKILL)

    def test_memory(self) -> None:
        """The system says how much a process has had; of one that is not there nothing."""
        self.assertGreater(memory_of(os.getpid()), 2**20)
        self.assertEqual(memory_of(2**30), 0)
        self.patch(children.Path, "read_text", lambda *_, **__: "Name: kernel")
        self.assertEqual(memory_of(1), 0)
