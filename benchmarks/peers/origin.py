"""What is behind the proxies: sends back what comes, or counts it and says how much it was."""

import contextlib
import signal
import socket
import sys
import threading

CHUNK = 1 << 20
"""Bytes of one read."""


def serve(connection: socket.socket) -> None:
    """Do what the first byte says: ``e`` for echo, ``s`` for a sink."""
    buffer = bytearray(CHUNK)
    with connection, contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        total, echo = 0, connection.recv(1) == b"e"
        while size := connection.recv_into(buffer):
            total += size
            if echo:
                connection.sendall(memoryview(buffer)[:size])
        if not echo:
            connection.sendall(b"%d" % total)


def main() -> None:
    """Serve for as long as the argument says, in seconds."""
    signal.alarm(int(sys.argv[1]))
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    sys.stdout.write(f"tcp {listening.getsockname()[1]}\n")
    sys.stdout.flush()
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
