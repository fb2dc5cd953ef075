"""The words of the talk, and how they are completed."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.downloading.quoting import split
from lab.commands.downloading.words import HELP, WORDS, Completer, check
from lab.errors import LocalError, NoAnswer
from tests.commands.downloading.scenes import FakeClient
from tests.helpers import folder


class CheckTests(SynchronousTestCase):
    """Which commands can be."""

    def test_right(self) -> None:
        """Each word with as many behind it as it takes."""
        for text in ("ls", "ls *", "get a b c", "mget a", "lcd", "lcd a", "cancel 1", "help ls"):
            check(text.split())

    def test_wrong(self) -> None:
        """Others are said, with what is allowed."""
        for text, said in (
            ("bogus", "command is 'bogus'; give one of ls, get, mget, lcd, "),
            ("LS", "command is 'LS'; give one of "),
            ("get", "get has 0 words behind it; give get NAME..."),
            ("ls a b", "ls has 2 words behind it; give ls [GLOB]"),
            ("jobs 1", "jobs has 1 word behind it; give jobs"),
        ):
            error = str(self.assertRaises(LocalError, check, text.split()))
            self.assertTrue(error.startswith(said), error)

    def test_help(self) -> None:
        """The help has each word, and how it is used."""
        for word in WORDS.values():
            self.assertIn(f"  {word.form} ", HELP)


class CompleterTests(SynchronousTestCase):
    """What a line may go on with."""

    def setUp(self) -> None:
        """Names there and here."""
        self.folder, self.client, self.clock = folder(self), FakeClient(), Clock()
        self.client.names = ("read me", "readme.txt", "other", ".hidden", "a[1]", "it's")
        (self.folder / "sub dir").mkdir()
        (self.folder / "sub dir" / "inner").mkdir()
        (self.folder / "file").touch()
        self.jobs = [3, 12]
        client: Any = self.client
        self.completer = Completer(self.clock, client, lambda: self.folder, lambda: self.jobs)

    def complete(self, text: str) -> list[str]:
        """What is found at once."""
        return self.successResultOf(Deferred.fromCoroutine(self.completer.complete(text)))

    def test_words(self) -> None:
        """A blank stands behind those that take more."""
        self.assertEqual(self.complete("l"), ["ls ", "lcd ", "lpwd", "lls "])
        self.assertEqual(self.complete("ls; st"), ["ls; status"])
        self.assertEqual(self.complete("x"), [])
        self.assertEqual(len(self.complete("")), len(WORDS))

    def test_names(self) -> None:
        """Names of the server, quoted as the line has begun to; hidden ones if it says so."""
        for text, found in (
            ("get re", ["get read\\ me", "get readme.txt"]),
            ("get 're", ["get 'read me'", "get 'readme.txt'"]),
            ("get x read\\ ", ["get x read\\ me"]),
            ("ls oth", ["ls other"]),
            ("mget a", ["mget a\\[1\\]"]),
            ("get a[", ["get a[1\\]"]),
            ('get "it', ['get "it\'s"']),
            ("get .h", ["get .hidden"]),
            ("get zz", []),
            ("get a\\", []),
        ):
            self.assertEqual(self.complete(text), found)
            for line in found:
                self.assertTrue(line.startswith(text))
                self.assertIn(split(line)[0][-1], self.client.names)
        self.assertEqual(len(self.complete("get ")), 5)

    def test_local(self) -> None:
        """Names of the folder, or of one that was begun with; behind lcd folders only."""
        self.assertEqual(self.complete("lls "), ["lls file", "lls sub\\ dir/"])
        self.assertEqual(self.complete("lcd "), ["lcd sub\\ dir/"])
        self.assertEqual(self.complete("lcd 'sub dir/"), ["lcd 'sub dir/inner/'"])
        self.assertEqual(self.complete("lcd none/"), [])
        self.assertEqual(self.complete("lcd ~nobody-of-that-name/"), [])
        self.assertEqual(self.complete(f"lcd {self.folder}/s"), [f"lcd {self.folder}/sub\\ dir/"])

    def test_others(self) -> None:
        """Numbers of jobs, words behind help, nothing where nothing can stand."""
        self.assertEqual(self.complete("cancel "), ["cancel 12", "cancel 3", "cancel all"])
        self.assertEqual(self.complete("help l"), ["help lcd", "help lls", "help lpwd", "help ls"])
        self.assertEqual(self.complete("jobs "), [])
        self.assertEqual(self.complete("bogus "), [])

    def test_many(self) -> None:
        """Of very many only some are shown, which have in common what all have."""
        self.client.names = tuple(f"n{number:04}" for number in range(5000))
        found = self.complete("get ")
        self.assertEqual((len(found), found[0], found[-1]), (200, "get n0000", "get n4999"))

    def test_no_answer(self) -> None:
        """A server that does not tell has no names; nobody waits long for it."""
        self.client.error = NoAnswer("no")
        self.assertEqual(self.complete("get r"), [])
        self.client.slow = True
        found = Deferred.fromCoroutine(self.completer.complete("get r"))
        self.clock.advance(1.9)
        self.assertNoResult(found)
        self.clock.advance(0.2)
        self.assertEqual(self.successResultOf(found), [])
