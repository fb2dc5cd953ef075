"""Tests on a simulated network: the decorator and the mix-in."""

import unittest
from contextlib import redirect_stderr
from inspect import signature
from io import StringIO
from typing import Any

from twisted.trial import reporter
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.simulator.exploring import ExplorationFailed
from lab.simulator.network import Network, SimulationFailed
from lab.simulator.testing import SimulationMixin, simulated


class SimulatedTests(SynchronousTestCase):
    """The decorator."""

    def test_seeds(self) -> None:
        """The function runs once for each seed, every time the test does."""
        seen: list[int] = []

        @simulated(seeds=iter([5, 6, 7]))
        def test(net: Network) -> None:
            """Note the seed."""
            seen.append(net.seed)

        test()
        test()
        self.assertEqual(seen, [5, 6, 7] * 2)
        self.assertEqual((test.__name__, test.__doc__), ("test", "Note the seed."))

    def test_signature(self) -> None:
        """The argument is hidden, and others are passed on."""

        @simulated()
        def test(first: int, net: Network, second: int = 0) -> None:
            """Check them."""
            self.assertEqual((first, second), (3, 5))

        self.assertEqual(list(signature(test).parameters), ["first", "second"])
        self.assertFalse(hasattr(test, "__wrapped__"))
        test(3, second=5)

    @simulated(seeds=range(3))
    def test_method(self, net: Network) -> None:
        """A method is a test as well, such as this one."""
        self.assertIn(net.seed, range(3))

    def test_failure(self) -> None:
        """A seed that fails is told, with what it failed by."""

        @simulated()
        def test(net: Network) -> None:
            """Fail at the third."""
            self.assertLess(net.seed, 3)

        error = self.assertRaises(ExplorationFailed, test)
        self.assertEqual(error.found.seed, 3)
        self.assertIs(error.__cause__, error.found.error)

    def test_without_net(self) -> None:
        """A function that takes no network is refused at once."""
        error = self.assertRaises(LocalError, simulated(), lambda nut: None)
        self.assertIn("(nut) is simulated; give it an argument net", str(error))

    def test_logged_errors(self) -> None:
        """Under trial, what failing runs have logged is not one more error each."""

        class Cases(SynchronousTestCase):
            """One that fails."""

            @simulated()
            def runTest(self, net: Network) -> None:
                """Fail on a host."""
                net.host("a").reactor.callLater(1, lambda: 1 / 0)
                net.run(2)

        result = reporter.TestResult()
        Cases().run(result)
        self.assertEqual(len(result.errors), 1)
        self.assertIn("seed 0 fails: SimulationFailed", str(result.errors[0][1]))


class MixinTests(SimulationMixin, SynchronousTestCase):
    """The mix-in, in use here."""

    seed = 7

    def test_network(self) -> None:
        """There is a network with the seed of the class."""
        self.assertEqual((self.net.seed, self.net.now), (7, 0))

    def run_case(self, kind: Any, test: Any) -> Any:
        """Run one test with the mix-in; returns its class and the result."""

        class Cases(SimulationMixin, kind):  # type: ignore[misc]
            """One test."""

            networks: list[Network] = []  # noqa: RUF012 - of the class

            def setUp(self) -> None:
                """Be called as well."""
                super().setUp()
                self.networks.append(self.net)

            def runTest(self) -> None:
                """Do it."""
                test(self.net)

        synchronous = kind is SynchronousTestCase
        result: Any = reporter.TestResult() if synchronous else unittest.TestResult()
        Cases().run(result)
        return Cases, result

    def test_report(self) -> None:
        """A test that fails says what its network has to say; one that passes says nothing."""
        for kind in (SynchronousTestCase, unittest.TestCase):
            with redirect_stderr(StringIO()) as err:
                self.run_case(kind, lambda net: net.run(60))
                self.assertEqual(err.getvalue(), "")
                self.run_case(kind, lambda net: 1 / 0)
            self.assertTrue(err.getvalue().startswith("simulation with seed 0, at 0.000000 s;"))

    def test_each_has_its_own(self) -> None:
        """Under trial and unittest, each test has a new network, with the seed 0."""
        for kind in (SynchronousTestCase, unittest.TestCase):
            cases, result = self.run_case(kind, lambda net: net.run(60))
            self.assertTrue(result.wasSuccessful())
            cases().run(result)
            self.assertEqual([(net.seed, net.now) for net in cases.networks], [(0, 60), (0, 60)])

    def test_checked_at_the_end(self) -> None:
        """A check that does not hold in the end fails the test."""

        def test(net: Network) -> None:
            """Hope for something."""
            net.eventually("wonder", lambda: False)
            net.run(1)

        _, result = self.run_case(SynchronousTestCase, test)
        self.assertEqual(len(result.errors), 1)
        self.assertIn("wonder", str(result.errors[0][1]))

    def test_failure_on_a_host(self) -> None:
        """So does an exception on a host; its traceback is in the log as well."""

        def test(net: Network) -> None:
            """Divide, and look away."""
            net.host("a").reactor.callLater(0, lambda: 1 / 0)
            net.kernel.run(1)

        _, result = self.run_case(SynchronousTestCase, test)
        self.assertEqual(
            {failure.type for _, failure in result.errors}, {SimulationFailed, ZeroDivisionError}
        )

    def test_failure_that_is_meant(self) -> None:
        """A failure that a test is about can be taken off."""
        self.net.host("a").reactor.callLater(0, lambda: 1 / 0)
        self.net.kernel.run(1)
        self.net.failures.clear()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
