"""
Proof of address over UDP: tokens, and the core that asks for them.

The source address of a datagram can be a lie, so a server that answers more than it was asked
can be aimed at somebody else. RFC 9000, section 8.1, allows three times the bytes until the
address is proved. Here the proof is a token that only who receives at the address can know.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable

from attrs import define, field

from lab.core import Core
from lab.wire.ids import encode_id, read_id

#: A token is good for at least half of this and never longer, in seconds.
LIFETIME = 60.0
#: Bytes that IPv4 and UDP add to each datagram.
HEADERS = 28
#: An unproved address is sent at most this many times the bytes that came from it.
ALLOWED = 3

_ASKED = re.compile(rb"token=([A-Za-z0-9_-]{22}) ")


@define
class Tokens:
    """
    Makes and checks tokens, and remembers none: each is an HMAC over address and time.

    Args:
        key: What makes the tokens ours; 16 random bytes or more.
    """

    _key: bytes = field(repr=False)

    def make(self, peer: str, now: float) -> bytes:
        """A token for this address: 128 bits, base64url, 22 characters."""
        return self._sign(peer, int(now // (LIFETIME / 2)))

    def check(self, token: bytes, peer: str, now: float) -> bool:
        """Whether the token was made for this address, not more than `LIFETIME` ago."""
        slot = int(now // (LIFETIME / 2))
        return any(hmac.compare_digest(token, self._sign(peer, s)) for s in (slot, slot - 1))

    def read(self, data: bytes, peer: str, now: float) -> tuple[bytes, bool]:
        """The request without its token, if it has one, and whether that proves the address."""
        asked = _ASKED.match(data)
        if asked is None:
            return data, False
        return data[asked.end() :], self.check(asked[1], peer, now)

    def _sign(self, peer: str, slot: int) -> bytes:
        """The token of an address in a slot of time."""
        digest = hmac.digest(self._key, f"{slot} {peer}".encode(), hashlib.sha256)[:16]
        return urlsafe_b64encode(digest).rstrip(b"=")


def with_token(token: bytes, request: bytes) -> bytes:
    """The request, with the token that proves the address."""
    return b"token=%s %s" % (token, request)


def allowed(answers: Iterable[bytes], size: int) -> bool:
    """Whether an address that is not proved may have these answers to so many bytes."""
    return sum(len(answer) + HEADERS for answer in answers) <= ALLOWED * (size + HEADERS)


@define
class ProvedCore:
    """
    Another core behind a check of the address: what it answers is held to three times the
    request, unless the request carried a token.

    An answer that is too large is replaced by ``401 TOKEN`` (behind the id of the request, if
    it has one), and the client asks again with ``token=TOKEN`` and a space before its request.

    Args:
        core: The core that answers.
        peer: The address it answers to.
        tokens: Shared by all cores of a server.
    """

    _core: Core
    _peer: str
    _tokens: Tokens
    _outgoing: list[bytes] = field(factory=list)
    #: Answers that were held back.
    challenged: int = 0

    def message(self, data: bytes, now: float) -> None:
        """Hand the request on without its token, and look at what is answered."""
        request, proved = self._tokens.read(data, self._peer, now)
        self._core.message(request, now)
        answers = self._core.outgoing()
        if not proved and not allowed(answers, len(data)):
            self.challenged += 1
            token = self._tokens.make(self._peer, now)
            answers = [b"%s401 %s" % (encode_id(read_id(request)), token)]
        self._outgoing += answers

    def tick(self, now: float) -> None:
        """As the core behind."""
        self._core.tick(now)

    def close(self, now: float) -> None:
        """As the core behind."""
        self._core.close(now)

    def outgoing(self) -> list[bytes]:
        """What may be sent to the address."""
        out, self._outgoing = self._outgoing, []
        return out + self._core.outgoing()

    def events(self) -> list[object]:
        """As the core behind."""
        return self._core.events()

    def deadline(self) -> float | None:
        """As the core behind."""
        return self._core.deadline()
