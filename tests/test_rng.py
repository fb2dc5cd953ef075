"""Random streams."""

import os
import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab import rng

NAMES = st.lists(st.text("abc", min_size=1) | st.integers(0, 99), max_size=3).map(tuple)


def draws(stream: rng.Random) -> list[float]:
    """The first numbers of a stream."""
    return [stream.random() for _ in range(4)]


class StreamTests(SynchronousTestCase):
    """Streams and their names."""

    def test_stable(self) -> None:
        """The numbers of a seed and name are the same on every machine, for ever."""
        self.assertEqual(rng.stream(7, "drop", 50000).getrandbits(64), 543226257316738371)

    def test_other_process(self) -> None:
        """The numbers do not depend on how a process hashes its texts."""
        code = "from lab.rng import stream; print(stream(7, 'drop').getrandbits(64))"
        outputs = {
            subprocess.run(
                [sys.executable, "-c", code],
                env={**os.environ, "PYTHONHASHSEED": seed},
                check=True,
                capture_output=True,
            ).stdout
            for seed in ("1", "2")
        }
        self.assertEqual(outputs, {b"%d\n" % rng.stream(7, "drop").getrandbits(64)})

    @settings(deadline=None)
    @given(st.integers(0, 2**64), st.integers(0, 2**64), NAMES, NAMES)
    def test_alike(
        self, seed: int, other_seed: int, names: tuple[object], other: tuple[object]
    ) -> None:
        """Two streams are the same just when seed and names are."""
        one, two = rng.stream(seed, *names), rng.stream(other_seed, *other)
        self.assertEqual(draws(one) == draws(two), (seed, *names) == (other_seed, *other))

    def test_independent(self) -> None:
        """A draw more from one stream moves nothing in another."""
        expected = draws(rng.stream(7, "drop"))
        jitter, drop = rng.stream(7, "jitter"), rng.stream(7, "drop")
        jitter.random()
        self.assertEqual(draws(drop), expected)

    def test_no_seed(self) -> None:
        """Without a seed no two streams are alike."""
        self.assertNotEqual(draws(rng.stream(None, "drop")), draws(rng.stream(None, "drop")))


class SystemTests(SynchronousTestCase):
    """What comes from the system."""

    def test_fresh_seed(self) -> None:
        """A seed is short enough to be typed, and another each time."""
        seeds = {rng.fresh_seed() for _ in range(8)}
        self.assertGreater(len(seeds), 1)
        self.assertTrue(all(0 <= seed < 2**32 for seed in seeds))

    def test_secret(self) -> None:
        """A secret has 128 bits, other ones each time."""
        self.assertEqual(len(rng.secret()), 16)
        self.assertNotEqual(rng.secret(), rng.secret())
