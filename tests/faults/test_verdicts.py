"""What becomes of a unit."""

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.faults.verdicts import DELIVER, DROP, Verdict, flip

DELAYS = st.lists(st.floats(0, 1e6), max_size=4).map(tuple)
VERDICTS = st.one_of(
    st.builds(Verdict, DELAYS, draw=st.none() | st.floats(-9, 9)),
    st.builds(Verdict, flips=st.lists(st.integers(0, 9999), min_size=1, max_size=9).map(tuple)),
    st.builds(Verdict, held=st.integers(1, 99)),
    st.builds(Verdict, draw=st.none() | st.floats(0, 1), cut=st.integers(0, 99_999)),
)


class VerdictTests(SynchronousTestCase):
    """Verdicts, carried out and written down."""

    def test_kinds(self) -> None:
        """Each has one word."""
        kinds = {
            "deliver": DELIVER,
            "drop": DROP,
            "delay": Verdict((0.5,)),
            "duplicate": Verdict((0.0, 0.0)),
            "corrupt": Verdict(flips=(3,)),
            "hold": Verdict(held=2),
            "cut": Verdict(cut=0),
        }
        for kind, verdict in kinds.items():
            self.assertEqual(verdict.kind, kind)

    def test_apply(self) -> None:
        """There are as many copies as delays, all of them changed alike."""
        self.assertEqual(DELIVER.apply(b"abc"), [(0.0, b"abc")])
        self.assertEqual(DROP.apply(b"abc"), [])
        changed = Verdict((0.1, 0.2), flips=(0,)).apply(b"abc")
        self.assertEqual(changed, [(0.1, b"\xe1bc"), (0.2, b"\xe1bc")])

    @given(st.binary(max_size=99), st.lists(st.integers(0, 999), max_size=9))
    def test_flip_twice(self, data: bytes, bits: list[int]) -> None:
        """What is inverted twice is as it was; bits beyond the end are nobody's."""
        self.assertEqual(flip(flip(data, tuple(bits)), tuple(bits)), data)

    @given(VERDICTS)
    def test_json(self, verdict: Verdict) -> None:
        """What was written reads as it was."""
        again = Verdict.from_json(json.loads(json.dumps(verdict.as_json())))
        self.assertEqual((again, again.draw), (verdict, verdict.draw))

    def test_cut(self) -> None:
        """A cut is written with the number of bytes that pass, also if it is none."""
        written = {"verdict": "cut", "cut": 17, "draw": 0.25}
        self.assertEqual(Verdict(draw=0.25, cut=17).as_json(), written)
        self.assertEqual(Verdict(cut=0).as_json(), {"verdict": "cut", "cut": 0})

    def test_wrong_json(self) -> None:
        """What was not written by us is refused."""
        wrong = (
            {}, {"verdict": "explode"}, {"verdict": "delay"}, {"verdict": "hold", "held": -1},
            {"verdict": "hold", "held": True}, {"verdict": "delay", "delays": [-1]},
            {"verdict": "delay", "delays": [float("inf")]}, {"verdict": "delay", "delays": ["x"]},
            {"verdict": "delay", "delays": 5}, {"verdict": "corrupt", "flips": [1.5]},
            {"verdict": "cut"}, {"verdict": "cut", "cut": None}, {"verdict": "cut", "cut": -1},
            {"verdict": "cut", "cut": True}, {"verdict": "cut", "cut": 1.0},
            {"verdict": "hold", "held": 1, "cut": 3},
            {"verdict": "drop", "delays": [1.0], "held": 3, "flips": []} | {"verdict": "hold"},
        )  # fmt: skip
        for values in (*wrong[:-1], {"verdict": "x" * 10**5}):
            error = self.assertRaises(LocalError, Verdict.from_json, values)
            self.assertLess(len(str(error)), 160)
