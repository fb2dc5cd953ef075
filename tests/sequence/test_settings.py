"""What can be set of the sequence service."""

import math

from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.sequence.settings import ClientSettings, ServerSettings


class SettingsTests(SynchronousTestCase):
    """What is allowed."""

    def test_times(self) -> None:
        """A time to wait is more than nothing, and comes to its end."""
        for settings, names in (
            (ServerSettings, ("interval", "fastest", "heartbeat", "window")),
            (ClientSettings, ("interval", "heartbeat", "retry", "most_retry")),
        ):
            for name in names:
                settings(**{name: 0.5})  # type: ignore[arg-type]
                for wrong in (0.0, -1.0, math.inf, math.nan):
                    error = self.assertRaises(LocalError, settings, **{name: wrong})
                    self.assertEqual(str(error), f"{name} is {wrong:g} s; give more than 0")

    def test_counts(self) -> None:
        """At least one session, and a length that can be."""
        for name in ("sessions", "per_address"):
            error = self.assertRaises(LocalError, ServerSettings, **{name: 0})
            self.assertEqual(str(error), f"{name} is 0; give 1 or more")
        for n in (0, 65536):
            error = self.assertRaises(LocalError, ClientSettings, n)
            self.assertEqual(str(error), f"n is {n}; give 1 to 65535")
        self.assertEqual((ClientSettings(1).n, ClientSettings(65535).n), (1, 65535))
