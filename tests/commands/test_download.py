"""``lab download``: what it is told, where files go, how it ends."""

import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lab.commands import download
from lab.commands.conversation.aside import Aside
from lab.commands.conversation.pipe import OUTPUT_CLOSED
from lab.commands.download import Wanted, choose
from lab.commands.downloading.talk import Talk
from lab.errors import LabError, LocalError, NoAnswer
from lab.faults.datagrams import Bandwidth
from lab.faults.fault import Fault
from lab.simulator.network import Network
from tests.commands.downloading.scenes import DownloadCommandCase, serve
from tests.download.servers import Shelf
from tests.helpers import folder

TCP = "tcp:server:80"
#: In bytes/s; `BIG` takes five seconds.
SPEED = 3 * 2**20 // 5
BIG = bytes(range(256)) * 4096 * 3


class DownloadCase(DownloadCommandCase):
    """Calls it."""

    module = download

    def get(self, *words: str) -> Any:
        """Call it, with everything into a folder that is empty before the test."""
        return self.call(TCP, "--to", str(self.folder), *words)

    def slow(self, net: Network) -> None:
        """A server that takes five seconds for `BIG`."""
        self.shelf.files["big"] = BIG
        serve(net, "server", self.shelf)
        net.link("server", "client", Fault(Bandwidth(SPEED), "rate"))


class NamesTests(DownloadCase):
    """Files by their names."""

    def test_whole(self) -> None:
        """They are in the folder, and a line says so of each."""
        done = self.get("a", "b c", "a")
        self.assertEqual((done.exit_code, done.stderr), (0, ""))
        self.assertEqual(self.there(), {"a": b"a" * 100, "b c": b"b" * 200})
        lines = sorted(done.stdout.splitlines())
        digest = sha256(b"a" * 100).hexdigest()
        said = r"^a: 100 bytes in .*s, .*/s; 100 from tcp:server:80; SHA-256 \w+, computed here$"
        self.assertRegex(lines[0], said)
        self.assertIn(digest, lines[0])
        self.assertTrue(lines[1].startswith("b c: 200 bytes in "))
        self.assertEqual(len(lines), 2)

    def test_again(self) -> None:
        """What is here already is not asked for again."""
        self.get("a")
        self.shelf.served = 0
        done = self.get("a")
        self.assertEqual((done.exit_code, self.shelf.served), (0, 0))
        self.assertIn("; 100 were here already; ", done.stdout)

    def test_refused(self) -> None:
        """What the server does not have is a line, and 3; the others come."""
        done = self.get("none", "a")
        self.assertEqual((done.exit_code, list(self.there())), (3, ["a"]))
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertTrue(done.stderr.startswith("none: tcp:server:80: "), done.stderr)
        self.assertIn("there is no such file", done.stderr)

    def test_sha256(self) -> None:
        """Another file than the one that is wanted does not come: 4."""
        digest = sha256(b"a" * 100).hexdigest()
        done = self.get("a", "--sha256", digest.upper())
        self.assertEqual((done.exit_code, list(self.there())), (0, ["a"]))
        done = self.get("b c", "--sha256", digest)
        self.assertEqual((done.exit_code, list(self.there())), (4, ["a"]))

    def test_nobody(self) -> None:
        """Nobody listens: 3."""
        done = self.call("tcp:server:81", "--to", str(self.folder), "--timeout", "1", "a")
        self.assertEqual((done.exit_code, done.stderr.count("\n")), (3, 1))

    def test_silent(self) -> None:
        """Nobody says anything: 5."""
        self.shelf.hears = lambda request: b""
        done = self.get("--timeout", "1", "a")
        self.assertEqual((done.exit_code, done.stderr.count("\n")), (5, 1))

    def test_lying(self) -> None:
        """What is not in the list of its own: 4, and nothing is here."""
        self.shelf.lies[0] = b"x" * 100
        done = self.get("a")
        self.assertEqual(done.exit_code, 4)
        self.assertNotIn("a", self.there())
        self.assertIn("tcp:server:80", done.stderr)

    def test_no_clobber(self) -> None:
        """What is there is kept."""
        (self.folder / "a").write_bytes(b"mine")
        done = self.get("a", "--no-clobber")
        said = f"a: {self.folder / 'a'} is there, and is kept\n"
        self.assertEqual((done.exit_code, done.output), (0, said))
        self.assertEqual(self.there(), {"a": b"mine"})
        self.get("a")
        self.assertEqual(self.there(), {"a": b"a" * 100})

    def test_limit_rate(self) -> None:
        """It takes as long as it was told to."""
        self.shelf.files["big"] = BIG
        done = self.get("big", "--limit-rate", str(SPEED), "--json")
        ended = json.loads(done.stdout.splitlines()[-1])
        self.assertApproximates(ended["seconds"], 5.0, 1.0)

    def test_many_servers(self) -> None:
        """All that are named give something, or those of a list; a liar is named."""
        shelves = {name: Shelf({"big": BIG}, salt=name) for name in ("one", "two", "liar")}
        shelves["liar"].lies = {at * 2**20: b"x" * 2**20 for at in range(3)}

        def prepare(net: Network) -> None:
            """Three servers."""
            for name, shelf in shelves.items():
                serve(net, name, shelf)
                net.link(name, "client", Fault(Bandwidth(SPEED), "rate"))

        self.prepare = prepare
        places = [f"tcp:{name}:80" for name in shelves]
        done = self.call(*places, "--to", str(self.folder), "--", "big")
        self.assertEqual((done.exit_code, self.there()), (0, {"big": BIG}))
        line = done.stdout.splitlines()[-1]
        self.assertRegex(line, r"; [\d,]+ from tcp:one:80, [\d,]+ from tcp:two:80")
        self.assertIn("tcp:liar:80 was left out: lying (", line)
        (self.folder / "big").unlink()
        hosts = self.folder / "hosts"
        hosts.write_text("\n".join(places[:2]))
        done = self.call("--hosts", str(hosts), "--to", str(self.folder), "big")
        self.assertRegex(done.stdout, r"; [\d,]+ from tcp:one:80, [\d,]+ from tcp:two:80")


class ProgressTests(DownloadCase):
    """How far it is."""

    def setUp(self) -> None:
        """It takes five seconds."""
        super().setUp()
        self.prepare = self.slow

    def test_lines(self) -> None:
        """A line a second."""
        lines = self.get("big").stdout.splitlines()
        self.assertIn(len(lines), range(5, 8))
        form = r"^big: [\d.]+ of 3 MiB \(\d+ %\), [\d.,]+ \w+/s, \d:\d\d left$"
        for line in lines[1:-1]:
            self.assertRegex(line, form)

    def test_json(self) -> None:
        """Ten objects a second at most."""
        *events, ended = map(json.loads, self.get("big", "--json").stdout.splitlines())
        self.assertIn(len(events), range(25, 60))
        self.assertEqual({event["event"] for event in events}, {"progress"})
        self.assertEqual(
            (ended["event"], ended["size"], ended["fetched"]), ("ended", *[len(BIG)] * 2)
        )

    def test_interrupted(self) -> None:
        """Ctrl-C says what is here; the same command goes on with it."""
        self.interrupt = 2.5
        done = self.get("big")
        self.assertEqual((done.exit_code, list(self.there())), (130, [".big.part"]))
        said = r"^interrupted; ([\d.]+) of 3 MiB are here; run the same command to go on$"
        self.assertRegex(self.said, said)
        self.interrupt, before = None, self.shelf.served
        done = self.get("big")
        self.assertEqual((done.exit_code, self.there()), (0, {"big": BIG}))
        self.assertRegex(done.stdout, r"; [\d,]+ were here already; ")
        self.assertLessEqual(self.shelf.served - before, len(BIG) - 2**20)

    def test_interrupted_among_several(self) -> None:
        """What is here of others is said, too."""
        self.interrupt = 2.5
        self.get("a", "big")
        self.assertRegex(self.said, r"^interrupted; 1 of 2 files are here, and [\d.]+ of 3 MiB of ")

    def test_interrupted_early(self) -> None:
        """Before anything is here there is nothing to say of it."""
        self.interrupt = 0.0
        done = self.get("big")
        self.assertEqual((done.exit_code, self.said), (130, "interrupted"))

    def test_interrupted_commands(self) -> None:
        """It is the same for commands."""
        self.interrupt = 2.5
        self.get("-e", "get big")
        self.assertRegex(self.said, r"^interrupted; [\d.]+ of 3 MiB are here; run the same ")
        self.interrupt = 0.0
        self.get("-e", "ls")
        self.assertEqual(self.said, "interrupted")


class ExecuteTests(DownloadCase):
    """Commands of the command line."""

    def test_in_turn(self) -> None:
        """Each is done before the next."""
        done = self.get("-e", "ls b*; mget *; lls; lpwd")
        self.assertEqual((done.exit_code, done.stderr), (0, ""))
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0], "200  2001-09-09T01:46:40Z  b c")
        self.assertEqual({line.split(":")[0] for line in lines[1:3]}, {"a", "b c"})
        self.assertTrue(lines[3].endswith("  a"), lines)
        self.assertEqual(lines[-1], str(self.folder.resolve()))

    def test_codes(self) -> None:
        """The first failure counts, and is said; what is behind it is done."""
        done = self.get("-e", "get none; bogus; get a")
        self.assertEqual((done.exit_code, list(self.there())), (3, ["a"]))
        self.assertIn("none: ", done.stderr)
        self.assertIn("command is 'bogus'", done.stderr)
        done = self.get("-e", "bogus")
        self.assertEqual(done.exit_code, 2)
        self.assertTrue(done.stderr.startswith("command is 'bogus'; give one of ls, "))

    def test_nothing(self) -> None:
        """Nothing to do is done."""
        done = self.get("-e", "")
        self.assertEqual((done.exit_code, done.output), (0, ""))


class TalkTests(DownloadCase):
    """A conversation."""

    def setUp(self) -> None:
        """Stand in for the conversation."""
        super().setUp()
        self.lines: list[str] = []
        self.tty, self.code = False, 0
        self.given: dict[str, Any] = {}
        self.printed: list[str | None] = []
        self.at_end = lambda: None
        self.patch(download, "converse", self.converse)
        self.patch(download, "on_terminal", lambda *_: self.tty)

    def converse(self, reactor: Any, talk: Talk, **given: Any) -> Deferred[int]:
        """What is typed, or comes on a pipe."""
        self.given, self.talk = given, talk

        async def lines() -> int:
            """Line by line."""
            for line in self.lines:
                try:
                    self.printed.append(await talk.line(line))
                except LabError as error:
                    self.printed.append(f"failed {given['code_of'](Failure(error))}")
            return self.code

        return Deferred.fromCoroutine(lines())

    def test_pipe(self) -> None:
        """One after the other; the first failure is the exit code."""
        self.lines = ["ls a", "get none", "bogus", "get a"]
        done = self.get()
        self.assertEqual(done.exit_code, 3)
        self.assertEqual(self.printed, ["100  2001-09-09T01:46:40Z  a", None, "failed 2", None])
        self.assertEqual((self.given["last"], self.given["in_flight"]), ("quit", 1))
        self.assertIn("get NAME...", self.given["help"])
        self.assertEqual(list(self.there()), ["a"])

    def test_errors_of_the_pipe_itself(self) -> None:
        """A line that can't be read counts as well; nobody reads: 141."""
        self.lines = []

        def broken(reactor: Any, talk: Talk, **given: Any) -> Deferred[int]:
            """Has a line that is too long, and then a file that is not there."""
            given["code_of"](Failure(LocalError("too long")))
            given["code_of"](Failure(NoAnswer("no")))
            done: Deferred[int] = Deferred()
            done.callback(self.code)
            return done

        self.patch(download, "converse", broken)
        self.assertEqual(self.get().exit_code, 2)
        self.code = OUTPUT_CLOSED
        self.assertEqual(self.get().exit_code, OUTPUT_CLOSED)

    def test_terminal(self) -> None:
        """Downloads go on, and are stopped at the end; errors are no exit code."""
        self.prepare, self.tty = self.slow, True
        self.lines = ["bogus", "get big", "jobs"]
        done = self.get()
        self.assertEqual(
            (done.exit_code, self.printed[1:]), (0, [None, "1  get big: big: connecting"])
        )
        self.assertIn("big was stopped; nothing is here, and get goes on with it", done.stdout)
        self.assertIsInstance(self.given["aside"], Aside)

    def test_terminal_with_many(self) -> None:
        """What waits for others at the end is never begun, and nothing is said of it."""
        self.prepare, self.tty = self.slow, True
        self.lines = ["get big", "get a", "get 'b c'"]
        done = self.get("--parallel", "1")
        expected = "big was stopped; nothing is here, and get goes on with it\n"
        self.assertEqual((done.exit_code, done.output), (0, expected))

    def test_completion(self) -> None:
        """Names here are those of the folder of the moment."""
        self.tty = True
        (self.folder / "sub").mkdir()

        def converse(reactor: Any, talk: Talk, **given: Any) -> Deferred[int]:
            """Completes."""

            async def ask() -> int:
                self.printed += await talk.complete("lcd ")
                self.printed += await talk.complete("get ")
                self.printed += await talk.complete("cancel ")
                return 130

            return Deferred.fromCoroutine(ask())

        self.patch(download, "converse", converse)
        self.assertEqual(self.get().exit_code, 130)
        self.assertEqual(self.printed, ["lcd sub/", "get a", "get b\\ c", "cancel all"])

    def test_interrupted(self) -> None:
        """What a pipe was waiting for is said."""
        self.prepare, self.interrupt, self.lines = self.slow, 2.5, ["get big"]
        self.assertEqual(self.get().exit_code, 130)
        self.assertRegex(self.said, r"^interrupted; [\d.]+ of 3 MiB are here; run the same ")
        self.lines, self.interrupt = ["ls"], 0.0
        self.get()
        self.assertEqual(self.said, "interrupted")


class OptionsTests(DownloadCase):
    """What can be said, and what can't."""

    def test_mistakes(self) -> None:
        """Each is one line, with what is allowed, and 2."""
        for words, said in (
            ((TCP, "--to", "/none", "a"), "to is '/none'; there is no such folder"),
            ((TCP, "-e", "ls", "a"), "there are names and commands; give one of them"),
            ((TCP, "--sha256", "f" * 64), "sha256 is of one file; there are 0 names"),
            ((TCP, "--sha256", "f" * 64, "a", "b"), "sha256 is of one file; there are 2 names"),
            ((TCP, "--sha256", "xyz", "a"), "sha256 is 'xyz'; give 64 hexadecimal digits"),
            ((TCP, "--parallel", "0", "a"), "parallel is '0'; give a whole number from 1 to 100"),
            ((TCP, "--limit-rate", "0", "a"), "limit-rate is '0'; give more than 0"),
            ((TCP, "--timeout", "0", "a"), "timeout is '0'; give more than 0"),
            (("x", "--", "a"), "endpoint is 'x'; give endpoints before --, as tcp:localhost:50002"),
            (("--hosts", "/none", "a"), "hosts is '/none'; No such file or directory"),
        ):
            done = self.call(*words)
            self.assertEqual(done.exit_code, 2, words)
            self.assertTrue(done.stderr.startswith(f"lab download: {said}"), done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)
        done = self.call("udp:server:80", "a")
        self.assertEqual(done.exit_code, 2)
        self.assertIn("endpoint is 'udp:server:80'; give one of a stream", done.output)

    def test_file(self) -> None:
        """An INI file says the same, and counts."""
        path = folder(self) / "lab.ini"
        path.write_text(f"[lab-download]\nto = {self.folder}\n")
        done = self.call(TCP, "-c", str(path), "--", "a")
        self.assertEqual((done.exit_code, list(self.there())), (0, ["a"]))
        path.write_text(f"[lab-download]\nto = {self.folder}\nexecute = get 'b c'\n")
        done = self.call(TCP, "-c", str(path), "-e", "ls")
        self.assertEqual((done.exit_code, sorted(self.there())), (0, ["a", "b c"]))
        said = f"--execute: ls of the command line is overridden by get 'b c' of {path}\n"
        self.assertEqual(done.stderr, said)

    def test_names_behind_dashes(self) -> None:
        """They are names whatever they look like."""
        self.shelf.files |= {"--json": b"1", "tcp:a:1": b"2", "--": b"3"}
        done = self.get("--", "--json", "tcp:a:1", "--")
        self.assertEqual(done.exit_code, 0)
        self.assertEqual(self.there(), {"--json": b"1", "tcp:a:1": b"2", "--": b"3"})


class ChooseTests(SynchronousTestCase):
    """Servers and names."""

    def setUp(self) -> None:
        """A folder of our own."""
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(folder(self))

    def test_each(self) -> None:
        """What looks like an endpoint and stands first is one; the rest are names."""
        for words, names, expected in (
            (["tcp:a:1"], None, (["tcp:a:1"], ())),
            (["tcp:a:1", "tcp:b:1", "tcp:a:1"], None, (["tcp:a:1", "tcp:b:1"], ())),
            (["tcp:a:1", "x", "tcp:b:1", "x"], None, (["tcp:a:1"], ("x", "tcp:b:1"))),
            (["tcp:a:1"], ("tcp:b:1", "y", "y"), (["tcp:a:1"], ("tcp:b:1", "y"))),
            (["x"], None, (["tcp:localhost:50002"], ("x",))),
            ([], ("x",), (["tcp:localhost:50002"], ("x",))),
            ([], (), (["tcp:localhost:50002"], ())),
        ):
            self.assertEqual(choose(words, names, None), expected)

    def test_list(self) -> None:
        """Without any, all of a list are meant."""
        Path("hosts.txt").write_text("tcp:a:1\ntcp:b:1 # slow\n")
        self.assertEqual(choose(["x"], None, None), (["tcp:a:1", "tcp:b:1"], ("x",)))
        self.assertEqual(choose(["tcp:c:1"], None, None), (["tcp:c:1"], ()))

    def test_wanted(self) -> None:
        """Names, or commands, or neither."""
        wanted = Wanted(["tcp:a:1"], (), Path())
        self.assertEqual((wanted.execute, wanted.parallel, wanted.clobber), (None, 3, True))


class InterruptTests(SynchronousTestCase):
    """What `run` says of Ctrl-C."""

    def test_kind(self) -> None:
        """It is a cancellation as any other."""
        self.assertIsInstance(download._interrupted(None), CancelledError)
