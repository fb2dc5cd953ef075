"""
Hosts and the ways between them, and the run of it all: what `simulate` gives.

Everything that happens follows from the seed.
"""

import gc
import hashlib
import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path as File
from typing import Any

from twisted.internet.abstract import isIPAddress
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure

from lab.capture.recorder import Capture
from lab.errors import LabError, LocalError
from lab.faults.fault import Fault
from lab.faults.journal import Dice, Journal, Line
from lab.faults.link import Decisions
from lab.rng import stream
from lab.simulator.checks import Checks, Condition
from lab.simulator.fence import fence
from lab.simulator.hosts import Host
from lab.simulator.kernel import Kernel, ShuffledKernel
from lab.simulator.paths import LATENCY, Path
from lab.simulator.reports import report
from lab.simulator.tapping import Tap

#: The networks that `simulate` has given and that are not over, the innermost last.
RUNNING: "list[Network]" = []
# Lines of the trace that are hashed together, which takes less time.
_TRACE = 1000
# And how many are kept behind that, for reports.
_KEPT = 100


class SimulationFailed(LabError):
    """Something in a run went wrong; the text says what, and with which seed."""


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
        decided: The last of that, and when, in seconds since the run began.
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
        self.decided: deque[tuple[float, Line]] = deque(maxlen=_KEPT)
        # Its own times count from when a connection began.
        self.journal = Journal(watch=lambda entry: self.decided.append((self.now, entry)))
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
        kernel = self.kernel
        end = kernel.now + limit
        while not results and (due := kernel.next()) <= end and due < math.inf:
            kernel.step()
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


#: Not empty while the heap is frozen by us.
_FROZEN: list[bool] = []


@contextmanager
def frozen_heap() -> Iterator[None]:
    """
    Let a run, which looks for garbage at its end, not look through what was there before.

    Where somebody has frozen the heap for longer than this, it stays as it is.
    """
    # To count what is frozen takes long where that is much, so it is not done again by each run.
    if _FROZEN or gc.get_freeze_count():
        yield
        return
    gc.freeze()
    _FROZEN.append(True)
    try:
        yield
    finally:
        _FROZEN.pop()
        gc.unfreeze()


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
        stack.enter_context(frozen_heap())
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
