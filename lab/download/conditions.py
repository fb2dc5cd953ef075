"""
What a request over HTTP gets of a file: all of it, a part, or word that it is known already.

That is RFC 9110, sections 13 (conditional requests) and 14 (ranges). Knows neither sockets nor
files. A header that makes no sense is ignored where the RFC says so. Of several ranges in one
request none is sent: the answer is the whole file, as the RFC allows.
"""

import re
from calendar import timegm
from collections.abc import Mapping
from email.utils import formatdate, parsedate

from attrs import frozen

_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_CLOCK = r"[0-2]\d:[0-5]\d:[0-6]\d"
# The three forms of a date that a server has to read (section 5.6.7).
_DATE = re.compile(
    rf"{_DAY}, \d\d {_MONTH} \d{{4}} {_CLOCK} GMT"
    rf"|{_DAY}[a-z]{{3,6}}, \d\d-{_MONTH}-\d\d {_CLOCK} GMT"
    rf"|{_DAY} {_MONTH} [ \d]\d {_CLOCK} \d{{4}}",
    re.ASCII,
)
_RANGE = re.compile(r"bytes=[ \t]*(\d*)-(\d*)[ \t]*", re.IGNORECASE | re.ASCII)
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
# A number of more digits than this is beyond the end of every file.
_DIGITS = 19


@frozen
class Version:
    """
    One version of a file.

    Args:
        size: In bytes.
        mtime_ns: When it was written, in nanoseconds since 1970.
        tag: Names this version.
    """

    size: int
    mtime_ns: int
    tag: str

    @property
    def etag(self) -> str:
        """The tag as a header has it; a strong one."""
        return f'"{self.tag}"'

    def modified(self, now: float) -> int:
        """When it was written, in whole seconds: not after now (section 8.8.2.1)."""
        return min(self.mtime_ns // 10**9, int(now))


@frozen
class Verdict:
    """
    What is sent.

    Args:
        status: Of HTTP: 200, 206, 304, 412 or 416.
        offset: Where the part begins, in bytes.
        length: How many bytes of the file follow.
    """

    status: int
    offset: int = 0
    length: int = 0


def judge(version: Version, headers: Mapping[str, str], now: float, *, ranges: bool) -> Verdict:
    """
    What a request for a file that is there gets.

    Args:
        version: What is there.
        headers: Of the request, by their names in small letters; what came in several lines is
            joined by commas.
        now: In seconds since 1970.
        ranges: Whether the method has them; only GET does.

    >>> judge(Version(100, 0, "t"), {"range": "bytes=90-"}, 0, ranges=True)
    Verdict(status=206, offset=90, length=10)
    >>> judge(Version(100, 0, "t"), {"if-none-match": '"t"'}, 0, ranges=True).status
    304
    """
    # In the order of section 13.2.2.
    if _refused(version, headers, now):
        return Verdict(412)
    if _known(version, headers, now):
        return Verdict(304)
    whole = Verdict(200, 0, version.size)
    if not ranges or "range" not in headers or not _if_range(version, headers, now):
        return whole
    return _part(headers["range"], version.size) or whole


def date(seconds: int) -> str | None:
    """
    A time as headers have it; None for one that they can't say.

    Args:
        seconds: Since 1970.

    >>> date(784111777)
    'Sun, 06 Nov 1994 08:49:37 GMT'
    """
    try:
        return formatdate(seconds, usegmt=True)
    except (ValueError, OverflowError, OSError):
        return None


def read_date(text: str) -> int | None:
    """
    Seconds since 1970, of a date in one of the three forms; None if it is none.

    >>> read_date("Sunday, 06-Nov-94 08:49:37 GMT"), read_date("yesterday")
    (784111777, None)
    """
    parsed = parsedate(text) if _DATE.fullmatch(text) else None
    return timegm(parsed) if parsed else None


def _refused(version: Version, headers: Mapping[str, str], now: float) -> bool:
    """Whether this version is not the one that something is wanted of."""
    if "if-match" in headers:
        return not _among(version, headers["if-match"], weak=False)
    since = read_date(headers.get("if-unmodified-since", ""))
    return since is not None and version.modified(now) > since


def _known(version: Version, headers: Mapping[str, str], now: float) -> bool:
    """Whether this version is there already."""
    if "if-none-match" in headers:
        return _among(version, headers["if-none-match"], weak=True)
    since = read_date(headers.get("if-modified-since", ""))
    return since is not None and version.modified(now) <= since


def _among(version: Version, text: str, *, weak: bool) -> bool:
    """Whether a list of tags has that of a version; a weak tag counts where that is enough."""
    if text.strip() == "*":
        return True
    if not _TAGS.fullmatch(text):
        return False
    tags = re.findall(_TAG, text)
    return version.etag in tags or (weak and f"W/{version.etag}" in tags)


def _if_range(version: Version, headers: Mapping[str, str], now: float) -> bool:
    """Whether the part is wanted of this very version (section 13.1.5)."""
    if "if-range" not in headers:
        return True
    wanted = headers["if-range"].strip()
    modified = version.modified(now)
    # A file that was written in this second may be written again in it: its date says too little.
    return wanted == version.etag or (modified < int(now) and read_date(wanted) == modified)


def _part(text: str, size: int) -> Verdict | None:
    """The part that a header names, or 416; None where the header is to be ignored."""
    found = _RANGE.fullmatch(text)
    # An empty file has no part, and nothing is wrong with asking all files for their beginning.
    if not found or not any(found.groups()) or not size:
        return None
    first, last = (_number(digits) for digits in found.groups())
    if first is None:
        first, last = max(0, size - (last or 0)), size
    elif last is not None and last < first:
        return None
    if first >= size:
        return Verdict(416)
    end = size if last is None else min(last + 1, size)
    return Verdict(206, first, end - first)


def _number(digits: str) -> int | None:
    """The number of some digits, however many; None without any."""
    digits = digits.lstrip("0") or digits[:1]
    return int(digits[:_DIGITS]) * 10 ** len(digits[_DIGITS:][:1]) if digits else None
