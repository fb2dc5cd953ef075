"""
The asyncio peer: ``python plain_asyncio.py asyncio|uvloop LIFETIME``.

The usual advice for a fast asyncio server, taken: a ``Protocol`` (no streams), each chunk split
and answered as a whole with one ``write``, reading paused while the client does not read.
It knows integers only, and only the operators whose work is bounded.
"""

import asyncio
import operator
import signal
import sys
from collections.abc import Callable
from typing import cast

OPERATORS: dict[bytes, Callable[[int, int], int]] = {
    b"+": operator.add,
    b"-": operator.sub,
    b"*": operator.mul,
    b"//": operator.floordiv,
    b"%": operator.mod,
}

LONGEST_LINE = 1024
"""Bytes; a longer line is answered with an error, and the connection is closed."""


def evaluate(question: bytes) -> bytes:
    """
    Answer one question, without its identifier and line ending.

    >>> evaluate(b"+,1,1"), evaluate(b"1+1")
    (b'200,2', b'300,-1')
    """
    try:
        opcode, left, right = question.split(b",")
        return b"200,%d" % OPERATORS[opcode](int(left), int(right))
    except (ValueError, KeyError, ZeroDivisionError):
        return b"300,-1"


def answer(line: bytes) -> bytes:
    """
    Answer one line; an identifier before the question comes back.

    >>> answer(b"#k3-7 *,6,7")
    b'#k3-7 200,42'
    """
    if line[:1] != b"#":
        return evaluate(line)
    identifier, _, question = line.partition(b" ")
    return identifier + b" " + evaluate(question)


class LineServer(asyncio.Protocol):
    """Answers all lines of a chunk at once."""

    def __init__(self) -> None:
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer the whole lines, keep the rest."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if lines:
            self._transport.write(b"\n".join(map(answer, lines)) + b"\n")
        if len(self._rest) > LONGEST_LINE:
            self._transport.write(b"300,-1\n")
            self._transport.close()

    def pause_writing(self) -> None:
        """Read no more while the client does not take our answers."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        self._transport.resume_reading()


class DatagramServer(asyncio.DatagramProtocol):
    """Answers each datagram with one."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer."""
        self._transport.sendto(answer(data), addr)


async def serve() -> None:
    """Listen on two free ports of 127.0.0.1, print them, serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(LineServer, "127.0.0.1", 0, backlog=1024)
    transport, _ = await loop.create_datagram_endpoint(DatagramServer, local_addr=("127.0.0.1", 0))
    tcp_port = server.sockets[0].getsockname()[1]
    udp_port = transport.get_extra_info("sockname")[1]
    print(f"tcp {tcp_port} udp {udp_port}", flush=True)
    await server.serve_forever()


def main(lifetime: int, *, on_uvloop: bool) -> None:
    """
    Serve.

    Args:
        lifetime: The process ends by itself after this, in seconds.
        on_uvloop: Whether uvloop's event loop runs the same protocols.
    """
    signal.alarm(lifetime)
    if on_uvloop:
        import uvloop  # optional

        uvloop.run(serve())
    else:
        asyncio.run(serve())


if __name__ == "__main__":
    main(int(sys.argv[2]), on_uvloop=sys.argv[1] == "uvloop")
