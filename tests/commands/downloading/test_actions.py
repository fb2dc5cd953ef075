"""What the words of the talk do."""

import json
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.conversation.aside import Aside
from lab.commands.downloading.actions import Actions
from lab.commands.downloading.fetching import Downloads
from lab.commands.downloading.words import HELP
from lab.download.outcomes import Progress, Rejected, SourceProgress, State
from lab.errors import LabError, LocalError, NoAnswer
from tests.commands.downloading.scenes import FakeClient
from tests.helpers import folder


class ActionsCase(SynchronousTestCase):
    """Words, and what comes of them."""

    person = False

    def setUp(self) -> None:
        """A server with some names."""
        self.folder, self.client, self.clock = folder(self).resolve(), FakeClient(), Clock()
        self.client.names = ("a", "b c", ".hidden", "x\n")
        self.said: list[str] = []
        self.aside = Aside(self.said.append)
        self.begin()

    def begin(self, *, as_json: bool = False) -> None:
        """Make them."""
        client: Any = self.client
        self.actions = Actions(
            self.clock,
            client,
            Downloads(client, 3),
            ["tcp:a:1", "tcp:b:1"],
            self.folder,
            self.aside if self.person else None,
            as_json,
        )
        self.addCleanup(self.actions.jobs.cancel, "all")

    def do(self, *words: str) -> Deferred[str | None]:
        """Carry out a command."""
        return Deferred.fromCoroutine(self.actions.carry_out(words))

    def says(self, *words: str) -> str:
        """What it prints."""
        return self.successResultOf(self.do(*words)) or ""

    def fails(self, kind: type[LabError], *words: str) -> str:
        """What it says if it fails."""
        return str(self.failureResultOf(self.do(*words), kind).value)


class ListTests(ActionsCase):
    """What is there, and what is here."""

    def test_ls(self) -> None:
        """Names of the server, without hidden ones unless somebody asks."""
        row = "7  1970-01-01T00:00:00Z  "
        self.assertEqual(self.says("ls"), f"{row}a\n{row}b c\n{row}x\\n")
        self.assertEqual(self.says("ls", "b*"), f"{row}b c")
        self.assertEqual(self.says("ls", ".*"), f"{row}.hidden")
        self.assertEqual(self.says("ls", "z"), "")

    def test_ls_json(self) -> None:
        """An object each."""
        self.begin(as_json=True)
        found = [json.loads(line)["name"] for line in self.says("ls").splitlines()]
        self.assertEqual(found, ["a", "b c", "x\n"])

    def test_no_answer(self) -> None:
        """What goes wrong comes out of it."""
        self.client.error = NoAnswer("no answer")
        self.assertEqual(self.fails(NoAnswer, "ls"), "no answer")

    def test_folders(self) -> None:
        """Where files go, and what is there."""
        (self.folder / "sub").mkdir()
        (self.folder / "sub" / "f").write_bytes(b"123")
        self.assertEqual(self.says("lpwd"), str(self.folder))
        self.assertTrue(self.says("lls").endswith("  sub/"))
        self.assertTrue(self.says("lls", "sub/").endswith("  f"))
        self.assertTrue(self.says("lls", f"{self.folder}/sub/f*").endswith("  f"))
        self.assertIn("  etc/", self.says("lls", "/e*"))
        self.assertEqual(self.says("lls", "none"), "")
        self.assertEqual(self.says("lcd", "sub"), str(self.folder / "sub"))
        self.assertEqual(self.says("lcd", ".."), str(self.folder))
        self.assertEqual(self.says("lcd"), str(Path.home().resolve()))
        error = self.fails(LocalError, "lcd", "/none")
        self.assertEqual(error, "folder is '/none'; there is no such folder")

    def test_folder_json(self) -> None:
        """The same for programs."""
        self.begin(as_json=True)
        told = json.loads(self.says("lpwd"))
        self.assertEqual(told, {"event": "folder", "path": str(self.folder)})

    def test_help(self) -> None:
        """All words, or one."""
        self.assertEqual(self.says("help"), HELP)
        self.assertEqual(self.says("help", "ls"), "ls [GLOB]: the files of the server")
        error = self.fails(LocalError, "help", "x")
        self.assertTrue(error.startswith("word is 'x'; give one of ls, "))


class WaitingTests(ActionsCase):
    """Downloads without a person: each is waited for."""

    def test_get(self) -> None:
        """Each name once, into the folder of the moment."""
        (self.folder / "sub").mkdir()
        self.says("lcd", "sub")
        done = self.do("get", "a", "b c", "a")
        self.assertEqual(self.client.order, ["a", "b c"])
        self.assertEqual(self.client.gots["a"].target, self.folder / "sub" / "a")
        self.assertNoResult(done)
        self.client.gots["a"].comes()
        self.client.gots["b c"].comes()
        self.assertIsNone(self.successResultOf(done))
        assert self.actions.batch is not None
        self.assertEqual((self.actions.code, self.actions.batch.whole), (0, 2))

    def test_codes(self) -> None:
        """The first that failed counts."""
        for name, error in (("a", Rejected("no")), ("b c", NoAnswer("no"))):
            done = self.do("get", name)
            self.client.gots[name].done.errback(error)
            self.successResultOf(done)
        self.assertEqual(self.actions.code, 3)

    def test_mget(self) -> None:
        """What matches one of the patterns, once."""
        self.do("mget", "a*", "*")
        self.assertEqual(self.client.order, ["a", "b c", "x\n"])

    def test_mget_nothing(self) -> None:
        """A pattern of nothing is an error, and then nothing is downloaded."""
        error = self.fails(Rejected, "mget", "a", "z*")
        self.assertEqual(error, "no file there is called 'z*'; see ls")
        self.assertEqual(self.client.order, [])

    def test_nothing_goes_on(self) -> None:
        """There are no jobs."""
        self.assertEqual(self.says("jobs"), "nothing goes on")
        expected = f"to        {self.folder}\nserver    tcp:a:1\nserver    tcp:b:1\n"
        self.assertEqual(self.says("status"), expected + "download  nothing goes on")
        self.assertIn("there is no job", self.fails(LocalError, "cancel", "1"))

    def test_json(self) -> None:
        """The same for programs."""
        self.begin(as_json=True)
        self.assertEqual(json.loads(self.says("jobs")), {"event": "jobs", "rows": []})
        self.assertEqual(json.loads(self.says("status"))["rows"][0], ["to", str(self.folder)])
        self.assertEqual(json.loads(self.says("help")), {"event": "help", "says": HELP})


class PersonTests(ActionsCase):
    """Downloads go on while a person types."""

    person = True

    def test_jobs(self) -> None:
        """They have numbers, are shown, and say how they end."""
        self.assertEqual(self.says("get", "a", "b c"), "")
        self.says("mget", "x*")
        source = SourceProgress("tcp:a:1", State.BUSY, 50, 1, 10.0)
        self.client.gots["x\n"].watch(Progress(100, 50, rate=10.0, eta=5.0, sources=(source,)))
        first, second = self.says("jobs").splitlines()
        said = "1  get a 'b c': 0 of 2 files, 0 of 0 bytes (0 %); a 0 %, b c 0 %"
        self.assertEqual(first, said)
        self.assertEqual(
            second, "2  mget 'x*': x\\n: 50 of 100 bytes (50 %), 10 bytes/s, 0:05 left"
        )
        status = self.says("status").splitlines()
        self.assertEqual(status[1], "server    tcp:a:1 busy, 50 bytes, 1 pieces, 10 bytes/s")
        self.assertEqual(status[2], "server    tcp:b:1")
        self.assertEqual(status[3:], [f"download  {first}", f"download  {second}"])
        self.client.gots["a"].comes()
        self.assertTrue(self.said[-1].startswith("a: 100 bytes in "))
        self.says("cancel", "2")
        self.assertIn("x\\n was stopped; 50 of 100 bytes are here", self.said[-1])
        self.assertEqual(list(self.actions.jobs.running), [1])
