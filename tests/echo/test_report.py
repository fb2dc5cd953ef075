"""Reports as values and as JSON."""

import json

from twisted.trial.unittest import SynchronousTestCase

from lab.echo.oneway import OneWay
from lab.echo.roundtrip import Counts, RoundTrip

#: What iperf3 says of UDP at its receiver, of an interval and in all.
IPERF3 = {
    "start", "end", "seconds", "bytes", "bits_per_second", "jitter_ms", "lost_packets", "packets",
    "lost_percent", "sender",
}  # fmt: skip


class ReportTests(SynchronousTestCase):
    """A stream."""

    def make(self) -> OneWay:
        """Four packets, of which one is lost, one comes again, and one was overtaken."""
        stream = OneWay(4, begun=0.0)
        for number, at in ((0, 0.5), (2, 1.0), (1, 1.25), (1, 2.0)):
            stream.arrived(number, number / 4, at, 100)
        stream.ended(4, 1, 0.25, 0.5)
        return stream

    def test_names_of_iperf3(self) -> None:
        """Where iperf3 has a name, it is that one; in milliseconds and percent, too."""
        found = json.loads(json.dumps(self.make().report().as_json(), allow_nan=False))
        end = found["end"]["sum"]
        self.assertEqual({name: end.get(name) for name in IPERF3}, {
            "start": 0, "end": 2, "seconds": 2, "bytes": 400, "bits_per_second": 1600,
            "jitter_ms": self.make().report().jitter * 1000, "lost_packets": 1, "packets": 4,
            "lost_percent": 25, "sender": False,
        })  # fmt: skip
        self.assertEqual(end["out_of_order"], 1)
        for row in found["intervals"]:
            self.assertLessEqual(IPERF3, set(row["sum"]))
        rows = [row["sum"] for row in found["intervals"]]
        self.assertEqual([row["packets"] for row in rows], [1, 2, 1])
        self.assertEqual([row["lost_packets"] for row in rows], [0, 0, 1])
        self.assertEqual(rows[0]["bits_per_second"], 800)

    def test_more(self) -> None:
        """What iperf3 has no name for."""
        end = self.make().report().as_json()["end"]
        names = ("received", "duplicates", "late", "overdue", "forgotten", "foreign")
        self.assertEqual([end[name] for name in names], [3, 1, 1, 0, 0, 0])
        self.assertEqual(end["sender"], {"count": 4, "missed": 1, "mean": 0.25, "most": 0.5})
        self.assertEqual(end["pdv"]["count"], 3)
        self.assertEqual(end["ipdv"]["count"], 2)
        self.assertEqual(end["bursts"]["lengths"], {"1": 1})
        self.assertEqual(end["reordering"]["n"], [1])

    def test_nothing(self) -> None:
        """When nothing came all numbers are there, and none is infinite."""
        found = json.loads(json.dumps(OneWay().report().as_json(), allow_nan=False))
        self.assertEqual(found["intervals"], [])
        self.assertEqual(found["end"]["sum"]["lost_percent"], 0)
        self.assertEqual((found["end"]["pdv"], found["end"]["sender"]), (None, None))
        found = json.loads(json.dumps(OneWay(3).report().as_json(), allow_nan=False))
        self.assertEqual(found["intervals"][0]["sum"]["delay"]["min"], None)


class ProbeReportTests(SynchronousTestCase):
    """Probes."""

    def test_json(self) -> None:
        """All counts, the round trip, and the way back as a stream."""
        probes = RoundTrip()
        for number in range(3):
            probes.sent(number, number / 4)
        probes.answered(2, Counts(2), 0.0, 1.0, 100)
        probes.counted(Counts(2))
        found = json.loads(json.dumps(probes.report().as_json(), allow_nan=False))
        end = found["end"]
        names = ("sent", "answered", "lost", "lost_up", "lost_down", "lost_unknown")
        self.assertEqual([end[name] for name in names], [3, 1, 2, 1, 1, 0])
        self.assertEqual((end["round_trip"]["most"], end["up"]["most"]), (0.5, 0))
        self.assertEqual(end["down"]["sum"]["lost_packets"], 1)
        (row,) = found["intervals"]
        self.assertEqual((row["sum"]["packets"], row["sum"]["delay"]["max"]), (3, 0.5))
        self.assertNotIn("intervals", end)
