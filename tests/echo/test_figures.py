"""Parts of what is to be said of a stream."""

import json

from twisted.trial.unittest import SynchronousTestCase

from lab.echo.figures import Bursts, Fate, Figures, Packet, Reordering, figures_json
from lab.statistics import Histogram, Spread


class FiguresTests(SynchronousTestCase):
    """What many values say."""

    def test_none(self) -> None:
        """Without values there are no figures, and null in JSON."""
        self.assertIsNone(Figures.of(Spread()))
        self.assertIsNone(figures_json(None))

    def test_of(self) -> None:
        """Of a spread and of a histogram, above a zero."""
        for values in (Spread(finest=1), Histogram()):
            for value in range(1, 1001):
                values.add(value)
            figures = Figures.of(values, zero=1)
            assert figures is not None
            self.assertEqual((figures.count, figures.least, figures.most), (1000, 0, 999))
            self.assertEqual(figures.mean, 499.5)
            found = (figures.p50, figures.p90, figures.p95, figures.p99, figures.p999)
            for value, exact in zip(found, (499, 899, 949, 989, 998), strict=True):
                self.assertApproximates(value, exact, 5)
            self.assertEqual(figures_json(figures), figures.as_json())
            self.assertEqual(json.loads(json.dumps(figures.as_json()))["p50"], figures.p50)


class PartsTests(SynchronousTestCase):
    """Packets, reordering, losses."""

    def test_fate(self) -> None:
        """A packet is received or lost."""
        self.assertEqual(Packet(1, 0.0, 0.1, copies=2).fate, Fate.RECEIVED)
        self.assertEqual(Packet(1, 0.0, None, copies=0).fate, Fate.LOST)

    def test_json(self) -> None:
        """Nothing is null, and lengths are names, as JSON wants them."""
        nothing = {"extent": None, "late": None, "n": []}
        self.assertEqual(Reordering().as_json(), nothing)
        self.assertEqual(Reordering(n=(3, 1)).as_json(), nothing | {"n": [3, 1]})
        self.assertEqual(
            Bursts(lengths=((1, 4), (2, 1))).as_json(),
            {"periods": None, "lengths": {"1": 4, "2": 1}, "distances": None},
        )
