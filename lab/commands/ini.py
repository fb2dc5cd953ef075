"""
INI files of commands, read with the rules of the command line, because they are turned into one.

A section is that of one command. Its options are those of the command line, by their long names;
what it sets, it sets against the command line.
"""

import configparser
from collections.abc import Collection, Mapping
from pathlib import Path

from lab.errors import LocalError

#: What is logged where the command line said something else.
OVERRIDDEN = "{option}: {given} of the command line is overridden by {value} of {file}"


def read_section(path: Path, section: str) -> dict[str, str]:
    """
    The settings of a section.

    Raises:
        LocalError: The file can't be read, or has no such section.
    """
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        text = " ".join(str(error).split())
        raise LocalError(f"config is {str(path)!r}; {text}") from error
    if not parser.has_section(section):
        raise LocalError(f"config is {str(path)!r}; it has no section [{section}]")
    return dict(parser[section])


def as_words(
    section: Mapping[str, str],
    known: Collection[str],
    flags: Collection[str],
    repeatable: Collection[str] = (),
) -> list[str]:
    """
    Settings as words of a command line.

    Args:
        section: By the names of options, without dashes.
        known: Options that a file may set.
        flags: Those of them that take no value; a file says yes or no.
        repeatable: Those of which each line of a value is one.

    Raises:
        LocalError: There is no such option, or a flag is neither yes nor no.

    >>> as_words({"rate": "5", "fast": "yes"}, known=("fast", "rate"), flags=("fast",))
    ['--rate=5', '--fast']
    """
    words: list[str] = []
    for name, value in section.items():
        if name not in known:
            raise LocalError(f"config has {name!r}; allowed are {', '.join(sorted(known))}")
        if name in flags:
            words += [f"--{name}"] * _is_yes(name, value)
        else:
            values = value.split("\n") if name in repeatable else [value]
            kept = [one.strip() for one in values if one.strip() or len(values) == 1]
            words += [f"--{name}={one}" for one in kept]
    return words


def _is_yes(name: str, value: str) -> bool:
    """What a file says of a flag."""
    states = configparser.ConfigParser.BOOLEAN_STATES
    if value.lower() not in states:
        raise LocalError(f"config has {name} = {value!r}; give yes or no")
    return states[value.lower()]
