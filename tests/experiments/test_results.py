"""Results in a file."""

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.experiments import results
from lab.experiments.results import Measure, Process, Result, Series, Window, adding, read, write
from lab.statistics import Histogram
from tests.helpers import folder

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.text(max_size=8)


@st.composite
def histograms(draw: st.DrawFn) -> Histogram:
    """Histograms."""
    made = Histogram()
    for value in draw(st.lists(st.floats(0, 1e300), max_size=5)):
        made.add(value)
    return made


@st.composite
def series(draw: st.DrawFn) -> Series:
    """Values over time."""
    pairs = draw(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=4))
    return Series(draw(NAMES), [time for time, _ in pairs], [value for _, value in pairs])


MEASURES = st.builds(
    Measure, NAMES, st.lists(NUMBERS, max_size=4), better=st.sampled_from(["", "less", "more"])
) | st.builds(Measure, NAMES, histogram=histograms())
RESULTS = st.builds(
    Result,
    NAMES,
    st.dictionaries(NAMES, NAMES | NUMBERS | st.integers() | st.booleans(), max_size=3),
    st.integers(0, 1000),
    st.dictionaries(NAMES, MEASURES, max_size=2),
    warm_up=st.booleans(),
    seed=st.integers(0, 2**64),
    simulated=st.booleans(),
    began=st.none() | NUMBERS,
    series=st.dictionaries(NAMES, series(), max_size=2),
    windows=st.lists(st.builds(Window, NUMBERS, NUMBERS, NAMES), max_size=2).map(tuple),
    processes=st.lists(st.builds(Process, NAMES, NUMBERS, NUMBERS), max_size=2).map(tuple),
    versions=st.dictionaries(NAMES, NAMES, max_size=2),
    error=NAMES,
)


def result(number: int = 0, **more: Any) -> Result:
    """A result with one measure."""
    measures = {"duration": Measure("s", (0.1, 0.2), better="less")}
    return Result("download", {"clients": 4}, number, measures, **more)


class ResultTests(SynchronousTestCase):
    """One result, as a line."""

    @settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(RESULTS)
    def test_round_trip(self, made: Result) -> None:
        """What is read is what was written, to the last digit; the line has no line in it."""
        line = made.encode()
        self.assertNotIn("\n", line)
        self.assertEqual(Result.decode(line), made)
        self.assertEqual(Result.decode(line).encode(), line)

    @settings(max_examples=100, deadline=None)
    @given(st.data())
    def test_damaged(self, data: st.DataObject) -> None:
        """Whatever stands in a line, it is a result or an error of ours."""
        values = json.loads(result(windows=(Window(0, 1, "x"),)).encode())
        where = values
        for _ in range(data.draw(st.integers(0, 3))):
            if isinstance(where, dict) and where:
                inner = where[data.draw(st.sampled_from(sorted(where)))]
                where = inner if isinstance(inner, dict | list) and inner else where
        junk = data.draw(
            st.none() | st.booleans() | NUMBERS | NAMES | st.lists(st.none() | NAMES, max_size=3)
            | st.just({}) | st.integers(-5, 5)
        )  # fmt: skip
        if isinstance(where, dict):
            where[data.draw(st.sampled_from(sorted(where)))] = junk
        else:
            where[0] = junk
        try:
            self.assertIsInstance(Result.decode(json.dumps(values)), Result)
        except LocalError as error:
            self.assertNotIn("\n", str(error))

    @settings(max_examples=100, deadline=None)
    @given(st.text(max_size=30) | st.sampled_from(["[" * 9999, "NaN", "{}", "[]", "1", "null"]))
    def test_garbage(self, line: str) -> None:
        """What is no result is refused in one short line."""
        error = self.assertRaises(LocalError, Result.decode, line)
        self.assertNotIn("\n", str(error))
        self.assertLess(len(str(error)), 200)

    def test_wrong(self) -> None:
        """Numbers that are none, words that there are not, lists that do not fit."""
        right = result(
            series={"loss": Series("1", [1.0], [2.0])}, processes=(Process("server-1", 1, 2),)
        ).encode()
        Result.decode(right)
        for old, new in [
            ('"repetition": 0', '"repetition": -1'),
            ('"repetition": 0', '"repetition": true'),
            ("[0.1, 0.2]", "[0.1, NaN]"),
            ("[0.1, 0.2]", "[0.1, Infinity]"),
            ("[0.1, 0.2]", '[0.1, "2"]'),
            ("[0.1, 0.2]", "[0.1, true]"),
            ('"less"', '"least"'),
            ('"times": [1.0]', '"times": []'),
            ('{"clients": 4}', '{"clients": [4]}'),
            ('"cpu": 1', '"cpu": null'),
            ('"samples": [0.1, 0.2]', '"histogram": {}'),
        ]:
            self.assertIn(old, right)
            self.assertRaises(LocalError, Result.decode, right.replace(old, new))

    def test_not_finite(self) -> None:
        """A number that JSON does not have is not written."""
        broken = Histogram()
        broken.most = float("inf")
        cell = Result("x", {}, 0, {"y": Measure("s", histogram=broken)})
        self.assertIn("not finite", str(self.assertRaises(LocalError, cell.encode)))
        self.assertRaises(ValueError, Measure, "s", [float("nan")])

    def test_too_long(self) -> None:
        """More than a reader would take is not written."""
        self.patch(results, "LONGEST", 100)
        error = self.assertRaises(LocalError, result().encode)
        self.assertIn("use a histogram", str(error))

    def test_old_and_new(self) -> None:
        """What has a usual value may be absent; what is not known is passed over."""
        made = Result.decode(
            '{"experiment": "x", "cell": {}, "repetition": 1, "measures": {}, "z": 1}'
        )
        self.assertEqual(made, Result("x", {}, 1))

    def test_key(self) -> None:
        """Equal cells have one key, in whatever order their parameters stand."""
        one, other = Result("x", {"a": 1, "b": "2"}, 0), Result("x", {"b": "2", "a": 1}, 5)
        self.assertEqual(one.key, other.key)
        self.assertNotEqual(one.key, Result("x", {"a": 1, "b": 2}, 0).key)

    def test_count(self) -> None:
        """A measure has as many values as it has samples, or as its histogram counts."""
        histogram = Histogram()
        for value in range(5):
            histogram.add(value)
        self.assertEqual(Measure("s", [1, 2]).count, 2)
        self.assertEqual(Measure("s", histogram=histogram).count, 5)


class FileTests(SynchronousTestCase):
    """A file of results."""

    def setUp(self) -> None:
        """Name a file."""
        self.path: Path = folder(self) / "results.jsonl"

    def test_written_and_read(self) -> None:
        """All are there again, in their order; what was there before is replaced."""
        for count in (3, 2):
            made = [result(number) for number in range(count)]
            write(self.path, made)
            self.assertEqual(list(read(str(self.path))), made)
        self.assertEqual([path.name for path in self.path.parent.iterdir()], ["results.jsonl"])

    def test_failed_write(self) -> None:
        """If one of them can't be written, the file is as it was."""
        write(self.path, [result()])
        broken = Result("x", {}, 0, began=float("nan"))
        self.assertRaises(LocalError, write, self.path, [result(1), broken])
        self.assertEqual(list(read(self.path)), [result()])

    def test_cut_anywhere(self) -> None:
        """Wherever a file is cut off, whole lines are read, and a run goes on behind them."""
        write(self.path, [result(0), result(1)])
        whole = self.path.read_bytes()
        first = whole.index(b"\n") + 1
        for size in (0, 1, first - 1, first, first + 1, len(whole) - 1):
            self.path.write_bytes(whole[:size])
            kept = [result(0)] if size >= first else []
            self.assertEqual(list(read(self.path)), kept)
            with adding(self.path) as add:
                add(result(7))
            self.assertEqual(list(read(self.path)), [*kept, result(7)])

    def test_long_half_line(self) -> None:
        """Half a line that is longer than what is looked at in one go is cut off, too."""
        write(self.path, [result(0)])
        with self.path.open("ab") as file:
            file.write(b"x" * 200_000)
        with adding(self.path) as add:
            add(result(1))
        self.assertEqual(list(read(self.path)), [result(0), result(1)])

    def test_there_at_once(self) -> None:
        """A line is in the file as soon as it was added."""
        with adding(self.path) as add:
            for number in range(3):
                add(result(number))
                self.assertEqual(len(list(read(self.path))), number + 1)

    def test_number_of_the_line(self) -> None:
        """An error names the line; empty ones count, and do no harm."""
        self.path.write_text(f"{result().encode()}\n\nnonsense\n")
        found = read(self.path)
        self.assertEqual(next(found), result())
        error = self.assertRaises(LocalError, next, found)
        self.assertEqual(str(error), f"line 3 of {self.path}: 'nonsense' is no result")

    def test_bytes(self) -> None:
        """Bytes that are no text are no result, and no traceback."""
        self.path.write_bytes(b"\xff\xfe\x00\n")
        self.assertRaises(LocalError, list, read(self.path))

    def test_huge_line(self) -> None:
        """A line that is too long is not read to its end."""
        self.patch(results, "LONGEST", 1000)
        self.path.write_bytes(b"x" * 1001)
        error = self.assertRaises(LocalError, list, read(self.path))
        self.assertEqual(str(error), f"line 1 of {self.path}: it is longer than 1,000 bytes")

    def test_no_such_place(self) -> None:
        """A file that can't be had is an error of one line."""
        nowhere = self.path.parent / "nowhere" / "x"

        def add() -> None:
            """Go on with it."""
            with adding(nowhere):
                self.fail("it can't be")

        for use in (lambda: list(read(nowhere)), lambda: write(nowhere, []), add):
            error = self.assertRaises(LocalError, use)
            self.assertEqual(str(error), f"results is {str(nowhere)!r}; No such file or directory")
