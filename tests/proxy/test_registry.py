"""Proxies by their names."""

import errno
import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.errors import LocalError
from lab.proxy import registry as room
from lab.proxy.bodies import Change, Wanted
from lab.proxy.errors import ApiError
from lab.proxy.registry import Counters, Labels, PopulateError, Proxy, Registry
from lab.proxy.toxics import Toxic
from tests.helpers import captured_logs
from tests.proxy.relays import FakeRelay

FREE = "127.0.0.1:0"
NOOP = Toxic("noop", "noop_downstream")
UP = Toxic("noop", "up", "UPstream")
BARE = Toxic("slicer", "bare")
REORDER = Toxic("reorder", "reorder", protocol="udp")


class Hearing(Protocol):
    """Hears until the end."""

    def __init__(self) -> None:
        self.heard, self.ended = b"", Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Hear."""
        self.heard += data

    def connectionLost(self, reason: object = None) -> None:
        """The end."""
        self.ended.callback(self.heard)


def refused(listen: str) -> bool:
    """Whether nobody listens there."""
    host, _, port = listen.rpartition(":")
    with socket.socket() as client:
        return client.connect_ex((host, int(port))) == errno.ECONNREFUSED


class RegistryTests(TestCase):
    """On real ports, with relays that carry nothing."""

    timeout = 20

    def setUp(self) -> None:
        """A registry without proxies."""
        self.relays: list[FakeRelay] = []
        self.registry = Registry(reactor, self.make)
        self.addCleanup(lambda: self.done(self.registry.stop()))

    def make(self, name: str, upstream: str, protocol: str) -> FakeRelay:
        """One more relay."""
        if upstream.startswith("tls:"):
            raise LocalError("no such endpoint")
        self.relays.append(FakeRelay(name, upstream, protocol))
        return self.relays[-1]

    def done(self, change: Any) -> "Deferred[Any]":
        """Do a change."""
        return Deferred.fromCoroutine(change)

    def create(self, name: str = "a", **more: Any) -> "Deferred[Proxy]":
        """One more proxy."""
        return self.done(self.registry.create(Wanted(name, "b:80", **({"listen": FREE} | more))))

    def fails(self, change: Any) -> "Deferred[ApiError]":
        """Its error."""
        return self.assertFailure(self.done(change), ApiError)

    @inlineCallbacks
    def test_create(self) -> Any:
        """It listens, with all toxics, when it is there."""
        proxy = yield self.create(toxics=(NOOP, UP))
        self.assertIs(self.registry.get("a"), proxy)
        self.assertEqual(self.relays[0].upstream, "b:80")
        host, _, port = proxy.listen.rpartition(":")
        endpoint = TCP4ClientEndpoint(reactor, host, int(port))
        client = yield connectProtocol(endpoint, Hearing())
        heard = yield client.ended
        self.assertEqual(heard, b"hello")
        self.assertEqual(self.relays[0].met, [(["up"], ["noop_downstream"])])
        self.assertEqual(
            proxy.describe(),
            {
                "name": "a", "listen": proxy.listen, "upstream": "b:80", "enabled": True,
                "Logger": {}, "toxics": [UP.describe(), NOOP.describe()],
            },
        )  # fmt: skip

    @inlineCallbacks
    def test_create_refused(self) -> Any:
        """A name that is taken, a port that can't be, an upstream that is none."""
        proxy = yield self.create()
        error = yield self.fails(self.registry.create(Wanted("a", "b:80", FREE)))
        self.assertEqual(error.status, 409)
        error = yield self.fails(self.registry.create(Wanted("b", "b:80", proxy.listen)))
        self.assertEqual(error.status, 500)
        self.assertIn("bind: address already in use", str(error))
        error = yield self.fails(self.registry.create(Wanted("b", "tls:x", FREE)))
        self.assertEqual((error.status, str(error)), (400, "no such endpoint"))
        self.assertEqual([one.name for one in self.registry.all()], ["a"])

    @inlineCallbacks
    def test_at_once(self) -> Any:
        """Of two of one name that come at once, one is made."""
        found = yield gatherResults(
            [self.create(), self.fails(self.registry.create(Wanted("a", "c", FREE)))]
        )
        self.assertEqual(found[1].status, 409)

    @inlineCallbacks
    def test_disabled(self) -> Any:
        """It does not listen, and where it would is not looked at."""
        proxy = yield self.create(listen="garbage", enabled=False)
        self.assertEqual((proxy.listen, proxy.enabled), ("garbage", False))
        error = yield self.fails(self.registry.update("a", Change(enabled=True)))
        self.assertEqual(str(error), "address garbage: missing port in address")

    @inlineCallbacks
    def test_disable_and_enable(self) -> Any:
        """The port is closed, connections end, and it is the same port again."""
        proxy = yield self.create()
        listen, relay = proxy.listen, self.relays[0]
        self.assertFalse(refused(listen))
        for _ in range(2):  # the second time nothing is to be done
            yield self.done(self.registry.update("a", Change(enabled=False)))
            self.assertTrue(refused(listen))
        self.assertEqual((proxy.enabled, proxy.listen, relay.drops), (False, listen, 1))
        yield self.done(self.registry.update("a", Change(enabled=True)))
        self.assertFalse(refused(listen))
        self.assertEqual((proxy.listen, len(self.relays)), (listen, 1))

    @inlineCallbacks
    def test_drop(self) -> Any:
        """Connections end, and the port stays open."""
        proxy = yield self.create()
        self.registry.drop("a")
        self.assertEqual((proxy.enabled, self.relays[0].drops), (True, 1))
        self.assertRaises(ApiError, self.registry.drop, "b")

    @inlineCallbacks
    def test_same(self) -> Any:
        """What is the same address is no change: connections survive."""
        proxy = yield self.create()
        same = proxy.listen.replace("127.0.0.1", "localhost")
        yield self.done(self.registry.update("a", Change(same, "b:80")))
        self.assertEqual(len(self.relays), 1)
        self.assertEqual(self.relays[0].drops, 0)

    @inlineCallbacks
    def test_moved(self) -> Any:
        """Another upstream or port: connections end, toxics stay."""
        proxy = yield self.create(toxics=(NOOP,))
        listen = proxy.listen
        yield self.done(self.registry.update("a", Change(upstream="")))
        self.assertEqual((proxy.listen, proxy.upstream, proxy.enabled), (listen, "", True))
        self.assertEqual(self.relays[0].drops, 1)
        self.assertEqual(self.relays[1].faults, [([], ["noop_downstream"])])
        yield self.done(self.registry.update("a", Change(FREE)))
        self.assertTrue(refused(listen))
        self.assertFalse(refused(proxy.listen))
        error = yield self.fails(self.registry.update("a", Change(upstream="tls:x")))
        self.assertEqual((error.status, proxy.upstream, proxy.enabled), (400, "", True))

    @inlineCallbacks
    def test_numbers(self) -> Any:
        """Connections are other ones after a move; a proxy that is made again begins anew."""
        yield self.create()
        self.relays[0].number = 5
        yield self.done(self.registry.update("a", Change(upstream="c:80")))
        self.assertEqual(self.relays[1].number, 5)
        yield self.done(self.registry.update("a", Change(enabled=False)))
        yield self.done(self.registry.update("a", Change(enabled=True)))
        self.assertIs(self.registry.get("a").relay, self.relays[1])
        yield self.done(self.registry.populate([Wanted("a", "b:80", FREE)]))
        self.assertEqual(self.relays[2].number, 0)
        self.relays[2].number = 5
        yield self.done(self.registry.delete("a"))
        yield self.create()
        self.assertEqual(self.relays[3].number, 0)

    @inlineCallbacks
    def test_seed(self) -> Any:
        """Each line that says which proxies there are has the seed."""
        self.registry.seed = 12
        with captured_logs() as events:
            yield self.create()
            yield self.done(self.registry.update("a", Change(upstream="c:80")))
        said = [formatEvent(event) for event in events if "proxy" in event]
        self.assertEqual([line.split(":")[0] for line in said], ["a is made", "a has changed"])
        self.assertTrue(all(line.endswith(", seed 12") for line in said))

    @inlineCallbacks
    def test_delete(self) -> Any:
        """It is gone, and its port is closed."""
        proxy = yield self.create()
        yield self.done(self.registry.delete("a"))
        self.assertTrue(refused(proxy.listen))
        self.assertEqual((self.registry.all(), self.relays[0].drops), ([], 1))
        for change in (self.registry.delete("a"), self.registry.update("a", Change())):
            error = yield self.fails(change)
            self.assertEqual((error.status, str(error)), (404, "proxy not found"))

    @inlineCallbacks
    def test_populate(self) -> Any:
        """New ones are made, the same ones left alone, others replaced without their toxics."""
        first = yield self.create("a", toxics=(NOOP,))
        yield self.create("b", toxics=(NOOP,))
        several = [Wanted("a", "b:80", first.listen, toxics=(UP,)), Wanted("b", "c:80", FREE)]
        made = yield self.done(self.registry.populate([*several, Wanted("c", "b:80", FREE)]))
        self.assertEqual([proxy.name for proxy in made], ["a", "b", "c"])
        self.assertIs(made[0], first)
        self.assertEqual((first.toxics, made[1].toxics), ([NOOP], []))
        self.assertEqual([relay.drops for relay in self.relays], [0, 1, 0, 0])
        made = yield self.done(self.registry.populate([]))
        self.assertEqual(made, [])

    @inlineCallbacks
    def test_populate_free_port(self) -> Any:
        """A free port is always another."""
        yield self.done(self.registry.populate([Wanted("a", "b:80", FREE)]))
        yield self.done(self.registry.populate([Wanted("a", "b:80", FREE)]))
        self.assertEqual([relay.drops for relay in self.relays], [1, 0])

    @inlineCallbacks
    def test_datagrams(self) -> Any:
        """A proxy of UDP has a port of its own kind, says so, and keeps its protocol."""
        stream = yield self.create()
        proxy = yield self.create("b", listen=stream.listen, protocol="udp", toxics=(REORDER,))
        self.assertEqual((proxy.listen, self.relays[1].protocol), (stream.listen, "udp"))
        self.assertEqual(proxy.describe()["protocol"], "udp")
        self.assertNotIn("protocol", stream.describe())
        yield self.done(self.registry.update("b", Change(enabled=False)))
        yield self.done(self.registry.update("b", Change(upstream="c:80", enabled=True)))
        self.assertEqual((proxy.listen, self.relays[2].protocol), (stream.listen, "udp"))
        for name, listen in (("b", "tcp:80"), ("a", "udp:80")):
            error = yield self.fails(self.registry.update(name, Change(listen)))
            self.assertEqual((error.status, self.registry.get(name).enabled), (400, True))
            self.assertIn(f"listen is {listen!r}; that is", str(error))

    @inlineCallbacks
    def test_other_toxics(self) -> Any:
        """A proxy has toxics of its own protocol."""
        yield self.create()
        yield self.create("b", protocol="udp")
        for name, toxic in (("a", REORDER), ("b", NOOP)):
            error = self.assertRaises(ApiError, self.registry.add_toxic, name, toxic)
            self.assertEqual((error.status, str(error)), (400, "invalid toxic type"))
        self.registry.add_toxic("b", REORDER)
        twice = [
            Toxic("duplicate", name, attributes={"copies": 99}, protocol="udp") for name in "xy"
        ]
        self.registry.add_toxic("b", twice[0])
        error = self.assertRaises(ApiError, self.registry.add_toxic, "b", twice[1])
        self.assertIn("toxics make 10,000 of a datagram", str(error))
        wanted = Wanted("c", "b", FREE, toxics=tuple(twice), protocol="udp")
        for change in (self.registry.create(wanted), self.registry.populate([wanted])):
            error = yield self.fails(change)
            self.assertIn("toxics make 10,000 of a datagram", str(error))
        error = yield self.fails(self.registry.create(Wanted("c", "b", FREE, toxics=(REORDER,))))
        self.assertEqual(str(error), "invalid toxic type")

    @inlineCallbacks
    def test_populate_datagrams(self) -> Any:
        """The same address for another protocol is another."""
        first = yield self.create()
        made = yield self.done(
            self.registry.populate([Wanted("a", "b:80", first.listen, protocol="udp")])
        )
        self.assertEqual((made[0].protocol, made[0].listen), ("udp", first.listen))
        self.assertTrue(refused(first.listen))
        again = yield self.done(
            self.registry.populate([Wanted("a", "b:80", first.listen, protocol="udp")])
        )
        self.assertIs(again[0], made[0])
        self.assertEqual([relay.drops for relay in self.relays], [1, 0])

    @inlineCallbacks
    def test_populate_refused(self) -> Any:
        """It stops at the first that can't be; those before are there."""
        several = [Wanted(name, "b:80", at) for name, at in (("a", FREE), ("b", "x"), ("c", FREE))]
        error = yield self.fails(self.registry.populate(several))
        self.assertIsInstance(error, PopulateError)
        self.assertEqual(str(error), "listen tcp: address x: missing port in address")
        self.assertEqual([proxy.name for proxy in error.made], ["a"])
        self.assertEqual(list(self.registry.proxies), ["a"])

    @inlineCallbacks
    def test_populate_wrong_upstream(self) -> Any:
        """What would be replaced goes on if an upstream is none."""
        proxy = yield self.create()
        error = yield self.fails(self.registry.populate([Wanted("a", "tls:x", FREE)]))
        self.assertEqual((error.status, proxy.enabled, error.made), (400, True, []))

    @inlineCallbacks
    def test_reset(self) -> Any:
        """All listen, without toxics; connections go on."""
        first = yield self.create("a", toxics=(NOOP,))
        second = yield self.create("b", enabled=False)
        yield self.done(self.registry.reset())
        self.assertFalse(refused(second.listen))
        self.assertEqual((first.toxics, self.relays[0].faults[-1]), ([], ([], [])))
        self.assertEqual(self.relays[0].drops, 0)

    @inlineCallbacks
    def test_reset_refused(self) -> Any:
        """If one can't listen, all is as before."""
        first = yield self.create("a", toxics=(NOOP,))
        second = yield self.create("b", enabled=False)
        yield self.create("c", listen="garbage", enabled=False)
        error = yield self.fails(self.registry.reset())
        self.assertEqual(str(error), "listen tcp: address garbage: missing port in address")
        self.assertEqual((second.enabled, second.listen, first.toxics), (False, FREE, [NOOP]))

    @inlineCallbacks
    def test_toxics(self) -> Any:
        """In force at once, in their order, with names that differ over both streams."""
        proxy = yield self.create()
        registry, relay = self.registry, self.relays[0]
        registry.add_toxic("a", NOOP)
        registry.add_toxic("a", UP)
        self.assertEqual(relay.faults[-1], (["up"], ["noop_downstream"]))
        error = self.assertRaises(ApiError, registry.add_toxic, "a", Toxic("timeout", "up"))
        self.assertEqual((error.status, str(error)), (409, "toxic already exists"))
        later = Toxic("timeout", "noop_downstream")
        registry.update_toxic("a", later)
        self.assertEqual(proxy.toxics, [later, UP])
        self.assertIs(proxy.toxic("up"), UP)
        registry.delete_toxic("a", "noop_downstream")
        self.assertEqual(relay.faults[-1], (["up"], []))
        for gone in (lambda: registry.delete_toxic("a", "x"), lambda: proxy.toxic("x")):
            self.assertEqual(str(self.assertRaises(ApiError, gone)), "toxic not found")
        error = self.assertRaises(ApiError, registry.add_toxic, "x", NOOP)
        self.assertEqual(str(error), "proxy not found")

    @inlineCallbacks
    def test_strict(self) -> Any:
        """Numbers that make no sense are refused, if that is wanted."""
        self.registry.strict = True
        bare = Wanted("b", "c", FREE, toxics=(BARE,))
        error = yield self.fails(self.registry.create(bare))
        self.assertIn("average_size is 0", str(error))
        error = yield self.fails(self.registry.populate([Wanted("a", "c", FREE), bare]))
        self.assertEqual((error.status, self.registry.proxies), (400, {}))
        self.assertTrue(str(error).endswith(" at proxy 2"))
        yield self.create(toxics=(Toxic("noop", "x"),))
        for change in (self.registry.add_toxic, self.registry.update_toxic):
            self.assertRaises(ApiError, change, "a", Toxic("slicer", "x"))
        self.assertEqual(self.registry.get("a").toxics, [Toxic("noop", "x")])

    @inlineCallbacks
    def test_counters(self) -> Any:
        """What has been counted stays when a proxy moves or goes, and goes on if it comes back."""
        proxy = yield self.create()
        labels, relay = proxy.labels, self.relays[0]
        self.assertEqual(labels, Labels("a", proxy.listen, "b:80"))
        relay.connections, relay.accepted, relay.refused = 1, 5, 2
        relay.received["upstream"], relay.hits["x"], relay.special["y"] = 7, 3, 4
        now = Counters(1, 5, 2, {"upstream": 7, "downstream": 0}, relay.sent, {"x": 3}, {"y": 4})
        self.assertEqual(dict(self.registry.counters()), {labels: now})
        yield self.done(self.registry.update("a", Change(upstream="c:80")))
        found = dict(self.registry.counters())
        self.assertEqual((found[labels].connections, found[labels].accepted), (0, 5))
        self.assertEqual(found[labels].special, {"y": 4})
        self.assertEqual(found[proxy.labels].accepted, 0)
        yield self.done(self.registry.update("a", Change(upstream="b:80")))
        self.relays[-1].accepted = 1
        self.assertEqual(dict(self.registry.counters())[labels].accepted, 6)

    @inlineCallbacks
    def test_counters_are_bounded(self) -> Any:
        """Of those that are gone, the oldest are forgotten."""
        self.patch(room, "KEPT", 2)
        for name in "abc":
            yield self.create(name, enabled=False)
            yield self.done(self.registry.delete(name))
        self.assertEqual([labels.proxy for labels, _ in self.registry.counters()], ["b", "c"])


class ProxyTests(SynchronousTestCase):
    """A proxy as it is."""

    def test_chains(self) -> None:
        """Those of the stream to the upstream first, each in the order in which it was made."""
        toxics = [
            Toxic("noop", name, stream)
            for name, stream in zip("abcd", ("downstream", "UPstream") * 2, strict=True)
        ]
        proxy = Proxy("a", "b", "c", FakeRelay("a", "b"), toxics)
        self.assertEqual("".join(toxic.name for toxic in proxy.chains), "bdac")
