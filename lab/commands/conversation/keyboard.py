"""
Keys out of the bytes of a terminal.

Only the parser of keys is Twisted's, `ServerProtocol`: its ``HistoricRecvLine`` edits bytes,
clears the screen and breaks at the end of a row.
"""

import codecs
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from twisted.conch.insults.insults import ServerProtocol, TerminalProtocol
from twisted.internet.defer import Deferred

#: Keys that the talk itself looks at; the last says that the terminal is gone.
CTRL_C, CTRL_D, TAB, HANG_UP = "\x03", "\x04", "\t", "[HANG_UP]"

#: What `ServerProtocol` says of the keys of a terminal in application mode, ESC O A for one.
_APPLICATION_KEYS = {
    b"\x1b[OA": b"[UP_ARROW]",
    b"\x1b[OB": b"[DOWN_ARROW]",
    b"\x1b[OC": b"[RIGHT_ARROW]",
    b"\x1b[OD": b"[LEFT_ARROW]",
    b"\x1b[OF": b"[END]",
    b"\x1b[OH": b"[HOME]",
}


class Keyboard(TerminalProtocol):
    """
    Keys out of the bytes of a terminal, kept until somebody asks for one.

    A key is one character, which may be a control code, or a name such as ``[UP_ARROW]``.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._keys: deque[str] = deque()
        self._asked: Deferred[str] | None = None
        self._interrupt: Callable[[], None] | None = None
        self._parser = ServerProtocol(lambda: self)
        self._parser.connectionMade()

    def feed(self, data: bytes) -> None:
        """Take some bytes of the terminal's."""
        self._parser.dataReceived(data)
        self._wake()

    def hang_up(self) -> None:
        """The terminal is gone: interrupt what is under way, and forget what else was typed."""
        self._keys = deque([HANG_UP])
        if self._interrupt is not None:
            self._interrupt()
        self._wake()

    def waiting(self) -> bool:
        """Whether there is a key to get."""
        return bool(self._keys)

    def get(self) -> Deferred[str]:
        """Fires with the next key; one may ask at a time."""
        asked: Deferred[str] = Deferred(self._forget)
        self._asked = asked
        self._wake()
        return asked

    @contextmanager
    def interrupting(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """While a line is under way, Ctrl-C calls this and drops the keys that wait."""
        self._interrupt = interrupt
        try:
            if CTRL_C in self._keys:  # it came in one chunk with the line
                while CTRL_C in self._keys:
                    self._keys.popleft()
                interrupt()
            yield
        finally:
            self._interrupt = None

    def keystrokeReceived(self, keyID: bytes, modifier: bytes | None) -> None:
        """One byte, or the name of a key; with a modifier it means nothing to us."""
        key = self._decoder.decode(keyID) if len(keyID) == 1 else keyID.decode()
        if key == CTRL_C and self._interrupt is not None:
            self._keys.clear()
            self._interrupt()
        elif key and modifier is None:
            self._keys.append(key)

    def unhandledControlSequence(self, seq: bytes) -> None:
        """A key that the parser doesn't know."""
        if seq in _APPLICATION_KEYS:
            self.keystrokeReceived(_APPLICATION_KEYS[seq], None)

    def _wake(self) -> None:
        """Give the next key to whoever asks, if there are both."""
        if self._keys and self._asked is not None:
            asked, self._asked = self._asked, None
            asked.callback(self._keys.popleft())

    def _forget(self, asked: Deferred[str]) -> None:
        """Nobody asks any more."""
        self._asked = None
