"""What is sent behind the line of a reply."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.download.digests import Digests
from lab.download.memory import MemoryCatalogue
from lab.download.sending import DigestSending, FileSending, Sending, TextSending
from lab.download.wire import read_digest

SIZES = st.lists(st.integers(1, 300), min_size=1, max_size=5)


def drain(sending: Sending, sizes: list[int]) -> bytes:
    """All of it, in pieces of these sizes, over and over."""
    got, left = b"", sending.left
    while sending.left:
        data = sending.read(sizes[len(got) % len(sizes)])
        assert data
        got += data
        assert sending.left == left - len(got)
    sending.close()
    return got


class SendingTests(SynchronousTestCase):
    """However it is pulled, the bytes are the same."""

    @given(st.binary(max_size=200), st.data(), SIZES)
    def test_file(self, data: bytes, draw: st.DataObject, sizes: list[int]) -> None:
        """A part of a file."""
        offset = draw.draw(st.integers(0, len(data)))
        length = draw.draw(st.integers(0, len(data) - offset))
        file = MemoryCatalogue({"a": data}).open("a")
        sending = FileSending(file, "a", offset, length)
        self.assertEqual(sending.at(), offset)
        self.assertEqual(drain(sending, sizes), data[offset : offset + length])
        self.assertEqual(sending.at(), offset + length)

    def test_shorter(self) -> None:
        """Of a file that has become shorter there is nothing behind its end."""
        files = MemoryCatalogue({"a": b"12345"})
        sending = FileSending(files.open("a"), "a", 1, 4)
        files.write("a", b"12")
        self.assertEqual([sending.read(9), sending.read(9), sending.left], [b"2", b"", 3])

    @given(st.binary(max_size=200), SIZES)
    def test_text(self, data: bytes, sizes: list[int]) -> None:
        """Lines that are there."""
        self.assertEqual(drain(TextSending(data), sizes), data)

    @given(st.lists(st.binary(min_size=32, max_size=32), max_size=20), SIZES)
    def test_digests(self, digests: list[bytes], sizes: list[int]) -> None:
        """Whole lines, one at least."""
        sending = DigestSending(Digests(0, 0, "", b"", b"".join(digests)))
        lines = drain(sending, sizes).split(b"\n")
        self.assertEqual([read_digest(line) for line in lines[:-1]], digests)
        self.assertEqual(lines[-1], b"")

    def test_sizes(self) -> None:
        """No more than is asked for, but for a line."""
        sending = DigestSending(Digests(0, 0, "", b"", bytes(32 * 10)))
        self.assertEqual([len(sending.read(size)) for size in (1, 65, 129, 130)], [65, 65, 65, 130])
