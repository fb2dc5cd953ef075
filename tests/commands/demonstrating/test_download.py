"""The scene of the download, on a simulated network."""

from collections.abc import Callable
from typing import Any

from attrs import evolve
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.demonstrating.download import FILE, PIECE, PIECES, Download, make_file
from lab.download.catalogue import Catalogue
from lab.download.settings import ServerSettings
from lab.download.tcp import DownloadFactory
from lab.errors import LabError
from lab.simulator import simulate
from lab.simulator.network import Network
from tests.commands.demonstrating.play import play, world
from tests.helpers import folder

PLACES = {"download_1": "tcp:one:80", "download_2": "tcp:two:80"}


class DownloadTests(SynchronousTestCase):
    """A download from two servers."""

    def setUp(self) -> None:
        """A file."""
        self.root = folder(self)
        (self.root / "scratch").mkdir()
        make_file(self.root, 7)
        self.wanted = self.root
        self.rates = {"one": 500_000.0, "two": 500_000.0}
        self.said: list[str] = []

    def play(self, net: Network, kill: Callable[[], object]) -> Any:
        """Play it."""

        def start(name: str) -> Callable[[Any, dict[str, Any]], None]:
            """A server."""

            def serve(reactor: Any, disk: dict[str, Any]) -> None:
                """Serve the file slowly."""
                settings = ServerSettings(total_rate=self.rates[name])
                factory = DownloadFactory(reactor, Catalogue(self.root), settings)
                TCP4ServerEndpoint(reactor, 80).listen(factory)

            return serve

        for name in self.rates:
            net.host(name).start(start(name))
        scene = Download()
        scene.say = self.said.append
        there = world(net, None, self.root, **PLACES)
        return play(net, scene, evolve(there, kill=kill, root=self.wanted))

    def test_killed(self) -> None:
        """One is killed midway, the other gives the rest, and the file is what was served."""
        with simulate(7) as net:
            scene = self.play(net, net.host("two").crash)
        self.assertEqual((scene.wrong, scene.done), ([], PIECES * PIECE))
        self.assertEqual(scene.network, "one server killed (SIGKILL)")
        said = r"^5 of 5 pieces, [12] of them from the server that was killed; SHA-256 equal$"
        self.assertRegex(scene.arrived, said)
        (line,) = self.said
        self.assertRegex(line, "^one of two servers is killed after [1-4],[0-9,]+ of 5,242,880")
        series, (window,) = scene.result.series["bytes there"], scene.result.windows
        self.assertEqual((series.values[-1], window.begin), (PIECES * PIECE, scene.killed_at))
        self.assertEqual(window.end, series.times[-1])

    def test_slow_one(self) -> None:
        """One that gives nothing is killed when half of the file is there."""
        self.rates["two"] = 1000.0
        with simulate(7) as net:
            scene = self.play(net, net.host("two").crash)
        self.assertEqual(scene.wrong, [])
        self.assertIn("0 of them from the server that was killed", scene.arrived)

    def test_nobody_is_killed(self) -> None:
        """A file that was there before is whole at once: that shows nothing."""
        (self.root / "scratch" / FILE).write_bytes((self.root / FILE).read_bytes())
        with simulate(7) as net:
            scene = self.play(net, bool)
        self.assertIn("the file was whole before a server was killed", scene.wrong)
        self.assertEqual((scene.network, scene.killed_at), ("", None))

    def test_both_are_killed(self) -> None:
        """Nobody gives the rest: that is an error."""
        with simulate(7) as net:
            hosts = net.host("one"), net.host("two")
            error = self.assertRaises(
                LabError, self.play, net, lambda: [host.crash() for host in hosts]
            )
        self.assertIn("running it again goes on from there", str(error))

    def test_another_file(self) -> None:
        """A file that is not the one that is served is found out."""
        self.wanted = folder(self)
        make_file(self.wanted, 8)
        with simulate(7) as net:
            scene = self.play(net, net.host("two").crash)
        self.assertEqual(scene.wrong, ["the file is not what was served"])
        self.assertIn("SHA-256 different", scene.arrived)

    def test_file(self) -> None:
        """The file has its size, and follows from the seed."""
        first = (self.root / FILE).read_bytes()
        self.assertEqual(len(first), PIECES * PIECE)
        make_file(self.root, 7)
        self.assertEqual((self.root / FILE).read_bytes(), first)
        make_file(self.root, 8)
        self.assertNotEqual((self.root / FILE).read_bytes(), first)
