"""What sees to workers, on a clock; processes are stand-ins."""

import json
import os
import signal
import socket
import sys
from typing import Any

from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lab.commands import workers as room
from lab.commands.workers import (
    GRACE,
    WELL,
    Supervisor,
    WorkersError,
    work,
)
from lab.errors import LocalError
from tests.helpers import captured_logs

TCP, UDP = "tcp:0:interface=127.0.0.1", "udp:0:interface=127.0.0.1"
KINDS = socket.SOCK_STREAM, socket.SOCK_DGRAM
TERM, KILL = signal.SIGTERM, signal.SIGKILL


def suppressed(call: Any, *arguments: Any) -> bool:
    """Whether the system refuses something."""
    try:
        call(*arguments)
    except OSError:
        return True
    return False


class StandIn(Clock):
    """A reactor whose processes are notes."""

    def __init__(self) -> None:
        super().__init__()
        self.spawned: list[Any] = []
        self.begin: list[Any] = []

    def callWhenRunning(self, call: Any) -> None:
        """It begins to run when the test says so."""
        self.begin.append(call)

    def spawnProcess(self, protocol: Any, executable: str, words: list[str], env: Any) -> None:
        """A process of which its signals are known."""
        protocol.told, protocol.signals = b"", []
        protocol.makeConnection(self.Transport(protocol))
        self.spawned.append(protocol)
        self.words = words

    class Transport:
        """To such a process."""

        def __init__(self, protocol: Any) -> None:
            self.protocol = protocol

        def write(self, data: bytes) -> None:
            """Note it."""
            self.protocol.told += data

        def signalProcess(self, number: int) -> None:
            """Note it, while it lives."""
            if self.protocol.signals == ["gone"]:
                raise ProcessExitedAlready
            self.protocol.signals.append(number)


def event(text: str, **more: Any) -> bytes:
    """A line of a worker's log."""
    return json.dumps({"level": "info", "message": text, **more}).encode() + b"\n"


DONE = Failure(ProcessDone(0))


class SupervisorTests(SynchronousTestCase):
    """Lives of workers."""

    def setUp(self) -> None:
        """Two workers that have begun, of a service at two ports."""
        self.reactor = StandIn()
        self.failed: list[WorkersError] = []
        self.ports: list[int] = []
        self.supervisor = self.make(("arithmetic", TCP), ("arithmetic", UDP))

    def make(self, *endpoints: tuple[str, str]) -> Supervisor:
        """A supervisor whose workers are told their ports."""

        def words(ports: list[int]) -> list[str]:
            self.ports = ports
            return [str(port) for port in ports]

        supervisor = Supervisor(self.reactor, endpoints, 2, words, self.failed.append)
        self.addCleanup(supervisor._held.release, KINDS)
        return supervisor

    def begin(self) -> list[Any]:
        """Start; gives the first two."""
        self.supervisor.privilegedStartService()
        self.supervisor.startService()
        self.reactor.begin.pop()()
        return list(self.reactor.spawned)

    def is_free(self, place: int) -> bool:
        """Whether others can have a port."""
        with socket.socket(socket.AF_INET, KINDS[place]) as one:
            return not suppressed(one.bind, ("127.0.0.1", self.ports[place]))

    def test_begin(self) -> None:
        """Each is told its words by its standard input; none is on a command line."""
        one, two = self.begin()
        self.assertEqual(json.loads(one.told), [str(port) for port in self.ports])
        self.assertEqual(one.told, two.told)
        self.assertEqual(self.reactor.words[1:], ["-c", room._PROGRAM])
        self.assertTrue(all(self.ports))

    def test_ports(self) -> None:
        """They are held: those of datagrams until a worker has them, the others to the end."""
        one, two = self.begin()
        self.assertEqual((self.is_free(0), self.is_free(1)), (False, False))
        with captured_logs() as logs:
            one.outReceived(event("a listens on b", endpoint="b"))
            self.assertFalse(self.is_free(1))
            one.outReceived(event("a listens on c", endpoint="c"))
            self.assertEqual((self.is_free(0), self.is_free(1)), (False, True))
            two.outReceived(2 * event("a listens on b", endpoint="b"))
        self.assertEqual(logs[-1]["workers"], 2)
        self.supervisor.stopService()
        self.assertTrue(self.is_free(0))

    def test_taken(self) -> None:
        """A port that others have is one line, before there is any worker."""
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            text = TCP.replace("0", str(other.getsockname()[1]), 1)
            supervisor = self.make(("echo", text))
            error = self.assertRaises(LocalError, supervisor.privilegedStartService)
        self.assertEqual(str(error), f"echo can't listen on {text}: Address already in use")

    def test_log(self) -> None:
        """What a worker logs is logged with its number, its level and what it knows."""
        one, two = self.begin()
        with captured_logs() as logs:
            two.outReceived(
                event("b", level="warn", namespace="lab.x", failure="trace", host="h", format="x")
            )
            one.outReceived(b"no JSON\n[1]\n")
            one.errReceived(b"wrong\n")
            one.outReceived(event("c", level="no level") + event("d", level=[]))
        seen = [(e["log_namespace"], e["log_level"].name, e["worker"], e["text"]) for e in logs]
        ours = "lab.commands.workers.Supervisor"
        self.assertEqual(seen[0], ("lab.x", "warn", 2, "b\ntrace"))
        self.assertEqual(
            seen[1:4],
            [(ours, "info", 1, "no JSON"), (ours, "info", 1, "[1]"), (ours, "error", 1, "wrong")],
        )
        self.assertEqual(seen[4:], [(ours, "info", 1, "c"), (ours, "info", 1, "d")])
        self.assertEqual(logs[0]["host"], "h")

    def test_again(self) -> None:
        """One that ends is started again; who was well begins with the shortest wait."""
        self.begin()
        for wait in (0.1, 0.2):
            with captured_logs() as logs:
                self.reactor.spawned[-1 if wait > 0.1 else 0].processEnded(
                    Failure(ProcessTerminated(signal=signal.SIGKILL))
                )
            self.assertEqual((logs[-1]["worker"], logs[-1]["wait"]), (1, wait))
            count = len(self.reactor.spawned)
            self.reactor.advance(wait)
            self.assertEqual(len(self.reactor.spawned), count + 1)
        self.reactor.advance(WELL)
        with captured_logs() as logs:
            self.reactor.spawned[-1].processEnded(DONE)
        self.assertEqual(logs[-1]["wait"], 0.1)
        self.supervisor.stopService()
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)  # the grace of the other

    def test_gives_up(self) -> None:
        """One that ends again and again is the end, with what it said last."""
        self.begin()
        self.reactor.spawned[0].errReceived(b"why\n")
        for _ in range(6):
            self.reactor.spawned[-1].errReceived(b"why\n")
            self.reactor.spawned[-1].processEnded(DONE)
            self.reactor.advance(2.0)
        (error,) = self.failed
        self.assertEqual(str(error), "worker 2 ends whenever it is started: why")

    def test_stop(self) -> None:
        """All are told to end, and made to if they don't."""
        one, two = self.begin()
        stopped = self.supervisor.stopService()
        one.processEnded(DONE)
        self.reactor.advance(GRACE)
        self.assertEqual((one.signals, two.signals), ([TERM], [TERM, KILL]))
        self.assertNoResult(stopped)
        two.processEnded(DONE)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_stop_meanwhile(self) -> None:
        """One that ends at the same time, waits or has not begun is no matter."""
        one, _ = self.begin()
        one.processEnded(DONE)
        two = self.reactor.spawned[1]
        two.signals = ["gone"]
        stopped = self.supervisor.stopService()
        two.processEnded(DONE)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        supervisor = self.make()
        supervisor.startService()
        self.successResultOf(supervisor.stopService())
        self.reactor.begin.pop()()
        self.assertEqual(len(self.reactor.spawned), 2)


class WorkTests(SynchronousTestCase):
    """How a worker begins."""

    def worker(self, data: bytes) -> list[list[str]]:
        """What twistd is run with by a worker that reads this."""
        from twisted.scripts import twistd

        rest, seen = [data[i : i + 1] for i in range(len(data))], list[list[str]]()
        self.patch(os, "read", lambda fd, size: rest.pop(0) if rest else b"")
        self.done: list[Any] = []
        self.patch(signal, "signal", lambda *what: self.done.append(what))
        self.patch(room, "end_with_parent", lambda: self.done.append("with parent"))
        self.patch(twistd, "run", lambda: seen.append(list(sys.argv)))
        self.patch(sys, "argv", sys.argv)
        work()
        return seen

    def test_work(self) -> None:
        """A worker runs twistd with the words that it reads, or nothing if nobody says any."""
        self.assertEqual(self.worker(b'["-n", "a b"]\n'), [["twistd", "-n", "a b"]])
        # Ctrl-C is for the supervisor, with which it ends, however that ends.
        self.assertEqual(self.done, [(signal.SIGINT, signal.SIG_IGN), "with parent"])
        self.assertEqual(self.worker(b'["-n'), [])
