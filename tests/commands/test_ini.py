"""INI files: what is read, and what is refused."""

import contextlib
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.ini import as_words, read_section
from lab.errors import LocalError
from tests.helpers import folder

KNOWN, FLAGS, MANY = ("again", "at", "rate"), ("again",), ("at",)


class ReadTests(SynchronousTestCase):
    """A section of a file."""

    def setUp(self) -> None:
        """A file."""
        self.path = folder(self) / "lab.ini"

    def test_section(self) -> None:
        """What stands in the section of that name, and nothing of others; % means nothing."""
        self.path.write_text("[DEFAULT]\nrate = 1\n[lab-y]\nrate = 2\n[lab-x]\nat = 50%d # 1\n")
        self.assertEqual(read_section(self.path, "lab-x"), {"at": "50%d # 1"})
        self.assertEqual(read_section(self.path, "lab-y"), {"rate": "2"})

    def test_mistakes(self) -> None:
        """Each is one line that names the file."""
        for data, said in (
            (b"[lab-y]\n", "it has no section [lab-x]"),
            (b"rate = 1\n", "contains no section headers"),
            (b"[lab-x]\nrate = 1\nrate = 2\n", "already exists"),
            (b"[lab-x]\nrate = \xff\n", "can't decode byte"),
        ):
            self.path.write_bytes(data)
            error = str(self.assertRaises(LocalError, read_section, self.path, "lab-x"))
            self.assertTrue(error.startswith(f"config is {str(self.path)!r}; "), error)
            self.assertIn(said, error)
            self.assertNotIn("\n", error)
        error = str(self.assertRaises(LocalError, read_section, Path("/none"), "lab-x"))
        self.assertIn("No such file", error)

    @settings(max_examples=50, deadline=None)
    @given(st.binary(max_size=60))
    def test_anything(self, data: bytes) -> None:
        """Whatever is in the file, there is a section or our error."""
        self.path.write_bytes(b"[lab-x]\n" + data)
        with contextlib.suppress(LocalError):
            read_section(self.path, "lab-x")


class WordsTests(SynchronousTestCase):
    """Settings as words."""

    def test_each_kind(self) -> None:
        """A value, a flag that is on or off, a value that may be repeated, an empty one."""
        section = {"rate": " -5", "again": "yes", "at": "\ntcp:1\n  tcp:2\n"}
        words = ["--rate=-5", "--again", "--at=tcp:1", "--at=tcp:2"]
        self.assertEqual(as_words(section, KNOWN, FLAGS, MANY), words)
        self.assertEqual(as_words({"again": "Off", "rate": ""}, KNOWN, FLAGS), ["--rate="])
        self.assertEqual(as_words({"at": "a\nb"}, KNOWN, FLAGS), ["--at=a\nb"])

    def test_unknown(self) -> None:
        """The error names what is allowed."""
        error = self.assertRaises(LocalError, as_words, {"rat": "1"}, KNOWN, FLAGS)
        self.assertEqual(str(error), "config has 'rat'; allowed are again, at, rate")

    def test_neither(self) -> None:
        """A flag is on or off."""
        error = self.assertRaises(LocalError, as_words, {"again": "perhaps"}, KNOWN, FLAGS)
        self.assertEqual(str(error), "config has again = 'perhaps'; give yes or no")
