"""``twistd lab-client arithmetic``: its options, its load on a stand-in, and its summary."""

import sys

from twisted.internet.defer import Deferred, succeed
from twisted.logger import LogEvent, formatEvent

from lab.arithmetic.asking import Answer
from lab.arithmetic.client import Traffic
from lab.arithmetic.load import Outcome
from lab.arithmetic.numbers import evaluate
from lab.arithmetic.settings import ClientSettings
from lab.arithmetic.wire import Reply, read_request
from lab.backoff import Backoff
from lab.commands import asking
from lab.commands.client import makeService
from lab.commands.load_arithmetic import ArithmeticLoadService, summary
from lab.commands.loads import PERCENTILES
from lab.errors import NoAnswer, Unreachable
from tests.commands.loading import LoadCase
from tests.helpers import folder


class StandIn:
    """A client that notes what it is asked, and answers when the test says so."""

    def __init__(self) -> None:
        self.traffic = Traffic()
        self.asked: list[tuple[bytes, Deferred[Answer]]] = []
        self.closed = 0

    def request(self, body: bytes) -> Deferred[Answer]:
        """Note it."""
        self.traffic.requests += 1
        self.traffic.sent += 1
        self.asked.append((body, Deferred()))
        return self.asked[-1][1]

    def answer(self, number: int, off_by: int = 0) -> None:
        """Answer one request."""
        body, answer = self.asked[number]
        _, operator, left, right = read_request(body)
        answer.callback(Answer(Reply(200, evaluate(operator, left, right) + off_by), 1, 0.0))

    def close(self) -> Deferred[None]:
        """Note it."""
        self.closed += 1
        return succeed(None)


class ArithmeticCase(LoadCase):
    """The load with a stand-in for its client."""

    def setUp(self) -> None:
        """Put the stand-in in its place."""
        super().setUp()
        self.client = StandIn()
        self.made: list[tuple[object, ...]] = []
        self.patch(asking, "make_client", self.make)

    def make(self, *arguments: object) -> StandIn:
        """The client that is asked for."""
        self.made.append(arguments)
        return self.client


class OptionsTests(ArithmeticCase):
    """What the options say."""

    def test_defaults(self) -> None:
        """Without options it asks ten times a second, for ever, and each request once."""
        options = self.options()
        self.assertEqual(options.endpoint, "tcp:localhost:50000")
        self.assertEqual((options.rate, options.count), (10, None))
        self.assertEqual(options.settings, ClientSettings(Backoff.fixed(1.0, 1)))

    def test_settings(self) -> None:
        """Each option is a setting, in the units that people type."""
        options = self.options("--timeout", "100ms", "--backoff", "--max-timeout", "1m")
        self.assertEqual(options.settings, ClientSettings(Backoff(0.1, 60.0)))
        words = ("--attempts", "3", "--jitter", ".5", "--deadline", "5", "--connections", "7")
        self.assertEqual(
            self.options(*words, "--repeat").settings,
            ClientSettings(Backoff.fixed(1.0, 3, 0.5), deadline=5.0, connections=7, repeat=True),
        )
        options = self.options("-r", "1000000", "-n", "1")
        self.assertEqual((options.rate, options.count), (1_000_000, 1))

    def test_seed(self) -> None:
        """A seed is taken as it is given, and 0 is one; otherwise each run has its own."""
        self.assertEqual([self.options("--seed", text).seed for text in ("0", "8")], [0, 8])
        self.assertEqual(len({self.options().seed for _ in range(5)}), 5)

    def test_mistakes(self) -> None:
        """A mistake is one line with what is allowed, and exit code 2."""
        mistakes = {
            "--rate 0.5": "rate is '0.5'; give a whole number from 1 to 1,000,000",
            "--count 0": "count is '0'; give a whole number from 1",
            "--attempts none": "attempts is 'none'; give a whole number",
            "--deadline 0": "deadline is '0'; give more than 0",
            "--max-timeout 0": "max-timeout is '0'; give more than 0",
            "--seed x": "seed is 'x'; give a whole number from 0",
            "udp:localhost:0": "endpoint is 'udp:localhost:0'; give a port from 1 to 65535",
            "hello": "endpoint is 'hello'; give one like tcp:localhost:50000",
        }
        self.mistakes(mistakes)

    def test_file(self) -> None:
        """A file may set options and flags, and overrides the command line."""
        path = folder(self) / "lab.ini"
        path.write_text("[lab-client arithmetic]\nrate = 9\nrepeat = yes\n")
        options = self.options("--rate", "7", "udp:localhost:1", "-c", str(path))
        self.assertEqual((options.rate, options.settings.repeat), (9, True))
        self.assertEqual(options.endpoint, "udp:localhost:1")


class LoadServiceTests(ArithmeticCase):
    """The load while the service runs."""

    def test_asks_at_the_rate(self) -> None:
        """It asks what the seed says, at that rate, with one client for the endpoint."""
        words = ("udp:localhost:1", "--rate", "4", "--seed", "8", "--connections", "2")
        service = self.start(*words)
        self.assertEqual(self.logged, ["asks udp:localhost:1: 4 requests/s, seed 8"])
        settings = ClientSettings(Backoff.fixed(1.0, 1), connections=2)
        self.assertEqual(self.made, [(self.reactor, "udp:localhost:1", settings, 8)])
        self.reactor.pump([0.125] * 8)
        first = [body for body, _ in self.client.asked]
        self.assertEqual((len(first), len(set(first))), (5, 5))
        self.stop(service)
        self.client = StandIn()
        service = self.start(*words)
        self.reactor.pump([0.25] * 4)
        self.assertEqual([body for body, _ in self.client.asked], first)
        self.stop(service)

    def test_waits_for_the_reactor(self) -> None:
        """Nothing is asked before the reactor runs."""
        service = makeService(self.parse())
        service.startService()
        self.assertEqual(self.client.asked, [])
        self.reactor.advance(0)
        self.assertEqual(len(self.client.asked), 1)
        self.stop(service)

    def test_ends_after_the_last(self) -> None:
        """When the last of a count has ended, it stops the reactor, once."""
        service = self.start("--count", "2")
        self.reactor.advance(5)
        self.client.answer(0)
        self.assertEqual(self.reactor.stopped, 0)
        self.client.answer(1)
        self.assertEqual((self.reactor.stopped, len(self.client.asked)), (1, 2))
        self.stop(service)
        self.assertEqual(self.reactor.stopped, 1)

    def test_stopped(self) -> None:
        """Stopped, it asks no more, closes its client, and leaves the reactor to others."""
        service = self.start()
        self.reactor.advance(0.1)
        self.stop(service)
        self.assertEqual((self.reactor.stopped, self.client.closed), (0, 1))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(len(self.client.asked), 2)

    def test_stopped_twice(self) -> None:
        """There is one summary, however often it is stopped; none if it never ran."""
        service = self.start()
        self.stop(service)
        said = self.out.getvalue()
        self.assertEqual(self.stop(service), [])
        self.assertEqual(self.out.getvalue(), said)
        idle = ArithmeticLoadService(self.reactor, self.options())
        self.assertIsNone(self.successResultOf(idle.stopService()))


class SummaryTests(ArithmeticCase):
    """What is said at the end."""

    def stall(self, *words: str) -> list[LogEvent]:
        """A load of 1,000 requests in ten seconds, in which all stands still; what is logged."""
        service = self.start("--rate", "100", "--count", "1000", *words)
        self.reactor.advance(10)  # one step: those that were due before are sent now
        for number in range(1000):
            self.client.answer(number)
        return self.stop(service)

    def test_percentiles(self) -> None:
        """Latency counts from the planned times: a stall of ten seconds is seen in all its rows."""
        self.stall()
        rows = self.rows(self.out.getvalue())
        latency = [row for row in rows if row.startswith("latency")]
        names = ["p50", "p90", "p99", "p99.9", "max"]
        self.assertEqual(latency, [f"latency {name}" for name in names])
        for name, expected in zip(names, (5.0, 9.0, 9.9, 9.99, 10.0), strict=True):
            seconds, unit = rows[f"latency {name}"].split()
            self.assertEqual(unit, "s")
            self.assertApproximates(float(seconds), expected, expected * 0.01)
        self.assertEqual(rows["latency max"], "10 s")

    def test_figures_in_the_log(self) -> None:
        """The log has one event with all figures, in seconds."""
        (figures,) = (event for event in self.stall() if "asked" in event)
        for name, expected in (("p50", 5), ("p90", 9), ("p99", 9.9), ("p99.9", 9.99), ("max", 10)):
            self.assertApproximates(figures[name], expected, expected * 0.01)
        self.assertEqual(figures["max"], 10.0)
        self.assertEqual((figures["asked"], figures["right"], figures["sent"]), (1000, 1000, 1000))
        self.assertEqual((figures["wrong"], figures["unanswered"], figures["lost"]), (0, 0, 0))
        self.assertTrue(formatEvent(figures).startswith("1,000 asked, 1,000 right, 0 wrong, 0 "))

    def test_json_has_no_table(self) -> None:
        """With --log-format json, or without a standard output, there is the event alone."""
        self.assertTrue([event for event in self.stall("--log-format", "json") if "p50" in event])
        self.assertEqual(self.out.getvalue(), "")
        self.client = StandIn()
        self.patch(sys, "__stdout__", None)
        self.assertTrue([event for event in self.stall() if "p50" in event])

    def test_counts(self) -> None:
        """What became of the requests is told apart, and the newest failure is in words."""
        service = self.start("--rate", "1000000", "--count", "5")
        self.reactor.advance(1)
        self.client.answer(0)
        self.client.answer(1, off_by=1)
        self.client.asked[2][1].errback(NoAnswer("no answer within 1 s after 1 attempt"))
        self.client.asked[3][1].errback(Unreachable("the connection broke"))
        self.client.traffic.sent += 1234
        self.client.traffic.late += 2
        self.stop(service)
        rows = self.rows(self.out.getvalue())
        del rows["latency max"]
        self.assertEqual(
            {name: value for name, value in rows.items() if "latency p" not in name},
            {
                "requests": "5",
                "right answers": "1",
                "wrong answers": "1",
                "given up": "1",
                "lost connections": "1",
                "messages sent": "1,239 (1,234 again)",
                "late answers": "2",
                "last error": "the connection broke",
            },
        )

    def test_nothing_seen(self) -> None:
        """Of nothing there is a summary, too; without a failure it has no row for one."""
        rows = dict(summary(Outcome(), StandIn()))  # type: ignore[arg-type]
        self.assertEqual(rows["requests"], "0")
        for percentile in PERCENTILES:
            self.assertEqual(rows[f"latency p{percentile:g}"], "0 s")
        self.assertNotIn("last error", rows)
