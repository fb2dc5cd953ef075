"""
The two addresses of a connection, as they are or made up: packets need IP addresses of one family.

An end that has none, as that of a Unix socket, gets one of those that are for examples (RFC 3849),
``2001:db8::/32``. That of a path follows from the path, and has the path as its name in the file.

Knows no transports. An end is a pair of host and port, or anything that has these as attributes,
or a name: Twisted's addresses do.
"""

import hashlib
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from lab.capture.packets import Address
from lab.capture.recorder import Capture

#: The addresses, and the names, of ends that have neither: our own, and the peer's.
OURS, THEIRS = ("2001:db8::1", "unnamed-here"), ("2001:db8::2", "unnamed-there")
#: The port of an end that has a name.
NAMED = 1
# Those of others are made up from these, as clients have them.
_PORTS = range(49152, 65536)


def pair(capture: Capture, host: Any, peer: Any, number: int) -> tuple[Address, Address]:
    """
    The addresses of both ends.

    One of ours that stands for all is that of loopback if the peer's is; else it is not known.

    Args:
        capture: Takes the names of those that are made up.
        host: Our end.
        peer: The other.
        number: Of the connection, so that the next has another port.
    """
    here, there = address(host), address(peer)
    if here and there:
        if ip_address(here[0]).is_unspecified:
            here = _one_of_all(there[0]), here[1]
        if (":" in here[0]) == (":" in there[0]):
            return here, there
    port = _PORTS[number % len(_PORTS)]
    return _made_up(capture, host, OURS, port), _made_up(capture, peer, THEIRS, port)


def address(end: Any) -> Address | None:
    """
    The address of an end, without the zone of IPv6; one of IPv4 in IPv6 is that of IPv4.

    >>> address(("::ffff:127.0.0.1", 80)), address(("somewhere", 80))
    (('127.0.0.1', 80), None)
    """
    host, port = _host_and_port(end)
    try:
        found = ip_address(str(host).partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found), port


def in_words(end: Any) -> str:
    """
    An end, for people; empty if it has neither an address nor a name.

    >>> in_words(("::1", 80)), in_words(("127.0.0.1", 80)), in_words(None)
    ('[::1]:80', '127.0.0.1:80', '')
    """
    host, port = _host_and_port(end)
    if host is not None:
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    name = getattr(end, "name", None) or b""
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def _host_and_port(end: Any) -> tuple[Any, Any]:
    """Both, or None for what there is not."""
    if isinstance(end, tuple):
        return end[0], end[1]
    return getattr(end, "host", None), getattr(end, "port", None)


def _one_of_all(there: str) -> str:
    """Which of all our addresses a peer has to do with."""
    peer = ip_address(there)
    number = (2130706433 if isinstance(peer, IPv4Address) else 1) if peer.is_loopback else 0
    return str(type(peer)(number))


def _made_up(capture: Capture, end: Any, unnamed: tuple[str, str], port: int) -> Address:
    """An address for an end that has none, or one of another family than the other end."""
    name = in_words(end)
    if not name:
        capture.name(*unnamed)
        return unnamed[0], port
    digest = hashlib.sha256(name.encode(errors="replace")).digest()
    found = str(IPv6Address(b"\x20\x01\x0d\xb8" + digest[:12]))
    capture.name(found, name)
    return found, NAMED
