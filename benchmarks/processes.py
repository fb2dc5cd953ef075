"""
Processes: what is compiled, the servers that are measured, the generator that measures them.

Everything started here is ended here, by its process id, on every way out. Nothing waits blindly:
a server is ready when it has printed its ports.
"""

import json
import os
import select
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent

START = 30.0
"""Seconds that a server may take to print its ports."""

END = 5.0
"""Seconds that a server may take to end when asked to; then it is killed."""

DRAIN = 30.0
"""Seconds that the generator may take beyond the measured time."""


class BenchmarkError(Exception):
    """A measurement is not possible; the text says why, in one line."""


@frozen
class Running:
    """
    A server that accepts requests.

    Args:
        name: Of the server, for messages.
        pid: Its process.
        ports: On 127.0.0.1, by transport: ``tcp``, and ``udp`` if it serves that.
        log: Where its standard error goes.
    """

    name: str
    pid: int
    ports: dict[str, int]
    log: Path


@frozen
class Load:
    """
    What the generator does.

    Args:
        transport: ``tcp`` or ``udp``.
        framing: How a reply ends: ``lines``, ``boxes`` or ``datagrams``.
        requests: The file of requests.
        connections: How many at the same time.
        depth: Requests in flight on each of them.
        warm: Seconds that run first and are not counted.
        seconds: Seconds that are counted.
        cpu: Where it runs, alone, and polls before it sleeps; None: anywhere, and it sleeps.
    """

    transport: str
    framing: str
    requests: Path
    connections: int
    depth: int
    warm: float
    seconds: float
    cpu: int | None = None


@frozen
class Sample:
    """
    What the generator counted.

    Args:
        replies: How many came.
        lost: Datagrams given up.
        seconds: Time measured.
        server_cpu: CPU time that the server's process used meanwhile, all threads, in seconds.
        server_waited: How long its first thread was kept from running by other processes, in
            seconds.
        generator_cpu: CPU time that the generator used, in seconds, but not for polling in vain.
    """

    replies: int
    lost: int
    seconds: float
    server_cpu: float
    server_waited: float
    generator_cpu: float


def find_compiler() -> list[str]:
    """
    Return the command of the C compiler: ``$CC``, or ``cc``.

    Raises:
        BenchmarkError: There is none, or this is not Linux.
    """
    command = shlex.split(os.environ.get("CC", "")) or ["cc"]
    if not sys.platform.startswith("linux"):
        raise BenchmarkError(
            f"the load generator uses epoll, so it needs Linux, not {sys.platform}"
        )
    if shutil.which(command[0]) is None:
        raise BenchmarkError(
            f"no C compiler ({command[0]!r} is not there); install one, for example "
            "`apt install gcc libc6-dev` or `dnf install gcc`, or name yours: CC=clang"
        )
    return command


def compile_program(name: str, folder: Path) -> Path:
    """
    Compile ``NAME.c`` of this folder.

    Args:
        name: Without the ``.c``.
        folder: Where the program goes.

    Raises:
        BenchmarkError: There is no compiler, or it fails.
    """
    program = folder / name
    command = [*find_compiler(), "-O3", "-o", str(program), str(HERE / f"{name}.c")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if result.returncode != 0:
        reason = _last_line(result.stderr) or f"exit code {result.returncode}"
        raise BenchmarkError(f"`{shlex.join(command)}` failed: {reason}")
    return program


def write_requests(path: Path, requests: Sequence[bytes]) -> Path:
    """Write a file for the generator: each request after its length in 4 bytes."""
    path.write_bytes(b"".join(len(request).to_bytes(4, "big") + request for request in requests))
    return path


@contextmanager
def serving(name: str, command: Sequence[str], folder: Path) -> Iterator[Running]:
    """
    Run a server while the block runs.

    Args:
        name: For messages.
        command: It must print ``tcp PORT`` or ``tcp PORT udp PORT`` when it is ready.
        folder: For the log of its standard error.

    Raises:
        BenchmarkError: It ended, or was not ready in time.
    """
    with _started(name, command, folder, subprocess.PIPE) as (process, log):
        yield Running(name, process.pid, _read_ports(process, name, log), log)


@contextmanager
def listening(
    name: str, command: Sequence[str], folder: Path, port: int, transport: str = "tcp"
) -> Iterator[Running]:
    """
    Run a server of somebody else's, which says nothing when it is ready.

    Args:
        name: For messages.
        command: It must listen at the port.
        folder: For the log of its standard error.
        port: Where it is to listen, on 127.0.0.1.
        transport: ``tcp`` or ``udp``.

    Raises:
        BenchmarkError: It is not there, it ended, or does not listen in time.
    """
    try:
        with _started(name, command, folder, subprocess.DEVNULL) as (process, log):
            deadline = time.monotonic() + START
            while not (_is_taken(port) if transport == "udp" else _connects(port)):
                if process.poll() is not None:
                    said = _last_line(_read(log)) or f"exit code {process.returncode}"
                    raise BenchmarkError(f"{name}: does not start: {said}")
                if time.monotonic() > deadline:
                    raise BenchmarkError(f"{name}: does not listen at {port} in {START:g} s")
                time.sleep(0.02)
            yield Running(name, process.pid, {transport: port}, log)
    except FileNotFoundError as error:
        raise BenchmarkError(f"{name}: {error.filename!r} is not there") from error


@contextmanager
def announcing(name: str, command: Sequence[str], folder: Path, word: bytes) -> Iterator[Running]:
    """
    Run a server of somebody else's, which has a word in the line that says that it is ready.

    Args:
        name: For messages.
        command: What to run.
        folder: For the log of its standard error.
        word: That word.

    Raises:
        BenchmarkError: It ended, or was not ready in time.
    """
    with _started(name, command, folder, subprocess.PIPE) as (process, log):
        while word not in _read_line(process, name, log):
            pass
        yield Running(name, process.pid, {}, log)


@contextmanager
def _started(
    name: str, command: Sequence[str], folder: Path, out: int
) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """A process that has ended at the end, and the file of its standard error."""
    log = folder / f"{name}.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            bufsize=0,  # who waits for a line must not find it in a buffer of ours
            env=environment(),
            start_new_session=True,  # Ctrl-C is for us; we end the server
        )
    try:
        yield process, log
    finally:
        _end(process)


def _connects(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_taken(port: int) -> bool:
    """Whether somebody waits for datagrams there."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def free_port() -> int:
    """A port of 127.0.0.1 at which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, its threads and its children so far, in seconds."""
    return sum(cpu_of_each(pid).values())


def cpu_of_each(pid: int) -> dict[int, float]:
    """
    CPU time so far of a process and of each of its children, by their ids, in seconds.

    Of children that are gone, their parents have what they waited for.
    """
    found: dict[int, tuple[int, int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name of the program, in parentheses, may hold anything.
            words = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        # Fields of proc(5), from the third: parent; user and system time, and that of children.
        found[int(path.parent.name)] = int(words[1]), sum(map(int, words[11:15]))
    family = {pid}
    while more := {one for one, (parent, _) in found.items() if parent in family} - family:
        family |= more
    ticks = os.sysconf("SC_CLK_TCK")
    return {one: found[one][1] / ticks for one in family if one in found}


def waited_seconds(pid: int) -> float:
    """
    How long the first thread of a process could have run so far while others had its CPU.

    Returns:
        Seconds; 0 where the system does not tell.
    """
    path = Path(f"/proc/{pid}/schedstat")
    return int(path.read_text().split()[1]) / 1e9 if path.exists() else 0.0


def generate(program: Path, server: Running, load: Load) -> Sample:
    """
    Run the generator against a server.

    Raises:
        BenchmarkError: The generator failed; most often the server did.
    """
    command = [
        str(program),
        load.transport,
        load.framing,
        str(server.ports[load.transport]),
        str(server.pid),
        str(load.requests),
        *(str(value) for value in (load.connections, load.depth, load.warm, load.seconds)),
        "-" if load.cpu is None else str(load.cpu),
    ]
    limit = load.warm + load.seconds + DRAIN
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"{server.name}: no end of the measurement in {limit:g} s") from None
    if result.returncode != 0:
        said = "; ".join(filter(None, map(_last_line, (result.stderr, _read(server.log)))))
        raise BenchmarkError(f"{server.name}: {said or f'exit code {result.returncode}'}")
    return Sample(**json.loads(result.stdout))


def environment() -> dict[str, str]:
    """An environment in which the ``lab`` of this checkout is measured."""
    path = os.pathsep.join(filter(None, (str(CHECKOUT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path}


def _read_line(process: "subprocess.Popen[bytes]", name: str, log: Path) -> bytes:
    """Wait for a line."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START)
    if not ready:
        raise BenchmarkError(f"{name}: not ready in {START:g} s")
    line: bytes = process.stdout.readline()
    if not line:
        raise BenchmarkError(f"{name}: does not start: {_last_line(_read(log))}")
    return line


def _read_ports(process: "subprocess.Popen[bytes]", name: str, log: Path) -> dict[str, int]:
    """Wait for the line that tells the ports."""
    words = _read_line(process, name, log).decode().split()
    return {transport: int(port) for transport, port in zip(words[::2], words[1::2], strict=True)}


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, then make it."""
    process.terminate()
    try:
        process.wait(END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _read(log: Path) -> str:
    """Return what a server wrote to its standard error."""
    return log.read_text(errors="replace")


def _last_line(text: str) -> str:
    """Return the last line, which most often says what went wrong."""
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""
