"""
Does the steps of a run at their times, as somebody would who asks the API.

Times count from the start, so a step that comes again does not drift. One that has to wait, for a
port, holds up those behind it.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from lab.errors import LocalError
from lab.proxy.bodies import Change
from lab.proxy.registry import Proxy, Registry
from lab.proxy.steps import Plan, Step, partition


class Stepping:
    """
    Does steps.

    Args:
        clock: Calls when it is time.
        registry: Has the proxies.
        names: Those that steps are for; one that is not there is passed over.
        steps: What is done.
    """

    _log = Logger()

    def __init__(
        self, clock: Any, registry: Registry, names: Sequence[str], steps: Sequence[Step]
    ) -> None:
        self._clock, self._registry = clock, registry
        self._names, self._plan = names, Plan(steps)
        self._turn = DeferredLock()
        self._call: IDelayedCall | None = None
        self._since, self._stopped = 0.0, False

    def start(self) -> None:
        """Begin to count, unless that is not wanted any more."""
        if not self._stopped:
            self._since = self._clock.seconds()
            self._arm()

    def stop(self) -> None:
        """Do nothing any more, what waits for a port included."""
        self._stopped = True
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _arm(self) -> None:
        """Be called when the next step is due."""
        due = self._plan.deadline()
        if due is not None:
            wait = self._since + due - self._clock.seconds()
            self._call = self._clock.callLater(max(0.0, wait), self._tick, due)

    def _tick(self, due: float) -> None:
        """It is time."""
        self._call = None
        # Floating point may bring a clock a hair before the time it was asked for.
        for at, step in self._plan.take(max(due, self._clock.seconds() - self._since)):
            done: Deferred[Any] = self._turn.run(partial(self._begin, at, step))
            done.addErrback(lambda failure: self._log.failure("a step has met a bug", failure))
        self._arm()

    def _begin(self, at: float, step: Step) -> Deferred[None]:
        """One step, when those before it are done."""
        return Deferred.fromCoroutine(self._do(at, step))

    async def _do(self, at: float, step: Step) -> None:
        """For all proxies; where it can't be done, the others have it all the same."""
        if self._stopped:
            return
        there = [name for name in self._names if name in self._registry.proxies]
        self._log.info(
            "at {at:g} s: {step} ({names})", at=at, step=step.what, names=", ".join(there)
        )
        if step.what == "reset":
            await self._try(step, "all", self._registry.reset())
            return
        for name in there:
            await self._try(step, name, self._do_to(step, name))

    async def _try(self, step: Step, name: str, action: Any) -> None:
        """Do it; a refusal is a line in the log."""
        try:
            await action
        except LocalError as error:
            self._log.error(
                "{step} of {name}: {error}", step=step.what, name=name, error=str(error)
            )

    async def _do_to(self, step: Step, name: str) -> None:
        """One step, for one proxy."""
        registry = self._registry
        if step.what in {"down", "up"}:
            await registry.update(name, Change(enabled=step.what == "up"))
        elif step.what == "drop":
            registry.drop(name)
        else:
            self._toxics(step, registry.get(name))

    def _toxics(self, step: Step, proxy: Proxy) -> None:
        """Give toxics, or take those of a partition; a fault that is there begins anew."""
        new = step.toxics(proxy.protocol)
        cut = {toxic.name for toxic in partition(proxy.protocol)}
        gone = {"partition": set(), "heal": cut}.get(step.what, {toxic.name for toxic in new})
        for toxic in list(proxy.toxics):
            if toxic.name in gone:
                self._registry.delete_toxic(proxy.name, toxic.name)
        there = {toxic.name for toxic in proxy.toxics}
        for toxic in new:
            if toxic.name not in there:
                self._registry.add_toxic(proxy.name, toxic)
