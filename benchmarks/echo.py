"""
How fast is the echo service? ``python benchmarks/echo.py`` says so.

A file of 123,456,789 characters, beside Twisted's ``FileSender`` with a real file of that size: the
reader is the same and throws all away, the servers are processes of their own, and take turns. A
stream over UDP with interval 0, beside ``iperf3 -u`` where that is installed.
"""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

SIZE = 123_456_789
"""Characters of the file."""
PATIENCE = 30.0
"""Seconds that a server may take to say where it listens, and a reader to get something."""

SENDER = """
import sys
from twisted.internet import endpoints, protocol, reactor
from twisted.protocols.basic import FileSender

class Sender(protocol.Protocol):
    def dataReceived(self, data):
        file = open(sys.argv[1], "rb")
        done = FileSender().beginFileTransfer(file, self.transport)
        done.addBoth(lambda _: (file.close(), self.transport.loseConnection()))

listening = endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(
    protocol.Factory.forProtocol(Sender))
listening.addCallback(lambda port: print(port.getHost().port, flush=True))
reactor.run()
"""
OURS = """
import sys
from twisted.internet import endpoints, reactor
from lab.echo.settings import ServerSettings
from lab.echo.tcp import EchoFactory
from lab.echo.udp import EchoDatagramProtocol

settings = ServerSettings(packets=10**9, pace=1e10)
def listening(port):
    reactor.listenUDP(
        port.getHost().port, EchoDatagramProtocol(reactor, settings), "127.0.0.1", 65535)
    print(port.getHost().port, flush=True)
endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(
    EchoFactory(reactor, settings)).addCallback(listening)
reactor.run()
"""


@contextmanager
def serving(script: str, *words: str) -> Iterator[int]:
    """A server in a process of its own, and its port."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *words], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(PATIENCE)
        process.stdout.close()


def receive(port: int, request: bytes, size: int) -> float:
    """Ask for a file and throw it away; gives bytes a second."""
    room = bytearray(2**18)
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        began = time.perf_counter()
        connection.sendall(request)
        came = 0
        while came < size and (more := connection.recv_into(room)):
            came += more
        if came < size:
            raise SystemExit(f"only {came:,} of {size:,} bytes came")
        return came / (time.perf_counter() - began)


def stream(port: int, seconds: float) -> float:
    """Packets a second of 1,200 bytes that came of a stream over UDP, as fast as may be."""
    with socket.socket(type=socket.SOCK_DGRAM) as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
        ours.connect(("127.0.0.1", port))
        ours.settimeout(PATIENCE)
        ours.send(b"#b stream 0 1000000000 1200")
        token = ours.recv(65_535).split(b"401 ")[1]
        ours.send(b"token=%s #b stream 0 1000000000 1200" % token)
        came, began = 0, time.perf_counter()
        while (now := time.perf_counter()) < began + seconds:
            came += len(ours.recv(65_535)) == 1200
        ours.send(b"#b quit")
        return came / (now - began)


def iperf3(seconds: float) -> float:
    """The same by iperf3: packets a second that came."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    server = subprocess.Popen(
        ["iperf3", "-s", "-1", "-p", port], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert server.stdout is not None
        server.stdout.readline()
        words = ["-c", "127.0.0.1", "-p", port, "-u", "-b", "0", "-l", "1200", "-R", "-J"]
        words += ["-t", str(max(1, round(seconds)))]
        said = subprocess.run(
            ["iperf3", *words], capture_output=True, timeout=PATIENCE + seconds, check=True
        )
        total = json.loads(said.stdout)["end"]["sum"]
        return float((total["packets"] - total["lost_packets"]) / total["seconds"])
    finally:
        server.terminate()
        server.wait(PATIENCE)
        server.stdout.close()


def show(rates: dict[str, list[float]], unit: str, scale: float) -> Table:
    """Medians, and ours divided by each."""
    table = Table(box=SIMPLE, pad_edge=False)
    for name in ("server", unit, "lowest", "highest", "txlab is"):
        table.add_column(name, justify="left" if name == "server" else "right")
    for name, found in rates.items():
        ratio = median(o / t for o, t in zip(rates["txlab"], found, strict=True))
        values = (f"{value / scale:,.0f}" for value in (median(found), min(found), max(found)))
        table.add_row(name, *values, f"{ratio:.2f}")
    return table


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Each server has one turn in each.")
@click.option("--seconds", default=2.0, show_default=True, help="Of each stream.")
@click.option("--size", default=SIZE, show_default=True, help="Characters of the file.")
def main(rounds: int, seconds: float, size: int) -> None:
    """Measure, and print two tables."""
    console = Console()
    files: dict[str, list[float]] = {"txlab": [], "FileSender, a real file": []}
    streams: dict[str, list[float]] = {"txlab": []}
    others: dict[str, Callable[[float], float]] = {"iperf3": iperf3}
    for name in list(others):
        if shutil.which(name) is None:
            console.print(f"{name} is not installed: left out")
            del others[name]
    streams |= {f"{name} -u": [] for name in others}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(b"x" * size)
        for _ in range(rounds):
            with serving(OURS) as port:
                # The line before, the line end, and the line of the checksum come besides.
                files["txlab"].append(receive(port, b"file %d\n" % size, size + 72))
                streams["txlab"].append(stream(port, seconds))
            with serving(SENDER, str(path)) as port:
                files["FileSender, a real file"].append(receive(port, b"go\n", size))
            for name, measure in others.items():
                streams[f"{name} -u"].append(measure(seconds))
    console.print(f"A file of {size:,} characters over TCP")
    console.print(show(files, "MB/s", 1e6))
    console.print("Packets of 1,200 bytes over UDP, as fast as may be, that came")
    console.print(show(streams, "packets/s", 1))


if __name__ == "__main__":
    main()
