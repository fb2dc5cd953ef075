"""The kinds of digests of pieces."""

import hashlib
import sys
from unittest import mock

from blake3 import blake3
from twisted.trial.unittest import SynchronousTestCase

from lab.download import kinds
from lab.download.kinds import KINDS, SHA256, chosen, faster


class KindsTests(SynchronousTestCase):
    """With BLAKE3 and without it."""

    def test_with(self) -> None:
        """The fastest is the first, and what all know the last."""
        self.assertEqual(list(KINDS), ["blake3", SHA256])
        self.assertEqual(faster(), ("blake3",))
        for kind, right in (("blake3", blake3(b"ab")), (SHA256, hashlib.sha256(b"ab"))):
            made = KINDS[kind]()
            made.update(b"a")
            made.update(memoryview(b"b"))
            self.assertEqual(made.digest(), right.digest())
            self.assertEqual(len(made.digest()), 32)

    def test_without(self) -> None:
        """Where it is not installed, there is SHA-256, and nobody is asked for anything else."""
        with mock.patch.dict(sys.modules, {"blake3": None}):
            found = kinds._kinds()
        self.assertEqual(found, {SHA256: hashlib.sha256})
        with mock.patch.dict(KINDS, found, clear=True):
            self.assertEqual((faster(), chosen(["blake3"])), ((), SHA256))

    def test_chosen(self) -> None:
        """The first that is known, of those that are wanted."""
        self.assertEqual(chosen(["md6", "blake3", SHA256]), "blake3")
        self.assertEqual(chosen([SHA256, "blake3"]), SHA256)
