"""
The fence around a simulation: code that wants something real is told so, with its place.

A protocol that reaches for the global reactor would wait for ever in a simulation, or do real
things in the middle of it. So would one that opens a socket or starts a thread.

**How it tells who asks.** By the file of the caller. Python's own modules and installed packages
are libraries, as are Twisted and this one; everything else is code under simulation. The global
reactor is refused to libraries, too, because Twisted's own code asks it for whoever calls. Sockets
and threads are refused to code under simulation, be it by way of Python's own modules; a tool that
runs the tests may have its own. Clocks are refused to its own lines only: ``logging`` may go on
stamping its records.

**What gets through.** A function that was stored before, as by ``from time import time``, and
``datetime``, which asks the system by itself.
"""

import inspect
import socket
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, wraps
from types import FrameType
from typing import Any

import twisted
from twisted.internet import main

import lab
from lab.errors import LabError

#: What nobody may ask of the real reactor meanwhile.
FENCED = (
    "callInThread",
    "callLater",
    "connectSSL",
    "connectTCP",
    "connectUNIX",
    "getThreadPool",
    "listenMulticast",
    "listenSSL",
    "listenTCP",
    "listenUDP",
    "listenUNIX",
    "spawnProcess",
)
#: What is refused of the module ``time`` besides, if that is asked for.
CLOCKS = ("monotonic", "perf_counter", "sleep", "time")
# Who runs tests by the real reactor may go on with it; the fence itself, where it is twice.
_RUNNERS = ("pytest_twisted", "twisted.trial._asynctest", __name__)
# Where Python's own modules are, and those of Twisted and ours, wherever they are installed.
_STANDARD = ("<frozen ", *(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib")))
_OURS = tuple(f"{folder}/" for package in (twisted, lab) for folder in package.__path__)
_PACKAGES = ("/site-packages/", "/dist-packages/")


class EscapeError(LabError):
    """Code under simulation wanted something that is not simulated."""


class Simulated:
    """The base of a global reactor that is simulated itself: the fence lets it be."""


@contextmanager
def fence(*, clock: bool = False) -> Iterator[None]:
    """
    Refuse the real reactor, real sockets and threads, for as long as this lasts.

    Trial and pytest-twisted may call the reactor: they measure the time of tests, and begin them
    with it. One that is installed meanwhile is refused as well.

    Args:
        clock: Refuse the functions in `CLOCKS`, too.

    Raises:
        EscapeError: In the code that calls; the text names the file and the line.
    """
    with ExitStack() as stack:

        def enclose(reactor: Any) -> None:
            """Refuse a reactor."""
            for name in FENCED if not isinstance(reactor, Simulated) else ():
                if hasattr(reactor, name):
                    _put(stack, reactor, name, _refuse(name, getattr(reactor, name)))

        def install(reactor: Any) -> None:
            """Install a reactor, and refuse it."""
            before(reactor)
            enclose(reactor)

        before = main.installReactor
        _put(stack, main, "installReactor", install)
        enclose(sys.modules.get("twisted.internet.reactor"))
        text = "opens a socket in a simulation; give the code the reactor of its host"
        _put(stack, socket.socket, "__init__", _guard(socket.socket.__init__, text, _asked_for))
        text = "starts a thread in a simulation, which has none"
        _put(stack, threading.Thread, "start", _guard(threading.Thread.start, text, _asked_for))
        for name in CLOCKS if clock else ():
            text = f"calls time.{name}() in a simulation; its hosts have reactors for that"
            _put(stack, time, name, _guard(getattr(time, name), text, _calling))
        yield


def place() -> str:
    """The file and the line of the nearest caller that is in no library."""
    frame = inspect.currentframe()
    while frame is not None and is_library(frame.f_code.co_filename):
        frame = frame.f_back
    return _line(frame) if frame else "a library"


@cache
def is_library(file: str) -> bool:
    """Whether a file is Python's, Twisted's, ours or another installed package's."""
    return _is_standard(file) or file.startswith(_OURS) or _is_installed(file)


@cache
def _is_standard(file: str) -> bool:
    """Whether a file is one of Python's own modules."""
    return file.startswith(_STANDARD) and not _is_installed(file)


def _is_installed(file: str) -> bool:
    """Whether a file is in an installed package."""
    return any(folder in file for folder in _PACKAGES)


def _line(frame: FrameType) -> str:
    """The file and the line where a function is."""
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _calling(frame: FrameType) -> bool:
    """Whether a function is code under simulation."""
    return not is_library(frame.f_code.co_filename)


def _asked_for(frame: FrameType | None) -> bool:
    """The same of the nearest one that is not Python's own."""
    while frame is not None and _is_standard(frame.f_code.co_filename):
        frame = frame.f_back
    return frame is not None and _calling(frame)


def _guard(
    function: Callable[..., Any], text: str, refuses: Callable[[FrameType], bool]
) -> Callable[..., Any]:
    """A function that is refused to some callers."""

    @wraps(function)
    def guard(*arguments: Any, **keywords: Any) -> Any:
        """Refuse it, or do it."""
        frame: Any = inspect.currentframe()
        if refuses(frame.f_back):
            raise EscapeError(f"{place()} {text}")
        return function(*arguments, **keywords)

    return guard


def _refuse(name: str, method: Callable[..., object]) -> Callable[..., object]:
    """A method of a reactor that is refused to all but runners of tests."""

    def refuse(*arguments: object, **keywords: object) -> object:
        """Refuse it, or do it."""
        frame: Any = inspect.currentframe()
        caller = frame.f_back
        if caller.f_globals.get("__name__", "").startswith(_RUNNERS):
            return method(*arguments, **keywords)
        raise EscapeError(
            f"{_line(caller)} calls {name}() of the global reactor in a simulation; give the code "
            "the reactor of its host"
        )

    return refuse


def _put(stack: ExitStack, there: Any, name: str, value: object) -> None:
    """Set an attribute until the end."""
    if name in vars(there):
        stack.callback(setattr, there, name, vars(there)[name])
    else:
        stack.callback(delattr, there, name)
    setattr(there, name, value)
