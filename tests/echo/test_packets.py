"""Packets that leave together."""

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.echo.packets import Packets
from lab.echo.wire import LEAST_SIZE, encode_packets

FIRSTS = st.integers(0, 10**9) | st.sampled_from((0, 900, 999, 1000, 1946, 9_990, 999_960))


class PacketsTests(SynchronousTestCase):
    """They are made in one buffer, and are what they would be without it."""

    @settings(deadline=None)
    @given(
        st.sampled_from((b"", b"a", b"packet-1", b"k" * 20)),
        FIRSTS,
        st.integers(0, 2**63),
        st.integers(LEAST_SIZE, 200),
        st.sampled_from((b"", b"\n")),
        st.lists(st.tuples(st.integers(0, 2500), st.integers(1, 70)), max_size=12),
    )
    @example(b"", 5000, 0, 64, b"", [(0, 54), (54, 54), (108, 12), (0, 54), (900, 99), (999, 2)])
    def test_any_parts(
        self,
        id: bytes,
        first: int,
        sent: int,
        size: int,
        ending: bytes,
        parts: list[tuple[int, int]],
    ) -> None:
        """Whichever are asked for, one after the other, in order or not."""
        packets = Packets(id, first, sent, size, ending)
        for begin, count in parts:
            seqs = range(first + begin, first + begin + count)
            made = packets.make(begin, begin + count)
            self.assertEqual(
                bytes(made), encode_packets(id, seqs, sent, size - len(ending), ending)
            )

    def test_one_buffer(self) -> None:
        """Most are made where those before them were."""
        packets = Packets(b"", 5000, 7, 1200)
        self.assertIs(packets.make(0, 54), packets.make(54, 108))
        shorter = packets.make(108, 110)
        self.assertIs(packets.make(0, 54), memoryview(shorter).obj)
