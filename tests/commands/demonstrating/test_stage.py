"""The processes of the demo; on stand-ins of them."""

import json
import signal
from pathlib import Path
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.demonstrating import stage as module
from lab.commands.demonstrating.download import FILE, RATE
from lab.commands.demonstrating.scene import Link, Scene, World
from lab.commands.demonstrating.stage import PATIENCE, SERVED, Stage
from lab.commands.processes import ServerError
from lab.errors import NoAnswer
from tests.helpers import folder

LINKS = (Link("one", "echo", "udp"), Link("two", "download", "tcp", (), 2))
HERE = "interface=127.0.0.1"


def listens(name: str, place: str) -> bytes:
    """The line that says where something listens."""
    event = {"message": f"{name} listens on {place}", "name": name, "endpoint": place}
    return json.dumps(event).encode() + b"\n"


@define(eq=False)
class FakeProcess:
    """
    A stand-in of twistd.

    Args:
        reactor: Of the test.
        protocol: Is told what it says.
    """

    reactor: "FakeReactor"
    protocol: Any

    def signalProcess(self, number: int) -> None:
        """End."""
        if self in self.reactor.alive:
            self.reactor.signals.append(number)
            self.end()

    def end(self) -> None:
        """It has ended."""
        self.reactor.alive.remove(self)
        self.protocol.processEnded(Failure(ProcessTerminated(exitCode=1)))


class FakeReactor(Clock):
    """A reactor whose only processes are stand-ins of twistd."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: list[FakeProcess] = []
        self.lines: list[str] = []
        self.signals: list[int] = []

    def spawnProcess(self, protocol: Any, executable: str, args: list[str], env: object) -> None:
        """Note it."""
        self.lines.append(" ".join(args[args.index("--pidfile=") + 1 :]))
        process = FakeProcess(self, protocol)
        self.alive.append(process)
        protocol.makeConnection(process)


class StageTests(SynchronousTestCase):
    """Two servers and a proxy."""

    def setUp(self) -> None:
        """A stage."""
        self.reactor, self.said = FakeReactor(), list[str]()
        self.scratch = folder(self)
        self.stage = Stage(self.reactor, 7, Path("x y"), self.scratch, self.said.append)
        self.made: list[Any] = []
        self.patch(module, "Proxies", lambda api: self.made.append(api) or self)
        self.leave = Deferred[None]()

    async def make(self, links: Any, upstreams: Any) -> dict[str, str]:
        """Stands in for the proxies."""
        self.made += [links, dict(upstreams)]
        return {"one": "udp:127.0.0.1:9"}

    async def play(self) -> World:
        """Open it, and leave it when the test says so."""
        scenes = [Scene(link.name, "", (link,), 1, "") for link in LINKS]
        async with self.stage.open(scenes) as world:
            self.world = world
            await self.leave
        return world

    def begin(self) -> Deferred[World]:
        """Begin, up to where all have started."""
        playing = Deferred.fromCoroutine(self.play())
        first, second, proxy = self.reactor.alive
        proxy.protocol.outReceived(listens("api", "tcp:127.0.0.1:8474"))
        second.protocol.outReceived(listens("download", "tcp:127.0.0.1:2"))
        for number, (name, kind) in enumerate(SERVED, 10):
            first.protocol.outReceived(listens(name, f"{kind}:127.0.0.1:{number}"))
        first.protocol.outReceived(json.dumps({"message": "somebody asks"}).encode() + b"\n")
        return playing

    def test_all(self) -> None:
        """Three processes start, the proxy is told of all links, and all end."""
        playing = self.begin()
        root = self.scratch / "served"
        files = f"--root {root} --limit-rate {RATE}"
        served = " ".join(f"--{name} {kind}:0:{HERE}" for name, kind in SERVED)
        lines = [
            f"lab-server {served} {files} --seed 7",
            f"lab-server --download tcp:0:{HERE} {files}",
            f"lab-proxy --api tcp:0:{HERE} --seed 7 --capture x y",
        ]
        self.assertEqual(self.reactor.lines, [f"{line} --log-format json" for line in lines])
        typed = [f"twistd -n {line}" for line in lines]
        typed[2] = typed[2].replace("x y", "'x y'")
        self.assertEqual((self.said, self.stage.commands), (typed, typed))
        api, links, upstreams = self.made
        self.assertEqual((api.url, tuple(links)), ("http://127.0.0.1:8474", LINKS))
        self.assertEqual(upstreams[1, "echo", "udp"], "udp:127.0.0.1:14")
        self.assertEqual(upstreams[2, "download", "tcp"], "tcp:127.0.0.1:2")
        world = self.world
        self.assertEqual((world.places, world.seed), ({"one": "udp:127.0.0.1:9"}, 7))
        self.assertTrue((world.root / FILE).exists())
        self.assertEqual((world.controls, world.scratch), (self, self.scratch))
        self.leave.callback(None)
        self.assertIs(self.successResultOf(playing), world)
        self.assertEqual((self.reactor.signals, self.reactor.alive), ([signal.SIGTERM] * 3, []))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_kill(self) -> None:
        """A scene may kill the second server; that breaks nothing."""
        broken: list[object] = []
        self.stage.broken = broken.append
        self.begin()
        self.world.kill()
        self.assertEqual((self.reactor.signals, len(self.reactor.alive)), ([signal.SIGKILL], 2))
        self.assertEqual(broken, [])

    def test_ends_by_itself(self) -> None:
        """A process that ends by itself is told of, if anybody wants to know."""
        self.begin()
        self.reactor.alive[1].end()
        broken: list[ServerError] = []
        self.stage.broken = broken.append
        self.reactor.alive[1].protocol.errReceived(b"out of memory\n")
        self.reactor.alive[1].end()
        said = [str(error) for error in broken]
        self.assertEqual(said, ["lab-proxy: it has ended by itself: out of memory"])

    def test_does_not_start(self) -> None:
        """If one does not start, the others are ended, and why is the error."""
        playing = Deferred.fromCoroutine(self.play())
        first = self.reactor.alive[0]
        first.protocol.errReceived(b"no such thing\n")
        first.end()
        error = self.failureResultOf(playing, ServerError).value
        self.assertEqual(str(error), "the server did not start: no such thing")
        self.assertEqual((self.reactor.signals, self.reactor.alive), ([signal.SIGTERM] * 2, []))

    def test_never_starts(self) -> None:
        """It is not waited for for ever."""
        playing = Deferred.fromCoroutine(self.play())
        self.reactor.advance(PATIENCE)
        error = self.failureResultOf(playing, NoAnswer).value
        self.assertEqual(str(error), "the servers have not started within 60 s")
        self.assertEqual(self.reactor.alive, [])
