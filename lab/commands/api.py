"""A client of the proxy's HTTP API, which is Toxiproxy's."""

import json
import re
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.internet.error import ConnectionRefusedError as NobodyThere
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from lab.errors import ConnectionRefused, LocalError, NoAnswer, RemoteError, Unreachable

#: Where a proxy's API is, unless somebody says.
DEFAULT = "http://localhost:8474"
# An answer is waited for so long, in seconds; Toxiproxy's own limit is 25.
_PATIENCE = 30.0
# Most characters of what an API says that are shown.
_SHOWN = 200


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
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    # Names, numbers and brackets: a password in it would be sent to nobody.
    if not good or not re.fullmatch(r"https?://[\w.:\[\]-]+/*", url, re.ASCII | re.IGNORECASE):
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
            Unreachable: There is no way to it, or it broke.
            NoAnswer: It takes too long.
        """
        return _value(*await self._ask(method, *names, body=body))

    async def text(self, *names: str) -> str:
        """
        Get what is no JSON, as metrics are; see `call`.

        Args:
            names: The parts of the path.

        Raises:
            LabError: As `call`.
        """
        code, data = await self._ask("GET", *names)
        if code >= 300:
            _refuse(code, data)
        return data.decode(errors="replace")

    async def _ask(self, method: str, *names: str, body: Any = None) -> tuple[int, bytes]:
        """Ask; gives the status and what comes with it."""
        quoted = (quote(name, safe="", errors="surrogateescape") for name in names)
        url = "/".join((self.url, *quoted))
        headers = Headers({"User-Agent": ["lab proxy"], "Content-Type": ["application/json"]})
        if self._token:
            headers.addRawHeader("Authorization", f"Bearer {self._token}")
        sent: Any = None if body is None else _Body(json.dumps(body).encode())
        asked: Any = self._agent.request(method.encode(), url.encode(), headers, sent)
        asked.addCallback(lambda response: Deferred.fromCoroutine(_whole(response)))
        asked.addTimeout(_PATIENCE, self._reactor, self._late)
        try:
            found: tuple[int, bytes] = await asked
        except NobodyThere as error:
            raise ConnectionRefused(f"nobody listens at {self.url}") from error
        except ConnectingCancelledError as error:
            raise CancelledError from error
        except (ConnectError, DNSLookupError, ResponseFailed) as error:
            for reason in getattr(error, "reasons", ()):
                if reason.check(CancelledError):
                    raise CancelledError from error
            raise Unreachable(f"no answer from {self.url}: {_why(error)}") from error
        return found

    def _late(self, result: Any, patience: float) -> NoReturn:
        """Whatever became of a call that has taken too long: Twisted has an error for each case."""
        raise NoAnswer(f"no answer from {self.url} within {patience:g} s")


@implementer(IBodyProducer)
@frozen
class _Body:
    """A body that is there; Twisted's own producer would wait for the global reactor."""

    data: bytes

    @property
    def length(self) -> int:
        """In bytes."""
        return len(self.data)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """Write it."""
        consumer.write(self.data)
        return succeed(None)

    def pauseProducing(self) -> None:
        """It is written already."""

    resumeProducing = stopProducing = pauseProducing


class _Reader(Protocol):
    """Reads the body of an answer; Twisted's `readBody` warns of Twisted's own transport."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.whole: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self._pieces.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """That was all. Where nobody has said how long it is, it ends with its connection."""
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(b"".join(self._pieces))
        else:
            self.whole.errback(reason)


async def _whole(response: Any) -> tuple[int, bytes]:
    """The code and the body of an answer."""
    reader = _Reader()
    response.deliverBody(reader)
    try:
        return response.code, await reader.whole
    except CancelledError:
        transport: Any = reader.transport
        transport.loseConnection()
        raise


def _why(error: Exception) -> str:
    """The reason of an error; Twisted's client has a list of them."""
    reasons = getattr(error, "reasons", None)
    return _one_line(reasons[-1].getErrorMessage() if reasons else str(error))


def _one_line(text: str) -> str:
    """What somebody else says, as a part of a line of ours."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words if len(words) <= _SHOWN else f"{words[:_SHOWN]}…"


def _value(code: int, data: bytes) -> Any:
    """What an answer has; a refusal is an error."""
    if code >= 300:
        _refuse(code, data)
    found = _read(data)
    if found is None and data.strip():
        raise RemoteError(f"what answers is no proxy: {data[:60]!r}")
    return found


def _refuse(code: int, data: bytes) -> NoReturn:
    """An answer is a refusal, in words of the API's."""
    found = _read(data)
    said = found.get("error") if isinstance(found, dict) else data.decode(errors="replace")
    raise RemoteError(f"{_one_line(str(said or '')) or 'refused'} (status {code})")


def _read(data: bytes) -> Any:
    """What is said in JSON; None if it is none."""
    try:
        return json.loads(data) if data.strip() else None
    except (ValueError, RecursionError):
        return None
