"""``twistd lab-client sequence``: its options, its load on a virtual network, its summary."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from twisted import internet
from twisted.logger import LogEvent

from lab.commands import load_sequence
from lab.commands.load_sequence import summary
from lab.sequence.load import Outcome, Plan
from lab.sequence.settings import ClientSettings
from lab.simulator import simulate
from lab.simulator.network import Network
from tests.commands.loading import LoadCase
from tests.helpers import folder
from tests.sequence.test_tcp import Run

PLACE = "tcp:server:80"


class OptionsTests(LoadCase):
    """What the options say."""

    service = "sequence"

    def test_defaults(self) -> None:
        """Without options there is one client, for ever, whose connection is left alone."""
        options = self.options()
        self.assertEqual(options.endpoint, "tcp:localhost:49155")
        self.assertEqual((options.plan, options.settings), (Plan(), ClientSettings()))

    def test_settings(self) -> None:
        """Each option is a setting, in the units that people type."""
        words = ("--clients", "1000", "--count", "2000", "--abort-every", "500ms")
        self.assertEqual(self.options(*words).plan, Plan(1000, 2000, 0.5))
        words = ("--n", "50", "--interval", "100ms", "--heartbeat-interval", ".5")
        options = self.options(*words, "--on-reject", "restart", "--seed", "0", PLACE)
        self.assertEqual(options.settings, ClientSettings(50, 0.1, 0.5, restart=True))
        self.assertEqual((options.endpoint, options.seed), (PLACE, 0))
        self.assertEqual(self.options("-n", "7", "--on-reject", "stop").settings, ClientSettings(7))

    def test_mistakes(self) -> None:
        """A mistake is one line with what is allowed, and exit code 2."""
        mistakes = {
            "--clients 0": "clients is '0'; give a whole number from 1 to 100,000",
            "--count x": "count is 'x'; give a whole number from 1 to 1,000,000,000",
            "--n 65536": "n is '65536'; give a whole number from 1 to 65,535",
            "--interval 0": "interval is '0'; give more than 0",
            "--abort-every -1": "abort-every is '-1'; give seconds",
            "--heartbeat-interval 0": "heartbeat-interval is '0'; give more than 0",
            "--on-reject go": "on-reject is 'go'; give stop or restart",
            "--seed x": "seed is 'x'; give a whole number from 0",
            "hello": "endpoint is 'hello'; give one like",
            "udp:localhost:1": "endpoint is 'udp:localhost:1'; give one of streams",
        }
        self.mistakes(mistakes)

    def test_file(self) -> None:
        """A file may set options, and overrides the command line."""
        path = folder(self) / "lab.ini"
        path.write_text("[lab-client sequence]\nclients = 9\non-reject = restart\n")
        options = self.options("--clients", "7", PLACE, "-c", str(path))
        self.assertEqual((options.plan.clients, options.settings.restart), (9, True))
        self.assertEqual(options.endpoint, PLACE)


class ServiceTests(LoadCase):
    """The load while the service runs, against a server on a virtual network."""

    service = "sequence"

    @contextmanager
    def network(self) -> Iterator[Network]:
        """A network with a server, and the host that the service runs on."""
        with simulate(7) as net:
            self.server = Run(net)
            self.reactor = net.host("clients").reactor
            self.reactor.advance = net.run
            self.stopped = 0
            self.reactor.stop = self.note
            self.patch(internet, "reactor", self.reactor)
            yield net

    def note(self) -> None:
        """The reactor was stopped."""
        self.stopped += 1

    def load(self, *words: str) -> list[LogEvent]:
        """Run a load to its end; what is logged at that."""
        with self.network() as net:
            service = self.start(*words, PLACE)
            net.run(100)
            return self.stop(service)

    def test_to_its_end(self) -> None:
        """So many sequences; then it stops the reactor, and says what it saw."""
        words = ("--clients", "3", "--count", "6", "--n", "5", "--seed", "8")
        (figures,) = (event for event in self.load(*words) if "begun" in event)
        self.assertEqual(self.logged, [f"3 clients of {PLACE}, seed 8"])
        self.assertEqual(self.stopped, 1)
        rows = self.rows(self.out.getvalue())
        self.assertEqual((rows["clients"], rows["sequences"], rows["equal"]), ("3", "6", "6"))
        self.assertEqual(
            (rows["numbers"], rows["wrong numbers"], rows["retries"]), ("30", "0", "0")
        )
        self.assertEqual((figures["begun"], figures["equal"], figures["wrong"]), (6, 6, 0))
        self.assertLess(figures["max"], 1e-6)
        self.assertEqual(self.server.factory.counters.done, 6)

    def test_aborts(self) -> None:
        """Equal seeds break equal connections off, and everything is received in spite of it."""
        words = ("--clients", "5", "--count", "5", "--n", "20", "--abort-every", "5", "--seed", "8")
        found = []
        for _ in range(2):
            (figures,) = (event for event in self.load(*words) if "begun" in event)
            self.assertEqual((figures["equal"], figures["numbers"], figures["wrong"]), (5, 100, 0))
            self.assertGreater(figures["aborted"], 5)
            found.append((figures["aborted"], figures["resumed"], figures["p99"]))
        self.assertEqual(*found)

    def test_until_it_is_stopped(self) -> None:
        """Without a count it goes on until it is stopped, and leaves the reactor to others."""
        with self.network() as net:
            service = self.start("--n", "5", PLACE)
            net.run(11)
            (figures,) = self.stop(service)
            self.assertEqual((figures["equal"], figures["unfinished"], self.stopped), (2, 1, 0))
            net.run(5)
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_json_has_no_table(self) -> None:
        """With --log-format json, or without a standard output, there is the event alone."""
        words = ("--count", "1", "--n", "1")
        self.assertTrue([e for e in self.load(*words, "--log-format", "json") if "p50" in e])
        self.assertEqual(self.out.getvalue(), "")
        self.patch(sys, "__stdout__", None)
        self.assertTrue([event for event in self.load(*words) if "p50" in event])

    def test_files(self) -> None:
        """Who may not open as many files as there are clients is told so."""
        line = "2,000 clients want 2,050 open files, and 1,000 are allowed; see ulimit -n"
        for allowed, lines in ((1000, [line]), (2050, [])):
            self.patch(load_sequence, "allow_files", lambda wanted, of=allowed: of)
            with self.network():
                self.stop(self.start("--clients", "2000", PLACE))
            self.assertEqual(self.logged[1:], lines)


class SummaryTests(LoadCase):
    """What is said at the end."""

    def test_nothing_seen(self) -> None:
        """Of nothing there is a summary, too; without a failure it has no row for one."""
        rows = dict(summary(Outcome()))
        self.assertEqual({value for name, value in rows.items() if "late" not in name}, {"0"})
        self.assertNotIn("last error", rows)

    def test_counts(self) -> None:
        """Each figure has its row."""
        outcome = Outcome(1000, 2000, restarted=3, numbers=10**6, wrong=4, last_error="full")
        outcome.ended["rejected"] = 5
        rows = dict(summary(outcome))
        self.assertEqual((rows["sequences"], rows["not ended"]), ("2,000", "1,995"))
        self.assertEqual((rows["rejected"], rows["begun anew"]), ("5", "3"))
        self.assertEqual((rows["numbers"], rows["wrong numbers"]), ("1,000,000", "4"))
        self.assertEqual(rows["last error"], "full")
