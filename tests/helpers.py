"""What several tests need."""

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase


def folder(test: SynchronousTestCase) -> Path:
    """A folder that is gone after the test."""
    made = tempfile.TemporaryDirectory()
    test.addCleanup(made.cleanup)
    return Path(made.name)
