"""
The header of the PROXY protocol: for whom somebody in the middle has connected.

Written as HAProxy's proxy-protocol.txt has it, sections 2.1 (version 1) and 2.2 (version 2). It
goes ahead of all bytes of a connection. Knows only TCP: what has no addresses of IP is unknown.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address

#: Versions of the protocol.
VERSIONS = (1, 2)

# What version 2 begins with; section 2.2.
_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
# Version and command in one byte: a connection of the sender's own, and one for somebody else.
_LOCAL, _PROXY = b"\x20", b"\x21"
# Family and transport in one byte: none, and TCP over both.
_UNSPEC = b"\x00"
_TCP = {4: b"\x11", 6: b"\x21"}

Address = tuple[str, int]
_IP = IPv4Address | IPv6Address


def encode(version: int, source: Address | None, destination: Address | None) -> bytes:
    r"""
    Write a header.

    Without addresses it is the shortest that may be. HAProxy itself takes no other; Twisted's
    server takes that of version 2, and closes the connection at that of version 1.

    Addresses of IPv4 that are written in IPv6, as sockets of both families have them, are those of
    IPv4; two of different families are both written in IPv6.

    Args:
        version: 1 or 2.
        source: Numeric address and port of the client; None if it has none.
        destination: Where the client has connected to, likewise.

    >>> encode(1, ("192.0.2.7", 50123), ("192.0.2.1", 80))
    b'PROXY TCP4 192.0.2.7 192.0.2.1 50123 80\r\n'
    >>> encode(1, None, None)
    b'PROXY UNKNOWN\r\n'
    """
    if source is None or destination is None:
        return b"PROXY UNKNOWN\r\n" if version == 1 else _SIGNATURE + _LOCAL + _UNSPEC + bytes(2)
    ends = _one_family(_plain(source[0]), _plain(destination[0]))
    ports = source[1], destination[1]
    return _text(ends, ports) if version == 1 else _binary(ends, ports)


def _text(ends: tuple[_IP, _IP], ports: tuple[int, int]) -> bytes:
    """Version 1."""
    words = (f"TCP{ends[0].version}", *ends, *ports)
    return b"PROXY %s\r\n" % " ".join(map(str, words)).encode()


def _binary(ends: tuple[_IP, _IP], ports: tuple[int, int]) -> bytes:
    """Version 2."""
    packed = [end.packed for end in ends] + [port.to_bytes(2, "big") for port in ports]
    body = b"".join(packed)
    return b"".join((_SIGNATURE, _PROXY, _TCP[ends[0].version], len(body).to_bytes(2, "big"), body))


def _plain(host: str) -> _IP:
    """An address without its zone, which means something on this machine only."""
    found = ip_address(host.partition("%")[0])
    inner = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return inner or found


def _one_family(source: _IP, destination: _IP) -> tuple[_IP, _IP]:
    """Both in IPv6, unless they are of one family."""
    if source.version == destination.version:
        return source, destination
    return _mapped(source), _mapped(destination)


def _mapped(address: _IP) -> IPv6Address:
    """In IPv6."""
    return address if isinstance(address, IPv6Address) else IPv6Address(f"::ffff:{address}")
