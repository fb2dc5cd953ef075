"""Journals of decisions, in files."""

from pathlib import Path

from lab.errors import LocalError
from lab.faults.journal import Journal, Line


class JournalFile(Journal):
    """
    A journal whose lines are in a file as soon as something is decided; it keeps none.

    Args:
        path: The file; what was in it is gone.
        seed: For its first line.

    Raises:
        LocalError: It can't be written.
    """

    def __init__(self, path: Path, seed: int) -> None:
        super().__init__(seed=seed)
        try:
            self._file = path.open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise LocalError(f"journal is {str(path)!r}; {error.strerror}") from None
        self._file.writelines(f"{line}\n" for line in self.header)

    def record(self, entry: Line) -> None:
        """Write one more; connections that outlive the service are decided about in vain."""
        if not self._file.closed:
            self._file.write(f"{entry.encode()}\n")

    def close(self) -> None:
        """There are no more."""
        self._file.close()
