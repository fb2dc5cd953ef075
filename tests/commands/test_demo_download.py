"""What ``lab demo`` sees of the download service, on a simulated network."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.demo_download import (
    FILE,
    NAME,
    PIECE,
    PIECES,
    DownloadLeg,
    download,
    make_file,
)
from lab.download.catalogue import Catalogue
from lab.download.tcp import DownloadFactory
from lab.faults.datagrams import Bandwidth
from lab.faults.fault import Fault
from lab.simulator import simulate
from lab.simulator.network import Network
from tests.helpers import folder

PLACES = ("tcp:one:80", "tcp:two:80")


class DownloadTests(SynchronousTestCase):
    """A download from two servers."""

    def setUp(self) -> None:
        """A file."""
        self.folder = folder(self)
        self.root = self.folder / "served"
        self.root.mkdir()
        make_file(self.root, 7)
        self.wanted = self.root
        self.kills = 0

    def leg(self, net: Network, kill: Callable[[], object] = lambda: None) -> DownloadLeg:
        """What is seen."""

        def start(reactor: Any, disk: dict[str, Any]) -> None:
            """A server."""
            TCP4ServerEndpoint(reactor, 80).listen(DownloadFactory(reactor, Catalogue(self.root)))

        def killed() -> None:
            """The second one is killed."""
            self.kills += 1
            kill()

        for name in ("one", "two"):
            net.host(name).start(start)
        folders = (self.wanted, self.folder)
        seen = download(net.host("client").reactor, PLACES, folders, 7, killed)
        return net.run_until(Deferred.fromCoroutine(seen), limit=600)

    def test_killed(self) -> None:
        """What the server that is killed has given is kept, and the other one gives the rest."""
        with simulate(7) as net:
            leg = self.leg(net, net.host("two").crash)
        self.assertEqual((leg.whole, leg.killed, leg.error, self.kills), (True, True, "", 1))
        self.assertEqual((sum(leg.given), min(leg.given) > 0), (PIECES, True))
        one, two = leg.given
        told = f"8 of 8 pieces: {one} of one server, {two} of the one that was killed"
        self.assertEqual(leg.told, f"download: {told}")
        self.assertEqual(leg.row, (NAME, "8 pieces", "", "1 server", "8", "", "", ""))

    def test_slow_one(self) -> None:
        """One that gives nothing is killed when half of the file is there."""
        with simulate(7) as net:
            net.link("two", "client", Fault(Bandwidth(20_000.0), "slow"))
            leg = self.leg(net, net.host("two").crash)
        self.assertEqual((leg.whole, leg.given, self.kills), (True, [PIECES, 0], 1))

    def test_nobody_is_killed(self) -> None:
        """A file that was there before is whole at once: that shows nothing."""
        (self.folder / FILE).write_bytes((self.root / FILE).read_bytes())
        with simulate(7) as net:
            leg = self.leg(net)
        self.assertEqual((leg.whole, leg.killed, self.kills), (False, False, 0))
        self.assertEqual(leg.error, "the file was whole before a server was killed")
        self.assertEqual(leg.told, "download: 0 of 8 pieces")
        self.assertEqual(leg.row[3], "0")

    def test_both_are_killed(self) -> None:
        """Nobody gives the rest: why is told, and nothing is taken for the file."""
        with simulate(7) as net:
            hosts = net.host("one"), net.host("two")
            leg = self.leg(net, lambda: [host.crash() for host in hosts])
        self.assertEqual((leg.whole, leg.given, leg.killed), (False, [], True))
        self.assertIn("running it again goes on from there", leg.error)
        self.assertFalse((self.folder / FILE).exists())
        self.assertEqual(leg.told, "download: 0 of 8 pieces")

    def test_another_file(self) -> None:
        """A file that is not the one that is served is found out."""
        self.wanted = self.folder / "other"
        self.wanted.mkdir()
        make_file(self.wanted, 8)
        with simulate(7) as net:
            leg = self.leg(net, net.host("two").crash)
        self.assertEqual((leg.whole, sum(leg.given)), (False, PIECES))

    def test_file(self) -> None:
        """The file has its size, and follows from the seed."""
        first = (self.root / FILE).read_bytes()
        self.assertEqual(len(first), PIECES * PIECE)
        make_file(self.root, 7)
        self.assertEqual((self.root / FILE).read_bytes(), first)
        make_file(self.root, 8)
        self.assertNotEqual((self.root / FILE).read_bytes(), first)
