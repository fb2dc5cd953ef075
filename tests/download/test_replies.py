"""What is answered over HTTP."""

import errno

from twisted.trial.unittest import SynchronousTestCase

from lab.download.files import Absent, TooMany
from lab.download.memory import MemoryCatalogue
from lab.download.names import WrongName
from lab.download.replies import Reply, answer, busy, failed, is_foreign, name_of, paged, said
from tests.download.sites import BEGAN, DIGITS, WRITTEN


class AnswerTests(SynchronousTestCase):
    """Requests for files."""

    def setUp(self) -> None:
        """Some files."""
        self.files = MemoryCatalogue({"d/in": b"1"})
        self.files.put("digits.txt", DIGITS, WRITTEN)

    def answer(self, name: str = "digits.txt", method: str = "GET", **headers: str) -> Reply:
        """What is answered."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return answer(self.files, name, named, BEGAN, method)

    def test_whole(self) -> None:
        """All of a file, with what is to be known of it."""
        reply = self.answer()
        self.assertEqual((reply.status, reply.length), (200, 10))
        self.assertEqual(reply.body.read(100), DIGITS)
        self.assertEqual(
            reply.headers,
            {
                "ETag": f'"{self.files.open("digits.txt").tag}"',
                "Accept-Ranges": "bytes",
                "Cache-Control": "no-cache",
                "Last-Modified": "Tue, 28 Aug 2001 12:00:00 GMT",
                "Content-Type": "text/plain; charset=utf-8",
                "Content-Security-Policy": "sandbox",
            },
        )

    def test_part(self) -> None:
        """A part, and where it is."""
        reply = self.answer(range="bytes=3-5")
        self.assertEqual((reply.status, reply.length), (206, 3))
        self.assertEqual(reply.headers["Content-Range"], "bytes 3-5/10")
        self.assertEqual(reply.body.read(100), b"345")
        self.assertEqual(self.answer(method="HEAD", range="bytes=3-5").length, 10)

    def test_no_part(self) -> None:
        """One that is not there; how long the file is."""
        reply = self.answer(range="bytes=10-")
        self.assertEqual(reply.status, 416)
        self.assertEqual(reply.headers["Content-Range"], "bytes */10")
        self.assertEqual(reply.body.read(100), b"416 the file has no such part\n")

    def test_conditions(self) -> None:
        """What is known, and what is another file."""
        tag = self.answer().headers["ETag"]
        reply = self.answer(if_none_match=tag)
        self.assertEqual((reply.status, reply.length, reply.body.left), (304, None, 0))
        self.assertEqual(reply.headers["ETag"], tag)
        self.assertNotIn("Content-Type", reply.headers)
        reply = self.answer(if_match='"other"')
        self.assertEqual((reply.status, reply.headers["ETag"]), (412, tag))
        self.assertNotIn("Content-Range", reply.headers)

    def test_directory(self) -> None:
        """A directory is sent for; what is neither is not there."""
        reply = self.answer("d")
        self.assertEqual((reply.status, reply.headers["Location"]), (301, "d/"))
        self.files.put("x/a:b/c", b"")
        self.assertEqual(self.answer("x/a:b").headers["Location"], "a%3Ab/")
        for name in ("nothing", "d/nothing", "digits.txt/in"):
            error = self.assertRaises(Absent, self.answer, name)
            self.assertEqual(str(error), f"there is no file {name!r}")
        self.assertRaises(WrongName, self.answer, "../digits")

    def test_no_date(self) -> None:
        """A time that no header can say is not said."""
        self.files.put("old", b"", -(10**21))
        self.assertNotIn("Last-Modified", self.answer("old").headers)


class WordsTests(SynchronousTestCase):
    """Answers that are a line."""

    def test_errors(self) -> None:
        """Each kind has its status."""
        for error, status in (
            (Absent("no"), 404),
            (WrongName("no"), 404),
            (TooMany("no"), 500),
            (OSError(errno.EIO, "no"), 500),
            (OSError(errno.EMFILE, "no"), 503),
        ):
            self.assertEqual(failed(error).status, status)

    def test_text(self) -> None:
        """It is text, of whatever characters."""
        reply = said(404, "there is no \udcff", {"A": "b"})
        self.assertEqual(reply.body.read(100), b"404 there is no \\udcff\n")
        self.assertEqual(reply.headers, {"Content-Type": "text/plain; charset=utf-8", "A": "b"})
        self.assertEqual(busy("full").headers["Retry-After"], "1")

    def test_page(self) -> None:
        """A page may run nothing."""
        reply = paged(b"page")
        self.assertEqual((reply.status, reply.length), (200, 4))
        self.assertIn("default-src 'none'", reply.headers["Content-Security-Policy"])


class NameTests(SynchronousTestCase):
    """Which file is asked for, and by which name the server."""

    def test_paths(self) -> None:
        """Paths, and whole URLs."""
        for path, name in (
            (b"/", ""),
            (b"/a", "a"),
            (b"/a/b/", "a/b/"),
            (b"//a", "/a"),
            (b"/%2e%2e/a", "../a"),
            (b"/%zz%4", "%zz%4"),
            (b"/%ff", "\udcff"),
            (b"/\xff", "\udcff"),
            (b"/a%00", "a\0"),
            (b"HTTP://host:80/a", "a"),
            (b"https://host", ""),
            (b"*", "*"),
        ):
            self.assertEqual(name_of(path), name, path)

    def test_foreign(self) -> None:
        """On loopback, a name that somebody may have made point here."""
        for host in ("evil.test", "evil.test:80", "localhost.evil.test", "127.0.0.1.evil.test"):
            for here in ("127.0.0.1", "127.3.4.5", "::1", "::ffff:127.0.0.1"):
                self.assertTrue(is_foreign(host, here), host)
        self.assertTrue(is_foreign("[::1", "127.0.0.1"))
        self.assertTrue(is_foreign("127.0.0.1, evil.test", "127.0.0.1"))
        for host in ("127.0.0.1:80", "localhost", "LOCALHOST:8080", "a.localhost", "[::1]:80", ""):
            self.assertFalse(is_foreign(host, "127.0.0.1"), host)
        for here in ("", "192.0.2.1", "2001:db8::1"):
            self.assertFalse(is_foreign("files.test", here))
