"""What a conversation and its command have to say besides lines and answers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import define


@define(eq=False)
class Aside:
    """
    Says what happens by itself: above the prompt while there is one, plainly anywhere else.

    A command makes one, hands it to `converse`, and goes on using it.

    Attributes:
        over: Set by a command to end the talk on a terminal when the line is done.

    Args:
        plain: Prints a text where there is no prompt.
        leaving: Asked when a person wants to end the talk: a text is shown, and the talk goes on;
            an empty one lets it end. Not asked when the terminal is gone.
    """

    _plain: Callable[[str], object] = lambda text: None
    leaving: Callable[[], str] = lambda: ""
    over: bool = False
    _above: Callable[[str], None] | None = None

    @property
    def prompted(self) -> bool:
        """Whether a person is at a prompt."""
        return self._above is not None

    def say(self, text: str) -> None:
        """Print a text of one row or more; nothing in it is escaped."""
        (self._above or self._plain)(text)

    def refresh(self) -> None:
        """Draw the prompt again, if there is one: it has changed."""
        if self._above is not None:
            self._above("")

    @contextmanager
    def above(self, show: Callable[[str], None]) -> Iterator[None]:
        """Meanwhile a dialogue shows what is said, and draws its prompt again below it."""
        self._above = show
        try:
            yield
        finally:
            self._above = None
