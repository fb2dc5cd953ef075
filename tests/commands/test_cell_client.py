"""A client of an experiment as a process: what it is told, and what it tells."""

import io
import json
import sys
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from lab.commands import cell_client
from lab.commands.cell_client import perform
from lab.errors import NoAnswer
from lab.experiments.subject import Job
from tests.experiments.cells import cell

JOB = Job(cell("service=echo"), 1, ("udp:127.0.0.1:1",), 5)


class Reactor:
    """Runs what it is given, once."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def callWhenRunning(self, function: Any) -> None:
        """Note it."""
        self.function = function

    def run(self) -> None:
        """Call it."""
        self.done.append("run")
        self.function()

    def stop(self) -> None:
        """Note it."""
        self.done.append("stop")


class Subject:
    """What is measured."""

    def __init__(self, result: "Deferred[Any]") -> None:
        self.result = result

    def ask(self, reactor: Any, job: Job) -> "Deferred[Any]":
        """Give the result."""
        assert job == JOB, job
        return self.result


class Broken(io.StringIO):
    """Nobody reads it, from the second line on."""

    def write(self, text: str) -> int:
        """Write the first."""
        if self.getvalue():
            raise BrokenPipeError
        return super().write(text)


class ClientTests(SynchronousTestCase):
    """With a reactor that is stood in for."""

    def setUp(self) -> None:
        """Note what is done with the thread that watches the parent."""
        self.reactor, self.said = Reactor(), io.StringIO()
        done = self.reactor.done

        class Thread:
            def __init__(self) -> None:
                done.append("watch")

            def join(self) -> None:
                done.append("join")

        self.patch(cell_client, "end_with_parent", Thread)

    def perform(self, result: "Deferred[Any]", *lines: object) -> list[str]:
        """Perform; gives what was done besides, in its order."""
        self.patch(cell_client, "SUBJECTS", {"echo": Subject(result)})
        stdin = io.BytesIO(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        perform(self.reactor, stdin, self.said)
        return self.reactor.done

    def events(self) -> list[Any]:
        """What it said."""
        return [json.loads(line) for line in self.said.getvalue().splitlines()]

    def test_job(self) -> None:
        """It says that it is ready, waits for the word, says what it saw, and stays."""
        done = self.perform(succeed({"lost": 3}), JOB.as_json(), "begin")
        self.assertEqual(self.events(), [{"ready": True}, {"part": {"lost": 3}}])
        self.assertEqual(done, ["watch", "run", "stop", "join"])

    def test_failure(self) -> None:
        """It says why there is nothing."""
        done = self.perform(fail(NoAnswer("nobody")), JOB.as_json(), "begin")
        self.assertEqual(self.events(), [{"ready": True}, {"failed": "NoAnswer: nobody"}])
        self.assertEqual(done, ["watch", "run", "stop", "join"])

    def test_not_wanted(self) -> None:
        """It does nothing if its parent has gone, before or behind the job."""
        self.assertEqual((self.perform(succeed({})), self.events()), ([], []))
        self.assertEqual(self.perform(succeed({}), JOB.as_json()), [])
        self.assertEqual(self.events(), [{"ready": True}])

    def test_nobody_reads(self) -> None:
        """It ends all the same if there is nobody who would be told."""
        self.said = Broken()
        done = self.perform(succeed({}), JOB.as_json(), "begin")
        self.assertEqual(done, ["watch", "run", "stop", "join"])

    def test_main(self) -> None:
        """As a process it has standard input and output."""
        self.patch(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
        self.patch(sys, "stdout", self.said)
        cell_client.main()
        self.assertEqual(self.events(), [])
