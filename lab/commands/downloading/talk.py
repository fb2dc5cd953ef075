"""The talk with a download server: lines from a terminal, a pipe, or the command line."""

import shlex
from collections.abc import Callable

from attrs import define, field

from lab.commands.conversation.aside import Aside
from lab.commands.conversation.session import one_line
from lab.commands.downloading.actions import Actions
from lab.commands.downloading.fetching import code_of
from lab.commands.downloading.quoting import split
from lab.commands.downloading.words import Completer, check
from lab.commands.progress import event
from lab.errors import LabError


@define(eq=False)
class Talk:
    """
    Carries out lines, as `lab.commands.conversation.session.Session` has it.

    Args:
        actions: Does what words say.
        completer: Finds what a line may go on with.
        aside: Prints a text; on a terminal, above the prompt.
        complain: Prints an error.
        as_json: Whether errors are JSON, too.

    Attributes:
        code: Exit code of the first that failed.
    """

    _actions: Actions
    _completer: Completer
    _aside: Aside
    _complain: Callable[[str], object]
    _as_json: bool = False
    _warned: bool = field(init=False, default=False)
    _code: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        """A person is told what would be stopped."""
        self._aside.leaving = self.leaving

    @property
    def prompt(self) -> str:
        """Says how far downloads are."""
        percent = self._actions.jobs.percent()
        return f"download ({percent})> " if percent else "download> "

    @property
    def code(self) -> int:
        """Exit code of the first that failed."""
        return self._code or self._actions.code

    async def line(self, text: str) -> str | None:
        """
        Carry out the commands of a line, one after the other.

        Returns:
            What the last of them has to say; the others have said it.

        Raises:
            LabError: There was one command, and it failed. Of several it is said, and the others
                are carried out.
        """
        try:
            commands = split(text)
        except LabError as error:
            return self._failed(text, error, alone=True)
        said: str | None = None
        for words in commands:
            if said:
                self._aside.say(said)
            said = await self._carry_out(words, alone=len(commands) == 1)
        return said

    async def complete(self, text: str) -> list[str]:
        """What could stand in the place of a text."""
        return await self._completer.complete(text)

    def note(self, code: int) -> None:
        """Something has failed; the first that does counts."""
        self._code = self.code or code

    def leaving(self) -> str:
        """What there is to say instead of ending, unless that was just said."""
        count = len(self._actions.jobs.running)
        if self._warned or not count:
            return ""
        self._warned = True
        what = "1 download goes on" if count == 1 else f"{count} downloads go on"
        return f"{what}; once more to stop: what has come is kept, and get goes on with it later"

    async def _carry_out(self, words: list[str], *, alone: bool) -> str | None:
        """One command; behind ``quit`` none is."""
        if self._aside.over:
            return None
        try:
            if words[0] in {"quit", "exit"}:
                return self._quit()
            self._warned = False
            check(words)
            return await self._actions.carry_out(words)
        except LabError as error:
            return self._failed(shlex.join(words), error, alone=alone)

    def _quit(self) -> str:
        """End, unless something goes on of which nothing was said yet."""
        said = self.leaving()
        self._aside.over = not said
        return said

    def _failed(self, text: str, error: LabError, *, alone: bool) -> str | None:
        """Something went wrong: say so, unless somebody else will."""
        self.note(code_of(error))
        if self._as_json:
            return event("failed", command=text, error=one_line(error), code=code_of(error))
        if alone:
            raise error
        self._complain(one_line(error))
        return None
