"""
A site of twisted.web that strangers may ask: times and sizes of requests are bounded.

Knows no service. Twisted's own keeps bodies of any size in files, waits for ever for a body that
comes a byte at a time, closes without a word when a line is too long, and keeps a connection that
it has closed for as long as its peer reads nothing.
"""

from io import BytesIO
from typing import Any

from twisted.web import http, server
from twisted.web.resource import Resource

from lab.adapters.stream import LINGER
from lab.adapters.transports import can_half_close

#: A request comes within so long, and the next one begins within so long, in seconds.
READ, IDLE = 15.0, 60.0


class BoundedRequest(server.Request):
    """
    A request whose body is kept only as far as anybody reads it.

    Attributes:
        keep: Bytes of a body that are kept at most.
    """

    keep = 0
    _kept = 0

    def gotLength(self, length: int | None) -> None:
        """Keep it in memory, where there is room for so much."""
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """Keep what there is room for: a client may send on."""
        room = self.keep - self._kept
        self._kept += len(data)
        if room > 0:
            super().handleContentChunk(data[:room])


class BoundedChannel(http.HTTPChannel):
    """A connection on which a request has a time for all of it, and not for each of its bytes."""

    site: "BoundedSite"
    #: Any stream transport: of TCP, TLS, a Unix socket.
    transport: Any
    _begun = _turned = False

    def resetTimeout(self) -> None:
        """Called with all bytes that come: with the first of a request its time begins."""
        if not self._begun and not self._handlingRequest:
            self._begun = True
            self.setTimeout(READ)

    def allContentReceived(self) -> None:
        """All of it is there."""
        self._begun = False
        super().allContentReceived()

    def requestDone(self, request: Any) -> None:
        """It is answered; now for the next, or the end, for which a peer has as long."""
        self._savedTimeOut = self.site.idle
        super().requestDone(request)
        if not self.persistent:
            self.setTimeout(self.site.idle)

    def dataReceived(self, data: bytes) -> None:
        """Some bytes of the peer's; what comes behind the end is thrown away."""
        if not self._turned:
            super().dataReceived(data)

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line is too long: the first, with the name of what is wanted, or a header."""
        status = b"431 Request Header Fields Too Large" if self.requests else b"414 URI Too Long"
        self.turn_away(status)

    def turn_away(self, status: bytes, *headers: bytes) -> None:
        """
        Answer without a body, whatever is asked, and close.

        Args:
            status: Code and text.
            headers: Whole lines, besides those that are always there.
        """
        self._turned = True
        lines = (b"HTTP/1.1 " + status, b"Content-Length: 0", b"Connection: close", *headers)
        self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n")
        if can_half_close(self.transport):
            # With unread bytes left, closing would make the peer's system forget the answer.
            self.transport.unregisterProducer()
            self.transport.loseWriteConnection()
            self.setTimeout(LINGER)
        else:
            self.loseConnection()


class BoundedSite(server.Site):
    """
    A site without an access log, HTTP/2, and forms.

    Args:
        reactor: Has a clock.
        resource: What is asked; it looks at the whole path.
        request: Makes requests.
        idle: The next request on a connection begins within so long, in seconds; None for ever.
    """

    protocol: Any = BoundedChannel

    def __init__(
        self,
        reactor: Any,
        resource: Resource,
        request: type[BoundedRequest] = BoundedRequest,
        idle: float | None = IDLE,
    ) -> None:
        super().__init__(
            resource, request, timeout=READ, reactor=reactor, parsePOSTFormSubmission=False
        )
        self.idle = idle

    def startFactory(self) -> None:
        """No log to open."""

    def stopFactory(self) -> None:
        """No log to close."""

    def log(self, request: Any) -> None:
        """Who serves something logs what matters."""

    def acceptableProtocols(self) -> list[bytes]:
        """What is spoken over TLS."""
        return [b"http/1.1"]
