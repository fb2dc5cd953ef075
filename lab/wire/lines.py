"""Lines out of a stream of bytes. Knows not what they mean."""

from attrs import define


@define
class LineReader:
    r"""
    Cuts a stream into lines, whatever its chunks, and holds no more than one line.

    A line ends in LF; a CR before it belongs to the ending. The first line that is longer than
    the limit is given cut after ``limit + 1`` bytes, so that its reader sees that it is too
    long, and is the last: what follows is thrown away.

    Args:
        limit: Most bytes of a line, without its ending.

    >>> reader = LineReader(1024)
    >>> reader.feed(b"+,1,1\r\n+,2"), reader.feed(b",2\n")
    ([b'+,1,1'], [b'+,2,2'])
    """

    limit: int
    _rest: bytes = b""
    _over: bool = False

    def feed(self, data: bytes) -> list[bytes]:
        """
        Take the next chunk.

        Returns:
            The lines that are complete now, without their endings.
        """
        if self._over:
            return []
        if not self._rest and data.find(b"\n") == len(data) - 1 <= self.limit:
            # One whole line, which is what comes from those who wait for the answer.
            return [data[:-2] if data.endswith(b"\r\n") else data[:-1]] if data else []
        chunk = self._rest + data
        lines = chunk.split(b"\n")
        self._rest = lines.pop()
        if b"\r" in chunk:
            lines = [line[:-1] if line.endswith(b"\r") else line for line in lines]
        if len(self._rest.removesuffix(b"\r")) > self.limit:
            lines.append(self._rest)
        if lines and max(map(len, lines)) > self.limit:
            return self._cut(lines)
        return lines

    def whole(self, data: bytes) -> bytes:
        r"""
        What `feed` would take of the next chunk, in one piece; nothing is taken yet.

        Whoever has no use for it calls `feed` with the same chunk, and otherwise `take`.

        Returns:
            The lines that are complete now, each with its ending, however long it is. Nothing, if
            there are none, or if what is left is too long.

        >>> LineReader(1024).whole(b"+,1,1\r\n+,2")
        b'+,1,1\r\n'
        """
        if data[-1:] == b"\n" and not self._rest and not self._over:
            return data
        end = data.rfind(b"\n") + 1
        if not end or self._over or len(data) - end > self.limit:
            return b""
        return self._rest + data[:end]

    def take(self, data: bytes) -> None:
        """Take the chunk of which `whole` has just given the lines."""
        self._rest = data[data.rfind(b"\n") + 1 :]

    def _cut(self, lines: list[bytes]) -> list[bytes]:
        """The lines up to the first that is too long, and that one cut."""
        self._over, self._rest = True, b""
        first = next(i for i, line in enumerate(lines) if len(line) > self.limit)
        return [*lines[:first], lines[first][: self.limit + 1]]
