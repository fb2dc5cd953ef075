"""``lab demo``: what it asks, what it shows, and how it judges; on a stand-in of its server."""

import json
import re
import signal
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from attrs import define
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
from lab.commands.demo_download import NAME, PIECES, DownloadLeg
from lab.commands.demo_echo import FILE, STREAM, EchoLeg
from lab.commands.main import main
from lab.errors import NoAnswer
from lab.rng import stream

PLACES = {"tcp": "tcp:127.0.0.1:4001", "udp": "udp:127.0.0.1:4002"}
ECHO, PROXY = "udp:127.0.0.1:4003", "udp:4004:interface=127.0.0.1"
DOWNLOADS = ("tcp:127.0.0.1:4005", "tcp:127.0.0.1:4006")
HEAD = ["part", "requests", "resent", "dropped", "right", "p50", "p99", "max"]
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


def listens(name: str, place: str) -> bytes:
    """The line that says where something listens."""
    event = {"message": f"something listens on {place}", name: place}
    return json.dumps(event).encode() + b"\n"


@define(eq=False)
class FakeProcess:
    """
    A stand-in of twistd.

    Args:
        reactor: Of the command.
        protocol: Is told what it says.
        said: What it says when it starts.
        fails: Whether it ends then.
    """

    reactor: "FakeReactor"
    protocol: Any
    said: bytes
    fails: bool

    def speak(self) -> None:
        """It starts, or not."""
        (self.protocol.errReceived if self.fails else self.protocol.outReceived)(self.said)
        if self.fails:
            self.end()

    def signalProcess(self, number: str | int) -> None:
        """End it, if it is there."""
        if self in self.reactor.alive:
            self.reactor.signals.append(number)
            self.reactor.callLater(0, self.end)

    def end(self) -> None:
        """It ends."""
        self.reactor.alive.remove(self)
        self.protocol.processEnded(Failure(ProcessTerminated(exitCode=1)))


class FakeReactor(Clock):
    """
    A reactor for one command, whose only processes are stand-ins of twistd.

    Attributes:
        said: What the server says when it starts; nothing if it then goes on without a word.
        proxy: What the proxy says.
        second: What the second server says.
        fails: Those that end then.
        alive: Those that have not ended.
        spawned: The command lines.
        signals: What was sent to processes.
    """

    def __init__(self) -> None:
        super().__init__()
        places = (*PLACES.values(), ECHO, DOWNLOADS[0])
        self.said = b"".join(listens("endpoint", place) for place in places)
        self.proxy = listens("listen", PROXY)
        self.second = listens("endpoint", DOWNLOADS[1])
        self.fails: set[str] = set()
        self.alive: list[FakeProcess] = []
        self.spawned: list[list[str]] = []
        self.signals: list[str | int] = []
        self.running = True

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
        """Say what it says, and end if it fails."""
        self.spawned.append(args)
        (name,) = {"lab-server", "lab-proxy"}.intersection(args)
        if name == "lab-server" and "--arithmetic" not in args:
            name = "second"
        said = {"lab-server": self.said, "lab-proxy": self.proxy, "second": self.second}[name]
        process = FakeProcess(self, protocol, said, name in self.fails)
        self.alive.append(process)
        protocol.makeConnection(process)
        self.callLater(0, process.speak)

    def log(self, message: str) -> None:
        """The server logs this."""
        line = json.dumps({"message": message}).encode() + b"\n"
        self.alive[0].protocol.outReceived(line)


class DemoTestCase(SynchronousTestCase):
    """Runs the command, on a fake reactor and a stand-in of the clients."""

    def setUp(self) -> None:
        """Put the fakes in their places, and the handlers of signals back at the end."""
        self.reactor = FakeReactor()
        import_module("twisted.internet.reactor")  # there has to be one in this place

        self.patch(internet, "reactor", self.reactor)
        self.patch(demo, "make_client", self.make)
        self.patch(demo, "echo", self.echo)
        self.legs = [EchoLeg(STREAM, 100, 97, whole=True, lost=3, times=(0.002, 0.003, 0.004))]
        self.legs.append(EchoLeg(FILE, 5000, 5000, whole=True, again=2))
        self.echoed: list[tuple[str, int]] = []
        self.patch(demo, "download", self.download)
        self.download_leg = DownloadLeg(killed=True, given=[5, 3], whole=True)
        self.downloaded: list[tuple[Any, bytes, int]] = []
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

    async def echo(self, reactor: object, endpoint: str, seed: int) -> list[EchoLeg]:
        """What is seen of the echo service."""
        self.echoed.append((endpoint, seed))
        return self.legs

    async def download(
        self,
        reactor: object,
        places: Any,
        folders: tuple[Path, Path],
        seed: int,
        kill: Callable[[], object],
    ) -> DownloadLeg:
        """What is seen of the download service; the second server is killed meanwhile."""
        self.assertEqual(folders[0].parent, folders[1])
        self.folder = folders[1]
        self.downloaded.append((places, (folders[0] / "file").read_bytes(), seed))
        await kill()
        return self.download_leg

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
            "--arithmetic udp:0:interface=127.0.0.1 --echo udp:0:interface=127.0.0.1 "
            f"--download tcp:0:interface=127.0.0.1 --root {self.folder / 'served'}"
        )
        proxy = (
            f"lab-proxy --listen udp:0:interface=127.0.0.1 --upstream {ECHO} "
            "--fault latency:latency=20,jitter=5 --fault loss:probability=0.03 --seed 8"
        )
        second = f"lab-server --download tcp:0:interface=127.0.0.1 --root {self.folder / 'served'}"
        commands = (command, proxy, second)
        self.assertEqual(lines[:3], [f"twistd -n {one}" for one in commands])
        self.assertEqual(lines[3], "arithmetic, tcp: 7 of 7 right")
        self.assertEqual(lines[4], "arithmetic, udp, 30% loss: 7 of 7 right")
        self.assertEqual(lines[5], "echo, stream: 97 of 100 packets")
        self.assertEqual(lines[6], "echo, file: 5,000 of 5,000 characters")
        told = "download: 8 of 8 pieces: 5 of one server, 3 of the one that was killed"
        self.assertEqual(lines[7], told)
        self.assertEqual(self.echoed, [("udp:127.0.0.1:4004", 8)])
        self.assertIn("Every answer was right.", lines)
        self.assertIn("lab arithmetic --help", lines[-1])
        (*_, format, json), *_ = self.reactor.spawned
        for said, spawned in zip(commands, self.reactor.spawned, strict=True):
            self.assertIn(said, " ".join(spawned))
        self.assertEqual((format, json), ("--log-format", "json"))

    def test_table(self) -> None:
        """The table has a row for each leg: asked, sent again, dropped, right, and the times."""
        head, tcp, udp, stream = self.cells(result := self.run_demo("--requests", "7"))
        self.assertEqual(head, HEAD)
        self.assertEqual(tcp, ["tcp", "7", "3", "0", "7", *["4 ms"] * 3])
        self.assertEqual(udp, ["udp, 30% loss", "7", "3", "3", "7", *["4 ms"] * 3])
        self.assertEqual(stream, [STREAM, "100", "0", "3", "97", "2 ms", "3 ms", "4 ms"])
        self.assertRegex(result.stdout, rf"(?m)^ {FILE} +5,000 +2 +0 +5,000 *$")

    def test_download(self) -> None:
        """A file of the seed comes from two servers, of which one is killed; nothing is left."""
        result = self.run_demo("--requests", "1", "--seed", "8")
        (places, content, seed), *more = self.downloaded
        self.assertEqual((places, seed, more), (DOWNLOADS, 8, []))
        self.assertEqual(len(content), 8 * 2**20)
        self.assertFalse(self.folder.exists())
        # The second was killed; the proxy and the first server were asked to end.
        killed = [signal.SIGKILL, signal.SIGTERM, signal.SIGTERM]
        self.assertEqual((self.reactor.signals, self.reactor.alive), (killed, []))
        self.assertRegex(result.stdout, rf"(?m)^ {NAME} +{PIECES} pieces +1 server +8 *$")

    def test_download_is_wrong(self) -> None:
        """A file that is not whole is named with the reason."""
        self.download_leg = DownloadLeg(killed=True, error="no more servers")
        result = self.run_demo("--requests", "1")
        self.assertEqual(result.exit_code, 1)
        self.assertIn(f"{NAME}: no more servers\nNot every answer was right.\n", result.stdout)

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
        self.assertEqual([row[1] for row in self.cells(result)[1:3]], ["200", "200"])
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
            right = {row[0]: row[4] for row in self.cells(result)[1:3]}
            self.assertEqual(right.pop(name), "8")
            self.assertEqual(list(right.values()), ["9"])
            self.assertEqual(self.reactor.alive, [])

    def test_echo_is_wrong(self) -> None:
        """A file that is not whole, or a stream without its end, is named with the reason."""
        self.legs[0].whole = self.legs[1].whole = False
        self.legs[1].error = "nothing came for 5 s"
        result = self.run_demo("--requests", "1")
        self.assertEqual(result.exit_code, 1)
        said = f"{STREAM}: echo, stream: 97 of 100 packets\n{FILE}: nothing came for 5 s\nNot every"
        self.assertIn(said, result.stdout)

    def test_proxy_does_not_start(self) -> None:
        """The same of the proxy; what was begun is ended."""
        self.reactor.fails, self.reactor.proxy = {"lab-proxy"}, b"no such fault\n"
        result = self.run_demo("--requests", "1")
        said = "the server did not start: no such fault\n"
        self.assertEqual((result.exit_code, result.stderr), (1, said))
        self.assertEqual((self.reactor.alive, self.echoed), ([], []))

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
        self.reactor.fails, self.reactor.said = (
            {"lab-server"},
            b"Traceback\narithmetic can't listen: no\n",
        )
        result = self.run_demo()
        said = "the server did not start: arithmetic can't listen: no\n"
        self.assertEqual((result.exit_code, result.stderr), (1, said))
        self.assertEqual((self.clients, len(result.stdout.splitlines())), ([], 1))

    def test_server_ends_in_silence(self) -> None:
        """One that ends without a word is one line, too."""
        self.reactor.fails, self.reactor.said = {"lab-server"}, b""
        result = self.run_demo()
        self.assertEqual((result.exit_code, result.stderr.count("\n")), (1, 1))
        self.assertIn("the server did not start: ", result.stderr)

    def test_server_is_ended(self) -> None:
        """All processes are ended when all is asked, and also when a bug ends the demo."""
        self.run_demo("--requests", "1")
        self.assertEqual((len(self.reactor.signals), self.reactor.alive), (3, []))
        self.setUp()
        self.patch(demo, "make_client", lambda *arguments: 1 // 0)
        result = self.run_demo("--requests", "1")
        self.assertEqual((result.exit_code, self.reactor.alive), (1, []))
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
        self.assertEqual((self.reactor.signals, self.reactor.alive), ([signal.SIGTERM], []))

    def test_interrupted_while_it_asks(self) -> None:
        """The same when questions are under way: no traceback."""

        def interrupted(number: int) -> int:
            """Ctrl-C comes behind the answer."""
            handler: Any = signal.getsignal(signal.SIGINT)
            handler(signal.SIGINT, None)
            return 0

        self.scripts["tcp"] = interrupted
        waiting = Deferred[Answer]()
        self.patch(StandIn, "request", lambda client, body: (client.script(0), waiting)[1])
        result = self.run_demo("--requests", "1")
        self.assertEqual((result.exit_code, result.stderr), (130, "interrupted\n"))
        self.assertEqual((self.reactor.alive, self.echoed), ([], []))

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
        legs: list[Any] = [
            Leg("tcp", ""),
            Leg(f"udp, {DROP_RATE:.0%} loss", "", 10**5, 10**5, 0, 10**5),
        ]
        legs[1].traffic.sent = 2 * 10**5
        legs[1].latency.add(81.9)
        legs.append(DownloadLeg(killed=True, given=[8, 0]))
        legs.append(EchoLeg(STREAM, 10**5, 10**5, times=(0.00123, 0.0123, 0.123)))
        console = Console(width=80)
        with console.capture() as capture:
            console.print(table(legs))
        text = capture.get()
        for cell in (
            "udp, 30% loss",
            STREAM,
            NAME,
            "8 pieces",
            "1 server",
            "100,000",
            "200,000",
            "81.9 s",
            "0 s",
            *HEAD,
        ):
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
