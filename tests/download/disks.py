"""A disk in memory that may be full, fail, and forget what was not synced."""

import errno
import os
import stat
from pathlib import Path
from random import Random
from typing import Any

from attrs import define, field

from lab.download.disk import Disk


class Crashed(Exception):
    """The computer is off."""


@define(eq=False)
class Node:
    """A file: what is in it, and what of that would be there after a crash."""

    number: int
    data: bytearray = field(factory=bytearray)
    synced: bytes = b""
    mtime_ns: int = 0
    mode: int = 0o644


class MemoryDisk(Disk):
    """
    A disk.

    Args:
        capacity: In bytes.
        most: A write takes so many bytes at most.
        fuse: The computer crashes before so many calls that change something are done.
        broken: The system's error numbers that calls fail with, by their names.
    """

    def __init__(self, capacity: int = 10**9, most: int = 10**9, fuse: int = -1) -> None:
        self.capacity, self.most, self.fuse = capacity, most, fuse
        self.broken: dict[str, int] = {}
        self.names: dict[Path, Node] = {}
        self.synced: dict[Path, Node] = {}
        self.files: dict[int, Node] = {}
        self.locks: dict[int, int] = {}
        self.calls: list[str] = []
        self._numbers = 0

    def put(self, path: Path, data: bytes) -> None:
        """A file that is there, and safe."""
        self._numbers += 1
        self.names[path] = self.synced[path] = Node(self._numbers, bytearray(data), data)

    def content(self, path: Path) -> bytes | None:
        """What is in a file."""
        return bytes(self.names[path].data) if path in self.names else None

    def crash(self, random: Random) -> None:
        """What was not synced is there in part, as chance has it."""
        self.files, self.locks, self.fuse = {}, {}, -1
        for node in {*self.names.values(), *self.synced.values()}:
            old = node.synced.ljust(len(node.data), b"\0")
            size = random.randrange(len(node.data) + 1) if random.random() < 0.5 else 0
            node.data = bytearray(node.data[:size] + old[size:])
            node.synced = bytes(node.data)
        if random.random() < 0.5:
            self.synced = dict(self.names)
        self.names = dict(self.synced)

    def open(self, path: Path, *, make: bool) -> int:
        """See `Disk`."""
        self._call("open", changes=make and path not in self.names)
        if path not in self.names:
            if not make:
                raise FileNotFoundError(errno.ENOENT, "No such file", str(path))
            self._numbers += 1
            self.names[path] = Node(self._numbers)
        self._numbers += 1
        self.files[self._numbers] = self.names[path]
        return self._numbers

    def lock(self, file: int) -> None:
        """See `Disk`."""
        self._call("lock")
        number = self.files[file].number
        if number in self.locks:
            raise BlockingIOError(errno.EWOULDBLOCK, "locked")
        self.locks[number] = file

    def close(self, file: int) -> None:
        """See `Disk`."""
        node = self.files.pop(file)
        if self.locks.get(node.number) == file:
            del self.locks[node.number]

    def number(self, file: int) -> int | None:
        """The system knows nothing of it."""
        return None

    def look(self, path: Path) -> os.stat_result:
        """See `Disk`."""
        self._call("look")
        if path not in self.names:
            raise FileNotFoundError(errno.ENOENT, "No such file", str(path))
        return self._stat(self.names[path])

    def stat(self, file: int) -> os.stat_result:
        """See `Disk`."""
        return self._stat(self.files[file])

    def _stat(self, node: Node) -> os.stat_result:
        """What a file is."""
        fields: Any = (stat.S_IFREG | node.mode, node.number, 1, 1, 0, 0, len(node.data), 0, 0, 0)
        return os.stat_result(fields)

    def is_folder(self, path: Path) -> bool:
        """See `Disk`."""
        return True

    def may_write(self, folder: Path) -> bool:
        """See `Disk`."""
        return True

    def reserve(self, file: int, size: int) -> None:
        """See `Disk`."""
        self._call("reserve", changes=True)
        node = self.files[file]
        if size > self.capacity:
            raise OSError(errno.ENOSPC, "No space left on device")
        node.data += bytes(max(0, size - len(node.data)))

    def resize(self, file: int, size: int) -> None:
        """See `Disk`."""
        self._call("resize", changes=True)
        data = self.files[file].data
        data[:] = data[:size].ljust(size, b"\0")

    def read(self, file: int, room: memoryview, offset: int) -> int:
        """See `Disk`."""
        self._call("read")
        data = self.files[file].data[offset : offset + len(room)]
        room[: len(data)] = data
        return len(data)

    def write(self, file: int, data: bytes | memoryview, offset: int) -> int:
        """See `Disk`."""
        self._call("write", changes=True)
        part = bytes(data[: self.most])
        self.files[file].data[offset : offset + len(part)] = part
        return len(part)

    def flush(self, file: int, offset: int, size: int) -> None:
        """See `Disk`; perhaps it is there after a crash, as anything that was written."""
        self._call("flush")

    def sync(self, file: int) -> None:
        """See `Disk`."""
        self._call("sync", changes=True)
        self.files[file].synced = bytes(self.files[file].data)

    def mark(self, file: int, mtime_ns: int, mode: int | None) -> None:
        """See `Disk`."""
        self._call("mark", changes=True)
        node = self.files[file]
        node.mtime_ns, node.mode = mtime_ns, mode or node.mode

    def move(self, path: Path, to: Path) -> None:
        """See `Disk`."""
        self._call("move", changes=True)
        self.names[to] = self.names.pop(path)

    def sync_folder(self, folder: Path) -> None:
        """See `Disk`."""
        self._call("sync_folder", changes=True)
        self.synced = dict(self.names)

    def free(self, folder: Path) -> int:
        """See `Disk`."""
        self._call("free")
        return self.capacity

    def _call(self, name: str, *, changes: bool = False) -> None:
        """One more call."""
        self.calls.append(name)
        if name in self.broken:
            raise OSError(self.broken[name], os.strerror(self.broken[name]))
        if changes and self.fuse >= 0:
            self.fuse -= 1
            if self.fuse < 0:
                raise Crashed
