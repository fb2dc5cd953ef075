"""Work in several processes."""

import multiprocessing
import os
import signal
import socket
import threading
from itertools import count
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LabError, LocalError
from lab.simulator.parallel import cpus, in_processes, pieces, processes, serve


class Pipe:
    """A pipe with what is to be received; what is sent is kept."""

    def __init__(self, *given: Any) -> None:
        self._given = list(given)
        self.sent: list[Any] = []

    def recv(self) -> Any:
        """The next, or the end."""
        if not self._given:
            raise EOFError
        return self._given.pop(0)

    def send(self, value: Any) -> None:
        """Keep it."""
        self.sent.append(value)


class ParallelTests(SynchronousTestCase):
    """Results, and what goes wrong."""

    def children(self) -> list[Any]:
        """Processes that are still there."""
        return multiprocessing.active_children()

    def test_order(self) -> None:
        """Results come in the order of the pieces, from other processes, and these end."""
        here = os.getpid()

        def work(number: int) -> tuple[int, bool]:
            """A closure, which nothing could pickle."""
            return number * number, os.getpid() != here

        for jobs in (1, 2, 5):
            found = list(in_processes(work, range(40), jobs))
            self.assertEqual(found, [(n, (n * n, True)) for n in range(40)])
            self.assertEqual(self.children(), [])

    def test_slow_first(self) -> None:
        """A piece that takes long holds back the results behind it, and no process."""
        ready = multiprocessing.get_context("fork").Event()

        def work(number: int) -> bool:
            """Wait for the last one."""
            if number == 9:
                ready.set()
            return ready.wait(30) if number == 0 else True

        self.assertEqual(list(in_processes(work, range(10), 2)), [(n, True) for n in range(10)])

    def test_nothing(self) -> None:
        """Without work there is no result."""
        self.assertEqual(list(in_processes(len, [], 2)), [])

    def test_given_up(self) -> None:
        """Pieces may have no end; who has heard enough gives up, and the processes end."""
        found = in_processes(str, count(), 2)
        self.assertEqual([next(found), next(found)], [(0, "0"), (1, "1")])
        self.assertEqual(len(self.children()), 2)
        found.close()  # type: ignore[attr-defined]
        self.assertEqual(self.children(), [])

    def test_dies(self) -> None:
        """A process that dies is told of, with what it had."""
        for end, code in (
            (lambda _: os._exit(3), 3),
            (lambda _: os.kill(os.getpid(), signal.SIGKILL), -9),
        ):
            error = self.assertRaises(LabError, list, in_processes(end, [[1, 2]], 2))
            self.assertEqual(
                str(error), f"the process that had [1, 2] has died with exit code {code}"
            )
            self.assertEqual(self.children(), [])

    def test_handlers(self) -> None:
        """The handlers of a reactor, which processes have inherited, keep none of them alive."""
        self.addCleanup(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        signal.signal(signal.SIGTERM, lambda *_: None)
        found = in_processes(signal.getsignal, [signal.SIGTERM], 1)
        self.assertEqual(list(found), [(signal.SIGTERM, signal.SIG_DFL)])
        self.assertEqual(self.children(), [])

    def test_threads(self) -> None:
        """A process that has threads may fork."""
        over = threading.Event()
        thread = threading.Thread(target=over.wait)
        thread.start()
        try:
            self.assertEqual(list(in_processes(str, [1], 1)), [(1, "1")])
        finally:
            over.set()
            thread.join()

    def test_no_fork(self) -> None:
        """Where nothing can be forked, it says so."""
        with mock.patch.object(multiprocessing, "get_all_start_methods", return_value=["spawn"]):
            error = self.assertRaises(LocalError, list, in_processes(str, [1], 2))
        self.assertEqual(str(error), "jobs is 2, and this system can't fork; give 1")

    def test_serve(self) -> None:
        """A process works until there is no more; signals are not for the reactor it comes from."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
            self.addCleanup(end.close)
        self.addCleanup(signal.set_wakeup_fd, signal.set_wakeup_fd(theirs.fileno()))
        pipe: Any = Pipe(1, 2)
        serve(str, pipe)
        self.assertEqual(pipe.sent, ["1", "2"])
        self.assertEqual(signal.getsignal(signal.SIGINT), signal.SIG_IGN)
        self.assertEqual(signal.getsignal(signal.SIGTERM), signal.SIG_DFL)
        self.assertEqual(signal.set_wakeup_fd(-1), -1)

    def test_pieces(self) -> None:
        """All values, in lists of one size, but the last."""
        self.assertEqual(list(pieces(iter(range(5)), 3)), [[0, 1, 2], [3, 4]])
        self.assertEqual(list(pieces([], 3)), [])

    def test_cpus(self) -> None:
        """There is at least one, and 0 jobs are one for each."""
        self.assertGreater(cpus(), 0)
        self.assertEqual([processes(jobs) for jobs in (0, 1, 7)], [cpus(), 1, 7])
        self.assertRaises(LocalError, processes, -1)
