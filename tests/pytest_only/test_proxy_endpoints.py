"""TLS, Unix sockets and the PROXY protocol on the legs of a real ``twistd lab-proxy``."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from lab.wire.proxy_protocol import encode
from tests.helpers import certify
from tests.pytest_only.processes import (
    LAB,
    PATIENCE,
    Ended,
    ask_tcp,
    connected,
    read_all,
    read_line,
    run,
    serving,
)
from tests.pytest_only.proxies import PLACE, PROXY, proxying

#: Real processes take their time: with the longer explorations.
pytestmark = pytest.mark.thorough


def ask(endpoint: str) -> Ended:
    """Ask something."""
    return run(LAB, "arithmetic", endpoint, "*,6,7")


def test_each_leg(tmp_path: Path) -> None:
    """TLS and Unix sockets on either leg, and on both; each is named as the next is opened."""
    certify(tmp_path, "localhost")
    (tmp_path / "names").mkdir()
    (tmp_path / "names" / "localhost.pem").symlink_to(tmp_path / "server.pem")
    secure = f"ssl:0:interface=127.0.0.1:privateKey={tmp_path}/server.pem"
    named = f"tls:{tmp_path}/names:port=0:interface=127.0.0.1"
    roots = f"trustRoots={tmp_path}/roots"
    with (
        serving(places=[secure, f"unix:{tmp_path}/server"]) as server,
        proxying(
            (PLACE, f"tls:localhost:{server.address('ssl')[1]}:{roots}"),
            (secure, f"unix:{tmp_path}/server"),
            (named, f"tls:localhost:{server.address('ssl')[1]}:{roots}"),
            (f"unix:{tmp_path}/proxy", f"unix:{tmp_path}/server"),
        ) as proxies,
    ):
        assert ask_tcp(("127.0.0.1", proxies.ports[0])) == b"200,2\n"
        for client in (
            f"tls:localhost:{proxies.ports[1]}:{roots}",
            f"tls:localhost:{proxies.ports[2]}:{roots}",
            f"unix:{tmp_path}/proxy",
        ):
            assert ask(client) == Ended(0, "42\n", ""), client
        ended = proxies.process.end()
    assert ended.err == ""
    assert not (tmp_path / "proxy").exists()


def test_not_trusted(tmp_path: Path) -> None:
    """An upstream that shows a wrong certificate is none: EOF for the client, a reason, a count."""
    certify(tmp_path, "localhost")
    secure = f"ssl:0:interface=127.0.0.1:privateKey={tmp_path}/server.pem"
    with serving(places=[secure]) as server:
        port = server.address("ssl")[1]
        stranger = f"tls:localhost:{port}"
        other_name = f"tls:127.0.0.1:{port}:trustRoots={tmp_path}/roots"
        with proxying((PLACE, stranger), (PLACE, other_name)) as proxies:
            for name, place, why in (
                ("proxy", proxies.ports[0], "certificate verify failed"),
                ("proxy-2", proxies.ports[1], "127.0.0.1"),
            ):
                with connected(("127.0.0.1", place)) as client:
                    client.sendall(b"+,1,1\n")
                    assert read_all(client) == b""
                told = proxies.process.event("has no upstream")
                assert (told["name"], told["refused"]) == (name, 1)
                assert why in told["message"]
                assert "\n" not in told["message"]
                assert proxies.counted(name, "lab_proxy_refused_total") == 1
            ended = proxies.process.end()
    assert "Traceback" not in ended.out + ended.err


def test_no_tls(tmp_path: Path) -> None:
    """Who talks no TLS where TLS is wanted harms nobody, and the upstream hears nothing of it."""
    certify(tmp_path, "localhost")
    secure = f"ssl:0:interface=127.0.0.1:privateKey={tmp_path}/server.pem"
    with serving() as server, proxying((secure, server.place("tcp"))) as proxies:
        for _ in range(3):
            with connected(("127.0.0.1", proxies.ports[0])) as client:
                client.sendall(b"+,1,1\n")
                with suppress(ConnectionResetError):
                    assert b"200" not in read_all(client)
        answered = ask(f"tls:localhost:{proxies.ports[0]}:trustRoots={tmp_path}/roots")
        assert answered == Ended(0, "42\n", "")
        sent = proxies.counted("proxy", "toxiproxy_proxy_sent_bytes_total", direction="upstream")
        assert sent == len("#123456-1 *,6,7\n")
        ended = proxies.process.end()
    assert "Traceback" not in ended.out + ended.err


# The PROXY protocol.


@contextmanager
def listening(family: int, where: Any) -> Iterator[socket.socket]:
    """A server that accepts nobody by itself."""
    with socket.socket(family) as server:
        server.settimeout(PATIENCE)
        server.bind(where)
        server.listen()
        yield server


def families(path: Path) -> Iterator[tuple[int, str]]:
    """What a client may connect over here, and where to listen for it."""
    yield socket.AF_INET, PLACE
    yield socket.AF_UNIX, f"unix:{path}"
    with suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        yield socket.AF_INET6, r"tcp:0:interface=\:\:1"


@pytest.mark.parametrize("version", [1, 2])
def test_header(version: int, tmp_path: Path) -> None:
    """The first bytes say who the client is, over IPv4, IPv6 and a Unix socket."""
    with ExitStack() as stack:
        server = stack.enter_context(listening(socket.AF_INET, ("127.0.0.1", 0)))
        upstream = f"haproxy:{version}:tcp:127.0.0.1:{server.getsockname()[1]}"
        found = list(families(tmp_path / "s"))
        proxies = stack.enter_context(proxying(*((listen, upstream) for _, listen in found)))
        for number, ((family, _), port) in enumerate(zip(found, proxies.ports, strict=True), 1):
            client = stack.enter_context(socket.socket(family))
            inet = family != socket.AF_UNIX
            host = "127.0.0.1" if family == socket.AF_INET else "::1"
            client.connect((host, port) if inet else str(tmp_path / "s"))
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            connection = stack.enter_context(server.accept()[0])
            ends = (client.getsockname()[:2], client.getpeername()[:2]) if inet else (None, None)
            assert read_all(connection) == encode(version, *ends) + b"hello"
            name = "proxy" if number == 1 else f"proxy-{number}"
            for what in ("received", "sent"):
                metric = f"toxiproxy_proxy_{what}_bytes_total"
                assert proxies.counted(name, metric, direction="upstream") == 5


def test_known_to_the_server() -> None:
    """Our server behind ``haproxy:``, which is Twisted's, knows the client's address."""
    with (
        serving(places=["haproxy:tcp:0:interface=127.0.0.1"]) as server,
        proxying(
            (PLACE, f"haproxy:1:tcp:127.0.0.1:{server.address('haproxy')[1]}"),
            (PLACE, f"haproxy:2:tcp:127.0.0.1:{server.address('haproxy')[1]}"),
        ) as proxies,
    ):
        for port in proxies.ports:
            with connected(("127.0.0.1", port)) as client:
                client.sendall(b"*,6,7\n" + b"x" * 2000 + b"\n")
                assert read_line(client) == b"200,42\n"
                read_all(client)
                address = client.getsockname()[1]
            told = server.process.event("is let go")
            assert f"host='127.0.0.1', port={address}" in told["message"]


def test_by_clients() -> None:
    """Our clients take such endpoints, too: they connect for themselves."""
    with serving(places=["haproxy:tcp:0:interface=127.0.0.1"]) as server:
        port = server.address("haproxy")[1]
        assert ask(f"haproxy:2:tcp:127.0.0.1:{port}") == Ended(0, "42\n", "")


def test_faults_behind_the_header() -> None:
    """A fault of the API begins behind it."""
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as server:
        upstream = f"haproxy:2:tcp:127.0.0.1:{server.getsockname()[1]}"
        with proxying((PLACE, upstream)) as proxies:
            toxic = {"type": "limit_data", "stream": "upstream", "attributes": {"bytes": 3}}
            assert proxies.ask("POST", "/proxies/proxy/toxics", toxic)[0] == 200
            with connected(("127.0.0.1", proxies.ports[0])) as client:
                client.sendall(b"hello")
                with server.accept()[0] as connection:
                    header = encode(2, client.getsockname(), client.getpeername())
                    assert read_all(connection) == header + b"hel"


# Mistakes.


def test_wrong_upstream() -> None:
    """One line on the command line."""
    ended = run(*PROXY, "--listen", PLACE, "--upstream", "haproxy:3:tcp:a:1")
    assert ended.code != 0
    (line,) = ended.err.splitlines()
    assert "upstream is 'haproxy:3:tcp:a:1'; " in line
    assert "give haproxy:1:ENDPOINT or haproxy:2:ENDPOINT, where ENDPOINT begins " in line


def test_wrong_in_api(tmp_path: Path) -> None:
    """The API refuses what is wrong, and goes on."""
    asked = (
        (PLACE, "haproxy:3:tcp:a:1", "give haproxy:1:ENDPOINT"),
        (PLACE, "haproxy:2:udp:a:1", "give haproxy:1:ENDPOINT"),
        (PLACE, "tls:a", "give one like"),
        (PLACE, "tls:a:1:trustRoots=/nowhere", "No such file or directory"),
        (f"ssl:0:privateKey={tmp_path}/none", "127.0.0.1:9", "No such file"),
    )
    with proxying() as proxies:
        for listen, upstream, said in asked:
            body = {"name": "a", "listen": listen, "upstream": upstream}
            status, answer = proxies.ask("POST", "/proxies", body)
            assert (status, said in json.loads(answer)["error"]) == (400, True), answer
        body = {"name": "a", "protocol": "udp", "listen": "", "upstream": "haproxy:1:udp:a:1"}
        assert "that is tcp, and the proxy is udp" in proxies.ask("POST", "/proxies", body)[1]
        body = {"name": "a", "listen": f"unix:{tmp_path}/s", "upstream": "haproxy:1:tcp:a:1"}
        assert proxies.ask("POST", "/proxies", body)[0] == 201
