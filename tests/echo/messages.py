"""Strategies for all messages of the echo service."""

from hypothesis import strategies as st

from lab.echo.fields import HUGE
from lab.echo.replies import (
    Busy,
    Challenge,
    Counts,
    Data,
    Digest,
    FileEnd,
    Limits,
    Packet,
    Probed,
    Ready,
    Refused,
    StreamEnd,
)
from lab.echo.requests import AskCounts, AskLimits, Echo, File, Probe, Quit, Stream

IDS = st.just(b"") | st.from_regex(rb"[A-Za-z0-9-]{1,20}", fullmatch=True)
NUMBERS = st.integers(0, HUGE)
PADDING = st.binary(max_size=50).filter(lambda data: not set(data) & set(b"\r\n"))
WORDS = st.sampled_from(
    [b"echo", b"stream", b"file", b"probe", b"counts", b"limits", b"quit", b"token=", b"#k", b"200"]
)
PARTS = WORDS | st.sampled_from([b" ", b"\n", b"\r", b"0", b"007", b"42", b"x", b"9" * 25])
TEXTS = st.binary(max_size=60) | st.lists(PARTS, max_size=6).map(b"".join)
REASONS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=200)
HEX = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
CHARACTERS = st.binary(min_size=1, max_size=50).map(
    lambda data: bytes(33 + byte % 94 for byte in data)
)

COMMANDS = st.one_of(
    st.builds(Stream, NUMBERS, NUMBERS, NUMBERS, IDS),
    st.builds(File, NUMBERS, NUMBERS, NUMBERS, NUMBERS, IDS),
    st.builds(File, NUMBERS, NUMBERS),
    st.builds(Probe, NUMBERS, NUMBERS, st.none() | PADDING, IDS),
    st.builds(AskCounts, IDS),
    st.builds(AskLimits, IDS),
    st.builds(Quit, IDS),
)
REQUESTS = COMMANDS | st.builds(Echo, TEXTS, IDS)
REPLIES = st.one_of(
    st.builds(Packet, NUMBERS, NUMBERS, PADDING, IDS),
    st.builds(StreamEnd, NUMBERS, NUMBERS, NUMBERS, NUMBERS, IDS),
    st.builds(Ready, NUMBERS, id=IDS),
    st.builds(Ready, NUMBERS, NUMBERS, NUMBERS, IDS),
    st.builds(Data, NUMBERS, CHARACTERS, IDS),
    st.builds(Digest, HEX, IDS),
    st.builds(FileEnd, NUMBERS, HEX, IDS),
    st.builds(Probed, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.none() | PADDING, IDS),
    st.builds(Counts, NUMBERS, NUMBERS, IDS),
    st.builds(Limits, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, IDS),
    st.builds(Refused, st.sampled_from([300, 409, 413]), REASONS, IDS),
    st.builds(Busy, NUMBERS, REASONS, IDS),
    st.builds(Challenge, st.from_regex(rb"[A-Za-z0-9_-]{22}", fullmatch=True), IDS),
)
