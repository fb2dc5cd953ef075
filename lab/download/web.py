"""
The download service over HTTP: the same files within the same limits, for browsers and the like.

It is another door of a `lab.download.tcp.DownloadFactory`: connections through both are counted,
limited and seen together. An application that wants HTTP alone makes such a factory as well, and
listens with ``endpoint.listen(DownloadSite(factory))`` only.
"""

from contextlib import closing
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from lab.adapters.web import IDLE, BoundedChannel, BoundedSite
from lab.budget import AGAIN
from lab.download.files import TooMany
from lab.download.flow import Flow
from lab.download.page import MOST, page
from lab.download.replies import (
    ALWAYS,
    METHODS,
    Reply,
    answer,
    busy,
    failed,
    is_foreign,
    name_of,
    paged,
    said,
)
from lab.download.shared import Client
from lab.download.tcp import DownloadFactory, show_peer
from lab.download.wire import Entry
from lab.errors import LabError


class DownloadResource(Resource):
    """
    Answers requests for files, and for pages that show what is in a directory.

    Args:
        server: Has the files, and all that is shared.
    """

    isLeaf = True

    _log = Logger()

    def __init__(self, server: DownloadFactory) -> None:
        super().__init__()
        self._server = server

    def render(self, request: Any) -> int:
        """Answer, at once or later."""
        method, name = request.method.decode("latin-1"), name_of(request.path)
        request.channel.begin(f"{method[:16]} {request.path[:4096].decode('latin-1')!a}")
        headers = {
            name.decode("latin-1").lower(): ", ".join(value.decode("latin-1") for value in values)
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        if "host" not in headers and request.clientproto == b"HTTP/1.1":
            self._send(request, said(400, "a request has a Host (RFC 9112, section 3.2)"))
        elif is_foreign(headers.get("host", ""), getattr(request.getHost(), "host", "")):
            self._send(request, said(403, "this is no name of the server; use its address"))
        elif method not in METHODS:
            allow = {"Allow": ", ".join(METHODS)}
            self._send(request, said(405, "only GET and HEAD are answered", allow))
        elif not name or name.endswith("/"):
            self._show(request, name)
        else:
            try:
                now = self._server.clock.seconds()
                reply = answer(self._server.files, name, headers, now, method)
            except (LabError, OSError) as error:
                reply = failed(error)
            self._send(request, reply)
        return NOT_DONE_YET

    def _show(self, request: Any, name: str) -> None:
        """Answer with the page of a directory."""
        gone = request.notifyFinish()
        gone.addErrback(lambda _: None)
        showing = Deferred.fromCoroutine(self._page(name, gone))
        showing.addErrback(self._failed)
        showing.addCallback(lambda reply: None if gone.called else self._send(request, reply))

    async def _page(self, name: str, gone: Deferred[None]) -> Reply:
        """Look at the directory, in some turns of the reactor, as long as somebody wants it."""
        entries: list[Entry] = []
        cut = False
        with closing(self._server.files.within(name.removesuffix("/"))) as found:
            try:
                for batch in found:
                    entries += batch
                    cut = len(entries) > MOST
                    if not cut:
                        await deferLater(self._server.clock, 0)
                    if cut or gone.called:
                        break
            except TooMany:
                cut = True
        return paged(page(name, entries[:MOST], cut=cut))

    def _failed(self, failure: Failure) -> Reply:
        """What is answered where a page could not be made."""
        if isinstance(failure.value, LabError | OSError):
            return failed(failure.value)
        self._log.failure("a request failed", failure)
        return said(500, "the server has met an error of its own")

    def _send(self, request: Any, reply: Reply) -> None:
        """Send an answer; of its body as much as there is room for, and the rest in time."""
        shared, channel = self._server.shared, request.channel
        sends = request.method != b"HEAD" and reply.body.left > 0
        full = shared.transfers.refusal(channel.address) if sends else None
        if full is not None and reply.status < 400:
            reply.body.close()
            reply = busy(full)
        if reply.status >= 400:
            shared.counters.refused += reply.status != 503
            shared.counters.busy += reply.status == 503
        request.setResponseCode(reply.status)
        for name, value in {**ALWAYS, **reply.headers}.items():
            request.setHeader(name, value)
        if reply.length is not None:
            request.setHeader("Content-Length", str(reply.length))
        if sends and reply.status < 300:
            request.write(b"")
            channel.send(Flow(request, reply.body, shared, channel.address, self._server.clock))
            return
        if sends:
            request.write(reply.body.read(reply.body.left))
        reply.body.close()
        request.finish()


class DownloadChannel(BoundedChannel):
    """
    One connection.

    Attributes:
        address: Of the peer, as far as limits for one address go.
    """

    site: "DownloadSite"
    address = ""
    _number = _requests = _volume = 0
    _since = 0.0
    _doing = ""
    _flow: Flow | None = None

    def connectionMade(self) -> None:
        """Let the peer in, if there is room."""
        super().connectionMade()
        server = self.site.server
        self.address = str(getattr(self.transport.getPeer(), "host", ""))
        full = server.shared.connections.refusal(self.address)
        server.shared.connections.begin(self.address)
        self._number, self._since = next(server.numbers), server.clock.seconds()
        server.connected[self._number] = self
        if full is not None:
            server.counters.busy += 1
            self.turn_away(b"503 Service Unavailable", b"Retry-After: %d" % AGAIN)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The peer is gone."""
        del self.site.server.connected[self._number]
        self.site.server.shared.connections.end(self.address)
        super().connectionLost(reason)

    def begin(self, doing: str) -> None:
        """
        A request has come.

        Args:
            doing: What is answered from now on, in words.
        """
        self._doing = doing
        self._requests += 1
        self.site.server.counters.requests += 1

    def send(self, flow: Flow) -> None:
        """The answer has a body."""
        self._flow = flow
        flow.start()

    def requestDone(self, request: Any) -> None:
        """It was answered."""
        flow, self._flow = self._flow, None
        self._volume += flow.volume if flow else 0
        self._doing = ""
        super().requestDone(request)

    def client(self) -> Client:
        """See `lab.download.tcp.Seen`."""
        flow = self._flow
        return Client(
            self._number,
            show_peer(self.transport.getPeer()),
            self._since,
            self._requests,
            self._volume + (flow.volume if flow else 0),
            self._doing,
            flow.transfer(self._number) if flow else None,
        )


class DownloadSite(BoundedSite):
    """
    What listens for HTTP.

    Args:
        server: Has the files, and all that is shared.
    """

    protocol: Any = DownloadChannel
    noisy = False

    def __init__(self, server: DownloadFactory) -> None:
        idle = min(IDLE, server.shared.settings.idle)
        super().__init__(server.clock, DownloadResource(server), idle=idle)
        self.server = server
