"""
The fence around a simulation: code that wants the real reactor is told so, with its place.

A protocol that reaches for the global reactor would wait for ever in a simulation, or do real
things in the middle of it.
"""

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lab.errors import LabError

#: What nobody may ask of the real reactor meanwhile.
FENCED = (
    "callInThread",
    "callLater",
    "connectSSL",
    "connectTCP",
    "connectUNIX",
    "getThreadPool",
    "listenSSL",
    "listenTCP",
    "listenUDP",
    "listenUNIX",
    "spawnProcess",
)


class EscapeError(LabError):
    """Code under simulation wanted something that is not simulated."""


@contextmanager
def fence() -> Iterator[None]:
    """
    Refuse calls of the real reactor, if there is one, for as long as this lasts.

    Raises:
        EscapeError: In the code that calls; the text names the file and the line.
    """
    real: Any = sys.modules.get("twisted.internet.reactor")
    names = [name for name in FENCED if hasattr(real, name)]
    before = {name: vars(real)[name] for name in names if name in vars(real)}
    for name in names:
        setattr(real, name, _refuse(name))
    try:
        yield
    finally:
        for name in names:
            if name in before:
                setattr(real, name, before[name])
            else:
                delattr(real, name)


def _refuse(name: str) -> Callable[..., object]:
    """A method that says who has called it."""

    def refuse(*_: object, **__: object) -> None:
        """Refuse."""
        caller = traceback.extract_stack(limit=2)[0]
        raise EscapeError(
            f"{caller.filename}:{caller.lineno} calls {name}() of the global reactor in a "
            "simulation; give the code the reactor of its host"
        )

    return refuse
