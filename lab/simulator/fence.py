"""
The fence around a simulation: code that wants the real reactor is told so, with its place.

A protocol that reaches for the global reactor would wait for ever in a simulation, or do real
things in the middle of it.
"""

import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import twisted

import lab
from lab.errors import LabError

# Where libraries are; frozen modules are Python's.
_LIBRARIES = (
    "<frozen ",
    *(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    *(f"{folder}/" for package in (twisted, lab) for folder in package.__path__),
)

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


# Who runs tests by the real reactor may go on with it; the fence itself, where it is twice.
_RUNNERS = ("pytest_twisted", "twisted.trial._asynctest", __name__)


class EscapeError(LabError):
    """Code under simulation wanted something that is not simulated."""


class Simulated:
    """The base of a global reactor that is simulated itself: the fence lets it be."""


@cache
def is_library(file: str) -> bool:
    """Whether a file is Python's, Twisted's, ours or another installed package's."""
    return file.startswith(_LIBRARIES)


def place() -> str:
    """The file and the line of the nearest caller that is in no library."""
    frame = inspect.currentframe()
    while frame is not None and is_library(frame.f_code.co_filename):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "a library"


@contextmanager
def fence() -> Iterator[None]:
    """
    Refuse calls of the real reactor, if there is one, for as long as this lasts.

    Trial and pytest-twisted may call it: they measure the time of tests, and begin them with it.

    Raises:
        EscapeError: In the code that calls; the text names the file and the line.
    """
    real: Any = sys.modules.get("twisted.internet.reactor")
    fenced = () if isinstance(real, Simulated) else FENCED
    names = [name for name in fenced if hasattr(real, name)]
    before = {name: vars(real)[name] for name in names if name in vars(real)}
    for name in names:
        setattr(real, name, _refuse(name, getattr(real, name)))
    try:
        yield
    finally:
        for name in names:
            if name in before:
                setattr(real, name, before[name])
            else:
                delattr(real, name)


def _refuse(name: str, method: Callable[..., object]) -> Callable[..., object]:
    """A method that says who has called it, and works for runners of tests."""

    def refuse(*arguments: object, **keywords: object) -> object:
        """Refuse."""
        frame: Any = inspect.currentframe()
        caller = frame.f_back
        if caller.f_globals.get("__name__", "").startswith(_RUNNERS):
            return method(*arguments, **keywords)
        where = f"{caller.f_code.co_filename}:{caller.f_lineno}"
        raise EscapeError(
            f"{where} calls {name}() of the global reactor in a "
            "simulation; give the code the reactor of its host"
        )

    return refuse
