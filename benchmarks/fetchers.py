"""Clients that fetch the file to the disk, each in a process of its own, which is waited for."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from processes import HERE, BenchmarkError, cpu_seconds, environment
from senders import FILE, Sender
from turns import OURS, Figures, Measure, there

Command = Callable[[Path], Sequence[str]]
"""What is run to fetch the file to a directory."""


def fetch(command: Command, servers: Sequence[Sender], folder: Path, size: int) -> Figures:
    """
    Fetch the file to a new directory, and see it on the disk.

    Args:
        command: Does it.
        servers: Where it comes from.
        folder: For that directory, which is gone afterwards.
        size: Of the file, in bytes.

    Raises:
        BenchmarkError: It failed, or the file has another size.
    """
    to, log = folder / "fetched", folder / "fetched.log"
    to.mkdir()
    served = sum(cpu_seconds(server.running.pid) for server in servers)
    began = time.perf_counter()
    with log.open("w+b") as out:
        process = subprocess.Popen(command(to), stdout=out, stderr=out, env=environment())
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    ended = time.perf_counter()
    said = log.read_text(errors="replace").strip().splitlines()
    came = (to / FILE).stat().st_size if (to / FILE).exists() else 0
    if process.returncode or came != size:
        text = f"{came:,} of {size:,} bytes, exit code {process.returncode}: {' / '.join(said)}"
        raise BenchmarkError(f"{command(to)[0]}: {text[:200]}")
    _sync(to / FILE)
    synced = time.perf_counter()
    served = sum(cpu_seconds(server.running.pid) for server in servers) - served
    shutil.rmtree(to)
    own = _own(said)
    sync = own.get("sync", synced - ended)
    gib = size / 2**30
    return {
        "s": synced - began - sync,
        "with sync": synced - began,
        "CPU s/GiB": (used.ru_utime + used.ru_stime) / gib,
        "server's": served / gib,
        **({"get alone": own["get"] - sync} if own else {}),
    }


def _sync(path: Path) -> None:
    """Wait until a file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _own(said: list[str]) -> Figures:
    """What our script says of itself, if this is it."""
    if not said or not said[-1].startswith("{"):
        return {}
    found: Figures = json.loads(said[-1])
    return found


def fetchers(
    started: dict[str, Sender], second: Sender, folder: Path, size: int
) -> dict[str, Measure]:
    """
    All clients that there are, ready to be measured.

    Args:
        started: The servers, by their names.
        second: One more of ours, with the same file.
        folder: For what is fetched.
        size: Of the file, in bytes.
    """
    ours = started[OURS]

    def client(*words: str) -> Command:
        """Our script, with these ports and words."""
        script = str(HERE / "peers" / "download_client.py")
        return lambda to: (sys.executable, script, str(to / FILE), *words)

    port, other = str(ours.port), str(second.port)
    known: dict[str, tuple[Command, list[Sender]]] = {
        OURS: (client(port), [ours]),
        "txlab, SHA-256": (client(port, "sha256"), [ours]),
        "txlab, unchecked": (client(port, "unchecked"), [ours]),
        "txlab, two servers": (client(port, other), [ours, second]),
    }
    if has_command():
        known["lab download"] = _lab(port), [ours]
    if "nginx" in started:
        known |= _over_http(started["nginx"])
    return {
        name: lambda command=command, servers=servers: fetch(command, servers, folder, size)
        for name, (command, servers) in known.items()
    }


def has_command() -> bool:
    """Whether this checkout has ``lab download``."""
    said = subprocess.run((_program(), "--help"), capture_output=True, check=False)
    return b"\n  download " in said.stdout


def _program() -> str:
    """Where ``lab`` is."""
    return str(Path(sys.executable).with_name("lab"))


def _lab(port: str) -> Command:
    """``lab download``."""
    place = f"tcp:127.0.0.1:{port}"
    return lambda to: (_program(), "download", place, "--to", str(to), "--", FILE)


def _over_http(server: Sender) -> dict[str, tuple[Command, list[Sender]]]:
    """The clients of others."""
    found: dict[str, tuple[Command, list[Sender]]] = {}
    curl, aria = there("curl"), there("aria2c", "aria2")
    if curl:
        words = (curl, "-sS", "-f", "-o")
        found["curl -o"] = (lambda to: (*words, str(to / FILE), server.url)), [server]
        script = f'{curl} -sS -f -o "$0" "$1" && sha256sum "$0"'
        summed: Command = lambda to: ("sh", "-c", script, str(to / FILE), server.url)  # noqa: E731 - as its neighbours
        found["curl, then sha256sum"] = summed, [server]
    if aria:
        options = ("-q", "-x4", "-s4", "--file-allocation=falloc")
        found["aria2c -x4"] = (
            (lambda to: (aria, *options, "-d", str(to), "-o", FILE, server.url)), [server],
        )  # fmt: skip
    return found
