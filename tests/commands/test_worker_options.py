"""What several processes can serve, and what workers are told."""

import io
import sys
from typing import Any

from twisted.internet.task import Clock
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from lab.adapters.reuseport import SharedPorts
from lab.commands.server import Options
from lab.commands.worker_options import MOST, server_words, shared_reactors
from lab.errors import LocalError

TCP = "tcp:0:interface=127.0.0.1"
COUNT = f"give a whole number from 1 to {MOST}"


class OptionTests(SynchronousTestCase):
    """What can be had by several processes, and what they are told."""

    def options(self, *words: str, **twistd: Any) -> Options:
        """Parsed options."""
        options = Options()
        options.parent = usage.Options()
        options.parent.update(twistd, nodaemon=True)
        options.parseOptions(list(words))
        return options

    def refused(self, *words: str, **twistd: Any) -> str:
        """The line with which they are refused."""
        told, sys.stderr = sys.stderr, io.StringIO()
        try:
            self.assertRaises(SystemExit, self.options, "--workers", "2", *words, **twistd)
            return sys.stderr.getvalue()
        finally:
            sys.stderr = told

    def test_refused(self) -> None:
        """What one process alone can do is refused, in a line that says what can be done."""
        here = "--arithmetic", TCP
        for words, twistd, line in (
            (("--sequence", TCP), {}, "sessions is 'memory', of one process"),
            ((), {}, "need --sessions redis://HOST:PORT/DATABASE"),
            (("--sessions", "sqlite:x", "--sequence", TCP), {}, "sessions is 'sqlite:x'"),
            (("--echo", "unix:/tmp/x"), {}, "echo is at 'unix:/tmp/x'; workers can share tcp, "),
            ((*here, "--control", "/tmp/c"), {}, "control is for a server of one process"),
            ((*here, "--console"), {}, "console is for a server of one process"),
            (here, {"uid": 65534}, "leave uid of twistd out"),
            ((*here, "--workers", "257"), {}, f"workers is '257'; {COUNT}"),
            ((*here, "--workers", "0"), {}, f"workers is '0'; {COUNT}"),
            ((*here, "--workers", "1", "--worker", "1,2"), {}, "worker is '1,2'"),
        ):
            self.assertIn(line, self.refused(*words, **twistd), words)

    def test_words(self) -> None:
        """Workers are told what the options have come to, wherever that was said."""
        options = self.options(
            *("--workers", "2", "--sequence", TCP, "--sessions", "redis://u:p@h/0"),
            *("--interval", "5", "--recursive", "--success", ".9", "--seed", "7"),
            reactor="lab",
        )
        self.assertEqual(
            server_words(options, [4000]),
            [
                *("-n", "--pidfile=", "--reactor=lab", "lab-server", "--log-format=json"),
                *("--worker=4000", "--seed=7", "--recursive", "--success=.9", "--interval=5"),
                *("--sessions=redis://u:p@h/0", f"--sequence={TCP}"),
            ],
        )
        words = server_words(options, [4000])
        again = self.options(*words[words.index("lab-server") + 1 :])
        self.assertEqual(again.settings, options.settings)
        self.assertEqual(again.sequence, options.sequence)

    def test_reactors(self) -> None:
        """A worker shares the ports that it is told; others have theirs alone."""
        self.assertEqual(shared_reactors("r", None, 2), ["r", "r"])
        one, two = shared_reactors(Clock(), "4000,4001", 2)
        self.assertIsInstance(one, SharedPorts)
        self.assertEqual((one._port, two._port), (4000, 4001))
        self.assertRaises(LocalError, shared_reactors, "r", "x", 1)
