"""
The talk on a terminal: prompt, line, answer. Knows no descriptor.

Assumes that the terminal understands ``CSI K`` (erase to the end of the row) and ``CSI C``
(cursor forward), and speaks UTF-8.
"""

import os
import textwrap
from collections.abc import Callable

from attrs import Factory, define
from twisted.internet.defer import CancelledError

from lab.commands.conversation.aside import Aside
from lab.commands.conversation.editor import Editor, typable, width
from lab.commands.conversation.keyboard import CTRL_C, CTRL_D, HANG_UP, TAB, Keyboard
from lab.commands.conversation.session import (
    Interrupted,
    Session,
    begin,
    complete,
    encode,
    one_line,
)
from lab.commands.running import INTERRUPTED
from lab.errors import LabError

_ENDINGS, _HELP = ("quit", "exit"), "help"


@define(eq=False)
class Dialogue:
    """
    Reads lines from a keyboard, has them carried out, and shows what comes of it.

    Args:
        session: Carries out the lines.
        help: What ``help`` prints.
        editor: The line that is typed.
        keyboard: Where keys come from.
        write: Takes what is to be shown.
        columns: How wide the terminal is just now.
        aside: What is said besides; until a line is entered, above the prompt.
    """

    _session: Session
    _help: str
    _editor: Editor
    _keyboard: Keyboard
    _write: Callable[[bytes], None]
    _columns: Callable[[], int]
    _aside: Aside = Factory(Aside)
    _bell: bool = False
    _reading: bool = False

    async def run(self) -> int:
        """Talk until the end, and return the exit code."""
        with self._aside.above(self.above):
            while isinstance(text := await self._read(), str):
                word = text.rstrip()
                if word in _ENDINGS:
                    if not self._stays():
                        return 0
                elif word == _HELP:
                    self._write(encode(self._help))
                elif word:
                    await self._carry_out(text)
                if self._aside.over:
                    return 0
            return text

    def above(self, text: str) -> None:
        """Show this, and below it the prompt again if it was there; only that without a text."""
        if text:
            self._write(b"\r\x1b[K" * self._reading + encode(text))
        if self._reading:
            self._draw()

    async def _read(self) -> str | int:
        """The next line, or the exit code at the end."""
        self._reading = True
        try:
            return await self._type()
        finally:
            self._reading = False

    async def _type(self) -> str | int:
        """Keys, until there is a line or the end."""
        while True:
            if not self._keyboard.waiting():
                self._draw()
            key = await self._keyboard.get()
            if key in ("\r", "\n"):
                self._write(b"\r\x1b[K" + encode(self._session.prompt + self._editor.text))
                return self._editor.take()
            if key in (CTRL_C, HANG_UP) or (key == CTRL_D and not self._editor.text):
                self._write(b"\n")
                if key == HANG_UP or not self._stays():
                    return INTERRUPTED if key == CTRL_C else 0
            elif key == TAB:
                await self._complete()
            elif not self._editor.press(key):
                self._bell = True

    def _stays(self) -> bool:
        """Whether the command would not let the talk end, which it says."""
        if said := self._aside.leaving():
            self._write(encode(said))
        return bool(said)

    async def _carry_out(self, text: str) -> None:
        """Carry out one line and print what comes of it."""
        under_way, interrupted = begin(self._session, text), False

        def interrupt() -> None:
            """Ctrl-C was pressed."""
            nonlocal interrupted
            interrupted = True
            under_way.cancel()

        try:
            if under_way.called:
                answer = await under_way
            else:
                with self._keyboard.interrupting(interrupt):
                    answer = await under_way
        except LabError as error:
            answer = None if interrupted else one_line(error)
        except CancelledError as error:
            if not interrupted:
                raise
            answer = error.text if isinstance(error, Interrupted) else None
        if answer:
            self._write(encode(answer))
        if interrupted:
            self._write(b"interrupted\n")

    def _draw(self) -> None:
        """Show the prompt and the line, or what fits of it."""
        columns, prompt = self._columns(), self._session.prompt
        shown, column = self._editor.view(max(columns - width(prompt) - 1, 8))
        line = f"\r{prompt}{shown}\x1b[K\r"
        if column + width(prompt):
            line += f"\x1b[{column + width(prompt)}C"
        self._write((line + "\a" * self._bell).encode())
        self._bell = False

    async def _complete(self) -> None:
        """Put what all completions have in common before the cursor, or list them."""
        before = self._editor.text[: self._editor.cursor]
        ours = [word for word in (_HELP, *_ENDINGS[:1]) if word.startswith(before)]
        found = list(dict.fromkeys([*await complete(self._session, before), *ours]))
        found = [text for text in found if text.startswith(before) and all(map(typable, text))]
        common = os.path.commonprefix(found)  # noqa: RUF071 - these are no paths
        if len(common) > len(before):
            self._editor.replace(0, len(before), common)
        elif len(found) > 1:
            self._list([text[before.rfind(" ") + 1 :] for text in found])
        else:
            self._bell = True

    def _list(self, words: list[str]) -> None:
        """Show what there is to choose from; the line is drawn again below."""
        rows = textwrap.fill("  ".join(words), max(self._columns() - 1, 8))
        self._write(b"\n" + encode(rows))
