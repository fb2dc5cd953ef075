"""
Random streams: the one room that makes randomness. Everybody else is handed a stream.

A stream has a name, and what it gives depends on the seed and its name only: a draw more in
one place never moves the draws in another.
"""

import os
from random import Random

__all__ = ["Random", "fresh_seed", "secret", "stream"]


def fresh_seed() -> int:
    """A seed from the system, small enough to be typed again (0 to 2**32 - 1)."""
    return int.from_bytes(os.urandom(4), "big")


def secret() -> bytes:
    """128 bits from the system that nobody can guess, for keys."""
    return os.urandom(16)


def stream(seed: int | None, *names: object) -> Random:
    """
    The random stream of that name.

    Args:
        seed: Equal seeds give equal streams; None takes one from the system.
        names: What the stream is for, for example ``"drop", 50000``.

    >>> stream(7, "drop").random() == stream(7, "drop").random()
    True
    >>> stream(7, "drop").random() == stream(7, "jitter").random()
    False
    """
    if seed is None:
        return Random(os.urandom(16))
    # A text is hashed with SHA-512 by Random itself: stable over processes and versions.
    return Random(":".join(map(str, (seed, *names))))
