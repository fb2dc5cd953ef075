"""What became of requests over time."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.experiments.rows import MOST, SHORTEST, Rows, series

#: When a request is planned, as a part of the whole time, and its latency.
REQUESTS = st.lists(st.tuples(st.floats(0, 1), st.none() | st.floats(0, 5)), max_size=30)


class RowsTests(SynchronousTestCase):
    """The rows of clients, and what they say together."""

    def test_length(self) -> None:
        """Rows grow with the time, and are never too short to hold anything."""
        self.assertEqual(Rows(0.0, 1.0).length, SHORTEST)
        for lasts, length in ((5000, 100), (8, 0.2), (25.1, 1), (20, 0.5), (60, 2), (26, 1)):
            self.assertApproximates(Rows(0.0, lasts).length, length, 1e-9)

    def test_when_planned(self) -> None:
        """A request counts in the row in which it was planned, from the begin of the client."""
        rows = Rows(100.0, 1.0)
        rows.add(100.3, 0.5)
        rows.add(100.05, None)
        found = series([rows.as_json()])
        self.assertEqual((found["success"].times, found["success"].values), ((0, 0.3), (0, 1)))
        self.assertEqual((found["latency"].times, found["latency"].values), ((0.3,), (0.5,)))
        self.assertEqual((found["success"].unit, found["latency"].unit), ("1", "s"))

    def test_rounded(self) -> None:
        """What is planned for the begin of a row is in it, though it was rounded down."""
        rows = Rows(1000.1, 5.0)
        for number in range(50):
            rows.add(1000.1 + number / 10, 0.001)
        self.assertEqual([asked for asked, *_ in rows.as_json()["fates"]], [1] * 50)

    def test_together(self) -> None:
        """Clients count together, also where one has fewer rows; latency is the mean."""
        one, other = Rows(0.0, 1.0), Rows(7.0, 1.0)
        one.add(0.0, 0.1)
        other.add(7.0, 0.3)
        other.add(7.0, None)
        other.add(7.9, None)
        found = series([one.as_json(), other.as_json()])
        self.assertEqual(dict(zip(found["success"].times, found["success"].values, strict=True)),
                         {0: 2 / 3, 0.9: 0})  # fmt: skip
        self.assertEqual(found["latency"].values, (0.2,))

    def test_nothing(self) -> None:
        """Where nothing was answered there is no latency; where nothing was asked, nothing."""
        rows = Rows(0.0, 1.0)
        self.assertEqual(series([rows.as_json()]), {})
        rows.add(0.0, None)
        self.assertEqual(set(series([rows.as_json()])), {"success"})

    @settings(max_examples=50)
    @given(REQUESTS, st.floats(0.001, 1e6))
    def test_all_counted(self, requests: list[tuple[float, float | None]], lasts: float) -> None:
        """Whatever was asked, all of it is counted, in a bounded number of rows."""
        rows = Rows(3.0, lasts)
        for at, latency in requests:
            rows.add(3.0 + at * lasts, latency)
        fates = rows.as_json()["fates"]
        self.assertLessEqual(len(fates), MOST + 1)
        self.assertEqual(sum(asked for asked, *_ in fates), len(requests))
        answered = [latency for _, latency in requests if latency is not None]
        self.assertEqual(sum(right for _, right, _ in fates), len(answered))
