"""
Which server a command asks: the one that was named, or one of a list.

The list is a file, ``hosts.txt`` in the working directory unless somebody says which: an endpoint
string a line, comments behind ``#``. The first is the one that is meant if nobody says more.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import click

from lab.errors import LocalError

#: Where a list is looked for, unless somebody says.
HOSTS = Path("hosts.txt")
#: Most bytes of a list.
MOST = 2**20


def is_endpoint(word: str) -> bool:
    """
    Whether a word is meant as an endpoint: it has a word and a colon.

    >>> is_endpoint("tcp:localhost:50001"), is_endpoint("hello")
    (True, False)
    """
    return re.match(r"[a-z][a-z0-9]*:", word) is not None


def read_hosts(path: Path | None, default: str) -> list[str]:
    """
    The servers of a list.

    Args:
        path: The file; `HOSTS` if it is None, where it need not be there.
        default: The one server there is without a list.

    Returns:
        Endpoint strings, at least one.

    Raises:
        LocalError: It can't be read, or has no server in it.
    """
    file = HOSTS if path is None else path
    try:
        with file.open("rb") as opened:
            text = opened.read(MOST).decode()
    except OSError as error:
        if path is None and isinstance(error, FileNotFoundError):
            return [default]
        raise LocalError(f"hosts is {str(file)!r}; {error.strerror}") from None
    except UnicodeDecodeError:
        raise LocalError(f"hosts is {str(file)!r}; give text, an endpoint a line") from None
    found = [line for line in map(_endpoint, text.splitlines()) if line]
    if not found:
        raise LocalError(f"hosts is {str(file)!r}; it has no server, give an endpoint a line")
    for line in found:
        if not is_endpoint(line):
            raise LocalError(
                f"hosts is {str(file)!r}; {line!r} is no endpoint, give one like {default}"
            )
    return found


def ask_which(servers: Sequence[str]) -> str:
    """
    Ask a person on the terminal for a server.

    Args:
        servers: Those of a list; Enter takes the first, a number the one in that place.

    Returns:
        An endpoint string, or what was typed instead of one.
    """
    if len(servers) > 1:
        for number, server in enumerate(servers, 1):
            click.echo(f"{number:3}  {server}")
    said = str(click.prompt("server", default=servers[0])).strip()
    if re.fullmatch("[0-9]{1,6}", said) and 1 <= int(said) <= len(servers):
        return servers[int(said) - 1]
    return said


def _endpoint(line: str) -> str:
    """What stands before a comment."""
    return re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()
