"""A process of ours, fed with what a stand-in of ``twistd`` says."""

import json
import os
import signal
import sys
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.processes import ServerError, TwistdProcess
from lab.commands.running import FAILED, code_of

ENDED = Failure(ProcessTerminated(exitCode=1))
PLACES = ["tcp:127.0.0.1:4001", "udp:127.0.0.1:4002"]


def entry(message: str, **keys: object) -> bytes:
    """One line of the log."""
    return json.dumps({"message": message, **keys}).encode() + b"\n"


def listens(place: str) -> bytes:
    """The line that says where it listens."""
    return entry(f"arithmetic listens on {place}", endpoint=place)


class StandIn:
    """A process that is never started, and notes what is asked of it."""

    def __init__(self) -> None:
        self.spawned: list[tuple[object, str, list[str], object]] = []
        self.signals: list[object] = []
        self.gone = False

    def spawnProcess(self, protocol: Any, executable: str, args: list[str], env: object) -> None:
        """Note it, and be the transport."""
        self.spawned.append((protocol, executable, args, env))
        protocol.makeConnection(self)

    def signalProcess(self, number: object) -> None:
        """Note it, or be gone already."""
        if self.gone:
            raise ProcessExitedAlready
        self.signals.append(number)


class TwistdProcessTests(SynchronousTestCase):
    """What its log says is told, and its end is always noticed."""

    def start(self, places: int = 2) -> Deferred[list[str]]:
        """Start one that shall listen at so many places."""
        self.reactor, self.events = StandIn(), list[dict[str, Any]]()
        self.process = TwistdProcess(self.events.append)
        return self.process.start(self.reactor, ["lab-server", "--seed", "7"], places)

    def test_command(self) -> None:
        """It is twistd of this Python, in the foreground, with a log in JSON and no file."""
        self.start()
        ((protocol, executable, words, env),) = self.reactor.spawned
        self.assertIs(protocol, self.process)
        self.assertEqual((executable, words[0]), (sys.executable, sys.executable))
        self.assertIn("twisted.scripts.twistd", words[2])
        # It ends with us, also if we are killed; and Ctrl-C on a terminal is not for it.
        self.assertIn("end_with_parent", words[2])
        self.assertIn("setsid", words[2])
        options = ["-n", "--pidfile=", "lab-server", "--seed", "7", "--log-format", "json"]
        self.assertEqual(words[3:], options)
        self.assertIs(env, os.environ)

    def test_ready(self) -> None:
        """It is ready when it listens everywhere, and says where in the order of listening."""
        ready = self.start()
        self.process.outReceived(listens(PLACES[0]))
        self.assertNoResult(ready)
        self.process.outReceived(entry("drop rate 0.3, seed 7") + listens(PLACES[1]))
        self.assertEqual(self.successResultOf(ready), PLACES)

    def test_proxy(self) -> None:
        """Of a proxy, too, the endpoint is a client's."""
        ready = self.start(places=2)
        for number in (4001, 4002):
            place = f"udp:{number}:interface=127.0.0.1"
            self.process.outReceived(entry(f"proxy listens on {place}", listen=place))
        places = ["udp:127.0.0.1:4001", "udp:127.0.0.1:4002"]
        self.assertEqual(self.successResultOf(ready), places)

    def test_events(self) -> None:
        """Each event of the log is told, before and after it is ready; other lines are not."""
        self.start(places=1)
        self.process.outReceived(b"no event\n" + entry("one", n=1) + listens(PLACES[0]))
        self.process.outReceived(entry("two"))
        messages = [event["message"] for event in self.events]
        self.assertEqual(messages, ["one", f"arithmetic listens on {PLACES[0]}", "two"])
        self.assertEqual(self.events[0]["n"], 1)

    @settings(deadline=None)
    @given(st.integers(1, 60))
    def test_any_chunks(self, length: int) -> None:
        """The log may come in pieces of any length."""
        ready = self.start()
        log = entry("Loading\u2026") + b"\xff\n" + listens(PLACES[0]) + listens(PLACES[1])
        for start in range(0, len(log), length):
            self.process.outReceived(log[start : start + length])
        self.assertEqual(self.successResultOf(ready), PLACES)
        self.assertEqual(len(self.events), 3)

    def why(self) -> str:
        """What is said of a process that did not start."""
        ready = self.start()
        self.tell()
        self.process.processEnded(ENDED)
        error = self.failureResultOf(ready, ServerError).value
        self.assertEqual(code_of(error), FAILED)
        return str(error)

    def tell(self) -> None:
        """What the process says before it ends; nothing here."""

    def test_ends_in_silence(self) -> None:
        """A server that ends without a word did not start; its exit code is said."""
        self.assertEqual(
            self.why(),
            "the server did not start: A process has ended with a probable error condition: "
            "process ended with exit code 1.",
        )

    def test_last_words(self) -> None:
        """Of one that complains, the last line is told, wherever it was written to."""
        said = {
            "on standard error": lambda: self.process.errReceived(b"warning\nno such option\n"),
            "in its log": lambda: self.process.outReceived(entry("Loading") + entry("it failed")),
            "as text": lambda: self.process.outReceived(entry("Loading") + b"bad \xff byte\n"),
            "as a traceback": lambda: self.process.outReceived(entry("Traceback:\n  x\nOops: no")),
        }
        ends = ("no such option", "it failed", "bad \ufffd byte", "Oops: no")
        for (where, tell), end in zip(said.items(), ends, strict=True):
            self.tell = tell  # type: ignore[method-assign]
            self.assertEqual(self.why(), f"the server did not start: {end}", where)

    def test_one_place_is_not_enough(self) -> None:
        """One that ends before it listens everywhere did not start."""
        self.tell = lambda: self.process.outReceived(listens(PLACES[0]))  # type: ignore[method-assign]
        self.assertIn("listens on", self.why())

    def test_json_that_is_no_event(self) -> None:
        """What is JSON, but nothing of a log, is a line like any other."""
        self.start()
        for line in (b"5", b"null", b"{}", b'{"message": 5}', b'{"message": "it listens on x"}'):
            self.process.outReceived(line + b"\n")
        self.assertEqual(self.events, [{"message": "it listens on x"}])

    def test_memory_is_bounded(self) -> None:
        """Of a long complaint only the end is kept."""
        self.start()
        for number in range(1000):
            self.process.errReceived(b"line %d\n" % number)
        self.assertEqual(len(self.process.last), 20)

    def test_stop(self) -> None:
        """It is asked to end with SIGTERM, and has stopped when it has ended."""
        ready = self.start(places=1)
        self.process.outReceived(listens(PLACES[0]))
        stopped = self.process.stop()
        self.assertEqual(self.reactor.signals, [signal.SIGTERM])
        self.assertNoResult(stopped)
        self.process.processEnded(Failure(ProcessDone(0)))
        self.assertIsNone(self.successResultOf(stopped))
        self.assertEqual(self.successResultOf(ready), PLACES[:1])

    def test_kill(self) -> None:
        """It is killed with SIGKILL, which it can't put off; to stop it afterwards is no error."""
        self.start(places=1)
        self.process.outReceived(listens(PLACES[0]))
        killed = self.process.kill()
        self.assertEqual(self.reactor.signals, [signal.SIGKILL])
        self.assertNoResult(killed)
        self.process.processEnded(Failure(ProcessDone(0)))
        self.assertIsNone(self.successResultOf(killed))
        self.assertIsNone(self.successResultOf(self.process.stop()))

    def test_ends_by_itself(self) -> None:
        """One that ends though nobody has asked it to is told of, with its last words."""
        lost: list[ServerError] = []
        process = TwistdProcess(lambda event: None, lost.append)
        process.start(StandIn(), ["lab-server"], 1)
        process.outReceived(listens(PLACES[0]) + entry("out of memory"))
        process.processEnded(ENDED)
        self.assertEqual([str(one) for one in lost], ["it has ended by itself: out of memory"])

    def test_end_that_nobody_minds(self) -> None:
        """Nobody need hear of that."""
        self.start(places=1)
        self.process.outReceived(listens(PLACES[0]))
        self.process.processEnded(ENDED)
        self.assertIsNone(self.successResultOf(self.process.stop()))

    def test_asked_to_end(self) -> None:
        """Of one that was asked to end, or killed, it is not told."""
        for end in ("stop", "kill"):
            lost: list[ServerError] = []
            process = TwistdProcess(lambda event: None, lost.append)
            process.start(StandIn(), ["lab-server"], 1)
            process.outReceived(listens(PLACES[0]))
            getattr(process, end)()
            process.processEnded(ENDED)
            self.assertEqual(lost, [])

    def test_stop_after_its_end(self) -> None:
        """To stop what has ended by itself is no error."""
        ready = self.start()
        self.reactor.gone = True
        self.process.processEnded(ENDED)
        self.assertIsNone(self.successResultOf(self.process.stop()))
        self.assertEqual(self.reactor.signals, [])
        self.failureResultOf(ready, ServerError)

    def test_interrupted_while_it_starts(self) -> None:
        """Whoever no longer waits for its start may cancel, and then stop it."""
        ready = self.start()
        ready.addErrback(lambda failure: None)
        ready.cancel()
        stopped = self.process.stop()
        self.process.processEnded(ENDED)
        self.assertIsNone(self.successResultOf(stopped))
