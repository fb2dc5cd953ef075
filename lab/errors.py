"""
The errors of the laboratory. Knows nothing of networks or transports.

::

    LabError
        LocalError      what was asked of us can't be: a wrong option, number or call
        RemoteError     what the peer sent or did: a malformed or a refusing reply
        NoAnswer        nobody answered in time
        Unreachable     there was no way to the peer, or it broke
            ConnectionRefused   nobody listens there

Anything else that comes out of a room is a bug, and is worth a report.
"""


class LabError(Exception):
    """The base of them all; its text is one line, made for people."""


class LocalError(LabError):
    """What was asked for can't be; the text says what is allowed."""


class RemoteError(LabError):
    """The peer sent something that is not in the protocol, or refused."""


class NoAnswer(LabError):
    """Nobody answered in the time that was allowed."""


class Unreachable(LabError):
    """There was no way to the peer, or it broke; the text gives the last reason."""


class ConnectionRefused(Unreachable):
    """Nobody listens there: TCP answered with RST, or ICMP said so."""


def shortened(text: str | bytes, most: int = 60) -> str:
    r"""
    What came from outside, as an error may show it: quoted, escaped, and only how it begins.

    Args:
        text: Any text, or bytes.
        most: So many characters at most, with quotes and escapes.

    >>> print(shortened(b"\x1b[2J" + bytes(100), 20))
    b'\x1b[2J\x00\x00'…
    """
    kept = text[:most]
    while len(repr(kept)) > most:
        kept = kept[:-1]
    return f"{kept!r}{'' if kept == text else '…'}"
