"""
A server of one real file, with what Twisted has for that: ``FileSender``.

``file_sender.py FILE [BYTES]``: so many of them at a time, if it is said.
"""

import sys
from pathlib import Path

from twisted.internet import endpoints, protocol, reactor
from twisted.protocols.basic import FileSender


class Sender(protocol.Protocol):
    """Sends the file that the command line names to whoever says something."""

    def dataReceived(self, data: bytes) -> None:
        """Send it, and close."""
        file = Path(sys.argv[1]).open("rb")  # noqa: SIM115 - closed when it was sent
        sender = FileSender()
        if sys.argv[2:]:
            sender.CHUNK_SIZE = int(sys.argv[2])
        done = sender.beginFileTransfer(file, self.transport)
        done.addBoth(lambda _: (file.close(), self.transport.loseConnection()))


def main() -> None:
    """Listen on a free port, and say which."""
    listening = endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(
        protocol.Factory.forProtocol(Sender)
    )
    listening.addCallback(lambda port: print("tcp", port.getHost().port, flush=True))
    reactor.run()


if __name__ == "__main__":
    main()
