"""
What the options of all three services of twistd have in common.

Mistakes are one line on standard error and exit code 2. An INI file is read with the rules of
the command line, because it is turned into one; what it sets, it sets against the command line.
"""

import getopt
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

from twisted.application.service import MultiService
from twisted.logger import Logger
from twisted.python import usage

from lab.commands.ini import OVERRIDDEN, as_words, read_section
from lab.commands.logs import JsonLog
from lab.errors import LabError, LocalError

_log = Logger()

FORMATS = ("text", "json")


class LabOptions(usage.Options):
    """
    Options with an INI file, a log format, and errors of one line.

    A subclass gives `section`, the name of its section in the INI file, names options that may
    be repeated in `repeatable`, and checks its values in `settle`. If the file of its ``config`` is
    something else, `ini` is false.
    """

    section = ""
    ini = True
    repeatable: tuple[str, ...] = ()

    def opt_version(self) -> NoReturn:
        """Show the versions of txlab and of Twisted, and end."""
        from importlib.metadata import version

        print(f"txlab {version('txlab')} on Twisted {version('twisted')}")  # noqa: T201
        raise SystemExit(0)

    def parseOptions(self, options: list[str] | None = None) -> None:
        """Parse; a mistake ends the program."""
        _forget_pid_file(self.parent)
        try:
            super().parseOptions(self._sort(sys.argv[1:] if options is None else options))
        except (usage.UsageError, LabError) as error:
            sys.stderr.write(f"{self.section}: {error}\n")
            raise SystemExit(2) from None

    def postOptions(self) -> None:
        """Let the file have its say, then check everything."""
        if self.get("config") and self.ini:
            self._override(read_section(Path(self["config"]), self.section))
        if self["log-format"] not in FORMATS:
            raise LocalError(f"log-format is {self['log-format']!r}; give text or json")
        self.settle()

    def services(self) -> MultiService:
        """What the services go into; it has the log that was asked for."""
        return JsonLog(self.parent or {}) if self["log-format"] == "json" else MultiService()

    def settle(self) -> None:
        """
        Turn words into values.

        Raises:
            LocalError: A value can't be.
        """

    def _sort(self, words: list[str]) -> list[str]:
        """The words with options before arguments; notes which options were given."""
        try:
            pairs, arguments = getopt.gnu_getopt(words, self.shortOpt, self.longOpt)
        except getopt.GetoptError as error:
            raise LocalError(f"{error}; see --help") from error
        synonyms = {name: long.replace("_", "-") for name, long in self.synonyms.items()}
        named = [(synonyms[name.lstrip("-")], value) for name, value in pairs]
        self.given = {name for name, _ in named}
        options = [
            f"--{name}={value}" if f"{name}=" in self.longOpt else f"--{name}"
            for name, value in named
        ]
        return [*options, "--", *arguments] if arguments else options

    def _override(self, section: dict[str, str]) -> None:
        """Parse the section as a command line, and take over what it sets."""
        from_file = type(self)()
        from_file.parent = self.parent
        known = {long.rstrip("=") for long in self.longOpt} - {"config", "help", "version"}
        flags = {long for long in self.longOpt if not long.endswith("=")}
        from_file.parseOptions(as_words(section, known, flags, self.repeatable))
        for name in section:  # a flag may be there to be switched off
            if name in self.given and self[name] != from_file[name]:
                _log.warn(
                    OVERRIDDEN,
                    option=f"--{name}",
                    given=_shown(self[name]),
                    value=_shown(from_file[name]),
                    file=str(self["config"]),
                )
            self[name] = from_file[name]


def without_password(text: str) -> str:
    """
    A URL, or what should be one, to be shown.

    >>> without_password("redis://lab:sesame@there:6379/0")
    'redis://***@there:6379/0'
    """
    return re.sub("//.*@", "//***@", text)


def _shown(value: Any) -> Any:
    """A value as the log may have it."""
    return without_password(value) if isinstance(value, str) else value


def _forget_pid_file(parent: usage.Options | None) -> None:
    """
    Have twistd write no file with its process id in the foreground, unless one was named.

    Nobody needs it there, and it would not let server and client run in one folder.
    """
    while parent is not None:
        if parent.get("nodaemon") and parent.get("pidfile") == "twistd.pid":
            parent["pidfile"] = ""
        parent = parent.parent


def one_line(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """
    An exception hook for `sys.excepthook`: our own errors are one line, without traceback.

    The line goes to the real standard error, and to the log if that is not shown anyway: twistd
    has put its log in the place of `sys.stderr`.
    """
    if not issubclass(kind, LabError):
        sys.__excepthook__(kind, error, trace)
        return
    if sys.stderr is not sys.__stderr__:
        _log.critical("{error}", error=str(error))
    if sys.__stderr__ is not None:
        sys.__stderr__.write(f"{error}\n")
