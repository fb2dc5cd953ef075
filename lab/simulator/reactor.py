"""
The reactor of one host: Twisted's interfaces on virtual time. Knows no packets.

`IReactorTime`, `IReactorCore`, `IReactorFromThreads` and name resolution are here; what listens
and connects is in the rooms of the transports.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.error import (
    AlreadyCalled,
    AlreadyCancelled,
    DNSLookupError,
    ReactorNotRunning,
)
from twisted.internet.interfaces import (
    IDelayedCall,
    IHostnameResolver,
    IHostResolution,
    IReactorCore,
    IReactorFromThreads,
    IReactorMulticast,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    IReactorUDP,
    IReactorUNIX,
    IResolutionReceiver,
)
from twisted.internet.protocol import DatagramProtocol, Factory
from zope.interface import implementer

from lab.simulator import connecting, datagrams
from lab.simulator.fence import EscapeError
from lab.simulator.kernel import Event

if TYPE_CHECKING:
    from lab.simulator.hosts import Host


@implementer(IDelayedCall)
class Call:
    """A call that is to come, on one host."""

    __slots__ = ("_call", "_event", "_host", "called", "cancelled")

    def __init__(self, host: "Host", delay: float, call: tuple[Any, ...]) -> None:
        self._host = host
        self._call = call
        self.called = self.cancelled = False
        self._schedule(delay)

    @property
    def name(self) -> str:
        """What is called, in words."""
        function = self._call[0]
        return str(getattr(function, "__qualname__", type(function).__qualname__))

    def getTime(self) -> float:
        """When it comes, in seconds."""
        when: float = self._event[0]
        return when

    def cancel(self) -> None:
        """Let it not come."""
        self._check()
        self.cancelled = True
        self._withdraw()

    def delay(self, secondsLater: float) -> None:
        """Let it come so much later."""
        self._check()
        later = self._event[0] + secondsLater - self._host.kernel.now
        self._withdraw()
        self._schedule(later)

    def reset(self, secondsFromNow: float) -> None:
        """Let it come so long from now."""
        self._check()
        self._withdraw()
        self._schedule(secondsFromNow)

    def active(self) -> bool:
        """Whether it is to come."""
        return not (self.called or self.cancelled)

    def _schedule(self, delay: float) -> None:
        """Put it on the clock."""
        kernel = self._host.kernel
        # A delay of 0 is the next turn, as with callFromThread: those keep their order.
        at = kernel.timer if delay else kernel.at
        self._event: Event = at(kernel.now + delay, self._run)
        self._host.calls[self] = None

    def _withdraw(self) -> None:
        """Take it from the clock."""
        self._host.kernel.withdraw(self._event)
        self._host.calls.pop(self, None)

    def _check(self) -> None:
        """Refuse what comes too late."""
        if self.cancelled:
            raise AlreadyCancelled
        if self.called:
            raise AlreadyCalled

    def _run(self) -> None:
        """It has come."""
        self.called = True
        self._host.calls.pop(self, None)
        function, arguments, keywords = self._call
        self._host.call(function, *arguments, **keywords)


@implementer(
    IReactorTime,
    IReactorCore,
    IReactorFromThreads,
    IReactorMulticast,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorUDP,
    IReactorUNIX,
)
class HostReactor:
    """
    What code on a host takes for its reactor.

    Args:
        host: The host.

    Attributes:
        running: Whether `stop` has not been called.
        stopped: Whether all is done that was to be done at its end.
    """

    def __init__(self, host: "Host") -> None:
        self._host = host
        self._triggers: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
        self.running = True
        self.stopped = False
        self.nameResolver: IHostnameResolver = _Names(host)

    # IReactorTime

    def seconds(self) -> float:
        """The time, in seconds since the simulation began."""
        return self._host.kernel.now

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: Any, **kw: Any
    ) -> Call:
        """Call a function so many seconds later."""
        if not delay >= 0:
            raise ValueError(f"{delay!r} is not greater than or equal to 0 seconds")
        return Call(self._host, delay, (callable, args, kw))

    def getDelayedCalls(self) -> Sequence[Call]:
        """What is to come on this host."""
        return list(self._host.calls)

    # IReactorCore and IReactorFromThreads

    def callWhenRunning(self, callable: Callable[..., object], *args: Any, **kw: Any) -> None:
        """Call a function now: a host that is up is running."""
        self._host.within(callable, *args, **kw)

    def callFromThread(self, callable: Callable[..., object], *args: Any, **kw: Any) -> None:
        """Call a function in the next turn."""
        self.callLater(0, callable, *args, **kw)

    def addSystemEventTrigger(
        self, phase: str, eventType: str, callable: Callable[..., object], *args: Any, **kw: Any
    ) -> Any:
        """Have a function called around an event, such as ``"before", "shutdown"``."""
        entry = (phase, eventType, (callable, args, kw))
        self._triggers.setdefault((phase, eventType), []).append(entry)
        return entry

    def removeSystemEventTrigger(self, triggerID: Any) -> None:
        """Take a function back."""
        phase, event, _ = triggerID
        self._triggers[phase, event].remove(triggerID)

    def fireSystemEvent(self, eventType: str) -> None:
        """Call what waits for an event: before, during and after it."""
        Deferred.fromCoroutine(self._fire(eventType))

    async def _fire(self, event: str) -> None:
        """Call the triggers; those before are waited for."""
        for phase in ("before", "during", "after"):
            for _, _, (function, arguments, keywords) in self._triggers.pop((phase, event), []):
                try:
                    await maybeDeferred(self._host.within, function, *arguments, **keywords)
                except Exception as error:  # noqa: BLE001 - the others have their turn all the same
                    self._host.blame(error)
        self.stopped |= event == "shutdown"

    def stop(self) -> None:
        """End what runs on this host, as at SIGTERM."""
        if not self.running:
            raise ReactorNotRunning("Can't stop reactor that isn't running.")
        self.running = False
        self.fireSystemEvent("shutdown")

    def crash(self) -> None:
        """End what runs on this host at once, without telling anybody."""
        self._host.crash()

    def run(self, installSignalHandlers: bool = True) -> None:
        """Not here: the simulation runs all its hosts."""
        raise EscapeError("reactor.run() is called in a simulation; its network runs all hosts")

    def iterate(self, delay: float = 0) -> None:
        """Not here either."""
        raise EscapeError("reactor.iterate() is called in a simulation; its network runs all hosts")

    def resolve(self, name: str, timeout: Sequence[int] = ()) -> Deferred[str]:
        """The address of a host, by its name."""
        address = self._host.find(name)
        return succeed(address) if address else fail(DNSLookupError(f"no host named {name!r}"))

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        """Ask another for names; returns the one before."""
        before, self.nameResolver = self.nameResolver, resolver
        return before

    # IReactorUDP, IReactorMulticast and IReactorTCP

    def listenUDP(
        self,
        port: int,
        protocol: DatagramProtocol,
        interface: str = "",
        maxPacketSize: int = 8192,
    ) -> datagrams.Port:
        """Listen for datagrams."""
        return datagrams.Port(self._host, port, protocol, interface, maxPacketSize)

    def listenMulticast(
        self,
        port: int,
        protocol: DatagramProtocol,
        interface: str = "",
        maxPacketSize: int = 8192,
        listenMultiple: bool = False,
    ) -> datagrams.MulticastPort:
        """Listen for datagrams, also of groups; several may share a port if they say so."""
        return datagrams.MulticastPort(
            self._host, port, protocol, interface, maxPacketSize, shared=listenMultiple
        )

    def listenTCP(
        self, port: int, factory: Factory, backlog: int = 50, interface: str = ""
    ) -> connecting.Port:
        """Listen for connections."""
        return connecting.Port(self._host, port, factory, interface)

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30,
        bindAddress: tuple[str, int] | None = None,
    ) -> connecting.Connector:
        """Connect to a host, by its name or its address."""
        connector = connecting.Connector(self._host, host, port, factory, timeout, bindAddress)
        connector.connect()
        return connector

    # IReactorUNIX

    def listenUNIX(
        self,
        address: str | bytes,
        factory: Factory,
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: bool = False,
    ) -> connecting.UnixPort:
        """Listen on a path of this host; no file is made."""
        return connecting.UnixPort(self._host, UNIXAddress(_path(address)), factory)

    def connectUNIX(
        self, address: str | bytes, factory: Any, timeout: float = 30, checkPID: bool = False
    ) -> connecting.UnixConnector:
        """Connect to a path of this host."""
        connector = connecting.UnixConnector(
            self._host, UNIXAddress(_path(address)), factory, timeout, check=checkPID
        )
        connector.connect()
        return connector


def _path(address: str | bytes) -> bytes:
    """A path, as Twisted's addresses have it."""
    return address.encode() if isinstance(address, str) else address


@implementer(IHostnameResolver)
class _Names:
    """Finds hosts of the simulation by their names."""

    def __init__(self, host: "Host") -> None:
        self._host = host

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """Tell the address, if there is such a host."""
        resolution = _Resolution(hostName)
        within = self._host.within
        within(resolutionReceiver.resolutionBegan, resolution)
        address = self._host.find(hostName)
        if address:
            kind: Any = transportSemantics
            within(resolutionReceiver.addressResolved, IPv4Address(kind, address, portNumber))
        within(resolutionReceiver.resolutionComplete)
        return resolution


@implementer(IHostResolution)
class _Resolution:
    """A look-up that is over as soon as it has begun."""

    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """Too late."""
