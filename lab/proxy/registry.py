"""
The proxies by their names, and every change of them.

**What it must do.** What Toxiproxy's API asks for, with its errors. When a call returns it is done:
a port that is closed refuses connections, a toxic is in force on all of them. Every call
returns, whatever names or ports do.

**How it does it.** Changes that may have to wait, for a name, a port or its closing, come one
after the other; each wait ends after `lab.proxy.ports.PATIENCE` at the latest. Toxics change at
once, without a wait, so nothing can come between. A relay lives as long as what it is called by in
the metrics: one upstream, at one address; toxics are given to it before it listens.

**What was refused.** A lock for each proxy: populate and reset need many, and would have to say
what happens to those that change meanwhile. To bind the new port before the old one is closed: it
may be the same.

Knows neither HTTP nor sockets. What goes through the ports is the business of the relays.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from typing import Protocol as Interface

from attrs import define, field, frozen
from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from lab.errors import LocalError
from lab.faults.fault import Fault
from lab.proxy.bodies import Change, Wanted
from lab.proxy.errors import ApiError, bad_request, no_proxy, no_toxic, proxy_exists, toxic_exists
from lab.proxy.ports import Ports
from lab.proxy.toxics import Toxic, check_together

#: So many sets of counters of proxies that are gone or have moved are kept.
KEPT = 1000

_T = TypeVar("_T")


class Relay(Interface):
    """
    What carries the connections of one proxy.

    Attributes:
        number: That of the next connection, by which random decisions and journals are named.
    """

    number: int

    @property
    def factory(self) -> Any:
        """Listens for it."""

    @property
    def connections(self) -> int:
        """How many there are now."""

    @property
    def accepted(self) -> int:
        """How many have been accepted."""

    @property
    def refused(self) -> int:
        """How many the upstream did not take."""

    @property
    def received(self) -> Mapping[str, int]:
        """Bytes that came in, by direction."""

    @property
    def sent(self) -> Mapping[str, int]:
        """Bytes that went out, by direction."""

    @property
    def hits(self) -> Mapping[str, int]:
        """How often a fault has done something, by its name."""

    @property
    def special(self) -> Mapping[str, int]:
        """What only relays of its protocol count, by the name that it has in the metrics."""

    def set_faults(self, upstream: Sequence[Fault], downstream: Sequence[Fault]) -> None:
        """Have these faults on connections that there are and that come."""

    def drop(self) -> None:
        """End all connections."""


@frozen
class Labels:
    """
    What counters are called by.

    Args:
        proxy: Its name.
        listener: Where it listens.
        upstream: Where its connections go.
    """

    proxy: str
    listener: str
    upstream: str


@define
class Counters:
    """
    What has been counted under one set of labels.

    Args:
        connections: How many there are now.
        accepted: How many have been accepted.
        refused: How many the upstream did not take.
        received: Bytes that came in, by direction.
        sent: Bytes that went out, by direction.
        hits: How often a fault has done something, by its name.
        special: What only relays of its protocol count, by its name.
    """

    connections: int = 0
    accepted: int = 0
    refused: int = 0
    received: dict[str, int] = field(factory=dict)
    sent: dict[str, int] = field(factory=dict)
    hits: dict[str, int] = field(factory=dict)
    special: dict[str, int] = field(factory=dict)

    def plus(self, relay: "Relay | Counters", *, live: bool) -> "Counters":
        """With what a relay has counted; its connections count only while it lives."""
        return Counters(
            self.connections + (relay.connections if live else 0),
            self.accepted + relay.accepted,
            self.refused + relay.refused,
            _sum(self.received, relay.received),
            _sum(self.sent, relay.sent),
            _sum(self.hits, relay.hits),
            _sum(self.special, relay.special),
        )


@define(eq=False)
class Proxy:
    """
    A proxy as it is.

    Args:
        name: Unlike that of any other.
        upstream: Where its connections go, as it was given.
        listen: Where it listens; once it has, the address that this has become.
        relay: Carries its connections.
        toxics: In the order in which they were made.
        protocol: ``tcp`` or ``udp``.
    """

    name: str
    upstream: str
    listen: str
    relay: Relay
    toxics: list[Toxic]
    protocol: str = "tcp"
    port: IListeningPort | None = None

    @property
    def enabled(self) -> bool:
        """Whether it listens."""
        return self.port is not None

    @property
    def labels(self) -> Labels:
        """What its counters are called by."""
        return Labels(self.name, self.listen, self.upstream)

    @property
    def chains(self) -> list[Toxic]:
        """Its toxics: those of the stream to the upstream first."""
        return sorted(self.toxics, key=lambda toxic: toxic.direction != "upstream")

    def describe(self) -> dict[str, Any]:
        """The object of the API; Toxiproxy's clients know no protocol, and nothing but TCP."""
        return {
            "name": self.name,
            "listen": self.listen,
            "upstream": self.upstream,
            **({} if self.protocol == "tcp" else {"protocol": self.protocol}),
            "enabled": self.enabled,
            "Logger": {},
            "toxics": [toxic.describe() for toxic in self.chains],
        }

    def toxic(self, name: str) -> Toxic:
        """
        One of its toxics.

        Raises:
            ApiError: It has none of that name.
        """
        for toxic in self.toxics:
            if toxic.name == name:
                return toxic
        raise no_toxic()

    def give_faults(self) -> None:
        """Let the relay have the faults that the toxics make."""
        faults = [toxic.fault() for toxic in self.toxics]
        self.relay.set_faults(
            [fault for fault in faults if fault.stream == "upstream"],
            [fault for fault in faults if fault.stream == "downstream"],
        )


class PopulateError(ApiError):
    """
    Some proxies could not be made.

    Args:
        error: Why.
        made: Those before.
    """

    def __init__(self, error: ApiError, made: list[Proxy]) -> None:
        super().__init__(error.status, str(error))
        self.made = made


class Registry:
    """
    Proxies by their names.

    Args:
        reactor: Listens, resolves names and has a clock.
        make: Makes the relay of a proxy, from its name, the text of its upstream and its
            protocol; see `lab.proxy.ports.connector`. A ``LocalError`` of its is a request that is
            refused.
        strict: Refuse toxics with numbers that make no sense, instead of taking the nearest.
        seed: That by which the relays decide; it is told, and nothing else is done with it.

    Attributes:
        proxies: They; not to be changed from outside.
        strict: See above.
        seed: See above.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        make: Callable[[str, str, str], Relay],
        *,
        strict: bool = False,
        seed: int | None = None,
    ) -> None:
        self.proxies: dict[str, Proxy] = {}
        self.strict, self.seed = strict, seed
        self._ports = Ports(reactor)
        self._make = make
        self._lock = DeferredLock()
        self._past: dict[Labels, Counters] = {}

    def get(self, name: str) -> Proxy:
        """
        A proxy.

        Raises:
            ApiError: There is none of that name.
        """
        try:
            return self.proxies[name]
        except KeyError:
            raise no_proxy() from None

    def all(self) -> list[Proxy]:
        """All proxies, by their names."""
        return [proxy for _, proxy in sorted(self.proxies.items())]

    def counters(self) -> Iterator[tuple[Labels, Counters]]:
        """What has been counted, of proxies that are gone, too."""
        found = dict(self._past)
        for proxy in self.all():
            before = found.get(proxy.labels, Counters())
            found[proxy.labels] = before.plus(proxy.relay, live=True)
        yield from found.items()

    async def create(self, wanted: Wanted) -> Proxy:
        """
        Make a proxy.

        Raises:
            ApiError: There is one of that name, or it can't listen.
        """
        return await self._alone(lambda: self._create(wanted))

    async def populate(self, several: Sequence[Wanted]) -> list[Proxy]:
        """
        Make proxies; one that has the same name is replaced, or left alone if it is the same.

        Returns:
            All that were named, as they are now.

        Raises:
            PopulateError: One can't listen; those before it are there.
        """
        return await self._alone(lambda: self._populate(several))

    async def update(self, name: str, change: Change) -> Proxy:
        """
        Change a proxy; its connections end if it moves, and its toxics stay.

        The connections that come then have the next numbers; those of one that is deleted and made
        again, or replaced by `populate`, begin with 0: equal set-ups decide alike.

        Raises:
            ApiError: There is none of that name, or it can't listen.
        """
        return await self._alone(lambda: self._update(self.get(name), change))

    async def delete(self, name: str) -> None:
        """
        Forget a proxy, and end its connections.

        Raises:
            ApiError: There is none of that name.
        """
        await self._alone(lambda: self._delete(self.get(name)))

    async def reset(self) -> None:
        """
        Let all proxies listen, without toxics.

        Raises:
            ApiError: One can't listen; then all is as before.
        """
        await self._alone(self._reset)

    async def stop(self) -> None:
        """Close all ports, and end all connections."""
        await self._alone(self._stop_all)

    def drop(self, name: str) -> None:
        """
        End all connections of a proxy, which goes on listening.

        Raises:
            ApiError: There is none of that name.
        """
        self.get(name).relay.drop()

    def add_toxic(self, name: str, toxic: Toxic) -> Toxic:
        """
        Give a proxy one more toxic.

        Raises:
            ApiError: There is no such proxy, it has a toxic of that name, or another protocol.
        """
        proxy = self.get(name)
        if toxic.name in {other.name for other in proxy.toxics}:
            raise toxic_exists()
        return self._set(proxy, [*proxy.toxics, toxic], toxic)

    def update_toxic(self, name: str, toxic: Toxic) -> Toxic:
        """
        Put a toxic in the place of the one of its name.

        Raises:
            ApiError: There is no such proxy, or it has no such toxic.
        """
        proxy = self.get(name)
        before = proxy.toxic(toxic.name)
        toxics = [toxic if other is before else other for other in proxy.toxics]
        return self._set(proxy, toxics, toxic)

    def delete_toxic(self, name: str, toxic: str) -> None:
        """
        Take a toxic from a proxy.

        Raises:
            ApiError: There is no such proxy, or it has no such toxic.
        """
        proxy = self.get(name)
        gone = proxy.toxic(toxic)
        proxy.toxics = [other for other in proxy.toxics if other is not gone]
        proxy.give_faults()

    def _set(self, proxy: Proxy, toxics: list[Toxic], new: Toxic) -> Toxic:
        """Have other toxics, if the new one may be."""
        self._check(proxy.protocol, new)
        check_together(toxics)
        proxy.toxics = toxics
        proxy.give_faults()
        return new

    def _check(self, protocol: str, *toxics: Toxic) -> None:
        """Refuse toxics of another protocol; and numbers that make no sense, if that is wanted."""
        for toxic in toxics:
            if toxic.protocol != protocol:
                raise bad_request("invalid toxic type")
            if self.strict:
                toxic.check()

    async def _alone(self, change: Callable[[], Awaitable[_T]]) -> _T:
        """Do a change when those before it are done."""
        await self._lock.acquire()
        try:
            return await change()
        finally:
            self._lock.release()

    async def _create(self, wanted: Wanted) -> Proxy:
        """See `create`."""
        if wanted.name in self.proxies:
            raise proxy_exists()
        self._check(wanted.protocol, *wanted.toxics)
        check_together(wanted.toxics)
        relay = self._relay(wanted.name, wanted.upstream, wanted.protocol)
        return await self._add(wanted, relay)

    async def _add(self, wanted: Wanted, relay: Relay) -> Proxy:
        """One more, or another in the place of one that has stopped."""
        toxics = list(wanted.toxics)
        proxy = Proxy(wanted.name, wanted.upstream, wanted.listen, relay, toxics, wanted.protocol)
        proxy.give_faults()
        if wanted.enabled:
            await self._start(proxy)
        before = self.proxies.get(wanted.name)
        if before is not None:
            self._retire(before)
        self.proxies[wanted.name] = proxy
        self._tell("{name} is made: {proxy}, seed {seed}", proxy)
        return proxy

    async def _populate(self, several: Sequence[Wanted]) -> list[Proxy]:
        """See `populate`."""
        for number, wanted in enumerate(several, 1):
            try:
                self._check(wanted.protocol, *wanted.toxics)
                check_together(wanted.toxics)
            except ApiError as error:
                raise bad_request(f"{error} at proxy {number}") from error
        made: list[Proxy] = []
        for wanted in several:
            try:
                made.append(await self._add_or_replace(wanted))
            except ApiError as error:
                raise PopulateError(error, made) from error
        return made

    async def _add_or_replace(self, wanted: Wanted) -> Proxy:
        """One of several."""
        before = self.proxies.get(wanted.name)
        to = wanted.listen, wanted.upstream, wanted.protocol
        if before and not await self._differs(before, *to):
            return before
        relay = self._relay(wanted.name, wanted.upstream, wanted.protocol)
        if before is not None:
            await self._stop(before)
        return await self._add(wanted, relay)

    async def _update(self, proxy: Proxy, change: Change) -> Proxy:
        """See `update`."""
        listen = proxy.listen if change.listen is None else change.listen
        upstream = proxy.upstream if change.upstream is None else change.upstream
        enabled = proxy.enabled if change.enabled is None else change.enabled
        if await self._differs(proxy, listen, upstream, proxy.protocol):
            relay = self._relay(proxy.name, upstream, proxy.protocol)
            await self._stop(proxy)
            self._retire(proxy)
            # Its connections go on being others than those before, for faults and in journals.
            relay.number = proxy.relay.number
            proxy.listen, proxy.upstream, proxy.relay = listen, upstream, relay
            proxy.give_faults()
        if enabled != proxy.enabled:
            await (self._start(proxy) if enabled else self._stop(proxy))
        self._tell("{name} has changed: {proxy}, seed {seed}", proxy)
        return proxy

    async def _delete(self, proxy: Proxy) -> None:
        """See `delete`."""
        await self._stop(proxy)
        self._retire(proxy)
        del self.proxies[proxy.name]
        self._log.info("{name} is gone", name=proxy.name)

    async def _reset(self) -> None:
        """See `reset`."""
        started: list[tuple[Proxy, str]] = []
        try:
            for proxy in [proxy for proxy in self.all() if not proxy.enabled]:
                started.append((proxy, proxy.listen))
                await self._start(proxy)
        except ApiError:
            for proxy, listen in started:
                await self._stop(proxy)
                proxy.listen = listen
            raise
        for proxy in self.all():
            proxy.toxics = []
            proxy.give_faults()

    async def _stop_all(self) -> None:
        """See `stop`."""
        for proxy in self.all():
            await self._stop(proxy)

    async def _differs(self, proxy: Proxy, listen: str, upstream: str, protocol: str) -> bool:
        """Whether a proxy would move; a free port is always another, and so is one of UDP."""
        to = await self._ports.resolved(listen, protocol), upstream, protocol
        return to != (proxy.listen, proxy.upstream, proxy.protocol)

    async def _start(self, proxy: Proxy) -> None:
        """Listen; the address that comes out of it is remembered."""
        proxy.port, proxy.listen = await self._ports.open(proxy.listen, proxy.relay.factory)

    async def _stop(self, proxy: Proxy) -> None:
        """Listen no more, and end the connections; it does not matter if that was so before."""
        port, proxy.port = proxy.port, None
        if port is not None:
            await self._ports.close(port)
            proxy.relay.drop()

    def _tell(self, text: str, proxy: Proxy) -> None:
        """Log what has become of a proxy."""
        self._log.info(text, name=proxy.name, proxy=proxy.describe(), seed=self.seed)

    def _relay(self, name: str, upstream: str, protocol: str) -> Relay:
        """A relay for this upstream."""
        try:
            return self._make(name, upstream, protocol)
        except LocalError as error:
            raise bad_request(str(error)) from error

    def _retire(self, proxy: Proxy) -> None:
        """Keep what a relay has counted, and forget the oldest of all that is kept."""
        before = self._past.pop(proxy.labels, Counters())
        self._past[proxy.labels] = before.plus(proxy.relay, live=False)
        while len(self._past) > KEPT:
            del self._past[next(iter(self._past))]


def _sum(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    """Both, key by key."""
    return {key: left.get(key, 0) + right.get(key, 0) for key in [*left, *right]}
