"""Logs as JSON lines."""

import io
import json
import sys
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.application.service import Application, IService, MultiService
from twisted.logger import ILogObserver, Logger, LogLevel, LogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lab.commands import logs
from lab.commands.logs import LEVELS, JsonLog, format_json, format_line
from lab.errors import LocalError
from tests.helpers import folder


class Mute:
    """A value that can't be shown."""

    def __repr__(self) -> str:
        """Fail."""
        raise ZeroDivisionError


PLAIN = st.none() | st.booleans() | st.integers() | st.floats()
ODD = st.binary() | st.lists(st.integers()) | st.builds(object) | st.builds(Mute)
#: Names beginning with log_ are Twisted's, with values of its own.
NAMES = st.text().filter(lambda name: not name.startswith("log_"))
EVENTS = st.builds(
    lambda own, twisteds: {**own, **twisteds},
    st.dictionaries(
        st.sampled_from(["n", "went", "time", "message", "failure", "_hidden", "\n"]) | NAMES,
        PLAIN | st.text() | ODD,
    ),
    st.fixed_dictionaries(
        {"log_format": st.just("{n} came\r\nand {went}") | st.text()},
        optional={
            "log_time": st.floats(0, 4e9),
            "log_level": st.sampled_from(list(LogLevel.iterconstants())),
            "log_namespace": st.text(),
            "log_failure": st.text().map(lambda text: Failure(ValueError(text))) | st.booleans(),
        },
    ),
)


def parse(line: str) -> Any:
    """Read JSON as strictly as other programs do; Python's own reader takes NaN, too."""

    def refuse(word: str) -> None:
        """Refuse what is no JSON."""
        raise ValueError(f"{word} is no JSON")

    return json.loads(line, parse_constant=refuse)


class FormatTests(SynchronousTestCase):
    """One event, one line."""

    def test_values(self) -> None:
        """Time, level, namespace and message, and the plain values of the event."""
        event: dict[str, Any] = {
            "log_time": 1.5, "log_level": LogLevel.warn, "log_namespace": "lab.x",
            "log_format": "{n} came", "n": 2, "who": object(), "_secret": 3, "log_source": "y",
        }  # fmt: skip
        self.assertEqual(
            json.loads(format_json(event)),
            {
                "time": "1970-01-01T00:00:01.500000+00:00",
                "level": "warn",
                "namespace": "lab.x",
                "message": "2 came",
                "n": 2,
            },
        )

    def test_own_words_win(self) -> None:
        """A value of the event can't pretend to be the message."""
        event = {"log_time": 0.0, "log_format": "{message}!", "message": "fire", "level": "none"}
        found = json.loads(format_json(event))
        self.assertEqual((found["message"], found["level"]), ("fire!", "info"))

    def test_failure(self) -> None:
        """A failure has its traceback, in the same line."""
        line = format_json({"log_format": "oops", "log_failure": Failure(ValueError("no\nway"))})
        self.assertEqual(line.count("\n"), 1)
        self.assertIn("ValueError: no\nway", json.loads(line)["failure"])

    @given(EVENTS)
    def test_any_event(self, event: dict[str, Any]) -> None:
        """Whatever finite numbers, texts and odd values an event holds, it is one line of JSON."""
        line = format_json(event)
        self.assertEqual(len(line.splitlines()), 1)
        self.assertTrue(line.endswith("}\n"))
        found = parse(line)
        self.assertLessEqual({"time", "level", "namespace", "message"}, set(found))
        for name, value in event.items():
            if isinstance(value, Mute | bytes | list):
                self.assertNotIn(value, [found.get(name)])


class JsonLogTests(SynchronousTestCase):
    """Where the lines go."""

    def observe(self, **twistd: object) -> Any:
        """The observer that an application gets with these options of twistd."""
        application = Application("test")
        JsonLog(twistd).setServiceParent(application)
        self.assertEqual(len(list(IService(application))), 1)
        return ILogObserver(application)

    def test_standard_output(self) -> None:
        """In the foreground, and when ``-`` is named, to standard output."""
        for twistd in ({"nodaemon": True}, {"logfile": "-"}):
            self.patch(sys, "stdout", io.StringIO())
            self.observe(**twistd)({"log_format": "hello"})
            self.assertEqual(json.loads(sys.stdout.getvalue())["message"], "hello")

    def test_file(self) -> None:
        """To the file that is named, in the foreground too."""
        file = folder(self) / "lab.log"
        observer = self.observe(logfile=str(file), nodaemon=True)
        observer({"log_format": "hello"})
        observer._outFile.close()
        self.assertEqual(json.loads(file.read_text())["message"], "hello")

    def test_usual_file(self) -> None:
        """In the background, to twistd.log where it was started."""
        names: list[str] = []

        class StandIn:
            """Notes the name instead of opening it."""

            @staticmethod
            def fromFullPath(name: str) -> io.StringIO:
                """Note it."""
                names.append(name)
                return io.StringIO()

        self.patch(sys.modules["lab.commands.logs"], "LogFile", StandIn)
        self.observe()
        self.assertEqual(names, ["twistd.log"])

    def test_inside_another_service(self) -> None:
        """A parent that is no application keeps the log it has."""
        parent = MultiService()
        log = JsonLog({"logfile": str(Path("nowhere") / "lab.log")})
        log.setServiceParent(parent)
        self.assertEqual(list(parent), [log])


class LineTests(SynchronousTestCase):
    """A log for people, in a file."""

    def setUp(self) -> None:
        """Note what would be begun."""
        self.begun: list[Any] = []
        self.patch(
            logs.globalLogBeginner,
            "beginLoggingTo",
            lambda observers, redirectStandardIO: self.begun.extend(observers),
        )
        self.path = folder(self) / "logs" / "a.log"

    def log(self, level: str) -> list[str]:
        """The lines of a log at this level, of one event at each."""
        self.begun.clear()
        self.addCleanup(logs.log_to_file(self.path, level).close)
        for namespace in ("lab", "system"):
            log = Logger(namespace, observer=LogPublisher(*self.begun))
            for name in LEVELS:
                log.emit(LogLevel.levelWithName(name), "{what}\ncame", what=name)
        return [line.split(" ", 1)[1] for line in self.path.read_text().splitlines()]

    def test_levels(self) -> None:
        """What is at the level or worse; ``system`` speaks in any case, but not of trifles."""
        self.assertEqual(
            self.log("warn"),
            [
                *(f"{name} lab - {name} came" for name in ("warn", "error")),
                *(f"{name} system - {name} came" for name in ("info", "warn", "error")),
            ],
        )
        self.assertEqual(len(self.log("debug")), 5 + 7)

    def test_time(self) -> None:
        """A line begins with the time."""
        self.assertRegex(
            format_line({"log_time": 0.0, "log_format": "x"}), r"^19\d\d-\S+ info - - x"
        )

    def test_faults(self) -> None:
        """A fault of ours is told on standard error as well, with its traceback."""
        screen = io.StringIO()
        self.patch(sys, "stderr", screen)
        self.addCleanup(logs.log_to_file(self.path, "error").close)
        log = Logger("lab", observer=LogPublisher(*self.begun))
        log.failure("ouch", Failure(ZeroDivisionError("by zero")))
        for text in (screen.getvalue(), self.path.read_text()):
            self.assertIn(" critical lab - ouch\n", text)
            self.assertIn("ZeroDivisionError: by zero\n", text)
        log.error("no fault of ours")
        self.assertNotIn("no fault", screen.getvalue())

    def test_no_place(self) -> None:
        """One line says why."""
        error = self.assertRaises(LocalError, logs.log_to_file, Path("/proc/x/y"), "info")
        self.assertIn("log-file is '/proc/x/y'; ", str(error))
