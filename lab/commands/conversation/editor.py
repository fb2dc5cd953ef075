"""
A line that is typed: its text, its cursor, the lines before it. Knows no terminal.

A line longer than the row is shown through a window that follows the cursor. Rows that wrap were
refused: they need the place of the cursor tracked over them, and every change of the terminal's
size spoils that.
"""

import unicodedata
from collections.abc import Callable

from attrs import Factory, define, field

from lab.commands.conversation.session import LINE_LIMIT

#: Most lines that are kept to be recalled.
HISTORY_LIMIT = 1_000


def typable(char: str) -> bool:
    """Whether a character may stand in a line: no control code, and no line ending."""
    return unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")


def width(text: str) -> int:
    """The columns that a text takes on a terminal."""
    marks = sum(unicodedata.category(char) in ("Mn", "Me", "Cf") for char in text)
    return len(text) - marks + sum(unicodedata.east_asian_width(char) in "WF" for char in text)


@define
class Editor:
    r"""
    A line that is typed, and those that were typed before. Knows no terminal.

    Args:
        history: Earlier lines, oldest first; `take` adds to it, and keeps `HISTORY_LIMIT`.

    Attributes:
        text: The line so far, at most `LINE_LIMIT` characters.
        cursor: How many characters stand before the cursor.

    >>> editor = Editor(["+,1,1"])
    >>> [editor.press(key) for key in ("[UP_ARROW]", "\x7f", "2")], editor.text
    ([True, True, True], '+,1,2')
    """

    history: list[str] = Factory(list)
    text: str = field(default="", init=False)
    cursor: int = field(default=0, init=False)
    _draft: str = field(default="", init=False)
    _at: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin after the last line."""
        self._at = len(self.history)

    def press(self, key: str) -> bool:
        """
        Do what a key means.

        Returns:
            Whether the key did anything.
        """
        before = self.text, self.cursor
        if key in _BINDINGS:
            _BINDINGS[key](self)
        elif len(key) == 1 and typable(key):
            self.replace(self.cursor, self.cursor, key)
        return (self.text, self.cursor) != before

    def replace(self, start: int, end: int, new: str = "") -> None:
        """Put a text in the place of these characters, if it fits, and the cursor behind it."""
        text = self.text[:start] + new + self.text[end:]
        if len(text) <= LINE_LIMIT:
            self.text, self.cursor = text, start + len(new)

    def move(self, to: int) -> None:
        """Put the cursor behind so many characters."""
        self.cursor = min(max(to, 0), len(self.text))

    def recall(self, step: int) -> None:
        """Go to an earlier (-1) or a later (1) line; behind the last is what was being typed."""
        if not 0 <= self._at + step <= len(self.history):
            return
        if self._at == len(self.history):
            self._draft = self.text
        self._at += step
        self.text = [*self.history, self._draft][self._at]
        self.cursor = len(self.text)

    def take(self) -> str:
        """The line, which is remembered unless it is blank or the last again; begin another."""
        text = self.text
        if text.strip() and self.history[-1:] != [text]:
            self.history.append(text)
            del self.history[:-HISTORY_LIMIT]
        self.text, self.cursor, self._draft, self._at = "", 0, "", len(self.history)
        return text

    def view(self, room: int) -> tuple[str, int]:
        """
        The part of the line around the cursor that fits.

        Args:
            room: Columns there are; at least 4.

        Returns:
            The part, and the column of the cursor in it, from 0 to ``room``.
        """
        start, column = 0, width(self.text[: self.cursor])
        if column > room:
            while column > room * 2 // 3:
                column -= width(self.text[start])
                start += 1
        shown = self.text[start : start + room]
        while width(shown) > room:
            shown = shown[:-1]
        return shown, column

    def word(self) -> int:
        """Where the word before the cursor begins, in characters."""
        return self.text[: self.cursor].rstrip().rfind(" ") + 1


#: Keys and what they do, as in other programs that read lines.
_BINDINGS: dict[str, Callable[[Editor], None]] = {
    "[LEFT_ARROW]": lambda editor: editor.move(editor.cursor - 1),
    "[RIGHT_ARROW]": lambda editor: editor.move(editor.cursor + 1),
    "[HOME]": lambda editor: editor.move(0),
    "[END]": lambda editor: editor.move(len(editor.text)),
    "[UP_ARROW]": lambda editor: editor.recall(-1),
    "[DOWN_ARROW]": lambda editor: editor.recall(1),
    "[DELETE]": lambda editor: editor.replace(editor.cursor, editor.cursor + 1),
    "\x7f": lambda editor: editor.replace(max(editor.cursor - 1, 0), editor.cursor),
    "\x0b": lambda editor: editor.replace(editor.cursor, len(editor.text)),  # Ctrl-K
    "\x15": lambda editor: editor.replace(0, editor.cursor),  # Ctrl-U
    "\x17": lambda editor: editor.replace(editor.word(), editor.cursor),  # Ctrl-W
}
_BINDINGS |= {
    alias: _BINDINGS[key]
    for alias, key in {
        "\x01": "[HOME]",  # Ctrl-A
        "\x02": "[LEFT_ARROW]",  # Ctrl-B
        "\x05": "[END]",  # Ctrl-E
        "\x06": "[RIGHT_ARROW]",  # Ctrl-F
        "\x08": "\x7f",
        "\x0e": "[DOWN_ARROW]",  # Ctrl-N
        "\x10": "[UP_ARROW]",  # Ctrl-P
        "\x04": "[DELETE]",  # Ctrl-D
    }.items()
}
