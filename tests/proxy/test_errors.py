"""What the API answers if it does not do what it was asked."""

from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.proxy import errors


class ErrorTests(SynchronousTestCase):
    """Statuses and texts."""

    def test_all(self) -> None:
        """They are Toxiproxy's."""
        for error, status, text in (
            (errors.bad_request("why"), 400, "why"),
            (errors.missing("name"), 400, "missing required field: name"),
            (errors.no_proxy(), 404, "proxy not found"),
            (errors.no_toxic(), 404, "toxic not found"),
            (errors.proxy_exists(), 409, "proxy already exists"),
            (errors.toxic_exists(), 409, "toxic already exists"),
        ):
            self.assertIsInstance(error, LocalError)
            self.assertEqual((error.status, str(error)), (status, text))
