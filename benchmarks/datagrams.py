"""
What is measured of the echo service over UDP, and of those that are measured beside it.

Streams as fast as may be, sent and received, beside a program in C, a plain loop on Twisted and
``iperf3 -u``; round trips at an interval, beside ``irtt``. Each measure gives figures by their
names, and starts and ends the server that it needs.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from processes import (
    HERE,
    BenchmarkError,
    announcing,
    cpu_seconds,
    environment,
    free_port,
    serving,
)

SIZE = 1200
"""Bytes of a packet of the streams, and 64 of a probe."""
PATIENCE = 30.0
"""Seconds after which what does not come, or does not end, is an error."""

Figures = dict[str, float]


def stream(folder: Path, seconds: float, *words: str) -> Figures:
    """A stream with interval 0 of our server; these words are for it."""
    command = [sys.executable, str(HERE / "peers" / "echo_server.py"), *words]
    with serving("txlab", command, folder) as server, socket.socket(type=socket.SOCK_DGRAM) as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
        ours.connect(("127.0.0.1", server.ports["udp"]))
        ours.settimeout(PATIENCE)
        request = b"#b stream 0 1000000000 %d" % SIZE
        ours.send(request)
        token = ours.recv(65_535).split(b"401 ")[1]
        cpu = cpu_seconds(server.pid)
        ours.send(b"token=%s %s" % (token, request))
        came, began, room = 0, time.perf_counter(), bytearray(SIZE)
        while (now := time.perf_counter()) < began + seconds:
            came += ours.recv_into(room) == SIZE
        # Of those that were sent until then, the last that came is the last, or nearly so.
        sent = int(bytes(room).split(b" ")[2]) + 1
        cpu = cpu_seconds(server.pid) - cpu
        ours.send(b"#b quit")
        return _figures(sent, came, now - began, cpu)


def plain_stream(folder: Path, seconds: float, *command: str) -> Figures:
    """The same of a server that is asked by any datagram, and ends with ``quit``."""
    with (
        serving(Path(command[0]).name, command, folder) as server,
        socket.socket(type=socket.SOCK_DGRAM) as ours,
    ):
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
        ours.connect(("127.0.0.1", server.ports["udp"]))
        ours.settimeout(PATIENCE)
        cpu = cpu_seconds(server.pid)
        ours.send(b"go")
        came, began, room = 0, time.perf_counter(), bytearray(SIZE)
        while (now := time.perf_counter()) < began + seconds:
            came += ours.recv_into(room) == SIZE
        sent = int(bytes(room).split(b" ")[1]) + 1
        cpu = cpu_seconds(server.pid) - cpu
        ours.send(b"quit")
        return _figures(sent, came, now - began, cpu)


def received(folder: Path, seconds: float, sender: Sequence[str], *command: str) -> Figures:
    """What a program receives of a stream, and what that costs it."""
    with serving("sender", sender, folder) as server:
        words = [str(server.ports["udp"]), str(seconds)]
        said = _run([*command, *words], seconds)
    came, sent = said["came"], said["sent"]
    return {
        "came/s": came / said["seconds"],
        "lost %": 100 * (1 - came / sent),
        "CPU us": said["cpu"] / came * 1e6,
    }


def iperf3(folder: Path, seconds: float) -> Figures:
    """The same of ``iperf3``, which takes whole seconds."""
    seconds, port = max(1, round(seconds)), free_port()
    server = ["iperf3", "-s", "-1", "-p", str(port), "--forceflush"]
    words = ["-c", "127.0.0.1", "-p", str(port), "-u", "-b", "0", "-l", str(SIZE), "-R", "-J"]
    with announcing("iperf3", server, folder, b"listening"):
        end = _run(["iperf3", *words, "-t", str(seconds)], seconds)["end"]
    total, took = end["sum"], end["sum"]["seconds"]
    # With -R the server sends; what it says of the CPU is a part of one, in percent.
    cpu = end["cpu_utilization_percent"]["remote_total"] / 100 * took
    return _figures(total["packets"], total["packets"] - total["lost_packets"], took, cpu)


def _figures(sent: int, came: int, seconds: float, cpu: float) -> Figures:
    """What a stream was like."""
    return {
        "sent/s": sent / seconds,
        "came/s": came / seconds,
        "lost %": 100 * (1 - came / sent),
        "CPU us": cpu / sent * 1e6,
    }


def probes(folder: Path, seconds: float, interval_ms: int) -> Figures:
    """Round trips of ``lab stream --round-trip``."""
    program = "from lab.commands.main import main; main()"
    with serving(
        "txlab", [sys.executable, str(HERE / "peers" / "echo_server.py")], folder
    ) as server:
        words = ["stream", f"udp:127.0.0.1:{server.ports['udp']}", "--round-trip", "--json"]
        words += ["--interval", str(interval_ms), "--count", str(_count(seconds, interval_ms))]
        cpu = cpu_seconds(server.pid)
        end = _run([sys.executable, "-c", program, *words], seconds)["end"]
        cpu = cpu_seconds(server.pid) - cpu
    trip, took = end["round_trip"], end["down"]["sum"]["seconds"]
    return {
        "sent/s": (end["sent"] - 1) / took,
        "lost %": 100 * end["lost"] / end["sent"],
        "p50 us": trip["p50"] * 1e6,
        "p99 us": trip["p99"] * 1e6,
        "CPU us": cpu / end["sent"] * 1e6,
    }


def irtt(folder: Path, seconds: float, interval_ms: int) -> Figures:
    """The same of ``irtt``."""
    place = f"127.0.0.1:{free_port()}"
    server = ["irtt", "server", "-b", place, "-i", "0"]
    duration = _count(seconds, interval_ms) * interval_ms
    words = ["client", "-i", f"{interval_ms}ms", "-d", f"{duration}ms"]
    with announcing("irtt", server, folder, b"listener") as running:
        cpu = cpu_seconds(running.pid)
        said = _run(["irtt", *words, "-l", "64", "-Q", "-o", "-", place], seconds)
        cpu = cpu_seconds(running.pid) - cpu
    sent, took = said["stats"]["packets_sent"], said["stats"]["duration"] / 1e9
    trips = sorted(
        trip["delay"]["rtt"] / 1e3 for trip in said["round_trips"] if trip["lost"] == "false"
    )
    if not trips:
        raise BenchmarkError("irtt: no answer came")
    return {
        "sent/s": sent / took,
        "lost %": said["stats"]["packet_loss_percent"],
        "p50 us": trips[len(trips) // 2],
        "p99 us": trips[int(0.99 * len(trips))],
        "CPU us": cpu / sent * 1e6,
    }


def _count(seconds: float, interval_ms: int) -> int:
    """How many probes that are."""
    return max(10, round(seconds * 1000 / interval_ms))


def _run(command: Sequence[str], seconds: float) -> Any:
    """What a program says, as JSON."""
    limit = PATIENCE + seconds
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=limit, env=environment(), check=False
        )
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"{command[0]}: no end in {limit:g} s") from None
    try:
        return json.loads(done.stdout)
    except ValueError:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise BenchmarkError(f"{command[0]}: {said.splitlines()[-1] if said else '?'}") from None
