"""Where repetitions run."""

import os
import signal
import threading
from multiprocessing import Pipe

from twisted.trial.unittest import SynchronousTestCase

from lab.experiments import pools
from lab.experiments.pools import Inline, begin_worker, end_with, pool


class InlineTests(SynchronousTestCase):
    """In this process."""

    def test_at_once(self) -> None:
        """The result is there; what is raised is raised here."""
        self.assertEqual(Inline().submit(pow, 2, 3).result(), 8)
        with self.assertRaises(ZeroDivisionError):
            Inline().submit(pow, 0, -1)


class PoolTests(SynchronousTestCase):
    """In processes of their own."""

    def test_elsewhere(self) -> None:
        """Each call is in some process that is not this one."""
        with pool(1) as executor:
            self.assertNotEqual(executor.submit(os.getpid).result(60), os.getpid())

    def test_given_up(self) -> None:
        """Nobody waits for what is not done when something goes wrong."""
        with self.assertRaises(KeyboardInterrupt), pool(1) as executor:
            executor.submit(os.getpid).result(60)
            executor.submit(signal.pause)
            raise KeyboardInterrupt


class WorkerTests(SynchronousTestCase):
    """What a process of a pool does, seen from within."""

    def test_end(self) -> None:
        """It ends when the other end is closed."""
        theirs, ours = Pipe(duplex=False)
        self.addCleanup(theirs.close)
        codes: list[int] = []
        self.patch(os, "_exit", codes.append)
        ours.close()
        end_with(theirs)
        self.assertEqual(codes, [1])

    def test_begin(self) -> None:
        """Ctrl-C is nothing to it, SIGTERM is, and a thread waits for the end."""
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
        self.addCleanup(signal.pthread_sigmask, signal.SIG_SETMASK, masked)
        self.addCleanup(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT))
        waiting = threading.Event()
        self.patch(pools, "end_with", lambda until: waiting.set())
        begin_worker(None)  # type: ignore[arg-type]
        self.assertTrue(waiting.wait(60))
        self.assertEqual(signal.getsignal(signal.SIGINT), signal.SIG_IGN)
        self.assertNotIn(signal.SIGTERM, signal.pthread_sigmask(signal.SIG_BLOCK, ()))
