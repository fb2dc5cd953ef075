"""The lines that were typed, kept in a file from one talk to the next."""

import os
import tempfile
from pathlib import Path

from twisted.logger import Logger

from lab.commands.conversation.editor import HISTORY_LIMIT, typable
from lab.commands.conversation.session import LINE_LIMIT

_log = Logger()


def load(path: Path) -> list[str]:
    """The lines that were kept, oldest first."""
    try:
        lines = path.read_text("utf-8", "replace").split("\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        _log.warn("no history from {path}: {reason}", path=path, reason=error.strerror)
        return []
    good = (line[:LINE_LIMIT] for line in lines if line and all(map(typable, line)))
    return list(good)[-HISTORY_LIMIT:]


def save(path: Path, lines: list[str]) -> None:
    """Keep these lines, for their owner only; a file that is half written replaces nothing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
        new = Path(name)
        try:
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        _log.warn("no history in {path}: {reason}", path=path, reason=error.strerror)
