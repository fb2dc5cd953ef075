"""Journals of decisions, in files."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lab.commands.journal_file import JournalFile
from lab.errors import LocalError
from lab.faults.journal import Entry, Place
from lab.faults.verdicts import DELIVER
from tests.helpers import folder


class JournalTests(SynchronousTestCase):
    """The journal in a file."""

    def test_after_the_end(self) -> None:
        """What is decided after the end is not kept, and does no harm."""
        path = folder(self) / "journal.json"
        journal = JournalFile(path, 8)
        entry = Entry(Place("x"), 0, 0.0, DELIVER)
        journal.record(entry)
        journal.close()
        journal.record(entry)
        self.assertEqual(path.read_text(), f"{journal.header[0]}\n{entry.encode()}\n")
        self.assertEqual(journal.entries, [])

    def test_no_such_folder(self) -> None:
        """A file that can't be written is one line."""
        error = self.assertRaises(LocalError, JournalFile, Path("/nowhere/x"), 8)
        self.assertEqual(str(error), "journal is '/nowhere/x'; No such file or directory")
