"""
Where ``lab demo`` plays: two servers and a proxy, each a real ``twistd`` in a process of its own.

They are what anybody would type, and they are told to the user. They end with us, however we end.
"""

import shlex
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

from attrs import define, field
from twisted.internet.defer import Deferred

from lab.commands.api import Api
from lab.commands.demonstrating.download import RATE, make_file
from lab.commands.demonstrating.proxies import Proxies
from lab.commands.demonstrating.scene import Scene, World
from lab.commands.processes import ServerError, TwistdProcess
from lab.errors import NoAnswer
from lab.units import show_seconds

#: So long all processes may take to start, in seconds.
PATIENCE = 60.0
_HERE = "interface=127.0.0.1"
#: What the first server serves, and by which protocols.
SERVED = (
    ("arithmetic", "tcp"),
    ("arithmetic", "udp"),
    ("sequence", "tcp"),
    ("echo", "tcp"),
    ("echo", "udp"),
    ("download", "tcp"),
)


@define(eq=False)
class Stage:
    """
    The processes.

    Args:
        reactor: Starts them.
        seed: Draws what the proxy's faults do.
        capture: Where the proxy writes what went through it.
        scratch: A folder for files.
        say: Told each command line.

    Attributes:
        broken: Called with why, when a process ends by itself.
        commands: What was started, as anybody would type it.
    """

    _reactor: Any
    _seed: int
    _capture: Path
    _scratch: Path
    _say: Callable[[str], object]
    broken: Callable[[ServerError], object] = field(init=False, default=bool)
    commands: list[str] = field(init=False, factory=list)
    _upstreams: dict[tuple[int, str, str], str] = field(init=False, factory=dict)

    @asynccontextmanager
    async def open(self, scenes: Sequence[Scene]) -> AsyncIterator[World]:
        """
        Start all, and end all.

        Args:
            scenes: Those that will be played.

        Raises:
            LabError: They don't start.
        """
        root = self._scratch / "served"
        root.mkdir()
        make_file(root, self._seed)
        async with AsyncExitStack() as processes:
            _, first = await self._start(processes, 1, self._first(root), len(SERVED))
            second = ["lab-server", "--download", f"tcp:0:{_HERE}", *_files(root)]
            other, mirror = await self._start(processes, 2, second, 1)
            _, proxy = await self._start(processes, 0, self._proxy(), 1)
            (api,) = await self._listening(first, mirror, proxy)
            proxies = Proxies(Api(self._reactor, f"http://{api.partition(':')[2]}"))
            links = [link for scene in scenes for link in scene.links]
            places = await proxies.make(links, self._upstreams)
            yield World(self._reactor, self._seed, places, proxies, root, self._scratch, other.kill)

    async def _listening(self, *starting: Deferred[list[str]]) -> list[str]:
        """Wait until all listen; gives where the last one does."""

        async def each() -> list[str]:
            """Wait for one after the other."""
            return [await one for one in starting][-1]

        waiting = Deferred.fromCoroutine(each())
        return await waiting.addTimeout(PATIENCE, self._reactor, _late)

    def _first(self, root: Path) -> list[str]:
        """The server of all services."""
        words = [word for name, kind in SERVED for word in (f"--{name}", f"{kind}:0:{_HERE}")]
        return ["lab-server", *words, *_files(root), "--seed", str(self._seed)]

    def _proxy(self) -> list[str]:
        """The proxy, which makes nothing by itself."""
        words = ["--api", f"tcp:0:{_HERE}", "--seed", str(self._seed)]
        return ["lab-proxy", *words, "--capture", str(self._capture)]

    async def _start(
        self, stack: AsyncExitStack, number: int, words: list[str], places: int
    ) -> tuple[TwistdProcess, Deferred[list[str]]]:
        """Start a process that has ended at the end; gives when it listens."""

        def event(entry: dict[str, Any]) -> None:
            """It may say where it listens."""
            kind = str(entry.get("endpoint", "")).partition(":")[0]
            if "listens on" in entry["message"]:
                self._upstreams[number, str(entry.get("name")), kind] = str(entry.get("endpoint"))

        def lost(error: ServerError) -> None:
            """It has ended by itself."""
            self.broken(ServerError(f"{words[0]}: {error}"))

        process = TwistdProcess(event, lost)
        command = shlex.join(["twistd", "-n", *words])
        self.commands.append(command)
        starting = process.start(self._reactor, words, places)
        self._say(command)

        async def stop() -> None:
            """End it; whether it had started matters no more."""
            starting.addErrback(lambda _: None)
            await process.stop()

        stack.push_async_callback(stop)
        return process, starting


def _files(root: Path) -> list[str]:
    """Options of what gives the files of a directory."""
    return ["--root", str(root), "--limit-rate", RATE]


def _late(_: object, patience: float) -> NoReturn:
    """They take too long."""
    raise NoAnswer(f"the servers have not started within {show_seconds(patience)}")
