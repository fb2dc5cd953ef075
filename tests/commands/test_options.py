"""What the options of all services of twistd have in common."""

import io
import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.application.service import MultiService
from twisted.logger import formatEvent
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.logs import JsonLog
from lab.commands.options import LabOptions, one_line
from lab.errors import LocalError
from tests.helpers import captured_logs, folder


class Options(LabOptions):
    """Options of a service that there is not."""

    section = "lab-x"
    repeatable = ("place",)
    optParameters = [  # noqa: RUF012
        ["rate", "r", "10", "A rate."],
        ["log-format", None, "text", "A format."],
        ["config", "c", None, "A file."],
    ]
    optFlags = [["again", "a", "A flag."]]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self["place"] = []

    def opt_place(self, place: str) -> None:
        """A place; may be repeated."""
        self["place"] = [*self["place"], place]

    def parseArgs(self, *words: str) -> None:
        """Take any words."""
        self.words = words

    def settle(self) -> None:
        """Refuse one value."""
        if self["rate"] == "0":
            raise LocalError("rate is '0'; give 1 or more")


class OptionsCase(SynchronousTestCase):
    """A test case with a file."""

    def parse(self, *words: str) -> Options:
        """Parse these words."""
        options = Options()
        options.parseOptions(list(words))
        return options

    def file(self, text: str) -> str:
        """The path of a file with this text."""
        path = folder(self) / "x.ini"
        path.write_text(text, encoding="utf-8")
        return str(path)

    def assertRefused(self, text: str, *words: str) -> None:
        """One line on standard error that has this text, and exit code 2."""
        self.patch(sys, "stderr", io.StringIO())
        done = self.assertRaises(SystemExit, self.parse, *words)
        said = sys.stderr.getvalue()
        self.assertEqual((done.code, said.count("\n"), said[:7]), (2, 1, "lab-x: "))
        self.assertIn(text, said)


class CommandLineTests(OptionsCase):
    """Words of a command line."""

    def test_options_and_arguments(self) -> None:
        """Options may stand behind arguments; what stands behind ``--`` is none."""
        options = self.parse("-r", "5", "one", "--again", "two", "--place=a", "--", "--place=b")
        self.assertEqual((options["rate"], options["again"], options["place"]), ("5", 1, ["a"]))
        self.assertEqual(options.words, ("one", "two", "--place=b"))
        self.assertEqual(options.given, {"rate", "again", "place"})

    def test_repeated(self) -> None:
        """An option that may be repeated keeps all its values in order, another one its last."""
        options = self.parse("--place", "b", "-r1", "--place", "a", "--rate=2", "--place=b")
        self.assertEqual((options["place"], options["rate"]), (["b", "a", "b"], "2"))

    def test_empty_value(self) -> None:
        """An empty value is a value."""
        self.assertEqual(self.parse("--rate=", "x")["rate"], "")
        self.assertEqual(self.parse("--rate", "")["rate"], "")

    def test_of_the_process(self) -> None:
        """Without words those of the process are taken."""
        self.patch(sys, "argv", ["x", "--rate", "7"])
        options = Options()
        options.parseOptions()
        self.assertEqual(options["rate"], "7")

    def test_mistakes(self) -> None:
        """Each mistake is one line."""
        self.assertRefused("option --bogus not recognized; see --help", "--bogus")
        self.assertRefused("option --rate requires argument; see --help", "--rate")
        self.assertRefused("option --again must not have an argument; see --help", "--again=1")
        self.assertRefused("rate is '0'; give 1 or more", "-r0")
        self.assertRefused("log-format is 'xml'; give text or json", "--log-format", "xml")

    def test_mistake_of_twisteds(self) -> None:
        """So is a mistake that Twisted finds."""

        def fail(self: Any) -> None:
            """Refuse."""
            raise usage.UsageError("not so")

        self.patch(Options, "settle", fail)
        self.assertRefused("lab-x: not so\n")

    def test_version(self) -> None:
        """The versions are said, and that is all."""
        self.patch(sys, "stdout", io.StringIO())
        done = self.assertRaises(SystemExit, self.parse, "--version")
        self.assertEqual(done.code, 0)
        self.assertRegex(sys.stdout.getvalue(), r"^txlab \S+ on Twisted \d+\.\d+\.\d+\n$")

    def test_pid_file(self) -> None:
        """In the foreground twistd writes none, unless one is named; in the background it does."""
        for twistd, expected in (
            ({"nodaemon": 1, "pidfile": "twistd.pid"}, ""),
            ({"nodaemon": 1, "pidfile": "x.pid"}, "x.pid"),
            ({"nodaemon": 0, "pidfile": "twistd.pid"}, "twistd.pid"),
        ):
            options, between, outer = Options(), usage.Options(), usage.Options()
            outer.update(twistd)
            options.parent, between.parent = between, outer
            options.parseOptions([])
            self.assertEqual(outer["pidfile"], expected)

    def test_nothing_to_settle(self) -> None:
        """A service without values of its own need not check any."""
        self.assertIsNone(LabOptions().settle())

    def test_services(self) -> None:
        """With json the services bring their log with them."""
        self.assertIs(type(self.parse().services()), MultiService)
        self.assertIs(type(self.parse("--log-format", "json").services()), JsonLog)


class FileTests(OptionsCase):
    """An INI file."""

    def test_overrides(self) -> None:
        """The file wins over the command line, and what it overrides is logged with both values."""
        path = self.file("[lab-x]\nrate = 20\nplace = a\n  b\nagain = yes\n")
        with captured_logs() as events:
            options = self.parse("--rate", "5", "--again", "-c", path)
        found = (options["rate"], options["place"], options["again"])
        self.assertEqual(found, ("20", ["a", "b"], 1))
        (event,) = events
        self.assertEqual(
            [event[name] for name in ("option", "given", "value", "file")],
            ["--rate", "5", "20", path],
        )
        text = f"--rate: 5 of the command line is overridden by 20 of {path}"
        self.assertEqual(formatEvent(event), text)

    def test_overrides_show_no_password(self) -> None:
        """Of a URL the log has no password."""
        path = self.file("[lab-x]\nrate = redis://:sesame@here\n")
        with captured_logs() as events:
            options = self.parse("--rate", "redis://lab:hidden@there/1", "-c", path)
        self.assertEqual(options["rate"], "redis://:sesame@here")
        text = "--rate: redis://***@there/1 of the command line is overridden by redis://***@here"
        self.assertEqual(formatEvent(events[0]), f"{text} of {path}")

    def test_overrides_all_values(self) -> None:
        """The values of an option that may be repeated are replaced, not added to."""
        path = self.file("[lab-x]\nplace =\n  c\n\n  d\n")
        with captured_logs() as events:
            options = self.parse("--place=a", "--place=b", "-c", path)
        self.assertEqual(options["place"], ["c", "d"])
        self.assertEqual([event["given"] for event in events], [["a", "b"]])

    def test_says_nothing_of_the_same(self) -> None:
        """Where file and command line agree, or one says nothing, there is nothing to log."""
        path = self.file("[lab-x]\nrate = 5\nplace = a\n")
        with captured_logs() as events:
            self.parse("--rate", "5", "--again", "-c", path)
        self.assertEqual(events, [])

    def test_other_sections(self) -> None:
        """What stands in other sections is somebody else's; what is not said stays."""
        path = self.file("[lab-y]\nbogus = 1\n[lab-x]\nplace = a:b=c%d\n")
        options = self.parse("--rate", "5", "-c", path)
        self.assertEqual((options["rate"], options["place"]), ("5", ["a:b=c%d"]))

    def test_flag(self) -> None:
        """A flag is switched on or off, in all words that INI files have for it."""
        for word, state in {"yes": 1, "On": 1, "1": 1, "no": 0, "false": 0}.items():
            path = self.file(f"[lab-x]\nagain = {word}\n")
            with captured_logs() as events:
                self.assertEqual(self.parse("--again", "-c", path)["again"], state)
            self.assertEqual(len(events), 1 - state)

    def test_mistakes(self) -> None:
        """Each mistake is one line that names the file or the name, and what is allowed."""
        allowed = "allowed are again, log-format, place, rate"
        for text, expected in {
            "[lab-x]\nbogus = 1\n": f"config has 'bogus'; {allowed}",
            "[lab-x]\nconfig = x.ini\n": f"config has 'config'; {allowed}",
            "[lab-x]\nagain = perhaps\n": "config has again = 'perhaps'; give yes or no",
            "[lab-x]\nrate = 0\n": "rate is '0'; give 1 or more",
            "[lab-y]\n": "it has no section [lab-x]",
            "rate = 5\n": "File contains no section headers.",
            "[lab-x]\nrate = 5\nrate = 6\n": "already exists",
        }.items():
            self.assertRefused(expected, "-c", self.file(text))

    def test_mistakes_name_the_file(self) -> None:
        """A file without our section, or that is none of INI, is named."""
        for text in ("", "[lab-y]\n", "rate = 5\n"):
            path = self.file(text)
            self.assertRefused(f"config is {path!r}; ", "-c", path)

    def test_no_file(self) -> None:
        """A file that is not there, or that is no text, is a mistake like any other."""
        path = folder(self) / "x.ini"
        self.assertRefused("No such file or directory", "-c", str(path))
        path.write_bytes(b"[lab-x]\nrate = \xff\n")
        self.assertRefused("can't decode byte 0xff", "-c", str(path))

    @given(st.text(max_size=60) | st.text(max_size=60).map("[lab-x]\nrate = {}".format))
    def test_any_file(self, text: str) -> None:
        """Whatever a file holds, it is read, or refused in one line."""
        path = self.file(text)
        self.patch(sys, "stderr", io.StringIO())
        try:
            self.parse("-c", path)
        except SystemExit as error:
            self.assertEqual((error.code, sys.stderr.getvalue().count("\n")), (2, 1))


class OneLineTests(SynchronousTestCase):
    """Errors that end a program."""

    def show(self, error: Exception) -> str:
        """What is said of an error on the real standard error."""
        self.patch(sys, "__stderr__", io.StringIO())
        one_line(type(error), error, None)
        return sys.__stderr__.getvalue()

    def test_ours(self) -> None:
        """An error of ours is one line; in the log as well, if that is not shown anyway."""
        with captured_logs() as events:
            self.assertEqual(self.show(LocalError("no way")), "no way\n")
        self.assertEqual([event["error"] for event in events], ["no way"])
        with captured_logs() as events:
            real = io.StringIO()
            self.patch(sys, "__stderr__", real)
            self.patch(sys, "stderr", real)
            one_line(LocalError, LocalError("no way"), None)
        self.assertEqual((real.getvalue(), events), ("no way\n", []))

    def test_nowhere_to_say_it(self) -> None:
        """A daemon has no standard error, and the log is all there is."""
        self.patch(sys, "__stderr__", None)
        with captured_logs() as events:
            one_line(LocalError, LocalError("no way"), None)
        self.assertEqual(len(events), 1)

    def test_bugs(self) -> None:
        """Anything else is shown as ever."""
        seen: list[object] = []
        self.patch(sys, "__excepthook__", lambda *of: seen.extend(of))
        error = ValueError("oops")
        self.assertEqual(self.show(error), "")
        self.assertEqual(seen, [ValueError, error, None])
