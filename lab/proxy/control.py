"""
Toxiproxy's API over HTTP: routes, statuses, headers and bodies as there.

Knows neither sockets nor faults: what is asked for is done by `lab.proxy.registry.Registry`. How
long a request may take to come `lab.adapters.web` says; its body has at most `BODY` bytes.
"""

import re
from base64 import b32hexencode
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web import server
from twisted.web.resource import Resource

from lab.adapters.web import BoundedRequest, BoundedSite
from lab.proxy.bodies import read_change, read_proxies, read_proxy
from lab.proxy.errors import ApiError
from lab.proxy.gojson import encode
from lab.proxy.guard import Guard
from lab.proxy.metrics import CONTENT_TYPE, metrics_text, own_version
from lab.proxy.registry import PopulateError, Proxy, Registry
from lab.proxy.toxics import read_toxic
from lab.rng import secret

#: What ``GET /version`` says: the version of Toxiproxy whose API this is. Its client for Ruby reads
#: it, and since 2.6.0 enables a proxy by PATCH.
VERSION = "2.12.0"
#: Most bytes of a body.
BODY = 1 << 20

_JSON = {"Content-Type": "application/json"}
_TEXT = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}


@frozen
class HttpAnswer:
    """
    An answer.

    Args:
        status: Of HTTP.
        body: Its bytes.
        headers: Besides those that all have.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(factory=dict)


@frozen
class Asked:
    """
    A request.

    Args:
        names: The parts of its path that the route leaves open.
        body: Its bytes.
    """

    names: tuple[str, ...]
    body: bytes


Handler = Callable[[Asked], Awaitable[HttpAnswer]]


def _json(status: int, value: Any) -> HttpAnswer:
    """An answer in JSON; Toxiproxy ends it with no newline."""
    return HttpAnswer(status, encode(value).encode(), _JSON)


def _refusal(error: ApiError) -> HttpAnswer:
    """The answer that an error is: JSON by its form, and a text by its type, as there."""
    body = encode({"error": str(error), "status": error.status})
    return HttpAnswer(error.status, f"{body}\n".encode(), _TEXT)


def _plain(status: int, text: str) -> HttpAnswer:
    """An answer for people."""
    return HttpAnswer(status, f"{text}\n".encode(), _TEXT)


@define(eq=False)
class Api:
    """
    What the routes do.

    Args:
        registry: Has the proxies.
    """

    _registry: Registry

    @property
    def routes(self) -> dict[str, dict[str, Handler]]:
        """Handlers by path, in which a star is any name, and method."""
        return {
            "proxies": {"GET": self.list_proxies, "POST": self.create_proxy},
            "populate": {"POST": self.populate},
            "reset": {"POST": self.reset},
            "version": {"GET": self.version},
            "metrics": {"GET": self.metrics},
            "lab": {"GET": self.about},
            "proxies/*": {
                "GET": self.show_proxy,
                "POST": self.update_proxy,
                "PATCH": self.update_proxy,
                "DELETE": self.delete_proxy,
            },
            "proxies/*/toxics": {"GET": self.list_toxics, "POST": self.create_toxic},
            "proxies/*/toxics/*": {
                "GET": self.show_toxic,
                "POST": self.update_toxic,
                "PATCH": self.update_toxic,
                "DELETE": self.delete_toxic,
            },
        }

    async def list_proxies(self, asked: Asked) -> HttpAnswer:
        """All proxies, by their names."""
        return _json(200, {proxy.name: proxy.describe() for proxy in self._registry.all()})

    async def create_proxy(self, asked: Asked) -> HttpAnswer:
        """One more."""
        proxy = await self._registry.create(read_proxy(asked.body))
        return _json(201, proxy.describe())

    async def populate(self, asked: Asked) -> HttpAnswer:
        """Many more; the errors of this one are typed as the JSON that they are."""
        try:
            made = await self._registry.populate(read_proxies(asked.body))
        except ApiError as error:
            before = error.made if isinstance(error, PopulateError) else []
            status = error.status
            return _json(
                status, {"error": str(error), "status": status, "proxies": _described(before)}
            )
        return _json(201, {"proxies": _described(made)})

    async def reset(self, asked: Asked) -> HttpAnswer:
        """All enabled, and no toxics."""
        await self._registry.reset()
        return HttpAnswer(204)

    async def version(self, asked: Asked) -> HttpAnswer:
        """See `VERSION`; the space is Toxiproxy's."""
        body = f'{{"version": "{VERSION}"}}\n'.encode()
        return HttpAnswer(200, body, {"Content-Type": "application/json;charset=utf-8"})

    async def metrics(self, asked: Asked) -> HttpAnswer:
        """For Prometheus."""
        text = metrics_text(self._registry.counters, self._registry.seed)
        return HttpAnswer(200, text, {"Content-Type": CONTENT_TYPE})

    async def about(self, asked: Asked) -> HttpAnswer:
        """What Toxiproxy has no word for: our own version, and the seed."""
        return _json(200, {"version": own_version(), "seed": self._registry.seed})

    async def show_proxy(self, asked: Asked) -> HttpAnswer:
        """One proxy."""
        return _json(200, self._registry.get(*asked.names).describe())

    async def update_proxy(self, asked: Asked) -> HttpAnswer:
        """Change one; whether it is there is looked at first."""
        (name,) = asked.names
        self._registry.get(name)
        proxy = await self._registry.update(name, read_change(asked.body))
        return _json(200, proxy.describe())

    async def delete_proxy(self, asked: Asked) -> HttpAnswer:
        """One less."""
        await self._registry.delete(*asked.names)
        return HttpAnswer(204)

    async def list_toxics(self, asked: Asked) -> HttpAnswer:
        """The toxics of one proxy: those of the stream to the upstream first."""
        proxy = self._registry.get(*asked.names)
        return _json(200, [toxic.describe() for toxic in proxy.chains])

    async def create_toxic(self, asked: Asked) -> HttpAnswer:
        """One more; with 200, as there."""
        (name,) = asked.names
        proxy = self._registry.get(name)
        taken = {toxic.name for toxic in proxy.toxics}
        toxic = self._registry.add_toxic(name, read_toxic(asked.body, taken, proxy.protocol))
        return _json(200, toxic.describe())

    async def show_toxic(self, asked: Asked) -> HttpAnswer:
        """One toxic."""
        proxy, toxic = asked.names
        return _json(200, self._registry.get(proxy).toxic(toxic).describe())

    async def update_toxic(self, asked: Asked) -> HttpAnswer:
        """Change one; attributes that are not named stay."""
        proxy, name = asked.names
        toxic = self._registry.get(proxy).toxic(name).changed(asked.body)
        return _json(200, self._registry.update_toxic(proxy, toxic).describe())

    async def delete_toxic(self, asked: Asked) -> HttpAnswer:
        """One less."""
        self._registry.delete_toxic(*asked.names)
        return HttpAnswer(204)


class Control(Resource):
    """
    The API, for a site; see `control_site`.

    Args:
        registry: Has the proxies.
        guard: Says who may ask.
    """

    isLeaf = True

    _log = Logger()

    def __init__(self, registry: Registry, guard: Guard | None = None) -> None:
        super().__init__()
        self._guard = guard or Guard()
        self._routes = [
            (re.compile(path.replace("*", "([^/]+)")), methods)
            for path, methods in Api(registry).routes.items()
        ]

    def render(self, request: Any) -> int:
        """HttpAnswer, at once or later."""
        request.defaultContentType = None
        gone = request.notifyFinish()
        gone.addErrback(lambda _: None)
        answering = Deferred.fromCoroutine(self._answer(request))
        answering.addErrback(self._failed)
        answering.addCallback(_send, request, gone)
        return server.NOT_DONE_YET

    async def _answer(self, request: Any) -> HttpAnswer:
        """The answer to a request."""
        headers = {
            name.decode("latin-1").lower(): [value.decode("latin-1") for value in values]
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        method = request.method.decode("latin-1")
        refusal = self._guard.refusal(method, headers, getattr(request.getHost(), "host", ""))
        if refusal is not None:
            return _plain(*refusal)
        names, methods = self._route(request)
        if methods is None:
            return _plain(404, "404 page not found")
        if method not in methods:
            return HttpAnswer(405)
        if self._guard.refuses_browser(headers):
            return _plain(403, "User agent not allowed")
        return await _handled(methods[method], Asked(names, request.content.read(BODY + 1)))

    def _route(self, request: Any) -> tuple[tuple[str, ...], Mapping[str, Handler] | None]:
        """The names in a path, and the handlers of it; None if there are none."""
        # Names are read after the path is taken apart, so that one may hold a slash.
        path = request.path.decode("latin-1").removeprefix("/")
        for pattern, methods in self._routes:
            found = pattern.fullmatch(path)
            if found:
                return tuple(unquote(name) for name in found.groups()), methods
        return (), None

    def _failed(self, failure: Any) -> HttpAnswer:
        """A bug; the client is told that it is not its fault."""
        self._log.failure("a request failed", failure)
        return _refusal(ApiError(500, "internal error; the log says more"))


async def _handled(handler: Handler, asked: Asked) -> HttpAnswer:
    """What a handler answers, or why it does not."""
    if len(asked.body) > BODY:
        return _refusal(ApiError(413, f"body is too large; give at most {BODY} bytes"))
    try:
        return await handler(asked)
    except ApiError as error:
        return _refusal(error)


def _described(proxies: list[Proxy]) -> list[dict[str, Any]] | None:
    """Proxies; no list at all if there are none, as there."""
    return [proxy.describe() for proxy in proxies] or None


def _send(answer: HttpAnswer, request: Any, gone: "Deferred[None]") -> None:
    """Send an answer, if there is still somebody to take it."""
    if gone.called:
        return
    request.setResponseCode(answer.status)
    request.setHeader("X-Toxiproxy-Request-Id", b32hexencode(secret())[:20].lower())
    for name, value in answer.headers.items():
        request.setHeader(name, value)
    if answer.status == 401:
        request.setHeader("WWW-Authenticate", "Bearer")
    if answer.status != 204:
        request.setHeader("Content-Length", str(len(answer.body)))
    request.write(answer.body)
    request.finish()


class _Request(BoundedRequest):
    """A request; of its body one byte too many is kept at most, by which that is known."""

    keep = BODY + 1


def control_site(reactor: Any, resource: Resource) -> server.Site:
    """
    What listens for the API.

    Args:
        reactor: Has a clock.
        resource: A `Control`, or what leaves requests to one; it looks at the whole path.
    """
    return BoundedSite(reactor, resource, _Request)
