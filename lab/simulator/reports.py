"""
What there is to say of a run that has failed: how to run it again, what happened last, and what
each host was waiting for.

Knows no reactor: it looks at hosts and writes lines.
"""

import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from lab.errors import LocalError
from lab.faults.words import decided

if TYPE_CHECKING:
    from lab.simulator.hosts import Host
    from lab.simulator.network import Network

#: The environment variable that takes the place of the seeds of an exploration.
SEED = "LAB_SEED"
#: How many events a report has, of how many hosts, and how many things that one waits for.
EVENTS, HOSTS, WAITS = 20, 20, 10


def report(net: "Network") -> str:
    """A report, in lines."""
    return "\n".join(
        [
            f"simulation with seed {net.seed}, at {net.now:.6f} s; to run it again:",
            f"  {net.again or command(net.seed)}",
            "last events:",
            *_indented(_last(net) or ["none"]),
            "waiting:",
            *_indented(_hosts(list(net.hosts.values()))),
        ]
    )


def command(seed: int) -> str:
    """What to type to run it again: the test of pytest that runs, or else what was typed."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    words = ["pytest", test] if test else sys.orig_argv
    return f"{SEED}={seed} {shlex.join(words)}"


def seeds_given(usual: Iterable[int]) -> Iterable[int]:
    """
    The seeds to run: the one of the environment, if it has one.

    Args:
        usual: Which there are otherwise.

    Raises:
        LocalError: It is no number.
    """
    given = os.environ.get(SEED, "")
    if not given:
        return usual
    try:
        return [int(given)]
    except ValueError:
        raise LocalError(f"{SEED} is {given!r}; give a whole number") from None


def _indented(lines: Iterable[str]) -> list[str]:
    """Lines, a bit to the right."""
    return [f"  {line}" for line in lines]


def _last(net: "Network") -> list[str]:
    """What was sent last, and what faults have decided."""
    sent = [(when, " ".join(map(_word, what))) for when, what in net.last(EVENTS)]
    decisions = [(when, decided(entry)) for when, entry in net.decided]
    both = sorted(sent + decisions, key=lambda event: event[0])
    return [f"{when:12.6f} s  {what}" for when, what in both[-EVENTS:]]


def _word(what: Any) -> str:
    """A word, an address or a size of an event."""
    if isinstance(what, tuple):
        return "{}:{}".format(*what)
    if isinstance(what, int):
        return f"{what} bytes"
    return f"{what.host}:{what.port}" if hasattr(what, "port") else str(what)


def _hosts(hosts: list["Host"]) -> Iterator[str]:
    """What hosts wait for."""
    for host in hosts[:HOSTS]:
        yield from _host(host)
    if len(hosts) > HOSTS:
        yield f"and {len(hosts) - HOSTS:,} more hosts"


def _host(host: "Host") -> Iterator[str]:
    """What a host waits for."""
    if not host.up:
        yield f"{host.name} ({host.address}) has crashed"
        return
    waits = [*_listening(host), *map(str, host.ends), *_timers(host)]
    yield f"{host.name} ({host.address})" + ("" if waits else " waits for nothing")
    yield from _indented(waits[:WAITS])
    if len(waits) > WAITS:
        yield f"  and {len(waits) - WAITS:,} more"


def _listening(host: "Host") -> Iterator[str]:
    """Its ports."""
    for kind, ports in (("TCP", host.tcp), ("UDP", host.udp)):
        if ports:
            yield f"listens on {kind} {', '.join(map(str, ports))}"


def _timers(host: "Host") -> Iterator[str]:
    """Its timers, the next first."""
    for call in sorted(host.calls, key=lambda call: call.getTime()):
        yield f"calls {call.name} at {call.getTime():.6f} s"
