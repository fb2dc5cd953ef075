"""A real ``twistd -n lab-proxy`` before a real ``lab-server``, over UDP."""

from tests.pytest_only.processes import (
    LAB,
    address,
    ask_udp,
    datagrams,
    run,
    serving,
)
from tests.pytest_only.proxies import PROXY, proxying

UDP = "udp:0:interface=127.0.0.1"


def test_loss() -> None:
    """What a fault loses is asked again: each answer comes, with this seed at the third time."""
    with serving(places=[UDP]) as server:
        upstream = server.place("udp")
        options = ("--fault", "loss:probability=0.3", "--seed", "12")
        with proxying((UDP, upstream), options=options) as proxies:
            port = proxies.ports[0]
            answered = run(
                LAB,
                "arithmetic",
                f"udp:localhost:{port}",
                *("--timeout", ".1", "--backoff"),
                *["+,1,1"] * 20,
            )
            assert answered.lines == ["2"] * 20, answered
            assert proxies.counted("proxy", "lab_proxy_fault_hits_total") > 0
            ended = proxies.process.end()
        assert "faults {'loss_downstream': " in ended.out
        assert not ended.err


def test_api() -> None:
    """A proxy of UDP is made, given a fault, disabled and enabled again, and counts."""
    with serving(places=[UDP]) as server, proxying() as proxies:
        upstream = "{}:{}".format(*server.address("udp"))
        body = {"name": "a", "protocol": "udp", "listen": "127.0.0.1:0", "upstream": upstream}
        made = proxies.do("POST", "/proxies", body)
        assert made["protocol"] == "udp"
        where = address(f"udp:{made['listen']}")
        assert ask_udp(where) == b"200,2"
        toxic = {"type": "duplicate", "attributes": {"probability": 1}}
        proxies.do("POST", "/proxies/a/toxics", toxic)
        with datagrams(where) as port:
            port.send(b"+,1,2")
            assert [port.recv(99), port.recv(99)] == [b"200,3"] * 2
        proxies.do("PATCH", "/proxies/a", {"enabled": False})
        again = proxies.do("PATCH", "/proxies/a", {"enabled": True})
        assert again["listen"] == made["listen"]
        assert ask_udp(where) == b"200,2"
        assert proxies.counted("a", "lab_proxy_accepted_total") == 3
        for name in ("icmp_refusals", "overflowed", "unsent"):
            assert proxies.counted("a", f"lab_proxy_{name}_total") == 0


def test_all_addresses() -> None:
    """Without a host it listens at all addresses, and clients of IPv4 get their replies."""
    with serving(places=[UDP]) as server, proxying() as proxies:
        upstream = server.place("udp")
        body = {"name": "a", "protocol": "udp", "upstream": upstream}
        made = proxies.do("POST", "/proxies", body)
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
