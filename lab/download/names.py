"""
The names of files: on the wire, and which of them may be.

A name is what ``os.fsdecode`` gives: bytes that are no text are in it as surrogates. On the wire it
is its bytes, percent-encoded (RFC 3986, section 2.1), all but letters, digits and ``-._~``, and the
``/`` between components. Knows no files.
"""

import os
import re

from lab.errors import LabError

#: Most bytes of a name, and of one component of it.
LONGEST = 4096
LONGEST_COMPONENT = 255
#: What has a meaning in a pattern of names, and is left as it is in one.
GLOB = "*?[]!"
_PLAIN = "A-Za-z0-9._~/-"
_CODED = re.compile(rb"%([0-9A-Fa-f]{2})")
# What is percent-encoded in names, and in patterns of names.
_SPECIAL = {
    plain: re.compile(rb"[^%s%s]" % (re.escape(plain).encode(), _PLAIN.encode()))
    for plain in ("", GLOB)
}


class WrongName(LabError):
    """A name that can't be; the text says what is allowed."""


def quote(name: str, plain: str = "") -> str:
    """
    A name as it is on the wire.

    Args:
        name: Of a file, or a pattern of names.
        plain: Characters that are left besides: none, or `GLOB` in a pattern.

    Raises:
        WrongName: It has a surrogate that stands for no byte.

    >>> quote("a b/100%.txt"), quote("data-*", GLOB)
    ('a%20b/100%25.txt', 'data-*')
    """
    special = _SPECIAL[plain]
    return special.sub(lambda found: b"%%%02X" % ord(found[0]), _bytes(name)).decode("ascii")


def unquote(text: str, plain: str = "") -> str:
    """
    The name that something on the wire stands for.

    Args:
        text: Of a line.
        plain: Characters that may be there besides, `GLOB` in a pattern.

    Raises:
        WrongName: Something in it has to be percent-encoded, or is not encoded right.

    >>> unquote("a%20b/100%25.txt")
    'a b/100%.txt'
    """
    if not re.fullmatch(rf"(?:[{re.escape(plain)}{_PLAIN}]|%[0-9A-Fa-f]{{2}})+", text):
        raise WrongName(f"{short(text)} is no name; give one that is percent-encoded, as a%20b")
    found = _CODED.sub(lambda code: bytes.fromhex(code[1].decode()), text.encode())
    return os.fsdecode(found)


def check(name: str, *, recursive: bool = False, hidden: bool = False) -> tuple[str, ...]:
    """
    Whether a name stays within a directory; of whoever sent it nothing else is known.

    Args:
        name: As `unquote` gives it.
        recursive: Whether it may be in a directory within the directory.
        hidden: Whether components may begin with a dot.

    Returns:
        Its components.

    Raises:
        WrongName: It does not, or it can be no name of a file.

    >>> check("a/b", recursive=True)
    ('a', 'b')
    """
    data = _bytes(name)
    if not data or b"\0" in data or len(data) > LONGEST:
        raise WrongName(f"{short(name)} is no name; give 1 to {LONGEST:,} bytes without NUL")
    parts = tuple(name.split("/"))
    if len(parts) > 1 and not recursive:
        raise WrongName(f"{short(name)} has a /; only names without directories are served")
    for part in parts:
        _component(name, part, hidden=hidden)
    return parts


def _component(name: str, part: str, *, hidden: bool) -> None:
    """Refuse a component that leads elsewhere, or that no file can have."""
    if part in {"", ".", ".."}:
        raise WrongName(f"{short(name)} is no plain path; give one without //, . and ..")
    if len(os.fsencode(part)) > LONGEST_COMPONENT:
        raise WrongName(
            f"{short(name)} has a component that is too long; "
            f"give at most {LONGEST_COMPONENT} bytes"
        )
    if part.startswith(".") and not hidden:
        raise WrongName(f"{short(name)} begins with a dot; hidden files are not served")


def _bytes(name: str) -> bytes:
    """The bytes of a name."""
    try:
        return os.fsencode(name)
    except UnicodeEncodeError:
        raise WrongName(f"{short(name)} is no name; it has a character without bytes") from None


def short(text: str) -> str:
    """The beginning of a text that somebody sent, in ASCII, for an error's one line."""
    return ascii(text if len(text) <= 40 else text[:40] + "...")
