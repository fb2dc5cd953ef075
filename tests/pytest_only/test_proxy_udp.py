"""A real ``twistd -n lab-proxy`` before a real ``lab-server``, over UDP."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.pytest_only.processes import (
    LAB,
    TWISTD,
    Process,
    address,
    ask_udp,
    datagrams,
    run,
    running,
    serving,
)

UDP = "udp:0:interface=127.0.0.1"
PROXY = (TWISTD, "-n", "--pidfile=", "lab-proxy")


@contextmanager
def proxying(*options: str) -> Iterator[tuple[Process, int]]:
    """A lab-proxy with these options and an API, and the port of that."""
    words = [*PROXY, "--api", "tcp:0:interface=127.0.0.1", "--log-format", "json", *options]
    with running(*words) as process:
        place = process.event("api listens on")["endpoint"]
        process.started()
        yield process, address(place)[1]


def ask(api: int, method: str, path: str, body: Any = None) -> Any:
    """What the API answers: JSON, or a text that is none."""
    data = None if body is None else json.dumps(body).encode()
    url = f"http://127.0.0.1:{api}{path}"
    with urllib.request.urlopen(urllib.request.Request(url, data, method=method)) as answer:
        text = answer.read().decode()
    return json.loads(text) if text.startswith("{") else text


def counted(api: int, name: str) -> float:
    """One number of the only proxy."""
    (found,) = (
        sample.value
        for family in text_string_to_metric_families(ask(api, "GET", "/metrics"))
        for sample in family.samples
        if sample.name == name
    )
    return found


def test_loss() -> None:
    """What a fault loses is asked again: each answer comes, with this seed at the third time."""
    with serving(places=[UDP]) as server:
        upstream = server.place("udp")
        options = ("--listen", UDP, "--upstream", upstream, "--fault", "loss:probability=0.3")
        with proxying(*options, "--seed", "12") as (process, api):
            (said,) = process.events("proxy listens on")
            port = said["listen"].split(":")[1]
            answered = run(
                LAB,
                "arithmetic",
                f"udp:localhost:{port}",
                *("--timeout", ".1", "--backoff"),
                *["+,1,1"] * 20,
            )
            assert answered.lines == ["2"] * 20, answered
            assert counted(api, "lab_proxy_fault_hits_total") > 0
            ended = process.end()
        assert "faults {'loss_downstream': " in ended.out
        assert not ended.err


def test_api() -> None:
    """A proxy of UDP is made, given a fault, disabled and enabled again, and counts."""
    with serving(places=[UDP]) as server, proxying() as (_, api):
        upstream = "{}:{}".format(*server.address("udp"))
        body = {"name": "a", "protocol": "udp", "listen": "127.0.0.1:0", "upstream": upstream}
        made = ask(api, "POST", "/proxies", body)
        assert made["protocol"] == "udp"
        where = address(f"udp:{made['listen']}")
        assert ask_udp(where) == b"200,2"
        toxic = {"type": "duplicate", "attributes": {"probability": 1}}
        ask(api, "POST", "/proxies/a/toxics", toxic)
        with datagrams(where) as port:
            port.send(b"+,1,2")
            assert [port.recv(99), port.recv(99)] == [b"200,3"] * 2
        ask(api, "PATCH", "/proxies/a", {"enabled": False})
        again = ask(api, "PATCH", "/proxies/a", {"enabled": True})
        assert again["listen"] == made["listen"]
        assert ask_udp(where) == b"200,2"
        assert counted(api, "lab_proxy_accepted_total") == 3
        for name in ("icmp_refusals", "overflowed", "unsent"):
            assert counted(api, f"lab_proxy_{name}_total") == 0


def test_all_addresses() -> None:
    """Without a host it listens at all addresses, and clients of IPv4 get their replies."""
    with serving(places=[UDP]) as server, proxying() as (_, api):
        upstream = server.place("udp")
        body = {"name": "a", "protocol": "udp", "upstream": upstream}
        made = ask(api, "POST", "/proxies", body)
        assert made["listen"].startswith("[::]:")
        port = int(made["listen"].rpartition(":")[2])
        assert ask_udp(("127.0.0.1", port)) == b"200,2"


def test_refused() -> None:
    """What is for streams is one clear line."""
    for words, said in (
        ((UDP, "127.0.0.1:53", "--fault", "slicer"), "type is 'slicer'; give one of bandwidth, "),
        ((UDP, "tcp:127.0.0.1:53"), "upstream is 'tcp:127.0.0.1:53'; that is tcp, and the proxy "),
        (("127.0.0.1:0", "udp:127.0.0.1:53"), "upstream is 'udp:127.0.0.1:53'; that is udp, and "),
    ):
        listen, upstream, *more = words
        ended = run(*PROXY, "--listen", listen, "--upstream", upstream, *more)
        assert ended.code != 0
        (line,) = ended.err.splitlines()
        assert said in line
