"""Request ids: what stands before a message so that its answer can be told from others."""

import re

_ID = re.compile(rb"#([A-Za-z0-9-]{1,20}) ")


def encode_id(id: bytes) -> bytes:
    """
    What stands before a message: ``#ID`` and a space, nothing without an id.

    Args:
        id: 1 to 20 of ``[A-Za-z0-9-]``, or empty.
    """
    return b"#%s " % id if id else b""


def read_id(message: bytes) -> bytes:
    """
    The id that a message begins with, whatever follows; empty for none.

    >>> read_id(b"#k3-7 *,6,7"), read_id(b"*,6,7")
    (b'k3-7', b'')
    """
    match = _ID.match(message)
    return match[1] if match else b""
