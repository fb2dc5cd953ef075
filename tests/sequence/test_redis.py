"""Sessions in Redis: in a real one; `test_sessions` has what all stores do."""

from itertools import count, permutations
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import HostnameEndpoint, TCP4ServerEndpoint
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lab.adapters.redis import RedisAway, RedisConnection
from lab.faults.datagrams import Latency, Loss
from lab.faults.fault import Fault
from lab.faults.streams import Cut
from lab.rng import Random, stream
from lab.sequence.client import Retry
from lab.sequence.records import Record
from lab.sequence.redis import PREFIX, RedisStore
from lab.sequence.sessions import StoreError
from lab.sequence.settings import ClientSettings, ServerSettings
from lab.sequence.tcp import SequenceClient, SequenceFactory
from lab.sequence.wire import Resumed
from lab.simulator import explore, simulate
from lab.simulator.network import Network
from tests.helpers import longest
from tests.redis_server import FrontFactory, VirtualRedis, shared_redis
from tests.sequence.test_sessions import StoreCase, record
from tests.sequence.test_tcp import Run


class RedisCase(SynchronousTestCase):
    """Has a Redis, and a clock that it goes by."""

    def setUp(self) -> None:
        """Nothing is in it."""
        self.real = shared_redis()
        self.clock = Clock()
        self.redis = VirtualRedis(self.real, self.clock.seconds)

    def make(self, **limits: int) -> RedisStore:
        """A store."""
        return Passing(self.clock, self.redis, **limits)

    def key(self, one: Record) -> str:
        """Where a session is."""
        return f"{PREFIX}:{one.id}"


class Passing(RedisStore):
    """A store for which time passes when it is asked to forget."""

    def expire(self, now: float) -> Deferred[int]:
        """Let it be that time."""
        clock: Any = self._clock
        clock.rightNow = now
        return super().expire(now)


class RedisTests(StoreCase, RedisCase):
    """The tests of all stores, and what is said of Redis."""

    def setUp(self) -> None:
        """A store in a Redis."""
        RedisCase.setUp(self)
        StoreCase.setUp(self)

    def test_lives_attached(self) -> None:
        """A session that is attached lives for the window and what the server is ahead."""
        self.assertApproximates(self.redis.lives(self.key(self.a)), 90, 0.5)
        self.clock.advance(30)
        self.assertApproximates(self.redis.lives(self.key(self.a)), 60, 0.5)
        self.now(self.store.progress(self.a))
        self.assertApproximates(self.redis.lives(self.key(self.a)), 90, 0.5)
        self.clock.advance(30)
        self.assertIsNotNone(self.attach(self.a))
        for key in (self.key(self.a), f"{PREFIX}s", f"{PREFIX}s:here"):
            self.assertApproximates(self.redis.lives(key), 90, 0.5)
        self.clock.advance(91)
        self.assertIsNone(self.now(self.store.load(self.a.id)))
        self.assertEqual(self.real.ask("KEYS", "*"), [])

    def test_lives_detached(self) -> None:
        """One that is detached lives for the window, and for another one to be told of."""
        self.now(self.store.progress(evolve(self.a, deadline=30.0)))
        self.assertApproximates(self.redis.lives(self.key(self.a)), 60, 0.5)
        for key in (f"{PREFIX}s", f"{PREFIX}s:here"):
            # They have lived as long as it might, as an attached one.
            self.assertApproximates(self.redis.lives(key), 90, 0.5)
        self.clock.advance(29.999)
        self.assertEqual(self.now(self.store.load(self.a.id)).deadline, 30.0)
        self.clock.advance(0.001)
        self.assertIsNone(self.attach(self.a))
        self.assertEqual(self.now(self.store.load(self.a.id)).deadline, 30.0)

    def test_taken_in_time(self) -> None:
        """A millisecond ahead of its deadline a session can be had."""
        self.now(self.store.progress(evolve(self.a, deadline=30.0)))
        self.clock.advance(29.999)
        self.assertIsNotNone(self.attach(self.a))

    def test_long_deadlines(self) -> None:
        """The sets live as long as the session in them that lives longest."""
        self.now(self.store.progress(evolve(self.a, deadline=1000.0)))
        self.now(self.store.create(record("b")))
        self.assertApproximates(self.redis.lives(f"{PREFIX}s"), 1030, 0.5)

    def test_clocks_differ(self) -> None:
        """A deadline is the same moment for a server whose clock has another zero."""
        other, moved = Clock(), evolve(self.a, deadline=12.0)
        other.advance(1e6)
        self.clock.advance(5)
        self.now(self.store.progress(moved))
        far = RedisStore(other, self.redis)
        self.assertEqual(self.now(far.load(self.a.id)).deadline, 1e6 + 7)

    def test_every_field(self) -> None:
        """A session comes back as it was, whatever is in it."""
        one = Record("b" * 32, bytes(range(16)), 65535, 0.1 + 0.2, "fe80::1%eth 0 \u00e9", 7, 2**40)
        self.now(self.store.create(one))
        self.assertEqual(self.now(self.store.load(one.id)), one)

    def test_forgotten(self) -> None:
        """Who was away while a session went on, and ended, elsewhere changes nothing."""
        zombie, other = self.store, self.make()
        after = evolve(self.a.attached(), sent=5)
        self.assertTrue(self.now(other.attach(after)))
        self.assertTrue(self.now(other.forget(after)))
        for one in (self.a, after, evolve(after, epoch=9)):
            self.assertFalse(self.now(zombie.progress(one)))
            self.assertFalse(self.now(zombie.forget(one)))
            self.assertFalse(self.now(zombie.attach(one)))
        self.assertEqual(self.real.ask("KEYS", "*"), [self.key(self.a).encode()])
        self.assertApproximates(self.redis.lives(self.key(self.a)), 90, 0.5)

    def test_lost(self) -> None:
        """A Redis that has lost everything is told of a session when that goes on."""
        self.redis.lose()
        self.assertIsNone(self.now(self.store.load(self.a.id)))
        on = evolve(self.a, sent=3)
        self.assertTrue(self.now(self.store.progress(on)))
        self.assertEqual(self.now(self.store.load(self.a.id)), on)
        self.assertIsNotNone(self.attach(on))

    def test_lost_and_over(self) -> None:
        """A session that was lost, and is over now, is over for others too."""
        after = self.attach(self.a)
        self.redis.lose()
        self.assertTrue(self.now(self.store.forget(after)))
        self.assertFalse(self.now(self.make().progress(self.a)))

    def test_lost_and_one_that_was_away(self) -> None:
        """If it is who was away that tells first, the one who has the session prevails."""
        zombie, holder = self.store, self.make()
        after = evolve(self.a.attached(), sent=5)
        self.now(holder.attach(after))
        self.redis.lose()
        self.assertTrue(self.now(zombie.progress(self.a)))
        self.assertTrue(self.now(holder.progress(after)))
        self.assertFalse(self.now(zombie.progress(self.a)))
        self.assertEqual(self.now(holder.load(self.a.id)), after)

    def test_an_epoch_twice(self) -> None:
        """After a loss two may have one epoch; the one that took the session has it."""
        first, before, second = self.make(), self.store, self.make()
        after = evolve(self.a.attached(), sent=5)
        self.now(first.attach(after))
        self.redis.lose()
        self.now(before.progress(self.a))
        self.assertTrue(self.now(second.attach(evolve(after, sent=4))))
        self.assertFalse(self.now(first.progress(after)))
        self.assertFalse(self.now(first.forget(after)))
        self.assertEqual(self.now(second.load(self.a.id)).sent, 4)

    def test_a_late_write(self) -> None:
        """What is read behind a newer write of the same holder changes nothing."""
        late: list[Any] = []
        store = RedisStore(self.clock, Holding(self.redis, late))
        one = record("b")
        self.now(store.create(one))
        late.append(None)
        early = store.progress(evolve(one, sent=3))
        late.clear()
        self.now(store.progress(evolve(one, sent=4)))
        early.callback(None)
        self.assertTrue(self.now(early))
        self.assertEqual(self.now(store.load(one.id)).sent, 4)

    def test_limits_of_a_fleet(self) -> None:
        """Limits are for all servers together; who ends without a word makes room."""
        stores = [self.make(sessions=4, per_address=3) for _ in range(2)]
        for number, (name, address, kept) in enumerate((
            ("b", "here", True), ("c", "here", True), ("d", "here", False),
            ("e", "there", True), ("f", "there", False),
        )):  # fmt: skip
            self.assertEqual(self.now(stores[number % 2].create(record(name, address))), kept)
        self.clock.advance(89)
        self.assertFalse(self.now(stores[0].create(record("f", "there"))))
        self.clock.advance(1)
        self.assertTrue(self.now(stores[1].create(record("f", "there"))))

    def test_who_ends_makes_room(self) -> None:
        """Also if nobody was asked to forget, and others in the same sets live on."""
        store = self.make(sessions=2, per_address=2)
        self.now(self.store.progress(evolve(self.a, deadline=30.0)))
        self.now(store.progress(evolve(record("b"), deadline=1000.0)))
        self.assertFalse(self.now(store.create(record("c"))))
        self.clock.advance(30)
        self.assertTrue(self.now(store.create(record("c"))))

    def test_ended_are_counted_once(self) -> None:
        """Of several servers that ask, one hears of it."""
        other = self.make()
        self.now(self.store.progress(evolve(self.a, deadline=30.0)))
        self.assertEqual(self.now(other.expire(30.0)), 1)
        self.assertEqual(self.now(self.store.expire(30.0)), 0)


class Holding:
    """
    Holds scripts back until somebody fires what it gave.

    Args:
        redis: Runs them.
        late: Holds back while there is something in it.
    """

    def __init__(self, redis: VirtualRedis, late: list[Any]) -> None:
        self._redis, self._late = redis, late

    def open(self) -> None:
        """It is."""

    def close(self) -> Deferred[None]:
        """It need not."""
        return succeed(None)

    def evaluate(self, script: str, keys: Any, args: Any) -> Deferred[Any]:
        """Run a script, now or later."""
        if not self._late:
            return self._redis.evaluate(script, keys, args)
        return Deferred[Any]().addCallback(lambda _: self._redis.run(script, keys, args))


class InterleavingTests(RedisCase):
    """What several do at the same time."""

    def test_every_order(self) -> None:
        """
        Two servers take a session while the first writes: whatever the order, one has it.

        Each has read the session before, and after it has taken it writes, and lets it go.
        """
        orders = set(permutations("aaabbbz"))
        for order in orders:
            self.real.ask("FLUSHALL")
            start = record()
            stores = {name: self.make() for name in "abz"}
            self.successResultOf(stores["z"].create(start))
            mine = {name: evolve(start.attached(), sent=1, address="here") for name in "ab"}
            steps = {"a": iter(("attach", "progress", "forget")),
                     "b": iter(("attach", "progress", "forget")),
                     "z": iter(("progress",))}  # fmt: skip
            said: dict[str, list[bool]] = {name: [] for name in "abz"}
            for name in order:
                verb = getattr(stores[name], next(steps[name]))
                said[name].append(self.successResultOf(verb(mine.get(name, start))))
            winner = next(name for name in order if name != "z")
            loser = "b" if winner == "a" else "a"
            self.assertEqual(said[winner], [True, True, True])
            self.assertEqual(said[loser], [False, False, False])
            self.assertEqual(said["z"], [order[0] == "z"])
            self.assertIsNone(self.successResultOf(stores["z"].load(start.id)))
        self.assertEqual(len(orders), 140)


class Failing:
    """
    A Redis that is not there.

    Args:
        error: What it fails with.
    """

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.opened = 0

    def open(self) -> None:
        """Note it."""
        self.opened += 1

    def close(self) -> Deferred[None]:
        """It is."""
        return succeed(None)

    def evaluate(self, script: str, keys: Any, args: Any) -> Deferred[Any]:
        """Fail."""
        return fail(self._error)


class AwayTests(SynchronousTestCase):
    """A Redis that can't be asked."""

    def test_every_question(self) -> None:
        """Each fails as a store may, with the reason."""
        redis = Failing(RedisAway("Redis at here: closed"))
        store, one = RedisStore(Clock(), redis), record()
        store.open()
        self.assertEqual(redis.opened, 1)
        for asked in (
            store.create(one), store.load(one.id), store.attach(one), store.progress(one),
            store.forget(one), store.expire(0.0),
        ):  # fmt: skip
            self.assertEqual(self.failureResultOf(asked, StoreError).getErrorMessage(),
                             "Redis at here: closed")  # fmt: skip

    def test_a_fault_of_ours(self) -> None:
        """What is no failure of Redis is not called one."""
        store = RedisStore(Clock(), Failing(ZeroDivisionError()))
        self.failureResultOf(store.progress(record()), ZeroDivisionError)
        self.failureResultOf(store.load("a" * 32), ZeroDivisionError)


class Either:
    """
    An endpoint that is one of several, drawn each time.

    Args:
        endpoints: Those.
        random: Where it is drawn from.
    """

    def __init__(self, endpoints: list[Any], random: Random) -> None:
        self._endpoints, self._random = endpoints, random

    def connect(self, factory: Any) -> Any:
        """Connect to one of them."""
        return self._random.choice(self._endpoints).connect(factory)


class Fleet(Run):
    """
    Servers ``a`` and ``b`` with one Redis, and clients that take either.

    Args:
        net: The network.
        virtual: Behind the Redis of that network.
        settings: Of the servers.
    """

    def __init__(
        self, net: Network, virtual: VirtualRedis, settings: ServerSettings | None = None
    ) -> None:
        self.net, self.seen = net, []
        numbers = count()

        def redis(reactor: Any, disk: Any) -> None:
            """Be Redis."""
            TCP4ServerEndpoint(reactor, 6379).listen(FrontFactory(virtual))

        def serve(reactor: Any, disk: Any) -> SequenceFactory:
            """Serve, also after a crash."""
            number = next(numbers)
            endpoint = HostnameEndpoint(reactor, "redis", 6379)
            random = stream(net.seed, "redis", number)
            connection = RedisConnection(reactor, endpoint, "redis", random=random)
            store = RedisStore(reactor, connection, name=str(number))
            store.open()
            secret = stream(net.seed, "secret", number).randbytes
            factory = SequenceFactory(reactor, settings, store, secret=lambda: secret(16))
            TCP4ServerEndpoint(reactor, 80).listen(factory)
            return factory

        net.host("redis").start(redis)
        self.factories = {name: net.host(name).start(serve) for name in "ab"}

    def client(
        self, settings: ClientSettings | None = None, name: str = "client", **keywords: Any
    ) -> SequenceClient:
        """A client on a host."""
        reactor = self.net.host(name).reactor
        endpoint: Any = Either(
            [HostnameEndpoint(reactor, server, 80) for server in "ab"],
            stream(self.net.seed, name, "either"),
        )
        return SequenceClient(reactor, endpoint, settings, stream(self.net.seed, name), **keywords)


class SimulatedTests(SynchronousTestCase):
    """Fleets on virtual networks, with what a fleet meets there; Redis is a real one."""

    def setUp(self) -> None:
        """Connect to it while that is allowed."""
        self.real = shared_redis()
        self.real.ask("PING")

    def fleet(self, net: Network, settings: ServerSettings | None = None) -> Fleet:
        """Servers and their Redis."""
        self.virtual = VirtualRedis(self.real, lambda: net.now)
        return Fleet(net, self.virtual, settings)

    def test_a_server_dies(self) -> None:
        """Its client goes on at the other one, at once."""
        with simulate(7) as net:
            fleet = self.fleet(net)
            net.run(1)
            done = fleet.client(ClientSettings(12)).receive(fleet.show)
            net.run(3.5)
            (holder,) = [name for name, one in fleet.factories.items() if one._connections]
            net.host(holder).crash()
            ended = net.run_until(done)
            fleet.check(ended)
            self.assertEqual(ended.outcome, "equal")

    def test_anything(self) -> None:
        """Whatever happens: no gap, no number twice, equal sums, or an end that is explained."""
        self.assertEqual(explore(self.scenario, range(40)), 40)

    @longest
    def test_anything_often(self) -> None:
        """Eleven hundred and sixty seeds of the same: here the first half of them."""
        self.assertEqual(explore(self.scenario, range(40, 620)), 580)

    @longest
    def test_anything_more_often(self) -> None:
        """The second half, in another process, which has a Redis of its own."""
        self.assertEqual(explore(self.scenario, range(620, 1200)), 580)

    def scenario(self, net: Network) -> None:
        """A sequence while links are bad, servers die, and Redis is away, or loses everything."""
        random, fleet = stream(net.seed, "what happens"), self.fleet(net)
        for server in "ab":
            for one, other, cuts in ((server, "client", 0.004), (server, "redis", 0.00002)):
                for way in ((one, other), (other, one)):
                    faults = (Cut(cuts), "cut"), (Latency(0.05, 0.04), "late"), (Loss(0.05), "loss")
                    net.link(*way, *(Fault(*of) for of in faults))
        lost = self.harm(net, random)
        apart = [0.0]

        def show(event: Any) -> None:
            """Note when the client had its session."""
            fleet.show(event)
            if not isinstance(event, Retry):
                apart[0] = net.now

        ended = net.run_until(fleet.client(ClientSettings(45)).receive(show), limit=1000)
        fleet.check(ended)
        late = ended.outcome == "rejected" and net.now - apart[0] >= 30
        reasons = {event.reason for event in fleet.seen if isinstance(event, Retry)}
        net.sometimes("it resumes", lambda: any(isinstance(e, Resumed) for e in fleet.seen))
        net.sometimes("Redis is away", lambda: any("can't be reached" in r for r in reasons))
        net.sometimes("it ends well", lambda: ended.outcome == "equal")
        net.sometimes("it is too late", lambda: late)
        net.sometimes("a loss is told", lambda: lost and not late and "unknown" in ended.text)
        net.run(1)
        if not (ended.outcome == "equal" or late or lost):
            raise AssertionError(ended)

    def harm(self, net: Network, random: Random) -> bool:
        """Let things happen in the first minute; whether Redis loses everything."""
        lost = False
        for _ in range(random.randrange(8)):
            at, lasts = random.uniform(0, 60), random.expovariate(1 / 6)
            server = net.host(random.choice("ab"))
            match random.choice(("crash", "half-open", "apart", "away", "lost")):
                case "crash":
                    net.at(at, server.crash)
                    net.at(at + lasts, server.restart)
                case "half-open":
                    for way in ((server, "client"), ("client", server)):
                        net.at(at, net.partition, *way)
                        net.at(at + lasts, net.heal, *way)
                case "apart":
                    way = random.choice(((server, "redis"), ("redis", server)))
                    net.at(at, net.partition, *way)
                    net.at(at + lasts, net.heal, *way)
                case "away":
                    net.at(at, net.host("redis").crash)
                    net.at(at + lasts, net.host("redis").restart)
                case "lost":
                    lost = True
                    net.at(at, net.host("redis").crash)
                    net.at(at, lambda: self.virtual.lose())  # noqa: PLW0108 - it is there then
                    net.at(at + lasts, net.host("redis").restart)
        return lost
