"""What takes time, done for all connections of a server."""

import gc
from collections.abc import Callable
from typing import Any

from attrs import evolve
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.download import digests
from lab.download import workshop as module
from lab.download.digests import Digests
from lab.download.listings import Listing
from lab.download.memory import MemoryCatalogue
from lab.download.server import Wanted
from lab.download.settings import ServerSettings
from lab.download.shared import Shared
from lab.download.wire import Busy, Hashes, List, Refused, Stat, Working
from lab.download.workshop import Found, Workshop
from tests.helpers import captured_logs

FILES = {"a": b"12345", "b": b"1", "c": b"", "d": b""}


class Asker:
    """Who notes what is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.done: Deferred[Any] = Deferred()

    def progress(self, working: Working) -> None:
        """Note it."""
        self.told.append(working)

    def answer(self, found: Found) -> None:
        """Note it."""
        self.told.append(found)
        self.done.callback(found)


class WorkshopTests(SynchronousTestCase):
    """Steps that are taken by hand."""

    def setUp(self) -> None:
        """A workshop, whose steps wait."""
        self.clock = Clock()
        self.files = MemoryCatalogue(FILES)
        self.steps: list[tuple[Callable[[], Any], Deferred[Any]]] = []
        self.patch(digests, "SLICE", 2)

    def make(self, **words: Any) -> Workshop:
        """With these settings."""
        self.shared = Shared(ServerSettings(**words))

        def run(step: Callable[[], Any]) -> Deferred[Any]:
            """Take it later."""
            done: Deferred[Any] = Deferred()
            self.steps.append((step, done))
            return done

        return Workshop(self.clock, self.files, self.shared, run)

    def ask(self, shop: Workshop, *requests: Any) -> list[Asker]:
        """Somebody asks each of these."""
        askers = [Asker() for _ in requests]
        for asker, request in zip(askers, requests, strict=True):
            tag = "" if isinstance(request, List) else self.files.open(request.name).tag
            kind = (*request.kinds, "sha256")[0] if isinstance(request, Hashes) else ""
            shop.ask(Wanted(request, tag, kind), asker)
        return askers

    def step(self) -> None:
        """Take the step that waits for longest."""
        step, done = self.steps.pop(0)
        done.callback(step())

    def test_digest(self) -> None:
        """A file is hashed; it is told how far that is, and what was found is kept."""
        shop = self.make()
        [asker] = self.ask(shop, Hashes("a"))
        for _ in range(4):
            self.step()
        *news, found = asker.told
        self.assertEqual(news, [Working(2, 5), Working(4, 5), Working(5, 5)])
        self.assertIsInstance(found, Digests)
        self.assertIs(self.shared.cache.find("a", found.tag), found)
        self.assertEqual((self.steps, len(shop), shop._working), ([], 0, 0))
        counters = self.shared.counters
        self.assertEqual((counters.hashed, counters.hashed_bytes), (1, 5))

    def test_shared(self) -> None:
        """Two who want the same have it at the same time, by the same work."""
        shop = self.make()
        first, second = self.ask(shop, Hashes("a"), Stat("a"))
        self.step()
        [third] = self.ask(shop, Stat("a"))
        while self.steps:
            self.step()
        self.assertIs(first.told[-1], second.told[-1])
        self.assertIs(first.told[-1], third.told[-1])
        self.assertEqual(self.shared.counters.hashed, 1)

    def test_kinds(self) -> None:
        """A status has whatever is made, and otherwise what takes least time."""
        fast = Hashes("a", ("blake3",))
        for requests, kinds in (
            ((Stat("a"), fast), ["blake3", "blake3"]),
            ((Hashes("a"), Stat("a"), fast), ["sha256", "sha256", "blake3"]),
            ((fast, Stat("a"), Hashes("a")), ["blake3", "blake3", "sha256"]),
        ):
            shop = self.make()
            askers = self.ask(shop, *requests)
            while self.steps:
                self.step()
            self.assertEqual([asker.told[-1].kind for asker in askers], kinds)
            self.assertEqual(self.shared.counters.hashed, len(set(kinds)))

    def test_another_kind(self) -> None:
        """For another kind the file is read again, but its SHA-256 is known."""
        shop = self.make()
        [first] = self.ask(shop, Hashes("a"))
        while self.steps:
            self.step()
        known = evolve(first.told[-1], whole=b"known")
        self.shared.cache.keep("a", known)
        [second] = self.ask(shop, Hashes("a", ("blake3",)))
        while self.steps:
            self.step()
        self.assertEqual((second.told[-1].whole, second.told[-1].kind), (b"known", "blake3"))

    def test_another_version(self) -> None:
        """Who saw another version is not given what others have begun to read."""
        shop = self.make()
        [first] = self.ask(shop, Stat("a"))
        self.step()
        self.files.put("a", b"54321")
        [second] = self.ask(shop, Stat("a"))
        while self.steps:
            self.step()
        self.assertNotEqual(first.told[-1].tag, second.told[-1].tag)
        self.assertEqual(second.told[-1].tag, self.files.open("a").tag)

    def test_workers(self) -> None:
        """So many at a time; others wait for one to end, in order."""
        shop = self.make(workers=2, queue=2)
        a, b, c, d = self.ask(shop, Stat("a"), Stat("b"), Stat("c"), Stat("d"))
        self.assertEqual(len(self.steps), 2)
        [full] = self.ask(shop, List())
        self.clock.advance(0)
        self.assertEqual(full.told, [Busy(1.0, "4 files are read, or wait for that")])
        while self.steps:
            self.assertLessEqual(len(self.steps), 2)
            self.step()
        for asker in (a, b, c, d):
            self.assertIsInstance(asker.told[-1], Digests)
        self.assertEqual((len(shop), shop._working), (0, 0))

    def test_nobody_wants_it(self) -> None:
        """What nobody wants any more ends after its step, or does not begin."""
        shop = self.make(workers=1)
        a, b = self.ask(shop, Stat("a"), Stat("b"))
        shop.leave(Asker())
        shop.leave(a)
        shop.leave(b)
        self.assertEqual(len(self.steps), 1)
        self.step()
        self.assertEqual((self.steps, len(shop), shop._working), ([], 0, 0))
        self.assertEqual((a.told, b.told), ([], []))

    def test_wanted_again(self) -> None:
        """Somebody may come before that, and has it."""
        shop = self.make()
        [gone] = self.ask(shop, Stat("a"))
        shop.leave(gone)
        [asker] = self.ask(shop, Stat("a"))
        while self.steps:
            self.step()
        self.assertIsInstance(asker.told[-1], Digests)
        self.assertEqual(gone.told, [])

    def test_list(self) -> None:
        """A list is made for all who want it."""
        shop = self.make()
        first, second = self.ask(shop, List(), List())
        [other] = self.ask(shop, List("b"))
        while self.steps:
            self.step()
        self.assertIs(first.told[-1], second.told[-1])
        self.assertEqual((first.told[-1].count, other.told[-1].count), (4, 1))

    def test_lists_are_held(self) -> None:
        """While lists that are being sent take too much no more are made."""
        self.patch(module, "LISTED", 10)
        shop = self.make()
        [asker] = self.ask(shop, List())
        while self.steps:
            self.step()
        self.assertIsInstance(asker.told[-1], Listing)
        held = len(asker.told[-1].lines)
        [refused] = self.ask(shop, List())
        self.clock.advance(0)
        self.assertEqual(refused.told, [Busy(1.0, f"lists of {held} bytes are being sent")])
        [digest] = self.ask(shop, Stat("c"))
        self.step()
        self.assertIsInstance(digest.told[-1], Digests)
        del asker
        gc.collect()
        [again] = self.ask(shop, List())
        while self.steps:
            self.step()
        self.assertIsInstance(again.told[-1], Listing)

    def test_refused(self) -> None:
        """What can't be is told, and does not stop what waits."""
        shop = self.make(workers=1)
        gone, other = self.ask(shop, Stat("a"), Stat("b"))
        self.files.remove("a")
        while self.steps:
            self.step()
        self.assertEqual(gone.told, [Refused(404, "there is no file 'a'")])
        self.assertIsInstance(other.told[-1], Digests)

    def test_failed(self) -> None:
        """An error of the server's own is logged, and told without its words."""
        shop = self.make()
        [asker] = self.ask(shop, Stat("a"))
        self.patch(self.files._nodes["a"], "data", None)
        with captured_logs() as events:
            _, done = self.steps.pop(0)
            done.errback(ZeroDivisionError("secret"))
        self.assertEqual(asker.told, [Refused(500, "the server has met an error of its own")])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertTrue(events)
        self.assertEqual(len(shop), 0)


class ReactorTests(TestCase):
    """Where steps are taken."""

    def test_in_turns(self) -> None:
        """A reactor without threads takes one in a turn."""
        self.patch(digests, "SLICE", 2)
        clock, asker = Clock(), Asker()
        files = MemoryCatalogue(FILES)
        shop = Workshop(clock, files, Shared())
        shop.ask(Wanted(Stat("a"), "x"), asker)
        self.assertEqual(asker.told, [])
        clock.advance(0)
        self.assertEqual(asker.told[0], Working(2, 5))
        self.assertIsInstance(asker.told[-1], Digests)

    async def test_in_threads(self) -> None:
        """One that has threads takes them there."""
        asker = Asker()
        shop = Workshop(real_reactor, MemoryCatalogue(FILES), Shared())
        shop.ask(Wanted(Stat("a"), "x"), asker)
        self.assertIsInstance(await asker.done, Digests)
