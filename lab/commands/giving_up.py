"""
A program of twistd that can't go on, while its reactor runs: twistd itself knows no such end.

Knows not why.
"""

import atexit
import os
import sys
from typing import Any

from lab.commands.options import one_line
from lab.errors import LabError


def give_up(reactor: Any, error: LabError) -> None:
    """End the program in good order, with one line and exit code 1."""
    one_line(type(error), error, None)
    atexit.register(_exit)
    reactor.stop()


def _exit() -> None:
    """End here, at the end of everything else."""
    sys.stdout.flush()
    os._exit(1)
