"""Which server a command asks."""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lab.commands import hosts
from lab.commands.hosts import ask_which, is_endpoint, read_hosts
from lab.errors import LocalError
from tests.helpers import folder

ONE, OTHER = "tcp:one:1", "udp:other:2"


class ReadTests(SynchronousTestCase):
    """A list of servers."""

    def setUp(self) -> None:
        """A working directory."""
        self.addCleanup(os.chdir, Path.cwd())
        self.folder = folder(self)
        os.chdir(self.folder)

    def write(self, text: str | bytes) -> Path:
        """The list."""
        path = self.folder / "hosts.txt"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def refused(self, path: Path | None) -> str:
        """What is said of a list that can't be."""
        return str(self.assertRaises(LocalError, read_hosts, path, ONE))

    def test_none(self) -> None:
        """Without a list there is the default; a list that was named has to be there."""
        self.assertEqual(read_hosts(None, ONE), [ONE])
        self.assertEqual(self.refused(Path("a.txt")), "hosts is 'a.txt'; No such file or directory")

    def test_lines(self) -> None:
        """An endpoint a line; comments, blanks and empty lines are nothing."""
        text = f"# mine\n\n  {OTHER}  # the other\n{ONE}\r\nunix:/tmp/a#b\n#{ONE}\n"
        path = self.write(text)
        for named in (None, path):
            self.assertEqual(read_hosts(named, "tcp:no:1"), [OTHER, ONE, "unix:/tmp/a#b"])

    def test_mistakes(self) -> None:
        """What is no list is one line."""
        for text, said in (
            ("# nobody\n", "it has no server, give an endpoint a line"),
            (b"\xff\n", "give text, an endpoint a line"),
            ("localhost\n", f"'localhost' is no endpoint, give one like {ONE}"),
        ):
            self.write(text)
            self.assertEqual(self.refused(None), f"hosts is 'hosts.txt'; {said}")
        (self.folder / "hosts.txt").unlink()
        (self.folder / "hosts.txt").mkdir()
        self.assertEqual(self.refused(None), "hosts is 'hosts.txt'; Is a directory")


class AskTests(SynchronousTestCase):
    """What a person says."""

    def asked(self, answer: str | None, *servers: str) -> str:
        """The server for this answer; None for Enter."""
        self.shown: list[str] = []

        def prompt(text: str, default: str) -> str:
            """The person."""
            self.shown.append(f"{text} [{default}]")
            return default if answer is None else answer

        self.patch(hosts.click, "prompt", prompt)
        self.patch(hosts.click, "echo", self.shown.append)
        return ask_which(servers)

    def test_enter(self) -> None:
        """Enter takes the first."""
        self.assertEqual(self.asked(None, ONE), ONE)
        self.assertEqual(self.shown, [f"server [{ONE}]"])

    def test_number(self) -> None:
        """Of several, a number takes that one."""
        self.assertEqual(self.asked("2", ONE, OTHER), OTHER)
        self.assertEqual(self.shown, [f"  1  {ONE}", f"  2  {OTHER}", f"server [{ONE}]"])

    def test_other(self) -> None:
        """Anything else is an endpoint string, or will be refused as none."""
        for text in ("udp:x:1", "0", "3", "12345678"):
            self.assertEqual(self.asked(f" {text} ", ONE, OTHER), text)

    def test_endpoint(self) -> None:
        """A word and a colon."""
        self.assertTrue(is_endpoint("unix:/tmp/a"))
        self.assertFalse(is_endpoint("what: this"[4:]))
