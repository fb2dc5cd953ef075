"""
The kinds of digests that pieces can have: SHA-256, which all know, and BLAKE3 where it is there.

BLAKE3 takes a quarter of the time of SHA-256, and less where a processor has no instructions for
that. It comes with ``pip install 'txlab[fast]'``. Digests of all kinds have 32 bytes.

Only pieces have others. What a file is, to people and to clients of several servers, is said by the
SHA-256 of all of it.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import Protocol

#: What all know.
SHA256 = "sha256"


class Hash(Protocol):
    """Computes one digest."""

    def update(self, data: bytes | memoryview, /) -> object:
        """These bytes follow."""

    def digest(self) -> bytes:
        """Of all so far, 32 bytes."""


def _kinds() -> dict[str, Callable[[], Hash]]:
    """Those that there are."""
    try:
        from blake3 import blake3  # noqa: PLC0415 - an extra
    except ImportError:
        return {SHA256: hashlib.sha256}
    return {"blake3": blake3, SHA256: hashlib.sha256}


#: What computes each kind that is known here, the fastest first; the last is what all know.
KINDS = _kinds()


def faster() -> tuple[str, ...]:
    """What a client would rather have than SHA-256, the best first."""
    return tuple(KINDS)[:-1]


def chosen(wanted: Iterable[str]) -> str:
    """
    What a server gives to who wants these: the first that it knows, or SHA-256.

    >>> chosen(["whirlpool", "sha256"]), chosen([])
    ('sha256', 'sha256')
    """
    return next((kind for kind in wanted if kind in KINDS), SHA256)
