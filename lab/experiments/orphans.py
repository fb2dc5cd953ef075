"""Processes that end with the one that has started them, even if that was killed."""

import os
import signal
import threading


def end_with_parent() -> threading.Thread:
    """
    End this process, by SIGTERM, when nobody holds the other end of its standard input any more.

    Returns:
        The thread that waits for that.
    """
    waiting = threading.Thread(target=_wait, daemon=True)
    waiting.start()
    return waiting


def _wait() -> None:
    """Read until the end: by the descriptor, since Python locks the file object at its own end."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
