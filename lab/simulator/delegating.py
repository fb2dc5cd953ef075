"""
One reactor for code that cannot take one: it stands for that of the host whose code is running.

**What it must do.** Some code asks the global reactor: ``TimeoutMixin``, a ``LoopingCall`` that was
given no clock, a module that says ``from twisted.internet import reactor``. All hosts of a
simulation share that one name.

**How it does it.** The network knows whose code is running. Whatever is called here is looked up in
the reactor of that host, when it is called: a ``reactor.callLater`` that was stored when a module
was imported means another host each time. Code that is of no host runs on a host named ``main``.

It has to be installed before anybody imports the real reactor, so it is for fresh processes;
``lab simulate`` is one.
"""

import math
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ReactorNotRunning
from twisted.internet.main import installReactor
from zope.interface import classImplements, implementedBy

from lab.errors import LabError
from lab.simulator.fence import FENCED, EscapeError, Simulated, place
from lab.simulator.hosts import Host
from lab.simulator.network import RUNNING, Network
from lab.simulator.reactor import HostReactor

#: Where code runs that is of no other host.
MAIN = "main"


class DelegatingReactor(Simulated):
    """
    Stands for the reactor of the host whose code is running.

    Args:
        net: What `run` runs. Within another simulation, as those of `explore`, that one's hosts
            are meant.
        limit: `run` returns after so long, in seconds.
    """

    def __init__(self, net: Network, limit: float = math.inf) -> None:
        self._net = net
        self._limit = limit
        self._begun = False

    @property
    def running(self) -> bool:
        """Whether the reactor runs that this one stands for now."""
        return not self._waits() and self._reactor().running

    def callWhenRunning(self, callable: Callable[..., object], *args: Any, **kw: Any) -> Any:
        """Call a function now, or when `run` begins."""
        if not self._waits():
            return self._reactor().callWhenRunning(callable, *args, **kw)
        return self._reactor().addSystemEventTrigger("after", "startup", callable, *args, **kw)

    def stop(self) -> None:
        """
        End what runs on the host, as at SIGTERM; of the host ``main``, that ends `run`.

        Raises:
            twisted.internet.error.ReactorNotRunning: It does not run.
        """
        if self._waits():
            raise ReactorNotRunning("Can't stop reactor that isn't running.")
        self._reactor().stop()

    def begin(self) -> None:
        """Let what was to be called at the start be called; `run` begins with it."""
        self._begun = True
        self._net.host(MAIN).reactor.fireSystemEvent("startup")

    def run(self, installSignalHandlers: bool = True) -> None:
        """
        Let time pass on all hosts until ``main`` has stopped, or nothing more will happen.

        Raises:
            EscapeError: It has been called before, or it is not for the script to run.
        """
        if not self._waits():
            self._reactor().run()
        self.begin()
        kernel, main = self._net.kernel, self._net.host(MAIN)
        end = kernel.now + self._limit
        while main.up and not main.reactor.stopped and kernel.next() <= end:
            if kernel.next() == math.inf:
                return
            kernel.step()

    def __getattr__(self, name: str) -> Any:
        """What the reactor of a host has, looked up again at each call."""
        if callable(getattr(HostReactor, name, None)):

            def forward(*arguments: Any, **keywords: Any) -> Any:
                """Call that of the host whose code is running."""
                return getattr(self._reactor(), name)(*arguments, **keywords)

            forward.__name__ = name
            setattr(self, name, forward)
            return forward
        if name in FENCED:
            return _refuse(name)
        return getattr(self._reactor(), name)

    def _host(self) -> Host:
        """Whose code is running."""
        net = RUNNING[-1] if RUNNING else self._net
        return net.current or net.host(MAIN)

    def _reactor(self) -> HostReactor:
        """The reactor of that host."""
        return self._host().reactor

    def _waits(self) -> bool:
        """Whether it is the reactor of a script that has not called `run` yet."""
        return not self._begun and self._net.current is None and RUNNING in ([], [self._net])


classImplements(DelegatingReactor, implementedBy(HostReactor))  # type: ignore[misc]


def _refuse(name: str) -> Callable[..., object]:
    """A method for what no host has."""

    def refuse(*_: object, **__: object) -> None:
        """Refuse."""
        raise EscapeError(f"{place()} calls {name}() in a simulation, which has no such thing")

    return refuse


def install(net: Network, limit: float = math.inf) -> DelegatingReactor:
    """
    Put a delegating reactor in the place of the global one.

    Args:
        net: As for `DelegatingReactor`.
        limit: The same.

    Raises:
        LabError: There is one already.
    """
    if "twisted.internet.reactor" in sys.modules:
        raise LabError("a reactor is installed already; simulate in a fresh process")
    reactor = DelegatingReactor(net, limit)
    installReactor(reactor)
    return reactor
