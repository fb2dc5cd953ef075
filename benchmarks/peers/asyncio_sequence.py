"""
What a client sees of a sequence, on plain asyncio: ``python asyncio_sequence.py LIFETIME``.

A session, a number at each interval by a timer of its own, an answer to each heartbeat. It keeps no
session, proves nothing, sums up nothing, notices no silence, and its numbers are just drawn.
"""

import asyncio
import random
import signal
import sys
from typing import cast

INTERVAL = 1.0
"""Between two numbers, in seconds."""


class SequenceServer(asyncio.Protocol):
    """Serves one connection."""

    def __init__(self) -> None:
        self._rest = b""
        self._index = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer the whole lines, keep the rest."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            kind, _, words = line.partition(b" ")
            if kind == b"heartbeat":
                self._transport.write(b"alive %d\n" % int(words))
            elif kind == b"start" and self._timer is None:
                self._start(int(words.split()[0]))

    def connection_lost(self, exc: Exception | None) -> None:
        """No more numbers."""
        if self._timer is not None:
            self._timer.cancel()

    def _start(self, n: int) -> None:
        """Begin: the first number is due at once."""
        id, key = random.randbytes(16).hex(), random.randbytes(16).hex()
        self._transport.write(f"session {id} {key} {n} {INTERVAL:g}\n".encode())
        self._loop = asyncio.get_running_loop()
        self._begin = self._loop.time()
        self._send()

    def _send(self) -> None:
        """Send one, and come again when the next is due."""
        self._transport.write(b"number %d %d\n" % (self._index, random.getrandbits(32)))
        self._index += 1
        due = self._begin + self._index * INTERVAL
        self._timer = self._loop.call_later(max(0.0, due - self._loop.time()), self._send)


async def serve() -> None:
    """Listen on a free port of 127.0.0.1, print it, serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(SequenceServer, "127.0.0.1", 0, backlog=4096)
    print(f"tcp {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    signal.alarm(int(sys.argv[1]))
    asyncio.run(serve())
