"""Datagrams that wait: in their order, and not too many."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.adapters.backlog import DATAGRAMS, SIZE, Backlog

#: A datagram of a size to put, how many to take and give back, or None for all to be forgotten.
STEPS = st.lists(
    st.tuples(st.just("put"), st.integers(0, 40))
    | st.sampled_from((("take", 0), ("back", 0), ("clear", 0)))
)


class BacklogTests(SynchronousTestCase):
    """What it takes, and what it gives."""

    @given(STEPS)
    def test_any_use(self, steps: list[tuple[str, int]]) -> None:
        """It is a queue that refuses what is one too many, or a byte too much."""
        backlog = Backlog(datagrams=5, size=100)
        model: deque[tuple[bytes, tuple[str, int]]] = deque()
        for number, (step, size) in enumerate(steps):
            held = sum(len(datagram) for datagram, _ in model)
            if step == "put":
                one = bytes(size), ("192.0.2.1", number)
                room = len(model) < 5 and held + size <= 100
                self.assertIs(backlog.put(*one), room)
                model.extend([one] * room)
            elif step == "clear":
                self.assertEqual(backlog.clear(), len(model))
                model.clear()
            elif model:
                one = backlog.take()
                self.assertEqual(one, model.popleft())
                if step == "back":
                    backlog.give_back(*one)
                    model.appendleft(one)
            self.assertEqual(len(backlog), len(model))

    def test_usual_bounds(self) -> None:
        """A quarter of a mebibyte, in 256 datagrams."""
        self.assertEqual((DATAGRAMS, SIZE), (256, 262_144))
        backlog = Backlog()
        self.assertEqual(sum(backlog.put(b"", None) for _ in range(300)), 256)
        backlog = Backlog()
        self.assertEqual(sum(backlog.put(bytes(65_507), None) for _ in range(9)), 4)
