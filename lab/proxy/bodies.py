"""What requests about proxies say: the bodies of ``POST /proxies``, ``/populate`` and updates."""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from lab.errors import LocalError
from lab.faults.profiles import profile
from lab.proxy.addresses import protocol_of
from lab.proxy.errors import ApiError, bad_request, missing
from lab.proxy.gojson import convert, decode, members
from lab.proxy.toxics import Toxic, toxic_from, toxic_of

_PROXY = {"name": "string", "listen": "string", "upstream": "string", "enabled": "bool"}
_MORE = {"protocol": "string", "profile": "string", "toxics": "[]toxics.ToxicWrapper"}
#: What a proxy may carry.
PROTOCOLS = ("tcp", "udp")

_ENTRY = 'struct { toxiproxy.Proxy; Enabled *bool "json:\\"enabled\\"" }'


@frozen
class Wanted:
    """
    A proxy that is to be made.

    Args:
        name: Unlike that of any other.
        upstream: Where its connections go; it is looked at when there is one.
        listen: Where it listens; nothing for a free port at all addresses.
        enabled: Whether it listens.
        toxics: In force before the first connection.
        protocol: ``tcp`` or ``udp``; if nothing is said, what ``listen`` is for.
    """

    name: str
    upstream: str
    listen: str = ""
    enabled: bool = True
    toxics: tuple[Toxic, ...] = ()
    protocol: str = field(kw_only=True)

    @protocol.default
    def _of_listen(self) -> str:
        """What it listens for."""
        return protocol_of(self.listen)


@frozen
class Change:
    """
    What is to be different; None for what is not.

    Args:
        listen: Where a proxy listens.
        upstream: Where its connections go.
        enabled: Whether it listens.
    """

    listen: str | None = None
    upstream: str | None = None
    enabled: bool | None = None


def read_proxy(body: bytes) -> Wanted:
    """
    Read what ``POST /proxies`` is given.

    Raises:
        ApiError: It is no proxy.

    >>> read_proxy(b'{"name": "redis", "upstream": "localhost:6379"}').upstream
    'localhost:6379'
    """
    found = members(decode(body), _PROXY | _MORE, "value of type toxiproxy.Proxy", "Proxy")
    _check_fields(found)
    return _wanted(found)


def read_proxies(body: bytes) -> list[Wanted]:
    """
    Read what ``POST /populate`` is given; nothing of it counts if one is wrong.

    Raises:
        ApiError: It is no list of proxies; the text says which is wrong.
    """
    value = decode(body)
    if value is None:
        return []
    values = convert(value, f"[]{_ENTRY}", f"value of type []{_ENTRY}")
    found = [members(one, _PROXY | _MORE, f"value of type {_ENTRY}", "") for one in values]
    for number, one in enumerate(found, 1):
        _check_fields(one, f" at proxy {number}")
    return [_numbered(one, number) for number, one in enumerate(found, 1)]


def read_change(body: bytes) -> Change:
    """
    Read what ``PATCH /proxies/NAME`` is given; a name or protocol in it is passed over.

    Raises:
        ApiError: It is no change of a proxy.
    """
    found = members(decode(body), _PROXY, "value of type toxiproxy.Proxy", "Proxy")
    return Change(found.get("listen"), found.get("upstream"), found.get("enabled"))


def _check_fields(found: Mapping[str, Any], where: str = "") -> None:
    """Refuse a proxy that lacks what it must have."""
    for name in ("name", "upstream"):
        if not found.get(name):
            raise missing(f"{name}{where}")


def _numbered(found: Mapping[str, Any], number: int) -> Wanted:
    """A proxy of several."""
    try:
        return _wanted(found)
    except ApiError as error:
        raise ApiError(error.status, f"{error} at proxy {number}") from error


def _wanted(found: Mapping[str, Any]) -> Wanted:
    """A proxy, from what its object holds."""
    listen = found.get("listen", "")
    protocol = _protocol(found.get("protocol", protocol_of(listen)))
    toxics = _of_profile(found.get("profile", ""), protocol)
    for value in found.get("toxics", ()):
        toxic = toxic_from(value, toxics, protocol)
        toxics[toxic.name] = toxic
    return Wanted(
        found["name"],
        found["upstream"],
        listen,
        found.get("enabled", True),
        tuple(toxics.values()),
        protocol=protocol,
    )


def _of_profile(name: str, protocol: str) -> dict[str, Toxic]:
    """The toxics that make a link of this name, by theirs; none for no name."""
    if not name:
        return {}
    try:
        faults = profile(name).faults(protocol)
    except LocalError as error:
        raise bad_request(str(error)) from error
    return {fault.name: toxic_of(fault, protocol) for fault in faults}


def _protocol(word: str) -> str:
    """A protocol, in small letters."""
    if word.lower() not in PROTOCOLS:
        raise bad_request(f"protocol is {word!r}; give tcp or udp")
    return word.lower()
