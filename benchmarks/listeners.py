"""
Many clients of a sequence server in one lean process.

``python listeners.py PORT PID CLIENTS STARTS SECONDS``: the server, its process, how many, how many
of them begin in a second, how long to measure.

They only listen: each begins a sequence, says every two seconds that it is there, and notes when
numbers come. An epoll loop and nothing above it, so that it takes little of the machine. Begun one
after the other. Prints ``ready`` when all have had numbers for a while, measures when it reads a
line, and prints one of JSON.
"""

import json
import os
import select
import socket
import struct
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

WARM = 3.0
"""Seconds between the last begin and being ready."""

HEARTBEAT = 2.0
"""Seconds."""

SLOT = 0.005
"""Heartbeats that are due within so many seconds are sent together."""

PATIENCE = 60.0
"""Seconds that all may take to begin, after the last connection."""

STEP = 1e-5
"""Lateness is counted in steps of so many seconds."""

RESET = struct.pack("ii", 1, 0)
"""Closing a connection resets it: no port is kept waiting."""

now = time.monotonic


class Listeners:
    """
    All clients.

    Args:
        port: Of the server, on 127.0.0.1.
        count: How many.
        starts: How many of them begin in a second: they shall not be in step.
    """

    def __init__(self, port: int, count: int, starts: float) -> None:
        self._port, self._count, self._starts = port, count, starts
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._slots: list[list[socket.socket]] = [[] for _ in range(round(HEARTBEAT / SLOT))]
        self._slot = 0
        self._begin = now()
        #: By file: when number 0 came or would have come, by the earliest of its numbers.
        self._zero: dict[int, float] = {}
        self.measuring = False
        self.late: Counter[int] = Counter()

    def connect_all(self) -> None:
        """Begin one after the other."""
        for number in range(self._count):
            self.run(self._begin + number / self._starts)
            one = socket.create_connection(("127.0.0.1", self._port))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.settimeout(0)
            one.send(b"start 65535 interval=1\n")
            self._sockets[one.fileno()] = one
            self._poll.register(one.fileno(), select.EPOLLIN)
            self._slots[int((now() - self._begin) / SLOT) % len(self._slots)].append(one)
        limit = now() + PATIENCE
        while len(self._zero) < self._count:
            self.run(now() + 0.1)
            if now() > limit:
                sys.exit(f"only {len(self._zero):,} of {self._count:,} clients have a number")

    def wait(self) -> None:
        """Listen until there is a line on standard input."""
        while not select.select([sys.stdin], [], [], 0)[0]:
            self.run(now() + SLOT)

    def run(self, until: float) -> None:
        """Listen, and send the heartbeats that are due; once at least, however late it is."""
        left = 1.0
        while left > 0:
            left = until - now()
            due = self._begin + (self._slot + 1) * SLOT
            for file, _ in self._poll.poll(max(0.0, min(left, due - now())), 1024):
                self._read(file)
            while now() >= self._begin + (self._slot + 1) * SLOT:
                for one in self._slots[self._slot % len(self._slots)]:
                    with suppress(ConnectionError):  # it is read, too
                        one.send(b"heartbeat 7\n")
                self._slot += 1

    def _read(self, file: int) -> None:
        """Lines, each in one piece: servers write them so, and nothing is in their way."""
        try:
            data, at = self._sockets[file].recv(4096), now()
        except ConnectionError:
            data = b""
        if not data:
            sys.exit("the server has ended a connection: it can't keep up")
        for line in data.splitlines():
            if line.startswith(b"number "):
                zero = at - int(line.split()[1])
                first = self._zero.get(file, zero)
                if zero <= first:
                    self._zero[file] = zero
                if self.measuring:
                    self.late[round(max(0.0, zero - first) / STEP)] += 1


def cpu(pid: int) -> tuple[float, float]:
    """CPU time that a process has used, by itself and in the system, in seconds."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    tick = os.sysconf("SC_CLK_TCK")
    return int(words[11]) / tick, int(words[12]) / tick


def memory(pid: int) -> int:
    """What a process has in memory, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(port: int, pid: int, count: int, starts: float, seconds: float) -> None:
    """Measure."""
    listeners, before = Listeners(port, count, starts), memory(pid)
    listeners.connect_all()
    listeners.run(now() + WARM)
    print("ready", flush=True)
    listeners.wait()
    listeners.measuring, begin = True, now()
    used, own = cpu(pid), time.process_time()
    listeners.run(begin + seconds)
    taken = now() - begin
    user, system = (after - first for first, after in zip(used, cpu(pid), strict=True))
    result = {
        "cpu": (user + system) / taken,
        "system": system / taken,
        "own": (time.process_time() - own) / taken,
        "memory": memory(pid) - before,
        "late": {str(steps): many for steps, many in listeners.late.items()},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]), *map(float, sys.argv[4:6]))
