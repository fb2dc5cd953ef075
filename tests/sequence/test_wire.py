"""The lines of the sequence service."""

import hashlib
import hmac
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.sequence.wire import (
    LIMIT,
    REASONS,
    Alive,
    Challenge,
    Conflict,
    Done,
    Heartbeat,
    Number,
    Proof,
    Rejected,
    Resume,
    Resumed,
    Session,
    Start,
    Sum,
    WireError,
    Wrong,
    encode,
    proof,
    read_client,
    read_server,
    show_seconds,
)

HEX = st.binary(min_size=16, max_size=16).map(bytes.hex)
SECONDS = st.integers(1, 10**12).map(lambda n: n / 10**6)
INTS = st.integers(0, 2**32 - 1)
NEXT = st.integers(0, 65535)
N = st.integers(1, 65535)
CLIENT = st.one_of(
    st.builds(Start, st.none() | N, st.none() | SECONDS),
    st.builds(Resume, HEX, NEXT),
    st.builds(Proof, st.binary(min_size=32, max_size=32).map(bytes.hex)),
    st.builds(Heartbeat, INTS),
    st.just(Done()),
)
SERVER = st.one_of(
    st.builds(Session, HEX, st.binary(min_size=16, max_size=16), N, SECONDS),
    st.builds(Number, st.integers(0, 65534), INTS),
    st.builds(Alive, INTS),
    st.builds(Challenge, HEX),
    st.builds(Resumed, NEXT),
    st.builds(Rejected, st.sampled_from(REASONS)),
    st.builds(
        Sum,
        st.binary(min_size=4, max_size=4).map(bytes.hex),
        st.binary(min_size=32, max_size=32).map(bytes.hex),
    ),
    st.just(Conflict()),
    st.builds(Wrong, st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)),
)


class LineTests(SynchronousTestCase):
    """What is written is read again."""

    @given(CLIENT)
    def test_client(self, line: Any) -> None:
        """All that a client says."""
        self.assertEqual(read_client(encode(line)), line)

    @given(SERVER)
    def test_server(self, line: Any) -> None:
        """All that a server says."""
        self.assertEqual(read_server(encode(line)), line)

    @given(st.binary() | st.text().map(str.encode))
    def test_anything(self, data: bytes) -> None:
        """Whatever comes is a line, or is refused in one line of text."""
        for read in (read_client, read_server):
            try:
                read(data)
            except WireError as error:
                self.assertEqual(len(str(error).splitlines()), 1)
                self.assertLess(len(str(error)), 200)

    def test_refused(self) -> None:
        """Every mistake has its words."""
        cases = [
            (b"", "line begins with ''; give one of start, resume, proof, heartbeat, done"),
            (b"stop", "line begins with 'stop'; give one of start, resume, proof, heartbeat, done"),
            (b"\xff", "the line is not ASCII"),
            (b"x" * (LIMIT + 1), "the line is too long; give at most 1,024 bytes"),
            (b"start 0", "n is '0'; give 1 to 65535"),
            (b"start 65536", "n is '65536'; give 1 to 65535"),
            (b"start x", "n is 'x'; give 1 to 65535"),
            (b"start  5", "n is ''; give 1 to 65535"),
            (b"start -1", "n is '-1'; give 1 to 65535"),
            (b"start 1 2", "'2' is one word too many; give start [N] [interval=S]"),
            (b"start interval=1 5", "'5' is one word too many; give start [N] [interval=S]"),
            (b"start interval=0", "interval is '0'; give seconds, more than 0"),
            (b"start interval=1e3", "interval is '1e3'; give seconds, more than 0"),
            (b"start interval=nan", "interval is 'nan'; give seconds, more than 0"),
            (b"heartbeat", "heartbeat has 0 words behind it; that is no heartbeat"),
            (b"heartbeat 4294967296", "heartbeat is '4294967296'; give 0 to 4294967295"),
            (b"heartbeat 1 2", "heartbeat has 2 words behind it; that is no heartbeat"),
            (b"done now", "done has 1 words behind it; that is no done"),
            (b"resume 12 0", "id is none; give 32 hexadecimal digits"),
            (b"resume " + b"A" * 32 + b" 0", "id is none; give 32 hexadecimal digits"),
            (b"resume " + b"a" * 32 + b" 65536", "next is '65536'; give 0 to 65535"),
            (b"proof " + b"a" * 63, "proof is none; give 64 hexadecimal digits"),
        ]
        for data, text in cases:
            self.assertEqual(str(self.assertRaises(WireError, read_client, data)), text)
        error = self.assertRaises(WireError, read_server, b"rejected never")
        self.assertIn("reason is 'never'; give one of unknown, expired", str(error))

    def test_secrets(self) -> None:
        """Neither key nor proof can be seen in what is logged."""
        key = bytes(range(16))
        for line in (Session("a" * 32, key, 5, 1.0), Proof("b" * 64)):
            self.assertNotIn(key.hex(), repr(line))
            self.assertNotIn("b" * 64, repr(line))
        error = self.assertRaises(WireError, read_server, b"session x %s 5 1" % key.hex().encode())
        self.assertNotIn(key.hex(), str(error))

    def test_proof(self) -> None:
        """It is HMAC-SHA256 over id, nonce and next."""
        expected = hmac.new(b"key", b"id nonce 7", hashlib.sha256).hexdigest()
        self.assertEqual(proof(b"key", "id", "nonce", 7), expected)

    @given(SECONDS)
    def test_seconds(self, seconds: float) -> None:
        """A time is read as it was written, without an exponent."""
        self.assertEqual(float(show_seconds(seconds)), seconds)
        self.assertNotIn("e", show_seconds(seconds))
