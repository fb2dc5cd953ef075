"""The file of the lines that were typed."""

import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lab.commands.conversation.editor import HISTORY_LIMIT
from lab.commands.conversation.history import load, save
from lab.commands.conversation.session import LINE_LIMIT
from tests.helpers import folder


class HistoryTests(SynchronousTestCase):
    """The file of the lines that were typed."""

    def setUp(self) -> None:
        """A place in a folder that isn't there."""
        self.path = folder(self) / "deep" / "history"

    def test_what_is_kept_is_found_again(self) -> None:
        """The lines come back in order, from a file that only its owner may read."""
        save(self.path, ["one", "h\u00e9 \u65e5"])
        self.assertEqual(load(self.path), ["one", "h\u00e9 \u65e5"])
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual([*self.path.parent.iterdir()], [self.path])

    def test_no_file_is_no_history(self) -> None:
        """Before the first talk there are no lines."""
        self.assertEqual(load(self.path), [])

    def test_only_text_is_taken(self) -> None:
        """Lines with control codes are left out, and what is no UTF-8 is replaced."""
        save(self.path, [])
        self.path.write_bytes(b"old\x1b[2J\nol\xff\n\nlast\n")
        self.assertEqual(load(self.path), ["ol\ufffd", "last"])

    def test_what_is_taken_is_bounded(self) -> None:
        """The last lines count, and of each as much as may be typed."""
        save(self.path, ["x" * (LINE_LIMIT + 1), *map(str, range(HISTORY_LIMIT - 1))])
        self.assertEqual(len(load(self.path)[0]), LINE_LIMIT)
        save(self.path, [str(number) for number in range(HISTORY_LIMIT + 5)])
        self.assertEqual(load(self.path), [str(n) for n in range(5, HISTORY_LIMIT + 5)])

    def test_a_folder_in_its_place(self) -> None:
        """It can't be read or replaced; nothing else is left in it or beside it."""
        self.path.mkdir(parents=True)
        self.assertEqual(load(self.path), [])
        save(self.path, ["one"])
        self.assertEqual([*self.path.parent.rglob("*")], [self.path])

    def test_a_place_where_no_file_can_be(self) -> None:
        """Nothing is kept, and nothing is raised."""
        save(Path("/dev/null/history"), ["one"])
