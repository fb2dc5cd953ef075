"""
The control socket of a server: a Unix socket at which the words of its console are lines.

An answer is some lines and an empty one; behind ``--json`` it is one line, an object. Who may
connect is whoever may read and write the socket: its owner, and root.
"""

import errno
import json
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from lab.adapters.driver import Driver
from lab.adapters.stream import LineCoreProtocol
from lab.commands.overview import HELP, Answer, Overview, render
from lab.core import Finished, Left
from lab.errors import LocalError

#: Most bytes of a line.
LIMIT = 1024
#: Most connections; more are closed at once.
MOST = 32
_PREFIX = "unix:"


def control_path(text: str) -> Path:
    """
    The path of a control socket, which stays the same wherever the process goes.

    Args:
        text: ``unix:PATH``, or the path alone.

    Raises:
        LocalError: It is too long for the system, or empty.
    """
    path = Path(text.removeprefix(_PREFIX)).absolute()
    if not text.removeprefix(_PREFIX) or len(os.fsencode(path)) > 107:
        raise LocalError(f"control is {text!r}; give unix:PATH, of at most 107 bytes in all")
    return path


@define(eq=False)
class ControlCore:
    """
    Answers the lines of one connection.

    Args:
        overview: Knows the answers.

    Attributes:
        stops: Whether the server was told to stop.
    """

    _overview: Overview
    stops: bool = field(init=False, default=False)
    _outgoing: list[bytes] = field(init=False, factory=list)
    _events: list[object] = field(init=False, factory=list)

    def message(self, data: bytes, now: float) -> None:
        """Answer one line."""
        if len(data) > LIMIT:
            self._say({"error": f"the line is too long; give at most {LIMIT:,} bytes"})
            self._events.append(Finished(f"a line of more than {LIMIT:,} bytes"))
            return
        words = data.decode("utf-8", "backslashreplace").split()
        plain = [word for word in words if word != "--json"]
        if plain in (["quit"], ["exit"]):
            self._events.append(Left("it said quit"))
        elif plain == ["help"]:
            self._outgoing.append(f"{HELP}\n".encode())
        elif plain:
            self._answer(" ".join(plain), as_json=len(plain) < len(words))

    def tick(self, now: float) -> None:
        """No time is waited for."""

    def close(self, now: float) -> None:
        """Nothing is kept."""

    def outgoing(self) -> list[bytes]:
        """The answers."""
        out, self._outgoing = self._outgoing, []
        return out

    def events(self) -> list[object]:
        """How the connection has to end."""
        events, self._events = self._events, []
        return events

    def deadline(self) -> float | None:
        """A console may be silent for as long as it likes."""
        return None

    def _answer(self, line: str, *, as_json: bool) -> None:
        """Answer a line that has a word."""
        try:
            answer = self._overview.answer(line)
        except LocalError as error:
            answer = {"error": str(error)}
        self._say(answer, as_json=as_json)
        if "stopping" in answer:
            self.stops = True
            # Stopped is when this answer has arrived.
            self._events.append(Finished("the server was told to stop"))

    def _say(self, answer: Answer, *, as_json: bool = False) -> None:
        """Send an answer."""
        if as_json:
            text = json.dumps(answer)
        else:
            text = (answer["error"] if "error" in answer else render(answer)) + "\n"
        self._outgoing.append(text.encode("utf-8", "backslashreplace"))


class ControlFactory(Factory):
    """
    Builds the protocol of each connection.

    Args:
        reactor: Gives the time.
        overview: Knows the answers.
        stop: Called when somebody has said so, and was answered.
    """

    noisy = False

    def __init__(self, reactor: Any, overview: Overview, stop: Callable[[], None]) -> None:
        self._reactor = reactor
        self._overview = overview
        self._stop = stop
        self._connections = 0

    def buildProtocol(self, addr: IAddress | None) -> LineCoreProtocol | None:
        """One more, if there are not too many."""
        if self._connections >= MOST:
            return None
        self._connections += 1
        core = ControlCore(self._overview)
        return LineCoreProtocol(Driver(core, self._reactor), LIMIT, lambda _: self._lost(core))

    def _lost(self, core: ControlCore) -> None:
        """A connection is gone."""
        self._connections -= 1
        if core.stops:
            self._stop()


class ControlService(Service):
    """
    Listens at the control socket while it runs.

    It begins when twistd has given up its rights, so that the socket belongs to whom the process
    belongs.

    Args:
        reactor: Listens.
        path: Of the socket.
        factory: Answers.
    """

    _log = Logger()

    def __init__(self, reactor: Any, path: Path, factory: Factory) -> None:
        self._reactor = reactor
        self._path = path
        self._factory = factory
        self._port: Any = None

    def startService(self) -> None:
        """
        Listen.

        Raises:
            LocalError: It can't; the text says why.
        """
        super().startService()
        try:
            clear(self._path)
            self._port = self._reactor.listenUNIX(str(self._path), self._factory, mode=0o600)
        except (OSError, CannotListenError) as error:
            cause = getattr(error, "socketError", error)
            why = getattr(cause, "strerror", None) or str(cause)
            raise LocalError(f"control can't listen on unix:{self._path}: {why}") from None
        self._log.info("control listens on {endpoint}", endpoint=f"unix:{self._path}")

    def stopService(self) -> Deferred[None]:
        """Listen no more; the socket is removed."""
        super().stopService()
        port, self._port = self._port, None
        return maybeDeferred(port.stopListening) if port else maybeDeferred(lambda: None)


def clear(path: Path) -> None:
    """
    Remove a socket at which nobody listens any more.

    Raises:
        LocalError: Somebody does, or it is no socket.
        OSError: It can't be looked at.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise LocalError(f"control is at {str(path)!r}; there is something that is no socket")
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(0)
        if asking.connect_ex(str(path)) != errno.ECONNREFUSED:
            raise LocalError(f"control is at {str(path)!r}; another server listens there")
    path.unlink()
