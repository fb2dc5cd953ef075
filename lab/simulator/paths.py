"""
The ways between hosts, one for each direction: what is wrong with them, and whether they are cut.

Knows neither protocols nor reactors.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from attrs import define, field

from lab.faults.datagrams import Latency
from lab.faults.fault import Fault
from lab.faults.journal import Journal, Place
from lab.faults.link import Arrival, DatagramLink, Decisions
from lab.faults.schema import DATAGRAMS
from lab.faults.sharing import Buckets, Lane
from lab.faults.stages import STAGES
from lab.faults.words import all_told
from lab.simulator.kernel import Event, Kernel
from lab.simulator.tapping import Tap

# Faults that datagrams have.
_DATAGRAMS = {kind.settings for kind in DATAGRAMS.values()}
#: What a way takes if nothing is said of it, in seconds.
LATENCY = 0.001


@define(eq=False)
class Path:
    """
    One direction from a host to another.

    Args:
        name: ``FROM>TO``, for random streams and journals.
        kernel: The clock.
        decisions: Where verdicts come from.
        journal: Takes what is decided.
        usual: What it takes if no fault says how long, in seconds.

    Attributes:
        latency: What it takes without jitter, in seconds: for what TCP and ICMP say among
            themselves, always.
        more: What it takes besides what faults say, in seconds.
        tap: Sees what is sent and what arrives, for a capture.
        cut: Whether nothing passes.
        keeps: Whether datagrams wait meanwhile; else they are lost.
        streams: Those of its faults that streams have.
        connections: How many pipes there were.
        pipes: Those that there are, which follow when the faults change.
        buckets: Those of rates that all on this way have together. It has one client; with
            those of another way in their place, before it has faults, both have such rates of
            scope ``proxy`` together.
    """

    name: str
    kernel: Kernel
    decisions: Decisions
    journal: Journal
    usual: float = LATENCY
    latency: float = field(init=False)
    more: float = field(init=False)
    tap: Tap | None = field(init=False, default=None)
    cut: bool = field(init=False, default=False)
    keeps: bool = field(init=False, default=False)
    streams: tuple[Fault, ...] = field(init=False, default=())
    connections: int = field(init=False, default=0)
    buckets: Buckets = field(init=False, factory=Buckets)
    #: What follows when the faults change; of no meaning here.
    pipes: dict[Any, None] = field(init=False, factory=dict)
    #: How often there were faults that datagrams have.
    _settings: int = field(init=False, default=0)
    _link: DatagramLink | None = field(init=False, default=None)
    _timer: Event | None = field(init=False, default=None)
    #: What waits for the end of a cut: bytes of streams, which are sent again until they arrive.
    _held: list[tuple[Callable[..., object], tuple[object, ...]]] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        """Nothing is wrong yet."""
        self.set(())

    def set(self, faults: Sequence[Fault]) -> None:
        """From now on this is wrong with it, and nothing else."""
        said = [f.settings.latency for f in faults if isinstance(f.settings, Latency)]
        self.more = 0.0 if said else self.usual
        self.latency = self.more + sum(said)
        if self._link is not None:
            self._deliver(self._link.release(self.kernel.now))
            self._link = None
        datagrams = [fault for fault in faults if type(fault.settings) in _DATAGRAMS]
        if datagrams:
            # What begins anew draws anew, and its units have places of their own in the journal.
            place, now = Place(self.name, self._settings), self.kernel.now
            self._settings += 1
            self._link = DatagramLink(
                datagrams,
                self.decisions,
                place,
                journal=self.journal,
                now=now,
                share=self.lane,
            )
        self.streams = tuple(fault for fault in faults if type(fault.settings) in STAGES)
        for pipe in list(self.pipes):
            pipe.follow()

    def send(self, data: bytes, arrive: Callable[..., object], packet: bytes = b"") -> None:
        """
        Send a datagram.

        Args:
            data: Its bytes.
            arrive: Called with each copy that arrives; for a capture with what faults have done
                to it, too.
            packet: What a capture sees of it.
        """
        if self.cut:
            self._see(packet, self.why)
            if self.keeps:
                self.hold(self.send, data, arrive, packet)
            return
        if self._link is None:
            if packet:
                self._see(packet, "")
            self.kernel.at(self.kernel.now + self.latency, arrive, data)
            return
        arrivals = self._link.send(data, self.kernel.now, arrive)
        if self.tap is not None:
            self._see(packet, all_told(self._link.touched))
        self._deliver(arrivals)
        self._watch()

    def lane(self, fault: Fault, place: Place, now: float) -> Lane:
        """A lane at a rate that others have, too, as `lab.faults.sharing.Share`."""
        return self.buckets.lane(fault, place, now, client=self.name)

    @property
    def why(self) -> str:
        """Why nothing passes, in words."""
        return "held back by hold" if self.keeps else "dropped by partition"

    def control(
        self, function: Callable[..., object], *arguments: object, packet: bytes = b""
    ) -> None:
        """Carry what TCP or ICMP say among themselves; it comes after any cut, late."""
        if self.cut:
            self._see(packet, self.why)
            self.hold(partial(self.control, packet=packet), function, *arguments)
            return
        when = self.kernel.now + self.latency
        if self.tap is not None and packet:
            self.tap.leaves(packet)
            self.kernel.at(when, self.tap.arrives, packet)
        self.kernel.at(when, function, *arguments)

    def hold(self, function: Callable[..., object], *arguments: object) -> None:
        """Call something when the cut is mended."""
        self._held.append((function, arguments))

    def heal(self) -> None:
        """There is no cut any more, and what waited for that goes on."""
        self.cut = self.keeps = False
        held, self._held = self._held, []
        for function, arguments in held:
            function(*arguments)

    def _see(self, packet: bytes, comment: str) -> None:
        """A capture sees something leave."""
        if self.tap is not None and packet:
            self.tap.leaves(packet, comment)

    def _deliver(self, arrivals: list[Arrival]) -> None:
        """Let copies arrive at their times."""
        for arrival in arrivals:
            told = (all_told(arrival.touches),) if self.tap is not None else ()
            self.kernel.at(arrival.at + self.more, arrival.tag, arrival.data, *told)

    def _watch(self) -> None:
        """Come back for what is held back to be overtaken, or waits for its turn."""
        due = self._link.deadline() if self._link else None
        timer = self._timer
        if due is None or (timer is not None and timer[2] is not None and timer[0] <= due):
            return
        if timer is not None:
            self.kernel.withdraw(timer)
        self._timer = self.kernel.at(due, self._tick)

    def _tick(self) -> None:
        """Nobody has overtaken it in time, or it has had its turn."""
        if self._link is not None:
            self._deliver(self._link.tick(self.kernel.now))
            self._watch()
