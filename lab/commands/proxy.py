"""
``twistd lab-proxy``: a proxy that breaks the network on purpose.

What it takes to be one is imported when it is: ``--help`` has to come at once.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from lab import units
from lab.commands.options import LabOptions, one_line
from lab.errors import LabError, LocalError
from lab.rng import fresh_seed

if TYPE_CHECKING:
    from lab.commands.capturing import CaptureFifo, CaptureFile
    from lab.commands.journal_file import JournalFile
    from lab.proxy.bodies import Wanted
    from lab.proxy.registry import Proxy, Registry
    from lab.proxy.stepping import Stepping
    from lab.proxy.toxics import Toxic

#: Where the API listens without any option.
API = "tcp:8474:interface=127.0.0.1"


class Options(LabOptions):
    """Options of ``twistd lab-proxy``."""

    section = "lab-proxy"
    ini = False
    repeatable = ("listen", "upstream", "fault", "at", "allow-host")
    synopsis = "[options]"
    longdesc = (
        "Without options only the API listens, at 127.0.0.1:8474: Toxiproxy's, so that its clients "
        "and command line, and lab proxy, make proxies and faults there. With --listen and "
        "--upstream there is a proxy at once, and no API unless --api asks for it. "
        "An ENDPOINT is HOST:PORT or any endpoint string of Twisted's. "
        "Example: twistd -n lab-proxy --listen tcp:49156:interface=127.0.0.1 "
        "--upstream tcp:127.0.0.1:49155 --fault latency:latency=100,jitter=20 --seed 12"
    )
    optParameters = [  # noqa: RUF012 - Twisted's own form
        ["api", None, None, "Where the API listens (tcp:8474:interface=127.0.0.1)."],
        ["token", None, None, "Who asks the API has to have it; also $LAB_PROXY_TOKEN."],
        ["config", "c", None, "Make the proxies in this file, an array in JSON as Toxiproxy's."],
        ["profile", None, None, "Have this link before each --listen: 3g, dsl, satellite, …"],
        ["seed", None, None, "Draws what faults do: equal seeds decide the same again."],
        ["journal", None, None, "Write each decision to this file; the simulator replays it."],
        ["capture", None, None, "Write all packets to this file or FIFO, for Wireshark (pcapng)."],
        ["log-format", None, "text", "text, or json: one JSON object a line."],
    ]
    optFlags = [  # noqa: RUF012
        ["strict", None, "Refuse toxics with numbers that make no sense."],
    ]

    def __init__(self) -> None:
        super().__init__()
        for name in self.repeatable:
            self[name] = []

    def opt_listen(self, endpoint: str) -> None:
        """Listen at this ENDPOINT for a proxy to the --upstream of the same place; repeatable."""
        self["listen"] = [*self["listen"], endpoint]

    def opt_upstream(self, endpoint: str) -> None:
        """Where connections of that proxy go; repeatable, once for each --listen."""
        self["upstream"] = [*self["upstream"], endpoint]

    def opt_fault(self, text: str) -> None:
        """Have this fault on each --listen: TYPE:NAME=VALUE,…; repeatable."""
        self["fault"] = [*self["fault"], text]

    def opt_at(self, text: str) -> None:
        """Do this at a time: SECONDS:STEP, or SECONDS/SECONDS:STEP again and again; repeatable."""
        self["at"] = [*self["at"], text]

    def opt_allow_host(self, name: str) -> None:
        """Let the API be asked by this NAME, such as that of a container; repeatable."""
        self["allow-host"] = [*self["allow-host"], name.lower()]

    def settle(self) -> None:
        """
        Turn words into proxies.

        Raises:
            LocalError: A value can't be.
        """
        from twisted.internet import reactor

        from lab.adapters.endpoints import serverFromString
        from lab.proxy.ports import connector
        from lab.proxy.steps import read_steps

        self.wanted = [*self._named(), *self._from_file()]
        for wanted in self.wanted:
            _check_place("listen", wanted.listen, partial(serverFromString, reactor))
            upstream = partial(connector, reactor, protocol=wanted.protocol)
            _check_place("upstream", wanted.upstream, upstream)
        self._check_names()
        if self["at"] and not self.wanted:
            raise LocalError("at is for the proxies of listen and config; give one")
        self.steps = read_steps(self["at"], [wanted.protocol for wanted in self.wanted])
        api = self["api"] or (None if self["listen"] else API)
        self.api = None if api is None else (api, _stream(reactor, api))
        seed = self["seed"]
        self.seed = fresh_seed() if seed is None else units.seed(seed)

    def _named(self) -> "list[Wanted]":
        """The proxies of --listen."""
        from lab.proxy.addresses import protocol_of
        from lab.proxy.bodies import Wanted

        listens, upstreams = self["listen"], self["upstream"]
        if len(listens) != len(upstreams):
            raise LocalError(
                f"there are {len(listens)} of listen and {len(upstreams)} of upstream; "
                "give one upstream for each listen"
            )
        if self["fault"] and not listens:
            raise LocalError("fault is for the proxies of listen; give one, or use the API")
        if self["profile"] is not None and not listens:
            raise LocalError("profile is for the proxies of listen; give one, or use the API")
        toxics = {listen: tuple(self._toxics(protocol_of(listen))) for listen in listens}
        names = ["proxy", *(f"proxy-{number}" for number in range(2, len(listens) + 1))]
        return [
            Wanted(name, upstream, listen, toxics=toxics[listen])
            for name, upstream, listen in zip(names, upstreams, listens, strict=False)
        ]

    def _toxics(self, protocol: str) -> "Iterator[Toxic]":
        """The toxics of --profile and --fault; one that has the name of another gets a number."""
        from lab.faults.profiles import profile
        from lab.faults.schema import from_text
        from lab.proxy.toxics import KINDS, toxic_of

        name = self["profile"]
        faults = profile(name).faults(protocol) if name is not None else []
        faults += [from_text(text, KINDS[protocol]) for text in self["fault"]]
        taken: list[str] = []
        for fault in faults:
            others = (f"{fault.name}_{number}" for number in count(2))
            free = next(one for one in chain([fault.name], others) if one not in taken)
            taken.append(free)
            yield toxic_of(evolve(fault, name=free), protocol)

    def _check_names(self) -> None:
        """Refuse a name that would be that of two proxies, of which one would be lost."""
        names = [wanted.name for wanted in self.wanted]
        for name in names:
            if names.count(name) > 1:
                raise LocalError(f"there are {names.count(name)} proxies {name!r}; name each once")

    def _from_file(self) -> "list[Wanted]":
        """The proxies of the file."""
        from lab.proxy.bodies import read_proxies
        from lab.proxy.errors import ApiError

        path = self["config"]
        if path is None:
            return []
        try:
            return read_proxies(Path(path).read_bytes())
        except (OSError, ApiError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise LocalError(f"config is {path!r}; {why}") from error


def _check_place(what: str, text: str, read: Callable[[str], object]) -> None:
    """Refuse what can be no place, now and not with the first connection."""
    from lab.proxy.addresses import Address, is_endpoint

    try:
        if is_endpoint(text):
            read(text)
        else:
            Address.read(text)
    except LocalError as error:
        raise LocalError(f"{what} is {text!r}; give HOST:PORT or an endpoint ({error})") from error


def _stream(reactor: Any, text: str) -> Any:
    """Where the API listens; it needs a stream."""
    from lab.adapters.endpoints import DatagramServerEndpoint, serverFromString

    endpoint = serverFromString(reactor, text)
    if isinstance(endpoint, DatagramServerEndpoint):
        raise LocalError(f"api is {text!r}; give an endpoint of streams, like {API}")
    return endpoint


class ProxyService(Service):
    """
    Has proxies while it runs.

    Args:
        registry: Has them.
        wanted: Those that there are from the beginning.
        journal: Is closed at the end.
        capture: Likewise.
        stepping: Is started when they are there.
        fail: Called with the error if one can't listen, and that is known too late to fail the
            start: a name had to be resolved.
    """

    _log = Logger()

    def __init__(
        self,
        registry: "Registry",
        wanted: "Sequence[Wanted]",
        journal: "JournalFile | None",
        capture: "CaptureFile | CaptureFifo | None",
        stepping: "Stepping",
        fail: Callable[[LabError], None],
    ) -> None:
        self._registry, self._wanted = registry, wanted
        self._journal, self._capture = journal, capture
        self._stepping, self._fail = stepping, fail

    def privilegedStartService(self) -> None:
        """
        Make the proxies, while ports below 1024 are still allowed.

        Raises:
            LocalError: One can't listen.
        """
        super().privilegedStartService()
        made = Deferred.fromCoroutine(self._registry.populate(self._wanted))
        made.addCallback(self._made)
        failures: list[Failure] = []
        made.addErrback(failures.append if made.called else self._failed)
        for failure in failures:
            failure.raiseException()

    def startService(self) -> None:
        """Let a capture have readers from now on."""
        super().startService()
        if self._capture is not None:
            self._capture.start()

    def stopService(self) -> Deferred[None]:
        """Close all ports, end all connections."""
        super().stopService()
        self._stepping.stop()
        for labels, counters in self._registry.counters():
            self._log.info(
                "{name} ends: {accepted:,} {kind}, {refused:,} refused, {up:,} bytes up, "
                "{down:,} bytes down, faults {hits}, seed {seed}",
                name=labels.proxy,
                accepted=counters.accepted,
                kind="clients" if counters.special else "connections",
                refused=counters.refused,
                up=counters.sent.get("upstream", 0),
                down=counters.sent.get("downstream", 0),
                hits=counters.hits,
                seed=self._registry.seed,
            )
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        """Nothing is decided behind that."""
        await self._registry.stop()
        if self._journal is not None:
            self._journal.close()
        if self._capture is not None:
            await self._capture.close()

    def _failed(self, failure: Failure) -> None:
        """It is too late to fail the start."""
        error = failure.value
        if not isinstance(error, LabError):
            self._log.failure("the proxies are not made", failure)
            error = LabError("the proxies are not made")
        self._fail(error)

    def _made(self, proxies: "Sequence[Proxy]") -> None:
        """Say where they are."""
        for proxy in proxies:
            self._log.info(
                "{name} listens on {listen} for {upstream}, seed {seed}",
                name=proxy.name,
                listen=proxy.listen,
                upstream=proxy.upstream,
                seed=self._registry.seed,
            )
        self._stepping.start()


def makeService(options: Options) -> IService:
    """
    Build the proxies and the API that the options name.

    Args:
        options: Parsed options.
    """
    from twisted.internet import reactor

    from lab.adapters.service import ListeningService
    from lab.commands.capturing import open_capture
    from lab.commands.giving_up import give_up
    from lab.commands.journal_file import JournalFile
    from lab.faults.journal import Dice
    from lab.proxy.control import Control, control_site
    from lab.proxy.guard import Guard
    from lab.proxy.recording import Recording
    from lab.proxy.registry import Registry
    from lab.proxy.relays import Relays
    from lab.proxy.stepping import Stepping

    sys.excepthook = one_line
    Logger("lab.commands.proxy").info("seed {seed}", seed=options.seed)
    seed, path = options.seed, options["journal"]
    journal = JournalFile(Path(path), seed) if path else None
    capture, seen = None, None
    if options["capture"] is not None:
        about, epoch = f"lab-proxy with seed {seed}", time.time() - reactor.seconds()
        capture = open_capture(reactor, Path(options["capture"]), about, epoch)
        seen = Recording(capture.capture, reactor.seconds)
    relays = Relays(reactor, Dice(seed), journal, seen)
    registry = Registry(reactor, relays, strict=bool(options["strict"]), seed=seed)
    services = options.services()
    names = [wanted.name for wanted in options.wanted]
    stepping = Stepping(reactor, registry, names, options.steps)
    fail = partial(give_up, reactor)
    proxies = ProxyService(registry, options.wanted, journal, capture, stepping, fail)
    proxies.setServiceParent(services)
    if options.api is not None:
        text, endpoint = options.api
        token = options["token"]
        if token is None:
            token = os.environ.get("LAB_PROXY_TOKEN", "")
        guard = Guard(token, frozenset(options["allow-host"]))
        site: Any = control_site(reactor, Control(registry, guard))
        ListeningService(
            "api", text, endpoint, site, lambda: f"{len(registry.proxies):,} proxies"
        ).setServiceParent(services)
    return services
