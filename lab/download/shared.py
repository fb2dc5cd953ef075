"""What all connections of a server share, and what can be seen of them. Knows no connection."""

from attrs import define, field, frozen

from lab.budget import Places, Rates
from lab.download.digests import Cache
from lab.download.settings import ServerSettings


@define
class Counters:
    """
    What a server did, over all its connections.

    Attributes:
        requests: Lines that were read.
        refused: Those that were answered with 300, 404, 409, 413 or 500.
        busy: Those that were answered with 429, and connections that were.
        transfers: Files, and parts of files, that were begun to be sent.
        sent: Those that were sent to their end.
        broken: Those whose file was not as long any more as it had been.
        system_bytes: Bytes of files that the system has sent by itself.
        read_bytes: Bytes of files that were read, and then sent.
        hashed: Files that were hashed.
        hashed_bytes: Bytes that were read for that.
    """

    requests: int = 0
    refused: int = 0
    busy: int = 0
    transfers: int = 0
    sent: int = 0
    broken: int = 0
    system_bytes: int = 0
    read_bytes: int = 0
    hashed: int = 0
    hashed_bytes: int = 0


@frozen
class Transfer:
    """
    A file, or a part of it, on its way to a client.

    Args:
        client: The number of the client.
        name: Of the file.
        size: Of the file, in bytes.
        offset: Where the part begins, in bytes.
        length: How many bytes it has.
        sent: How many of them have been sent.
        rate: Bytes a second, lately.
        since: When it began, in seconds on the reactor's clock.
    """

    client: int
    name: str
    size: int
    offset: int
    length: int
    sent: int
    rate: float
    since: float


@frozen
class Client:
    """
    A connection.

    Args:
        number: Its number, which no other has.
        peer: The address at its other end.
        since: When it came, in seconds on the reactor's clock.
        requests: Lines that it has sent.
        sent: Bytes of files that were sent to it.
        doing: What it waits for, in words: ``get NAME``; empty for nothing.
        transfer: What is on its way to it, if that is a file.
    """

    number: int
    peer: str
    since: float
    requests: int
    sent: int
    doing: str
    transfer: Transfer | None


@define(eq=False)
class Shared:
    """
    What is there once for all connections.

    Args:
        settings: Limits.

    Attributes:
        counters: What was done so far.
        rates: Bytes a second.
        transfers: Files that are sent at a time.
        connections: Connections at a time.
        cache: Digests that were found.
    """

    settings: ServerSettings = field(factory=ServerSettings)
    counters: Counters = field(init=False, factory=Counters)
    rates: Rates = field(init=False)
    transfers: Places = field(init=False)
    connections: Places = field(init=False)
    cache: Cache = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Nothing is used yet."""
        limits = self.settings
        self.rates = Rates(limits.rate, limits.total_rate)
        self.transfers = Places(limits.transfers, limits.total_transfers, "transfers")
        self.connections = Places(limits.connections, limits.total_connections, "connections")
        self.cache = Cache(limits.cache)
