"""Proxies for tests on Twisted: the mix-in, on real sockets and on a simulated host."""

import contextlib
import unittest
from io import StringIO
from typing import Any

from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.trial import reporter
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.adapters.endpoints import DatagramClientEndpoint
from lab.errors import LocalError
from lab.faults.datagrams import Latency, Loss
from lab.proxy.testing import Proxies, ProxyMixin, installed
from lab.simulator import simulate
from lab.simulator.testing import SimulationMixin
from tests.proxy.scenes import Peer, Serving, Whole, echo
from tests.proxy.test_embedded import Answerer, Asker

reactor: Any = real_reactor


class RealCase(ProxyMixin, TestCase):
    """Real sockets."""

    timeout = 30

    def listen(self) -> Any:
        """A server that answers; gives its port."""
        servers = Serving(lambda: Whole(data=echo))
        port = reactor.listenTCP(0, servers, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return port

    async def connect(self, proxy: Any) -> Any:
        """A client."""
        factory = Factory.forProtocol(Whole)
        factory.noisy = False
        return await proxy.endpoint.connect(factory)

    async def ask(self, proxy: Any) -> Any:
        """A client that has been answered."""
        peer = await self.connect(proxy)
        peer.transport.write(b"hello")
        await peer.arrived(5)
        return peer


class MixinTests(RealCase):
    """The mix-in, in use here."""

    seed = 7

    def test_seed(self) -> None:
        """It is that of the class."""
        self.assertEqual(self.proxies.seed, 7)
        self.assertTrue(self.proxies.report().startswith("proxies with seed 7:"))
        self.assertEqual(self.proxies.journal.entries, [])
        self.assertIs(installed(), reactor)

    async def test_faults(self) -> None:
        """A fault on real connections is counted, and written down."""
        proxy = self.proxies.before(self.listen(), name="db")
        proxy.add(Latency(0.01, jitter=0.01), stream="both")
        await gatherResults([Deferred.fromCoroutine(self.ask(proxy)) for _ in range(3)])
        proxy.assert_hit("latency", at_least=6)
        self.assertEqual((proxy.name, proxy.accepted), ("db", 3))
        self.assertEqual(len(self.proxies.journal.entries), proxy.hits["latency"])

    async def test_cut(self) -> None:
        """A cut holds bytes until it heals."""
        proxy = self.proxies.before(self.listen())
        peer = await self.ask(proxy)
        proxy.cut()
        peer.transport.write(b"again")
        await proxy.until_hit("partition")
        self.assertEqual(peer.got, b"hello")
        proxy.heal()
        self.assertEqual(await peer.arrived(10), b"helloagain")

    async def test_down_and_up(self) -> None:
        """Clients are refused meanwhile, at the same address."""
        proxy = self.proxies.before(self.listen())
        peer = await self.ask(proxy)
        await proxy.down()
        self.assertEqual(await peer.lost, "ConnectionDone")
        with self.assertRaises(Refused):
            await self.connect(proxy)
        await proxy.up()
        await self.ask(proxy)

    async def test_order(self) -> None:
        """Who does not wait for one change gets it before the next all the same."""
        proxy = self.proxies.before(self.listen())
        for _ in range(3):
            proxy.down()
            up = proxy.up()
        await up
        await self.ask(proxy)

    async def test_datagrams(self) -> None:
        """Datagrams are lost for a while."""
        port = reactor.listenUDP(0, Answerer(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        proxy = self.proxies.before(port)
        assert isinstance(proxy.endpoint, DatagramClientEndpoint)
        asker = Asker()
        ours = proxy.endpoint.listen(asker)
        self.addCleanup(ours.stopListening)
        with proxy.fault(Loss(every=1), stream="upstream"):
            asker.transport.write(b"lost", proxy.address)
            await proxy.until_hit("loss")
        asker.transport.write(b"found", proxy.address)
        while not asker.seen:
            await deferLater(reactor, 0)
        self.assertEqual(asker.seen, [b"found"])

    async def test_until_hit(self) -> None:
        """Who waits for a hit that does not come is told so."""
        proxy = self.proxies.before(80)
        proxy.add(Latency(1.0))
        with self.assertRaises(AssertionError):
            await proxy.until_hit("latency", patience=0.01)

    async def test_left_open(self) -> None:
        """What a test leaves behind is gone after it, or trial would say so."""
        proxy = self.proxies.before(self.listen())
        for _ in range(3):
            await self.ask(proxy)
        proxy.drop()
        proxy.add(Latency(60.0), stream="both")
        for _ in range(3):
            peer = await self.connect(proxy)
            peer.transport.write(b"hello")
        await proxy.until_hit("latency")

    async def test_close(self) -> None:
        """It may be closed before, and again."""
        proxy = self.proxies.before(80)
        self.assertIsInstance(proxy.endpoint, TCP4ClientEndpoint)
        for _ in range(2):
            await self.proxies.close()
        with self.assertRaises(Refused):
            await self.connect(proxy)


class SimulatedTests(ProxyMixin, SimulationMixin, SynchronousTestCase):
    """The same, on a simulated host."""

    @property
    def reactor(self) -> Any:
        """Where the proxies run."""
        return self.net.host("proxy").reactor

    def test_hour(self) -> None:
        """An hour of being cut is over at once."""
        self.net.host("server").reactor.listenTCP(80, Serving(lambda: Peer(data=echo)))
        proxy = self.proxies.before("tcp:server:80")
        peer = Peer()
        there = TCP4ClientEndpoint(self.net.host("client").reactor, *proxy.address)
        self.net.run_until(there.connect(Factory.forProtocol(lambda: peer)))
        proxy.cut()
        peer.transport.write(b"hello")
        self.net.run(3600)
        self.assertEqual(peer.got, b"")
        proxy.heal()
        self.net.run_until(peer.arrived(5), limit=1)
        proxy.assert_hit("partition", at_least=1)


class SameTests(SynchronousTestCase):
    """Equal seeds, on equal networks."""

    def test_same(self) -> None:
        """All decisions are the same, with their times."""

        def run(seed: int) -> list[str]:
            """The decisions of some datagrams."""
            with simulate(1) as net:
                proxies = Proxies(net.host("proxy").reactor, seed)
                net.host("server").reactor.listenUDP(80, Answerer())
                proxy = proxies.before("udp:server:80")
                proxy.add(Loss(0.5))
                proxy.add(Latency(0.1, 0.1, "pareto"), stream="both")
                port = net.host("client").reactor.listenUDP(0, Asker())
                for _ in range(20):
                    port.write(b"hello", proxy.address)
                    net.run(0.1)
                return list(proxies.journal.lines())

        self.assertEqual(run(3), run(3))
        self.assertNotEqual(run(3), run(4))


class CaseTests(SynchronousTestCase):
    """Cases of users', run here."""

    def run_case(self, test: Any, *kinds: Any) -> tuple[Any, str]:
        """Run one; gives its result, and what is written."""

        class Cases(ProxyMixin, *kinds):  # type: ignore[misc]
            """One test."""

            runTest = test

        # Under pytest, `tests/conftest.py` raises what trial has put into the result.
        again = contextlib.suppress(ZeroDivisionError)
        synchronous = issubclass(kinds[-1], SynchronousTestCase)
        result: Any = reporter.TestResult() if synchronous else unittest.TestResult()
        with contextlib.redirect_stderr(StringIO()) as err, again:
            Cases().run(result)
        return result, err.getvalue()

    def test_report(self) -> None:
        """A test that fails says what happened; one that passes says nothing."""

        async def fails(case: Any) -> None:
            """Fail, later."""
            await succeed(case.proxies.before(80, name="db"))
            raise ZeroDivisionError

        result, told = self.run_case(fails, TestCase)
        self.assertEqual(len(result.errors), 1)
        self.assertRegex(told, r"^proxies with seed 0:\n  db at 127\.0\.0\.1:\d+ before ")
        result, told = self.run_case(lambda case: case.proxies.before(80), TestCase)
        self.assertEqual((result.wasSuccessful(), told), (True, ""))

    def test_not_waiting(self) -> None:
        """A case that never lets the reactor run is told so, and does not hang."""
        for kind in (SynchronousTestCase, unittest.TestCase):
            result, _ = self.run_case(lambda case: None, kind)
            self.assertIn("give it twisted.trial.unittest.TestCase", str(result.errors[0][1]))

    def test_error(self) -> None:
        """What can be no place is the test's mistake."""
        with simulate(1) as net:
            self.assertRaises(LocalError, Proxies(net.host("a").reactor).before, "db")
