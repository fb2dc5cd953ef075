"""Rules about all rooms: what they load, and where they are described."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

CHECKOUT = Path(__file__).parents[1]
ROOMS = [
    ".".join(path.relative_to(CHECKOUT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(CHECKOUT.glob("lab/**/*.py"))
]
#: Rooms that a command is made of; they are described by their options.
COMMANDS = "lab.commands"


def loaded_by(*rooms: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after importing these rooms."""
    code = f"import sys, {', '.join(rooms)}; print(*sys.modules)"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


class LoadTests(SynchronousTestCase):
    """What importing a room brings with it."""

    def test_pure_rooms(self) -> None:
        """Rooms that the contract calls pure load no Twisted, in the end either."""
        contracts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["importlinter"]
        (contract,) = (c for c in contracts["contracts"] if c["name"] == "Pure rooms")
        rooms = [
            room
            for room in ROOMS
            for source in contract["source_modules"]
            if room == source or room.startswith(source.removesuffix("**"))
        ]
        self.assertGreater(len(rooms), 10)
        self.assertEqual(
            loaded_by(*rooms) & {"twisted", "zope", "OpenSSL", "click", "rich", "matplotlib"}, set()
        )

    def test_to_embed(self) -> None:
        """A service that is embedded brings no command line with it, no reactor, no plots."""
        rooms = [room for room in ROOMS if not room.startswith(COMMANDS)]
        refused = {"click", "rich", "matplotlib", "twisted.internet.reactor"}
        self.assertEqual(loaded_by(*rooms) & refused, set())


class DescribedTests(SynchronousTestCase):
    """What the reference says."""

    def test_every_room(self) -> None:
        """The reference of the API has each room, once."""
        text = (CHECKOUT / "doc" / "reference" / "api.rst").read_text()
        described = re.findall(r"^\.\. automodule:: (\S+)$", text, re.MULTILINE)
        rooms = [room for room in ROOMS if room != "lab" and not room.startswith(COMMANDS)]
        self.assertEqual(sorted(described), rooms)
