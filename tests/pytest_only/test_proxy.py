"""A real ``twistd lab-proxy``, driven by the clients that Toxiproxy has, and by plain HTTP."""

import http.client
import json
import os
import select
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

import pytest
from toxiproxy import Toxiproxy
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

from tests.pytest_only.processes import (
    PATIENCE,
    TWISTD,
    Server,
    connected,
    proxying,
    read_all,
    run,
    running,
)

PLACE = "tcp:0:interface=127.0.0.1"
NODE = shutil.which("node") or ""
SCRIPT = Path(__file__).with_name("toxiproxy_client.js")
NO_NODE = (
    "needs node 18 or later and toxiproxy-node-client: apt install nodejs npm, "
    "npm install --prefix DIR toxiproxy-node-client, export NODE_PATH=DIR/node_modules"
)


class _Upstream(ThreadingTCPServer):
    """A server with a thread for each connection; nobody waits for them."""

    daemon_threads = True
    request_queue_size = 128


@contextmanager
def upstream(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server whose connections are served by this function; gives its address as a text."""

    class Handler(BaseRequestHandler):
        """One connection."""

        def handle(self) -> None:
            """Serve it, until somebody breaks it off."""
            with suppress(OSError):
                serve(self.request)

    with _Upstream(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def echo(connection: socket.socket) -> None:
    """Send back what comes, up to the end."""
    while data := connection.recv(65536):
        connection.sendall(data)


@pytest.fixture(scope="module")
def echoing() -> Iterator[str]:
    """The address of a server that sends back what it gets."""
    with upstream(echo) as where:
        yield where


@pytest.fixture(scope="module")
def proxy() -> Iterator[Server]:
    """The process, which all tests use that do not need one of their own."""
    with proxying("--api", PLACE) as proxy:
        yield proxy


class Raw:
    """The API by HTTP and nothing else."""

    def __init__(self, where: tuple[str, int]) -> None:
        self.where = where

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """The status and body of an answer."""
        connection = http.client.HTTPConnection(*self.where, timeout=PATIENCE)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def create(self, upstream: str, **more: Any) -> tuple[str, int]:
        """Make a proxy called p; gives where it listens."""
        body = {"name": "p", "listen": "127.0.0.1:0", "upstream": upstream, **more}
        status, answer = self.ask("POST", "/proxies", body)
        assert status == 201, answer
        return where(json.loads(answer)["listen"])

    def add(self, type: str, stream: str = "downstream", toxicity: float = 1.0, **more: Any) -> str:
        """Add a toxic to it; gives its path."""
        body = {"type": type, "stream": stream, "toxicity": toxicity, "attributes": more}
        status, answer = self.ask("POST", "/proxies/p/toxics", body)
        assert status == 200, answer
        return f"/proxies/p/toxics/{json.loads(answer)['name']}"


@pytest.fixture
def raw(proxy: Server) -> Iterator[Raw]:
    """The API; without proxies before and afterwards."""
    raw = Raw(proxy.address("tcp"))
    yield raw
    for name in json.loads(raw.ask("GET", "/proxies")[1]):
        assert raw.ask("DELETE", f"/proxies/{name}")[0] == 204


@pytest.fixture
def client(raw: Raw, monkeypatch: pytest.MonkeyPatch) -> Toxiproxy:
    """The client for Python."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    client = Toxiproxy()
    client.update_api_consumer(*raw.where)
    return client


def where(listen: str) -> tuple[str, int]:
    """An address that the API gives."""
    host, _, port = listen.rpartition(":")
    return host, int(port)


def exchange(connection: socket.socket, data: bytes) -> bytes:
    """Send, and receive as much or up to the end."""
    connection.sendall(data)
    return receive(connection, len(data))


def receive(connection: socket.socket, size: int) -> bytes:
    """Receive so much, or up to the end."""
    data = b""
    while len(data) < size and (more := connection.recv(size - len(data))):
        data += more
    return data


# toxiproxy-python


def test_python_proxies(client: Toxiproxy, echoing: str) -> None:
    """Proxies are made, listed, looked up and removed; what can't be is the error it names."""
    assert client.running()
    assert json.loads(client.version()) == {"version": "2.12.0"}
    assert client.proxies() == {}
    made = client.create(upstream=echoing, name="one")
    assert (made.name, made.upstream, made.enabled) == ("one", echoing, True)
    with pytest.raises(ProxyExists):
        client.create(upstream=echoing, name="one")
    populated = [
        {"name": name, "upstream": echoing, "listen": "127.0.0.1:0"} for name in ("two", "three")
    ]
    assert [proxy.name for proxy in client.populate(populated)] == ["two", "three"]
    assert set(client.proxies()) == {"one", "two", "three"}
    assert client.get_proxy("four") is None
    for name in ("one", "two"):
        with connected(where(client.get_proxy(name).listen)) as connection:
            assert exchange(connection, b"hello") == b"hello"
    assert client.destroy(made)
    with pytest.raises(NotFound):
        made.destroy()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(where(made.listen), PATIENCE)
    client.destroy_all()
    assert client.proxies() == {}


def test_python_down(client: Toxiproxy, echoing: str) -> None:
    """While it is down connections are refused and those before are ended; then it is as before."""
    proxy = client.create(upstream=echoing, name="p")
    with connected(where(proxy.listen)) as before:
        assert exchange(before, b"hello") == b"hello"
        with proxy.down():
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(where(proxy.listen), PATIENCE)
            assert not client.get_proxy("p").enabled
            assert before.recv(1) == b""
    with connected(where(proxy.listen)) as connection:
        assert exchange(connection, b"hello") == b"hello"


def test_python_toxics(client: Toxiproxy, echoing: str) -> None:
    """Toxics are added, listed and removed; a reset removes all and enables what was not."""
    proxy = client.create(upstream=echoing, name="p")
    proxy.add_toxic(type="latency", attributes={"latency": 5})
    proxy.add_toxic(type="slicer", stream="upstream", name="cut", toxicity=0.5)
    assert set(proxy.toxics()) == {"latency_downstream", "cut"}
    toxic = proxy.get_toxic("latency_downstream")
    assert toxic.attributes == {"latency": 5, "jitter": 0}
    assert proxy.get_toxic("cut").toxicity == 0.5
    with pytest.raises(ProxyExists):  # its word for any 409
        proxy.add_toxic(type="latency")
    with pytest.raises(InvalidToxic):
        proxy.add_toxic(type="nothing")
    assert proxy.destroy_toxic("cut")
    with pytest.raises(NotFound):
        proxy.destroy_toxic("cut")
    proxy.disable()
    assert client.reset()
    assert client.get_proxy("p").enabled
    assert proxy.toxics() == {}
    with connected(where(proxy.listen)) as connection:
        assert exchange(connection, b"hello") == b"hello"


def test_python_traffic(client: Toxiproxy, echoing: str) -> None:
    """What its toxics do to connections."""
    proxy = client.create(upstream=echoing, name="p")
    there = where(proxy.listen)
    with connected(there) as connection:
        for stream in ("upstream", "downstream"):
            proxy.add_toxic(type="latency", stream=stream, attributes={"latency": 60})
        begin = time.monotonic()
        assert exchange(connection, b"hello") == b"hello"
        assert time.monotonic() - begin >= 0.12
    client.reset()
    proxy.add_toxic(type="reset_peer", attributes={"timeout": 1})
    with connected(there) as connection:
        connection.sendall(b"hello")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    client.reset()
    proxy.add_toxic(type="limit_data", attributes={"bytes": 3})
    with connected(there) as connection:
        assert exchange(connection, b"hello") == b"hel"
    client.reset()
    proxy.add_toxic(type="timeout", attributes={"timeout": 50})
    with connected(there) as connection:
        begin = time.monotonic()
        assert exchange(connection, b"hello") == b""
        assert time.monotonic() - begin >= 0.05


# toxiproxy-node-client


def has_node_client() -> bool:
    """Whether node finds the client."""
    return bool(NODE) and run(NODE, "-e", "require.resolve('toxiproxy-node-client')").code == 0


@pytest.mark.parametrize("part", ["proxies", "toxics", "traffic"])
def test_node(raw: Raw, echoing: str, part: str) -> None:
    """The client for Node does the same; the script says what."""
    if not has_node_client():
        pytest.skip(NO_NODE)
    host, port = raw.where
    ended = run(NODE, str(SCRIPT), part, f"http://{host}:{port}", echoing)
    assert (ended.code, ended.lines) == (0, [f"{part}: good"]), ended.err


# Plain HTTP


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_reset_of_an_open_connection(raw: Raw, echoing: str, stream: str) -> None:
    """A reset_peer that comes to a connection resets it with RST, no FIN."""
    with connected(raw.create(echoing)) as connection:
        assert exchange(connection, b"hello") == b"hello"
        raw.add("reset_peer", stream)
        connection.sendall(b"more")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_half_close(raw: Raw) -> None:
    """A request that ends with FIN has its whole reply, with latency on both legs."""
    request, reply = os.urandom(300_000), os.urandom(300_000)
    heard = []

    def serve(connection: socket.socket) -> None:
        """Reply when all is there."""
        heard.append(read_all(connection))
        connection.sendall(reply)

    with upstream(serve) as place, connected(raw.create(place)) as connection:
        for stream in ("upstream", "downstream"):
            raw.add("latency", stream, latency=30, jitter=10)
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == reply
    assert heard == [request]


@pytest.mark.parametrize(
    ("type", "attributes"),
    [
        ("slicer", {}),
        ("slicer", {"average_size": 10, "size_variation": 40}),
        ("bandwidth", {"rate": -1}),
        ("latency", {"jitter": 2**63 - 1}),
        ("latency", {"latency": -5}),
        ("limit_data", {"bytes": 2**63 - 1}),
    ],
)
def test_numbers_without_sense(raw: Raw, echoing: str, type: str, attributes: Any) -> None:
    """With any numbers and traffic it goes on; without them what was held back is there."""
    place = raw.create(echoing)
    paths = [raw.add(type, stream, **attributes) for stream in ("upstream", "downstream")]
    with connected(place) as connection:
        connection.sendall(b"x")
        connection.sendall(bytes(100))
        assert raw.ask("GET", "/version")[0] == 200
        for path in paths:
            assert raw.ask("DELETE", path) == (204, b"")
        assert receive(connection, 101) == b"x" + bytes(100)


def test_toxicity_0(raw: Raw, echoing: str) -> None:
    """A fault that takes place with probability 0 touches none of a hundred connections."""
    place = raw.create(echoing)
    for stream in ("upstream", "downstream"):
        for type in ("reset_peer", "timeout", "limit_data"):
            raw.add(type, stream, toxicity=0)
    for _ in range(100):
        with connected(place) as connection:
            assert exchange(connection, b"hello") == b"hello"
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""


def fill(connection: socket.socket) -> int:
    """Send until nothing more is taken for a while; gives how much was."""
    connection.setblocking(False)
    sent, piece = 0, bytes(1 << 16)
    while select.select([], [connection], [], 0.2)[1]:
        sent += connection.send(piece)
    connection.setblocking(True)
    return sent


def calls(raw: Raw) -> list[int]:
    """Ask for any kind of change, one after the other; gives the statuses."""
    asked: list[tuple[str, str, Any]] = [
        ("POST", "/toxics", {"type": "latency", "attributes": {"latency": 10}}),
        ("PATCH", "/toxics/latency_downstream", {"attributes": {"latency": 20}}),
        ("POST", "/toxics", {"type": "timeout", "stream": "upstream"}),
        ("DELETE", "/toxics/latency_downstream", None),
        ("GET", "", None),
        ("PATCH", "", {"enabled": False}),
        ("PATCH", "", {"enabled": True}),
        ("DELETE", "", None),
    ]
    return [raw.ask(method, f"/proxies/p{path}", body)[0] for method, path, body in asked]


DONE = [200, 200, 200, 204, 200, 200, 200, 204]


def test_calls_while_nothing_passes(raw: Raw, echoing: str) -> None:
    """With a bandwidth of 0 and full buffers, all calls return, and soon."""
    place = raw.create(echoing)
    raw.add("bandwidth", "upstream", rate=0)
    with connected(place) as connection:
        assert fill(connection) > 0
        begin = time.monotonic()
        assert calls(raw) == DONE
        assert time.monotonic() - begin < 5


def test_calls_while_nobody_reads(raw: Raw) -> None:
    """The same with a client that does not read, and a server that does nothing but send."""
    full = threading.Event()

    def serve(connection: socket.socket) -> None:
        """Send, and stay."""
        assert fill(connection) > 0
        full.set()
        connection.recv(1)

    with upstream(serve) as place, connected(raw.create(place)):
        assert full.wait(PATIENCE)
        begin = time.monotonic()
        assert calls(raw) == DONE
        assert time.monotonic() - begin < 5


# The command line


def test_config_in_force_at_once(echoing: str, tmp_path: Path) -> None:
    """No connection is faster than the toxics of a file, even one that knocks all the time."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = free.getsockname()
    toxic = {"type": "limit_data", "attributes": {"bytes": 3}}
    proxy = {"name": "p", "listen": "{}:{}".format(*listen), "upstream": echoing}
    file = tmp_path / "proxies.json"
    file.write_text(json.dumps([{**proxy, "toxics": [toxic]}]))
    deadline = time.monotonic() + PATIENCE
    with running(TWISTD, "-n", "--pidfile=", "lab-proxy", "--config", str(file), "--api", PLACE):
        while True:
            with suppress(ConnectionRefusedError), connected(listen) as connection:
                assert exchange(connection, b"hello") == b"hel"
                break
            assert time.monotonic() < deadline
            os.sched_yield()


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{}",
        "[{}]",
        '[{"name": "p"}]',
        '[{"name": "p", "upstream": "h:1", "toxics": [{"type": "nothing"}]}]',
        '[{"name": "p", "upstream": "h:1", "listen": "127.0.0.1:0"}, {"name": "p"}]',
    ],
)
def test_wrong_config(text: str | None, tmp_path: Path) -> None:
    """A file that can't be read, or means nothing: one line, and exit code 2."""
    file = tmp_path / "proxies.json"
    if text is not None:
        file.write_text(text)
    ended = run(TWISTD, "-n", "--pidfile=", "lab-proxy", "--config", str(file), "--api", PLACE)
    assert ended.code == 2, ended
    assert len(ended.err.splitlines()) == 1, ended
    assert ended.err.startswith("lab-proxy: ")
    assert "Traceback" not in ended.out


def test_unknown_name() -> None:
    """A name to listen at that nobody knows ends the program, as a port in use does."""
    where = ("--listen", "nobody.invalid:0", "--upstream", "127.0.0.1:9")
    ended = run(TWISTD, "-n", "--pidfile=", "lab-proxy", *where)
    assert ended.code == 1, ended
    (line,) = ended.err.splitlines()
    assert line.startswith("listen tcp: lookup nobody.invalid: ")
    assert "Traceback" not in ended.out


def decisions(place: str, seed: int, file: Path) -> list[dict[str, Any]]:
    """What a proxy with this seed writes down about the same traffic; without the times."""
    faults = (
        "latency:latency=2,jitter=2,toxicity=0.5",
        "slicer:average_size=2,size_variation=1",
        "corrupt:probability=0.3,stream=upstream",
    )
    words = [word for text in faults for word in ("--fault", text)]
    options = ("--seed", str(seed), "--journal", str(file), *words)
    with proxying("--listen", PLACE, "--upstream", f"tcp:{place}", *options) as proxy:
        for _ in range(6):
            with connected(proxy.address("tcp")) as connection:
                for _ in range(8):
                    assert len(exchange(connection, b"hello")) == 5
        proxy.process.end()
    header, *lines = file.read_text().splitlines()
    assert json.loads(header) == {"journal": 1, "seed": seed}
    return [{**json.loads(line), "at": 0} for line in lines]


def test_seed(echoing: str, tmp_path: Path) -> None:
    """Equal seeds decide the same about the same traffic, another one does not."""
    first, again, other = (
        decisions(echoing, seed, tmp_path / f"{number}.jsonl")
        for number, seed in enumerate((12, 12, 13))
    )
    assert {entry["fault"].split("_")[0] for entry in first} == {"latency", "slicer", "corrupt"}
    assert {entry["connection"] for entry in first} == set(range(6))
    assert first == again
    assert first != other
