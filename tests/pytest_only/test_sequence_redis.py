"""Real ``twistd lab-server`` with one real Redis, some of which are killed, or stopped."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint

from lab.sequence.client import Ended, Retry
from lab.sequence.redis import PREFIX
from lab.sequence.settings import ClientSettings
from lab.sequence.tcp import SequenceClient
from lab.sequence.values import value
from lab.sequence.wire import Number, Resumed
from tests.pytest_only.processes import PATIENCE, Server, connected, read_line, serving
from tests.redis_server import Monitor, RealRedis, free_port

#: Real processes take their time: with the longer explorations.
pytestmark = pytest.mark.thorough

PLACE = "tcp:0:interface=127.0.0.1"
#: So many clients at a time.
MANY = 10


class Fleet:
    """
    Two servers with one Redis.

    Args:
        redis: That.
        servers: Those.

    Attributes:
        clients: Those that there were.
    """

    def __init__(self, redis: RealRedis, servers: list[Server]) -> None:
        self.redis, self.servers = redis, servers
        self.clients: list[Watched] = []

    @property
    def endpoints(self) -> list[TCP4ClientEndpoint]:
        """Where the servers are."""
        found = [server.address("tcp") for server in self.servers]
        return [TCP4ClientEndpoint(reactor, *address) for address in found]

    def client(self, n: int, first: int = 0) -> "Watched":
        """A client that begins at one of the servers."""
        endpoints = self.endpoints
        self.clients.append(Watched([*endpoints[first:], *endpoints[:first]], n))
        return self.clients[-1]

    async def begun(self, n: int) -> "list[Watched]":
        """Clients that have their first numbers, half of them of each server."""
        clients = [self.client(n, number % 2) for number in range(MANY)]
        await gatherResults([one.index(20) for one in clients])
        return clients


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    """Servers of quick sequences."""
    with ExitStack() as stack:
        redis = RealRedis(free_port())
        stack.callback(redis.clean)
        store = f"redis://127.0.0.1:{redis.port}/0"
        options = ("--interval", "20ms", "--heartbeat-interval", ".5", "--sessions", store)
        serve = (serving(*options, places=[PLACE], service="sequence") for _ in range(2))
        servers = [stack.enter_context(one) for one in serve]
        for server in servers:
            if not server.process.events("connected to Redis"):
                server.process.event("connected to Redis")
        fleet = Fleet(redis, servers)
        yield fleet
        for one in fleet.clients:
            one.done.addErrback(bool).cancel()


class InTurn:
    """An endpoint that is one after the other of several."""

    def __init__(self, endpoints: list[TCP4ClientEndpoint]) -> None:
        self._endpoints = cycle(endpoints)

    def connect(self, factory: Any) -> Any:
        """Connect to the next."""
        return next(self._endpoints).connect(factory)


class Watched:
    """
    A client whose progress can be waited for.

    Args:
        endpoints: Where it receives its sequence from, in turn.
        n: How many numbers.
    """

    def __init__(self, endpoints: list[TCP4ClientEndpoint], n: int) -> None:
        endpoint: Any = InTurn(endpoints)
        settings = ClientSettings(n, retry=0.1, heartbeat=0.5)
        self.client = SequenceClient(reactor, endpoint, settings)
        self.seen: list[Any] = []
        self._waiting: list[tuple[Any, Deferred[None]]] = []
        self.done: Deferred[Ended] = self.client.receive(self._show)

    @property
    def numbers(self) -> int:
        """How many are there."""
        return self.client.core.next

    @property
    def session(self) -> Any:
        """Its session."""
        return self.client.core.session

    def until(self, fits: Any) -> Deferred[None]:
        """Wait until something that it shows fits."""
        deferred = Deferred[None]()
        self._waiting.append((fits, deferred))
        return deferred

    def index(self, index: int) -> Deferred[None]:
        """Wait for a number."""
        return self.until(lambda event: isinstance(event, Number) and event.index >= index)

    def _show(self, event: Any) -> None:
        """Keep it."""
        self.seen.append(event)
        for one in [one for one in self._waiting if one[0](event)]:
            self._waiting.remove(one)
            one[1].callback(None)

    async def end(self) -> None:
        """Wait for the end: equal, each number once and in order, as the key has it."""
        ended = await self.done
        assert ended.outcome == "equal", ended
        found = [event.value for event in self.seen if isinstance(event, Number)]
        assert found == [value(self.session.key, index) for index in range(self.session.n)]

    @property
    def resumed(self) -> int:
        """How often it went on."""
        return sum(isinstance(event, Resumed) for event in self.seen)


@pytest_twisted.ensureDeferred
async def test_killed(fleet: Fleet) -> None:
    """The clients of a server that is killed go on at the other one."""
    clients = await fleet.begun(150)
    fleet.servers[0].process.end(signal.SIGKILL)
    for one in clients:
        await one.end()
    assert [one.resumed for one in clients] == [1, 0] * (MANY // 2)
    ended = fleet.servers[1].process.end(signal.SIGINT)
    assert f"{MANY // 2} begun, {MANY // 2} resumed, " in ended.out
    assert ", 0 rejected" in ended.out


@pytest.mark.thorough
@pytest_twisted.ensureDeferred
async def test_stopped(fleet: Fleet) -> None:
    """A server that stands still until its sessions are elsewhere changes nothing."""
    clients, others = (await fleet.begun(300))[::2], fleet.clients[1::2]
    process = fleet.servers[0].process
    process.send(signal.SIGSTOP)
    try:
        await gatherResults(
            [one.until(lambda event: isinstance(event, Resumed)) for one in clients]
        )
        monitor = Monitor(fleet.redis)
    finally:
        process.send(signal.SIGCONT)
    # Its writes: of the sessions, with the epoch that it knows.
    monitor.until(*(f'"{one.session.id}" "1"' for one in clients))
    monitor.clean()
    for one in clients:
        key = f"{PREFIX}:{one.session.id}"
        assert fleet.redis.ask("HMGET", key, "epoch", "deadline") == [b"2", b""]
    for one in clients:
        await one.end()
        assert one.resumed == 1
    for one in others:
        await one.end()
        assert one.resumed == 0


@pytest_twisted.ensureDeferred
async def test_redis_is_killed(fleet: Fleet) -> None:
    """Sessions go on without Redis, and with one that has lost them; who begins is told."""
    clients = await fleet.begun(200)
    fleet.redis.kill()
    for server in fleet.servers:
        server.process.event("no connection to Redis")
        with connected(server.address("tcp")) as connection:
            connection.settimeout(PATIENCE)
            connection.sendall(b"start 5\n")
            assert read_line(connection) == b"500 the sessions can't be reached\n"
            assert connection.recv(1) == b""
    late = fleet.client(5)
    await late.until(lambda event: isinstance(event, Retry))
    fleet.redis.start()
    for server in fleet.servers:
        server.process.event("connected to Redis")
    monitor = Monitor(fleet.redis)
    assert all(one.numbers < one.session.n for one in clients)
    apart = [one.until(lambda event: isinstance(event, Retry)) for one in clients]
    for one in clients:
        one.client._abort()
    await gatherResults(apart)
    # The server that had them tells the new Redis of them, before somebody asks for them.
    monitor.until(*(f'"{one.session.id}" "1"' for one in clients))
    monitor.clean()
    for one in [*clients, late]:
        await one.end()
    assert {one.resumed for one in clients} == {1}
    for server in fleet.servers:
        for words in ("the store fails", "the store answers again", "no connection to Redis"):
            assert len(server.process.events(words)) == 1
