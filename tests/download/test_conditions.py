"""What a request over HTTP gets of a file."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.download.conditions import Verdict, Version, date, judge, read_date

NOW = 1_000_000_000.5
FILE = Version(100, 999_999_000_700_000_000, "0f")
WRITTEN = date(999_999_000) or ""
WHOLE = Verdict(200, 0, 100)
NUMBERS = st.integers(0, 150) | st.integers(0, 10**40)


def ask(version: Version = FILE, *, ranges: bool = True, **headers: str) -> Verdict:
    """What a request with these headers gets."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return judge(version, named, NOW, ranges=ranges)


class RangeTests(SynchronousTestCase):
    """Parts of files."""

    def test_parts(self) -> None:
        """From the beginning, to the end, from the end; cut to what is there."""
        for text, offset, length in (
            ("0-0", 0, 1),
            ("0-99", 0, 100),
            ("10-19", 10, 10),
            ("90-", 90, 10),
            ("90-100", 90, 10),
            (f"99-{'9' * 5000}", 99, 1),
            ("-1", 99, 1),
            ("-100", 0, 100),
            ("-1000", 0, 100),
            ("007-0008", 7, 2),
        ):
            self.assertEqual(ask(range=f"bytes={text}"), Verdict(206, offset, length), text)
        self.assertEqual(ask(range="Bytes= 1-2 "), Verdict(206, 1, 2))

    def test_none(self) -> None:
        """A part that begins behind the end, or has nothing, is not there."""
        for text in ("100-", "100-100", "1000-2000", "-0", "-000", f"{'1' * 5000}-"):
            self.assertEqual(ask(range=f"bytes={text}"), Verdict(416), text)

    def test_ignored(self) -> None:
        """What is no range of bytes, and several of them, gets the whole file."""
        for text in (
            *("", "bytes", "bytes=", "bytes=-", "bytes= - ", "bytes=2-1", "bytes=a-b", "bytes=1"),
            *("bytes=0-1,5-6", "lines=0-1", "bytes=0x1-2", "bytes=+1-2", "bytes=1-2;", "bytes=--1"),
            "bytes=\u0661-\u0662",
        ):
            self.assertEqual(ask(range=text), WHOLE, text)
        self.assertEqual(ask(range="bytes=0-1", ranges=False), WHOLE)

    def test_empty(self) -> None:
        """An empty file comes whole, whatever part is asked for."""
        empty = Version(0, 0, "0f")
        for text in ("0-", "0-0", "-1", "5-"):
            self.assertEqual(ask(empty, range=f"bytes={text}"), Verdict(200, 0, 0))

    @given(st.integers(1, 120), NUMBERS | st.none(), NUMBERS | st.none())
    def test_arithmetic(self, size: int, first: int | None, last: int | None) -> None:
        """The part has just the bytes that Python's own slice has."""
        shown = "-".join("" if number is None else str(number) for number in (first, last))
        verdict = ask(Version(size, 0, "t"), range=f"bytes={shown}")
        everything = list(range(size))
        if first is None:
            expected = everything[-last:] if last else []
        else:
            expected = everything[first : None if last is None else last + 1]
        got = everything[verdict.offset : verdict.offset + verdict.length]
        if (first is None and last is None) or (first or 0) > (10**50 if last is None else last):
            self.assertEqual(verdict, Verdict(200, 0, size))
        elif expected:
            self.assertEqual((verdict.status, got), (206, expected))
        else:
            self.assertEqual(verdict, Verdict(416))

    @given(st.text(max_size=60) | st.text("bytes=0123456789-, ", max_size=60), st.integers(0, 50))
    @example("bytes=0-", 0)
    def test_any_text(self, text: str, size: int) -> None:
        """Whatever it says, the answer is within the file."""
        verdict = ask(Version(size, 0, "t"), range=text)
        self.assertIn(verdict.status, (200, 206, 416))
        self.assertLessEqual(verdict.offset + verdict.length, size)
        self.assertGreaterEqual(verdict.offset, 0)
        self.assertEqual(verdict.length == 0, verdict.status == 416 or size == 0)


class IfRangeTests(SynchronousTestCase):
    """Parts of one version only."""

    def ask(self, wanted: str, **more: Any) -> int:
        """The status of a request for a part."""
        return ask(range="bytes=5-", if_range=wanted, **more).status

    def test_tag(self) -> None:
        """A part of this version; of another, all of it. A weak tag is not enough."""
        self.assertEqual(self.ask('"0f"'), 206)
        for other in ('"0e"', 'W/"0f"', "0f", "", "*", '"0f", "0e"'):
            self.assertEqual(self.ask(other), 200, other)

    def test_date(self) -> None:
        """By its date, which has to be the very same."""
        self.assertEqual(self.ask(WRITTEN), 206)
        self.assertEqual(self.ask(date(999_999_001) or ""), 200)
        self.assertEqual(self.ask(date(999_998_999) or ""), 200)

    def test_too_fresh(self) -> None:
        """The date of a file that was written just now says too little."""
        now = int(NOW)
        for seconds, status in ((now - 1, 206), (now, 200), (now + 5, 200)):
            fresh = Version(100, seconds * 10**9, "0f")
            self.assertEqual(self.ask(date(min(seconds, now)) or "", version=fresh), status)


class ConditionTests(SynchronousTestCase):
    """Whole files, on conditions."""

    def test_none_match(self) -> None:
        """Who has this version gets no other; weak or strong."""
        for tags in ('"0f"', 'W/"0f"', '"a", "0f"', ' ,"a",,W/"0f" , ', "*", " * ", '"a,b","0f"'):
            self.assertEqual(ask(if_none_match=tags), Verdict(304), tags)
        for tags in ('"0e"', "0f", '"0f', "", '"a" "0f"', '"0f", x', '"*"'):
            self.assertEqual(ask(if_none_match=tags), WHOLE, tags)

    def test_match(self) -> None:
        """Who wants this version only; a weak tag is not enough."""
        for tags in ('"0f"', '"a", "0f"', "*"):
            self.assertEqual(ask(if_match=tags), WHOLE, tags)
        for tags in ('"0e"', 'W/"0f"', "", "0f"):
            self.assertEqual(ask(if_match=tags), Verdict(412), tags)

    def test_dates(self) -> None:
        """By time, in whole seconds."""
        before, after = date(999_998_999) or "", date(999_999_001) or ""
        for since, modified, unmodified in (
            (before, 200, 412),
            (WRITTEN, 304, 200),
            (after, 304, 200),
            ("yesterday", 200, 200),
        ):
            self.assertEqual(ask(if_modified_since=since).status, modified)
            self.assertEqual(ask(if_unmodified_since=since).status, unmodified)

    def test_order(self) -> None:
        """Tags count and not dates; what is not met counts before a part is looked at."""
        before, after = date(999_998_999) or "", date(999_999_001) or ""
        self.assertEqual(ask(if_none_match='"0e"', if_modified_since=after), WHOLE)
        self.assertEqual(ask(if_match='"0f"', if_unmodified_since=before), WHOLE)
        self.assertEqual(ask(if_match='"0e"', if_none_match='"0f"').status, 412)
        self.assertEqual(ask(if_match='"0f"', if_none_match='"0f"').status, 304)
        self.assertEqual(ask(if_none_match='"0f"', range="bytes=100-").status, 304)
        self.assertEqual(ask(if_match='"0f"', range="bytes=1-1").status, 206)


class DateTests(SynchronousTestCase):
    """Times in headers."""

    def test_forms(self) -> None:
        """All three forms are one time."""
        for text in (
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ):
            self.assertEqual(read_date(text), 784_111_777)

    def test_none(self) -> None:
        """Other texts are none."""
        for text in (
            *("", "0", "Sun, 06 Nov 1994 08:49:37 +0100", "06 Nov 1994 08:49:37 GMT"),
            *("Sun, 06 Nov 1994 08:49:37 GMT; length=5"),
            "Sun, \u0660\u0666 Nov 1994 08:49:37 GMT",
        ):
            self.assertIsNone(read_date(text), text)

    @given(st.integers(-(10**11), 253_402_300_799) | st.integers())
    def test_both_ways(self, seconds: int) -> None:
        """What is written is read; what has no date is not written."""
        text = date(seconds)
        if 0 <= seconds < 253_402_300_800:
            self.assertIsNotNone(text)
        if text is not None:
            self.assertEqual(len(text), 29)
            self.assertEqual(read_date(text), seconds)
