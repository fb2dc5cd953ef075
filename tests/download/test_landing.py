"""A piece on its way to the disk."""

from twisted.trial.unittest import SynchronousTestCase

from lab.download import landing
from lab.download.kinds import KINDS
from lab.download.landing import Landing
from tests.download.servers import digest


class LandingTests(SynchronousTestCase):
    """What comes of it, and when it is stored."""

    def test_small(self) -> None:
        """One that is not large is stored when it is all there."""
        one = Landing(3, 3000, 5, b"")
        one.add(b"he", "a")
        self.assertEqual((one.ready, one.missing), (False, 3))
        one.add(b"llo", "a")
        self.assertEqual((one.ready, one.missing, one.sources), (True, 0, ["a"]))
        self.assertEqual((one.batch(), one.batch()), (([b"he", b"llo"], 5), ([], 0)))

    def test_kind(self) -> None:
        """Its digest is of the kind that is wanted."""
        for kind in KINDS:
            one = Landing(0, 0, 5, b"", kind)
            one.hash.update(b"hello")
            self.assertEqual(one.hash.digest(), digest(b"hello", kind))

    def test_large(self) -> None:
        """Of a large one, parts are stored on the way."""
        self.patch(landing, "BATCH", 4)
        one = Landing(0, 0, 9, b"")
        one.add(b"hell", "a")
        self.assertTrue(one.ready)
        self.assertEqual(one.batch(), ([b"hell"], 4))
        self.assertFalse(one.ready)

    def test_placed(self) -> None:
        """What is in the file is counted, between what is not."""
        one = Landing(0, 0, 9, b"")
        one.add(b"he", "a")
        one.placed(3, "b")
        one.placed(4, "b")
        self.assertEqual((one.ready, one.missing, one.sources), (True, 0, ["a", "b"]))
        self.assertEqual(one.batch(), ([b"he", 3, 4], 9))

    def test_several_sources(self) -> None:
        """It knows who has given it."""
        one = Landing(0, 0, 9, b"")
        for source in "aab":
            one.add(b"x", source)
        self.assertEqual(one.sources, ["a", "b"])

    def test_dropped(self) -> None:
        """What nobody wants is counted, and not kept."""
        one = Landing(0, 0, 5, b"")
        one.dropped = True
        one.add(b"hello", "a")
        self.assertEqual((one.missing, one.batch()), (0, ([], 0)))
