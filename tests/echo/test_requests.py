"""What clients of the echo service say."""

from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from lab.echo.fields import HUGE
from lab.echo.requests import (
    ENCODERS,
    AskCounts,
    AskLimits,
    Echo,
    File,
    Probe,
    Quit,
    Request,
    Stream,
    read_command,
)
from tests.echo.messages import COMMANDS


def written(request: Request) -> bytes:
    """The bytes, without the id."""
    return ENCODERS[type(request)](request)


class CommandTests(SynchronousTestCase):
    """Commands, and what is text."""

    def test_forms(self) -> None:
        """Every form of a command, and what is left out."""
        forms = {
            b"stream": Stream(1000, 10, 64),
            b"stream 10": Stream(10, 10, 64),
            b"stream 10 100": Stream(10, 100, 64),
            b"stream 0 1 65507": Stream(0, 1, 65_507),
            b"0": File(0, 0, 0, 0),
            b"1000": File(1000, 0, 1000, 0),
            b"file 1000": File(1000, 0, 1000, 0),
            b"file 1000 400": File(1000, 400, 600, 0),
            b"file 1000 400 50": File(1000, 400, 50, 0),
            b"file 1000 400 50 7": File(1000, 400, 50, 7),
            b"file 5 9": File(5, 9, 0, 0),
            b"probe 1 2": Probe(1, 2),
            b"probe 1 2 ": Probe(1, 2, b""),
            b"probe 1 2 a b": Probe(1, 2, b"a b"),
            b"counts": AskCounts(),
            b"limits": AskLimits(),
            b"quit": Quit(),
        }
        for said, expected in forms.items():
            for ending in (b"", b"\n", b"\r\n"):
                self.assertEqual(read_command(said + ending), expected)
            again = read_command(written(expected))
            self.assertEqual(again, expected)

    def test_text(self) -> None:
        """All else is text, and comes back byte for byte."""
        texts = [b"", b"hello", b"echo", b"echo\n", b"007", b"-1", b"+1", b"1.0", b"1 2", b" 1"]
        texts += [b"stream x", b"stream  1", b"stream 1 ", b"stream 01", b"stream 1 2 3 4", b"Quit"]
        texts += [b"quit now", b"quit\r", b"quit\n\n", b"file", b"file ", b"file 1 2 3 4 5", b"1\r"]
        texts += [b"probe", b"probe 1", b"probe 1 x", b"probe 1 2 a\nb", b"probe 1 " + b"9" * 20]
        texts += [b"counts 1", b"limits ", b"\xff\x00", b"hello\n", b"hello\r\n", "٣".encode()]
        for text in texts:
            self.assertIsNone(read_command(text), text)
            self.assertEqual(written(Echo(text)), text)
            self.assertEqual(written(Echo(text, b"k")), text)

    def test_large_numbers(self) -> None:
        """A number of any length is read at once, and is beyond every limit if it is long."""
        self.assertEqual(read_command(b"9" * 19), File(HUGE))
        for digits in (20, 60_000):
            self.assertEqual(read_command(b"9" * digits), File(HUGE))
            self.assertEqual(read_command(b"stream 1 1" + b"0" * digits), Stream(1, HUGE))

    @given(COMMANDS)
    def test_round_trip(self, command: Request) -> None:
        """What is written is read as the same, but for the id, which stands before it."""
        read = read_command(written(command))
        self.assertEqual(type(read), type(command))
        self.assertEqual(written(read), written(command))

    def test_part_of_a_file(self) -> None:
        """All to the end, and nothing of a part behind the end."""
        self.assertEqual([File(10, at).length for at in (0, 4, 10, 11)], [10, 6, 0, 0])

    def test_would_be_another(self) -> None:
        """A text that would be taken for something else stands behind echo."""
        for text in (b"quit", b"42\n", b"echo x", b"stream 1 2"):
            for id in (b"", b"k"):
                self.assertEqual(written(Echo(text, id)), b"echo " + text)
        # What is so at the beginning of a message only.
        for text in (b"#k hello", b"token=x hello"):
            self.assertEqual(written(Echo(text)), b"echo " + text)
            self.assertEqual(written(Echo(text, b"k")), text)
