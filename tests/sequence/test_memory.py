"""Sessions in memory; `test_sessions` has what all stores do."""

import sys
import tracemalloc

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from lab.rng import stream
from lab.sequence.memory import MemoryStore
from lab.sequence.records import Record
from tests.sequence.test_sessions import StoreCase, record


class MemoryTests(StoreCase, SynchronousTestCase):
    """The tests of all stores, and the wheel."""

    def make(self, **limits: int) -> MemoryStore:
        """A store."""
        return MemoryStore(**limits)

    def test_put(self) -> None:
        """What is put is there, beyond all limits, counted once, and ends at its deadline."""
        store = MemoryStore(sessions=1, per_address=1)
        for name in ("a", "b", "b"):
            store.put(evolve(record(name), epoch=3, deadline=5.0))
        self.assertEqual((len(store), store._addresses), (2, {"here": 2}))
        self.assertEqual(store.get("b" * 32), evolve(record("b"), epoch=3, deadline=5.0))
        store.put(record("b"))
        self.assertEqual(store.end(4.9), [])
        self.assertEqual(store.end(5.0), ["a" * 32])
        self.assertIsNone(store.get("a" * 32))
        self.assertEqual((len(store), store._addresses), (1, {"here": 1}))

    def test_very_many(self) -> None:
        """10,000 that nobody has end within a second of their time, and are small."""
        random, store = stream(7), MemoryStore(per_address=10_000)
        tracemalloc.start()
        try:
            deadlines = []
            for number in range(10_000):
                one = Record(f"{number:032x}", random.randbytes(16), 5, 1.0, "10.0.0.2")
                self.now(store.create(one))
                deadlines.append(random.uniform(0, 30))
                self.now(store.progress(evolve(one, deadline=deadlines[-1])))
            size, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertLess((size - sys.getsizeof(deadlines)) / 10_000, 1024)
        for second in range(32):
            self.now(store.expire(float(second)))
            still = sum(deadline > second for deadline in deadlines)
            late = sum(deadline > second - 1 for deadline in deadlines)
            self.assertTrue(still <= len(store) <= late)
        self.assertEqual(len(store), 0)
