"""The reference of options names each option there is, and no other."""

import re
import tempfile
from collections.abc import Iterator
from configparser import ConfigParser
from itertools import pairwise
from pathlib import Path
from textwrap import dedent

import click
from attrs import field, frozen
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from lab.commands import client, download, proxy, server
from lab.commands.configured import Configured
from lab.commands.load_arithmetic import ArithmeticOptions
from lab.commands.load_sequence import SequenceOptions
from lab.commands.main import main
from lab.commands.options import LabOptions

DOC = Path(__file__).parents[1] / "doc"
PAGE = DOC / "reference" / "options.rst"
#: What a file need not set: it can't, or says what another option says.
NOT_IN_FILE = {"config", "help", "version", "success", "worker"}
#: Where a server listens is no default of the option: it is what is done without it.
COMPUTED = {
    ("lab-server", "--arithmetic"),
    ("lab-server", "--sequence"),
    ("lab-server", "--echo"),
    ("lab-server", "--download"),
    ("lab-proxy", "--api"),
}

Names = frozenset[str]


@frozen
class Option:
    """
    One option, as the page or as the command has it.

    Args:
        names: All its names, with dashes.
        takes: Whether a value follows.
        default: That value if none is given, as it is typed; None without one.
    """

    names: Names
    takes: bool
    default: str | None = field(default=None)


def described(text: str) -> dict[str, list[Option]]:
    """The options that a page names, by program."""
    found: dict[str, list[Option]] = {}
    marks = list(re.finditer(r"^\.\. (program|option):: (.+)$", text, re.MULTILINE))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    program = ""
    for mark, end in zip(marks, ends, strict=True):
        kind, words = mark.groups()
        if kind == "program":
            program = words
            found.setdefault(program, [])
            continue
        names = frozenset(word for word in re.split(r"[, ]+", words) if word.startswith("-"))
        default = re.search(r"^   :Default: ``(\S+)``", text[mark.end() : end], re.MULTILINE)
        takes = not all(word.startswith("-") for word in re.split(r"[, ]+", words))
        found[program].append(Option(names, takes, default[1] if default else None))
    return found


def of_twistd(options: usage.Options) -> list[Option]:
    """The options of a service of twistd."""
    found = []
    for long in options.longOpt:
        name = long.rstrip("=")
        short = {f"-{one}" for one, of in options.synonyms.items() if of == name and len(one) == 1}
        default = options.get(name)
        text = default if isinstance(default, str) else None
        found.append(Option(frozenset({f"--{name}", *short}), long.endswith("="), text))
    return found


def of_click(command: click.Command) -> list[Option]:
    """The options of a subcommand of lab."""
    context = click.Context(command, **command.context_settings)
    options = [one for one in command.get_params(context) if isinstance(one, click.Option)]
    return [
        Option(
            frozenset(one.opts),
            not one.is_flag,
            one.default if isinstance(one.default, str) else None,
        )
        for one in options
    ]


def commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """A command by its name, and those below it."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for word in command.list_commands(context):
            below = command.get_command(context, word)
            assert below is not None
            yield from commands(f"{name} {word}", below)


def existing() -> dict[str, list[Option]]:
    """The options that there are, by program."""
    loads = [(name, kind()) for name, _, kind, _ in client.Options.subCommands]
    return {
        "lab-server": of_twistd(server.Options()),
        "lab-client": of_twistd(client.Options()),
        **{f"lab-client {name}": of_twistd(options) for name, options in loads},
        "lab-proxy": of_twistd(proxy.Options()),
        **{name: of_click(command) for name, command in commands("lab", main)},
    }


def differences(text: str) -> Iterator[str]:
    """What a page and the commands don't agree on."""
    said, are = described(text), existing()
    for program in sorted({*said, *are}):
        ours = {name: option for option in are.get(program, []) for name in option.names}
        theirs = {name: option for option in said.get(program, []) for name in option.names}
        for name in sorted({*ours, *theirs}):
            if name not in theirs:
                yield f"{program} {name} is missing"
            elif name not in ours:
                yield f"{program} {name} does not exist"
            elif (ours[name].names, ours[name].takes) != (theirs[name].names, theirs[name].takes):
                yield f"{program} {name} is written otherwise"
            elif ours[name].default != theirs[name].default and (program, name) not in COMPUTED:
                yield f"{program} {name} has the default {ours[name].default}"


class OptionsPageTests(SynchronousTestCase):
    """The page, and what would be noticed if it were wrong."""

    def setUp(self) -> None:
        """Read the page."""
        self.text = PAGE.read_text(encoding="utf-8")

    def test_agrees(self) -> None:
        """Each option stands there with its names and its default, and nothing else does."""
        self.assertEqual(list(differences(self.text)), [])

    def test_defaults_of_the_server(self) -> None:
        """Where lab-server listens without options is said in full."""
        for name, places in server.DEFAULTS.items():
            (said,) = re.findall(
                rf"^\.\. option:: --{name} .*\n\n +:Default: (.*)$", self.text, re.MULTILINE
            )
            self.assertEqual(re.findall(r"``(.*?)``", said), places)

    def test_defaults_of_the_proxy(self) -> None:
        """So is where the API of lab-proxy does."""
        option = re.search(r"^\.\. option:: --api .*\n\n +:Default: (.*)$", self.text, re.MULTILINE)
        assert option is not None
        self.assertEqual(option[1].split("``")[1], proxy.API)

    def test_each_in_its_section(self) -> None:
        """Programs follow each other as their sections do, and each stands once."""
        programs = re.findall(r"^\.\. program:: (.+)$", self.text, re.MULTILINE)
        self.assertEqual(programs, list(existing()))
        titles = re.findall(r"^(?:twistd )?(lab\S*(?: \S+)*)\n-+$", self.text, re.MULTILINE)
        self.assertEqual(titles, programs)

    def test_notices_what_is_missing(self) -> None:
        """Take any one option away, and it is named."""
        marks = [one.start() for one in re.finditer(r"^\.\. option::", self.text, re.MULTILINE)]
        self.assertGreater(len(marks), 30)
        for start, end in pairwise([*marks, len(self.text)]):
            name, *_ = re.findall(r"(--[\w-]+)", self.text[start:end].split("\n")[0])
            less = self.text[:start] + self.text[end:]
            if ".. program::" not in self.text[start:end]:
                self.assertIn(f"{name} is missing", " ".join(differences(less)))

    def test_notices_what_does_not_exist(self) -> None:
        """An option that there isn't, a program that there isn't, another default."""
        for old, new, seen in [
            ("--idle SECONDS", "--idler SECONDS", "lab-server --idler does not exist"),
            (".. program:: lab demo", ".. program:: lab dome", "lab dome --seed does not exist"),
            ("-u, --upstream\n", "-u, --up\n", "lab proxy toxic add --up does not exist"),
            (":Default: ``300``", ":Default: ``60``", "lab-server --idle has the default 300"),
            ("-n COUNT, --count", "--count", "lab-client arithmetic -n is missing"),
            (".. option:: --clock\n", ".. option:: --clock X\n", "--clock is written otherwise"),
        ]:
            self.assertEqual(self.text.count(old), 1, old)
            self.assertIn(seen, " ".join(differences(self.text.replace(old, new))))


class FilesTests(SynchronousTestCase):
    """The INI files that the documentation shows."""

    kinds = (server.Options, ArithmeticOptions, SequenceOptions)
    commands = (download.command,)

    def shown(self, page: Path) -> list[str]:
        """Those of a page that are ours; systemd has such files as well."""
        text = page.read_text(encoding="utf-8")
        found = re.findall(r"^\.\. code-block:: ini\n\n((?: .*\n|\n)+)", text, re.MULTILINE)
        return [dedent(block) for block in found if "[lab-" in block]

    def sections(self, text: str) -> dict[str, list[str]]:
        """What such a file sets."""
        parser = ConfigParser(interpolation=None)
        parser.read_string(text)
        return {name: list(parser[name]) for name in parser.sections()}

    def read(self, kind: type[LabOptions] | Configured, text: str) -> None:
        """A command reads such a file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "lab.ini"
            path.write_text(text)
            if isinstance(kind, Configured):
                kind.override(kind.make_context(kind.section, []), path)
            else:
                kind().parseOptions(["-c", str(path)])

    def test_each_is_read(self) -> None:
        """Each file on any page is one that the commands take."""
        texts = [text for page in sorted(DOC.rglob("*.rst")) for text in self.shown(page)]
        self.assertGreaterEqual(len(texts), 3)
        for text in texts:
            sections = self.sections(text)
            everyone = (*self.kinds, *self.commands)
            kinds = [kind for kind in everyone if kind.section in sections]
            self.assertEqual({kind.section for kind in kinds}, set(sections))
            for kind in kinds:
                self.read(kind, text)

    def test_sample_has_all(self) -> None:
        """The sample sets each option that a file can set."""
        sample = self.shown(DOC / "howto" / "run-as-a-service.rst")[0]
        sections = self.sections(sample)
        for kind in self.kinds:
            known = {long.rstrip("=") for long in kind().longOpt} - NOT_IN_FILE
            self.assertEqual(set(sections[kind.section]), known)

    def test_samples_of_commands(self) -> None:
        """So does the sample of a command of lab."""
        sections = self.sections(self.shown(DOC / "howto" / "download-files.rst")[0])
        for command in self.commands:
            names = {name for option in of_click(command) for name in option.names}
            known = {name.removeprefix("--") for name in names if name.startswith("--")}
            self.assertEqual(set(sections[command.section]), known - NOT_IN_FILE)
