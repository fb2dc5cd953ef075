"""
Twisted's epoll reactor with less work for each event: ``twistd --reactor=lab``.

Knows no service; any program on Twisted can use it. What is different from Twisted's own:

- An event that says only that there is something to read is handled by a shorter way. All others,
  and every error, go the usual one.
- TCP connections send what was written in an event behind it (`lab.adapters.eager`).
- UDP ports read many datagrams at a time, and let none wait for room by raising an error
  (`lab.adapters.udp`).
- The log context of an event, by which `twisted.python.log` knows the ``system``, is made when
  something is logged, not for each event. So what ``logPrefix`` says is asked for then, too; a
  ``logPrefix`` that fails is reported only if something is logged.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet import main
from twisted.internet.error import ConnectionFdescWentAway
from twisted.internet.interfaces import IConnector, IListeningPort, IProtocolFactory
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from twisted.python import context, log

from lab.adapters.eager import EagerConnection, EagerConnector, EagerPort, EagerServer
from lab.adapters.udp import DatagramPort

try:
    from select import EPOLLIN, EPOLLOUT
    from socket import AF_INET, AF_INET6

    from twisted.internet.epollreactor import EPollReactor
except ImportError as error:
    raise ImportError(
        "the reactor `lab` needs epoll, which this system does not have; leave --reactor=lab out"
    ) from error

_NOBODY: Mapping[str, Any] = context.defaultContextDict[log.ILogContext]
#: Most that epoll is told to wait, in seconds: what Twisted tells it.
LONGEST = 2147483
_log = Logger("twisted.internet.base")
_mistake = _log.failureHandler("Unexpected error in main loop")
#: An event with the first of these alone is for who reads; reading tells of an end and of an error.
_READ_OR_WRITE = EPOLLIN | EPOLLOUT
_GONE = ConnectionFdescWentAway("File descriptor lost")


class _Frame(tuple[Any, Mapping[str, Any]]):
    """
    The context of one event: whose it is, and what was known of whoever logs before.

    Twisted keeps contexts in dictionaries; of this one it wants no more than of a dictionary. A
    tuple is what takes the least time to make.
    """

    __slots__ = ()

    def __getitem__(self, key: Any) -> dict[str, Any]:  # type: ignore[override]
        """What is known to whoever logs something now."""
        if key is not log.ILogContext:
            raise KeyError(key)
        selectable, outer = self
        known = {**outer, "system": "(buggy logPrefix method)"}
        try:
            known["system"] = selectable.logPrefix()
        except Exception:  # noqa: BLE001 - as Twisted does
            context.call({log.ILogContext: known}, log.err)
        return known


class LabReactor(EPollReactor):
    """
    The reactor; it has all interfaces that Twisted's ``EPollReactor`` has.

    Attributes:
        outbox: Connections that have something to send behind the event that is handled.
    """

    def __init__(self) -> None:
        self.outbox: list[EagerConnection] = []
        super().__init__()

    def listenTCP(
        self, port: Any, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """Listen for connections that are eager."""
        listening = EagerPort(port, factory, backlog, interface, self)
        listening.startListening()
        return listening

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30.0, bindAddress: Any = None
    ) -> IConnector:
        """Make a connection that is eager."""
        connector = EagerConnector(host, port, factory, timeout, bindAddress, self)
        connector.connect()
        return connector

    def adoptStreamPort(
        self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory
    ) -> Any:
        """Listen at a socket that listens already."""
        if addressFamily not in {AF_INET, AF_INET6}:
            return super().adoptStreamPort(fileDescriptor, addressFamily, factory)
        make = EagerPort._fromListeningDescriptor  # noqa: SLF001 - there is no other
        listening = make(self, fileDescriptor, addressFamily, factory)
        listening.startListening()
        return listening

    def adoptStreamConnection(
        self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory
    ) -> Any:
        """Take over a socket that is connected already."""
        if addressFamily not in {AF_INET, AF_INET6}:
            return super().adoptStreamConnection(fileDescriptor, addressFamily, factory)
        make = EagerServer._fromConnectedSocket  # noqa: SLF001 - there is no other
        return make(fileDescriptor, addressFamily, factory, self)

    def listenUDP(
        self,
        port: int,
        protocol: DatagramProtocol,
        interface: str = "",
        maxPacketSize: int = 8192,
    ) -> IListeningPort:
        """Listen for datagrams, many at a time."""
        listening = DatagramPort(port, protocol, interface, maxPacketSize, self)
        listening.startListening()
        return listening

    def adoptDatagramPort(
        self,
        fileDescriptor: int,
        addressFamily: Any,
        protocol: DatagramProtocol,
        maxPacketSize: int = 8192,
    ) -> Any:
        """Listen at a socket that is bound already."""
        if addressFamily not in {AF_INET, AF_INET6}:
            # It says so.
            return super().adoptDatagramPort(fileDescriptor, addressFamily, protocol, maxPacketSize)
        make = DatagramPort._fromListeningDescriptor  # noqa: SLF001 - there is no other
        listening = make(self, fileDescriptor, addressFamily, protocol, maxPacketSize)
        listening.startListening()
        return listening

    def mainLoop(self) -> None:
        """Run until it is stopped; turns in which no call is due are short."""
        while self._started:
            with _mistake:
                while self._started:
                    self._turn()
        _log.info("Main loop terminated.")

    def _turn(self) -> None:
        """Make the calls that are due, and wait for events until the next one is."""
        calls = self._pendingTimedCalls
        wait: float | None = None
        if self.threadCallQueue or self._newTimedCalls or self._justStopped or not self.running:
            wait = -1.0
        elif calls:
            wait = calls[0].time - self.seconds()
        if wait is not None and wait <= 0:
            self.runUntilCurrent()
            wait = self.timeout()
            self.doIteration(self.running and wait)
        else:
            self.doIteration(wait if wait is None else min(wait, LONGEST))

    def doPoll(self, timeout: float | None) -> None:
        """
        Wait for events, and handle those there are.

        Args:
            timeout: How long to wait at most, in seconds; None is for ever.
        """
        if self.outbox:
            self._flush()
        selectables = self._selectables
        events = self._poller.poll(-1 if timeout is None else timeout, len(selectables))
        # As `context.call` does, once for all events. A thread that is started in an event takes
        # its context along, so each event has one of its own.
        contexts = context.theContextTracker.currentContext().contexts
        outer = context.get(log.ILogContext) if contexts else _NOBODY
        contexts.append({})
        try:
            self._handle_all(events, contexts, outer)
        finally:
            contexts.pop()

    doIteration = doPoll

    def _handle_all(
        self, events: list[tuple[int, int]], contexts: list[Any], outer: Mapping[str, Any]
    ) -> None:
        """Handle events, each in a context of its own; what goes wrong harms no other."""
        selectables, outbox, usual = self._selectables, self.outbox, outer is _NOBODY
        for fd, event in events:
            # What an event before this one has removed is not there any more.
            selectable = selectables.get(fd)
            if selectable is None:
                continue
            if event & _READ_OR_WRITE == EPOLLIN and isinstance(selectable, EagerConnection):
                # What nearly all events are: no call here that can be spared.
                if not usual:
                    contexts[-1] = _Frame((selectable, outer))
                elif selectable.frame is None:
                    contexts[-1] = selectable.frame = _Frame((selectable, outer))
                else:
                    contexts[-1] = selectable.frame
                was_read = True
                try:
                    why: Any = selectable.doRead()
                    if why and selectable.fileno() == -1:
                        why = _GONE
                except BaseException:  # noqa: BLE001 - as Twisted does
                    why, was_read = sys.exc_info()[1], False
                    log.err()
                if why:
                    _guarded(self._disconnectSelectable, selectable, why, was_read)
            else:
                contexts[-1] = _Frame((selectable, outer))
                self._handle(selectable, fd, event)
            if outbox:
                self._flush()

    def _handle(self, selectable: Any, fd: int, event: int) -> None:
        """Handle one event of any kind."""
        if event & _READ_OR_WRITE != EPOLLIN:
            _guarded(self._doReadOrWrite, selectable, fd, event)
            return
        why: Any = _GONE
        was_read = False
        try:
            if selectable.fileno() != -1:
                why = selectable.doRead()
                was_read = True
        except BaseException:  # noqa: BLE001 - as Twisted does
            why = sys.exc_info()[1]
            log.err()
        if why:
            _guarded(self._disconnectSelectable, selectable, why, was_read)

    def _flush(self) -> None:
        """Have all send what they have; a mistake leaves the others for the next time."""
        while self.outbox:
            self.outbox.pop(0).flush()


def _guarded(call: Callable[..., object], *arguments: object) -> None:
    """Call; a mistake is logged."""
    try:
        call(*arguments)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - as Twisted does
        log.err()


def install() -> None:
    """Make it the reactor of this process, as ``twistd --reactor=lab`` does."""
    main.installReactor(LabReactor())
