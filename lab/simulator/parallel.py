"""
Work in several processes, its results in the order of the work.

Processes are forked, so that the work may be any function, with all that it refers to. Knows no
simulation.
"""

import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, suppress
from itertools import islice
from multiprocessing.connection import Connection, wait
from typing import Any

from attrs import define

from lab.errors import LabError, LocalError


@define(eq=False)
class _Worker:
    """A process, our end of the pipe to it, and the number and the piece that it has."""

    process: Any
    pipe: Connection
    number: int = 0
    piece: Any = None

    def give(self, number: int, piece: Any) -> None:
        """Give it a piece of work."""
        self.number, self.piece = number, piece
        with suppress(OSError):  # if it has died, its result says so
            self.pipe.send(piece)

    def result(self) -> Any:
        """
        What it has made of it; call it when there is something to be read.

        Raises:
            LabError: It has died.
        """
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode
            raise LabError(
                f"the process that had {self.piece!r} has died with exit code {code}"
            ) from None

    def end(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0))


def processes(jobs: int) -> int:
    """
    How many processes are meant by a number of jobs: 0 is one for each CPU.

    Raises:
        LocalError: There can't be so many.
    """
    if jobs < 0:
        raise LocalError(f"jobs is {jobs}; give 0 for one for each CPU, or more")
    return jobs or cpus()


def pieces(values: Iterable[int], size: int) -> Iterator[list[int]]:
    """
    Cut in lists of so many.

    >>> list(pieces(range(5), 2))
    [[0, 1], [2, 3], [4]]
    """
    rest = iter(values)
    while piece := list(islice(rest, size)):
        yield piece


def in_processes(
    work: Callable[[Any], Any], given: Iterable[Any], jobs: int
) -> Generator[tuple[Any, Any]]:
    """
    Do work in several processes.

    Args:
        work: Called with each piece, in some process; what it returns is pickled. It must not
            raise.
        given: The pieces, which are pickled; taken as processes become free.
        jobs: How many processes.

    Yields:
        Each piece and its result, in the order of the pieces. The processes end with the iteration,
        or when it is given up.

    Raises:
        LocalError: Processes can't be forked here.
        LabError: A process has died; the text says what it had.
    """
    if "fork" not in multiprocessing.get_all_start_methods():
        raise LocalError(f"jobs is {jobs}, and this system can't fork; give 1")
    with ExitStack() as stack:
        idle = [_start(work, stack) for _ in range(jobs)]
        busy: list[_Worker] = []
        done: dict[int, tuple[Any, Any]] = {}
        rest = enumerate(given)
        following = 0
        while True:
            for number, piece in islice(rest, len(idle)):
                busy.append(idle.pop())
                busy[-1].give(number, piece)
            if not busy:
                return
            ready = wait([worker.pipe for worker in busy])
            for worker in [worker for worker in busy if worker.pipe in ready]:
                done[worker.number] = worker.piece, worker.result()
                busy.remove(worker)
                idle.append(worker)
            while following in done:
                yield done.pop(following)
                following += 1


def _start(work: Callable[[Any], Any], stack: ExitStack) -> _Worker:
    """Start a process that ends with the stack."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(work, theirs), daemon=True)
    with warnings.catch_warnings():
        # A process with threads may fork: the child has only this one, and uses none of theirs.
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    theirs.close()
    worker = _Worker(process, ours)
    stack.callback(worker.end)
    return worker


def serve(work: Callable[[Any], Any], pipe: Connection) -> None:
    """
    What a process does: take pieces until there are no more.

    Ctrl-C is for the process that has started it, which ends this one. So are the handlers of
    signals that a reactor has there, and the file descriptor by which they wake it.
    """
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while True:
        try:
            piece = pipe.recv()
        except EOFError:
            return
        pipe.send(work(piece))
