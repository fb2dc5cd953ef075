"""
What an echo client reports, packet by packet, of a real network: server, proxy, sockets, clock.

The proxy is a process that writes down what it decides; what comes out of it is noted where the
client takes it from its sockets.

However busy the machine is, nothing is lost but by the proxy: no socket is ever sent more than its
buffer holds, even if nobody reads. So there are many short streams and short runs of probes, each
with sockets of its own, and where a socket is of all (the server's, and that at which a proxy
listens) there is one of them after the other. Only a proxy that does not run for seconds could send
something too late; so few send at a time, and the others wait for what may still come.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, socket
from typing import Any
from unittest import mock

import pytest
import pytest_twisted
from attrs import define, field, frozen
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred, DeferredSemaphore, ensureDeferred, gatherResults

from lab.adapters.endpoints import DatagramClientEndpoint
from lab.backoff import Backoff
from lab.echo import measuring
from lab.echo.asking import EchoAsking
from lab.echo.outcomes import Measured
from lab.echo.settings import ClientSettings
from lab.echo.udp import EchoClient
from lab.faults.journal import Journal, Line
from lab.rng import stream
from tests.echo.truth import check_probes, check_stream
from tests.pytest_only.processes import TWISTD, address, running, serving

reactor: Any = real_reactor
#: Packets of a stream, and probes of a run, and bytes of each: with 1 % of copies, and 768 bytes
#: that Linux counts for each, that is less than the 212,992 bytes of a buffer.
COUNT, SIZE = 200, 100
#: What a proxy holds back and nobody overtakes leaves a second later; clients wait for so long, in
#: seconds, when all seems to be there, so that it is not too late for them.
LAST = 3.0
#: So many are sent to at a time, until so many datagrams have come to them.
SENDING, MOST = 15, COUNT * 4 // 5
#: Draws what the proxies do.
SEED = 7
UDP = "udp:0:interface=127.0.0.1"


@define
class NotingReactor:
    """
    The reactor, for a client whose sockets note what comes.

    Args:
        used: The ports of clients before it; its own are added. At one of them it would be to a
            proxy the client that was there, who may come back.

    Attributes:
        came: All of it.
        most: Fires when most of it has come.
    """

    used: set[int]
    came: list[bytes] = field(factory=list)
    most: Deferred[None] = field(factory=Deferred)

    def enough(self, result: Any = None) -> Any:
        """Most has come, or no more will."""
        if not self.most.called:
            self.most.callback(None)
        return result

    def __getattr__(self, name: str) -> Any:
        """All else is the reactor's."""
        return getattr(reactor, name)

    def listenUDP(self, _: int, protocol: Any, interface: str, size: int) -> Any:
        """A port that notes."""
        take = protocol.datagramReceived

        def note(datagram: bytes, addr: Any) -> None:
            """One came."""
            self.came.append(datagram)
            if len(self.came) == MOST:
                self.enough()
            take(datagram, addr)

        protocol.datagramReceived = note
        with ExitStack() as opened:
            while True:
                one = opened.enter_context(socket(AF_INET, SOCK_DGRAM))
                one.setblocking(False)
                one.bind((interface, 0))
                number = one.getsockname()[1]
                if number not in self.used:
                    break
            self.used.add(number)
            return reactor.adoptDatagramPort(one.fileno(), AF_INET, protocol, size)


@frozen
class Run:
    """
    What a client has seen.

    Args:
        kind: A stream or probes.
        place: Name of the proxy, and the number of the client there.
        measured: Its report.
        came: What came, in its order.
    """

    kind: str
    place: tuple[str, int]
    measured: Measured
    came: list[bytes]

    def check(self, journal: list[Line]) -> Counter[str]:
        """Hold it against the journal; what has happened."""
        check = check_stream if self.kind == "stream" else check_probes
        return check(self.measured, journal, self.came, COUNT)


@define
class Lane:
    """
    A proxy that leads to a port of the server; one client at a time.

    Args:
        kind: A stream or probes.
        name: Of the proxy.
        where: Where it listens.
        room: Bounds how many are sent to at a time.
    """

    kind: str
    name: str
    where: tuple[str, int]
    room: DeferredSemaphore
    _used: set[int] = field(init=False, factory=set)

    async def run(self, times: int) -> list[Run]:
        """So many, one after the other."""
        return [await self._one(number) for number in range(times)]

    async def _one(self, number: int) -> Run:
        """A client."""
        noting: Any = NotingReactor(self._used)
        # Who is late asks again, which does no harm; nothing is over because somebody is late.
        settings = ClientSettings(Backoff(0.5, 30.0), silence=30.0)
        endpoint = DatagramClientEndpoint(noting, *self.where)
        client: EchoAsking = EchoClient(noting, endpoint, settings, stream(SEED, self.name, number))
        ask = getattr(client, self.kind)
        await self.room.acquire()
        asked = ask(0.001, COUNT, SIZE, keep=True).addBoth(noting.enough)
        await noting.most
        self.room.release()
        measured = await asked
        await client.close()
        return Run(self.kind, (self.name, number), measured, noting.came)


def toxics(*directions: str) -> list[dict[str, Any]]:
    """3 % loss, 1 % duplicates, 2 % reordering, 5 ms jitter."""
    kinds: dict[str, Any] = {
        "loss": {"probability": 0.03},
        "duplicate": {"probability": 0.01},
        "reorder": {"probability": 0.02, "displacement": 5},
        "latency": {"latency": 20, "jitter": 5},
    }
    return [
        {"type": kind, "stream": direction, "attributes": attributes}
        for direction in directions
        for kind, attributes in kinds.items()
    ]


#: What is wrong with the way of what: who asks for a stream is heard.
FAULTS = {"stream": toxics("downstream"), "probe": toxics("upstream", "downstream")}


@contextmanager
def lanes(kinds: list[str], folder: Path, journal: Path) -> Iterator[list[Lane]]:
    """
    A server, and a proxy before it; when both have ended, the journal is there.

    Args:
        kinds: What shall be asked for at a time: so many proxies lead to a port of the server each.
        folder: For a file of these proxies.
        journal: Of what they decide.
    """
    with serving("--streams", "100", places=[UDP] * len(kinds), service="echo") as server:
        upstreams = ["{}:{}".format(*address(place)) for place in server.places]
        proxies = [
            {"name": f"{kind}-{number}", "protocol": "udp", "listen": "127.0.0.1:0"}
            | {"upstream": upstream, "toxics": FAULTS[kind]}
            for number, (kind, upstream) in enumerate(zip(kinds, upstreams, strict=True))
        ]
        config = folder / "proxies.json"
        config.write_text(json.dumps(proxies))
        words = ("--config", str(config), "--seed", str(SEED), "--journal", str(journal))
        words += ("--api", "tcp:0:interface=127.0.0.1")
        command = (TWISTD, "-n", "--pidfile=", "lab-proxy", "--log-format", "json", *words)
        with running(*command) as proxy:
            found, room = [], DeferredSemaphore(SENDING)
            for kind, made in zip(kinds, proxies, strict=True):
                event = proxy.event(f"{made['name']} listens on")
                where = address(f"udp:{event['listen']}")
                found.append(Lane(kind, str(made["name"]), where, room))
            proxy.started()
            yield found
            assert proxy.end().err == ""


async def explore(kinds: list[str], times: int, folder: Path) -> Counter[str]:
    """
    Have so many on each lane, and check each of them; what has happened in all.

    Args:
        kinds: See `lanes`.
        times: How many on each lane.
        folder: For files.
    """
    path = folder / "journal"
    with mock.patch.object(measuring, "LAST", LAST), lanes(kinds, folder, path) as found:
        asked = [ensureDeferred(lane.run(times)) for lane in found]
        results: Deferred[list[list[Run]]] = gatherResults(asked, consumeErrors=True)
        runs = [run for runs in await results for run in runs]
    journal = defaultdict(list)
    for entry in Journal.read(path.read_text().splitlines()).entries:
        journal[entry.place.link, entry.place.connection].append(entry)
    happened = sum((run.check(journal[run.place]) for run in runs), Counter[str]())
    late, all_ = happened.pop("late", 0), len(runs) * COUNT
    assert late <= all_ / 1000, f"this machine is too slow: {late} of {all_} were too late"
    return happened


@pytest_twisted.ensureDeferred
async def test_two_thousand(tmp_path: Path) -> None:
    """Each of 1,400 packets of streams, and of 600 probes, is what the report says of it."""
    happened = await explore(["stream"] * 7 + ["probe"] * 3, 1, tmp_path)
    assert (happened["packets"], happened["probes"]) == (1400, 600)
    assert (len(happened), min(happened.values()) > 1) == (9, True), happened


@pytest.mark.thorough
@pytest_twisted.ensureDeferred
async def test_hundred_thousand(tmp_path: Path) -> None:
    """So is each of 75,000 packets of streams, and of 25,000 probes."""
    happened = await explore(["stream"] * 75 + ["probe"] * 25, 5, tmp_path)
    assert (happened["packets"], happened["probes"]) == (75_000, 25_000)
    assert (len(happened), min(happened.values()) > 150) == (9, True), happened
