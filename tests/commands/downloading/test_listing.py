"""Lists of files."""

import json
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.downloading.listing import as_json, below, local, show_time, shown, table
from lab.download.wire import Entry
from lab.errors import LocalError
from tests.helpers import folder


class TableTests(SynchronousTestCase):
    """For people, and for programs."""

    def test_columns(self) -> None:
        """Size, time and name stand below each other."""
        rows = table([Entry(1_234_567, 1_700_000_000 * 10**9, "a b"), Entry(5, 10**30, "c")])
        expected = "1,234,567  2023-11-14T22:13:20Z  a b\n        5  -                     c"
        self.assertEqual(rows, expected)
        self.assertEqual(table([]), "")

    def test_names_move_no_cursor(self) -> None:
        """Control characters, marks that turn the writing, and bytes that are no text."""
        row = table([Entry(1, 0, "a\x1b[2J\r\n\u202eb\udcff")])
        self.assertTrue(row.endswith("  a\\x1b[2J\\r\\n\\u202eb\\udcff"), row)

    def test_json(self) -> None:
        """An object, with the time twice."""
        told = json.loads(as_json(Entry(5, 1_500_000_000_000_000_001, "a\n")))
        expected = {"name": "a\n", "size": 5, "time": "2017-07-14T02:40:00Z"}
        self.assertEqual(told, expected | {"mtime_ns": 1_500_000_000_000_000_001})

    @given(st.integers(-(10**29), 10**29))
    def test_any_time(self, mtime_ns: int) -> None:
        """Whatever a server says, it is a time or none."""
        self.assertRegex(show_time(mtime_ns), r"^(-|\d{1,4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)$")


class ShownTests(SynchronousTestCase):
    """Which names a pattern means."""

    def test_each(self) -> None:
        """Hidden ones only where the pattern says so."""
        for glob, name, expected in (
            ("*", "a", True),
            ("*", ".a", False),
            (".*", ".a", True),
            ("*.txt", "b.txt", True),
            ("*.txt", "b.md", False),
            ("*", "d/.a", False),
            ("d/.*", "d/.a", True),
            ("A", "a", False),
        ):
            self.assertEqual(shown(glob, name), expected, (glob, name))


class LocalTests(SynchronousTestCase):
    """A folder here."""

    def test_local(self) -> None:
        """Files and folders by name, links as what they lead to, or as themselves."""
        here = folder(self)
        (here / "b").write_bytes(b"12")
        (here / "a").mkdir()
        (here / ".part").touch()
        (here / "to").symlink_to("b")
        (here / "nowhere").symlink_to("none")
        os.utime(here / "b", ns=(5, 5))
        found = {entry.name: entry for entry in local(here)}
        self.assertEqual(list(found), ["a/", "b", "nowhere", "to"])
        self.assertEqual(found["b"], Entry(2, 5, "b"))
        self.assertEqual(found["to"], Entry(2, 5, "to"))
        self.assertEqual([entry.name for entry in local(here, ".p*")], [".part"])

    def test_none(self) -> None:
        """A folder that can't be read."""
        error = self.assertRaises(LocalError, local, Path("/none"))
        self.assertEqual(str(error), "folder is '/none'; No such file or directory")

    def test_below(self) -> None:
        """Where a person means."""
        here = Path("/here")
        self.assertEqual(below(here, "a/b"), Path("/here/a/b"))
        self.assertEqual(below(here, "/a"), Path("/a"))
        self.assertEqual(below(here, ""), here)
        self.assertEqual(below(here, "~"), Path.home())
        error = self.assertRaises(LocalError, below, here, "~nobody-of-that-name/a")
        said = "folder is '~nobody-of-that-name/a'; there is no such user"
        self.assertEqual(str(error), said)
