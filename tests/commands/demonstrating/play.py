"""A stage for scenes: a simulated network, and a stand-in of the proxy."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred

from lab.commands.demonstrating.scene import Scene, Toxic, World
from lab.errors import RemoteError
from lab.simulator.network import Network


@define(eq=False)
class Controls:
    """
    Stands in for the proxy.

    Args:
        counted: What its faults have done, by the name of the proxy.
        cut: Called when a toxic is added, and when it is disabled.
        mend: Called when that is taken back.

    Attributes:
        asked: What it was told to do.
    """

    counted: Mapping[str, Mapping[str, int]] = field(factory=dict)
    cut: Callable[[], object] = bool
    mend: Callable[[], object] = bool
    refuses: bool = False
    asked: list[tuple[str, ...]] = field(factory=list)

    async def add(self, link: str, toxic: Toxic) -> None:
        """Cut."""
        if self.refuses:
            raise RemoteError("no such proxy")
        self.asked.append(("add", link, toxic.name))
        self.cut()

    async def remove(self, link: str, toxic: Toxic) -> None:
        """Mend."""
        self.asked.append(("remove", link, toxic.name))
        self.mend()

    async def enable(self, link: str, *, on: bool) -> None:
        """Cut or mend."""
        self.asked.append(("enable" if on else "disable", link))
        (self.mend if on else self.cut)()

    async def hits(self, link: str) -> Mapping[str, int]:
        """What was counted."""
        return self.counted.get(link, {})


def world(net: Network, controls: Any = None, folder: Path = Path(), **places: str) -> World:
    """A world whose client is a host of the network."""
    named = {name.replace("_", "-"): place for name, place in places.items()}
    reactor = net.host("client").reactor
    return World(reactor, 7, named, controls or Controls(), folder, folder / "scratch", bool)


def play(net: Network, scene: Scene, there: World) -> Scene:
    """Play a scene to its end."""
    net.run_until(Deferred.fromCoroutine(scene.play(there)), limit=600)
    return scene
