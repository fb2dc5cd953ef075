"""One download, from servers that do what a test wants."""

import errno
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from lab.backoff import Backoff
from lab.download import fetching, intake, landing, wire
from lab.download.connection import Connection
from lab.download.landing import Landing
from lab.download.outcomes import (
    Broken,
    Changed,
    Fetched,
    NoRoom,
    Rejected,
    State,
    WrongData,
)
from lab.download.scheduling import Scheduler
from lab.download.settings import ClientSettings
from lab.download.target import Target, Version
from lab.download.wire import Get, Hashed, Hashes, Stat
from lab.errors import ConnectionRefused, LabError, LocalError, NoAnswer
from lab.faults.datagrams import Bandwidth
from lab.faults.fault import Fault
from lab.simulator.testing import SimulationMixin
from tests.download.scenes import Scene
from tests.download.servers import busy, digests, lines, sha256
from tests.helpers import folder

PIECE = 1000
DATA = bytes(number % 251 for number in range(20_500))
OTHER = DATA[:10_000] + DATA[:10_500]
QUICK = Backoff(first=0.1, cap=0.5)


class FetchingTests(SimulationMixin, SynchronousTestCase):
    """What comes of a download."""

    def setUp(self) -> None:
        """Pieces are small."""
        super().setUp()
        self.patch(wire, "PIECE", PIECE)
        self.scene = Scene(self.net, folder(self))

    def get(self, data: bytes | None = DATA, **words: Any) -> Fetched:
        """Download; what is at the target then has to be right."""
        fetched: Fetched = self.scene.get(**words)
        self.assertEqual(self.scene.target.read_bytes(), data)
        self.assertFalse(self.scene.part.exists())
        return fetched

    def failure(self, kind: type[LabError], **words: Any) -> str:
        """What it fails with; there is no target."""
        error = self.assertRaises(kind, self.get, retry=QUICK, **words)
        self.assertIs(type(error), kind)
        self.assertNotIn("\n", str(error))
        self.assertFalse(self.scene.target.exists())
        return str(error)

    def states(self, fetched: Fetched) -> dict[str, State]:
        """What became of the sources."""
        return {source.name: source.state for source in fetched.sources}

    def cut(self) -> None:
        """The connection to the first breaks."""
        self.scene.shelves["a"].links[-1].abortConnection()

    def lie(self, *names: str, count: int = 10**6) -> None:
        """These servers invert a bit of what they send, for so many times."""
        for name in names:
            shelf, left = self.scene.shelves[name], [count]

            def hears(request: Any, shelf: Any = shelf, left: Any = left) -> bytes | None:
                """Invert a bit."""
                if not isinstance(request, Get) or not left[0]:
                    return None
                left[0] -= 1
                good = shelf.part(request, shelf.files["f"], shelf.tag("f"))
                return good[:-1] + bytes([good[-1] ^ 1])

            shelf.hears = hears


class WholeTests(FetchingTests):
    """Files that become whole."""

    def test_one(self) -> None:
        """From one server, with all figures."""
        self.scene.serve("a", f=DATA)
        fetched = self.get()
        self.assertEqual(
            (fetched.name, fetched.path, fetched.size), ("f", self.scene.target, 20_500)
        )
        self.assertEqual((fetched.reused, fetched.fetched, fetched.wasted), (0, 20_500, 0))
        self.assertEqual((fetched.sha256, fetched.confirmed), (sha256(DATA).hex(), False))
        self.assertEqual(self.scene.target.stat().st_mtime_ns, 10**18)
        self.assertEqual(fetched.sources[0].pieces, 21)
        last = self.scene.seen[-1]
        self.assertEqual((last.size, last.done, last.eta, last.wrong), (20_500, 20_500, 0.0, 0))

    def test_small(self) -> None:
        """Nothing, and one piece, whose digest is that of the file."""
        shelf = self.scene.serve("a", f=b"")
        for data in (b"", b"x"):
            shelf.put("f", data)
            self.assertEqual(self.get(data).confirmed, len(data) == 1)

    def test_again(self) -> None:
        """What is there and right is not fetched."""
        self.scene.serve("a", f=DATA)
        self.get()
        fetched = self.get()
        self.assertEqual((fetched.reused, fetched.fetched), (20_500, 0))

    def test_progress(self) -> None:
        """It is told how far it is, at most ten times a second."""
        self.scene.serve("a", f=DATA)
        self.net.link("a", "client", Fault(Bandwidth(5000), "bandwidth"))
        fetched = self.get()
        seen = self.scene.seen
        self.assertLess(len(seen), 10 * fetched.seconds + 3)
        self.assertEqual([one.done for one in seen], sorted(one.done for one in seen))
        self.assertIsNone(seen[0].size)
        middle = seen[len(seen) // 2]
        self.assertApproximates(middle.rate, 5000, 1000)
        self.assertApproximates(middle.eta, fetched.seconds / 2, 1.0)

    def test_limit(self) -> None:
        """A rate for all together is kept."""
        for name in "ab":
            self.scene.serve(name, f=DATA)
        self.assertGreater(self.get(limit_rate=5000.0).seconds, 3.7)

    def test_slow_disk(self) -> None:
        """What the disk does not take is not read: it waits in the network."""
        self.patch(intake, "ROOM", 3000)
        self.scene.serve("a", f=DATA * 4)
        queued: list[int] = []
        here: Any = self.net.host("client").reactor
        self.patch(
            fetching.Fetch,
            "_was_stored",
            spy(fetching.Fetch._was_stored, lambda fetch: queued.append(fetch._intake.queued)),
        )
        client = self.scene.client()
        client._run = lambda function: deferLater(here, 0.2, function)
        done = client.get("f", self.scene.target)
        self.net.run_until(done, 100)
        self.assertEqual(self.scene.target.read_bytes(), DATA * 4)
        self.assertLess(max(queued), 3000 + 70_000)
        self.net.run_until(client.close(), 10)

    def test_seldom_held(self) -> None:
        """What is not read is not begun again for each piece that the disk has taken."""
        self.patch(intake, "ROOM", 8000)
        self.scene.serve("a", f=DATA * 4)
        here: Any = self.net.host("client").reactor
        held: list[bool] = []
        self.patch(
            Connection, "hold", lambda connection, wanted, hold=Connection.hold: (
                held.append(wanted), hold(connection, wanted=wanted)
            ),
        )  # fmt: skip
        client = self.scene.client()
        client._run = lambda function: deferLater(here, 0.01, function)
        done = client.get("f", self.scene.target)
        self.net.run_until(done, 100)
        self.assertGreater(len(held), 0)
        self.assertLess(len(held), len(DATA) * 4 / 4000)
        self.net.run_until(client.close(), 10)

    def test_large_pieces(self) -> None:
        """Those that are written as they come."""
        self.patch(landing, "BATCH", 300)
        self.patch(fetching, "BATCH", 300)
        for name in "ab":
            self.scene.serve(name, f=DATA)
        self.assertEqual(self.get().wasted, 0)

    def test_copies(self) -> None:
        """What a slow one owes in the end is fetched from a fast one; the slow one's is waste."""
        data = DATA[:4000]
        for name in "ab":
            self.scene.serve(name, f=data)
        self.net.link("a", "client", Fault(Bandwidth(800), "bandwidth"))
        fetched = self.get(data)
        self.assertLess(fetched.seconds, 4.0)
        self.assertEqual({s.name: s.pieces for s in fetched.sources}, {"a": 0, "b": 4})

    def test_copies_of_several(self) -> None:
        """What comes of a copy that nobody needs any more is not kept."""
        data = DATA[:8000]
        for name, rate in (("a", 800), ("b", 5000), ("c", 800)):
            self.scene.serve(name, f=data)
            self.net.link(name, "client", Fault(Bandwidth(rate), "bandwidth"))
        fetched = self.get(data)
        self.assertGreater(fetched.wasted, 0)
        self.assertEqual(fetched.fetched - fetched.wasted, 8000)


def spy(function: Callable[..., Any], before: Callable[[Any], object]) -> Callable[..., Any]:
    """A method that shows its object first."""

    def call(self: Any, *arguments: Any, **words: Any) -> Any:
        """Call it."""
        before(self)
        return function(self, *arguments, **words)

    return call


class ResumeTests(FetchingTests):
    """Downloads that do not come to an end."""

    def slow(self) -> None:
        """A server that takes 4 s."""
        self.scene.serve("a", f=DATA)
        self.net.link("a", "client", Fault(Bandwidth(5000), "bandwidth"))

    def test_cancelled(self) -> None:
        """What was got is kept, nothing else is left, and it goes on from there."""
        self.slow()
        client = self.scene.client()
        getting = client.get("f", self.scene.target)
        self.net.run(2.5)
        getting.cancel()
        self.failureResultOf(getting, CancelledError)
        self.net.run_until(client.close(), 10)
        self.assertTrue(self.scene.part.exists())
        fetched = self.get()
        self.assertGreater(fetched.reused, 5000)
        self.assertEqual(fetched.reused + fetched.fetched, 20_500)

    def test_cancelled_while_it_writes(self) -> None:
        """The file is closed when the disk has done what it does."""
        self.slow()
        client = self.scene.client()
        here: Any = self.net.host("client").reactor
        client._run = lambda function: deferLater(here, 1.0, function)
        getting = client.get("f", self.scene.target)
        self.net.run(4.5)
        getting.cancel()
        self.assertNoResult(getting)
        self.assertEqual(len(self.scene.disk.files), 1)
        self.net.run(3.0)
        self.failureResultOf(getting, CancelledError)
        self.assertEqual(len(self.scene.disk.files), 0)
        self.net.run_until(client.close(), 10)

    def test_cancelled_while_it_looks(self) -> None:
        """What is there of a long file is not read to its end when nobody wants to know."""
        self.slow()
        self.scene.part.write_bytes(DATA)
        client = self.scene.client()
        here: Any = self.net.host("client").reactor
        client._run = lambda function: deferLater(here, 1.0, function)
        reads: list[int] = []
        read = self.scene.disk.read
        self.scene.disk.read = (  # type: ignore[method-assign]
            lambda file, size, offset: reads.append(offset) or read(file, size, offset)
        )
        getting = client.get("f", self.scene.target)
        self.net.run(1.5)
        getting.cancel()
        self.net.run(5.0)
        self.failureResultOf(getting, CancelledError)
        self.assertEqual((reads, len(self.scene.disk.files)), ([], 0))
        self.net.run_until(client.close(), 10)

    def test_cut(self) -> None:
        """Half a piece is not lost with its connection."""
        data = DATA[:10_000]
        self.patch(wire, "PIECE", 10_000)
        shelf = self.scene.serve("a", f=data)
        self.net.link("a", "client", Fault(Bandwidth(5000), "bandwidth"))
        for at in (1.0, 1.7):
            self.net.at(at, self.cut)
        fetched = self.get(data)
        offsets = [request.offset for request in shelf.heard if isinstance(request, Get)]
        self.assertEqual((offsets[0], len(offsets)), (0, 3))
        self.assertGreater(offsets[2], offsets[1])
        self.assertEqual((fetched.fetched, fetched.wasted), (10_000, 0))

    def test_gives_up(self) -> None:
        """The only source is gone: it says how much is kept, and who it was."""
        self.slow()
        self.net.at(2.0, self.net.host("a").crash)
        text = self.failure(NoAnswer)
        self.assertRegex(text, r"^a: no connection in time .*; [0-9,]+ of 20,500 bytes are kept")
        self.assertIn("running it again goes on", text)
        self.net.host("a").restart()
        self.assertGreater(self.get().reused, 3000)

    def test_callback_fails(self) -> None:
        """What watches may fail: then so does the download."""
        self.slow()
        client = self.scene.client()
        getting = client.get("f", self.scene.target, watch=lambda progress: 1 / 0)
        self.net.run(1.0)
        self.failureResultOf(getting, ZeroDivisionError)
        self.net.run_until(client.close(), 10)

    def test_disk_fails(self) -> None:
        """So may the disk."""
        self.scene.serve("a", f=DATA)

        def write(*arguments: Any) -> int:
            """It is full."""
            raise OSError(errno.ENOSPC, "full")

        self.scene.disk.write = write  # type: ignore[method-assign]
        self.assertIn("No space left on device", self.failure(NoRoom))

    def test_target(self) -> None:
        """A target that can't be is told before anything is asked for."""
        self.scene.serve("a", f=DATA)
        self.scene.target.mkdir()
        self.assertRaises(LocalError, self.scene.get)
        self.assertEqual(self.scene.shelves["a"].links, [])


class SourcesTests(FetchingTests):
    """Sources that come and go."""

    def test_nobody(self) -> None:
        """No server, no file; the first says why, and how many others there were."""
        self.scene.serve("a", f=DATA)
        self.scene.serve("b")
        self.assertEqual(
            self.failure(Rejected, name="x"), "a: 404 there is no such file (and 1 more failed)"
        )
        for name in "ab":
            self.net.host(name).tcp.clear()
        text = self.failure(ConnectionRefused)
        self.assertRegex(text, r"^a: no connection after [2-9] attempts: .* \(and 1 more failed\)$")

    def test_one_is_gone(self) -> None:
        """One that is not there is tried again while others give; it may come later."""
        for name in "ab":
            self.scene.serve(name, f=DATA)
        self.net.link("b", "client", Fault(Bandwidth(3000), "bandwidth"))
        self.net.host("a").crash()
        self.net.at(1.0, self.net.host("a").restart)
        fetched = self.get(silence=1.0)
        self.assertGreater(fetched.sources[0].pieces, 10)

    def test_waits_for_answers(self) -> None:
        """A source that works is waited for, but not for long."""
        for name in "ab":
            self.scene.serve(name, f=DATA)
        self.scene.shelves["b"].hears = lambda request: b""
        self.assertApproximates(self.get().seconds, fetching.GRACE, 0.1)

    def test_busy(self) -> None:
        """One that is too busy is asked later; at last that is why it fails."""
        shelf = self.scene.serve("a", f=DATA)
        answers = [busy(0.5)] * 3
        shelf.hears = lambda request: (
            answers.pop() if answers and isinstance(request, Get) else None
        )
        self.assertGreater(self.get().seconds, 0.5)
        self.scene.target.unlink()
        shelf.hears = lambda request: busy(0.1) if isinstance(request, Get) else None
        self.assertEqual(self.failure(Rejected), "a: 429 too many transfers")

    def test_came_back(self) -> None:
        """A source that was away for long counts, when it is back."""
        for name in "ab":
            self.scene.serve(name, f=DATA)
            self.net.link(name, "client", Fault(Bandwidth(1000), "bandwidth"))
        self.net.host("a").crash()
        self.net.at(9.0, self.net.host("a").restart)
        self.net.at(12.0, self.net.host("b").crash)
        self.assertGreater(self.get(silence=1.0, retry=QUICK).sources[0].pieces, 0)

    def test_nonsense(self) -> None:
        """A server that says nonsense is left out, and the others go on."""
        for name in "ab":
            self.scene.serve(name, f=DATA)
        self.net.link("b", "client", Fault(Bandwidth(5000), "bandwidth"))
        self.scene.shelves["a"].hears = lambda request: b"nonsense\n"
        self.assertEqual(self.states(self.get())["a"], State.LYING)
        self.scene.target.unlink()
        self.net.host("b").crash()
        self.assertRegex(self.failure(Broken), "^a: 'nonsense' is no reply")


class LiesTests(FetchingTests):
    """Pieces that are wrong."""

    def test_one_of_two(self) -> None:
        """Who gives a wrong piece is left out, and named."""
        for name in "ab":
            self.scene.serve(name, f=DATA)
        self.lie("a")
        fetched = self.get()
        self.assertEqual(self.states(fetched)["a"], State.LYING)
        self.assertRegex(fetched.sources[0].note, r"^piece \d+ \(at \d+\) is not what the list")
        self.assertGreater(fetched.wrong, 0)
        self.assertGreater(fetched.wasted, 0)

    def test_accident(self) -> None:
        """With one source only, it may be an accident."""
        self.scene.serve("a", f=DATA)
        self.lie("a", count=1)
        fetched = self.get()
        self.assertEqual((fetched.wrong, fetched.wasted), (1, PIECE))

    def test_only_one(self) -> None:
        """Three times is none."""
        self.scene.serve("a", f=DATA[:500])
        self.lie("a")
        text = self.failure(WrongData)
        self.assertEqual(text, "a: piece 0 (at 0) is not what the list of its file says")
        asked = self.scene.shelves["a"].heard
        self.assertEqual(sum(isinstance(request, Get) for request in asked), 3)

    def test_damaged_list_of_another(self) -> None:
        """Whose list it is, is asked for it again; who can't know it is not blamed at once."""
        for name, kinds in (("a", ("blake3",)), ("b", ())):
            self.scene.serve(name, f=DATA).kinds = kinds
        shelf = self.scene.shelves["a"]
        good = digests(DATA, shelf.tag("f"), "blake3")
        at = good.index(b"\n") + 1
        lists = [good[:at] + b"0" * 64 + good[at + 64 :]]
        shelf.hears = lambda request: lists.pop() if lists and isinstance(request, Hashes) else None
        # Only the other one gives the piece of which the list is wrong.
        self.net.link("a", "client", Fault(Bandwidth(1000), "bandwidth"))
        fetched = self.get(silence=30.0)
        self.assertGreaterEqual(fetched.wrong, 1)
        self.assertNotIn(State.LYING, self.states(fetched).values())

    def test_damaged_list(self) -> None:
        """Perhaps it was the list: it is asked for again, and what it says now counts."""
        shelf = self.scene.serve("a", f=DATA)
        good = digests(DATA, shelf.tag("f"))
        lists = [good[:-3] + b"00\n"]
        shelf.hears = lambda request: lists.pop() if lists and isinstance(request, Hashes) else None
        fetched = self.get()
        self.assertGreater(fetched.reused, 0)
        self.assertGreaterEqual(fetched.wrong, 1)

    def test_mixed(self) -> None:
        """Of a piece that two have given nobody knows who it was: it comes again from one."""
        self.patch(wire, "PIECE", 10_000)
        data = DATA[:10_000]
        for name in "ab":
            self.scene.serve(name, f=data)
            self.net.link(name, "client", Fault(Bandwidth(5000), "bandwidth"))
        self.scene.shelves["b"].hears = lambda request: b""
        self.lie("a", count=1)
        self.net.at(3.0, self.cut)
        bad = self.scene.shelves["a"].hears
        self.scene.shelves["a"].hears = lambda request: (
            bad(request) and lines(wire.Content(10_000, request.tag)) + bytes(10_000)
        )
        fetched = self.get(data, silence=30.0)
        self.assertEqual((fetched.wrong, fetched.fetched > 20_000 - 5000), (1, True))
        self.assertEqual(self.states(fetched)["a"], State.WAITING)


class VersionTests(FetchingTests):
    """Files that are not the same everywhere."""

    def test_majority(self) -> None:
        """What most have; who has another is left out, whenever it answers."""
        for name, data in (("a", OTHER), ("b", DATA), ("c", DATA)):
            self.scene.serve(name, f=data)
        self.assertEqual(self.states(self.get())["a"], State.OTHER)

    def test_one_list(self) -> None:
        """Equal lists are held once, however many servers have told them."""
        held: list[set[int]] = []
        choose = fetching.choose

        def note(known: Any) -> Version:
            """Which lists there are."""
            if len(known) == 3:
                held.append({id(version) for version in known.values()})
            return choose(known)

        self.patch(fetching, "choose", note)
        for name in "abc":
            self.scene.serve(name, f=DATA)
        self.get()
        self.assertEqual({len(lists) for lists in held}, {1})

    def test_kinds(self) -> None:
        """Servers that know different digests, or none but SHA-256, give one file together."""
        for name, kinds in (("a", ("blake3",)), ("b", ()), ("c", None)):
            self.scene.serve(name, f=DATA).kinds = kinds
        for first in "ab":
            self.scene.shelves = {
                first: self.scene.shelves[first],
                **self.scene.shelves,
            }  # who says it first decides by what is checked
            fetched = self.get()
            self.scene.target.unlink()
            self.assertEqual(fetched.sha256, sha256(DATA).hex())
            self.assertEqual(fetched.wrong, 0)
            self.assertEqual({source.pieces > 0 for source in fetched.sources}, {True})

    def test_kinds_of_small_files(self) -> None:
        """Of one piece only that is confirmed whose SHA-256 is known."""
        shelf = self.scene.serve("a", f=b"hello")
        self.assertTrue(self.get(b"hello").confirmed)
        self.scene.target.unlink()
        shelf.kinds = ("blake3",)
        self.assertFalse(self.get(b"hello").confirmed)

    def test_kinds_of_others(self) -> None:
        """Who has another file is left out, whatever digests it knows."""
        for name, data, kinds in (("a", OTHER, ("blake3",)), ("b", DATA, ()), ("c", DATA, None)):
            self.scene.serve(name, f=data).kinds = kinds
        self.assertEqual(self.states(self.get())["a"], State.OTHER)

    def false_list(self) -> None:
        """The first of three has the list of another file, and says that it is of this one."""
        for name, kinds in (("a", ("blake3",)), ("b", ()), ("c", ())):
            self.scene.serve(name, f=DATA).kinds = kinds
        shelf = self.scene.shelves["a"]
        shelf.hears = lambda request: (
            digests(OTHER, shelf.tag("f"), "blake3") if isinstance(request, Hashes) else None
        )

    def test_false_list(self) -> None:
        """It harms nobody but its server: the others, who may agree on theirs, are waited for."""
        self.false_list()
        self.net.link("c", "client", Fault(Bandwidth(1200), "bandwidth"))
        fetched = self.get(silence=30.0)
        self.assertEqual((fetched.wrong, self.states(fetched)["b"]), (0, State.WAITING))

    def test_late_list(self) -> None:
        """One that comes later shows what most have told, even if all have one SHA-256."""
        self.false_list()
        self.net.partition("client", "c")
        self.net.at(4.0, self.net.heal, "client", "c")
        self.net.link("a", "client", Fault(Bandwidth(3000), "bandwidth"))
        self.net.link("b", "client", Fault(Bandwidth(3000), "bandwidth"))
        states = self.states(self.get(silence=3.0))
        self.assertEqual({states[name] for name in "bc"}, {State.WAITING})

    def test_accident_of_another_kind(self) -> None:
        """Who can't confirm a list does not make an accident a lie."""
        for name, kinds in (("a", ("blake3",)), ("b", ())):
            self.scene.serve(name, f=DATA).kinds = kinds
        self.lie("a", count=1)
        fetched = self.get()
        self.assertEqual((fetched.wrong, self.states(fetched)["a"]), (1, State.WAITING))

    def test_false_digest_of_another_kind(self) -> None:
        """Whose list led to a file that is not the one that is wanted, lies; others do not."""
        for name, data, kinds in (("a", OTHER, ("blake3",)), ("b", DATA, ())):
            self.scene.serve(name, f=data).kinds = kinds
        self.scene.shelves["a"].hears = lambda request: (
            lines(wire.Status(20_500, 1, self.scene.shelves["a"].tag("f"), sha256(DATA).hex()))
            if isinstance(request, Stat)
            else None
        )
        fetched = self.get(sha256=sha256(DATA).hex())
        self.assertEqual(self.states(fetched), {"a": State.LYING, "b": State.WAITING})

    def test_tie(self) -> None:
        """Of two, what the first has."""
        for name, data in (("a", OTHER), ("b", DATA)):
            self.scene.serve(name, f=data)
        fetched = self.get(OTHER)
        self.assertEqual(self.states(fetched)["b"], State.OTHER)
        self.assertIn("another version", fetched.sources[1].note)

    def test_late_majority(self) -> None:
        """Those who answer late may be more: it begins anew, with what is equal."""
        for name, data in (("a", OTHER), ("b", DATA), ("c", DATA)):
            self.scene.serve(name, f=data)
        self.net.link("a", "client", Fault(Bandwidth(3000), "bandwidth"))
        for name in "bc":
            self.scene.shelves[name].hears = lambda request: b""
        self.net.at(3.5, self.speak)
        fetched = self.get()
        self.assertGreater(fetched.reused, 0)
        self.assertEqual(self.states(fetched)["a"], State.OTHER)

    def speak(self) -> None:
        """All answer from now on, also what was asked before."""
        for shelf in self.scene.shelves.values():
            shelf.hears = lambda request: None
            for link in shelf.links if shelf.salt != "a" else ():
                link.abortConnection()

    def test_digest(self) -> None:
        """The SHA-256 of the whole decides, whoever has it."""
        for name, data in (("a", OTHER), ("b", OTHER), ("c", DATA)):
            self.scene.serve(name, f=data)
        fetched = self.get(sha256=sha256(DATA).hex().upper())
        self.assertTrue(fetched.confirmed)
        self.assertEqual(fetched.sha256, sha256(DATA).hex())
        self.assertEqual(self.states(fetched)["a"], State.REJECTED)
        self.scene.target.unlink()
        text = self.failure(WrongData, sha256="0" * 64)
        self.assertRegex(text, r"^a: its file has the SHA-256 [0-9a-f]{64}, not 0{64} \(and 2 more")

    def test_false_digest(self) -> None:
        """Who only says that it has it is found out, and somebody else is asked."""
        for name, data in (("a", OTHER), ("b", DATA)):
            self.scene.serve(name, f=data)
        shelf = self.scene.shelves["a"]
        status = lines(wire.Status(len(OTHER), 10**18, shelf.tag("f"), sha256(DATA).hex()))
        shelf.hears = lambda request: status if isinstance(request, Stat) else None
        fetched = self.get(sha256=sha256(DATA).hex())
        self.assertEqual(self.states(fetched)["a"], State.LYING)
        self.assertIn("it had said", fetched.sources[0].note)

    def test_changed(self) -> None:
        """The file is changed in the middle: never a mixture; what is equal is kept."""
        shelf = self.scene.serve("a", f=DATA)
        self.net.link("a", "client", Fault(Bandwidth(5000), "bandwidth"))
        self.net.at(3.0, shelf.put, "f", OTHER)
        fetched = self.get(OTHER)
        self.assertGreater(fetched.reused, 5000)

    def test_one_changed(self) -> None:
        """As long as others have it, who has changed it is left out."""
        for name in "ab":
            self.scene.serve(name, f=DATA)
            self.net.link(name, "client", Fault(Bandwidth(3000), "bandwidth"))
        self.net.at(1.0, self.scene.shelves["a"].put, "f", OTHER)
        self.assertEqual(self.states(self.get())["a"], State.OTHER)

    def test_touched(self) -> None:
        """A version that has the same bytes is as good."""
        shelf = self.scene.serve("a", f=DATA)
        self.net.link("a", "client", Fault(Bandwidth(5000), "bandwidth"))
        self.net.at(2.0, shelf.put, "f", DATA)
        self.assertEqual(self.get().reused, 0)

    def test_changed_all_the_time(self) -> None:
        """Not for ever."""
        shelf = self.scene.serve("a", f=DATA)
        numbers = iter(range(10**6))

        def hears(request: Any) -> bytes | None:
            """Nobody gets what was listed."""
            if isinstance(request, Get):
                shelf.put("f", DATA[:-8] + b"%08d" % next(numbers))
            return None

        shelf.hears = hears
        self.assertIn("the file was changed 5 times", self.failure(Changed))

    def test_one_vanishes(self) -> None:
        """Who had the version that was chosen is gone; who has another is there."""
        for name, data in (("a", DATA), ("b", OTHER)):
            self.scene.serve(name, f=data)
        self.net.link("a", "client", Fault(Bandwidth(3000), "bandwidth"))
        self.net.at(3.0, self.net.host("a").crash)
        fetched = self.get(OTHER, silence=1.0, retry=QUICK)
        self.assertGreater(fetched.reused, 1000)
        self.assertEqual(self.states(fetched)["a"], State.OTHER)

    def test_hostile_size(self) -> None:
        """A size that nobody has room for is told before anything is fetched."""
        shelf = self.scene.serve("a", f=b"")
        size = 2**62
        piece = wire.piece_size(size)
        count = wire.count_pieces(size, piece)
        tag = shelf.tag("f")
        answers: dict[type[Any], bytes] = {
            Hashes: lines(Hashed(size, tag, piece, count), *[bytes(32)] * count),
            Stat: lines(wire.Status(size, 0, tag, "0" * 64)),
        }
        shelf.hears = lambda request: answers.get(type(request))
        self.assertIn(f"it needs {size:,} bytes", self.failure(NoRoom))


class UnansweredTests(FetchingTests):
    """Sources of which it is not known what they have."""

    def test_asked_again(self) -> None:
        """Who is asked again, or comes back, is waited for before another version is taken."""
        for name, data in (("a", DATA), ("b", OTHER)):
            self.scene.serve(name, f=data)
        self.net.link("a", "client", Fault(Bandwidth(5000), "bandwidth"))
        self.net.at(2.0, self.scene.shelves["a"].put, "f", DATA)
        self.net.at(3.0, self.cut)
        fetched = self.get()
        self.assertEqual((fetched.reused, self.states(fetched)["b"]), (0, State.OTHER))

    def test_stored_copies(self) -> None:
        """Copies that wait for the disk are not written when one was."""
        data = DATA[:2000]
        for name in "ab":
            self.scene.serve(name, f=data)
        client = self.scene.client()
        here: Any = self.net.host("client").reactor
        client._run = lambda function: deferLater(here, 0.5, function)
        fetched = self.net.run_until(client.get("f", self.scene.target), 100)
        self.assertEqual(self.scene.target.read_bytes(), data)
        self.assertEqual((fetched.wasted, fetched.fetched), (1000, 3000))
        self.net.run_until(client.close(), 10)

    def test_waste_at_the_end(self) -> None:
        """What still comes while the file is put at its place is counted, and no more."""
        data = DATA[:4000]
        for name in "ab":
            self.scene.serve(name, f=data)
        self.net.link("a", "client", Fault(Bandwidth(800), "bandwidth"))
        client = self.scene.client()
        here: Any = self.net.host("client").reactor
        client._run = lambda function: deferLater(here, 0.5, function)
        fetched = self.net.run_until(client.get("f", self.scene.target), 100)
        self.assertEqual(fetched.fetched - fetched.wasted, 4000)
        self.net.run_until(client.close(), 10)

    def test_checked_twice(self) -> None:
        """A copy of what is done changes nothing."""
        fetch: Any = fetching.Fetch(
            name="f",
            target=Target(self.scene.target),
            lane=None,
            clock=self.net.host("client").reactor,
            settings=None,
            pace=None,
            sha256=None,
            watch=None,
            closing=None,
        )
        scheduler, piece = Scheduler(1, 10), Landing(0, 0, 10, b"")
        for name in "ab":
            scheduler.add(name)
            scheduler.take(name)
        for name in "ab":
            scheduler.came(name, 0)
        scheduler.right(0)
        piece.dropped = True
        fetch._checked(scheduler, None, piece, right=False)
        self.assertEqual((fetch._done, fetch._copies.wasted), (0, 0))

    def test_direct(self) -> None:
        """Where a piece may be put: not if it has an end, or a rate; a full disk ends it."""
        target = Target(self.scene.target)
        version = Version(5, 10, b"x" * 32)
        target.begin(version, ())
        self.addCleanup(target.close)
        fetch: Any = fetching.Fetch(
            name="f",
            target=target,
            lane=None,
            clock=self.net.host("client").reactor,
            settings=ClientSettings(),
            pace=None,
            sha256=None,
            watch=None,
            closing=None,
        )
        one = version.landing(0)
        self.assertIsNone(fetch.room(one))
        one.direct = True
        self.assertEqual(fetch.room(one).size, 5)
        fetch._settings = ClientSettings(limit_rate=1e6)
        self.assertIsNone(fetch.room(one))
        fetch._settings, fetch._over = ClientSettings(), True
        self.assertIsNone(fetch.room(one))
        fetch._over = False
        fetch.full(OSError(errno.ENOSPC, "full"))
        self.assertIn("needs 0 bytes", str(fetch._failed.value))
        self.assertIsInstance(fetch._failed.value, NoRoom)
        fetch._failed, fetch._version = None, version
        fetch.full(OSError(errno.ENOSPC, "full"))
        self.assertIn("needs 5 bytes", str(fetch._failed.value))

    def test_stored_too_late(self) -> None:
        """What waits for the disk when it begins anew is not written."""
        shelf = self.scene.serve("a", f=DATA)
        client = self.scene.client()
        here: Any = self.net.host("client").reactor
        client._run = lambda function: deferLater(here, 0.2, function)
        self.net.at(0.9, shelf.put, "f", OTHER)
        self.net.at(0.9, self.cut)
        self.net.run_until(client.get("f", self.scene.target), 100)
        self.assertEqual(self.scene.target.read_bytes(), OTHER)
        self.net.run_until(client.close(), 10)

    def test_abandoned(self) -> None:
        """Its reactor may be gone in the middle; nothing more can be done then."""
        self.scene.serve("a", f=DATA)
        client = self.scene.client()
        begun: list[Any] = []
        client._begin = lambda work: begun.append(work())  # type: ignore[assignment]
        client.get("f", self.scene.target)
        begun[0].send(None)
        begun[0].close()
        self.net.host("client").crash()
        self.scene.disk.crash()


class EndTests(SimulationMixin, SynchronousTestCase):
    """What has no sources at all."""

    def test_no_source(self) -> None:
        """There is an error for that, too."""
        scene = Scene(self.net, folder(self))
        scene.serve("a", f=DATA)
        client = scene.client()
        client._sources.clear()
        done: Deferred[Fetched] = client.get("f", scene.target)
        error = self.failureResultOf(done).value
        self.assertEqual(str(error), "there is no source")
