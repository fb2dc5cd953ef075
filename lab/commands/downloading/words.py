"""The words of the talk with a download server, and how what stands behind them is completed."""

import glob
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from attrs import define, frozen
from twisted.internet.defer import TimeoutError as TookTooLong

from lab.commands.downloading import listing
from lab.commands.downloading.quoting import typed
from lab.download.tcp import DownloadClient
from lab.errors import LabError, LocalError

#: Most seconds that a completion may take, and most of them that are shown.
_PATIENCE, _SHOWN = 2.0, 200


@frozen
class Word:
    """
    A word that begins a command.

    Args:
        form: How it is used.
        text: What it does, in a line.
        least: Arguments that it needs.
        most: Those that it takes; None for any number.
        kind: What they are: ``remote``, ``local``, ``folders``, ``jobs``, ``words``, or nothing.
    """

    form: str
    text: str
    least: int = 0
    most: int | None = 0
    kind: str = ""


WORDS = {
    "ls": Word("ls [GLOB]", "the files of the server", 0, 1, "remote"),
    "get": Word("get NAME...", "download these files", 1, None, "remote"),
    "mget": Word("mget GLOB...", "download all files whose names match", 1, None, "remote"),
    "lcd": Word("lcd [DIR]", "download into this folder from now on", 0, 1, "folders"),
    "lpwd": Word("lpwd", "which folder that is"),
    "lls": Word("lls [GLOB]", "what is in it", 0, 1, "local"),
    "status": Word("status", "servers and downloads, and how far they are"),
    "jobs": Word("jobs", "downloads that go on, with their numbers"),
    "cancel": Word("cancel N|all", "stop one, or all; get goes on with it later", 1, 1, "jobs"),
    "help": Word("help [WORD]", "this, or what a word does", 0, 1, "words"),
    "quit": Word("quit", "end; exit is the same"),
}
HELP = (
    "\n".join(f"  {word.form:14}{word.text}" for word in WORDS.values())
    + """
Words are quoted as in a shell: get 'my file'. Commands may stand in a row: ls; get a.
On a terminal get goes on while you type. TAB completes, Up and Down recall what was typed."""
)


def check(words: list[str]) -> None:
    """
    See to it that a command is one.

    Raises:
        LocalError: It is not, or it has too few or too many words behind it.
    """
    name, *rest = words
    if name not in WORDS:
        raise LocalError(f"command is {name!r}; give one of {', '.join(WORDS)}")
    word = WORDS[name]
    if len(rest) < word.least or (word.most is not None and len(rest) > word.most):
        count = f"{len(rest)} word{'s' * (len(rest) != 1)}"
        raise LocalError(f"{name} has {count} behind it; give {word.form}")


@define(eq=False)
class Completer:
    """
    Finds what a line may go on with.

    Args:
        reactor: Gives the time: no completion takes long.
        client: Knows the names of the server.
        folder: Gives the folder here.
        jobs: Gives the numbers of what goes on.
    """

    _reactor: Any
    _client: DownloadClient
    _folder: Callable[[], Path]
    _jobs: Callable[[], Iterable[int]]

    async def complete(self, text: str) -> list[str]:
        """Whole lines that begin with this text, sorted."""
        line = typed(text)
        if line is None:
            return []
        if not line.words:
            fits = [name for name in WORDS if name.startswith(line.last)]
            ends = [" " if WORDS[name].most != 0 else "" for name in fits]
            return [
                text + name[len(line.last) :] + end for name, end in zip(fits, ends, strict=True)
            ]
        kind = WORDS[line.words[0]].kind if line.words[0] in WORDS else ""
        found = await self._candidates(kind, line.last)
        fits = sorted(one for one in found if one.startswith(line.last))
        if len(fits) > _SHOWN:  # what all have in common is what the first and the last have
            fits = [*fits[: _SHOWN - 1], fits[-1]]
        return [text + line.ending(one) for one in fits]

    async def _candidates(self, kind: str, begun: str) -> list[str]:
        """What there is of a kind; at least what begins with this."""
        if kind == "remote":
            return await self._remote(begun)
        if kind in {"local", "folders"}:
            return self._local(begun, folders=kind == "folders")
        if kind == "jobs":
            return [*map(str, self._jobs()), "all"]
        return list(WORDS) if kind == "words" else []

    async def _remote(self, begun: str) -> list[str]:
        """Names of the server, if it tells them soon."""
        pattern = glob.escape(begun) + "*"
        try:
            found = await self._client.list(pattern).addTimeout(_PATIENCE, self._reactor)
        except (LabError, TookTooLong):
            return []
        return [entry.name for entry in found if listing.shown(pattern, entry.name)]

    def _local(self, begun: str, *, folders: bool) -> list[str]:
        """Names of the folder, or of another that was begun with."""
        above, slash, last = begun.rpartition("/")
        above += slash
        try:
            place = listing.below(self._folder(), above)
            found = listing.local(place, glob.escape(last) + "*")
        except LocalError:
            return []
        return [above + one.name for one in found if one.name.endswith("/") or not folders]
