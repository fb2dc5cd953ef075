"""What a real ``lab-proxy`` has decided, decided again by the same relays in the simulator."""

import json
import urllib.request
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from attrs import frozen
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import DatagramProtocol

from lab.arithmetic import tcp, udp
from lab.arithmetic.settings import ClientSettings
from lab.backoff import Backoff
from lab.faults.journal import Dice, Journal, Line, Replay
from lab.faults.link import Decisions
from lab.proxy.bodies import read_proxies
from lab.proxy.registry import Registry
from lab.proxy.relays import Relays
from lab.rng import stream
from lab.simulator.network import simulate
from tests.pytest_only.processes import LAB, TWISTD, address, run, running, serving

#: Real processes take their time: with the longer explorations.
pytestmark = pytest.mark.thorough

QUESTIONS = 20
#: Seeds with which all kinds of verdicts come up in few questions.
SEEDS = {"udp": 16, "tcp": 245}
#: Without an answer a question is asked again after so long, in seconds. That is much more than all
#: delays together, so that a busy machine does not ask once more than the simulator; and less than
#: a datagram is held back at most.
AGAIN = 0.9


def toxic(kind: str, stream: str, toxicity: float = 1.0, **attributes: Any) -> dict[str, Any]:
    """The JSON of one."""
    return {"type": kind, "stream": stream, "toxicity": toxicity, "attributes": attributes}


LOSSY = [
    toxic("loss", "upstream", probability=0.05),
    toxic("duplicate", "upstream", probability=0.2),
    toxic("reorder", "upstream", probability=0.05),
    toxic("corrupt", "upstream", probability=0.1, bits=2),
    toxic("latency", "upstream", latency=20, jitter=10),
    toxic("loss", "downstream", p=0.05, r=0.7),
    toxic("duplicate", "downstream", 0.5, probability=0.2),
    toxic("latency", "downstream", latency=20, jitter=10, distribution="normal"),
]
SLOW = [
    toxic("latency", "upstream", 0.5, latency=20, jitter=10),
    toxic("slicer", "downstream", average_size=3, size_variation=2),
    toxic("latency", "downstream", latency=20, jitter=10),
    toxic("cut", "downstream", 0.7, probability=0.01),
    toxic("limit_data", "downstream", 0.4, bytes=40),
]


#: What has to happen in a run, or it has shown nothing.
KINDS = {
    "udp": {"drop", "duplicate", "hold", "corrupt", "delay", "hit"},
    "tcp": {"delay", "deliver", "cut", "hit", "miss"},
}


class Asker(DatagramProtocol):
    """
    Asks one question after the other, each again and again until something comes.

    Args:
        reactor: Gives the time.
        place: Whom it asks.

    Attributes:
        seen: All that comes, and how often; what comes within the same millisecond from two
            timers of a real clock comes in either order.
        asked: How often each was asked.
        done: Fires when all are answered, and nothing comes any more.
    """

    noisy = False

    def __init__(self, reactor: Any, place: tuple[str, int]) -> None:
        self._reactor, self._place = reactor, place
        self._timer: Any = None
        self.seen: Counter[bytes] = Counter()
        self.asked = [0] * QUESTIONS
        self.done: Deferred[None] = Deferred()
        self._number = 0

    def startProtocol(self) -> None:
        """Begin."""
        self._ask()

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Something comes: on to the next, if it is for this one and has arrived whole."""
        self.seen[datagram] += 1
        number = self._number
        if number < QUESTIONS and datagram == b"#q%02d 200,%d" % (number, number + 1):
            self._timer.cancel()
            self._number += 1
            self._ask()

    def _ask(self) -> None:
        """Ask, and again when nothing has come; behind the last, wait for what is under way."""
        if self._number == QUESTIONS:
            self._reactor.callLater(AGAIN, self.done.callback, None)
            return
        self.asked[self._number] += 1
        self.transport.write(b"#q%02d +,%d,1" % (self._number, self._number), self._place)
        self._timer = self._reactor.callLater(AGAIN, self._ask)


async def ask_datagrams(reactor: Any, place: tuple[str, int]) -> Any:
    """Ask all over UDP: what has come, and how often each was asked."""
    asker = Asker(reactor, place)
    port = reactor.listenUDP(0, asker)
    await asker.done
    await port.stopListening()
    return asker.seen, asker.asked


async def ask_streams(reactor: Any, place: tuple[str, int]) -> Any:
    """Ask all over TCP, on as many connections as it takes."""
    settings = ClientSettings(Backoff.fixed(20.0), repeat=True)
    endpoint = HostnameEndpoint(reactor, *place)
    client = tcp.ArithmeticClient(reactor, endpoint, settings, stream(7))
    found = [await client.ask("+", number, 1) for number in range(QUESTIONS)]
    await client.close()
    return found


Ask = Callable[[Any, tuple[str, int]], Any]


@frozen
class Seen:
    """
    What a run was.

    Args:
        found: What the client has seen.
        decided: The journal, without times.
    """

    found: Any
    decided: list[dict[str, Any]]


def untimed(journal: Journal) -> list[dict[str, Any]]:
    """
    What a journal has, without times: those of a real clock are never quite the same.

    Lines stand in the order of their times, and what two directions do at about the same time may
    stand in either order.
    """

    def order(entry: Line) -> tuple[Any, ...]:
        """Line by line for each fault."""
        place = entry.place
        return place.connection, place.direction, place.fault, getattr(entry, "unit", -1)

    lines = [json.loads(entry.encode()) for entry in sorted(journal.entries, key=order)]
    return [{name: value for name, value in line.items() if name != "at"} for line in lines]


def config(protocol: str, listen: str, upstream: str, toxics: list[Any]) -> bytes:
    """The file with the proxy."""
    proxy = {"name": "p", "protocol": protocol, "listen": listen, "upstream": upstream}
    return json.dumps([{**proxy, "toxics": toxics}]).encode()


async def really(ask: Ask, protocol: str, toxics: list[Any], folder: Path) -> tuple[Seen, Journal]:
    """Real sockets, a real server, a real proxy: what came of it, and the journal."""
    from twisted.internet import reactor

    seed, file, decisions = SEEDS[protocol], folder / "proxies.json", folder / "decisions.jsonl"
    with serving(places=[f"{protocol}:0:interface=127.0.0.1"]) as server:
        upstream = "{}:{}".format(*server.address(protocol))
        file.write_bytes(config(protocol, "127.0.0.1:0", upstream, toxics))
        words = ("--config", str(file), "--seed", str(seed), "--journal", str(decisions))
        more = ("--log-format", "json", "--api", "tcp:0:interface=127.0.0.1")
        with running(TWISTD, "-n", "--pidfile=", "lab-proxy", *more, *words) as proxy:
            event = proxy.event("p listens on")
            assert event["seed"] == seed
            proxy.started()
            host, _, port = event["listen"].rpartition(":")
            found = await ask(reactor, (host, int(port)))
            assert not proxy.end().err
    journal = Journal.read(decisions.read_text().splitlines())
    assert journal.seed == seed
    return Seen(found, untimed(journal)), journal


def simulated(ask: Ask, protocol: str, toxics: list[Any], decisions: Decisions) -> Seen:
    """The same on virtual hosts."""
    journal = Journal()
    with simulate() as net:
        server, proxy, client = (net.host(name).reactor for name in ("server", "proxy", "client"))
        if protocol == "udp":
            server.listenUDP(50000, udp.ArithmeticDatagramProtocol(server))
        else:
            server.listenTCP(50000, tcp.ArithmeticFactory(server))
        registry = Registry(proxy, Relays(proxy, decisions, journal))
        wanted = read_proxies(config(protocol, "proxy:50001", "server:50000", toxics))
        net.run_until(Deferred.fromCoroutine(registry.populate(wanted)))
        place = net.host("proxy").address, 50001
        found = net.run_until(ensureDeferred(net.host("client").within(ask, client, place)))
        net.run_until(Deferred.fromCoroutine(registry.stop()))
    return Seen(found, untimed(journal))


CASES = pytest.mark.parametrize(
    ("ask", "protocol", "toxics"),
    [(ask_datagrams, "udp", LOSSY), (ask_streams, "tcp", SLOW)],
    ids=["udp", "tcp"],
)


@CASES
@pytest_twisted.ensureDeferred
async def test_replay(ask: Ask, protocol: str, toxics: list[Any], tmp_path: Path) -> None:
    """Replayed from the journal, and decided anew by the seed, it is what really happened."""
    drawn = simulated(ask, protocol, toxics, Dice(SEEDS[protocol]))
    real, journal = await really(ask, protocol, toxics, tmp_path)
    kinds = Counter(line["verdict"] for line in real.decided)
    assert KINDS[protocol] <= kinds.keys(), kinds
    assert simulated(ask, protocol, toxics, Replay.of(journal)) == real
    assert drawn == real
    assert simulated(ask, protocol, toxics, Dice(0)) != real


def test_seed(tmp_path: Path) -> None:
    """The seed is in the log, in the API, in the metrics, and in the journal."""
    file = tmp_path / "decisions.jsonl"
    here = "tcp:0:interface=127.0.0.1"
    words = ("--listen", here, "--upstream", "127.0.0.1:9", "--api", here, "--journal", str(file))
    with running(TWISTD, "-n", "--pidfile=", "lab-proxy", "--log-format", "json", *words) as proxy:
        seed = proxy.event("seed ")["seed"]
        api = address(proxy.event("api listens on")["endpoint"])
        proxy.started()
        assert [event["seed"] for event in proxy.events("proxy is made")] == [seed]
        assert [event["seed"] for event in proxy.events("proxy listens on")] == [seed]
        url = "http://{}:{}".format(*api)
        said = run(LAB, "proxy", "-h", url, "--json", "about")
        assert json.loads(said.out) == {"version": version("txlab"), "seed": seed}, said
        assert run(LAB, "proxy", "-h", url, "about").lines == [
            f"txlab {version('txlab')}, seed {seed}"
        ]
        with urllib.request.urlopen(f"{url}/metrics") as answer:
            assert f'lab_proxy_info{{seed="{seed}"' in answer.read().decode()
        assert Journal.read(file.read_text().splitlines()) == Journal(seed=seed)
        assert f"faults {{}}, seed {seed}" in proxy.end().out
