"""The answers that a server keeps."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from lab.arithmetic.replies import OVERHEAD, ReplyCache


class ReplyCacheTests(SynchronousTestCase):
    """The cache by hand."""

    def test_keeps(self) -> None:
        """What was put is found, under its peer and its whole request only."""
        cache = ReplyCache(10, 10_000)
        cache.put("a", b"#1 +,1,1", b"#1 200,2")
        self.assertEqual(cache.get("a", b"#1 +,1,1"), b"#1 200,2")
        self.assertEqual(cache.get("b", b"#1 +,1,1"), None)
        self.assertEqual(cache.get("a", b"#1 +,1,2"), None)

    def test_oldest_goes_first(self) -> None:
        """Over its number the oldest goes, even if it was asked for a moment ago."""
        cache = ReplyCache(2, 10_000)
        for request in (b"1", b"2"):
            cache.put("a", request, b"x")
        cache.get("a", b"1")
        cache.put("a", b"3", b"x")
        self.assertEqual([cache.get("a", r) for r in (b"1", b"2", b"3")], [None, b"x", b"x"])
        self.assertEqual((len(cache), cache.evicted), (2, 1))

    def test_size_is_exact(self) -> None:
        """What just fits stays; with a byte more the oldest goes."""
        for reply, kept in [(b"12345678", 2), (b"123456789", 1)]:
            cache = ReplyCache(10, 2 * OVERHEAD + 20)
            cache.put("a", b"1", b"123456789")
            cache.put("a", b"22", reply)
            self.assertEqual(len(cache), kept)

    def test_larger_than_the_cache(self) -> None:
        """An answer larger than the whole cache is not kept, and takes no room from others."""
        cache = ReplyCache(10, OVERHEAD + 10)
        cache.put("a", b"1", b"x" * 10)
        self.assertEqual((len(cache), cache.evicted), (0, 1))
        cache.put("a", b"1", b"x" * 9)
        self.assertEqual(len(cache), 1)

    def test_none(self) -> None:
        """A cache of nothing keeps nothing."""
        for cache in (ReplyCache(0, 10_000), ReplyCache(10, 0)):
            cache.put("a", b"1", b"x")
            self.assertEqual((cache.get("a", b"1"), len(cache)), (None, 0))


class Model(RuleBasedStateMachine):
    """The cache beside a list of what it should hold."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = ReplyCache(5, 4 * OVERHEAD)
        self.kept: list[tuple[tuple[str, bytes], bytes]] = []
        self.put_so_far = 0

    @rule(
        peer=st.sampled_from("ab"),
        request=st.binary(max_size=3),
        reply=st.integers(0, 400).map(bytes),
    )
    def put(self, peer: str, request: bytes, reply: bytes) -> None:
        """Put, as the server does, what is not there."""
        if self.cache.get(peer, request) is None:
            self.cache.put(peer, request, reply)
            self.put_so_far += 1
            self.kept.append(((peer, request), reply))
        while len(self.kept) > 5 or self.size() > 4 * OVERHEAD:
            del self.kept[0]

    def size(self) -> int:
        """What the list takes."""
        return sum(len(request) + len(reply) + OVERHEAD for (_, request), reply in self.kept)

    @invariant()
    def alike(self) -> None:
        """The cache holds just what the list does, and counts what it let go."""
        assert len(self.cache) == len(self.kept)
        assert all(self.cache.get(*key) == reply for key, reply in self.kept)
        assert self.cache.evicted == self.put_so_far - len(self.kept)
        assert self.cache._used == self.size()


class ModelTests(SynchronousTestCase):
    """The cache and the list."""

    def test_model(self) -> None:
        """Whatever is put, both hold the same."""
        run_state_machine_as_test(Model, settings=settings(deadline=None, max_examples=40))

    @settings(deadline=None)
    @given(st.lists(st.binary(max_size=900), max_size=30, unique=True), st.integers(0, 5000))
    def test_bounded(self, requests: list[bytes], size: int) -> None:
        """Memory never exceeds what was allowed."""
        cache = ReplyCache(20, size)
        for request in requests:
            cache.put("a", request, request)
            self.assertTrue(len(cache) * OVERHEAD <= cache._used <= size)
