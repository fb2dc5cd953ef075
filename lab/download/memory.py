"""Files that are nowhere but in memory: to serve what is made, and for tests."""

import hashlib
from collections.abc import Generator, Iterator, Mapping

from attrs import define, field

from lab.download.files import BATCH, Absent, Batch, collect, matching
from lab.download.names import check, short
from lab.download.wire import Entry


@define(eq=False)
class _Node:
    """What is at a name, and what was there stays with those who have it open."""

    number: int
    data: bytes
    mtime_ns: int
    version: int = 0

    def entry(self, name: str) -> Entry:
        """What is told of it."""
        return Entry(len(self.data), self.mtime_ns, name)


@define(eq=False)
class MemoryFile:
    """
    An open file.

    Args:
        node: What is at its name, or was when it was opened.
        label: Of the catalogue.
    """

    _node: _Node
    _label: str
    size: int = field(init=False)
    mtime_ns: int = field(init=False)
    tag: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Note the version."""
        self.size, self.mtime_ns = len(self._node.data), self._node.mtime_ns
        self.tag = self._version()

    def read(self, offset: int, size: int) -> bytes:
        """See `lab.download.files.Opened`."""
        return self._node.data[offset : offset + size]

    def expect(self, offset: int, size: int) -> None:
        """Nothing is faster by that."""

    def fileno(self) -> int | None:
        """The system does not know it."""
        return None

    def changed(self) -> bool:
        """See `lab.download.files.Opened`."""
        return self._version() != self.tag

    def written(self) -> bool:
        """See `lab.download.files.Opened`."""
        return self.changed()

    def close(self) -> None:
        """Nothing is open."""

    def _version(self) -> str:
        """The version that is there now."""
        facts = f"{self._label} {self._node.number} {self._node.version}"
        return hashlib.sha256(facts.encode()).hexdigest()[:32]


@define(eq=False)
class MemoryCatalogue:
    """
    Files in memory; see `lab.download.files.Files`.

    Args:
        files: Their contents, by their names.
        label: Catalogues with different ones have different tags, as different disks have.
        hidden: Whether names may begin with a dot.

    Raises:
        WrongName: One of the names can't be.

    >>> files = MemoryCatalogue({"a": b"12", "b/c": b"345"})
    >>> [entry.name for entry in files.list()]
    ['a', 'b/c']
    >>> files.open("a").read(1, 100)
    b'2'
    """

    _files: Mapping[str, bytes] = field(factory=dict)
    _label: str = "memory"
    _hidden: bool = field(default=False, kw_only=True)
    _nodes: dict[str, _Node] = field(init=False, factory=dict)
    _made: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        """Have them."""
        for name, data in self._files.items():
            self.put(name, data)

    def put(self, name: str, data: bytes, mtime_ns: int = 0) -> None:
        """
        Put another file at a name, as a rename does: who has the one before open keeps it.

        Raises:
            WrongName: It can't be.
        """
        check(name, recursive=True, hidden=self._hidden)
        self._made += 1
        self._nodes[name] = _Node(self._made, data, mtime_ns)

    def write(self, name: str, data: bytes, mtime_ns: int = 0) -> None:
        """Write into a file that is there: who has it open reads something else from now on."""
        node = self._nodes[name]
        node.data, node.mtime_ns, node.version = data, mtime_ns, node.version + 1

    def remove(self, name: str) -> None:
        """Have a file no more."""
        del self._nodes[name]

    def list(self, glob: str = "*") -> Batch:
        """
        The files whose names match, in the order of names.

        Raises:
            WrongName: The pattern is too long.
            TooMany: There are more than 100,000.
        """
        return collect(self.scan(glob))

    def scan(self, glob: str = "*") -> Iterator[Batch]:
        """See `lab.download.files.Files`."""
        match, names = matching(glob), tuple(self._nodes)
        for start in range(0, len(names), BATCH):
            some = [name for name in names[start : start + BATCH] if match(name)]
            nodes = [(name, self._nodes[name]) for name in some if name in self._nodes]
            yield [node.entry(name) for name, node in nodes]

    def within(self, directory: str = "") -> Generator[Batch]:
        """See `lab.download.files.Files`."""
        before = ""
        if directory:
            before = "/".join((*check(directory, recursive=True, hidden=self._hidden), ""))
        found: dict[str, Entry] = {}
        for name, node in self._nodes.items():
            if name.startswith(before):
                first, slash, _ = name[len(before) :].partition("/")
                seen = Entry(0, 0, before + first + slash) if slash else node.entry(name)
                found[seen.name] = seen
        if directory and not found:
            raise Absent(f"there is no directory {short(directory)}")
        yield list(found.values())

    def open(self, name: str) -> MemoryFile:
        """See `lab.download.files.Files`."""
        check(name, recursive=True, hidden=self._hidden)
        if name not in self._nodes:
            raise Absent(f"there is no file {short(name)}")
        return MemoryFile(self._nodes[name], self._label)
