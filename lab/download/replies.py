"""
What is answered to a request over HTTP: a status, headers, and a body.

Knows neither sockets nor the server; what takes time, the page of a directory, is made elsewhere.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from contextlib import closing
from urllib.parse import unquote_to_bytes, urlsplit

from attrs import define, field

from lab.budget import AGAIN
from lab.download.answers import refusal
from lab.download.conditions import Verdict, Version, date, judge
from lab.download.files import Absent, Files, Opened
from lab.download.media import media_type
from lab.download.names import quote
from lab.download.page import POLICY
from lab.download.sending import FileSending, TextSending
from lab.download.wire import Busy
from lab.errors import LabError

#: Methods that are answered.
METHODS = ("GET", "HEAD")
#: What is said of each answer: it is of the type that it says, and no part of foreign pages.
ALWAYS = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"}

_PLAIN = {"Content-Type": "text/plain; charset=utf-8"}
_WORDS = {
    412: "the file is another one than was asked for",
    416: "the file has no such part",
}
_ABSOLUTE = re.compile(rb"https?://[^/]*", re.IGNORECASE)


@define
class Reply:
    """
    An answer.

    Args:
        status: Of HTTP.
        headers: Besides those that all have.
        body: What is sent, unless the request was for the headers alone.
        length: Bytes of the body, for a header; None where there is none to speak of.
    """

    status: int
    headers: dict[str, str]
    body: FileSending | TextSending
    length: int | None = field(init=False)

    def __attrs_post_init__(self) -> None:
        """What is known already is not sent."""
        self.length = None if self.status == 304 else self.body.left


def said(status: int, text: str, headers: Mapping[str, str] | None = None) -> Reply:
    """
    An answer that is a line for people.

    >>> said(404, "there is no such file").length
    26
    """
    body = TextSending(f"{status} {text}\n".encode("utf-8", "backslashreplace"))
    return Reply(status, {**_PLAIN, **(headers or {})}, body)


def busy(text: str) -> Reply:
    """An answer to one who is to come again; not 429, which fewer programs do come again after."""
    return said(503, text, {"Retry-After": f"{AGAIN:.0f}"})


def failed(error: LabError | OSError) -> Reply:
    """What is answered when this error was met."""
    refused = refusal(error)
    if isinstance(refused, Busy):
        return busy(refused.text)
    # A name that can't be is none of a file; that a directory has too much is nobody's fault there.
    return said({300: 404, 413: 500}.get(refused.code, refused.code), refused.text)


def name_of(path: bytes) -> str:
    """
    The name that the path of a request stands for.

    Args:
        path: Percent-encoded; perhaps a whole URL, as a proxy is asked with.

    >>> name_of(b"/a%20b"), name_of(b"http://host/a")
    ('a b', 'a')
    """
    found = _ABSOLUTE.match(path)
    return os.fsdecode(unquote_to_bytes(path[found.end() if found else 0 :].removeprefix(b"/")))


def is_foreign(host: str, here: str) -> bool:
    """
    Whether a name by which a server on loopback was asked may be somebody else's.

    Whoever has a domain can let it point at this machine, and a page of his could then read here
    what its reader can. An address, and the name that is this machine everywhere, are nobody's.

    Args:
        host: The header ``Host``; empty if there is none, which no browser would leave out.
        here: The address at which the connection came in; empty if it has none.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if (
            not (host and here)
            or not ipaddress.ip_address(here.removeprefix("::ffff:")).is_loopback
        ):
            return False
        return not _is_address(name) and name != "localhost" and not name.endswith(".localhost")
    except ValueError:
        return True


def _is_address(name: str) -> bool:
    """Whether it is an address, and no name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def answer(files: Files, name: str, headers: Mapping[str, str], now: float, method: str) -> Reply:
    """
    The answer to a request for a file.

    Args:
        files: What is served.
        name: What is wanted; a directory if it ends with a slash, which this is not for.
        headers: Of the request, by their names in small letters.
        now: In seconds since 1970.
        method: One of `METHODS`.

    Raises:
        WrongName: Nothing has that name.
        Absent: There is no such file.
        OSError: The system can't open it now.
    """
    try:
        file = files.open(name)
    except Absent:
        if not _is_directory(files, name):
            raise
        there = f"{quote(name.rpartition('/')[2])}/"
        return said(301, f"this is a directory; see {there}", {"Location": there})
    version = Version(file.size, file.mtime_ns, file.tag)
    verdict = judge(version, headers, now, ranges=method == "GET")
    told = {"ETag": version.etag, "Accept-Ranges": "bytes", "Cache-Control": "no-cache"}
    modified = date(version.modified(now))
    if modified is not None:
        told["Last-Modified"] = modified
    return _reply(file, name, verdict, told)


def _is_directory(files: Files, name: str) -> bool:
    """Whether there is a directory of this name."""
    try:
        with closing(files.within(name)) as found:
            next(found)
    except Absent:
        return False
    return True


def _reply(file: Opened, name: str, verdict: Verdict, told: dict[str, str]) -> Reply:
    """The answer that a verdict is."""
    if verdict.status in _WORDS:
        file.close()
        if verdict.status == 416:
            told["Content-Range"] = f"bytes */{file.size}"
        return said(verdict.status, _WORDS[verdict.status], told)
    if verdict.status == 206:
        last = verdict.offset + verdict.length - 1
        told["Content-Range"] = f"bytes {verdict.offset}-{last}/{file.size}"
    if verdict.status != 304:
        told["Content-Type"] = media_type(name)
        # A page that is served may be looked at, but it may do nothing in the server's name.
        told["Content-Security-Policy"] = "sandbox"
    return Reply(verdict.status, told, FileSending(file, name, verdict.offset, verdict.length))


def paged(data: bytes) -> Reply:
    """The answer with the page of a directory."""
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": POLICY,
        "Cache-Control": "no-cache",
    }
    return Reply(200, headers, TextSending(data))
