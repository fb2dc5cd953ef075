"""The talk: lines, what is wrong with them, and the end."""

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.conversation.aside import Aside
from lab.commands.downloading.actions import Actions
from lab.commands.downloading.fetching import Downloads
from lab.commands.downloading.talk import Talk
from lab.commands.downloading.words import Completer
from lab.download.outcomes import Progress, Rejected
from lab.errors import LabError, LocalError, NoAnswer
from tests.commands.downloading.scenes import FakeClient
from tests.helpers import folder

ROW = "7  1970-01-01T00:00:00Z  "


class TalkCase(SynchronousTestCase):
    """Lines, and what comes of them."""

    person = False
    as_json = False

    def setUp(self) -> None:
        """A server with some names."""
        self.client, self.clock = FakeClient(("a", "b")), Clock()
        self.said: list[str] = []
        self.complained: list[str] = []
        self.aside = Aside(self.said.append)
        client: Any = self.client
        aside = self.aside if self.person else None
        place = folder(self)
        downloads = Downloads(client, 3)
        actions = Actions(self.clock, client, downloads, ["x"], place, aside, self.as_json)
        completer = Completer(self.clock, client, lambda: place, list)
        complain = self.complained.append
        self.talk = Talk(actions, completer, self.aside, complain, self.as_json)
        self.addCleanup(actions.jobs.cancel, "all")

    def line(self, text: str) -> Deferred[str | None]:
        """A line."""
        return Deferred.fromCoroutine(self.talk.line(text))

    def says(self, text: str) -> str | None:
        """What is printed at once."""
        return self.successResultOf(self.line(text))

    def fails(self, kind: type[LabError], text: str) -> str:
        """What it fails with."""
        return str(self.failureResultOf(self.line(text), kind).value)


class LineTests(TalkCase):
    """A pipe, or the command line."""

    def test_one(self) -> None:
        """What a command has to say is the answer."""
        self.assertEqual(self.says("ls a"), f"{ROW}a")
        self.assertEqual((self.said, self.talk.code), ([], 0))

    def test_several(self) -> None:
        """Those before the last say it at once, and each waits for the one before."""
        done = self.line("ls a; get 'a'; ls b")
        self.assertEqual((self.said, self.client.order), ([f"{ROW}a"], ["a"]))
        self.assertNoResult(done)
        self.client.gots["a"].comes()
        self.assertEqual(self.successResultOf(done), f"{ROW}b")

    def test_blank(self) -> None:
        """A line without a command is none."""
        self.assertIsNone(self.says(" ; "))

    def test_mistakes(self) -> None:
        """One command that fails is the error of the line."""
        self.assertTrue(self.fails(LocalError, "bogus").startswith("command is 'bogus'; "))
        self.assertEqual(self.talk.code, 2)
        self.assertIn("no closing quotation", self.fails(LocalError, "get 'a"))
        self.assertIn("give get NAME...", self.fails(LocalError, "get"))
        self.assertEqual(self.complained, [])

    def test_mistakes_among_others(self) -> None:
        """One of several that fails is said, the others are carried out, the first counts."""
        self.client.error = NoAnswer("no \x1b answer")
        self.assertIsNone(self.says("ls; bogus; jobs; mget z"))
        self.assertEqual(self.complained[0], "no \\x1b answer")
        self.assertTrue(self.complained[1].startswith("command is 'bogus'; "))
        self.assertEqual((self.said, self.talk.code), (["nothing goes on"], 5))

    def test_codes(self) -> None:
        """Whatever fails first counts, be it a file or a word."""
        done = self.line("get a; bogus")
        self.client.gots["a"].done.errback(Rejected("no"))
        self.successResultOf(done)
        self.assertEqual(self.talk.code, 3)
        self.talk.note(4)
        self.assertEqual(self.talk.code, 3)

    def test_quit(self) -> None:
        """Behind it nothing is carried out any more, in this line or another."""
        self.assertIsNone(self.says("quit; ls; bogus"))
        self.assertTrue(self.aside.over)
        self.assertIsNone(self.says("get a"))
        self.assertEqual((self.client.order, self.said, self.talk.code), ([], [], 0))

    def test_complete(self) -> None:
        """What is typed is completed."""
        found = self.successResultOf(Deferred.fromCoroutine(self.talk.complete("lp")))
        self.assertEqual(found, ["lpwd"])


class JsonTests(TalkCase):
    """For programs."""

    as_json = True

    def test_errors(self) -> None:
        """Each is an object with its code, and none is raised."""
        self.client.error = NoAnswer("no")
        told = json.loads(self.says("ls 'x y'") or "")
        expected = {"event": "failed", "command": "ls 'x y'", "error": "no", "code": 5}
        self.assertEqual(told, expected)
        self.assertEqual(json.loads(self.says("get 'a") or "")["code"], 2)
        self.says("bogus; jobs")
        self.assertEqual(json.loads(self.said[0])["command"], "bogus")
        self.assertEqual((self.complained, self.talk.code), ([], 5))


class PersonTests(TalkCase):
    """A terminal."""

    person = True

    def test_prompt(self) -> None:
        """It says how far downloads are."""
        self.assertEqual(self.talk.prompt, "download> ")
        self.says("get a")
        self.assertEqual(self.talk.prompt, "download (1 job)> ")
        self.client.gots["a"].watch(Progress(100, 25))
        self.assertEqual(self.talk.prompt, "download (1 job, 25 %)> ")
        self.client.gots["a"].comes()
        self.assertEqual(self.talk.prompt, "download> ")

    def test_leaving(self) -> None:
        """What goes on keeps a person who wants to end, once; another word, and he is kept anew."""
        self.assertEqual(self.aside.leaving(), "")
        self.says("get a")
        said = self.aside.leaving()
        self.assertTrue(said.startswith("1 download goes on; once more to stop: "), said)
        self.assertEqual(self.aside.leaving(), "")
        self.says("get b")
        self.assertTrue(self.aside.leaving().startswith("2 downloads go on; "))
        self.assertEqual(self.aside.leaving(), "")

    def test_quit_in_a_line(self) -> None:
        """It is the same behind other words."""
        self.assertTrue((self.says("get a; quit") or "").startswith("1 download goes on"))
        self.assertFalse(self.aside.over)
        self.assertEqual(self.says("exit"), "")
        self.assertTrue(self.aside.over)
