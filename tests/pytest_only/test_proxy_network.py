"""A real ``twistd lab-proxy`` whose network is slow together, cut at times, or one with a name."""

import json
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lab.faults.profiles import PROFILES, profile
from tests.pytest_only.processes import (
    LAB,
    PATIENCE,
    Server,
    address,
    connected,
    datagrams,
    proxying,
    read_all,
    run,
)
from tests.pytest_only.test_proxy import echo, upstream

#: Real processes take their time: with the longer explorations.
pytestmark = pytest.mark.thorough

API = "tcp:0:interface=127.0.0.1"
HERE = "127.0.0.1:0"


@pytest.fixture(scope="module")
def echoing() -> Iterator[str]:
    """The address of a server that sends back what it gets."""
    with upstream(echo) as where:
        yield where


@contextmanager
def proxy(where: str, *options: str) -> Iterator[tuple[Server, tuple[str, int], str]]:
    """A proxy for this server with an API: its process, where it listens, the API's URL."""
    words = ("--listen", HERE, "--upstream", where, "--api", API, *options)
    with proxying(*words, ports=2) as process:
        here, api = map(address, process.places)
        yield process, here, f"http://127.0.0.1:{api[1]}"


def ask(url: str, method: str = "GET", body: Any = None) -> Any:
    """What the API answers."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, method=method)) as answer:
        return json.loads(answer.read() or b"null")


def lab(api: str, *words: str) -> str:
    """What ``lab proxy`` says if all is well."""
    done = run(LAB, "proxy", "-h", api, *words)
    assert (done.code, done.err) == (0, ""), done
    return done.out


def names(api: str) -> list[str]:
    """The names of the toxics of the proxy."""
    return [toxic["name"] for toxic in ask(f"{api}/proxies/proxy/toxics")]


# A rate for all


def test_scope() -> None:
    """Three downloads through one proxy take as long as one of three times the size."""
    size = 40_000

    def serve(connection: socket.socket) -> None:
        """Send so much, and end."""
        connection.sendall(bytes(size))

    with (
        upstream(serve) as where,
        proxy(where, "--fault", "bandwidth:rate=200,scope=proxy") as (_, here, api),
    ):
        attributes = ask(f"{api}/proxies/proxy")["toxics"][0]["attributes"]
        assert attributes == {"rate": 200, "scope": "proxy"}
        begin = time.monotonic()
        with connected(here) as one, connected(here) as two, connected(here) as three:
            for connection in (one, two, three):
                assert len(read_all(connection)) == size
        assert time.monotonic() - begin >= 0.6


def test_scope_of_datagrams() -> None:
    """Two clients of UDP have the rate together, and one queue."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        proxying(
            *("--listen", "udp:0:interface=127.0.0.1"),
            *("--upstream", f"udp:127.0.0.1:{_bound(server)}"),
            *("--fault", "bandwidth:rate=100,scope=proxy,packets=20,stream=upstream"),
        ) as process,
    ):
        listen = process.process.events("proxy listens on")[0]["listen"]
        where = ("127.0.0.1", int(listen.split(":")[1]))
        with datagrams(where) as one, datagrams(where) as other:
            for _ in range(30):
                one.send(b"1" + bytes(999))
                other.send(b"2" + bytes(999))
            server.settimeout(PATIENCE)
            seen = [server.recv(1000)[:1] for _ in range(20)]
            assert min(seen.count(b"1"), seen.count(b"2")) >= 5
        assert "faults {'bandwidth_upstream': 60}" in process.process.end().out


def _bound(port: socket.socket) -> int:
    """Bind it to a free port; which that is."""
    port.bind(("127.0.0.1", 0))
    return int(port.getsockname()[1])


# Steps


def test_steps(echoing: str) -> None:
    """A partition holds bytes, its end lets them go, and so it goes on."""
    options = ("--at", "300ms/2s:partition", "--at", "1.3/2:heal")
    with proxy(echoing, *options) as (process, here, api), connected(here) as connection:
        process.process.event("at 0.3 s: partition (proxy)")
        assert names(api) == ["partition_upstream", "partition_downstream"]
        connection.sendall(b"hello")
        assert connection.recv(5) == b"hello"
        now = datetime.now(UTC)
        healed = process.process.event("at 1.3 s: heal (proxy)")
        assert now >= datetime.fromisoformat(healed["time"])
        assert names(api) == []
        process.process.event("at 2.3 s: partition (proxy)")
        ended = process.process.end()
    assert (ended.code, ended.err) == (-signal.SIGTERM, "")


def test_down(echoing: str) -> None:
    """Connections end, and the port is closed."""
    options = ("--at", "0.2:drop", "--at", "0.4:down")
    with proxy(echoing, *options) as (process, here, _):
        with connected(here) as connection:
            assert read_all(connection) == b""
        process.process.event("proxy has changed")
        with pytest.raises(ConnectionRefusedError), connected(here):
            pass


def test_up(echoing: str) -> None:
    """The port is open again, and a fault comes."""
    options = ("--at", "0.1:down", "--at", "0.2:up", "--at", "0.2:latency:latency=30")
    with proxy(echoing, *options) as (process, here, api):
        process.process.event("at 0.2 s: latency:latency=30 (proxy)")
        assert names(api) == ["latency_downstream"]
        with connected(here) as connection:
            begin = time.monotonic()
            connection.sendall(b"x")
            assert connection.recv(1) == b"x"
            assert time.monotonic() - begin >= 0.03


def test_partition_by_hand(echoing: str) -> None:
    """``lab proxy partition`` and ``heal``, on TCP and UDP."""
    with proxy(echoing) as (_, here, api), connected(here) as connection:
        for _ in range(2):
            assert lab(api, "partition", "proxy") == "proxy is partitioned\n"
        assert names(api) == ["partition_upstream", "partition_downstream"]
        connection.sendall(b"hello")
        assert lab(api, "heal", "proxy") == "proxy is healed\n"
        assert connection.recv(5) == b"hello"
        made = ask(f"{api}/proxies", "POST", {"name": "u", "upstream": "a:1", "protocol": "udp"})
        lab(api, "partition", made["name"])
        kinds = [toxic["type"] for toxic in ask(f"{api}/proxies/u/toxics")]
        assert kinds == ["blackhole"] * 2
        done = run(LAB, "proxy", "-h", api, "partition", "nothing")
        assert (done.code, done.err) == (1, "proxy not found (status 404)\n")


def test_times_of_a_fault(echoing: str) -> None:
    """A fault that works for a time: by option, in milliseconds, and by ``lab proxy``."""
    fault = "partition:after=100,duration=400,name=cut"
    with proxy(echoing, "--fault", fault) as (_, here, api):
        shown = lab(api, "inspect", "proxy").split("\t")
        assert shown[-1] == "after=100 duration=400\n"
        assert _longest_wait(here) > 0.25
        ask(f"{api}/proxies/proxy/toxics/cut", "DELETE")
        words = ("--after", "100ms", "--duration", "0.4", "--every", "10m")
        lab(api, "toxic", "add", "-t", "partition", "-n", "again", *words, "proxy")
        (toxic,) = ask(f"{api}/proxies/proxy/toxics")
        assert [toxic[name] for name in ("after", "duration", "every")] == [100, 400, 600_000]
        assert _longest_wait(here) > 0.25


def _longest_wait(here: tuple[str, int]) -> float:
    """The longest that a byte takes there and back, in the first 0.6 s of a connection."""
    with connected(here) as connection:
        begin = sent = time.monotonic()
        longest = 0.0
        while sent < begin + 0.6:
            sent = time.monotonic()
            connection.sendall(b"x")
            assert connection.recv(1) == b"x"
            longest = max(longest, time.monotonic() - sent)
    return longest


def test_reset_of_a_silent_connection(echoing: str) -> None:
    """With ``idle``, reset_peer resets a connection on which nothing is ever sent."""
    fault = "reset_peer:timeout=50,idle=true"
    with (
        proxy(echoing, "--fault", fault) as (_, here, _),
        connected(here) as connection,
        pytest.raises(ConnectionResetError),
    ):
        connection.recv(1)


# Links by name


def test_profile(echoing: str, tmp_path: Path) -> None:
    """A link by option, in a file, by the API and by ``lab proxy``: its faults are in force."""
    path = tmp_path / "proxies.json"
    entry = {"name": "b", "listen": HERE, "upstream": echoing, "profile": "cable"}
    path.write_text(json.dumps([entry]))
    words = ("--listen", HERE, "--upstream", echoing, "--api", API, "--profile", "3g")
    with proxying(*words, "--config", str(path), ports=3) as process:
        here, _, place = map(address, process.places)
        api = f"http://127.0.0.1:{place[1]}"
        assert names(api) == [fault.name for fault in profile("3g").faults()]
        found = ask(f"{api}/proxies/b/toxics")
        assert [toxic["name"] for toxic in found] == [f.name for f in profile("cable").faults()]
        with connected(here) as connection:
            begin = time.monotonic()
            connection.sendall(b"x")
            assert connection.recv(1) == b"x"
            assert time.monotonic() - begin >= 0.3
        lab(api, "create", "-u", echoing, "-l", HERE, "--profile", "satellite", "c")
        (first, *_) = ask(f"{api}/proxies/c/toxics")
        assert (first["name"], first["attributes"]) == (
            "satellite_bandwidth_upstream",
            {"rate": 304, "scope": "proxy"},
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(f"{api}/proxies", "POST", {"name": "d", "upstream": "a:1", "profile": "6g"})
        assert refused.value.code == 400
        assert "give one of dialup, edge, " in json.loads(refused.value.read())["error"]


def test_profiles() -> None:
    """They are listed without a proxy."""
    done = run(LAB, "proxy", "-h", "127.0.0.1:1", "profiles")
    assert [line.split("\t")[0] for line in done.lines] == list(PROFILES)
