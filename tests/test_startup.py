"""What commands load before they do anything: they have to start at once."""

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

CHECKOUT = Path(__file__).parents[1]
LAB, TWISTD = "lab.commands.main:main", "twisted.scripts.twistd:run"
#: What only plots, pages, metrics, terminals and tests need.
HEAVY = {
    "hypothesis", "matplotlib", "numpy", "prometheus_client", "pytest", "rich", "sqlite3",
    "statistics", "treq", "twisted.conch", "twisted.web", "txredisapi",
}  # fmt: skip
#: Rooms of which a command of one service needs none.
ELSEWHERE = {
    "lab.capture", "lab.download", "lab.echo", "lab.experiments", "lab.faults", "lab.proxy",
    "lab.sequence", "lab.simulator",
}  # fmt: skip


def loaded_by(entry: str, *words: str) -> set[str]:
    """The modules that a program has loaded when it ends."""
    module, _, name = entry.partition(":")
    code = f"""
import sys
from {module} import {name}
sys.argv = {[name, *words]}
try:
    {name}()
except SystemExit:
    pass
print("\\n", *sys.modules)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


class StartTests(SynchronousTestCase):
    """Each command, in an interpreter of its own."""

    def test_lab_help(self) -> None:
        """The help of all commands loads none of them, and no Twisted."""
        loaded = loaded_by(LAB, "--help")
        self.assertEqual(
            loaded & (HEAVY | {"asyncio", "attr", "OpenSSL", "twisted", "zope"}), set()
        )
        rooms = {name for name in loaded if name.startswith("lab.")}
        self.assertEqual(rooms, {"lab.commands", "lab.commands.lazy", "lab.commands.main"})

    def test_lab_arithmetic(self) -> None:
        """A request, to a port where nobody listens, loads nothing of what it does not use."""
        loaded = loaded_by(LAB, "arithmetic", "tcp:127.0.0.1:1", "+,1,1")
        self.assertIn("twisted.internet.reactor", loaded)
        self.assertEqual(loaded & (HEAVY | ELSEWHERE), set())

    def test_lab_download(self) -> None:
        """So does a download: no bars, and no prompt."""
        loaded = loaded_by(LAB, "download", "tcp:127.0.0.1:1", "--timeout", "0.1", "x")
        self.assertIn("twisted.internet.reactor", loaded)
        self.assertEqual(loaded & (HEAVY | ELSEWHERE - {"lab.download"}), set())

    def test_service_help(self) -> None:
        """The help of each service loads none, and chooses no reactor."""
        refused = HEAVY | ELSEWHERE | {"lab.adapters", "lab.arithmetic", "OpenSSL", "click"}
        for name in ("server", "proxy", "client", "client sequence"):
            loaded = loaded_by(TWISTD, *f"lab-{name}".split(), "--help")
            self.assertIn(f"lab.commands.{name.split()[0]}", loaded)
            self.assertEqual(loaded & (refused | {"twisted.internet.reactor"}), set(), name)

    def test_twistd_help(self) -> None:
        """The help of twistd names our commands, and loads nothing of them."""
        loaded = loaded_by(TWISTD, "--help")
        self.assertEqual({name for name in loaded if name.partition(".")[0] == "lab"}, set())
        self.assertNotIn("twisted.internet.reactor", loaded)
