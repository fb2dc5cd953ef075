"""Servers of one file that are measured, how each is started, and how it is asked for the file."""

import functools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import frozen

from processes import HERE, BenchmarkError, Running, cpu_seconds, free_port, listening, serving
from turns import OURS, Figures, there

PATIENCE = 60.0
"""No wait is longer, in seconds."""

FILE = "file"
"""What the file is called."""

ROOM = 2**22
"""Bytes that the reader asks for at once."""

NGINX = """
{user}
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  sendfile on;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""
"""The least that nginx needs, in one process, for anybody."""

# Linux throws away what it has received; elsewhere it has to be copied.
_FLAGS = socket.MSG_TRUNC if sys.platform.startswith("linux") else 0
_room = bytearray(ROOM)


@frozen
class Protocol:
    """
    How a server is asked for the file.

    Args:
        request: What is sent.
        head: What the head of the answer ends with; empty if there is none.
    """

    request: bytes
    head: bytes


LINES = Protocol(b"get %s\n" % FILE.encode(), b"\n")
HTTP = Protocol(b"GET /%s HTTP/1.0\r\n\r\n" % FILE.encode(), b"\r\n\r\n")
BARE = Protocol(b"go\n", b"")


@frozen
class Sender:
    """
    A server that runs.

    Args:
        running: Its process.
        protocol: How it is asked.
    """

    running: Running
    protocol: Protocol

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.running.ports["tcp"]

    @property
    def url(self) -> str:
        """Where its file is, over HTTP."""
        return f"http://127.0.0.1:{self.port}/{FILE}"

    def discard(self, size: int) -> Figures:
        """Ask for the file, and throw away what comes."""
        cpu = cpu_seconds(self.running.pid)
        busy, began = time.process_time(), time.perf_counter()
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            connection.sendall(self.protocol.request)
            came = _skip_head(connection, self.protocol.head)
            while came < size and (more := connection.recv_into(_room, ROOM, _FLAGS)):
                came += more
            took, busy = time.perf_counter() - began, time.process_time() - busy
        if came != size:
            raise BenchmarkError(f"{self.running.name}: {came:,} of {size:,} bytes came")
        return {
            "MB/s": came / took / 1e6,
            "CPU s/GiB": (cpu_seconds(self.running.pid) - cpu) / came * 2**30,
            "reader's": busy / came * 2**30,
        }


def _skip_head(connection: socket.socket, end: bytes) -> int:
    """Read the head of an answer; returns how many bytes of the file came with it."""
    said = b""
    while end and end not in said:
        more = connection.recv(4096)
        if not more:
            raise BenchmarkError(f"there is no file, but {said[:60]!r}")
        said += more
    return len(said.partition(end)[2]) if end else 0


def twistd(name: str, service: str, root: Path, folder: Path) -> Iterator[Running]:
    """``twistd lab-server`` with one service, which listens at a free port."""
    port = free_port()
    script = Path(sys.executable).with_name("twistd")
    command = (str(script), "-n", f"--pidfile={folder / name}.pid", "lab-server")
    words = (f"--{service}", f"tcp:{port}:interface=127.0.0.1", "--root", str(root))
    with listening(name, (*command, *words), folder, port) as running:
        yield running


def _nginx(root: Path, folder: Path) -> Iterator[Running]:
    """nginx, whose system sends files."""
    port = free_port()
    config = folder / "nginx.conf"
    # Who is root would give its directories to another user, whom a namespace may not know.
    user = "user root root;" if os.geteuid() == 0 else ""
    config.write_text(NGINX.format(user=user, folder=folder, port=port, root=root))
    command = (there("nginx") or "nginx", "-e", "stderr", "-p", str(folder), "-c", str(config))
    with listening("nginx", command, folder, port) as running:
        yield running


def _http_server(root: Path, folder: Path) -> Iterator[Running]:
    """``python -m http.server``."""
    port = free_port()
    command = (sys.executable, "-m", "http.server", str(port))
    where = ("--bind", "127.0.0.1", "--directory", str(root))
    with listening("http.server", (*command, *where), folder, port) as running:
        yield running


def _peer(name: str, folder: Path, *words: str) -> Iterator[Running]:
    """A script of ours in ``peers``."""
    command = (sys.executable, str(HERE / "peers" / words[0]), *words[1:])
    with serving(name, command, folder) as running:
        yield running


@functools.cache
def has_web() -> bool:
    """Whether this checkout's server speaks HTTP, too."""
    script = str(Path(sys.executable).with_name("twistd"))
    said = subprocess.run((script, "lab-server", "--help"), capture_output=True, check=False)
    return b"--web=" in said.stdout


def start(root: Path, folder: Path, stack: ExitStack) -> dict[str, Sender]:
    """
    Start all servers that there are; leaving the stack ends them.

    Args:
        root: Where the file is.
        folder: For their own files.
        stack: Ends them.
    """
    file = str(root / FILE)
    known = {
        OURS: (LINES, lambda: twistd("txlab", "download", root, folder)),
        "txlab, read": (LINES, lambda: _peer("read", folder, "download_server.py", str(root))),
        "nginx": (HTTP, lambda: _nginx(root, folder)),
        "FileSender, 256 KiB": (
            BARE, lambda: _peer("256", folder, "file_sender.py", file, str(2**18)),
        ),
        "FileSender, 16 KiB": (BARE, lambda: _peer("16", folder, "file_sender.py", file)),
        "http.server": (HTTP, lambda: _http_server(root, folder)),
    }  # fmt: skip
    if has_web():
        known["txlab --web"] = HTTP, lambda: twistd("web", "web", root, folder)
    if there("nginx") is None:
        del known["nginx"]
    started = {}
    for name, (protocol, run) in known.items():
        running = stack.enter_context(contextmanager(run)())
        started[name] = Sender(running, protocol)
    return started
