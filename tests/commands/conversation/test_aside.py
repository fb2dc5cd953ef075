"""What a conversation and its command have to say besides."""

from twisted.trial.unittest import SynchronousTestCase

from lab.commands.conversation.aside import Aside


class AsideTests(SynchronousTestCase):
    """Where it is said."""

    def test_where(self) -> None:
        """Above the prompt while there is one, plainly before and afterwards."""
        plain: list[str] = []
        above: list[str] = []
        aside = Aside(plain.append)
        aside.say("one")
        aside.refresh()
        with aside.above(above.append):
            self.assertTrue(aside.prompted)
            aside.say("two")
            aside.refresh()
        self.assertFalse(aside.prompted)
        aside.say("three")
        self.assertEqual((plain, above), (["one", "three"], ["two", ""]))

    def test_nobody(self) -> None:
        """Unless somebody says something else, nothing is said, and the talk may end."""
        aside = Aside()
        aside.say("one")
        self.assertEqual(aside.leaving(), "")

    def test_error(self) -> None:
        """Behind an error there is no prompt either."""
        aside = Aside()
        with self.assertRaises(ZeroDivisionError), aside.above(lambda text: None):
            raise ZeroDivisionError
        self.assertFalse(aside.prompted)
