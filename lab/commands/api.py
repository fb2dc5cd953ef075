"""A client of the proxy's HTTP API, which is Toxiproxy's."""

import json
from io import BytesIO
from typing import Any
from urllib.parse import quote, urlsplit

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.error import ConnectionRefusedError as NobodyThere
from twisted.web.client import Agent, FileBodyProducer, ResponseNeverReceived, readBody
from twisted.web.http_headers import Headers

from lab.errors import ConnectionRefused, LocalError, RemoteError, Unreachable

#: Where a proxy's API is, unless somebody says.
DEFAULT = "http://localhost:8474"
# An answer is waited for so long, in seconds; Toxiproxy's own limit is 25.
_PATIENCE = 30.0


def read_url(text: str) -> str:
    """
    The address of an API; HOST:PORT alone will do.

    Raises:
        LocalError: It is none.

    >>> read_url("localhost:8474")
    'http://localhost:8474'
    """
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or not text.isascii() or parts.path.strip("/") or parts.query:
        raise LocalError(f"host is {text!r}; give one like {DEFAULT}")
    return url.rstrip("/")


@define
class Api:
    """
    Asks one API.

    Args:
        reactor: Connects.
        url: Where it is.
        token: Goes along, if there is one.
    """

    _reactor: Any
    url: str
    _token: str = ""
    _agent: Agent = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make what asks."""
        self._agent = Agent(self._reactor, connectTimeout=_PATIENCE)

    async def call(self, method: str, *names: str, body: Any = None) -> Any:
        """
        Ask.

        Args:
            method: Of HTTP.
            names: The parts of the path, as they are: they may have any characters.
            body: Is sent as JSON, unless it is None.

        Returns:
            What the answer has, or None.

        Raises:
            RemoteError: It refuses; the text is the API's.
            ConnectionRefused: Nobody listens there.
            Unreachable: There is no way to it.
        """
        url = "/".join((self.url, *(quote(name, safe="") for name in names)))
        headers = Headers({"User-Agent": ["lab proxy"], "Content-Type": ["application/json"]})
        if self._token:
            headers.addRawHeader("Authorization", f"Bearer {self._token}")
        sent = None if body is None else FileBodyProducer(BytesIO(json.dumps(body).encode()))
        asked: Any = self._agent.request(method.encode(), url.encode(), headers, sent)
        asked.addCallback(lambda response: Deferred.fromCoroutine(_whole(response)))
        asked.addTimeout(_PATIENCE, self._reactor)
        try:
            code, data = await asked
        except NobodyThere as error:
            raise ConnectionRefused(f"nobody listens at {self.url}") from error
        except (ConnectError, DNSLookupError, TimeoutError, ResponseNeverReceived) as error:
            raise Unreachable(f"no answer from {self.url}: {error}") from error
        return _value(code, data)


async def _whole(response: Any) -> tuple[int, bytes]:
    """The code and the body of an answer."""
    return response.code, await readBody(response)


def _value(code: int, data: bytes) -> Any:
    """What an answer has; a refusal is an error."""
    try:
        found = json.loads(data) if data.strip() else None
    except ValueError:
        found = None
    if code >= 300:
        said = found.get("error") if isinstance(found, dict) else data.decode(errors="replace")
        raise RemoteError(f"{str(said).strip() or 'refused'} (status {code})")
    if found is None and data.strip():
        raise RemoteError(f"what answers is no proxy: {data[:60]!r}")
    return found
