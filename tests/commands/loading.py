"""What the tests of all loads need: their options, their service, a reactor of their own."""

import io
import re
import sys
from importlib import import_module
from typing import Any

from twisted import internet
from twisted.application.service import IService
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.client import Options, makeService
from tests.helpers import captured_logs


class FakeReactor(Clock):
    """A clock that can be told to stop."""

    stopped = 0

    def callWhenRunning(self, function: Any) -> None:
        """It is not running yet: call it with the next calls."""
        self.callLater(0, function)

    def stop(self) -> None:
        """Note it."""
        self.stopped += 1


class LoadCase(SynchronousTestCase):
    """Parses options and makes the service of them, on a fake reactor."""

    #: The service that is named.
    service = "arithmetic"

    def setUp(self) -> None:
        """Put the fakes in their places, and keep the hook for exceptions."""
        self.reactor: Any = FakeReactor()
        import_module("twisted.internet.reactor")  # there has to be one in this place
        self.patch(internet, "reactor", self.reactor)
        self.patch(sys, "excepthook", sys.excepthook)
        self.out = io.StringIO()
        self.patch(sys, "__stdout__", self.out)

    def parse(self, *words: str) -> Options:
        """These words, parsed."""
        options = Options()
        options.parseOptions([self.service, *words])
        return options

    def options(self, *words: str) -> Any:
        """The options of the service in them."""
        return self.parse(*words).subOptions

    def start(self, *words: str) -> IService:
        """The service of these words, running."""
        service = makeService(self.parse(*words))
        with captured_logs() as events:
            service.startService()
        self.logged = [formatEvent(event) for event in events]
        self.reactor.advance(0)
        return service

    def stop(self, service: IService) -> list[LogEvent]:
        """Stop it; what it logs."""
        with captured_logs() as events:
            self.successResultOf(service.stopService())
        return list(events)

    def rows(self, text: str) -> dict[str, str]:
        """The rows of a summary."""
        return dict(re.split(r" {2,}| (?=\d)", row, maxsplit=1) for row in text.splitlines())

    def mistakes(self, lines: dict[str, str]) -> None:
        """Each of these mistakes is one line with what is allowed, and exit code 2."""
        for words, line in lines.items():
            said = io.StringIO()
            self.patch(sys, "stderr", said)
            ended = self.assertRaises(SystemExit, self.parse, *words.split())
            self.assertEqual((ended.code, said.getvalue().count("\n")), (2, 1), words)
            self.assertIn(f"lab-client {self.service}: {line}", said.getvalue())
