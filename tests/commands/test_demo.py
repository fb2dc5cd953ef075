"""``lab demo``: what it asks, what it shows, and how it judges; on a stand-in of its server."""

import json
import re
import signal
from collections.abc import Callable
from importlib import import_module
from typing import Any

from click.testing import CliRunner, Result
from rich.console import Console
from twisted import internet
from twisted.internet import defer
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.arithmetic.asking import Answer
from lab.arithmetic.client import Traffic
from lab.arithmetic.numbers import OPERATORS, evaluate
from lab.arithmetic.tcp import ArithmeticFactory
from lab.arithmetic.wire import Reply, Request, read_request
from lab.commands import demo
from lab.commands.demo import DROP_RATE, Leg, ask, questions, table
from lab.commands.main import main
from lab.errors import NoAnswer
from lab.rng import stream

PLACES = {"tcp": "tcp:127.0.0.1:4001", "udp": "udp:127.0.0.1:4002"}
HEAD = ["arithmetic", "requests", "resent", "dropped", "right", "p50", "p99", "max"]
#: What a client makes of its requests, by their number: an answer off by that, or a failure.
Script = Callable[[int], int | Exception]


def right(number: int) -> int:
    """All answers are right."""
    return 0


class StandIn:
    """A client that answers at once, as its script says, and sends each third request twice."""

    def __init__(self, script: Script, dropped: Callable[[], None]) -> None:
        self.script, self.dropped = script, dropped
        self.traffic = Traffic()
        self.asked: list[bytes] = []
        self.closed = False

    def request(self, body: bytes) -> Deferred[Answer]:
        """Answer or fail."""
        self.asked.append(body)
        outcome = self.script(self.traffic.requests)
        twice = self.traffic.requests % 3 == 0
        self.traffic.requests += 1
        self.traffic.sent += 1 + twice
        if twice:
            self.dropped()
        if isinstance(outcome, Exception):
            return defer.fail(outcome)
        _, operator, left, right = read_request(body)
        value = evaluate(operator, left, right) + outcome
        return succeed(Answer(Reply(200, value), 1 + twice, 0.004))

    def close(self) -> Deferred[None]:
        """Note it."""
        self.closed = True
        return succeed(None)


class FakeReactor(Clock):
    """
    A reactor for one command, whose only process is a stand-in of twistd.

    Attributes:
        said: What the process says when it starts; None if it then goes on without a word.
        fails: Whether it ends then.
        spawned: The command lines.
        signals: What was sent to the process.
    """

    def __init__(self) -> None:
        super().__init__()
        self.said = b"".join(map(self.listens, PLACES.values()))
        self.fails = False
        self.spawned: list[list[str]] = []
        self.signals: list[str | int] = []
        self.running = True

    @staticmethod
    def listens(place: str) -> bytes:
        """The line that says where it listens."""
        event = {"message": f"arithmetic listens on {place}", "endpoint": place}
        return json.dumps(event).encode() + b"\n"

    def callWhenRunning(self, function: Callable[[], object]) -> None:
        """Call it with the next calls."""
        self.callLater(0, function)

    callFromThread = callWhenRunning

    def run(self) -> None:
        """Make all calls until it is stopped; without any, it would wait for ever."""
        while self.running:
            assert self.getDelayedCalls(), "the command waits for nothing"
            self.advance(0)

    def stop(self) -> None:
        """Run no more."""
        self.running = False

    def spawnProcess(self, protocol: Any, executable: str, args: list[str], env: object) -> None:
        """Say what a server says, and end if it fails."""
        self.spawned.append(args)
        self.process = protocol
        protocol.makeConnection(self)
        self.callLater(0, self.speak)

    def speak(self) -> None:
        """The process starts, or not."""
        (self.process.errReceived if self.fails else self.process.outReceived)(self.said)
        if self.fails:
            self.end()

    def signalProcess(self, number: str | int) -> None:
        """End it, if it is there."""
        if self.process:
            self.signals.append(number)
            self.callLater(0, self.end)

    def end(self) -> None:
        """The process ends."""
        protocol, self.process = self.process, None
        protocol.processEnded(Failure(ProcessTerminated(exitCode=1)))

    def log(self, message: str) -> None:
        """The server logs this."""
        self.process.outReceived(json.dumps({"message": message}).encode() + b"\n")


class DemoTestCase(SynchronousTestCase):
    """Runs the command, on a fake reactor and a stand-in of the clients."""

    def setUp(self) -> None:
        """Put the fakes in their places, and the handlers of signals back at the end."""
        self.reactor = FakeReactor()
        import_module("twisted.internet.reactor")  # there has to be one in this place

        self.patch(internet, "reactor", self.reactor)
        self.patch(demo, "make_client", self.make)
        for number in (signal.SIGINT, signal.SIGTERM):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.scripts: dict[str, Script] = dict.fromkeys(PLACES, right)

    def make(self, reactor: object, endpoint: str, settings: object, seed: int) -> StandIn:
        """The client for one leg."""
        kind = endpoint.partition(":")[0]

        def dropped() -> None:
            if kind == "udp":
                self.reactor.log("datagram 1 from 127.0.0.1:1 dropped: 9 bytes, drop rate 0.3")

        client = StandIn(self.scripts[kind], dropped)
        self.clients.append((endpoint, seed, client))
        return client

    def run_demo(self, *words: str, **env: str) -> Result:
        """Run it as a shell would."""
        self.clients: list[tuple[str, int, StandIn]] = []
        words = ("demo", *words)
        return CliRunner().invoke(main, words, prog_name="lab", env={"COLUMNS": "80", **env})

    def cells(self, result: Result) -> list[list[str]]:
        """The rows of the table, its head first."""
        rows = [re.split(r" {2,}", line.strip()) for line in result.stdout.splitlines()]
        return [row for row in rows if len(row) == len(HEAD)]


class RunTests(DemoTestCase):
    """The whole command."""

    def test_all_right(self) -> None:
        """It says what it starts, what it asked and saw, and that every answer was right."""
        result = self.run_demo("--requests", "7", "--seed", "8")
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        lines = result.stdout.splitlines()
        command = (
            "lab-server --drop-rate 0.3 --seed 8 --arithmetic tcp:0:interface=127.0.0.1 "
            "--arithmetic udp:0:interface=127.0.0.1"
        )
        self.assertEqual(lines[0], f"twistd -n {command}")
        self.assertEqual(lines[1], "arithmetic, tcp: 7 of 7 right")
        self.assertEqual(lines[2], "arithmetic, udp, 30% loss: 7 of 7 right")
        self.assertIn("Every answer was right.", lines)
        self.assertIn("lab arithmetic --help", lines[-1])
        ((*_, format, json),) = self.reactor.spawned
        self.assertIn(command, " ".join(self.reactor.spawned[0]))
        self.assertEqual((format, json), ("--log-format", "json"))

    def test_table(self) -> None:
        """The table has a row for each leg: asked, sent again, dropped, right, and the times."""
        head, tcp, udp = self.cells(self.run_demo("--requests", "7"))
        self.assertEqual(head, HEAD)
        self.assertEqual(tcp, ["tcp", "7", "3", "0", "7", *["4 ms"] * 3])
        self.assertEqual(udp, ["udp, 30% loss", "7", "3", "3", "7", *["4 ms"] * 3])

    def test_one_after_the_other(self) -> None:
        """First the leg over TCP, then that over UDP, where the server listens, with the seed."""
        self.run_demo("--seed", "8")
        made = [(endpoint, seed) for endpoint, seed, _ in self.clients]
        self.assertEqual(made, [(PLACES["tcp"], 8), (PLACES["udp"], 8)])
        self.assertTrue(all(client.closed for _, _, client in self.clients))

    def test_seed(self) -> None:
        """A seed asks the same questions again, another seed others, and each leg its own."""
        asked = []
        for seed in ("8", "8", "9"):
            self.setUp()
            self.run_demo("--seed", seed)
            asked.append([client.asked for _, _, client in self.clients])
        self.assertEqual(asked[0], asked[1])
        self.assertNotEqual(asked[0][0], asked[2][0])
        self.assertNotEqual(*asked[0])

    def test_defaults(self) -> None:
        """Without options it asks 200 requests on each leg, with seed 7."""
        result = self.run_demo()
        self.assertEqual([row[1] for row in self.cells(result)[1:]], ["200", "200"])
        self.assertIn("--seed 7 ", result.stdout)

    def test_wrong_answer(self) -> None:
        """One wrong answer on one leg is named, and the exit code is not 0."""
        for kind, name in (("tcp", "tcp"), ("udp", "udp, 30% loss")):
            self.setUp()
            self.scripts[kind] = lambda number: 1 if number == 4 else 0
            result = self.run_demo("--requests", "9")
            self.assertEqual((result.exit_code, result.stderr), (1, ""))
            lines = result.stdout.splitlines()
            self.assertIn(f"arithmetic, {name}: 8 of 9 right", lines)
            start = lines.index(f"{name}: 1 without a right answer")
            self.assertRegex(lines[start + 1], r"^  the answer to \S+,\d+,\d is not 200,[0-9.]+$")
            self.assertEqual(lines[start + 2], "Not every answer was right.")
            self.assertNotIn("Every answer was right.", lines)
            right = {row[0]: row[4] for row in self.cells(result)[1:]}
            self.assertEqual(right.pop(name), "8")
            self.assertEqual(list(right.values()), ["9"])
            self.assertEqual(self.reactor.signals, [signal.SIGTERM])

    def test_no_answer(self) -> None:
        """Requests without an answer are counted, and the reason is told."""
        gone = NoAnswer("no answer within 1.3 min after 12 attempts")
        self.scripts["udp"] = lambda number: gone if number < 3 else 0
        result = self.run_demo("--requests", "5")
        self.assertEqual(result.exit_code, 1)
        said = f"udp, 30% loss: 3 without a right answer\n  {gone}\nNot every answer was right.\n"
        self.assertIn(said, result.stdout)

    def test_server_does_not_start(self) -> None:
        """A server that fails to start is one line on standard error, and the code is not 0."""
        self.reactor.fails, self.reactor.said = True, b"Traceback\narithmetic can't listen: no\n"
        result = self.run_demo()
        said = "the server did not start: arithmetic can't listen: no\n"
        self.assertEqual((result.exit_code, result.stderr), (1, said))
        self.assertEqual((self.clients, len(result.stdout.splitlines())), ([], 1))

    def test_server_ends_in_silence(self) -> None:
        """One that ends without a word is one line, too."""
        self.reactor.fails, self.reactor.said = True, b""
        result = self.run_demo()
        self.assertEqual((result.exit_code, result.stderr.count("\n")), (1, 1))
        self.assertIn("the server did not start: ", result.stderr)

    def test_server_is_ended(self) -> None:
        """The server is ended when all is asked, and also when a bug ends the demo."""
        self.run_demo("--requests", "1")
        self.assertEqual((self.reactor.signals, self.reactor.process), ([signal.SIGTERM], None))
        self.setUp()
        self.patch(demo, "make_client", lambda *arguments: 1 // 0)
        result = self.run_demo("--requests", "1")
        self.assertEqual((result.exit_code, self.reactor.process), (1, None))
        self.assertIn("ZeroDivisionError", result.stderr)

    def test_interrupted_while_it_starts(self) -> None:
        """Ctrl-C ends it with 130, and its server with it."""
        self.reactor.said = b""
        spawn = self.reactor.spawnProcess

        def interrupted(*arguments: Any, **named: Any) -> None:
            spawn(*arguments, **named)
            handler: Any = signal.getsignal(signal.SIGINT)
            handler(signal.SIGINT, None)

        self.patch(self.reactor, "spawnProcess", interrupted)
        result = self.run_demo()
        self.assertEqual((result.exit_code, result.stderr), (130, "interrupted\n"))
        self.assertEqual((self.reactor.signals, self.reactor.process), ([signal.SIGTERM], None))

    def test_bar_on_a_terminal(self) -> None:
        """On a terminal a bar for each leg stands in the place of its line."""
        result = self.run_demo("--requests", "7", FORCE_COLOR="1", TERM="xterm")
        self.assertEqual(result.exit_code, 0)
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", result.stdout)
        for name in ("tcp", r"udp, 30% loss"):
            self.assertRegex(plain, rf"{name} +\S.* 7/7")
        self.assertNotIn("of 7 right", plain)

    def test_mistakes(self) -> None:
        """A mistake is one line, exit code 2, and no server is started."""
        mistakes = {
            "--requests 0": "requests is '0'; give a whole number from 1",
            "--seed -1": "seed is '-1'; give a whole number from 0",
            "argument": "Got unexpected extra argument",
        }
        for words, line in mistakes.items():
            result = self.run_demo(*words.split())
            self.assertEqual((result.exit_code, result.stdout), (2, ""), words)
            self.assertTrue(result.stderr.startswith(f"lab demo: {line}"), result.stderr)
            self.assertEqual(result.stderr.count("\n"), 1)
        self.assertEqual(self.reactor.spawned, [])


class PartsTests(SynchronousTestCase):
    """Questions, legs and the table."""

    def test_questions(self) -> None:
        """A seed gives the same questions again; all have an answer, and all operators occur."""
        asked = questions(stream(7, "demo", "tcp"), 500)
        self.assertEqual(asked, questions(stream(7, "demo", "tcp"), 500))
        self.assertNotEqual(asked, questions(stream(7, "demo", "udp"), 500))
        self.assertEqual({request.operator for request in asked}, set(OPERATORS))
        for request in asked:
            evaluate(request.operator, request.left, request.right)

    def test_judgement(self) -> None:
        """A leg counts right and wrong answers; times are those of right ones."""
        leg = Leg("tcp", PLACES["tcp"])
        leg.answered(Answer(Reply(200, 3.5), 1, 0.25), Request("/", 7, 2))
        leg.answered(Answer(Reply(200, 3), 1, 9.0), Request("/", 7, 2))
        leg.answered(Answer(Reply(300), 1, 9.0), Request("-", 1, 2))
        error = "the answer to -,1,2 is not 300,-1"
        self.assertEqual((leg.right, leg.wrong, leg.error), (1, 2, error))
        self.assertEqual((leg.latency.count, leg.latency.most), (1, 0.25))

    def test_bug_is_no_missing_answer(self) -> None:
        """What is no error of the laboratory's goes on."""
        leg = Leg("tcp", PLACES["tcp"])
        self.assertRaises(ZeroDivisionError, leg.failed, Failure(ZeroDivisionError()))

    def test_table_fits(self) -> None:
        """Large numbers and long times fit in 80 columns, and nothing is cut."""
        legs = [Leg("tcp", ""), Leg(f"udp, {DROP_RATE:.0%} loss", "", 10**5, 10**5, 0, 10**5)]
        legs[1].traffic.sent = 2 * 10**5
        legs[1].latency.add(81.9)
        console = Console(width=80)
        with console.capture() as capture:
            console.print(table(legs))
        text = capture.get()
        self.assertIn("udp, 30% loss", text)
        for cell in ("100,000", "200,000", "81.9 s", "0 s", *HEAD):
            self.assertIn(cell, text)
        self.assertNotIn("\u2026", text)


class AskTests(TestCase):
    """A leg over a real connection."""

    timeout = 30

    async def test_loopback(self) -> None:
        """All questions are asked, each with a step, and the traffic of the client is kept."""
        from twisted.internet import reactor as any_reactor

        reactor: Any = any_reactor
        port = reactor.listenTCP(0, ArithmeticFactory(reactor), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        leg, steps = Leg("tcp", f"tcp:127.0.0.1:{port.getHost().port}"), list[int]()
        requests = questions(stream(7, "demo"), 50)
        await ask(reactor, leg, requests, 7, lambda: steps.append(leg.right))
        self.assertEqual((leg.requests, leg.right, leg.wrong, leg.error), (50, 50, 0, ""))
        self.assertEqual((leg.traffic.sent, leg.latency.count), (50, 50))
        self.assertEqual(steps, list(range(1, 51)))
