"""
Addresses as Go writes them, ``HOST:PORT``, with the errors in its words.

Resolves no names, but for localhost, which is always 127.0.0.1. What begins like an endpoint string
of Twisted's is one, and so is ``udp:`` and more, as `lab.adapters.endpoints` has it.
"""

import re
from ipaddress import IPv6Address, ip_address

from attrs import frozen

from lab.errors import LocalError

#: Endpoint strings begin so.
PREFIXES = (
    "tcp:",
    "tcp4:",
    "tcp6:",
    "tls:",
    "ssl:",
    "unix:",
    "systemd:",
    "fd:",
    "haproxy:",
    "udp:",
)

# What stands before the port of a server's that takes a free one.
_FREE = re.compile(
    r"^((?:haproxy:)*(?:(?:tcp|tcp4|tcp6|ssl|udp):(?:port=)?|tls:(?:[^:\\]|\\.)*:port=))0(?=:|$)"
)

# The table that Go carries with it; of UDP it has but the first.
_SERVICES = {
    "domain": 53, "ftp": 21, "ftps": 990, "gopher": 70, "http": 80, "https": 443, "imap2": 143,
    "imap3": 220, "imaps": 993, "pop3": 110, "pop3s": 995, "smtp": 25, "submissions": 465,
    "ssh": 22, "telnet": 23,
}  # fmt: skip


class AddressError(LocalError):
    """No address; the text is Go's."""


@frozen
class Address:
    """
    Where to listen or to connect.

    Args:
        host: A numeric address, as Go writes it, or a name; empty for all addresses.
        port: 0 to 65535.
    """

    host: str
    port: int

    @classmethod
    def read(cls, text: str, protocol: str = "tcp") -> "Address":
        """
        Read an address.

        Args:
            text: ``HOST:PORT``, ``[HOST]:PORT``, ``:PORT``, or nothing.
            protocol: ``tcp`` or ``udp``, which give other names to ports.

        Raises:
            AddressError: It is none.

        >>> Address.read("localhost:80")
        Address(host='127.0.0.1', port=80)
        """
        host, port = _split(text) if text else ("", "")
        number = _port(port, protocol)
        if host.lower() == "localhost":
            return cls("127.0.0.1", number)
        return cls(_numeric(host) or host, number)

    def __str__(self) -> str:
        """``HOST:PORT``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def everywhere(self) -> bool:
        """Whether it means all addresses of this machine, of either family."""
        return self.host in {"", "0.0.0.0", "::"}  # noqa: S104 - it listens nowhere yet

    @property
    def numeric(self) -> bool:
        """Whether there is no name to be resolved."""
        return self.everywhere or _numeric(self.host) is not None

    @property
    def shown(self) -> str:
        """As Go shows it once it listens there."""
        return f"[::]:{self.port}" if self.everywhere else str(self)

    def check_name(self) -> None:
        """
        Refuse what can be no name in DNS.

        Raises:
            AddressError: It can't; nobody has to be asked.
        """
        try:
            known = re.fullmatch(rb"[A-Za-z0-9_.-]{1,253}", self.host.encode("idna"))
        except UnicodeError:
            known = None
        if not known:
            raise self.unknown()

    def unknown(self) -> AddressError:
        """What Go says if nobody knows the name."""
        return AddressError(f"lookup {self.host}: no such host")


def is_endpoint(text: str) -> bool:
    """
    Whether this is an endpoint string, and no address of Go's.

    >>> is_endpoint("unix:/tmp/s"), is_endpoint("redis:6379")
    (True, False)
    """
    return text.startswith(PREFIXES)


def protocol_of(text: str) -> str:
    """
    What an endpoint string is for: ``udp`` or ``tcp``, which stands for all streams.

    >>> protocol_of("udp:53"), protocol_of("unix:/tmp/s"), protocol_of("redis:6379")
    ('udp', 'tcp', 'tcp')
    """
    return "udp" if text.startswith("udp:") else "tcp"


def with_port(text: str, port: int) -> str:
    """
    An endpoint string of a server whose port 0 has become another.

    >>> with_port("tcp:0:interface=127.0.0.1", 4096)
    'tcp:4096:interface=127.0.0.1'
    >>> with_port("haproxy:tls:/etc/keys:port=0", 4096)
    'haproxy:tls:/etc/keys:port=4096'
    """
    return _FREE.sub(rf"\g<1>{port}", text)


def _split(text: str) -> tuple[str, str]:
    """Host and port; see net.SplitHostPort."""
    last, end = text.rfind(":"), text.find("]")
    if last < 0:
        raise _error(text, "missing port in address")
    if text.startswith("["):
        if end < 0:
            raise _error(text, "missing ']' in address")
        if end + 1 != last:
            many = text[end + 1 :].startswith(":")
            raise _error(text, "too many colons in address" if many else "missing port in address")
        host, rest = text[1:end], text[1:]
    else:
        host, rest = text[:last], text
        if ":" in host:
            raise _error(text, "too many colons in address")
    if "[" in rest:
        raise _error(text, "unexpected '[' in address")
    if "]" in host or "]" in text[last:]:
        raise _error(text, "unexpected ']' in address")
    return host, text[last + 1 :]


def _port(text: str, protocol: str) -> int:
    """A port by its number or name; nothing is 0."""
    if not text:
        return 0
    if not re.fullmatch("[+-]?[0-9]*", text):
        name = text.lower()
        if name in _SERVICES and (protocol == "tcp" or name == "domain"):
            return _SERVICES[name]
        raise AddressError(f"lookup {protocol}/{text}: unknown port")
    number = int(text.lstrip("+-")[:20] or "0")
    if number > 65535 or (text.startswith("-") and number):
        raise _error(text, "invalid port")
    return number


def _numeric(host: str) -> str | None:
    """A numeric address as Go writes it, or None."""
    try:
        found = ip_address(host)
    except ValueError:
        return None
    inner = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(inner or found)


def _error(text: str, why: str) -> AddressError:
    """Go's words."""
    return AddressError(f"address {text}: {why}")
