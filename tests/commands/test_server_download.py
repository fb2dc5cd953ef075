"""What lab-server makes of the options of the download service."""

import math
import os
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.server_download import DirectoryService, catalogue, download_settings, report
from lab.commands.server_options import DOWNLOAD, FLAGS
from lab.download import files
from lab.download.catalogue import Catalogue
from lab.download.settings import ServerSettings
from lab.download.tcp import DownloadFactory
from lab.errors import LocalError
from tests.helpers import captured_logs, folder


def options(**words: Any) -> dict[str, Any]:
    """Those that were given, and the others' defaults."""
    given = {name.replace("_", "-"): text for name, text in words.items()}
    defaults: dict[str, Any] = {str(row[0]): row[2] for row in DOWNLOAD}
    return {"idle": "300", **defaults, **{str(row[0]): 0 for row in FLAGS}, **given}


class SettingsTests(SynchronousTestCase):
    """What options say."""

    def test_defaults(self) -> None:
        """Without options they are those of the service."""
        self.assertEqual(download_settings(options()), ServerSettings())

    def test_all(self) -> None:
        """Each limit has its option, in the units that people type."""
        made = download_settings(
            options(
                idle="1m", limit_rate="64K", total_limit_rate="1M", transfers="2",
                total_transfers="3", connections="4", total_connections="5",
            )
        )  # fmt: skip
        self.assertEqual(made, ServerSettings(60, 65536, 2**20, 2, 3, 4, 5))
        self.assertEqual(download_settings(options()).rate, math.inf)

    def test_mistakes(self) -> None:
        """What can't be is said under the name of the option, with what is allowed."""
        for name, text, said in (
            ("limit_rate", "0", "limit-rate is '0'; give more than 0, for example 64K or 10M"),
            ("total_limit_rate", "x", "total-limit-rate is 'x'; give bytes, for example"),
            ("transfers", "0", "transfers is '0'; give a whole number from 1 to 1,000,000"),
            ("total_transfers", "-1", "total-transfers is '-1'; give a whole number"),
            ("connections", "0", "connections is '0'; give a whole number"),
            ("total_connections", "1.5", "total-connections is '1.5'; give a whole number"),
        ):
            error = self.assertRaises(LocalError, download_settings, options(**{name: text}))
            self.assertIn(said, str(error))

    def test_catalogue(self) -> None:
        """The root is where it is now, with what is asked for."""
        root = folder(self)
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(root)
        made = catalogue(options())
        self.assertEqual((made.root, made.recursive, made.hidden), (str(root), False, False))
        made = catalogue(options(root="/", recursive=1, hidden=1))
        self.assertEqual((made.root, made.recursive, made.hidden), ("/", True, True))
        error = self.assertRaises(LocalError, catalogue, options(root="nothing"))
        self.assertIn("nothing': No such file or directory; give a directory", str(error))


class ServiceTests(SynchronousTestCase):
    """What is said."""

    def start(self, names: str) -> tuple[DirectoryService, Clock, DownloadFactory]:
        """A service with these files."""
        root, clock = folder(self), Clock()
        for name in names:
            (root / name).touch()
        factory = DownloadFactory(clock, Catalogue(root))
        service = DirectoryService(factory, "/srv/files")
        service.startService()
        return service, clock, factory

    def said(self, names: str) -> list[str | None]:
        """What is logged of so many files."""
        with captured_logs() as events:
            _, clock, _ = self.start(names)
            clock.advance(0)
        return [formatEvent(event) for event in events]

    def test_start(self) -> None:
        """Which directory is served, and how many files there are."""
        self.assertEqual(self.said("abc"), ["download serves /srv/files: 3 files"])

    def test_too_many(self) -> None:
        """Where there are very many that is said."""
        self.patch(files, "ENTRIES", 2)
        text = "download serves /srv/files: more than 2 files match; give a narrower pattern"
        self.assertEqual(self.said("abc"), [text])

    def test_stop(self) -> None:
        """Who stops before that does not wait for it."""
        with captured_logs() as events:
            service, clock, factory = self.start("a")
            service.stopService()
            clock.advance(0)
        self.assertEqual((events, len(factory.workshop)), ([], 0))

    def test_report(self) -> None:
        """In the end it says what it did."""
        factory = DownloadFactory(Clock(), Catalogue(folder(self)))
        counters = factory.counters
        counters.requests, counters.transfers, counters.refused, counters.busy = 1000, 2, 5, 6
        counters.system_bytes, counters.read_bytes, counters.hashed = 3000, 4, 7
        self.assertEqual(
            report(factory),
            "1,000 requests, 2 transfers, 3,004 bytes, 7 hashed, 5 refused, 6 busy",
        )
