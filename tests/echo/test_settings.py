"""What can be set, and what can't."""

import math
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lab.echo.settings import ClientSettings, ServerSettings
from lab.errors import LocalError


class SettingsTests(SynchronousTestCase):
    """Settings of a server."""

    def test_allowed(self) -> None:
        """The ends of what is allowed are."""
        for words in (
            {"idle": math.inf, "rate": 0.1, "total_rate": math.inf, "pace": 1.0},
            {"interval": 0, "packets": 1, "size": 64, "file": 0, "streams": 1, "piece": 1},
            {"interval": 3600.0, "packets": 10**9, "size": 65_507, "file": 10**15},
            {"streams": 10**6, "total_streams": 10**6, "piece": 65_400},
        ):
            ServerSettings(**words)

    def test_refused(self) -> None:
        """What is beyond them is not, and the error says what is."""
        wrong: dict[str, tuple[Any, ...]] = {
            "idle": (0, -1, math.nan),
            "rate": (0, math.nan),
            "total_rate": (-1.0,),
            "pace": (0, math.inf, math.nan),
            "interval": (-0.001, 3600.1, math.nan),
            "packets": (0, 10**9 + 1),
            "size": (63, 65_508),
            "file": (-1, 10**15 + 1),
            "streams": (0,),
            "total_streams": (0,),
            "piece": (0, 65_401),
        }
        for name, values in wrong.items():
            for value in values:
                error = self.assertRaises(LocalError, ServerSettings, **{name: value})
                self.assertTrue(str(error).startswith(f"{name} is "), error)
                self.assertIn("; give ", str(error))


class ClientSettingsTests(SynchronousTestCase):
    """Settings of a client."""

    def test_allowed(self) -> None:
        """There is one attempt of a second unless said."""
        self.assertEqual(list(ClientSettings().retry.waits()), [1.0])
        ClientSettings(deadline=0.001, silence=0.001)

    def test_refused(self) -> None:
        """What can't be is refused, and the error says what can."""
        for name in ("deadline", "silence"):
            for value in (0, -1, math.inf, math.nan):
                words: dict[str, Any] = {name: value}
                error = self.assertRaises(LocalError, ClientSettings, **words)
                self.assertTrue(str(error).startswith(f"{name} is "), error)
                self.assertIn("; give ", str(error))
