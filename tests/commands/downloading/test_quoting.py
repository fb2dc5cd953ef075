"""Lines of words: they come apart as a shell would have it, and words go on as they began."""

import shlex

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.downloading.quoting import split, typed
from lab.errors import LocalError

#: What has a meaning, and what has none.
TEXTS = st.text("ab'\"\\; \t#*$é\n", max_size=12)
WORDS = st.lists(st.lists(TEXTS, min_size=1, max_size=3), max_size=3)


class SplitTests(SynchronousTestCase):
    """Commands and their words."""

    def test_each(self) -> None:
        """Quotes of both kinds, backslashes, empty words, and ``;`` that are not quoted."""
        for text, commands in (
            ("", []),
            (" ;; ", []),
            ("ls", [["ls"]]),
            ("ls ;get  a\tb;", [["ls"], ["get", "a", "b"]]),
            ("get 'a;b' \"c;d\" e\\;f", [["get", "a;b", "c;d", "e;f"]]),
            ("get ''", [["get", ""]]),
            ("get \"a'b\" 'c\"d'; ls", [["get", "a'b", 'c"d'], ["ls"]]),
            ('get "a\\";b"', [["get", 'a";b']]),
            ("get 'a\\'; ls", [["get", "a\\"], ["ls"]]),
            ("ls #1", [["ls", "#1"]]),
        ):
            self.assertEqual(split(text), commands, text)

    def test_mistakes(self) -> None:
        """A quotation that does not end is said in a line."""
        for text in ("get 'a", 'get "a; ls', "get a\\"):
            error = str(self.assertRaises(LocalError, split, text))
            self.assertIn(repr(text), error)
            self.assertNotIn("\n", error)

    @settings(max_examples=50, deadline=None)
    @given(WORDS)
    @example([["a;b", "c"], ["'"]])
    def test_what_is_quoted_comes_back(self, commands: list[list[str]]) -> None:
        """Whatever words there are, quoted by a shell they are the same again."""
        text = ";".join(shlex.join(words) for words in commands)
        self.assertEqual(split(text), commands)

    @settings(max_examples=50, deadline=None)
    @given(TEXTS)
    def test_any_text(self, text: str) -> None:
        """A text has words, or is refused; as it is typed there is always something to say."""
        typed(text)
        try:
            commands = split(text)
        except LocalError:
            return
        self.assertNotIn([], commands)


class TypedTests(SynchronousTestCase):
    """What is being typed."""

    def test_each(self) -> None:
        """The words before, the last one, and its quote."""
        for text, words, last, quote in (
            ("", (), "", ""),
            ("ge", (), "ge", ""),
            ("get ", ("get",), "", ""),
            ("ls; get 'a b' c", ("get", "a b"), "c", ""),
            ("get 'a b", ("get",), "a b", "'"),
            ('get "a', ("get",), "a", '"'),
            ("get a\\ b", ("get",), "a b", ""),
            ("get 'a'b", ("get",), "ab", ""),
            ("get a;", (), "", ""),
        ):
            found = typed(text)
            assert found is not None
            self.assertEqual((found.words, found.last, found.quote), (words, last, quote))

    def test_backslash(self) -> None:
        """Behind a backslash nobody knows, also within quotes."""
        self.assertIsNone(typed("get a\\"))
        self.assertIsNone(typed('get "a\\'))
        self.assertIsNotNone(typed("get 'a\\"))

    @settings(max_examples=50, deadline=None)
    @given(TEXTS, TEXTS.filter(lambda text: "\n" not in text))
    @example("get my", " file")
    @example("get 'a", "'b")
    @example('get "a', '"b\\')
    @example("get a", ";")
    def test_goes_on(self, text: str, rest: str) -> None:
        """Whatever was typed, with the ending behind it the last word is the one that was meant."""
        found = typed(text)
        if found is None or not (found.last or rest):
            return
        whole = text + found.ending(found.last + rest)
        *_, words = split(whole) or [[]]
        self.assertEqual(words, [*found.words, found.last + rest])
