"""One server that a file comes from."""

from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ServerEndpoint
from twisted.trial.unittest import SynchronousTestCase

from lab.backoff import Backoff
from lab.core import Part
from lab.download import wire
from lab.download.client import Misplaced, Placed
from lab.download.kinds import KINDS
from lab.download.landing import Landing
from lab.download.outcomes import Broken, Changed, Rejected, Stalled, State, WrongData
from lab.download.settings import ClientSettings
from lab.download.source import STRIKES, Source
from lab.download.wire import Get, Hashes, Refused, Stat, Status
from lab.errors import ConnectionRefused
from lab.rng import stream
from lab.simulator.testing import SimulationMixin
from tests.download.servers import Shelf, busy, digest, digests, lines

DATA = bytes(range(250))
PIECE = 100


class Notes:
    """Who has the source; notes what it tells."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.ended: list[Deferred[None]] = []
        self.lost = 0

    def known(self, source: Source) -> None:
        """Note it."""
        self.told.append("known")

    def given(self, source: Source, landing: Landing, size: int) -> None:
        """Note the end of a piece."""
        if not landing.missing:
            self.told.append(("given", landing.piece))

    def room(self, landing: Landing) -> Part | None:
        """It has one."""
        return Part(7, landing.offset + landing.got, landing.missing)

    def full(self, error: OSError) -> None:
        """Note it."""
        self.told.append(error)

    def refused(self, source: Source, landing: Landing) -> None:
        """Note it."""
        self.told.append(("refused", landing.piece))

    def gone(self, source: Source, landings: list[Landing]) -> None:
        """Note it."""
        self.told.append(("gone", [landing.piece for landing in landings]))

    def wasted(self, size: int) -> None:
        """Note it."""
        self.lost += size

    def closing(self, ended: Deferred[None]) -> None:
        """Keep it."""
        self.ended.append(ended)


class SourceTests(SimulationMixin, SynchronousTestCase):
    """A server on another host, whose answers are changed."""

    def setUp(self) -> None:
        """A server with a file of three pieces, and a source."""
        super().setUp()
        self.patch(wire, "PIECE", PIECE)
        self.shelf = Shelf({"f": DATA})
        self.server = self.net.host("server")
        self.server.start(lambda reactor, disk: TCP4ServerEndpoint(reactor, 80).listen(self.shelf))
        reactor: Any = self.net.host("client").reactor
        self.notes = Notes()
        self.source = Source(
            name="a",
            endpoint=HostnameEndpoint(reactor, "server", 80),
            file="f",
            clock=reactor,
            settings=ClientSettings(Backoff(first=1.0, cap=5.0)),
            random=stream(7),
            owner=self.notes,
        )

    def tearDown(self) -> None:
        """Nothing is left of it."""
        self.source.end()
        self.net.run(5)
        host = self.net.host("client")
        self.assertEqual([*host.reactor.getDelayedCalls(), *host.ends], [])

    def begin(self, seconds: float = 0.5) -> None:
        """Connect."""
        self.source.begin()
        self.net.run(seconds)

    def get(self, *pieces: int) -> list[Landing]:
        """Ask for pieces."""
        version = self.source.version
        assert version is not None
        landings = [version.landing(piece) for piece in pieces]
        for landing in landings:
            self.source.get(landing)
        return landings

    def answers(self, kind: type[Any], *answers: bytes | None) -> None:
        """The next requests of a kind are answered so; None for what is right."""
        left = list(answers)
        self.shelf.hears = lambda request: (
            left.pop(0) if left and isinstance(request, kind) else None
        )

    def test_pieces(self) -> None:
        """It tells its version, and gives pieces, in order."""
        self.assertEqual(self.source.state, State.CONNECTING)
        self.assertFalse(self.source.ready)
        self.begin()
        self.assertTrue(self.source.ready)
        self.assertEqual((self.notes.told, self.source.state), (["known"], State.WAITING))
        first, last = self.get(0, 2)
        self.assertEqual(self.source.state, State.BUSY)
        self.net.run(0.5)
        self.assertEqual(self.notes.told[1:], [("given", 0), ("given", 2)])
        self.assertEqual(b"".join(first.batch()[0] + last.batch()[0]), DATA[:100] + DATA[200:])
        self.source.is_right()
        progress = self.source.progress(self.net.now)
        self.assertEqual((progress.bytes, progress.pieces, progress.note), (150, 1, ""))
        self.assertEqual((progress.state, progress.rate > 0), (State.WAITING, True))

    def test_placed(self) -> None:
        """What is in the file counts as what was given; what it does not owe has no place."""
        self.begin()
        [one] = self.get(1)
        [number] = self.source.landings
        self.assertEqual(self.source._room(number), Part(7, 100, 100))
        self.source._tell(Placed(number, 60))
        self.assertEqual((one.got, one.sources, self.source.got), (60, ["a"], 60))
        self.assertEqual(self.source._room(number), Part(7, 160, 40))
        self.source._tell(Placed(number, 40))
        self.assertEqual(self.notes.told[1:], [("given", 1)])
        self.assertIsNone(self.source._room(number))
        self.source._tell(Placed(number, 5))
        self.assertEqual(self.notes.lost, 5)
        error = OSError("full")
        self.source._tell(Misplaced(number, error))
        self.assertIs(self.notes.told[-1], error)

    def test_rest_of_a_piece(self) -> None:
        """Of a piece that somebody else has begun it is asked for the rest."""
        self.begin()
        version = self.source.version
        assert version is not None
        one = version.landing(1)
        one.add(DATA[100:130], "b")
        self.source.get(one)
        self.net.run(0.5)
        tag = self.shelf.tag("f")
        self.assertEqual(self.shelf.heard[-1], Get("f", 130, 70, tag))
        self.assertEqual((one.sources, b"".join(one.batch()[0])), (["b", "a"], DATA[100:200]))

    def test_lost(self) -> None:
        """It is begun again after longer and longer waits; a byte makes them short."""
        self.begin()
        self.get(0, 1)
        self.server.crash()
        self.net.run(10.5)
        self.assertEqual(self.source.state, State.LOST)
        assert self.source.error is not None
        self.assertEqual(self.notes.told[-1], ("gone", [0, 1]))
        self.assertIsInstance(self.source.error, Stalled)
        self.assertIn("nothing came within 10 s", self.source.progress(self.net.now).note)
        self.server.restart()
        self.net.run(5.0)
        self.assertEqual((self.source.state, self.notes.told[-1]), (State.WAITING, "known"))
        self.get(0)
        self.net.run(1.0)
        self.assertIsNone(self.source.error)
        self.assertFalse(self.source.exhausted)

    def test_exhausted(self) -> None:
        """It is tried again and again after the last wait; somebody else says when to stop."""
        self.server.crash()
        self.server._begin()
        started = self.net.now
        self.begin(6.9)
        self.assertFalse(self.source.exhausted)
        self.net.run(2.0)
        self.assertTrue(self.source.exhausted)
        self.assertIsInstance(self.source.error, ConnectionRefused)
        self.assertIn("no connection after 4 attempts", str(self.source.error))
        self.server.restart()
        self.net.run(5.0)
        self.assertEqual(self.notes.told[-1], "known")
        self.assertGreater(self.net.now, started + 11)

    def test_attempts(self) -> None:
        """Those before a connection that there was do not count."""
        self.server.crash()
        self.server._begin()
        self.begin(2.0)
        self.assertIn("no connection after 2 attempts", str(self.source.error))
        self.server.restart()
        self.net.run(3.0)
        self.assertEqual(self.notes.told[-1], "known")
        self.server.tcp.clear()
        self.shelf.links[-1].abortConnection()
        self.net.run(6.0)
        self.assertIn("no connection after 1 attempt", str(self.source.error))

    def test_nonsense(self) -> None:
        """What is not in the protocol is an accident, but not for ever."""
        self.answers(Stat, *[b"what?\n"] * STRIKES)
        self.begin(10.0)
        self.assertEqual((self.source.state, self.source.out), (State.LYING, True))
        self.assertIsInstance(self.source.error, Broken)
        self.source.begin()
        self.assertFalse(self.source.ready)

    def test_accidents(self) -> None:
        """Unless there is something right between."""
        self.answers(Stat, *[b"what?\n"] * (STRIKES - 1), None, *[b"what?\n"] * (STRIKES - 1))
        self.begin(10.0)
        self.source.is_right()
        self.source.again()
        self.source.again()
        self.net.run(10.0)
        self.assertFalse(self.source.out)
        self.assertEqual(self.notes.told[-1], "known")

    def test_changed(self) -> None:
        """A new version: what it owed is gone, it is asked for its list; others are no news."""
        self.begin()
        self.shelf.put("f", DATA[::-1])
        self.get(0, 1, 2)
        self.net.run(0.5)
        self.assertEqual(self.notes.told[1:], [("gone", [0, 1, 2]), "known"])
        self.get(0)
        self.net.run(0.5)
        self.assertEqual(self.notes.told[-1], ("given", 0))

    def test_changed_between(self) -> None:
        """List and status of two versions are none: it is asked again."""
        wrong = lines(Status(9, 1, "0" * 32, "0" * 64))
        self.answers(Stat, wrong)
        self.begin()
        self.assertIsInstance(self.source.error, Changed)
        self.net.run(3.0)
        self.assertEqual(self.notes.told, [("gone", []), "known"])

    def test_refused(self) -> None:
        """No such file is final; what is the server's own fault is not."""
        self.answers(Hashes, lines(Refused(500, "my fault")))
        self.begin()
        self.assertEqual(self.source.state, State.LOST)
        self.net.run(3.0)
        self.assertEqual(self.source.state, State.WAITING)
        self.answers(Get, lines(Refused(404, "it is gone")))
        self.get(0, 1)
        self.net.run(0.5)
        self.assertEqual(
            (self.source.state, str(self.source.error)), (State.REJECTED, "404 it is gone")
        )
        self.assertIsInstance(self.source.error, Rejected)
        self.assertEqual(self.notes.told[-1], ("gone", [1]))

    def test_kinds(self) -> None:
        """It is asked for the fastest digests, and has those that it knows."""
        for kinds, kind in ((("blake3",), "blake3"), ((), "sha256")):
            self.shelf.kinds = kinds
            self.source.end()
            self.begin()
            version = self.source.version
            assert version is not None
            self.assertEqual(version.kind, kind)
            self.assertEqual(version.digest(0), digest(DATA[:PIECE], kind))
            self.assertEqual(version.sha256, digest(DATA, "sha256").hex())
        self.assertEqual(self.shelf.heard[0], Hashes("f", ("blake3",)))

    def test_old_server(self) -> None:
        """One that does not know what kinds are is asked as before there were any."""
        self.shelf.kinds = None
        self.begin()
        self.assertEqual(
            self.shelf.heard,
            [Hashes("f", ("blake3",)), Stat("f"), Hashes("f"), Stat("f")],
        )
        self.assertEqual((self.source.ready, self.notes.told), (True, ["known"]))
        self.source.again()
        self.net.run(0.5)
        self.assertEqual(self.shelf.heard[4:], [Hashes("f"), Stat("f")])

    def test_no_name(self) -> None:
        """If that is not what it has against it, it will say so again, and is believed."""
        self.answers(Hashes, *[lines(Refused(300, "that is no name"))] * 2)
        self.begin()
        self.assertEqual(
            (self.source.state, str(self.source.error)), (State.REJECTED, "300 that is no name")
        )
        self.assertEqual(len(self.shelf.heard), 4)

    def test_without(self) -> None:
        """Where there is nothing but SHA-256 here, nothing else is asked for."""
        self.shelf.kinds = ("blake3",)
        with mock.patch.dict(KINDS):
            del KINDS["blake3"]
            self.answers(Hashes, lines(Refused(300, "that is no name")))
            self.begin()
            self.assertEqual(self.shelf.heard, [Hashes("f"), Stat("f")])
        self.assertEqual(self.source.state, State.REJECTED)

    def test_busy(self) -> None:
        """A server that is too busy is left alone for as long as it says."""
        self.answers(Hashes, busy(3.0))
        self.begin(2.9)
        self.assertEqual(len(self.shelf.links), 1)
        self.net.run(1.0)
        self.assertEqual(len(self.shelf.links), 2)
        self.answers(Get, busy(0.1), busy(0.1))
        self.get(0, 1)
        self.net.run(0.5)
        self.assertEqual(self.notes.told[-2:], [("refused", 0), ("refused", 1)])
        self.assertEqual((self.source.state, self.source.ready), (State.WAITING, False))
        self.net.run(2.0)  # two were refused, and one counts
        self.assertTrue(self.source.ready)

    def test_long_pieces(self) -> None:
        """A piece comes in parts, as the network has it."""
        self.patch(wire, "PIECE", 5000)
        self.shelf.put("f", bytes(5000))
        self.begin()
        [one] = self.get(0)
        self.net.run(0.5)
        self.assertEqual(self.notes.told[1:], [("given", 0)])
        self.assertGreater(len(one.batch()), 1)

    def test_ended_while_it_waits(self) -> None:
        """One that is ended is not tried again."""
        self.answers(Hashes, busy(3.0))
        self.begin(1.0)
        self.source.end()
        self.source.end()
        self.net.run(10.0)
        self.assertEqual(len(self.shelf.links), 1)

    def test_forget(self) -> None:
        """What nobody wants any more comes all the same, and is wasted."""
        self.begin()
        [one] = self.get(0)
        self.source.forget()
        self.assertTrue(one.dropped)
        self.net.run(0.5)
        self.assertEqual((self.notes.lost, self.source.state), (100, State.WAITING))

    def test_asked_again(self) -> None:
        """Its list may be asked for again; that of a source that is not there can't."""
        self.source.again()
        self.begin()
        self.source.again()
        self.assertEqual(self.source.state, State.ASKING)
        self.net.run(0.5)
        self.assertEqual(self.notes.told, ["known", "known"])
        self.assertEqual(digests(DATA, "0" * 32).count(b"\n"), 4)

    def test_states(self) -> None:
        """It is connecting, and then asked for its list, for as long as that takes."""
        self.shelf.hears = lambda request: b""
        for state, seconds in ((State.CONNECTING, 1.0), (State.ASKING, 0.0)):
            self.source.begin()
            self.assertEqual(self.source.progress(self.net.now).state, state)
            self.net.run(seconds)

    def test_held(self) -> None:
        """Nobody takes its content, also of a connection that is made meanwhile."""
        self.source.hold(wanted=True)
        self.source.hold(wanted=True)
        self.begin()
        self.assertEqual(self.notes.told, [])
        self.source.hold(wanted=False)
        self.net.run(0.5)
        self.assertEqual(self.notes.told, ["known"])
        self.source.hold(wanted=True)

    def test_left_out(self) -> None:
        """Somebody leaves it out; one with another version may be begun again, also at once."""
        self.begin()
        self.source.leave_out(State.OTHER, Changed("another"))
        self.assertFalse(self.source.out)
        self.begin()
        self.assertEqual(self.notes.told, ["known", ("gone", []), "known"])
        self.shelf.links[-1].abortConnection()
        self.net.run(0.1)
        self.begin()  # it need not wait
        self.assertTrue(self.source.ready)
        self.source.leave_out(State.LYING, WrongData("lies"))
        self.begin()
        self.assertFalse(self.source.ready)
