"""What both talks do with a session."""

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.conversation.session import Interrupted, begin, complete, encode, one_line
from lab.errors import LocalError, RemoteError
from tests.commands.conversation.helpers import FakeSession


class CoroutineSession(FakeSession):
    """Its lines are coroutines."""

    async def line(self, text: str) -> str | None:
        """Refuse a line, or wait for ever."""
        if text == "bad":
            raise LocalError("bad is bad")
        return await Deferred[str]()


class SessionTests(SynchronousTestCase):
    """What both talks do with a session."""

    def test_begins_lines_of_both_kinds(self) -> None:
        """A Deferred and a coroutine both become something to wait for and to cancel."""
        for session in (FakeSession(), CoroutineSession()):
            under_way = begin(session, "good")
            self.assertNoResult(under_way)
            under_way.cancel()
            self.failureResultOf(under_way, CancelledError)

    def test_completes_at_once_or_later(self) -> None:
        """A list becomes something to wait for."""
        found = complete(FakeSession(words=["a"]), "")
        self.assertEqual(self.successResultOf(found), ["a"])

    def test_an_error_at_once_is_an_error_all_the_same(self) -> None:
        """Nothing is raised where a line begins."""
        self.failureResultOf(begin(CoroutineSession(), "bad"), LocalError)

    def test_interrupted(self) -> None:
        """It is a cancellation, with a text."""
        self.assertIsInstance(Interrupted("2 of 9"), CancelledError)
        self.assertEqual(Interrupted("2 of 9").text, "2 of 9")

    def test_a_text_has_one_line_ending(self) -> None:
        """It is added where there is none, and what is no UTF-8 is shown as code."""
        self.assertEqual([encode("a"), encode("a\nb\n")], [b"a\n", b"a\nb\n"])
        self.assertEqual(encode("\ud800"), b"\\ud800\n")

    def test_an_error_is_one_line_of_visible_characters(self) -> None:
        """Control codes are shown as codes; an error without a text is its name."""
        self.assertEqual(one_line(RemoteError("a\nb\x1b[2J\u00e9")), "a\\nb\\x1b[2J\u00e9")
        self.assertEqual(one_line(RemoteError()), "RemoteError")
