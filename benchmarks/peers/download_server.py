"""The download service without the help of the system: files are read, and written as they are."""

import sys

from twisted.internet import endpoints, reactor

from lab.adapters import stream
from lab.download.catalogue import Catalogue
from lab.download.tcp import DownloadFactory


def main() -> None:
    """Listen on a free port, and say which."""
    stream.file_sender = lambda transport: None
    listening = endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(
        DownloadFactory(reactor, Catalogue(sys.argv[1]))
    )
    listening.addCallback(lambda port: print("tcp", port.getHost().port, flush=True))
    reactor.run()


if __name__ == "__main__":
    main()
