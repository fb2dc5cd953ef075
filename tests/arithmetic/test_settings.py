"""What can be set."""

import math

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from lab.arithmetic.settings import ClientSettings, ServerSettings
from lab.backoff import Backoff
from lab.errors import LocalError


class ServerSettingsTests(SynchronousTestCase):
    """Settings of a server."""

    def test_bounds_are_allowed(self) -> None:
        """The ends of what is allowed are allowed."""
        for allowed in (
            {"idle": math.inf},
            {"idle": 0.001},
            {"drop_rate": 0},
            {"drop_rate": 1},
            {"cache_entries": 0},
            {"cache_size": 0},
        ):
            settings = ServerSettings(**allowed)
            self.assertEqual(evolve(settings), settings)

    def test_refused(self) -> None:
        """What is outside is refused, with what is allowed."""
        for refused, text in [
            ({"idle": 0}, "idle limit is 0 s; give more than 0, for example 300"),
            ({"idle": math.nan}, "idle limit is nan s; give more than 0, for example 300"),
            ({"drop_rate": 1.01}, "drop rate is 1.01; give 0 to 1, for example 0.3"),
            ({"drop_rate": -0.1}, "drop rate is -0.1; give 0 to 1, for example 0.3"),
            ({"drop_rate": math.nan}, "drop rate is nan; give 0 to 1, for example 0.3"),
            ({"cache_entries": -1}, "a cache can't be smaller than 0; give 0 for none"),
            ({"cache_size": -1}, "a cache can't be smaller than 0; give 0 for none"),
        ]:
            self.assertEqual(str(self.assertRaises(LocalError, ServerSettings, **refused)), text)


class ClientSettingsTests(SynchronousTestCase):
    """Settings of a client."""

    def test_default(self) -> None:
        """Without any settings a request is sent once, and waited for a second."""
        settings = ClientSettings()
        self.assertEqual(list(settings.retry.waits()), [1.0])
        self.assertEqual((settings.deadline, settings.connections), (None, 1))
        self.assertFalse(settings.repeat)

    def test_bounds_are_allowed(self) -> None:
        """The ends of what is allowed are allowed."""
        for allowed in ({"deadline": 0.001}, {"connections": 1}, {"connections": 1000}):
            settings = ClientSettings(Backoff(), **allowed)
            self.assertEqual(evolve(settings), settings)

    def test_refused(self) -> None:
        """What is outside is refused, with what is allowed."""
        for refused, text in [
            ({"deadline": 0}, "deadline is 0 s; give more than 0"),
            ({"deadline": math.inf}, "deadline is inf s; give more than 0"),
            ({"deadline": math.nan}, "deadline is nan s; give more than 0"),
            ({"connections": 0}, "connections is 0; give 1 to 1,000"),
            ({"connections": 1001}, "connections is 1001; give 1 to 1,000"),
        ]:
            self.assertEqual(str(self.assertRaises(LocalError, ClientSettings, **refused)), text)
