"""What a client is told when something can't be."""

import errno

from twisted.trial.unittest import SynchronousTestCase

from lab.download.answers import AGAIN, refusal
from lab.download.files import Absent, TooMany
from lab.download.names import WrongName
from lab.download.wire import Busy, Refused, WireError


class RefusalTests(SynchronousTestCase):
    """Each error has its code."""

    def test_codes(self) -> None:
        """What is wrong, what is not there, what is too much, what the system can't."""
        for error, reply in (
            (WireError("wrong"), Refused(300, "wrong")),
            (WrongName("no name"), Refused(300, "no name")),
            (Absent("gone"), Refused(404, "gone")),
            (TooMany("many"), Refused(413, "many")),
            (OSError(errno.EIO, "Input/output error"), Refused(500, "Input/output error")),
            (OSError(), Refused(500, "Input/output error")),
            (OSError(errno.EMFILE, ""), Busy(AGAIN, "Too many open files")),
        ):
            self.assertEqual(refusal(error), reply)
