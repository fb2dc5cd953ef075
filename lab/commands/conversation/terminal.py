"""
A dialogue on a real terminal, which is put back as it was, however the talk ends.

The talk is a coroutine, so that ``finally`` and ``with`` put things right whatever happens.
"""

import atexit
import os
import termios
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import Factory, define
from twisted.internet.defer import Deferred

from lab.commands.conversation.aside import Aside
from lab.commands.conversation.descriptors import Input, Output, OutputClosedError
from lab.commands.conversation.dialogue import Dialogue
from lab.commands.conversation.editor import Editor
from lab.commands.conversation.history import load, save
from lab.commands.conversation.keyboard import Keyboard
from lab.commands.conversation.session import Session
from lab.errors import LocalError


@define(eq=False)
class RawMode:
    """
    A terminal that gives each key as it is pressed, without showing it.

    Output is processed as before, so that what others print begins at the left edge.

    Args:
        fd: The terminal.
    """

    _fd: int
    _before: list[Any] = Factory(list)

    def __enter__(self) -> None:
        """Change the terminal, and see to it that it is put back when the program ends."""
        self._before = termios.tcgetattr(self._fd)
        raw = termios.tcgetattr(self._fd)
        raw[0] &= ~termios.IXON
        raw[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
        raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
        atexit.register(self.restore)
        termios.tcsetattr(self._fd, termios.TCSANOW, raw)

    def __exit__(self, *reason: object) -> None:
        """Put it back."""
        self.restore()
        atexit.unregister(self.restore)

    def restore(self) -> None:
        """Put it back as it was; a terminal that is gone needs nothing."""
        with suppress(termios.error):
            termios.tcsetattr(self._fd, termios.TCSANOW, self._before)


async def talk(
    session: Session, help: str, history: Path | None, given: Input, out: Output, aside: Aside
) -> int:
    """
    Talk on a terminal, and return the exit code.

    Args:
        session: Carries out the lines.
        help: What ``help`` prints.
        history: The file of the lines that were typed.
        given: Reads the terminal.
        out: Writes on it.
        aside: What is said besides.
    """
    editor, keyboard = Editor(load(history) if history else []), Keyboard()
    dialogue = Dialogue(
        session, help, editor, keyboard, out.write, lambda: _columns(out.fileno()), aside
    )
    with RawMode(given.fileno()):
        Deferred.fromCoroutine(_type(given, keyboard))
        try:
            code = await dialogue.run()
        finally:
            given.close()
            if history is not None:
                save(history, editor.history)
    with suppress(OutputClosedError, LocalError):
        await out.drain()
    return code


async def _type(given: Input, keyboard: Keyboard) -> None:
    """Bring keys to the keyboard, also while a line is under way."""
    with suppress(LocalError):  # a terminal that is gone says EIO
        while data := await given.read():
            keyboard.feed(data)
    keyboard.hang_up()


def _columns(fd: int) -> int:
    """How wide a terminal is."""
    try:
        return os.get_terminal_size(fd).columns or 80
    except OSError:
        return 80
