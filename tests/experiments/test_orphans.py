"""A process that ends with its standard input."""

import os
import signal
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from lab.experiments import orphans


class OrphanTests(SynchronousTestCase):
    """Whoever holds the other end is gone."""

    def test_ends(self) -> None:
        """It ends by SIGTERM, whatever was written before, and not earlier."""
        program = (
            "from lab.experiments.orphans import end_with_parent; import threading; "
            "end_with_parent(); print('here', flush=True); threading.Event().wait()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            self.assertEqual(process.stdout.readline(), b"here\n")  # type: ignore[union-attr]
            process.stdin.write(b"some\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            self.assertIs(process.poll(), None)
            process.stdin.close()  # type: ignore[union-attr]
            self.assertEqual(process.wait(30), -signal.SIGTERM)

    def test_here(self) -> None:
        """The same, seen from within."""
        chunks = [b"some", b""]
        killed: list[tuple[int, int]] = []
        self.patch(os, "read", lambda file, size: chunks.pop(0))
        self.patch(os, "kill", lambda *given: killed.append(given))
        orphans.end_with_parent().join()
        self.assertEqual(killed, [(os.getpid(), signal.SIGTERM)])
