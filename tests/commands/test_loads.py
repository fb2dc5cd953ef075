"""What the loads of all services have in common."""

import io
import resource
import sys
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lab.commands import loads
from lab.commands.loads import LoadOptions, LoadService, allow_files, figures, percentiles, table
from lab.statistics import Histogram
from tests.commands.loading import FakeReactor


class Options(LoadOptions):
    """Options of a load that there is not."""

    section = "lab-client x"
    optParameters = [  # noqa: RUF012
        ["seed", None, None, "A seed."],
        ["log-format", None, "text", "A format."],
    ]


@define
class Load:
    """A load that ends when the test says so."""

    outcome: str = "nothing"
    finished: Deferred[Any] = field(factory=Deferred)
    done: list[str] = field(factory=list)

    def start(self) -> None:
        """Note it."""
        self.done.append("start")

    def stop(self) -> None:
        """Note it."""
        self.done.append("stop")


class Loading(LoadService):
    """The service of it."""

    load: Load

    def begin(self) -> Load:
        """Make it."""
        self.load = Load()
        return self.load

    def tell(self, outcome: str) -> None:
        """Note it."""
        self.load.done.append(f"tell {outcome}")


class OptionsTests(SynchronousTestCase):
    """What the options of all loads do."""

    def parse(self, *words: str) -> Options:
        """These words, parsed."""
        options = Options()
        options.parseOptions(list(words))
        return options

    def test_seed(self) -> None:
        """A seed is taken as it is given, and 0 is one; otherwise each run has its own."""
        self.assertEqual([self.parse("--seed", text).seed for text in ("0", "8")], [0, 8])
        self.assertEqual(len({self.parse().seed for _ in range(5)}), 5)

    def test_maybe(self) -> None:
        """What is not given is not read; what is given has to be right."""
        self.assertIsNone(self.parse().maybe(None, "seed"))
        refuse = self.parse("--seed", "1")
        self.assertEqual(refuse.maybe(lambda text, name: (text, name), "seed"), ("1", "seed"))


class ServiceTests(SynchronousTestCase):
    """The service, from its start to its end."""

    def setUp(self) -> None:
        """Start one."""
        self.reactor = FakeReactor()
        self.service = Loading(self.reactor, {"log-format": "json"})
        self.service.startService()

    def test_from_start_to_end(self) -> None:
        """It starts when the reactor runs; at its end it stops the reactor; then it is told."""
        load = self.service.load
        self.assertEqual(load.done, [])
        self.reactor.advance(0)
        self.assertEqual((load.done, self.reactor.stopped), (["start"], 0))
        load.finished.callback(None)
        self.assertEqual(self.reactor.stopped, 1)
        self.assertIsNone(self.successResultOf(self.service.stopService()))
        self.assertEqual(load.done, ["start", "stop", "tell nothing"])

    def test_stopped(self) -> None:
        """Stopped, it leaves the reactor to others, and tells once."""
        for _ in range(2):
            self.successResultOf(self.service.stopService())
        self.service.load.finished.callback(None)
        self.assertEqual(self.reactor.stopped, 0)
        self.assertEqual(self.service.load.done, ["stop", "tell nothing"])

    def test_table(self) -> None:
        """The table is for people, where there is a standard output; JSON has none."""
        for form, said in (("text", "a                 1\n"), ("json", "")):
            self.patch(sys, "__stdout__", io.StringIO())
            Loading(self.reactor, {"log-format": form}).show([("a", "1")])
            self.assertEqual(sys.__stdout__.getvalue(), said)
        self.patch(sys, "__stdout__", None)
        Loading(self.reactor, {"log-format": "text"}).show([("a", "1")])

    def test_abstract(self) -> None:
        """What a subclass has to give is missed."""
        service = LoadService(self.reactor, {})
        self.assertRaises(NotImplementedError, service.begin)
        self.assertRaises(NotImplementedError, service.tell, None)


class FiguresTests(SynchronousTestCase):
    """What is made of a histogram."""

    def test_rows(self) -> None:
        """Percentiles for people, in their units, and for programs, in seconds."""
        histogram = Histogram()
        histogram.add(0.25)
        rows = percentiles("wait", histogram)
        self.assertEqual([name for name, _ in rows][-2:], ["wait p99.9", "wait max"])
        self.assertEqual({value for _, value in rows}, {"250 ms"})
        self.assertEqual(set(figures(histogram).values()), {0.25})
        self.assertEqual(table([("a", "1"), ("b", "2")]), f"a{' ' * 17}1\nb{' ' * 17}2")


class FilesTests(SynchronousTestCase):
    """How many files may be open."""

    def allow(self, wanted: int, soft: int, hard: int) -> tuple[int, list[tuple[int, int]]]:
        """How many are allowed, and what was set for that."""
        made: list[tuple[int, int]] = []
        self.patch(loads.resource, "getrlimit", lambda which: (soft, hard))
        self.patch(loads.resource, "setrlimit", lambda which, limits: made.append(limits))
        return allow_files(wanted), made

    def test_allowed(self) -> None:
        """The soft limit is raised as far as it takes, and as far as it can be."""
        for wanted, soft, hard, allowed, made in (
            (100, 1024, 4096, 1024, []),
            (2000, 1024, 4096, 2000, [(2000, 4096)]),
            (9000, 1024, 4096, 4096, [(4096, 4096)]),
            (9000, 1024, resource.RLIM_INFINITY, 9000, [(9000, resource.RLIM_INFINITY)]),
            (9000, resource.RLIM_INFINITY, resource.RLIM_INFINITY, 9000, []),
        ):
            self.assertEqual(self.allow(wanted, soft, hard), (allowed, made))
