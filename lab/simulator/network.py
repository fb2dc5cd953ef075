"""
Hosts, the ways between them, and the run of it all: what `simulate` gives.

Everything that happens follows from the seed.
"""

import gc
import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path as File
from typing import Any

from twisted.internet.abstract import isIPAddress
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, Logger, globalLogPublisher
from twisted.python.failure import Failure

from lab.capture.flows import Flow
from lab.capture.packets import RST, udp, unreachable
from lab.capture.recorder import Capture
from lab.errors import LabError, LocalError
from lab.faults.fault import Fault
from lab.faults.journal import Dice, Journal
from lab.faults.link import Decisions
from lab.rng import stream
from lab.simulator import connecting, datagrams, streams
from lab.simulator.checks import Checks, Condition
from lab.simulator.fence import fence
from lab.simulator.kernel import Kernel, ShuffledKernel
from lab.simulator.paths import LATENCY, Path
from lab.simulator.reactor import Call, HostReactor
from lab.simulator.reports import report
from lab.simulator.tapping import Tap

#: Ports that are given to who asks for any.
FREE_PORTS = 49152
#: The networks that `simulate` has given and that are not over, the innermost last.
RUNNING: "list[Network]" = []
# Lines of the trace that are hashed together, which takes less time.
_TRACE = 1000
# And how many are kept behind that, for reports.
_KEPT = 100


class SimulationFailed(LabError):
    """Something in a run went wrong; the text says what, and with which seed."""


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


class Network:
    """
    Hosts and ways between them, on one virtual clock.

    Args:
        seed: All that is drawn follows from it.
        decisions: Where the verdicts of faults come from; dice of that seed by default.
        capture: What crosses the ways goes there.
        order: Of timers of one time: ``fifo`` or ``shuffle``, see `simulate`.

    Raises:
        LocalError: Another order.

    Attributes:
        kernel: The clock.
        journal: What faults have decided.
        failures: What went wrong so far.
        checks: What has to hold.
        again: The command that runs it again, for reports; that of this process if it is empty.
        current: The host whose code is running; None in the code of the scenario itself.
    """

    def __init__(
        self,
        seed: int,
        decisions: Decisions | None = None,
        capture: Capture | None = None,
        *,
        order: str = "fifo",
    ) -> None:
        self.seed = seed
        self._capture = capture
        self.kernel = _kernel(seed, order)
        self.journal = Journal()
        self.failures: list[str] = []
        self.hosts: dict[str, Host] = {}
        self.addresses: dict[str, Host] = {}
        self._decisions = decisions or Dice(seed)
        self._paths: dict[tuple[str, str], Path] = {}
        self.checks = Checks()
        self.again = ""
        self.current: Host | None = None
        self._hash = hashlib.blake2b(digest_size=16)
        self._trace: list[tuple[Any, ...]] = []
        self._before: list[tuple[Any, ...]] = []

    @property
    def now(self) -> float:
        """The time, in seconds since the run began."""
        return self.kernel.now

    def host(self, name: str) -> Host:
        """The host of that name; it is made when it is first named."""
        if name not in self.hosts:
            number = len(self.hosts) + 1
            host = Host(self, name, f"10.0.{number // 250}.{number % 250 + 1}")
            self.hosts[name] = self.addresses[host.address] = host
            if self._capture is not None:
                self._capture.name(host.address, name)
        return self.hosts[name]

    def link(self, a: str | Host, b: str | Host, *faults: Fault) -> None:
        """From now on this is wrong with the way from a to b, and nothing else."""
        self.path(_name(a), _name(b)).set(faults)

    def path(self, a: str, b: str) -> Path:
        """The way from one host to another; at no cost to itself."""
        found = self._paths.get((a, b))
        if found is None:
            usual = LATENCY if a != b else 0.0
            found = Path(f"{a}>{b}", self.kernel, self._decisions, self.journal, usual)
            if self._capture is not None:
                found.tap = self._tap(self._capture, a, b)
            self._paths[a, b] = found
        return found

    def _tap(self, capture: Capture, a: str, b: str) -> Tap:
        """Let a capture see the way from a to b; to an address that no host has, one side of it."""
        return Tap(capture, self.kernel, a, b, there=not isIPAddress(b))

    def partition(self, a: str | Host, b: str | Host) -> None:
        """Cut the way from a to b: datagrams are lost, and what TCP sends waits."""
        self.trace("partition", _name(a), _name(b))
        self.path(_name(a), _name(b)).cut = True

    def heal(self, a: str | Host, b: str | Host) -> None:
        """Mend the way from a to b."""
        self.trace("heal", _name(a), _name(b))
        self.path(_name(a), _name(b)).heal()

    def hold(self, a: str | Host, b: str | Host) -> None:
        """Hold back all that is sent from a to b, datagrams too, until `release`."""
        self.trace("hold", _name(a), _name(b))
        path = self.path(_name(a), _name(b))
        path.cut = path.keeps = True

    def release(self, a: str | Host, b: str | Host) -> None:
        """Let what was held back from a to b go, in order."""
        self.heal(a, b)

    def at(self, when: float, function: Callable[..., object], *arguments: Any) -> None:
        """Do something at a time, in seconds since the run began."""
        self.kernel.at(when, function, *arguments)

    def always(self, name: str, condition: Condition) -> None:
        """
        Fail the run as soon as something does not hold.

        Args:
            name: What it is called in the failure.
            condition: Whether it holds; called after each event.
        """
        self.checks.always(name, condition)
        self.kernel.watch = self._look

    def eventually(self, name: str, condition: Condition) -> None:
        """Fail the run if something has not held after any event, up to its end."""
        self.checks.eventually(name, condition)
        self.kernel.watch = self._look

    def sometimes(self, name: str, condition: Condition) -> None:
        """Fail an exploration if something has held in none of its runs: it proved nothing."""
        self.checks.sometimes(name, condition)
        self.kernel.watch = self._look

    def _look(self) -> None:
        """Look at all checks."""
        wrong = self.checks.look()
        if wrong:
            raise SimulationFailed(f"seed {self.seed}, {self.now:g} s: {wrong}")

    def run(self, for_: float) -> None:
        """
        Let time pass.

        Args:
            for_: In seconds.

        Raises:
            SimulationFailed: Code on a host raised, or what always should has not held.
        """
        self.kernel.run(self.kernel.now + for_)
        self.check()

    def run_until(self, deferred: Deferred[Any], limit: float = math.inf) -> Any:
        """
        Let time pass until a Deferred has its result.

        Args:
            deferred: What is waited for.
            limit: For so long at most, in seconds.

        Returns:
            The result.

        Raises:
            SimulationFailed: It has none in time, or nothing more happens, or code on a host
                raised. A failure of the Deferred is raised as it is.
        """
        results: list[Any] = []
        deferred.addBoth(results.append)
        end = self.kernel.now + limit
        while not results and self.kernel.next() <= end and self.kernel.next() < math.inf:
            self.kernel.step()
        if not results:
            raise SimulationFailed(f"seed {self.seed}: no result at {self.now:g} s")
        self.check()
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]

    def trace(self, *what: object) -> None:
        """Add to the trace of the run."""
        self._trace.append((self.kernel.now, what))
        if len(self._trace) >= _TRACE:
            self.digest()

    def last(self, number: int) -> list[tuple[Any, ...]]:
        """The last events of the trace: times, and what."""
        return [*self._before, *self._trace][-number:]

    def digest(self) -> str:
        """A hash of all that has been sent so far, and when: equal for equal runs."""
        self._hash.update("".join([f"{when}{what}" for when, what in self._trace]).encode())
        self._before = [*self._before, *self._trace][-_KEPT:]
        self._trace.clear()
        return self._hash.copy().hexdigest()

    def check(self) -> None:
        """
        Fail if anything went wrong.

        Raises:
            SimulationFailed: Code on a host raised.
        """
        if self.failures:
            raise SimulationFailed(f"seed {self.seed}, {self.now:g} s: {self.failures[0]}")

    def finish(self) -> None:
        """
        The run is over: look once more.

        Raises:
            SimulationFailed: Something went wrong, or what should have held has not.
        """
        gc.collect()  # a Deferred tells when it is gone
        self.check()
        wrong = self.checks.end()
        if wrong:
            raise SimulationFailed(f"seed {self.seed}, {self.now:g} s: {wrong}")


@contextmanager
def simulate(
    seed: int = 0,
    decisions: Decisions | None = None,
    *,
    capture: str | File | None = None,
    clock: bool = False,
    order: str = "fifo",
) -> Iterator[Network]:
    """
    A network for one run.

    Args:
        seed: All that is drawn follows from it.
        decisions: Where the verdicts of faults come from, for a replay.
        capture: A file that gets what crosses the ways between hosts, in pcapng, for Wireshark.
        clock: Whether code that asks the real clock is refused; see `lab.simulator.fence`.
        order: Of timers of one time: ``fifo``, in which they were asked for, or ``shuffle``, one
            that is drawn, also among what else happens at that time.

    An exception that leaves the ``with`` gets a note: the seed, the command that runs it again, the
    last events, and what each host was waiting for.

    Raises:
        SimulationFailed: At the end, if code on a host raised, a Deferred failed and nobody
            handled it, or what should have held in the end has not.
        LocalError: Another order.
        OSError: The capture can't be written.
    """
    with ExitStack() as stack:
        recorder = None
        if capture is not None:
            file = stack.enter_context(File(capture).open("wb"))
            recorder = Capture(file.write, f"simulation with seed {seed}", "simulated")
        net = Network(seed, decisions, recorder, order=order)

        def observe(event: LogEvent) -> None:
            """Note failures of Deferreds that nobody handles."""
            failure = event.get("log_failure")
            deferred = event.get("log_namespace") == "twisted.internet.defer"
            if failure is not None and deferred and RUNNING[-1] is net:
                net.failures.append(f"unhandled in a Deferred: {failure.value!r}")

        observer: Any = observe
        globalLogPublisher.addObserver(observer)
        stack.callback(globalLogPublisher.removeObserver, observer)
        RUNNING.append(net)
        stack.callback(RUNNING.remove, net)
        try:
            with fence(clock=clock):
                yield net
            net.finish()
        except Exception as error:
            error.add_note(report(net))
            raise


def _kernel(seed: int, order: str) -> Kernel:
    """A clock with this order of timers."""
    if order not in {"fifo", "shuffle"}:
        raise LocalError(f"order is {order!r}; give fifo or shuffle")
    return Kernel() if order == "fifo" else ShuffledKernel(random=stream(seed, "order"))


def _name(host: str | Host) -> str:
    """The name of a host."""
    return host if isinstance(host, str) else host.name
