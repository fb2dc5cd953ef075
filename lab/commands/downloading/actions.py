"""What the words of the talk with a download server do."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import define, field

from lab.commands.conversation.aside import Aside
from lab.commands.conversation.session import printable
from lab.commands.downloading import listing
from lab.commands.downloading.batch import Batch, show_source
from lab.commands.downloading.fetching import Downloads
from lab.commands.downloading.jobs import Jobs
from lab.commands.downloading.views import make_view
from lab.commands.downloading.words import HELP, WORDS
from lab.commands.progress import event
from lab.download.outcomes import Rejected
from lab.download.tcp import DownloadClient
from lab.download.wire import Entry
from lab.errors import LocalError


@define(eq=False)
class Actions:
    """
    One method for each word but ``quit``: it takes what stands behind it, and gives what to print.

    Args:
        reactor: Of the program.
        client: Is asked.
        downloads: Brings files here.
        servers: What is asked, as endpoint strings.
        folder: Where files go.
        aside: Of a terminal, on which downloads go on while a person types; without one each is
            waited for.
        as_json: Whether all that is printed is JSON.

    Attributes:
        jobs: What goes on.
        batch: What is waited for, or was last.
        code: Exit code of the first download that failed.
    """

    _reactor: Any
    _client: DownloadClient
    _downloads: Downloads
    _servers: Sequence[str]
    folder: Path
    _aside: Aside | None = None
    _as_json: bool = False
    jobs: Jobs = field(init=False)
    batch: Batch | None = field(init=False, default=None)
    code: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        """Nothing goes on yet."""
        self.jobs = Jobs(self._downloads, self._aside or Aside())

    async def carry_out(self, words: Sequence[str]) -> str | None:
        """
        Do what a command says.

        Args:
            words: That `lab.commands.downloading.words.check` has found right; not ``quit``.

        Returns:
            What is to be printed.

        Raises:
            LabError: It failed.
        """
        name, *rest = words
        done: str | None = await getattr(self, f"do_{name}")(*rest)
        return done

    async def do_ls(self, pattern: str = "*") -> str:
        """The files of the server."""
        return self._listed(await self._list(pattern))

    async def do_get(self, *names: str) -> None:
        """These files."""
        await self._download("get", names, names)

    async def do_mget(self, *patterns: str) -> None:
        """All files that match."""
        names: list[str] = []
        for pattern in patterns:
            found = await self._list(pattern)
            if not found:
                raise Rejected(f"no file there is called {pattern!r}; see ls")
            names += [entry.name for entry in found]
        await self._download("mget", patterns, names)

    async def do_lcd(self, name: str = "~") -> str:
        """Another folder, or that of the user."""
        folder = listing.below(self.folder, name)
        if not folder.is_dir():
            raise LocalError(f"folder is {str(folder)!r}; there is no such folder")
        self.folder = folder.resolve()
        return await self.do_lpwd()

    async def do_lpwd(self) -> str:
        """Which folder."""
        return self._told(printable(str(self.folder)), "folder", path=str(self.folder))

    async def do_lls(self, pattern: str = "*") -> str:
        """What is in it."""
        above, _, last = pattern.rpartition("/")
        folder = listing.below(self.folder, above + "/" * pattern.startswith("/"))
        return self._listed(listing.local(folder, last or "*"))

    async def do_status(self) -> str:
        """Servers and downloads."""
        batches = [job.batch for job in self.jobs.running.values()]
        seen = [one for batch in batches for run in batch.running.values() for one in run.sources]
        idle = [name for name in self._servers if name not in {one.name for one in seen}]
        rows = [
            ("to", printable(str(self.folder))),
            *(("server", show_source(one)) for one in seen),
            *(("server", name) for name in idle),
            *(("download", row) for row in self.jobs.rows() or ["nothing goes on"]),
        ]
        text = "\n".join(f"{kind:9} {row}" for kind, row in rows)
        return self._told(text, "status", rows=[list(row) for row in rows])

    async def do_jobs(self) -> str:
        """What goes on."""
        rows = self.jobs.rows()
        return self._told("\n".join(rows) or "nothing goes on", "jobs", rows=rows)

    async def do_cancel(self, which: str) -> None:
        """Stop."""
        self.jobs.cancel(which)

    async def do_help(self, name: str = "") -> str:
        """All words, or one."""
        if name and name not in WORDS:
            raise LocalError(f"word is {name!r}; give one of {', '.join(WORDS)}")
        said = f"{WORDS[name].form}: {WORDS[name].text}" if name else HELP
        return self._told(said, "help", says=said)

    async def _list(self, pattern: str) -> list[Entry]:
        """The files of the server that match, without hidden ones that nobody asked for."""
        found = await self._client.list(pattern)
        return [entry for entry in found if listing.shown(pattern, entry.name)]

    async def _download(self, word: str, said: Sequence[str], names: Sequence[str]) -> None:
        """Begin, and wait for the end unless a person has something else to type."""
        batch = Batch(tuple(dict.fromkeys(names)), self.folder)
        view = make_view(self._reactor.seconds, self._aside, as_json=self._as_json)
        if self._aside is not None:
            self.jobs.start(shlex.join([word, *said]), batch, view)
            return
        self.batch = batch
        code = await self._downloads.fetch(batch, view)
        self.code = self.code or code

    def _listed(self, entries: Sequence[Entry]) -> str:
        """Files, one a row."""
        if self._as_json:
            return "\n".join(map(listing.as_json, entries))
        return listing.table(entries)

    def _told(self, text: str, kind: str, **values: Any) -> str:
        """Something for people, or for programs."""
        return event(kind, **values) if self._as_json else text
