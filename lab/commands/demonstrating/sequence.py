"""The scene of the sequence: its connection is cut again and again, and no number is missing."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from lab.adapters.endpoints import clientFromString
from lab.commands.demonstrating.scene import Link, Scene, Toxic, World
from lab.errors import LabError
from lab.experiments.results import Result, Series, Window
from lab.rng import stream
from lab.sequence.client import Ended, Retry
from lab.sequence.settings import ClientSettings
from lab.sequence.tcp import Event, SequenceClient
from lab.sequence.wire import Number, Resumed
from lab.units import show_seconds

#: How many numbers, and one so often, in seconds.
NUMBERS, INTERVAL = 60, 0.15
#: What happens when so many numbers are there.
CUTS = {12: "reset", 28: "reset", 44: "disabled"}
RESET = Toxic("reset_peer", "downstream", "reset", {"timeout": 0})
_LINK = "sequence"
# It connects again after this, in seconds, and later each time up to that.
_RETRY, _MOST = 0.25, 1.0


class Sequence(Scene):
    """A sequence that goes on where it was cut."""

    def __init__(self) -> None:
        asked = f"{NUMBERS} numbers, one every {show_seconds(INTERVAL)}"
        link = Link(_LINK, "sequence", "tcp")
        super().__init__("sequence, cut", asked, (link,), NUMBERS, "numbers")
        self.ways: list[str] = []
        self.resumed = 0
        self._times: list[float] = []
        self._windows: list[Window] = []
        self._awaited: list[tuple[Callable[[Event], bool], Deferred[Event]]] = []
        self._seconds: Callable[[], float] = float

    async def play(self, world: World) -> None:
        """See `Scene.play`."""
        began = world.reactor.seconds()
        self._seconds = lambda: world.reactor.seconds() - began
        settings = ClientSettings(NUMBERS, INTERVAL, retry=_RETRY, most_retry=_MOST)
        place: Any = clientFromString(world.reactor, world.places[_LINK])
        client = SequenceClient(
            world.reactor, place, settings, stream(world.seed, "demo", self.links[0].name)
        )
        cutting = Deferred.fromCoroutine(self._cut(world))
        cutting.addErrback(self._not_cut)
        try:
            ended = await client.receive(self._heard)
        finally:
            cutting.cancel()
        await cutting
        self.judge(ended)

    def judge(self, ended: Ended) -> None:
        """It has ended: all numbers are there, and it was really cut."""
        text = f"{ended.count:,} of {NUMBERS:,} numbers"
        same = "checksum as the server's" if ended.outcome == "equal" else ended.text
        self.arrived = f"{text}, {same}; resumed {self.resumed} times"
        self.network = ", ".join(
            f"{way} {self.ways.count(way)} times" if self.ways.count(way) > 1 else f"{way} once"
            for way in dict.fromkeys(self.ways)
        )
        if ended.outcome != "equal" or ended.count != NUMBERS:
            self.wrong.append(f"the sequence has ended with {text}: {ended.text}")
        if self.ways != [*CUTS.values()]:
            self.wrong.append(f"it was cut {len(self.ways)} times, and not {len(CUTS)} times")
        if self.resumed < len(CUTS):
            self.wrong.append(f"it was resumed {self.resumed} times")
        numbers = tuple(range(1, len(self._times) + 1))
        series = {"numbers": Series("1", self._times, numbers)}
        self.result = Result("demo", {}, 0, series=series, windows=tuple(self._windows))

    def _heard(self, event: Event) -> None:
        """Something has come."""
        if isinstance(event, Number):
            self._times.append(self._seconds())
            self.move(event.index + 1)
        elif isinstance(event, Resumed):
            self.resumed += 1
            self.say(f"goes on with number {event.next}")
        for entry in [one for one in self._awaited if one[0](event)]:
            self._awaited.remove(entry)
            entry[1].callback(event)

    def _event(self, fits: Callable[[Event], bool]) -> "Deferred[Event]":
        """The next event that fits."""
        found: Deferred[Event] = Deferred()
        self._awaited.append((fits, found))
        return found

    async def _cut(self, world: World) -> None:
        """Cut it as often as `CUTS` says; whoever waits for an event may be cancelled."""
        for at, way in CUTS.items():
            await self._event(lambda event, at=at: isinstance(event, Number) and event.index >= at)  # type: ignore[misc]
            cut, mend = (self._reset, self._spare) if way == "reset" else (self._off, self._on)
            self.say(f"{way} by the proxy at number {self.done}")
            begin = self._seconds()
            await cut(world)
            resumed = self._event(lambda event: isinstance(event, Resumed))
            await mend(world)
            await resumed
            self._windows.append(Window(begin, self._seconds(), way))
            self.ways.append(way)

    def _not_cut(self, failure: Failure) -> None:
        """Nobody cuts any more: it has ended, or the proxy does not do what it is told."""
        if failure.trap(LabError, CancelledError) is LabError:
            self.wrong.append(str(failure.value))

    async def _reset(self, world: World) -> None:
        """Reset it, and see that the proxy has done so."""
        lost = self._event(lambda event: isinstance(event, Retry))
        await world.controls.add(_LINK, RESET)
        await lost
        hits = await world.controls.hits(_LINK)
        if not hits.get(RESET.name):
            self.wrong.append("the proxy has not reset the connection")

    async def _spare(self, world: World) -> None:
        """Reset nothing any more."""
        await world.controls.remove(_LINK, RESET)

    async def _off(self, world: World) -> None:
        """Have nobody listen, until the client has tried in vain."""
        refused = self._event(
            lambda event: isinstance(event, Retry) and event.reason.startswith("there is no")
        )
        await world.controls.enable(_LINK, on=False)
        await refused

    async def _on(self, world: World) -> None:
        """Let the proxy listen again."""
        await world.controls.enable(_LINK, on=True)
