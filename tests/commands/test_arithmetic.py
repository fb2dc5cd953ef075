"""``lab arithmetic``: its words and options, and what it makes of answers."""

import gc
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import click
from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lab.arithmetic.asking import Answer
from lab.arithmetic.settings import ClientSettings
from lab.arithmetic.wire import Reply
from lab.backoff import Backoff
from lab.commands import arithmetic
from lab.commands.arithmetic import DEFAULT, Questions, command
from lab.commands.conversation import converse
from lab.commands.main import main
from lab.errors import ConnectionRefused, LocalError, NoAnswer, RemoteError, Unreachable

REFUSAL = Answer(Reply(300), 1, 0.0)


def answer(value: float, attempts: int = 1, waited: float = 0.0) -> Answer:
    """An answer with a value."""
    return Answer(Reply(200, value, id=b"a-1"), attempts, waited)


class StandIn:
    """A client whose answers are known before, or come when the test says so."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = dict(enumerate(answers))
        self.asked: list[bytes] = []
        self.waiting: list[Deferred[Answer]] = []
        self.closed = 0

    def request(self, body: bytes) -> Deferred[Answer]:
        """Note it, and answer if there is an answer."""
        number, result = len(self.asked), Deferred[Answer]()
        self.asked.append(body)
        self.waiting.append(result)
        known = self.answers.get(number)
        if isinstance(known, Exception):
            result.errback(known)
        elif known:
            result.callback(known)
        return result

    def close(self) -> Deferred[None]:
        """Note it."""
        self.closed += 1
        return succeed(None)


class CommandTestCase(SynchronousTestCase):
    """Calls the command, on a stand-in of its client."""

    def setUp(self) -> None:
        """Note which client is made, and run without a reactor."""
        self.client = StandIn()
        self.made: list[tuple[object, str, ClientSettings]] = []
        self.clock = Clock()
        self.patch(arithmetic, "make_client", self.make)
        self.patch(arithmetic, "run", self.run_on_clock)

    def make(self, reactor: object, endpoint: str, settings: ClientSettings) -> StandIn:
        """The client, for this endpoint."""
        self.made.append((reactor, endpoint, settings))
        return self.client

    def run_on_clock(self, begin: Callable[[Any], Coroutine[Deferred[Any], Any, int]]) -> NoReturn:
        """As `lab.commands.running.run`, of what needs no reactor."""
        self.ended = Deferred.fromCoroutine(begin(self.clock))
        raise SystemExit(self.successResultOf(self.ended) if self.ended.called else None)

    def call(self, *words: str, answers: tuple[Answer | Exception, ...] = ()) -> Result:
        """Call it as a shell would."""
        self.client = StandIn(*answers)
        return CliRunner().invoke(main, ["arithmetic", *words], prog_name="lab")


class WordsTests(CommandTestCase):
    """What the words of the command line say."""

    def asked(self, *words: str) -> tuple[str, list[bytes]]:
        """The endpoint that is asked, and what."""
        self.made.clear()
        result = self.call(*words, answers=(answer(1),) * 9)
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        ((reactor, endpoint, _),) = self.made
        self.assertIs(reactor, self.clock)
        return endpoint, self.client.asked

    def test_endpoint(self) -> None:
        """The first word is the endpoint if it looks like one; it may be left out."""
        self.assertEqual(self.asked("+,1,1"), (DEFAULT, [b"+,1,1"]))
        for endpoint in ("udp:localhost:1", "tls:localhost:1", "unix:/tmp/a", "tcp6:x:1"):
            self.assertEqual(self.asked(endpoint, "+,1,1"), (endpoint, [b"+,1,1"]))

    def test_requests(self) -> None:
        """All other words are requests, in their order, be they sensible or not."""
        words = ["*,6,7", "hello", "tcp:localhost:1", "+,1,1"]
        self.assertEqual(self.asked(*words), (DEFAULT, [word.encode() for word in words]))

    def test_subtraction_is_no_option(self) -> None:
        """A request may begin with a dash, wherever it stands, and arrives as it was typed."""
        words = ("-,5,3", "--timeout", "2", "-,1,1", "--json")
        self.assertEqual(self.asked(*words), (DEFAULT, [b"-,5,3", b"-,1,1"]))

    def settings(self, *options: str) -> ClientSettings:
        """The settings that these options make."""
        self.made.clear()
        self.asked(*options, "+,1,1")
        return self.made[0][2]

    def test_no_options(self) -> None:
        """Without options there is one attempt of a second on one connection."""
        self.assertEqual(self.settings(), ClientSettings(Backoff.fixed(1.0, 1)))

    def test_options(self) -> None:
        """Each option is a setting, in the units that people type."""
        self.assertEqual(
            self.settings("--timeout", "100ms", "--attempts", "3", "--jitter", ".5"),
            ClientSettings(Backoff.fixed(0.1, 3, 0.5)),
        )
        self.assertEqual(
            self.settings("--timeout", ".1", "--backoff"), ClientSettings(Backoff(0.1, 2.0))
        )
        self.assertEqual(
            self.settings("--backoff", "--max-timeout", "1m", "--attempts", "4"),
            ClientSettings(Backoff(1.0, 60.0, attempts=4)),
        )
        self.assertEqual(
            self.settings("--deadline", "5", "--connections", "7", "--repeat"),
            ClientSettings(Backoff.fixed(1.0, 1), deadline=5.0, connections=7, repeat=True),
        )

    def test_mistakes(self) -> None:
        """A mistake is one line that says what is allowed and where there is help."""
        mistakes = {
            "--timeout 0": "timeout is '0'; give more than 0",
            "--timeout -1": "timeout is '-1'; give seconds",
            "--jitter 1.5": "jitter is '1.5'; give a probability from 0 to 1",
            "--attempts 0": "attempts is '0'; give a whole number",
            "--deadline soon": "deadline is 'soon'; give seconds",
            "--timeout 2 --backoff": "timeout is 2 s; with backoff give less than its cap of 2 s",
            "--connections 1001": "connections is 1001; give 1 to 1,000",
            "--bogus": "No such option",
        }
        for words, line in mistakes.items():
            result = self.call(*words.split(), "+,1,1")
            self.assertEqual((result.exit_code, result.stdout), (2, ""), words)
            self.assertTrue(result.stderr.startswith(f"lab arithmetic: {line}"), result.stderr)
            self.assertTrue(result.stderr.endswith("  (lab arithmetic --help)\n"), result.stderr)
            self.assertEqual(result.stderr.count("\n"), 1, words)
        self.assertEqual(self.made, [])

    def test_help(self) -> None:
        """The help shows each option, the default endpoint and the exit codes."""
        text = CliRunner().invoke(main, ["arithmetic", "-h"]).stdout
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                self.assertIn(parameter.opts[0], text)
        for words in (DEFAULT, "Exit codes:", "'+,1,1' '*,6,7'"):
            self.assertIn(words, text)


class OnceTests(CommandTestCase):
    """Requests on the command line, and their answers."""

    def test_values(self) -> None:
        """A value is printed as it is, a refusal as the reply; a refusal counts as failure."""
        result = self.call("**,2,70", "/,1,2", answers=(answer(2**70), answer(0.5)))
        self.assertEqual((result.exit_code, result.output), (0, "1180591620717411303424\n0.5\n"))
        result = self.call("/,1,0", "+,1,1", answers=(REFUSAL, answer(2)))
        self.assertEqual((result.exit_code, result.stdout, result.stderr), (1, "300,-1\n2\n", ""))

    def test_no_answer(self) -> None:
        """What is not answered is a line on stderr, the others are printed; the worst code ends."""
        gone = NoAnswer("no answer within 1 s after 1 attempt")
        result = self.call("a", "b", "c", answers=(REFUSAL, gone, answer(3)))
        self.assertEqual((result.exit_code, result.stdout), (5, "300,-1\n3\n"))
        self.assertEqual(result.stderr, f"{gone}\n")
        result = self.call("a", "b", answers=(ConnectionRefused("nobody listens"), REFUSAL))
        self.assertEqual((result.exit_code, result.stdout), (3, "300,-1\n"))

    def test_json(self) -> None:
        """With --json every request gives an object, on stdout, whatever became of it."""
        answers = (answer(2, 3, 0.30000012), REFUSAL, NoAnswer("none"))
        result = self.call("--json", "+,1,1", "/,1,0", "x", answers=answers)
        self.assertEqual((result.exit_code, result.stderr), (5, ""))
        right = {"request": "+,1,1", "code": 200, "value": 2, "attempts": 3, "seconds": 0.3}
        wrong = {"request": "/,1,0", "code": 300, "value": -1, "attempts": 1, "seconds": 0.0}
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual(lines, [right, wrong, {"request": "x", "error": "none"}])

    def test_order(self) -> None:
        """Answers are printed in the order of the requests, in whatever order they come."""
        printed: list[str] = []
        self.patch(click, "echo", printed.append)
        self.call("a", "b", "c")
        for number in (2, 0, 1):
            self.client.waiting[number].callback(answer(number))
        self.assertEqual((printed, self.successResultOf(self.ended)), (["0", "1", "2"], 0))

    def test_a_hundred_at_once(self) -> None:
        """At most a hundred requests are under way."""
        self.patch(click, "echo", lambda text: None)
        self.call(*["+,1,1"] * 150)
        self.assertEqual(len(self.client.asked), 100)
        for number in range(150):
            self.client.waiting[number].callback(answer(2))
            self.assertEqual(len(self.client.asked), min(150, 101 + number))
        self.assertEqual(self.successResultOf(self.ended), 0)

    def test_connections_are_let_go(self) -> None:
        """The client is closed at the end, also when it is a bug that ends it."""
        self.call("a", answers=(answer(1),))
        self.assertEqual(self.client.closed, 1)
        self.call("a")
        self.client.waiting[0].errback(ZeroDivisionError())
        self.failureResultOf(self.ended, ZeroDivisionError)
        self.assertEqual(self.client.closed, 1)

    def test_interrupted(self) -> None:
        """Cancelled, it closes its client."""
        self.call("a")
        self.ended.addErrback(lambda failure: None)
        self.ended.cancel()
        self.assertEqual(self.client.closed, 1)

    def test_interrupted_with_several(self) -> None:
        """What nobody waits for any more fails in silence."""
        self.call("a", "b", "c")
        self.ended.addErrback(lambda failure: None)
        self.ended.cancel()
        for waiting in self.client.waiting[1:]:
            waiting.errback(Unreachable("the client was closed"))
        self.client.waiting.clear()
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])


class ConversationTests(CommandTestCase):
    """Without a request on the command line, lines are asked one by one."""

    def converse(self, *lines: str, code: int = 0, typed: bool = False, option: str = "") -> Result:
        """Call it, and let a stand-in of the conversation carry out these lines."""

        def stand_in(
            reactor: object, session: Questions, *, help: str, code_of: Callable[[Failure], int]
        ) -> Deferred[int]:
            self.given = (reactor, session, help, code_of)
            self.patch(sys.stdin, "isatty", lambda: typed)
            self.lines = [
                Deferred.fromCoroutine(session.line(line)).addErrback(lambda f: f.value)
                for line in lines
            ]
            return succeed(code)

        self.patch(converse, "converse", stand_in)
        known = (answer(2), REFUSAL, RemoteError("hm"))
        return self.call(*([option] if option else []), answers=known)

    def test_lines(self) -> None:
        """A line is a request, without the blanks around it; an error is the session's."""
        self.converse(" +,1,1 ", "/,1,0", "x")
        self.assertEqual(self.client.asked, [b"+,1,1", b"/,1,0", b"x"])
        said = [self.successResultOf(line) for line in self.lines]
        self.assertEqual(said[:2], ["2", "300,-1"])
        self.assertIsInstance(said[2], RemoteError)
        self.assertEqual(self.client.closed, 1)

    def test_json_lines(self) -> None:
        """With --json an error is an object, too."""
        self.converse("a", "b", "c", option="--json")
        said = [json.loads(str(self.successResultOf(line))) for line in self.lines]
        self.assertEqual(said[2], {"request": "c", "error": "hm"})
        self.assertEqual([line.get("code") for line in said], [200, 300, None])

    def test_code(self) -> None:
        """On a pipe a refusal is a failure, on a terminal not; what ended the talk goes first."""
        self.assertEqual(self.converse("a").exit_code, 0)
        self.assertEqual(self.converse("a", "b").exit_code, 1)
        self.assertEqual(self.converse("a", "b", typed=True).exit_code, 0)
        self.assertEqual(self.converse("a", "b", code=130).exit_code, 130)
        self.assertEqual(self.converse("a", code=5, typed=True).exit_code, 5)

    def test_session(self) -> None:
        """The conversation has a prompt, a help with examples, and our exit codes."""
        self.converse()
        reactor, session, text, code_of = self.given
        self.assertIs(reactor, self.clock)
        self.assertEqual(session.prompt, "arithmetic> ")
        self.assertIn("OPERATOR,LEFT,RIGHT", text)
        self.assertEqual([code_of(Failure(kind())) for kind in (LocalError, NoAnswer)], [2, 5])

    def test_completion(self) -> None:
        """Operators are offered where one has to stand, and nothing behind it."""
        self.converse()
        complete = self.given[1].complete
        self.assertEqual(sorted(complete("")), ["%,", "**,", "*,", "+,", "-,", "/,", "//,"])
        self.assertEqual(sorted(complete("/")), ["/,", "//,"])
        self.assertEqual([complete("x"), complete("+,"), complete("+,1,")], [[], [], []])
