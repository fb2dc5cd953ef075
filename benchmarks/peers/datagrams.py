"""
Streams of packets over UDP as one writes them on Twisted; see ``streams.c``, which does the same.

``send``: a ``transport.write`` for each packet, 54 in a turn of the reactor. ``receive txlab PORT
SECONDS``, ``receive Twisted PORT SECONDS``: asks for a stream, and receives it at our port or at
Twisted's own; prints what came.
"""

import json
import resource
import socket
import sys
import time
from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import DatagramProtocol

from lab.adapters.udp import listen

SIZE, BATCH, BUFFER = 1200, 54, 2**22
"""Bytes of a packet, packets in a turn, bytes of the receiving socket's buffer."""


class Sender(DatagramProtocol):
    """Sends to whoever has sent it something last."""

    peer: Any = None
    number = 0

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Begin, or end."""
        idle = self.peer is None
        self.peer, self.number = (None if datagram == b"quit" else addr), 0
        if idle:
            self.turn()

    def turn(self) -> None:
        """Some packets, and more in the next turn."""
        if self.peer is None:
            return
        for _ in range(BATCH):
            head = b"packet %d %d " % (self.number, time.time_ns())
            self.transport.write(head.ljust(SIZE, b"."), self.peer)
            self.number += 1
        reactor.callLater(0, self.turn)


class Receiver(DatagramProtocol):
    """Counts what comes."""

    came = 0
    last = b""

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """One more."""
        self.came += 1
        self.last = datagram


def cpu() -> float:
    """CPU time of this process so far, in seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def receive(kind: str, port: int, seconds: float) -> None:
    """Ask for a stream, and print what has come after so many seconds."""
    protocol = Receiver()
    if kind == "txlab":
        ours: Any = listen(reactor, 0, protocol, "127.0.0.1")
    else:
        ours = reactor.listenUDP(0, protocol, "127.0.0.1")
    ours.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    ours.connect("127.0.0.1", port)
    ours.write(b"go")
    began, used = time.perf_counter(), cpu()

    def end() -> None:
        """It is over."""
        took, needed = time.perf_counter() - began, cpu() - used
        ours.write(b"quit")
        sent = int(protocol.last.split(b" ")[1]) + 1
        said = {"came": protocol.came, "sent": sent, "seconds": took, "cpu": needed}
        print(json.dumps(said), flush=True)
        reactor.stop()

    reactor.callLater(seconds, end)
    reactor.run()


def send() -> None:
    """Listen on a free port, and say which."""
    port = reactor.listenUDP(0, Sender(), "127.0.0.1")
    print("udp", port.getHost().port, flush=True)
    reactor.run()


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send()
    else:
        receive(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
