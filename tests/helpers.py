"""What several tests need."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import skipUnless

import pytest
import trustme
import twisted.internet
from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from lab.core import Datagrams

#: Where thousands of short runs have their files: in memory if there is such a place, for a disk is
#: slow.
QUICK = "/dev/shm" if Path("/dev/shm").is_dir() else None


def thorough(test: Callable[..., Any]) -> Any:
    """Mark a longer exploration: pytest makes it when it is asked to, and trial does not again."""
    by_pytest = skipUnless("PYTEST_VERSION" in os.environ, "an exploration for pytest")
    return pytest.mark.thorough(by_pytest(test))


def longest(test: Callable[..., Any]) -> Any:
    """Mark one that takes so long that it is begun first: what is last, all others wait for."""
    return pytest.mark.early(thorough(test))


@contextmanager
def captured_logs() -> Iterator[list[LogEvent]]:
    """Events that are logged meanwhile; Twisted's own goes on for ever after an exception."""
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    try:
        yield events
    finally:
        globalLogPublisher.removeObserver(events.append)


def folder(test: SynchronousTestCase) -> Path:
    """A folder that is gone after the test."""
    made = tempfile.TemporaryDirectory()
    test.addCleanup(made.cleanup)
    return Path(made.name)


def together(data: bytes, size: int) -> Datagrams:
    """Datagrams of this size that make up the data."""
    return Datagrams(lambda begin, end: data[begin * size : end * size], len(data) // size, size)


def certify(path: Path, *names: str) -> None:
    """Put a key with a certificate for these names in ``server.pem``, its issuer in ``roots``."""
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    issued = authority.issue_cert(*names, key_type=trustme.KeyType.ECDSA)
    issued.private_key_and_cert_chain_pem.write_to_path(path / "server.pem")
    (path / "roots").mkdir()
    authority.cert_pem.write_to_path(path / "roots" / "root.pem")


def without_reactor(test: SynchronousTestCase) -> None:
    """Let the test find no global reactor; after it the one before is there again."""
    name = "twisted.internet.reactor"
    before = sys.modules.pop(name, None)
    attribute = getattr(twisted.internet, "reactor", None)
    if attribute is not None:
        del twisted.internet.reactor

    def restore() -> None:
        """Put it back."""
        sys.modules.pop(name, None)
        vars(twisted.internet).pop("reactor", None)
        if before is not None:
            sys.modules[name] = before
        if attribute is not None:
            twisted.internet.reactor = attribute

    test.addCleanup(restore)
