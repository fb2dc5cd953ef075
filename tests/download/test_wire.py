"""The lines of the download service."""

import hashlib
import os
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.download.wire import (
    CHOICE,
    CODES,
    ENTRIES,
    LARGEST,
    LIMIT,
    PIECES,
    Busy,
    Content,
    Entries,
    Entry,
    Get,
    Hashed,
    Hashes,
    List,
    Quit,
    Refused,
    Stat,
    Status,
    WireError,
    Working,
    count_pieces,
    encode,
    piece_size,
    read_digest,
    read_entry,
    read_reply,
    read_request,
    tag,
)
from tests.helpers import folder

NAMES = st.binary(min_size=1, max_size=60).map(os.fsdecode)
SIZES = st.integers(0, LARGEST)
TIMES = st.integers(-(10**28) + 1, 10**28 - 1)
TAGS = st.binary(min_size=16, max_size=16).map(bytes.hex)
DIGESTS = st.binary(min_size=32, max_size=32)
TEXTS = st.text(st.characters(exclude_categories=["C", "Z"]))
KINDS = st.from_regex("[a-z0-9]{1,16}", fullmatch=True)
REQUESTS = st.one_of(
    st.builds(List, NAMES),
    st.builds(Stat, NAMES),
    st.builds(Get, NAMES, SIZES | st.just(0), st.none() | SIZES, TAGS | st.just("")),
    st.builds(Hashes, NAMES, st.lists(KINDS, max_size=CHOICE).map(tuple)),
    st.just(Quit()),
)


def hashed(size: int, tag: str, kind: str) -> Hashed:
    """As a server has to say it."""
    piece = piece_size(size)
    return Hashed(size, tag, piece, count_pieces(size, piece), kind)


#: One who knows two kinds besides SHA-256.
HASHES = Hashes("a", ("blake3", "k12"))


REFUSALS = st.one_of(
    st.builds(Refused, st.sampled_from(CODES), TEXTS),
    st.builds(Busy, st.integers(0, 10**9).map(lambda ms: ms / 1000), TEXTS),
)
WORKING = st.tuples(SIZES, SIZES).map(lambda sizes: Working(min(sizes), max(sizes)))
STATUS = st.builds(Status, SIZES, TIMES, TAGS, DIGESTS.map(bytes.hex))
REPLIES = st.one_of(
    st.tuples(st.just(List()), st.builds(Entries, st.integers(0, ENTRIES)) | REFUSALS),
    st.tuples(st.just(Stat("a")), STATUS | WORKING | REFUSALS),
    st.tuples(st.just(Get("a")), st.builds(Content, SIZES, TAGS) | REFUSALS),
    st.tuples(
        st.just(HASHES),
        st.builds(hashed, SIZES, TAGS, st.sampled_from(["sha256", *HASHES.kinds]))
        | WORKING
        | REFUSALS,
    ),
)


class LineTests(SynchronousTestCase):
    """What is written is read again."""

    @given(REQUESTS)
    def test_requests(self, request: Any) -> None:
        """All that a client says."""
        self.assertEqual(read_request(encode(request)), request)

    @given(REPLIES)
    def test_replies(self, both: tuple[Any, Any]) -> None:
        """All that a server says."""
        request, reply = both
        self.assertEqual(read_reply(encode(reply), request), reply)

    @given(st.builds(Entry, SIZES, TIMES, NAMES), DIGESTS)
    def test_what_follows(self, entry: Entry, digest: bytes) -> None:
        """The lines behind a reply."""
        self.assertEqual(read_entry(encode(entry)), entry)
        self.assertEqual(read_digest(encode(digest)), digest)

    @given(st.binary() | st.text().map(str.encode), REPLIES)
    @example(b"200", (List(), None))
    @example(b"429 ", (List(), None))
    def test_anything(self, data: bytes, both: tuple[Any, Any]) -> None:
        """Whatever comes is a line, or is refused in one line of text."""
        for read in (read_request, read_entry, read_digest, lambda d: read_reply(d, both[0])):
            try:
                read(data)
            except WireError as error:
                self.assertEqual(len(str(error).splitlines()), 1)
                self.assertLess(len(str(error)), 500)

    def test_hashed(self) -> None:
        """The numbers of pieces are those that follow from the size."""
        reply = Hashed(2**20 + 1, "a" * 32, 2**20, 2)
        self.assertEqual(read_reply(encode(reply), Hashes("a")), reply)
        reply = Hashed(0, "a" * 32, 2**20, 0)
        self.assertEqual(read_reply(encode(reply), Hashes("a")), reply)

    def test_kinds(self) -> None:
        """A list is of SHA-256, or of a kind that was asked for; of the first nothing is said."""
        plain = b"200 1 " + b"a" * 32 + b" 1048576 1"
        for request in (Hashes("a"), HASHES):
            reply = read_reply(plain, request)
            self.assertEqual(reply, Hashed(1, "a" * 32, 2**20, 1, "sha256"))
            self.assertEqual(encode(reply), plain)
        self.assertEqual(encode(HASHES), b"hashes a blake3 k12")
        self.assertEqual(read_reply(plain + b" k12", HASHES), hashed(1, "a" * 32, "k12"))
        error = self.assertRaises(WireError, read_reply, plain + b" md5", HASHES)
        self.assertEqual(
            str(error), "digests of the kind 'md5' came, and nobody has asked for them"
        )

    def test_few_words(self) -> None:
        """What is usual is left out."""
        for request, line in (
            (List(), b"list"),
            (List("*.iso"), b"list *.iso"),
            (Get("a"), b"get a"),
            (Get("a", 0, 5), b"get a 0 5"),
            (Get("a", 5), b"get a 5"),
            (Get("a", 0, None, "0" * 32), b"get a 0 - " + b"0" * 32),
        ):
            self.assertEqual(encode(request), line)

    def test_requests_refused(self) -> None:
        """Every mistake has its words."""
        cases = [
            (b"", "request is ''; give one of list, stat, get, hashes, quit"),
            (b"LIST", "request is 'LIST'; give one of list, stat, get, hashes, quit"),
            (b"stat", "stat has 0 words behind it; give stat NAME"),
            (b"stat a b", "stat has 2 words behind it; give stat NAME"),
            (b"hashes", "hashes has 0 words behind it; give hashes NAME [KIND...]"),
            (b"hashes a" + b" b" * 9, "hashes has 10 words behind it; give hashes NAME [KIND...]"),
            (b"hashes a ", "kind is ''; give 1 to 16 of a-z and 0-9"),
            (b"hashes a B", "kind is 'B'; give 1 to 16 of a-z and 0-9"),
            (b"hashes a " + b"b" * 17, "kind is 'bbbbbbbbbbbbbbbbb'; give 1 to 16 of a-z and 0-9"),
            (b"quit 1", "quit has 1 words behind it; give quit"),
            (b"get a 1 2 3 4", "get has 5 words behind it; give get NAME [OFFSET [LENGTH [TAG]]]"),
            (b"get a x", "offset is 'x'; give 0 to 9223372036854775807"),
            (b"get a -", "offset is '-'; give 0 to 9223372036854775807"),
            (b"get a 01", "offset is '01'; give 0 to 9223372036854775807"),
            (b"get a 0 9223372036854775808", "length is '9223372036854775808'; give 0 to %d"),
            (b"get a 0 1 A", "tag is 'A'; give 32 digits of 0-9 and a-f"),
            (b"get a 0 1 " + b"A" * 32, f"tag is '{'A' * 20}'; give 32 digits of 0-9 and a-f"),
            (b"get a 0 1 ", "tag is ''; give 32 digits of 0-9 and a-f"),
            (b"stat a*", "'a*' is no name; give one that is percent-encoded, as a%20b"),
            (b"stat ", "'' is no name; give one that is percent-encoded, as a%20b"),
            (b"list ", "'' is no name; give one that is percent-encoded, as a%20b"),
            (b"stat \xff\n", r"'stat \xff\n' is not ASCII; percent-encode names"),
            (b"x" * (LIMIT + 1), "the line is too long; give at most 16,384 bytes"),
        ]
        for line, text in cases:
            error = self.assertRaises(WireError, read_request, line)
            self.assertEqual(str(error), text.replace("%d", str(LARGEST)), line)

    def test_replies_refused(self) -> None:
        """A reply has to be one to what was asked."""
        digest = "a" * 64
        for line, request in (
            (b"", List()),
            (b"200", List()),
            (b"200 1 2", List()),
            (b"200 100001", List()),
            (b"200 -1", List()),
            (b"102 1 2", List()),
            (b"102 1 2", Get("a")),
            (b"102 3 2", Stat("a")),
            (b"102 1", Stat("a")),
            (b"200 1", Quit()),
            (b"201 1", List()),
            (b"404", List()),
            (b"410 gone", List()),
            (b"429 x later", List()),
            (b"429 \xff later", List()),
            (b"200 1 01 %s %s" % (b"a" * 32, digest.encode()), Stat("a")),
            (b"200 1 1 %s %s" % (b"a" * 32, digest[1:].encode()), Stat("a")),
            (b"200 1 %s" % (b"g" * 32), Get("a")),
            (b"200 1 %s 1048576 2" % (b"a" * 32), Hashes("a")),
            (b"200 1 %s 1 1" % (b"a" * 32), Hashes("a")),
            (b"200 1 %s 1048576 1 blake3" % (b"a" * 32), Hashes("a")),
            (b"200 1 %s 1048576 1 Blake3" % (b"a" * 32), HASHES),
            (b"200 1 %s 1048576 1 blake3 k12" % (b"a" * 32), HASHES),
            (b"200 %d %s 1048576 65537" % (2**36 + 1, b"a" * 32), Hashes("a")),
        ):
            self.assertRaises(WireError, read_reply, line, request)
        error = self.assertRaises(WireError, read_reply, b"200 x y z", Get("a"))
        self.assertEqual(str(error), "'200 x y z' is no reply to get")
        error = self.assertRaises(
            WireError, read_reply, b"200 9 " + b"0" * 32 + b" 3 3", Hashes("a")
        )
        self.assertEqual(str(error), "3 pieces of 3 bytes are not 9 bytes; give pieces of 1048576")
        for line in (b"", b"1 2", b"1 2 a b", b"x 2 a", b"1 02 a", b"1 -0 a", b"1 2 *"):
            self.assertRaises(WireError, read_entry, line)
        for line in (b"", b"a" * 63, b"A" * 64, b"a" * 64 + b" ", b"a" * 65):
            self.assertRaises(WireError, read_digest, line)

    def test_text_for_people(self) -> None:
        """What a server says moves no cursor and rings no bell, and is not longer than a line."""
        reply = read_reply(b"404 \x1b[2Jgone\x07\xff" + b"x" * (2 * LIMIT), List())
        assert isinstance(reply, Refused)
        self.assertEqual(reply.text[:12], "\ufffd[2Jgone\ufffd\ufffdxx")
        self.assertEqual(len(reply.text), LIMIT)

    def test_waits(self) -> None:
        """A part of a millisecond is a whole one: nobody comes too early."""
        self.assertEqual(encode(Busy(0.0001, "later")), b"429 1 later")
        self.assertEqual(read_reply(b"429 1500", List()), Busy(1.5, ""))

    def test_longest_name(self) -> None:
        """A name of 4,096 bytes fits, whatever bytes they are."""
        request = Get(os.fsdecode(b"\xff" * 4096), LARGEST, LARGEST, "a" * 32)
        self.assertEqual(read_request(encode(request)), request)
        entry = Entry(LARGEST, -(10**28) + 1, request.name)
        self.assertEqual(read_entry(encode(entry)), entry)


class PieceTests(SynchronousTestCase):
    """How a file is cut."""

    @given(SIZES)
    def test_bounded(self, size: int) -> None:
        """There are never too many pieces, and none more than it takes."""
        piece = piece_size(size)
        count = count_pieces(size, piece)
        self.assertLessEqual(count, PIECES)
        self.assertTrue(count * piece >= size > (count - 1) * piece or size == count == 0)
        self.assertTrue(piece == 2**20 or count_pieces(size, piece // 2) > PIECES)


class TagTests(SynchronousTestCase):
    """What names a version."""

    def test_of_a_file(self) -> None:
        """It is the same as long as the file is, and another as soon as something is."""
        path = folder(self) / "a"
        path.write_bytes(b"123")
        found = path.stat()
        facts = f"{found.st_dev} {found.st_ino} 3 {found.st_mtime_ns} {found.st_ctime_ns}".encode()
        self.assertEqual(tag(found), hashlib.sha256(facts).hexdigest()[:32])
        self.assertEqual(tag(path.stat()), tag(found))
        os.utime(path, ns=(1, 1))
        self.assertNotEqual(tag(path.stat()), tag(found))
