"""What a client is told when something can't be."""

import errno
import os

from lab.download.files import Absent, TooMany
from lab.download.wire import Busy, Refused
from lab.errors import LabError

#: Who finds no room is told to come again after so many seconds.
AGAIN = 1.0
# Room that the system will have again.
_LATER = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}


def refusal(error: LabError | OSError) -> Refused | Busy:
    """
    The reply to a request that has met this error.

    Args:
        error: Of `lab.download.files.Files`, or of reading a request.
    """
    if isinstance(error, OSError):
        text = os.strerror(error.errno or errno.EIO)
        return Busy(AGAIN, text) if error.errno in _LATER else Refused(500, text)
    if isinstance(error, Absent):
        return Refused(404, str(error))
    return Refused(413 if isinstance(error, TooMany) else 300, str(error))
