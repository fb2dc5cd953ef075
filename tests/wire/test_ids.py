"""Request ids."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.wire.ids import encode_id, read_id

IDS = st.from_regex(rb"[A-Za-z0-9-]{1,20}", fullmatch=True)


class IdTests(SynchronousTestCase):
    """What stands before a message."""

    @settings(deadline=None)
    @given(IDS | st.just(b""), st.from_regex(rb"[^#].*", fullmatch=True) | st.just(b""))
    def test_round_trip(self, id: bytes, rest: bytes) -> None:
        """An id is read as it was written, whatever follows."""
        self.assertEqual(read_id(encode_id(id) + rest), id)

    def test_form(self) -> None:
        """A number sign, the id, a space; and nothing at all for no id."""
        self.assertEqual((encode_id(b"k3-7"), encode_id(b"")), (b"#k3-7 ", b""))

    def test_longest(self) -> None:
        """An id has 20 characters at most."""
        self.assertEqual(read_id(b"#" + b"x" * 20 + b" "), b"x" * 20)
        self.assertEqual(read_id(b"#" + b"x" * 21 + b" "), b"")

    def test_none(self) -> None:
        """What only looks like an id is none."""
        for message in (
            b"",
            b"#",
            b"# +",
            b"#k3",
            b"#k3\t+",
            b"#k_3 +",
            b" #k3 +",
            b"\n#k3 +",
            b"k3 +",
        ):
            self.assertEqual(read_id(message), b"", message)

    @settings(deadline=None)
    @given(st.binary(max_size=30) | st.text("#ak-_ \n", max_size=30).map(str.encode))
    def test_any_bytes(self, message: bytes) -> None:
        """Whatever comes, an id that is read is really there."""
        id = read_id(message)
        self.assertTrue(not id or message.startswith(encode_id(id)))
