"""
Lines of words, quoted as in a shell: commands, their arguments, and how a word may go on.

Only quoting is the shell's: there are no variables, no patterns and no pipes.
"""

import re
import shlex

from attrs import frozen

from lab.errors import LocalError

#: What stands for itself outside quotes; all else is quoted when a word is completed.
_PLAIN = re.compile(r"[\w@%+=:,./~^-]", re.UNICODE)


def split(text: str) -> list[list[str]]:
    """
    The commands of a line, each a list of words; ``;`` stands between them.

    Raises:
        LocalError: A quotation that does not end.

    >>> split("ls; get 'my file' b\\\\;c")
    [['ls'], ['get', 'my file', 'b;c']]
    """
    try:
        commands = [shlex.split(part) for part in _parts(text)]
    except ValueError as error:
        raise LocalError(f"{str(error).lower()} in {text!r}; quote as in a shell") from None
    return [words for words in commands if words]


@frozen
class Typed:
    """
    A line that is not yet at its end.

    Args:
        words: Of the last command, those before the one that is being typed.
        last: That one, without its quotes.
        quote: The quote that is open in it; empty outside quotes.
    """

    words: tuple[str, ...]
    last: str
    quote: str

    def ending(self, word: str) -> str:
        """
        What has to be typed for the last word to be this one.

        Args:
            word: Begins with `last`.

        >>> typed("get my").ending("my file"), typed("get 'my").ending("my file")
        ('\\\\ file', " file'")
        """
        rest = word[len(self.last) :]
        if self.quote == "'":
            return rest.replace("'", "'\\''") + "'"
        if self.quote == '"':
            return re.sub(r'(["\\])', r"\\\1", rest) + '"'
        return "".join(char if _PLAIN.fullmatch(char) else f"\\{char}" for char in rest)


def typed(text: str) -> Typed | None:
    """
    What there is of a line before the cursor; None if it ends in a backslash.

    >>> typed("ls; get a 'b c")
    Typed(words=('get', 'a'), last='b c', quote="'")
    """
    last = _parts(text)[-1]
    quote = _open_quote(last)
    if quote == "\\":
        return None
    # A mark of its own, so that there always is a last word, be it empty.
    *words, word = shlex.split(last + "." + quote)
    return Typed(tuple(words), word[:-1], quote)


def _parts(text: str) -> list[str]:
    """The text between ``;`` that are not quoted."""
    parts, quote = [""], ""
    for char in text:
        if char == ";" and not quote:
            parts.append("")
            continue
        parts[-1] += char
        quote = _after(quote, char)
    return parts


def _open_quote(text: str) -> str:
    """The quote that is open at the end of a text; a backslash if that is its end."""
    quote = ""
    for char in text:
        quote = _after(quote, char)
    return quote[-1:]


def _after(quote: str, char: str) -> str:
    """The quotes that are open behind a character; the last of them may be a backslash."""
    if quote.endswith("\\"):
        return quote[:-1]
    if char == "\\" and quote != "'":
        return quote + char
    if not quote and char in "'\"":
        return char
    return "" if quote == char else quote
