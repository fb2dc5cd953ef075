"""Keys out of bytes."""

from twisted.internet.defer import CancelledError

from lab.commands.conversation.keyboard import CTRL_C, HANG_UP, Keyboard
from tests.commands.conversation.helpers import DELETE, UP, BoundedTestCase


class KeyboardTests(BoundedTestCase):
    """Keys out of bytes."""

    def keys(self, *chunks: bytes) -> list[str]:
        """All keys in some chunks."""
        keyboard = Keyboard()
        for chunk in chunks:
            keyboard.feed(chunk)
        got = []
        while keyboard.waiting():
            got.append(self.successResultOf(keyboard.get()))
        return got

    def test_any_chunking_gives_the_same_keys(self) -> None:
        """Keys and characters may come in pieces."""
        data = "a\u00e9\u65e5".encode() + UP + DELETE + b"\x1bOB" + b"\x1bOF\r"
        keys = ["a", "\u00e9", "\u65e5", "[UP_ARROW]", "[DELETE]", "[DOWN_ARROW]", "[END]", "\r"]
        for size in range(1, len(data) + 1):
            chunks = [data[at : at + size] for at in range(0, len(data), size)]
            self.assertEqual(self.keys(*chunks), keys)

    def test_foreign_keys_are_no_text(self) -> None:
        """Alt with a letter, Ctrl with an arrow and bytes that are no UTF-8 give nothing."""
        self.assertEqual(self.keys(b"\x1bx\x1b[1;5C\xff\xfe\x1bOZy"), ["y"])

    def test_ctrl_c_is_a_key_unless_something_is_under_way(self) -> None:
        """Under way it interrupts, and drops the keys before it and not those after it."""
        keyboard, calls = Keyboard(), []
        with keyboard.interrupting(lambda: calls.append("interrupt")):
            keyboard.feed(b"ab\x03c")
        self.assertEqual(calls, ["interrupt"])
        self.assertEqual(self.successResultOf(keyboard.get()), "c")
        keyboard.feed(b"\x03")
        self.assertEqual(self.successResultOf(keyboard.get()), CTRL_C)

    def test_ctrl_c_that_came_before_what_it_interrupts(self) -> None:
        """In one chunk with the line it interrupts all the same, once for several."""
        keyboard, calls = Keyboard(), []
        keyboard.feed(b"a\x03\x03b")
        with keyboard.interrupting(lambda: calls.append("interrupt")):
            self.assertEqual(calls, ["interrupt"])
        self.assertEqual(self.successResultOf(keyboard.get()), "b")

    def test_a_terminal_that_is_gone(self) -> None:
        """It interrupts what is under way, and its own key is the only one left."""
        keyboard, calls = Keyboard(), []
        keyboard.feed(b"abc")
        keyboard.hang_up()
        self.assertEqual(self.successResultOf(keyboard.get()), HANG_UP)
        with keyboard.interrupting(lambda: calls.append("interrupt")):
            keyboard.hang_up()
        self.assertEqual(calls, ["interrupt"])

    def test_whoever_asks_is_told_when_a_key_comes(self) -> None:
        """A key that comes later answers who asked, and one who gave up gets none."""
        keyboard = Keyboard()
        gone = keyboard.get()
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        asked = keyboard.get()
        self.assertNoResult(asked)
        keyboard.feed(b"k")
        self.assertEqual(self.successResultOf(asked), "k")
