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


class ClientTests(SynchronousTestCase):
    """With a reactor that is stood in for."""

    def perform(self, result: "Deferred[Any]", *lines: object) -> tuple[bool, list[Any], list[str]]:
        """Whether it did the job, what it said, and what the reactor did."""
        self.patch(cell_client, "SUBJECTS", {"echo": Subject(result)})
        reactor, said = Reactor(), io.StringIO()
        stdin = io.BytesIO(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        done = perform(reactor, stdin, said)
        return done, [json.loads(line) for line in said.getvalue().splitlines()], reactor.done

    def test_job(self) -> None:
        """It says that it is ready, waits for the word, and says what it saw."""
        found = self.perform(succeed({"lost": 3}), JOB.as_json(), "begin")
        self.assertEqual(found, (True, [{"ready": True}, {"part": {"lost": 3}}], ["run", "stop"]))

    def test_failure(self) -> None:
        """It says why there is nothing."""
        _, said, done = self.perform(fail(NoAnswer("nobody")), JOB.as_json(), "begin")
        self.assertEqual(said, [{"ready": True}, {"failed": "NoAnswer: nobody"}])
        self.assertEqual(done, ["run", "stop"])

    def test_not_wanted(self) -> None:
        """It does nothing if its parent has gone."""
        found = self.perform(succeed({}), JOB.as_json())
        self.assertEqual(found, (False, [{"ready": True}], []))

    def test_main(self) -> None:
        """Once it is done it stays until its standard input ends."""
        waited: list[object] = []

        class Thread:
            def join(self) -> None:
                waited.append(self)

        self.patch(cell_client, "end_with_parent", Thread)
        for done in (True, False):
            self.patch(cell_client, "perform", lambda *given, done=done: done)
            self.patch(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
            cell_client.main()
        self.assertEqual(len(waited), 1)
