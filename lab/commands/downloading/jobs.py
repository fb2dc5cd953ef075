"""Downloads that go on while a person types."""

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from lab.commands.conversation.aside import Aside
from lab.commands.conversation.session import printable
from lab.commands.downloading.batch import Batch
from lab.commands.downloading.fetching import Downloads
from lab.commands.downloading.views import Lines
from lab.errors import LocalError

_log = Logger()


@frozen
class Job:
    """
    A command that goes on.

    Args:
        text: As it was typed.
        batch: Its files.
        done: Fires when they are over; to cancel it leaves what can be gone on with.
    """

    text: str
    batch: Batch
    done: Deferred[int]


@define(eq=False)
class Jobs:
    """
    All that go on, by their numbers, of which none is used twice.

    Args:
        downloads: Carries them out.
        aside: Is told when they are over.

    Attributes:
        running: Those that are not over.
    """

    _downloads: Downloads
    _aside: Aside
    running: dict[int, Job] = field(init=False, factory=dict)
    _last: int = field(init=False, default=0)
    _stopping: set[int] = field(init=False, factory=set)

    def start(self, text: str, batch: Batch, view: Lines) -> None:
        """Begin one, which says by itself how it ends."""
        self._last += 1
        number = self._last
        done = Deferred.fromCoroutine(self._downloads.fetch(batch, view))
        self.running[number] = Job(text, batch, done)
        done.addBoth(self._over, number)

    def cancel(self, which: str) -> None:
        """
        Stop one, or all.

        Args:
            which: A number, or ``all``.

        Raises:
            LocalError: There is no such job.
        """
        if which == "all":
            chosen = list(reversed(self.running))  # those that wait must not begin
        elif which in map(str, self.running):
            chosen = [int(which)]
        else:
            there = ", ".join(map(str, self.running)) or "no job"
            raise LocalError(f"job is {which!r}; there is {there}; give its number or all")
        for number in chosen:
            if number not in self._stopping:  # it may take a while to write what has come
                self._stopping.add(number)
                self.running[number].done.cancel()

    def rows(self) -> list[str]:
        """One for each, with its number."""
        return [
            f"{number}  {printable(job.text)}: {job.batch.text() or 'begins'}"
            for number, job in self.running.items()
        ]

    def percent(self) -> str:
        """How far all are together, for a prompt; empty if there is none."""
        if not self.running:
            return ""
        totals = [job.batch.total() for job in self.running.values()]
        size = sum(one.size or 0 for one in totals)
        done = sum(one.done for one in totals)
        count = f"{len(self.running)} job{'s' * (len(self.running) > 1)}"
        return f"{count}, {100 * done // size} %" if size else count

    def _over(self, result: int | Failure, number: int) -> None:
        """One has ended, or was stopped."""
        del self.running[number]
        self._stopping.discard(number)
        self._aside.refresh()
        if isinstance(result, Failure) and not result.check(CancelledError):
            _log.failure("job {number} has a bug", result, number=number)
