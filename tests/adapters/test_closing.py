"""The end of a client."""

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lab.adapters.closing import Closing
from lab.errors import LocalError


class ClosingTests(SynchronousTestCase):
    """Once, whoever asks."""

    def test_once(self) -> None:
        """However often it is closed, it begins once, and all hear the end."""
        ends: list[Deferred[None]] = []
        inner: list[Deferred[None]] = []

        def close() -> Deferred[None]:
            """Begin; and whoever is told of that closes, too."""
            ends.append(Deferred())
            inner.append(closing.close())
            return ends[-1]

        closing = Closing(close)
        closing.check()
        waiting = [closing.close(), closing.close(), *inner]
        for one in waiting:
            self.assertNoResult(one)
        ends[0].callback(None)
        for one in [*waiting, closing.close()]:
            self.assertIsNone(self.successResultOf(one))
        self.assertEqual(len(ends), 1)

    def test_too_late(self) -> None:
        """Nothing more can be asked from the moment on at which it closes."""
        closing = Closing(Deferred)
        closing.close()
        error = self.assertRaises(LocalError, closing.check)
        self.assertEqual(str(error), "the client is closed; make a new one")
