"""Sequences through a real ``twistd lab-proxy`` that is ended in the middle and started again."""

import json
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.pytest_only.processes import (
    LAB,
    PATIENCE,
    Ended,
    Process,
    Server,
    connected,
    proxying,
    read_line,
    running,
    serving,
)

PLACE = "tcp:0:interface=127.0.0.1"
EQUAL = "system - SUCCESS! local checksum and server checksum are equal"
CLIENTS = 3
#: A number comes so often, in seconds, so that times can be counted in numbers.
INTERVAL = 0.05


def serve(window: float) -> AbstractContextManager[Server]:
    """A server whose sessions wait so long for their clients, in seconds."""
    options = ("--interval", str(INTERVAL), "--reconnect-window", str(window))
    return serving(*options, places=[PLACE], service="sequence")


def proxy_to(server: Server, port: int = 0) -> AbstractContextManager[Server]:
    """A proxy in front of it, at this port; 0 takes a free one."""
    listen = f"tcp:{port}:interface=127.0.0.1"
    return proxying("--listen", listen, "--upstream", server.places[0])


@contextmanager
def receiving(proxy: Server, n: int, folder: Path) -> Iterator[list[Process]]:
    """Clients that receive so many numbers each, and have a few of them."""
    with ExitStack() as stack:
        words = (LAB, "sequence", proxy.places[0], str(n), "--json")
        clients = [
            stack.enter_context(running(*words, "--log-file", f"{index}.log", cwd=folder))
            for index in range(CLIENTS)
        ]
        for client in clients:
            numbers_after(client, "session")
        yield clients


def numbers_after(client: Process, event: str) -> None:
    """Wait until it tells of this, and has a few numbers behind it."""
    client.line(lambda line: f'"event": "{event}"' in line)
    for _ in range(5):
        client.line(lambda line: '"event": "number"' in line)


def told(ended: Ended, event: str) -> list[dict[str, Any]]:
    """What a client has told of this kind."""
    events = [json.loads(line) for line in ended.lines]
    return [one for one in events if one["event"] == event]


def watch(server: Server, seconds: float) -> None:
    """
    Wait until so much time has passed for a server.

    Its own numbers tell: the first comes at once, and then one every `INTERVAL`.
    """
    with connected(server.address("tcp")) as connection:
        connection.settimeout(PATIENCE)
        connection.sendall(b"start 65535\n")
        assert read_line(connection).startswith(b"session ")
        for index in range(round(seconds / INTERVAL) + 1):
            assert read_line(connection).startswith(b"number %d " % index)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.thorough)]
)
def test_proxy_restarted(number: int, tmp_path: Path) -> None:
    """Ended twice and started again at the same port, it costs no client a single number."""
    n = 100
    with serve(20) as server, proxy_to(server) as proxy:
        port = proxy.address("tcp")[1]
        with receiving(proxy, n, tmp_path) as clients:
            proxy.process.end(number)
            with proxy_to(server, port) as second:
                for client in clients:
                    numbers_after(client, "resumed")
                second.process.end(number)
                with proxy_to(server, port):
                    ended = [client.wait() for client in clients]
        log = server.process.end(signal.SIGINT).out
    for client in ended:
        (verdict,) = told(client, "ended")
        assert (client.code, verdict["verdict"]) == (0, EQUAL)
        assert [one["index"] for one in told(client, "number")] == list(range(n))
    # On a slow machine one may have all before another has gone on.
    resumed = [len(told(client, "resumed")) for client in ended]
    assert max(resumed) == 2
    counts = f"{CLIENTS} begun, {sum(resumed)} resumed, {CLIENTS} done, 0 rejected"
    assert counts in log


def test_proxy_away_for_too_long(tmp_path: Path) -> None:
    """Sessions wait as long as the window; clients that come later are rejected: exit code 3."""
    window = 2.0
    with serve(window) as server, proxy_to(server) as proxy:
        port = proxy.address("tcp")[1]
        with receiving(proxy, 500, tmp_path) as clients:
            proxy.process.end(signal.SIGKILL)
            watch(server, window + 0.5)
            with proxy_to(server, port):
                ended = [client.wait() for client in clients]
        log = server.process.end(signal.SIGINT).out
    for client in ended:
        (verdict,) = told(client, "ended")
        assert (client.code, verdict["outcome"]) == (3, "rejected")
        last = told(client, "number")[-1]["index"]
        text = verdict["verdict"]
        # Those that come later still are not even known any more.
        assert text in {
            f"system - FAILURE! rejected: {reason}; the last index is {last}"
            for reason in ("expired", "unknown")
        }
        assert "refused" in told(client, "retry")[-1]["reason"]
    assert f"0 resumed, 0 done, {CLIENTS} rejected" in log
