"""Downloads on networks that break, from servers that crash, change and lie."""

import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint
from twisted.trial.unittest import SynchronousTestCase

from lab.download import wire
from lab.errors import LabError
from lab.faults.datagrams import Bandwidth, Corrupt
from lab.faults.fault import Fault
from lab.faults.streams import Cut
from lab.rng import stream
from lab.simulator import exhaust, explore, simulate
from lab.simulator.network import Network
from tests.download.scenes import Scene
from tests.helpers import QUICK, folder, longest, thorough

PIECE = 1000
#: Nothing is wrong with the network after so many seconds.
TROUBLE = 30.0
#: Of the file that comes from servers of 1, 2 and 10 times a rate, in bytes and bytes/s.
SIZE, RATE = 5_000_000, 50_000


def content(seed: int, size: int) -> bytes:
    """Some bytes."""
    return stream(seed, "content").randbytes(size)


class SimulatedTests(SynchronousTestCase):
    """What becomes of a download."""

    def setUp(self) -> None:
        """Pieces are small."""
        self.patch(wire, "PIECE", PIECE)

    def test_rates(self) -> None:
        """Three servers at 1, 2 and 10 times the rate: near the ideal time, each has its share."""
        seconds, pieces = self.race(kill=None)
        ideal = SIZE / (13 * RATE)
        self.assertLess(seconds, 1.15 * ideal)
        self.assertLess(pieces["a"], pieces["b"])
        self.assertGreater(pieces["c"], 8 * pieces["a"])

    def test_one_dies(self) -> None:
        """The fastest is killed midway: the others finish."""
        seconds, pieces = self.race(kill="c")
        ideal = 4.0 + (SIZE - 4.0 * 13 * RATE) / (3 * RATE)
        self.assertLess(seconds, 1.15 * ideal)
        self.assertGreater(pieces["c"], pieces["b"])

    def race(self, kill: str | None) -> tuple[float, dict[str, int]]:
        """How long it takes from servers of different rates, and what they give."""
        self.patch(wire, "PIECE", SIZE // 100)
        data = content(1, SIZE)
        with simulate(7) as net:
            scene = Scene(net, folder(self))
            for name, rate in (("a", RATE), ("b", 2 * RATE), ("c", 10 * RATE)):
                scene.serve(name, f=data)
                net.link(name, "client", Fault(Bandwidth(rate), "bandwidth"))
            if kill is not None:
                net.at(4.0, net.host(kill).crash)
            fetched = scene.get()
            self.assertEqual(scene.target.read_bytes(), data)
            return fetched.seconds, {source.name: source.pieces for source in fetched.sources}

    def test_cut_anywhere(self) -> None:
        """A cut behind each byte in each direction: it goes on."""
        self.assertGreater(self.cut(b"hello", 30), 300)

    @thorough
    def test_cut_anywhere_in_pieces(self) -> None:
        """The same of several pieces."""
        self.assertGreater(self.cut(content(2, 40), 30), 400)

    def cut(self, data: bytes, piece: int) -> int:
        """Download a file, with a cut in each place in turn; returns how many there were."""
        self.patch(wire, "PIECE", piece)
        path = folder(self)

        def scenario(net: Network) -> None:
            """One download."""
            scene = Scene(net, path)
            scene.target.unlink(missing_ok=True)
            scene.serve("a", f=data)
            for way in (("a", "client"), ("client", "a")):
                net.link(*way, Fault(Cut(0.1), "cut"))
            scene.get()
            assert scene.target.read_bytes() == data

        return exhaust(scenario)

    def test_inverted_bits(self) -> None:
        """Bits that are inverted on the way cost time, and are never in the file."""
        path = folder(self)
        data = content(3, 30_000)
        wrong = 0

        def scenario(net: Network) -> None:
            """One download from one server."""
            nonlocal wrong
            scene = Scene(net, path)
            scene.target.unlink(missing_ok=True)
            scene.serve("a", f=data)
            net.link("a", "client", Fault(Corrupt(0.02), "corrupt"))
            net.sometimes("a bit was inverted", lambda: bool(net.journal.entries))
            wrong += scene.get().wrong
            assert scene.target.read_bytes() == data

        explore(scenario, range(20))
        self.assertGreater(wrong, 0)

    def test_chaos(self) -> None:
        """A few runs of what `test_much_chaos` does."""
        explore(chaos, range(12))

    @longest
    def test_much_chaos(self) -> None:
        """Two thousand: crashes, changes, cuts, inverted bits, lies: right, or not there."""
        explore(chaos, range(12, 2012), jobs=0)


def chaos(net: Network) -> None:
    """One download while everything goes wrong for a while; then it ends, right."""
    random = stream(net.seed, "chaos")
    # A host that is looked up is a fifth of a run: it is in every fourth.
    endpoint = TCP4ClientEndpoint if net.seed % 4 else HostnameEndpoint
    with tempfile.TemporaryDirectory(dir=QUICK) as name:
        scene = Scene(net, Path(name), endpoint=endpoint)
        size = random.choice([0, 1, PIECE, 3 * PIECE, 3 * PIECE + 1, 20_500])
        versions = [content(net.seed * 10 + number, size + number % 2) for number in range(3)]
        servers = "abcd"[: random.randint(1, 4)]
        # Ours are all honest; those that can lie are of these tests.
        really = random.random() < 0.5
        for server in servers:
            (scene.serve_really if really else scene.serve)(server, f=versions[0])
        honest = [server for server in servers[1:] if random.random() < 0.7] or [servers[0]]
        if not really:
            kinds = stream(net.seed, "kinds")
            for server in servers:
                scene.shelves[server].kinds = kinds.choice([None, (), ("blake3",)])
        if not really and len(honest) > len(servers) / 2:
            for server in set(servers) - set(honest):
                scene.shelves[server].lies = {
                    PIECE * random.randrange(4): random.randbytes(PIECE) for _ in range(3)
                }
        trouble(scene, random, servers, versions)
        allowed = {None, *versions}
        for _ in range(12):
            net.host("client").restart()
            try:
                once(scene, random)
            except Restarted:
                pass
            except LabError:
                # It gave up; it may be run again.
                net.run(random.random() * 20)
            state = scene.target.read_bytes() if scene.target.exists() else None
            assert state in allowed, "a mixture"
            scene.disk.crash()
        net.run(TROUBLE)
        scene.get()
        assert scene.target.read_bytes() in set(versions)
        assert scene.target.read_bytes() in {shelf.files["f"] for shelf in scene.shelves.values()}


class Restarted(Exception):
    """The client was restarted."""


def once(scene: Scene, random: Any) -> None:
    """One try to download; the client may be killed, or the download cancelled."""
    net = scene.net
    end = random.random()
    client = scene.client(silence=3.0)
    getting = client.get("f", scene.target, watch=scene.seen.append)
    results: list[Any] = []
    getting.addBoth(results.append)
    net.run(random.choice([0.01, 0.05, 0.3, 3.0]) * random.random() if end < 0.6 else 60.0)
    if end < 0.3:
        net.host("client").crash()
        net.host("client").restart()
        raise Restarted
    net.run_until(client.close(), 100)
    if results and hasattr(results[0], "value") and isinstance(results[0].value, LabError):
        raise results[0].value


def trouble(scene: Scene, random: Any, servers: str, versions: list[bytes]) -> None:
    """Have things go wrong for half a minute."""
    net = scene.net
    for server in servers:
        faults = []
        if random.random() < 0.5:
            faults.append(Fault(Bandwidth(random.choice([3_000, 30_000])), "bandwidth"))
        net.at(TROUBLE, net.link, server, "client", *faults)
        if random.random() < 0.3:
            faults.append(Fault(Cut(random.choice([0.0001, 0.001, 0.005])), "cut"))
        if random.random() < 0.3:
            faults.append(Fault(Corrupt(0.05), "corrupt"))
        net.link(server, "client", *faults)
        for _ in range(random.randrange(3)):
            at, kind = 5 * random.random() ** 3, random.randrange(3)
            if kind == 0:
                net.at(at, net.host(server).crash)
                net.at(at + 8 * random.random(), net.host(server).restart)
            elif kind == 1:
                net.at(at, net.partition, server, "client")
                net.at(at + 20 * random.random(), net.heal, server, "client")
            else:
                net.at(at, scene.shelves[server].put, "f", random.choice(versions))
