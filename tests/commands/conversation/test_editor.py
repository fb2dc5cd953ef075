"""The line, without a terminal."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lab.commands.conversation.editor import HISTORY_LIMIT, Editor
from lab.commands.conversation.session import LINE_LIMIT
from tests.commands.conversation.helpers import BoundedTestCase


def press(editor: Editor, *keys: str) -> str:
    """Press the keys and return the text."""
    for key in keys:
        editor.press(key)
    return editor.text


class EditorTests(BoundedTestCase):
    """The line, without a terminal."""

    def test_types_where_the_cursor_is(self) -> None:
        """A character goes before the cursor, wherever that was moved."""
        self.assertEqual(press(Editor(), *"ac", "[LEFT_ARROW]", "b"), "abc")
        self.assertEqual(press(Editor(), *"bc", "[HOME]", "a", "[END]", "d"), "abcd")

    def test_deletes_on_both_sides_of_the_cursor(self) -> None:
        """Backspace, Delete, Ctrl-W, Ctrl-U and Ctrl-K take what their names say."""
        left = "[LEFT_ARROW]"
        for keys, text in (
            (["\x7f"], "one tw"),
            (["\x08"], "one tw"),
            ([left, "[DELETE]"], "one tw"),
            ([left, "\x04"], "one tw"),
            (["\x17"], "one "),
            ([left, "\x15"], "o"),
            (["\x01", "[RIGHT_ARROW]", "\x0b"], "o"),
            (["[HOME]", "\x7f"], "one two"),
        ):
            with self.subTest(keys=keys):
                self.assertEqual(press(Editor(), *"one two", *keys), text)

    def test_recalls_and_comes_back(self) -> None:
        """Up goes to earlier lines, down back to what was being typed; the ends hold."""
        editor = Editor(["first", "second"])
        for key, text in (
            ("n", "n"),
            ("[UP_ARROW]", "second"),
            ("[UP_ARROW]", "first"),
            ("[UP_ARROW]", "first"),
            ("[DOWN_ARROW]", "second"),
            ("[DOWN_ARROW]", "n"),
            ("[DOWN_ARROW]", "n"),
        ):
            self.assertEqual(press(editor, key), text)

    def test_remembers_what_was_taken(self) -> None:
        """Lines are remembered in order, without blank ones and without repetition."""
        editor = Editor()
        for text in ("a", "b", "b", " ", "", "a"):
            press(editor, *text)
            editor.take()
        self.assertEqual((editor.history, editor.text), (["a", "b", "a"], ""))

    def test_history_is_bounded(self) -> None:
        """The oldest line goes when there are too many."""
        editor = Editor([str(number) for number in range(HISTORY_LIMIT)])
        press(editor, "x")
        editor.take()
        self.assertEqual((len(editor.history), editor.history[0]), (HISTORY_LIMIT, "1"))

    def test_line_is_bounded(self) -> None:
        """A line takes so many characters and no more."""
        editor = Editor()
        editor.replace(0, 0, "x" * LINE_LIMIT)
        self.assertFalse(editor.press("y"))
        self.assertEqual(len(editor.text), LINE_LIMIT)

    def test_control_codes_do_nothing(self) -> None:
        """Neither unknown keys nor control codes get into a line."""
        editor = Editor()
        did = [
            editor.press(key) for key in ("\x00", "\x1b", "\x9b", "\u2028", "[F5]", "[LEFT_ARROW]")
        ]
        self.assertEqual((did, editor.text), ([False] * 6, ""))

    def test_wide_and_narrow_characters(self) -> None:
        """The column counts what a terminal draws: two for wide, none for combining."""
        self.assertEqual(Editor().view(20), ("", 0))
        for text, column in (("a\u00e9", 2), ("\u65e5\u672c", 4), ("e\u0301", 1)):
            editor = Editor()
            press(editor, *text)
            self.assertEqual(editor.view(20), (text, column))
        editor = Editor()
        press(editor, *("\u65e5" * 5), "[HOME]")
        self.assertEqual(editor.view(5), ("\u65e5\u65e5", 0))

    def test_window_follows_the_cursor(self) -> None:
        """Of a line longer than the row, the part around the cursor is shown."""
        editor = Editor()
        press(editor, *"abcdefghijkl")
        self.assertEqual(editor.view(6), ("ijkl", 4))
        press(editor, "[HOME]")
        self.assertEqual(editor.view(6), ("abcdef", 0))

    @settings(deadline=None)
    @given(
        st.lists(st.sampled_from([*"abc \u65e5\u0301", "[HOME]", "[LEFT_ARROW]", "\x7f", "\x17"])),
        st.integers(4, 12),
    )
    def test_window_holds_the_cursor(self, keys: list[str], room: int) -> None:
        """Whatever is typed, the part that is shown fits and has the cursor in it."""
        editor = Editor()
        press(editor, *keys)
        shown, column = editor.view(room)
        wide = sum(1 + (char == "\u65e5") for char in shown if char != "\u0301")
        self.assertLessEqual(wide, room)
        self.assertTrue(0 <= column <= room)
        self.assertIn(shown, editor.text)
