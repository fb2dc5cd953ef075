"""A piece on its way to the disk: what came of it, from whom, and whether it is right. Pure."""

from attrs import define, field

from lab.download.kinds import KINDS, SHA256, Hash

#: So many bytes are put together before they are written, or summed up if they are in the file. Of
#: a piece that is not larger nothing is written from memory before it was checked.
BATCH = 2**22


@define(eq=False)
class Landing:
    """
    One copy of one piece.

    It is filled in order, by one source, or by another from where the one before was lost.

    Args:
        piece: Its number.
        offset: Where it belongs in the file, in bytes.
        length: Of it, in bytes.
        digest: Of it.
        kind: Of that.

    Attributes:
        got: Bytes that came.
        sources: Who has given them.
        dropped: Nobody wants it any more, and nothing of it is to be written from now on.
        hash: Of what was stored; whoever stores it sees to it.
        stored: Bytes that were stored.
        direct: Whether what comes may be put into the file before it was checked.
    """

    piece: int
    offset: int
    length: int
    digest: bytes = field(repr=False)
    kind: str = SHA256
    got: int = field(init=False, default=0)
    sources: list[str] = field(init=False, factory=list)
    dropped: bool = field(init=False, default=False)
    hash: Hash = field(init=False, repr=False)
    stored: int = field(init=False, default=0)
    direct: bool = field(init=False, default=False)
    _chunks: list[bytes | int] = field(init=False, factory=list, repr=False)
    _waiting: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        """Nothing was stored."""
        self.hash = KINDS[self.kind]()

    @property
    def missing(self) -> int:
        """How many bytes are to come."""
        return self.length - self.got

    def add(self, data: bytes, source: str) -> None:
        """Some bytes came, behind those that came before."""
        self._add(data, len(data), source)

    def placed(self, size: int, source: str) -> None:
        """So many bytes came, and are in the file."""
        self._add(size, size, source)

    def _add(self, chunk: bytes | int, size: int, source: str) -> None:
        """Some came, in one way or the other."""
        if not self.sources or self.sources[-1] != source:
            self.sources.append(source)
        if not self.dropped:
            self._chunks.append(chunk)
            self._waiting += size
        self.got += size

    @property
    def ready(self) -> bool:
        """Whether it is to be stored now: it is all there, or much of a large one."""
        return self._waiting >= BATCH or not self.missing

    def batch(self) -> tuple[list[bytes | int], int]:
        """What is to be stored next, or how much is in the file; given once, with its size."""
        found = self._chunks, self._waiting
        self._chunks, self._waiting = [], 0
        return found
