"""The proxies that are measured, how each is started, and what is not there."""

import json
import shlex
import shutil
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from processes import (
    HERE,
    BenchmarkError,
    Running,
    compile_program,
    free_port,
    listening,
    serving,
)

LIFETIME = "3600"
"""When a server of ours ends by itself, in seconds: long after it was ended by us."""

LATENCY = 20
"""How late the proxies with a fault are on the way to the server, in milliseconds."""

HAPROXY = """
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen relay
  bind 127.0.0.1:{listen} backlog 1024
  server origin 127.0.0.1:{upstream}
"""
"""The least that HAProxy needs."""

SPLICING = "  option splice-request\n  option splice-response\n"
"""What has it splice, both ways."""

SOCAT = (
    "socat TCP-LISTEN:{listen},bind=127.0.0.1,fork,reuseaddr,nodelay,backlog=1024 "
    "TCP:127.0.0.1:{upstream},nodelay"
)
"""A process for each connection."""

SOCAT_UDP = "socat UDP-LISTEN:{listen},bind=127.0.0.1,fork,reuseaddr UDP:127.0.0.1:{upstream}"
"""A process for each client."""


@frozen
class Proxy:
    """
    A proxy.

    Args:
        title: For people.
        start: Runs it before this port of the server, with this folder for its files.
        program: What has to be installed, if it has.
    """

    title: str
    start: Callable[[str, int, Path], Iterator[Running]]
    program: str = ""

    @property
    def there(self) -> bool:
        """Whether it is installed."""
        return not self.program or _find(self.program) is not None


def _find(program: str) -> str | None:
    """Where a program is; servers are where others do not always look."""
    return shutil.which(program) or shutil.which(program, path="/usr/local/sbin:/usr/sbin")


def _twisted(name: str, upstream: int, folder: Path) -> Iterator[Running]:
    """One of those in ``peers/relays.py``."""
    script = str(HERE / "peers" / "relays.py")
    with serving(name, (sys.executable, script, name, str(upstream), LIFETIME), folder) as running:
        yield running


def _datagrams(name: str, upstream: int, folder: Path) -> Iterator[Running]:
    """One of those in ``peers/relays.py``, for datagrams."""
    return _twisted(f"udp-{name}", upstream, folder)


def _splicer(name: str, upstream: int, folder: Path) -> Iterator[Running]:
    """``splicer.c``."""
    program = compile_program("splicer", folder)
    with serving(name, (str(program), str(upstream), LIFETIME), folder) as running:
        yield running


def _command(text: str, transport: str = "tcp") -> Callable[[str, int, Path], Iterator[Running]]:
    """What starts a command that has places for the ports."""

    def start(name: str, upstream: int, folder: Path) -> Iterator[Running]:
        """Start it."""
        port = free_port()
        words = [
            word.replace("{listen}", str(port)).replace("{upstream}", str(upstream))
            for word in shlex.split(text)
        ]
        words[0] = _find(words[0]) or words[0]
        with listening(name, words, folder, port, transport) as running:
            yield running

    return start


def _haproxy(name: str, upstream: int, folder: Path) -> Iterator[Running]:
    """HAProxy, relaying streams."""
    port = free_port()
    path = folder / f"{name}.cfg"
    more = SPLICING if name.endswith("splice") else ""
    path.write_text(HAPROXY.format(listen=port, upstream=upstream) + more)
    command = (_find("haproxy") or "haproxy", "-db", "-f", str(path))
    with listening(name, command, folder, port) as running:
        yield running


def _toxiproxy(name: str, upstream: int, folder: Path) -> Iterator[Running]:
    """Toxiproxy with one proxy, and with a toxic if its name says so."""
    api, port = free_port(), free_port()
    command = ("toxiproxy-server", "-host", "127.0.0.1", "-port", str(api))
    with listening(name, command, folder, api) as running:
        wanted = {"listen": f"127.0.0.1:{port}", "upstream": f"127.0.0.1:{upstream}"}
        _post(api, "/proxies", {"name": "p", **wanted})
        if name.endswith("latency"):
            toxic = {"type": "latency", "stream": "upstream", "attributes": {"latency": LATENCY}}
            _post(api, "/proxies/p/toxics", toxic)
        yield Running(name, running.pid, {"tcp": port}, running.log)


def _post(port: int, path: str, body: object) -> None:
    """Ask an API for something."""
    data = json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()


PROXIES = {
    "relay": Proxy("txlab", _twisted),
    "lean": Proxy("txlab, reactor lab", _twisted),
    "latency": Proxy(f"txlab, {LATENCY} ms", _twisted),
    "portforward": Proxy("twisted portforward", _twisted),
    "socat": Proxy("socat", _command(SOCAT), "socat"),
    "haproxy": Proxy("HAProxy", _haproxy, "haproxy"),
    "haproxy-splice": Proxy("HAProxy, splice", _haproxy, "haproxy"),
    "c": Proxy("C, splice", _splicer),
    "toxiproxy": Proxy("Toxiproxy", _toxiproxy, "toxiproxy-server"),
    "toxiproxy-latency": Proxy(f"Toxiproxy, {LATENCY} ms", _toxiproxy, "toxiproxy-server"),
}
"""Those that are known, by name."""


DATAGRAMS = {
    "relay": Proxy("txlab", _datagrams),
    "lean": Proxy("txlab, reactor lab", _datagrams),
    "socat": Proxy("socat", _command(SOCAT_UDP, "udp"), "socat"),
}
"""Those for datagrams, by name."""


def choose(
    known: dict[str, Proxy], only: Sequence[str], commands: Sequence[str]
) -> dict[str, Proxy]:
    """
    Return what is to be measured, by name.

    Args:
        known: `PROXIES` or `DATAGRAMS`.
        only: Of these; all if there are none.
        commands: More of them, with ``{listen}`` and ``{upstream}`` where ports belong.

    Raises:
        BenchmarkError: A command that has no place for a port, or can't be read.
    """
    transport = "udp" if known is DATAGRAMS else "tcp"
    found = {name: known[name] for name in only or known if name in known}
    for number, text in enumerate(commands, 1):
        if "{listen}" not in text or "{upstream}" not in text:
            raise BenchmarkError(f"peer is {text!r}; write {{listen}} and {{upstream}} for ports")
        try:
            program = shlex.split(text)[0]
        except ValueError as error:
            raise BenchmarkError(f"peer is {text!r}; {error}") from error
        found[f"peer-{number}"] = Proxy(Path(program).name, _command(text, transport))
    return found


@contextmanager
def running(name: str, proxy: Proxy, upstream: int, folder: Path) -> Iterator[Running]:
    """
    Run a proxy while the block runs.

    Raises:
        BenchmarkError: It does not start.
    """
    yield from proxy.start(name, upstream, folder)
