"""The proxy of the demo, told what to do through its API: on loopback, in this process."""

from collections.abc import Coroutine
from typing import Any

from twisted.internet import reactor as any_reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import TestCase

from lab.commands.api import Api
from lab.commands.demonstrating.proxies import Proxies
from lab.commands.demonstrating.scene import Link, Toxic
from lab.errors import RemoteError
from lab.faults.journal import Dice
from lab.proxy.control import Control, control_site
from lab.proxy.registry import Registry
from lab.proxy.relays import Relays

reactor: Any = any_reactor
LOSS = Toxic("loss", "upstream", "{} lost", {"probability": 1.0})
LATE = Toxic("latency", "downstream", "{} delayed", {"latency": 10})
LINKS = (
    Link("lossy", "echo", "udp", (LOSS,)),
    Link("slow", "echo", "tcp", (LATE,)),
    Link("other", "echo", "tcp", (), 2),
)
UPSTREAMS = {
    (1, "echo", "udp"): "udp:127.0.0.1:1",
    (1, "echo", "tcp"): "tcp:127.0.0.1:2",
    (2, "echo", "tcp"): "tcp:127.0.0.1:3",
}


def ask(asked: Coroutine[Any, Any, Any]) -> Deferred[Any]:
    """Have it done."""
    return Deferred.fromCoroutine(asked)


class ProxiesTests(TestCase):
    """What it is told."""

    timeout = 30

    def setUp(self) -> None:
        """An API."""
        self.registry = Registry(reactor, Relays(reactor, Dice(7), None, None), seed=7)
        self.addCleanup(lambda: ask(self.registry.stop()))
        site: Any = control_site(reactor, Control(self.registry))
        port = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.proxies = Proxies(Api(reactor, f"http://127.0.0.1:{port.getHost().port}"))

    @inlineCallbacks
    def test_make(self) -> Any:
        """Each link is a proxy with its toxics before the right server, and can be asked there."""
        places = yield ask(self.proxies.make(LINKS, UPSTREAMS))
        self.assertEqual(list(places), ["lossy", "slow", "other"])
        found = self.registry.proxies
        for link, upstream in zip(LINKS, (1, 2, 3), strict=True):
            proxy = found[link.name]
            self.assertEqual(places[link.name], f"{link.protocol}:{proxy.listen}")
            self.assertEqual(proxy.upstream, f"127.0.0.1:{upstream}")
            self.assertEqual([one.name for one in proxy.toxics], [one.name for one in link.toxics])

    @inlineCallbacks
    def test_hits(self) -> Any:
        """What a fault of a proxy has done is counted, and not that of another."""
        places = yield ask(self.proxies.make(LINKS, UPSTREAMS))
        none = yield ask(self.proxies.hits("lossy"))
        port = reactor.listenUDP(0, DatagramProtocol(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        port.write(b"lost", ("127.0.0.1", int(places["lossy"].rpartition(":")[2])))
        found = none
        while not found:
            found = yield ask(self.proxies.hits("lossy"))
        other = yield ask(self.proxies.hits("slow"))
        self.assertEqual((none, found, other), ({}, {"loss_upstream": 1}, {}))

    @inlineCallbacks
    def test_changes(self) -> Any:
        """Toxics come and go, and a proxy listens, or not."""
        yield ask(self.proxies.make(LINKS, UPSTREAMS))
        proxy = self.registry.proxies["other"]
        seen = []
        for change in (
            self.proxies.add("other", LATE),
            self.proxies.remove("other", LATE),
            self.proxies.enable("other", on=False),
            self.proxies.enable("other", on=True),
        ):
            yield ask(change)
            seen.append((len(proxy.toxics), proxy.enabled))
        self.assertEqual(seen, [(1, True), (0, True), (0, False), (0, True)])

    @inlineCallbacks
    def test_refused(self) -> Any:
        """What the API refuses is its error."""
        yield self.assertFailure(ask(self.proxies.add("nobody", LATE)), RemoteError)
        bad = Link("bad", "echo", "tcp", (Toxic("nonsense", "upstream", ""),))
        yield self.assertFailure(ask(self.proxies.make([bad], UPSTREAMS)), RemoteError)
