"""Logs as JSON lines, for programs, and as lines for people; twistd has text logs of its own."""

import json
import math
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from twisted.application.service import MultiService
from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
    formatTime,
    globalLogBeginner,
)
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile

from lab.errors import LocalError

#: Levels that a log can be kept at.
LEVELS = ("debug", "info", "warn", "error")


def _is_plain(value: object) -> bool:
    """Whether JSON has such a value, and every reader of JSON can read it."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return abs(value) < 2**63
    return value is None or isinstance(value, str)


def format_json(event: LogEvent) -> str:
    r"""
    One log event as one line: time, level, namespace, message, and the event's own plain values.

    >>> format_json({"log_time": 0.0, "log_format": "{n} came", "n": 2, "log_namespace": "lab"})
    '{"time": "1970-01-01T00:00:00+00:00", ..., "message": "2 came", "n": 2}\n'
    """
    line: dict[str, Any] = {
        "time": datetime.fromtimestamp(event.get("log_time", 0.0), UTC).isoformat(),
        "level": getattr(event.get("log_level"), "name", "info"),
        "namespace": str(event.get("log_namespace", "")),
        "message": formatEvent(event),
    }
    if isinstance(failure := event.get("log_failure"), Failure):
        line["failure"] = failure.getTraceback()
    for key, value in event.items():
        if _is_plain(value) and not key.startswith(("log_", "_")):
            line.setdefault(key, value)
    return json.dumps(line) + "\n"


class JsonLog(MultiService):
    """
    A service whose application logs JSON lines, to where twistd would put its text.

    Args:
        twistd: Options of twistd: ``logfile`` and ``nodaemon`` are used.
    """

    def __init__(self, twistd: Mapping[str, Any]) -> None:
        super().__init__()
        self._twistd = twistd

    def setServiceParent(self, parent: Any) -> None:
        """Become the service of an application, and give it its log."""
        super().setServiceParent(parent)
        if isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, FileLogObserver(self._open(), format_json))

    def _open(self) -> TextIO:
        """The log file, or standard output."""
        logfile = self._twistd.get("logfile")
        if logfile == "-" or (not logfile and self._twistd.get("nodaemon")):
            return sys.stdout
        file: TextIO = LogFile.fromFullPath(logfile or "twistd.log")
        return file


def format_line(event: LogEvent) -> str:
    r"""
    One log event as one line for people: time, level, namespace, message.

    >>> format_line({"log_time": 0.0, "log_format": "{n} came", "n": 2, "log_namespace": "lab"})
    '...-...-...T... info lab - 2 came\n'
    """
    level = getattr(event.get("log_level"), "name", "info")
    text = formatEvent(event).replace("\n", " ")
    line = f"{formatTime(event.get('log_time'))} {level} {event.get('log_namespace', '-')} - {text}"
    if isinstance(failure := event.get("log_failure"), Failure):
        line += "\n" + failure.getTraceback().rstrip()
    return line + "\n"


def log_to_file(path: Path, level: str) -> TextIO:
    """
    Log to a file from now on, for people; what is a fault of ours, to standard error as well.

    Args:
        path: The file; its folder is made, and what is in it stays.
        level: The lowest of `LEVELS` that is logged; what is logged as ``system`` is in any case.

    Returns:
        The open file, which is the log's for as long as the process runs.

    Raises:
        LocalError: It can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file: TextIO = path.open("a", encoding="utf-8", buffering=1)
    except OSError as error:
        raise LocalError(f"log-file is {str(path)!r}; {error.strerror}") from None
    wanted = LogLevelFilterPredicate(LogLevel.levelWithName(level))
    wanted.setLogLevelForNamespace("system", LogLevel.info)
    faults = LogLevelFilterPredicate(LogLevel.critical)
    observers = [
        FilteringLogObserver(FileLogObserver(file, format_line), [wanted]),
        FilteringLogObserver(FileLogObserver(sys.stderr, format_line), [faults]),
    ]
    globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False)
    return file
