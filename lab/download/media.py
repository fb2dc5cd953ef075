"""What a file is, as far as its name says so."""

from mimetypes import MimeTypes

# Not what this machine's own tables say, so that all servers say the same.
_TYPES = MimeTypes()
_UNKNOWN = "application/octet-stream"
# A file that is packed is sent as it is. Said to be packed, a client would unpack it.
_PACKED = {
    "bzip2": "application/x-bzip2",
    "compress": "application/x-compress",
    "gzip": "application/gzip",
    "xz": "application/x-xz",
}


def media_type(name: str) -> str:
    """
    The type of a file, as the header ``Content-Type`` has it.

    >>> media_type("a.html"), media_type("a.tar.gz"), media_type("a")
    ('text/html', 'application/gzip', 'application/octet-stream')
    """
    # Behind a slash nothing in a name is the scheme of a URL.
    found, packed = _TYPES.guess_type(f"/{name}", strict=True)
    if packed is not None:
        return _PACKED.get(packed, _UNKNOWN)
    return "text/plain; charset=utf-8" if found == "text/plain" else found or _UNKNOWN
