"""
A scene of ``lab demo``: what is asked through a bad network, and how it is judged.

Knows neither processes nor the proxy's API: whoever plays it is given a `World`.
"""

from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut

from lab.errors import LabError
from lab.experiments.results import Result
from lab.units import show_seconds


@frozen
class Toxic:
    """
    A fault of a proxy, as its API has it.

    Args:
        type: For example ``loss``.
        stream: ``upstream`` or ``downstream``.
        words: What it has done so often, as ``{} questions lost``.
        attributes: In the units of the API.
        name: Unlike those of the others.
    """

    type: str
    stream: str
    words: str
    attributes: Mapping[str, Any] = field(factory=dict)
    name: str = field(kw_only=True)

    @name.default
    def _of_type(self) -> str:
        """What the API would call it."""
        return f"{self.type}_{self.stream}"

    def as_json(self) -> dict[str, Any]:
        """The object of the API."""
        names = ("type", "stream", "name")
        return {name: getattr(self, name) for name in names} | {"attributes": {**self.attributes}}


@frozen
class Link:
    """
    A way through the proxy.

    Args:
        name: Of the proxy.
        service: What is behind it: ``arithmetic``, for example.
        protocol: ``tcp`` or ``udp``.
        toxics: What is wrong with it all the time.
        server: 1 or 2: behind which of the servers it ends.
    """

    name: str
    service: str
    protocol: str
    toxics: tuple[Toxic, ...] = ()
    server: int = 1


class Controls(Interface):
    """The proxy, as `lab.commands.demonstrating.proxies.Proxies` has it."""

    def add(self, link: str, toxic: Toxic) -> Coroutine[Deferred[Any], Any, None]:
        """Give a proxy one more toxic."""

    def remove(self, link: str, toxic: Toxic) -> Coroutine[Deferred[Any], Any, None]:
        """Take it away."""

    def enable(self, link: str, *, on: bool) -> Coroutine[Deferred[Any], Any, None]:
        """Let a proxy listen, or not; then its connections end."""

    def hits(self, link: str) -> Coroutine[Deferred[Any], Any, Mapping[str, int]]:
        """How often each of its toxics has done something."""


@frozen
class World:
    """
    Where a scene plays.

    Args:
        reactor: Of the program.
        seed: Draws what clients draw.
        places: The client's endpoint of each link, by its name.
        controls: Of the proxy.
        root: Where the files are that are served.
        scratch: Where files may be put.
        kill: Kills the second server.
    """

    reactor: Any
    seed: int
    places: Mapping[str, str]
    controls: Controls
    root: Path
    scratch: Path
    kill: Callable[[], object]


def nothing(*_: object) -> None:
    """Nobody wants to know."""


@define(eq=False)
class Scene:
    """
    One scene, and what was seen in it; `play` is what others have of their own.

    Attributes:
        name: What is shown of it.
        asked: What was asked for, in words.
        links: The ways that it takes.
        total: How many steps it has.
        done: How many of them are done.
        unit: What these are.
        arrived: What came of it, in words.
        network: What the network did, in words.
        wrong: What was not as it should be.
        result: What was measured, for pictures.
        step: Called when there is something to show.
        say: Called with what has happened, in words.
    """

    name: str
    asked: str
    links: tuple[Link, ...]
    total: int
    unit: str
    done: int = field(init=False, default=0)
    arrived: str = field(init=False, default="")
    network: str = field(init=False, default="")
    wrong: list[str] = field(init=False, factory=list)
    result: Result | None = field(init=False, default=None)
    step: Callable[[], object] = field(init=False, default=nothing)
    say: Callable[[str], object] = field(init=False, default=nothing)
    ended: bool = field(init=False, default=False)

    async def play(self, world: World) -> None:
        """
        Ask, and look at what comes; see `arrived`, `network` and `wrong`.

        Raises:
            LabError: It can't go on.
        """
        raise NotImplementedError

    @property
    def right(self) -> bool:
        """Whether all was as it should be."""
        return self.ended and not self.wrong

    @property
    def row(self) -> tuple[str, str, str, str, str]:
        """For the table."""
        arrived = self.arrived or f"{self.progress} when it ended"
        return self.name, self.asked, self.network, arrived, "yes" if self.right else "no"

    @property
    def progress(self) -> str:
        """How far it is."""
        return f"{self.done:,} of {self.total:,} {self.unit}"

    def move(self, done: int) -> None:
        """So many steps are done."""
        self.done = done
        self.step()


async def perform(scene: Scene, world: World, limit: float) -> None:
    """
    Play a scene; whatever happens to it is in it then, and so is what its faults have done.

    Args:
        scene: Which.
        world: Where.
        limit: It takes no longer, in seconds.
    """
    playing = Deferred.fromCoroutine(scene.play(world))
    playing.addTimeout(limit, world.reactor)
    try:
        await playing
        await _look(scene, world.controls)
    except TimedOut:
        scene.wrong.append(f"not done within {show_seconds(limit)}: {scene.progress}")
    except LabError as error:
        scene.wrong.append(str(error))
    scene.ended = True
    scene.say(f"{'right' if scene.right else 'wrong'}: {scene.row[3]}")
    scene.step()


async def _look(scene: Scene, controls: Controls) -> None:
    """See what the faults have done; a fault that did nothing has shown nothing."""
    counted: dict[str, int] = {}
    for link in scene.links:
        hits = await controls.hits(link.name) if link.toxics else {}
        for toxic in link.toxics:
            number = hits.get(toxic.name, 0)
            counted[toxic.words] = counted.get(toxic.words, 0) + number
            if not number:
                scene.wrong.append(f"the fault {toxic.name} of the proxy {link.name} did nothing")
    words = [words.format(f"{number:,}") for words, number in counted.items()]
    scene.network = ", ".join(filter(None, [scene.network, *words]))
