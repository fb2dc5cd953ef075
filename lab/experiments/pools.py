"""Where repetitions run: in this process, or in several that end with it."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class Inline(Executor):
    """Runs everything at once, in this process: Ctrl-C is for what runs."""

    def submit(self, fn: Callable[..., _Result], /, *args: Any, **kwargs: Any) -> "Future[_Result]":
        """Run it; what it raises is raised here."""
        future: Future[_Result] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@contextmanager
def pool(jobs: int) -> Iterator[Executor]:
    """
    Processes that begin with nothing of this one, and end with it, even if it is killed.

    Args:
        jobs: How many.
    """
    context = get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    executor = ProcessPoolExecutor(
        jobs, mp_context=context, initializer=begin_worker, initargs=(theirs,)
    )
    try:
        with _undisturbed():
            for _ in range(jobs):
                executor.submit(os.getpid)
        yield executor
    except BaseException:
        ours.close()  # whatever they do is not waited for
        raise
    finally:
        executor.shutdown(cancel_futures=True)
        ours.close()
        theirs.close()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let signals wait: a process that is half begun complains of its parent."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin_worker(until: Connection) -> None:
    """
    What a process of a pool does first.

    Ctrl-C is for the process that has started it.

    Args:
        until: It ends when this does.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    threading.Thread(target=end_with, args=(until,), daemon=True).start()


def end_with(until: Connection) -> None:
    """End this process when nobody holds the other end."""
    until.poll(None)
    os._exit(1)
