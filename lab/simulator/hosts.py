"""
One host: what runs on it, its ports, and what it sends. Knows no faults.

It finds the other hosts, and the ways to them, by the network that it is in.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.address import UNIXAddress
from twisted.logger import Logger
from twisted.python.failure import Failure

from lab.capture.flows import Flow
from lab.capture.packets import RST, udp, unreachable
from lab.simulator import connecting, datagrams, streams
from lab.simulator.paths import Path
from lab.simulator.reactor import Call, HostReactor

if TYPE_CHECKING:
    from lab.simulator.network import Network

#: Ports that are given to who asks for any.
FREE_PORTS = 49152


class Host:
    """
    A computer of the simulation.

    Attributes:
        name: Its name, which others find it by.
        address: Its address.
        reactor: What runs on it takes this for its reactor.
        disk: What it keeps when it crashes: whatever the services put there.
        up: Whether it runs.
    """

    _log = Logger()

    def __init__(self, net: "Network", name: str, address: str) -> None:
        self._net = net
        self.kernel = net.kernel
        self.name, self.address = name, address
        self.disk: dict[str, Any] = {}
        self._routes: dict[str, tuple[Host, Path]] = {}
        self._start: Callable[[HostReactor, dict[str, Any]], object] | None = None
        self._begin()

    def _begin(self) -> None:
        """Be as after switching on."""
        self.up = True
        self.calls: dict[Call, None] = {}
        self.udp: dict[int, datagrams.Port] = {}
        #: Those that share a port, and those that have joined a group.
        self.shared: dict[int, dict[datagrams.Port, None]] = {}
        self.groups: dict[str, dict[datagrams.Port, None]] = {}
        self.tcp: dict[int, connecting.Port] = {}
        self.unix: dict[bytes | None, connecting.UnixPort] = {}
        self.ends: dict[streams.End, None] = {}
        self._free = FREE_PORTS
        self.reactor = HostReactor(self)

    def start(self, service: Callable[[HostReactor, dict[str, Any]], object]) -> Any:
        """
        Run a service here: now, and again after each `restart`.

        Args:
            service: Called with the reactor and the disk of this host.

        Returns:
            What the service returns.
        """
        self._start = service
        return self.within(service, self.reactor, self.disk)

    def crash(self) -> None:
        """Stop at once: nothing is sent, nobody is told, and only the disk is left."""
        self.trace("crash", self.name)
        self.up = False
        for call in list(self.calls):
            call.cancel()
        for end in list(self.ends):
            end.vanish()
        self.udp, self.tcp, self.unix, self.shared, self.groups = {}, {}, {}, {}, {}

    def restart(self) -> Any:
        """Be switched on (after a crash, if it runs), and start the service anew."""
        if self.up:
            self.crash()
        self._begin()
        return self.within(self._start, self.reactor, self.disk) if self._start else None

    # What the rooms of reactor and transports use.

    def call(self, function: Callable[..., object], *arguments: Any, **kw: Any) -> Any:
        """
        Call code that runs on this host; an exception is logged, as by Twisted, and kept.

        Returns:
            The exception, or None.
        """
        if not self.up:
            return None
        net = self._net
        before, net.current = net.current, self  # as `within`, without another call
        try:
            function(*arguments, **kw)
        except Exception as error:  # noqa: BLE001 - whatever code under simulation raises
            self.blame(error)
            return error
        finally:
            net.current = before
        return None

    def within(self, function: Callable[..., Any], *arguments: Any, **kw: Any) -> Any:
        """
        Call code as that of this host; what it raises is the caller's.

        Returns:
            What it returns.
        """
        net = self._net
        before, net.current = net.current, self
        try:
            return function(*arguments, **kw)
        finally:
            net.current = before

    def blame(self, error: Exception) -> None:
        """Log what code of this host has raised, as Twisted does, and keep it."""
        self._log.failure("Unhandled Error on {host}", Failure(error), host=self.name)
        self._net.failures.append(f"{self.name}: {error!r}")

    def soon(self, function: Callable[..., object], *arguments: Any) -> None:
        """Call something in the next turn."""
        self.kernel.at(self.kernel.now, function, *arguments)

    def find(self, name: str) -> str | None:
        """The address of a name, or of an address; None if there is no such host."""
        if name in ("localhost", "127.0.0.1", ""):
            return self.address
        host = self._net.hosts.get(name) or self._net.addresses.get(name)
        if host is not None:
            return host.address
        return name if name.count(".") == 3 and name.replace(".", "").isdigit() else None

    def path_to(self, address: str) -> Path:
        """The way to another host."""
        there = self._net.addresses.get(address)
        return self._net.path(self.name, there.name if there else address)

    def free_port(self, taken: dict[int, Any]) -> int:
        """A port that nobody has."""
        while self._free in taken:
            self._free += 1
        self._free += 1
        return self._free - 1

    def trace(self, *what: object) -> None:
        """Note what happened."""
        self._net.trace(*what)

    def send_datagram(self, port: datagrams.Port, there: tuple[str, int], data: bytes) -> None:
        """Send a datagram from a port of ours."""
        here = self.address, port.number
        address = self.address if there[0] == "127.0.0.1" else there[0]
        self._net.trace("udp", here, there, len(data))
        route = self._routes.get(address)
        if route is None:
            host = self._net.addresses.get(address)
            if host is None:
                if datagrams.is_group(address):
                    self._send_group(port, there, data)
                return
            route = self._routes[address] = host, self.path_to(address)
        host, path = route
        if path.tap is None:
            path.send(data, lambda copy: host.arrive(copy, here, there[1]))
        else:
            to = host.address, there[1]
            self._show(path, here, to, data, lambda copy: host.arrive(copy, here, there[1]))

    def _send_group(self, port: datagrams.Port, there: tuple[str, int], data: bytes) -> None:
        """Send a datagram to each member of a group, on its own way."""
        here = self.address, port.number
        for host in self._net.hosts.values():
            if host.groups.get(there[0]) and (port.loops if host is self else port.ttl):
                path, arrive = self.path_to(host.address), partial(host.arrive_group, here, there)
                if path.tap is None:
                    path.send(data, arrive)
                else:
                    self._show(path, here, there, data, arrive)

    def _show(
        self,
        path: Path,
        here: tuple[str, int],
        there: tuple[str, int],
        data: bytes,
        arrive: Callable[[bytes], object],
    ) -> None:
        """Send a datagram that a capture sees."""
        tap: Any = path.tap

        def seen(copy: bytes, comment: str = "") -> None:
            """Show a copy, and deliver it."""
            tap.arrives(udp(here, there, copy), comment)
            arrive(copy)

        path.send(data, seen, udp(here, there, data))

    def arrive_group(self, source: tuple[str, int], there: tuple[str, int], data: bytes) -> None:
        """A datagram for a group is here: all ports of that number hear it, if one is a member."""
        group, port = there
        if self.up and self.groups.get(group):
            one = [self.udp[port]] if port in self.udp else []
            for listener in [*self.shared.get(port, ())] or one:
                listener.arrive(data, source)

    def arrive(self, data: bytes, source: tuple[str, int], port: int) -> None:
        """A datagram is here."""
        if not self.up:
            return
        listener = self.udp.get(port)
        if listener is not None:
            listener.arrive(data, source)
            return
        sender = self._net.addresses[source[0]]
        back = self.path_to(source[0])
        here = self.address, port
        packet = unreachable(udp(source, here, data)) if back.tap else b""
        back.control(sender.unreachable, source[1], here, packet=packet)

    def unreachable(self, port: int, peer: tuple[str, int]) -> None:
        """ICMP: nobody listens there."""
        listener = self.udp.get(port)
        if listener is not None:
            listener.refused(peer)

    def knock(self, there: Any, client: connecting.Client) -> None:
        """SYN arrives at another host, if there is one that is up, or at a Unix socket."""
        if isinstance(there, UNIXAddress):
            socket = self.unix.get(there.name)
            if socket is not None:
                socket.connect(client)
            else:
                client.refused()
            return
        host = self._net.addresses.get(there.host)
        if host is None or not host.up:
            return
        port = host.tcp.get(there.port)
        if port is not None:
            port.connect(client)
        else:
            peer: Any = client.getHost()
            back = host.path_to(peer.host)
            flow = Flow((host.address, there.port), (peer.host, peer.port), ack=1)
            back.control(client.refused, packet=flow.packet(RST) if back.tap else b"")
