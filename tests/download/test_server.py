"""The answering side of the download service."""

import errno
import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.core import Broken, FileBody, Finished, Left, Part
from lab.download import wire
from lab.download.answers import AGAIN
from lab.download.digests import Digests, digest
from lab.download.listings import Listing, listing
from lab.download.memory import MemoryCatalogue, MemoryFile
from lab.download.server import LINES, DownloadServerCore, Wanted
from lab.download.settings import ServerSettings
from lab.download.shared import Shared, Transfer
from lab.download.wire import LIMIT, Busy, Get, Hashes, List, Refused, Stat, Working, encode
from lab.testing import Playbook
from tests.download.test_digests import run

FILES = {"a": b"0123456789", "b": b"", "d/c": b"ccc"}


def make(files: MemoryCatalogue | None = None, **words: Any) -> DownloadServerCore:
    """A core for a peer that came at 0 s."""
    shared = Shared(ServerSettings(**words))
    return DownloadServerCore(files or MemoryCatalogue(FILES), 0.0, shared, "peer")


def tag(name: str) -> str:
    """The version of one of the files."""
    return MemoryCatalogue(FILES).open(name).tag


def found(name: str, kind: str = "sha256") -> Digests:
    """What hashing one of the files finds."""
    result: Digests = run(digest(MemoryCatalogue(FILES), name, kind))[1]
    return result


def cut(digests: bytes) -> list[bytes]:
    """One by one."""
    return [digests[start : start + 32] for start in range(0, len(digests), 32)]


class GetTests(SynchronousTestCase):
    """Files are sent."""

    def test_parts(self) -> None:
        """All, or from an offset, or so many bytes; more than there are is all there are."""
        for said, data in (
            ("get a", b"0123456789"),
            ("get a 3", b"3456789"),
            ("get a 3 4", b"3456"),
            ("get a 3 99", b"3456789"),
            ("get a 10", b""),
            ("get a 0 0", b""),
            ("get b", b""),
            ("get d/c 1 1", b"c"),
            (f"get a 9 - {tag('a')}", b"9"),
        ):
            play = Playbook(make()).receives(said.encode())
            play.sends(b"200 %d %s" % (len(data), tag(said[4:].split()[0]).encode()))
            if data:
                play.sends(data)
            play.end()

    def test_refused(self) -> None:
        """What is not there, what is another version now, what is behind the end, what is wrong."""
        core = make()
        play = Playbook(core)
        for said, reply in (
            (b"get x", b"404 there is no file 'x'"),
            (b"get a 11", b"300 offset is 11; give 0 to 10, the size of the file"),
            (b"get a 0 1 " + b"0" * 32, b"409 the tag is %s now" % tag("a").encode()),
            (b"get ../a", b"300 '../a' is no plain path; give one without //, . and .."),
            (b"get", b"300 get has 0 words behind it; give get NAME [OFFSET [LENGTH [TAG]]]"),
            (b"", b"300 request is ''; give one of list, stat, get, hashes, quit"),
        ):
            play.receives(said).sends(reply)
        play.end()
        self.assertEqual((core.shared.counters.refused, core.shared.counters.requests), (6, 6))
        self.assertEqual(core.shared.transfers.taken, 0)

    def test_long_line(self) -> None:
        """It is told off, and that was all."""
        play = Playbook(make()).receives(b"x" * (LIMIT + 1), b"get a")
        play.sends(b"413 the line is too long; give at most 16,384 bytes")
        play.tells(Finished("a line of more than 16,384 bytes")).end()

    def test_quit(self) -> None:
        """Who says quit leaves, and nothing behind it is answered."""
        Playbook(make()).receives(b"quit", b"get a").tells(Left("it said quit")).end()

    def test_in_order(self) -> None:
        """While a file is sent the lines behind it wait."""
        core = make()
        self.assertEqual(core.messages([b"get a", b"get b", b"quit"], 0.0), 1)
        self.assertTrue(core.busy())
        self.assertEqual(core.messages([b"get b", b"quit"], 0.0), 0)
        _, body = core.outgoing()
        self.assertIs(body, core)
        self.assertEqual([core.read(4, 0.0), core.read(9, 0.0)], [b"0123", b"456789"])
        self.assertTrue(core.busy())
        self.assertEqual(core.read(9, 0.0), b"")
        self.assertFalse(core.busy())
        self.assertEqual(core.messages([b"get b", b"quit"], 0.0), 1)

    def test_turns(self) -> None:
        """Of very many lines some are answered in a turn."""
        core = make()
        self.assertEqual(core.messages([b"get x"] * (LINES + 1), 0.0), LINES)

    def test_places(self) -> None:
        """So many files at a time, for one address and for all; what ends makes room."""
        shared = Shared(ServerSettings(transfers=1, total_transfers=2))
        cores = [
            DownloadServerCore(MemoryCatalogue(FILES), 0.0, shared, address) for address in "aabc"
        ]
        said = []
        for core in cores:
            core.message(b"get a", 0.0)
            said.append(core.outgoing()[0])
        self.assertEqual(said[1], encode(Busy(AGAIN, "there are 1 transfers of this address")))
        self.assertEqual(said[3], encode(Busy(AGAIN, "there are 2 transfers in all")))
        self.assertEqual(shared.counters.busy, 2)
        cores[0].close(1.0)
        self.assertEqual(shared.transfers.taken, 1)
        cores[1].message(b"get b", 1.0)
        self.assertEqual(cores[1].outgoing()[1], cores[1])
        self.assertEqual((shared.counters.transfers, shared.counters.sent), (3, 0))
        cores[1].read(1, 1.0)
        self.assertEqual((shared.counters.sent, shared.transfers.taken), (1, 1))

    def test_shorter(self) -> None:
        """A file that has become shorter ends the connection; nothing takes the place of bytes."""
        files = MemoryCatalogue(FILES)
        core = make(files)
        core.message(b"get a", 0.0)
        core.outgoing()
        self.assertEqual(core.read(4, 0.0), b"0123")
        files.write("a", b"01234")
        self.assertEqual([core.read(9, 0.0), core.read(9, 0.0)], [b"4", b""])
        [event] = core.events()
        self.assertEqual(event, Broken("get a can't be read: it is shorter than it was"))
        self.assertEqual((core.shared.counters.broken, core.shared.transfers.taken), (1, 0))
        self.assertEqual((core.messages([b"get b"], 0.0), core.deadline()), (0, None))
        self.assertEqual(core.shared.counters.sent, 0)

    def test_unreadable(self) -> None:
        """So does one that the system can't read."""

        def fail(*_: Any) -> bytes:
            """The disk is broken."""
            raise OSError(errno.EIO, "Input/output error")

        self.patch(MemoryFile, "read", fail)
        core = make()
        core.message(b"get a", 0.0)
        core.outgoing()
        self.assertEqual(core.read(9, 0.0), b"")
        [event] = core.events()
        self.assertEqual(event, Broken("get a can't be read: Input/output error"))

    def test_system(self) -> None:
        """What the system can't open now may be asked for again."""

        def fail(*_: Any) -> MemoryFile:
            """No more descriptors."""
            raise OSError(errno.EMFILE, "Too many open files")

        self.patch(MemoryCatalogue, "open", fail)
        Playbook(make()).receives(b"get a").sends(b"429 1000 Too many open files").end()

    def test_seen(self) -> None:
        """What is on its way can be seen from outside."""
        core = make()
        self.assertEqual((core.doing(), core.transfer(7, 0.0)), ("", None))
        core.message(b"get a 2 6", 5.0)
        core.outgoing()
        core.read(4, 6.0)
        expected = Transfer(7, "a", 10, 2, 6, 4, 4.0, 5.0)
        self.assertEqual((core.doing(), core.transfer(7, 6.0)), ("get a", expected))
        self.assertEqual((core.volume, core.requests), (4, 1))


class NumberedFile:
    """A file that the system would know."""

    def __init__(self, data: bytes) -> None:
        self.size, self.mtime_ns, self.tag, self.data = len(data), 0, "0" * 32, data
        self.closed = False

    def read(self, offset: int, size: int) -> bytes:
        """What is there."""
        return self.data[offset : offset + size]

    def expect(self, offset: int, size: int) -> None:
        """Nothing."""

    def fileno(self) -> int:
        """Its number."""
        return 77

    def close(self) -> None:
        """It was."""
        self.closed = True


class SystemTests(SynchronousTestCase):
    """Files that the system sends by itself."""

    def core(self, **words: Any) -> tuple[DownloadServerCore, NumberedFile]:
        """A core that sends such a file."""
        core, file = make(**words), NumberedFile(b"0123456789")
        self.patch(MemoryCatalogue, "open", lambda *_: file)
        core.message(b"get a 2", 0.0)
        core.outgoing()
        return core, file

    def test_parts(self) -> None:
        """What was sent is not read any more, and the other way round."""
        core, file = self.core()
        self.assertIsInstance(core, FileBody)
        self.assertEqual(core.part(0.0), Part(77, 2, 8))
        core.sent(3, 1.0)
        self.assertEqual(core.part(0.0), Part(77, 5, 5))
        self.assertEqual(core.read(2, 2.0), b"56")
        self.assertEqual(core.part(0.0), Part(77, 7, 3))
        core.sent(3, 3.0)
        self.assertIsNone(core.part(3.0))
        self.assertFalse(file.closed)
        self.assertEqual(core.read(9, 3.0), b"")
        self.assertTrue(file.closed)
        counters = core.shared.counters
        self.assertEqual((counters.system_bytes, counters.read_bytes, counters.sent), (6, 2, 1))
        self.assertEqual((core.volume, core.deadline()), (8, 303.0))

    def test_not(self) -> None:
        """Where there is no number of a file, and behind the end, it has to be read."""
        core = make()
        self.assertIsNone(core.part(0.0))
        core.sent(5, 0.0)
        core.message(b"get a", 0.0)
        self.assertIsNone(core.part(0.0))

    def test_rates(self) -> None:
        """No more than is booked."""
        core, _ = self.core(rate=1.0)
        self.assertEqual(core.part(0.0), Part(77, 2, 8))
        core.sent(5, 0.0)
        self.assertEqual(core.part(0.0), Part(77, 7, 3))
        core.close(0.0)
        core, file = self.core(rate=20_000.0)
        file.data, file.size = bytes(10_000), 10_000
        core.read(9, 0.0)
        core.read(9, 0.0)
        core.message(b"get a", 0.0)
        part = core.part(0.0)
        self.assertEqual(part, Part(77, 0, 2000))
        core.sent(2000, 0.0)
        self.assertIsNone(core.part(0.0))
        self.assertEqual(core.read(9, 0.0), b"")
        self.assertEqual(core.deadline(), core._booking.due)


class WantedTests(SynchronousTestCase):
    """What takes time."""

    def test_list(self) -> None:
        """A list is asked for, and sent."""
        core = make()
        play = Playbook(core).receives(b"list").tells(Wanted(List()))
        self.assertTrue(core.busy())
        self.assertIsNone(core.deadline())
        self.assertEqual(core.doing(), "list")
        made = run(listing(MemoryCatalogue(FILES), "*"))[1]
        play.wait(1000).does(lambda now: core.answer(made, now))
        play.sends(b"200 3").sends(b"10 0 a\n0 0 b\n3 0 d/c\n").end()
        self.assertFalse(core.busy())
        Playbook(make()).receives(b"list %s" % (b"a" * 1025)).sends(
            b"300 the pattern is too long; give at most 1,024 bytes"
        ).end()

    def test_empty_list(self) -> None:
        """There may be nothing in it."""
        core = make()
        play = Playbook(core).receives(b"list x").tells(Wanted(List("x")))
        play.does(lambda now: core.answer(Listing(0, b""), now)).sends(b"200 0").end()
        self.assertFalse(core.busy())

    def test_stat(self) -> None:
        """A status is asked for."""
        core = make()
        play = Playbook(core).receives(b"stat a").tells(Wanted(Stat("a"), tag("a")))
        play.does(lambda now: core.answer(found("a"), now))
        play.sends(encode(found("a").status())).end()

    def test_hashes(self) -> None:
        """Digests are asked for, or known from before."""
        core = make()
        play = Playbook(core).receives(b"hashes a").tells(Wanted(Hashes("a"), tag("a")))
        play.does(lambda now: core.answer(found("a"), now))
        lines = found("a").pieces.hex().encode() + b"\n"
        play.sends(encode(found("a").hashed())).sends(lines)
        core.shared.cache.keep("a", found("a"))
        play.receives(b"stat a").sends(encode(found("a").status()))
        play.receives(b"hashes a").sends(encode(found("a").hashed())).sends(lines).end()

    def test_kinds(self) -> None:
        """The first kind that both know; of one piece, that of the whole file."""
        self.patch(wire, "PIECE", 5)
        for line, kind in (
            (b"hashes a md6 blake3 sha256", "blake3"),
            (b"hashes a md6", "sha256"),
            (b"hashes a", "sha256"),
            (b"stat a", ""),
        ):
            request = wire.read_request(line)
            Playbook(make()).receives(line).tells(Wanted(request, tag("a"), kind))
        self.patch(wire, "PIECE", 10)
        for line in (b"hashes a blake3", b"stat a"):
            request = wire.read_request(line)
            Playbook(make()).receives(line).tells(Wanted(request, tag("a"), "sha256"))

    def test_kinds_kept(self) -> None:
        """Each kind is made for itself; any is enough for a status."""
        self.patch(wire, "PIECE", 5)
        core = make()
        core.shared.cache.keep("a", found("a", "blake3"))
        play = Playbook(core).receives(b"stat a").sends(encode(found("a").status()))
        play.receives(b"hashes a blake3").sends(encode(found("a", "blake3").hashed()))
        play.sends(b"".join(encode(one) + b"\n" for one in cut(found("a", "blake3").pieces)))
        play.receives(b"hashes a").tells(Wanted(Hashes("a"), tag("a")))

    def test_absent(self) -> None:
        """What is not there is not asked for."""
        Playbook(make()).receives(b"stat x").sends(b"404 there is no file 'x'").end()

    def test_refused(self) -> None:
        """What is found may be that it can't be."""
        for reply in (Refused(409, "it changes"), Busy(2.0, "later")):
            core = make()
            play = Playbook(core).receives(b"stat a").tells(Wanted(Stat("a"), tag("a")))
            play.does(lambda now, core=core, reply=reply: core.answer(reply, now))  # type: ignore[misc]
            play.sends(encode(reply)).end()

    def test_news(self) -> None:
        """Once a second it is told how far it is, in the queue as well."""
        core = make()
        play = Playbook(core).receives(b"hashes a").tells(Wanted(Hashes("a"), tag("a")))
        play.wait(1.5).sends(b"102 0 10", 1.0)
        for done in range(1, 10):
            core.progress(Working(done, 10))
        play.silent().wait(1.0).sends(b"102 9 10", 2.0)
        play.does(lambda now: core.answer(Refused(409, "changed"), now)).sends(b"409 changed")
        play.wait(300 - 1e-6).silent()

    def test_too_late(self) -> None:
        """What is found when the peer is gone, or twice, is nobody's."""
        core = make()
        play = Playbook(core).receives(b"stat a").tells(Wanted(Stat("a"), tag("a"))).closes()
        play.does(lambda now: core.answer(found("a"), now)).end()
        self.assertIsNone(core.deadline())


class EndTests(SynchronousTestCase):
    """Peers that do nothing."""

    def test_idle(self) -> None:
        """Who asks nothing is let go; each request is a new beginning."""
        core = make(idle=10.0)
        play = Playbook(core).wait(9).receives(b"get x").sends(b"404 there is no file 'x'")
        play.wait(9.9).silent()
        play.wait(0.2).tells(Finished("nothing was asked or taken for 10 s"), 19.0).end()
        self.assertIsNone(core.deadline())
        self.assertIsNone(make(idle=math.inf).deadline())

    def test_stalled(self) -> None:
        """Who takes nothing is let go as well, and the file is closed."""
        core = make(idle=10.0)
        core.message(b"get a", 0.0)
        core.outgoing()
        core.read(4, 5.0)
        self.assertEqual(core.deadline(), 15.0)
        core.tick(15.0)
        self.assertEqual(core.events(), [Finished("nothing was asked or taken for 10 s")])
        self.assertEqual(core.shared.transfers.taken, 0)

    def test_no_room(self) -> None:
        """A connection too many is told so, and ends."""
        core = make()
        play = Playbook(core).does(lambda now: core.refuse("there are 9 connections in all"))
        play.sends(b"429 1000 there are 9 connections in all")
        play.tells(Finished("there are 9 connections in all")).receives(b"get a").end()
        self.assertEqual(core.shared.counters.busy, 1)


class Reader:
    """
    Someone who takes all that is sent, as soon as it is.

    Args:
        shared: Of the server.
        address: The reader's.
        size: Of the file that is read.
    """

    def __init__(self, shared: Shared, address: str, size: int = 10**9) -> None:
        files: Any = _Zeros(size)
        self.core = DownloadServerCore(files, 0.0, shared, address)
        self.got = 0
        self.core.message(b"get a", 0.0)
        self.take(0.0)

    def take(self, now: float) -> None:
        """All that may be sent now."""
        while any(not isinstance(item, bytes) for item in self.core.outgoing()):
            while data := self.core.read(65_536, now):
                self.got += len(data)


class _Zeros:
    """A file of zeros, as large as may be."""

    mtime_ns, tag = 0, "0" * 32

    def __init__(self, size: int) -> None:
        self.size = size

    def open(self, name: str) -> Any:
        """The same for every name."""
        return self

    def read(self, offset: int, size: int) -> bytes:
        """Zeros."""
        return bytes(min(size, self.size - offset))

    def expect(self, offset: int, size: int) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def play(readers: list[Reader], until: float) -> None:
    """Let time pass, in the order of deadlines."""
    while True:
        due = [(reader.core.deadline(), index) for index, reader in enumerate(readers)]
        now, index = min((when, index) for when, index in due if when is not None)
        if now > until:
            return
        readers[index].core.tick(now)
        readers[index].take(now)


class FairTests(SynchronousTestCase):
    """Rates are kept, and each gets its part."""

    def check(self, addresses: str, *expected: int, **words: float) -> None:
        """Clients of these addresses get so many bytes a second."""
        limits: Any = words
        shared = Shared(ServerSettings(**limits))
        readers = [Reader(shared, address) for address in addresses]
        play(readers, 1.0)
        before = [reader.got for reader in readers]
        play(readers, 11.0)
        for reader, start, rate in zip(readers, before, expected, strict=True):
            self.assertApproximates(reader.got - start, 10 * rate, 0.05 * 10 * rate)

    def test_all(self) -> None:
        """Three clients share what there is for all, in equal parts."""
        self.check("abc", 100_000, 100_000, 100_000, total_rate=300_000.0)

    def test_addresses(self) -> None:
        """One with two connections has no more by that."""
        self.check("aab", 100_000, 100_000, 200_000, total_rate=400_000.0)

    def test_each(self) -> None:
        """The rate of an address is that of all its connections."""
        self.check("aab", 100_000, 100_000, 200_000, rate=200_000.0)

    def test_both(self) -> None:
        """What one may not have others may."""
        self.check("ab", 100_000, 100_000, rate=100_000.0, total_rate=250_000.0)

    def test_many(self) -> None:
        """Of many each has its part, too, however small that is."""
        addresses = "".join(map(chr, range(1000, 1050)))
        self.check(addresses, *[20_000] * 50, total_rate=1_000_000.0)

    def test_late(self) -> None:
        """One that comes later gets its part from then on, and those before have all until then."""
        shared = Shared(ServerSettings(total_rate=200_000.0))
        first = Reader(shared, "a")
        play([first], 5.0)
        second = Reader(shared, "b")
        before = first.got
        self.assertApproximates(before, 5 * 200_000, 0.05 * 10**6)
        second.core._now = 5.0
        play([first, second], 10.0)
        self.assertApproximates(first.got - before, 5 * 100_000, 0.1 * 5 * 10**5)
        self.assertApproximates(second.got, 5 * 100_000, 0.1 * 5 * 10**5)

    @settings(deadline=None, max_examples=20)
    @given(
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 10**6)), min_size=1, max_size=8),
        st.integers(10**4, 10**7),
    )
    def test_ends(self, transfers: list[tuple[str, int]], rate: int) -> None:
        """Whatever is asked for, the rate is kept, and all is sent in the time that it takes."""
        shared = Shared(ServerSettings(total_rate=float(rate), idle=10**6))
        readers = [Reader(shared, address, size) for address, size in transfers]
        total = sum(size for _, size in transfers)
        shares = len(readers) * max(1024, rate * 0.1)
        self.assertLessEqual(sum(reader.got for reader in readers), rate * 0.1 + shares)
        play(readers, (total + shares) / rate + 0.1)
        self.assertEqual([reader.got for reader in readers], [size for _, size in transfers])


class AnyTests(SynchronousTestCase):
    """Whatever comes."""

    @settings(deadline=None)
    @given(
        st.lists(
            st.sampled_from(
                [
                    b"get a",
                    b"get a 5 2",
                    b"get b",
                    b"list",
                    b"stat a",
                    b"hashes a",
                    b"get x",
                    b"\xff",
                ]
            )
            | st.binary(max_size=20),
            max_size=12,
        ),
        st.integers(1, 20),
    )
    def test_one_reply_each(self, lines: list[bytes], size: int) -> None:
        """Each line has one reply, in order, however it is pulled and batched."""
        files, core = MemoryCatalogue(FILES), make()
        left, replies = list(lines), 0
        while left or core.busy():
            taken = core.messages(left[:size], 0.0) if left else 0
            del left[:taken]
            for event in core.events():
                if isinstance(event, Left):
                    return
                assert isinstance(event, Wanted)
                request = event.request
                steps: Any = (
                    listing(files, request.glob)
                    if isinstance(request, List)
                    else digest(files, request.name)
                )
                core.answer(run(steps)[1], 0.0)
            for item in core.outgoing():
                if isinstance(item, bytes):
                    replies += 1
                    continue
                while item.read(size, 0.0):
                    pass
        self.assertEqual(replies, len(lines))
        self.assertEqual(core.shared.transfers.taken, 0)


class GetLineTests(SynchronousTestCase):
    """Requests as the wire has them."""

    def test_encoded(self) -> None:
        """A name that has to be encoded is one name."""
        core = make(MemoryCatalogue({"a b\n": b"1"}))
        play = Playbook(core).receives(encode(Get("a b\n", 1)))
        version = MemoryCatalogue({"a b\n": b""}).open("a b\n").tag.encode()
        play.sends(b"200 0 " + version).end()
