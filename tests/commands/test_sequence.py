"""``lab sequence``: its words and options, what it shows and keeps, how it ends."""

import io
import json
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn

from click.testing import CliRunner, Result
from rich.console import Console
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from lab.commands import sequence
from lab.commands.logs import LEVELS
from lab.commands.main import main
from lab.commands.running import code_of
from lab.commands.sequence import (
    DEFAULT,
    LOG_FILE,
    Bar,
    JsonLines,
    Lines,
    Tally,
    describe,
    make_view,
)
from lab.errors import LabError
from lab.sequence.client import Retry
from lab.sequence.state import StateFile
from lab.sequence.tcp import SequenceClient
from lab.sequence.values import Checksum, value
from lab.sequence.wire import Number, Rejected, Resumed, Session
from lab.simulator import simulate
from lab.simulator.network import Network
from tests.helpers import captured_logs, folder
from tests.sequence.test_tcp import Run

EQUAL = "system - SUCCESS! local checksum and server checksum are equal"
SESSION = Session("1" * 32, bytes(16), 20, 0.5)


class Terminal(io.StringIO):
    """What takes itself for a terminal."""

    def isatty(self) -> bool:
        """It does."""
        return True


class Other(Checksum):
    """A checksum that is none."""

    def digest(self) -> tuple[str, str]:
        """Of nothing."""
        return "0" * 8, "0" * 64


class Misled(SequenceClient):
    """A client that comes to another checksum."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.core._sum = Other()


class Deaf(Protocol):
    """A server that understands nothing."""

    def dataReceived(self, data: bytes) -> None:
        """Say so."""
        self.transport.write(b"300 n is '-1'\n")


class CommandCase(SynchronousTestCase):
    """Calls the command, on a simulated network."""

    def setUp(self) -> None:
        """A network with a server, and no log file."""
        self.logs: list[tuple[Path, str]] = []
        self.patch(sequence, "run", self.run_in_simulation)
        self.patch(sequence, "log_to_file", lambda *given: self.logs.append(given))
        self.prepare: Callable[[Network], object] = Run
        self.state = folder(self) / "a.state"
        #: Ctrl-C comes then, in seconds.
        self.interrupt: float | None = None

    def run_in_simulation(
        self, begin: Callable[[Any], Coroutine[Deferred[Any], Any, int]]
    ) -> NoReturn:
        """As `lab.commands.running.run`, on a network of its own."""
        with simulate(7) as net:
            self.net = net
            self.server = self.prepare(net)
            done = Deferred.fromCoroutine(begin(net.host("client").reactor))
            if self.interrupt is not None:
                net.at(self.interrupt, done.cancel)
            try:
                code = net.run_until(done)
            except CancelledError:
                code = 130
            except LabError as error:
                print(error)  # noqa: T201 - as `run` does, elsewhere
                code = code_of(error)
            net.run(1)
        raise SystemExit(code)

    def call(self, *words: str, endpoint: str = "tcp:server:80") -> Result:
        """Call it as a shell would."""
        with captured_logs() as logged:
            result = CliRunner().invoke(main, ["sequence", endpoint, *words], prog_name="lab")
        self.logged = [
            f"{event['log_namespace']} {event['log_level'].name}: {formatEvent(event)}"
            for event in logged
            if event["log_namespace"] in {"system", "lab.sequence"}
        ]
        return result

    def numbers(self, result: Result) -> list[int]:
        """The indexes that were shown."""
        return [int(one) for one in re.findall(r"^(\d+) \d+$", result.stdout, re.MULTILINE)]


class EndTests(CommandCase):
    """How it ends."""

    def test_equal(self) -> None:
        """Each number is a line; the last line and the log say that it is well."""
        result = self.call("5")
        self.assertEqual(result.exit_code, 0)
        self.assertEqual(self.numbers(result), list(range(5)))
        self.assertEqual(result.stdout.splitlines()[5:], [EQUAL])
        self.assertRegex(result.stderr, r"^session [0-9a-f]{32}: n = 5, a number every 1 s\n$")
        self.assertRegex(self.logged[0], r"^lab.sequence info: session [0-9a-f]{32}: n = 5, ")
        self.assertRegex(self.logged[1], r"^lab.sequence debug: number 0 \d+$")
        self.assertEqual(self.logged[-1], f"system info: {EQUAL.removeprefix('system - ')}")

    def test_different(self) -> None:
        """A server whose checksum is of other numbers: exit code 4."""
        self.patch(sequence, "SequenceClient", Misled)
        result = self.call("3")
        text = "FAILURE! local checksum and server checksum are different"
        self.assertEqual(
            (result.exit_code, result.stdout.splitlines()[-1]), (4, f"system - {text}")
        )
        self.assertEqual(self.logged[-1], f"system error: {text}")

    def crashing(self, net: Network) -> Run:
        """A server that forgets everything after 3.5 s."""
        run = Run(net)
        net.at(3.5, net.host("server").restart)
        return run

    def test_rejected(self) -> None:
        """A session that is gone: exit code 3, and the last index."""
        self.prepare = self.crashing
        result = self.call("9")
        self.assertEqual(result.exit_code, 3)
        text = "FAILURE! rejected: unknown; the last index is 3"
        self.assertEqual(result.stdout.splitlines()[-1], f"system - {text}")
        self.assertIn("the connection is lost; the next attempt is in ", result.stderr)
        self.assertIn("lab.sequence warn: the connection is lost", "\n".join(self.logged))

    def test_restart(self) -> None:
        """Or a new beginning, if that is wished; the file has only the new one."""
        self.prepare = self.crashing
        result = self.call("9", "--on-reject", "restart", "--state", str(self.state))
        self.assertEqual(result.exit_code, 0)
        self.assertEqual(self.numbers(result), [*range(4), *range(9)])
        self.assertIn("rejected: unknown; it begins anew\n", result.stderr)
        self.assertFalse(self.state.exists())

    def test_refused(self) -> None:
        """A server that does not understand: exit code 1."""
        factory = Factory.forProtocol(Deaf)
        self.prepare = lambda net: net.host("server").reactor.listenTCP(80, factory)
        result = self.call("9")
        self.assertEqual(result.exit_code, 1)
        self.assertIn("system - FAILURE! the server says: n is '-1'", result.stdout)

    def test_wrong_words(self) -> None:
        """One line, and exit code 2."""
        for words, text in (
            (("x",), "n is 'x'; give a whole number from 1 to 65,535"),
            (("0",), "n is '0'; give a whole number from 1 to 65,535"),
            (("65536",), "n is '65536'; give a whole number from 1 to 65,535"),
            (("1", "2"), "'2' is one word too many; give [ENDPOINT] [N]"),
            (("--interval", "0"), "interval is '0'; give more than 0"),
            (("--state", "/nowhere/a"), "state is '/nowhere/a'; No such file or directory"),
            (("--log-level", "all"), "'all' is not one of 'debug', 'info', 'warn', 'error'"),
        ):
            result = self.call(*words)
            self.assertEqual((result.exit_code, result.stdout), (2, ""))
            self.assertIn(text, result.stderr)
            self.assertEqual(result.stderr.count("\n"), 1)
        for endpoint in ("udp:server:80", "tcp:server"):
            result = self.call("3", endpoint=endpoint)
            self.assertEqual(result.exit_code, 2)
            self.assertIn(f"endpoint is {endpoint!r}; give one", result.stdout)

    def test_words(self) -> None:
        """The endpoint may be left out, and n; where it is logged can be said."""
        self.assertEqual(sequence.read_words(()), (DEFAULT, None))
        self.assertEqual(sequence.read_words(("7",)), (DEFAULT, 7))
        self.assertEqual(sequence.read_words(("unix:/tmp/a",)), ("unix:/tmp/a", None))
        self.call("1")
        self.call("1", "--log-file", "b.log", "--log-level", "debug")
        self.assertEqual(self.logs, [(Path(LOG_FILE), "info"), (Path("b.log"), "debug")])
        self.assertIn("info", LEVELS)

    def test_interval(self) -> None:
        """It is asked of the server, and heartbeats are ours to set."""
        result = self.call("5", "--interval", "200ms", "--heartbeat-interval", "100ms")
        self.assertIn("a number every 200 ms", result.stderr)
        self.assertApproximates(self.net.now, 0.8 + 1, 0.1)


class StateTests(CommandCase):
    """A file to go on from."""

    def test_goes_on(self) -> None:
        """What was interrupted goes on, and ends well; then there is no file."""
        run: list[Run] = []

        def once(net: Network) -> Run:
            """A server that has the sessions of the one before."""
            run.append(Run(net, store=run[0].factory.store if run else None))
            return run[-1]

        self.prepare = once
        self.interrupt = 3.5
        result = self.call("9", "--state", str(self.state))
        self.assertEqual((result.exit_code, self.numbers(result)), (130, [0, 1, 2, 3]))
        self.assertIn(f"goes on from {self.state} when it is typed again\n", result.stderr)
        self.interrupt = None
        result = self.call("--state", str(self.state))
        self.assertEqual((result.exit_code, self.numbers(result)), (0, [4, 5, 6, 7, 8]))
        self.assertEqual(self.logged[0], f"lab.sequence info: {self.state} has 4 numbers")
        self.assertIn("goes on with number 4\n", result.stderr)
        self.assertFalse(self.state.exists())

    def test_another_n(self) -> None:
        """A file is of one sequence."""
        state = StateFile(self.state)
        state.keep(SESSION)
        state.close()
        result = self.call("9", "--state", str(self.state))
        self.assertEqual(result.exit_code, 2)
        self.assertIn(f"state is {str(self.state)!r}, of n = 20; n can't be 9 there", result.stderr)
        result = self.call("20", "--state", str(self.state))
        self.assertEqual(result.exit_code, 3)
        self.assertIn(f"what was received is in {self.state}\n", result.stderr)
        self.assertTrue(self.state.exists())

    def test_interrupted(self) -> None:
        """Without a file there is nothing to go on from."""
        self.interrupt = 3.5
        result = self.call("9")
        self.assertEqual((result.exit_code, len(self.numbers(result))), (130, 4))
        self.assertNotIn("goes on", result.stderr)

    def test_no_space(self) -> None:
        """What can't be kept is not shown: one line, and the end."""

        def full(state: StateFile, event: Any) -> None:
            """There is room for two numbers."""
            if isinstance(event, Number) and event.index == 2:
                raise OSError(28, "No space left on device")

        self.patch(StateFile, "keep", full)
        result = self.call("9", "--interval", "1ms", "--state", str(self.state))
        self.assertEqual((result.exit_code, self.numbers(result)), (2, [0, 1]))
        self.assertIn(f"state is {str(self.state)!r}; No space left on device", result.stdout)

    def test_nothing_more(self) -> None:
        """After that, nothing is kept or shown."""
        receiving = sequence.Receiving(Lines(Clock().seconds, Tally(0.0)), Tally(0.0), None)
        receiving._broken = "full"
        receiving._event(Number(0, 1))
        self.assertEqual(receiving.tally.there, 0)


class ShowTests(CommandCase):
    """What is shown, and where."""

    def test_json(self) -> None:
        """Everything is an object; the key is nowhere."""

        def cut(net: Network) -> Run:
            """A server, and a connection that is cut."""
            run = Run(net)
            net.at(2.5, lambda: [end.abortConnection() for end in list(net.host("client").ends)])
            return run

        self.prepare = cut
        result = self.call("5", "--json")
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        events = [json.loads(line) for line in result.stdout.splitlines()]
        kinds = ["session", *["number"] * 3, "retry", "resumed", *["number"] * 2, "ended"]
        self.assertEqual([event["event"] for event in events], kinds)
        self.assertEqual(set(events[0]), {"event", "time", "id", "n", "interval"})
        self.assertEqual([e["index"] for e in events if e["event"] == "number"], list(range(5)))
        self.assertEqual(events[-1]["verdict"], EQUAL)
        self.assertEqual((events[-1]["outcome"], events[-1]["count"]), ("equal", 5))

    def test_describe(self) -> None:
        """Each event in words; no secret is in any."""
        for event, text in (
            (SESSION, f"session {'1' * 32}: n = 20, a number every 500 ms"),
            (Number(3, 77), "3 77"),
            (Retry("why", 0.25), "why; the next attempt is in 250 ms"),
            (Resumed(4), "goes on with number 4"),
            (Rejected("expired"), "rejected: expired; it begins anew"),
        ):
            self.assertEqual(describe(event), text)

    def test_tally(self) -> None:
        """How many have come, how fast, how often it was resumed, how long it takes."""
        tally = Tally(100.0, 20, 0.5, 4)
        for event in (Resumed(4), Number(4, 1), Number(5, 1), Retry("", 1.0), Resumed(6)):
            tally.count(event)
        self.assertEqual(tally.text(104.0), "6 of 20, 0.5/s, 2 reconnections, 0:00:07 left")
        tally.count(Session("2" * 32, bytes(16), 65535, 1.0))
        tally.count(Resumed(0))
        self.assertEqual(tally.text(100.0), "0 of 65,535, 0/s, 3 reconnections, 18:12:15 left")
        tally = Tally(0.0, 2, 1.0)
        tally.count(Resumed(0))
        self.assertIn("1 reconnection,", tally.text(1.0))

    def bar(self, stdout: io.StringIO) -> str:
        """What a terminal shows of a few events, at 0, 0.05, … s."""
        self.patch(sequence.sys, "stdout", stdout)
        clock, tally, screen = Clock(), Tally(0.0), Terminal()
        console = Console(file=screen, force_terminal=True, width=100, color_system=None)
        view = Bar(clock.seconds, tally, console)
        events = (SESSION, *(Number(index, value(bytes(16), index)) for index in range(5)))
        for event in (*events, Retry("the connection is lost", 0.5), Resumed(5), Number(5, 1)):
            tally.count(event)
            view.event(event)
            clock.advance(0.05)
        view.close()
        return screen.getvalue()

    def test_bar(self) -> None:
        """On a terminal a bar is below the numbers, drawn again not too often."""
        shown = self.bar(Terminal())
        self.assertIn("connecting", shown)
        self.assertIn("0 2827844077", shown)
        self.assertIn("0 of 20, 0/s, 0 reconnections, 0:00:10 left", shown)
        self.assertIn("2 of 20, ", shown)
        self.assertNotIn(" 1 of 20, ", shown)
        self.assertIn("the connection is lost; the next attempt is in 500 ms", shown)
        self.assertIn("1 reconnection, ", shown)

    def test_bar_beside_a_pipe(self) -> None:
        """Where the numbers go to a pipe, the bar is alone on the terminal."""
        pipe = io.StringIO()
        shown = self.bar(pipe)
        self.assertNotIn("2827844077", shown)
        self.assertIn("2 of 20, ", shown)
        self.assertEqual(pipe.getvalue().splitlines()[0], "0 2827844077")

    def test_make_view(self) -> None:
        """JSON if asked for, a bar on a terminal, lines elsewhere."""
        seconds, tally = Clock().seconds, Tally(0.0)
        for stdout, stderr, as_json, kind in (
            (Terminal(), Terminal(), True, JsonLines),
            (Terminal(), io.StringIO(), False, Bar),
            (io.StringIO(), Terminal(), False, Bar),
            (io.StringIO(), io.StringIO(), False, Lines),
        ):
            self.patch(sequence.sys, "stdout", stdout)
            self.patch(sequence.sys, "stderr", stderr)
            view = make_view(seconds, tally, as_json=as_json)
            view.close()
            self.assertIs(type(view), kind)
