"""Reports as rows of words."""

from twisted.trial.unittest import SynchronousTestCase

from lab.echo.oneway import OneWay
from lab.echo.roundtrip import Counts, RoundTrip
from lab.echo.tables import COLUMNS, interval_rows, probe_rows, show_rate, stream_rows


class StreamRowsTests(SynchronousTestCase):
    """A stream."""

    def test_all(self) -> None:
        """Everything that there is to say, in words."""
        stream = OneWay(5, begun=0.0, timeout=10.0)
        for number, at in ((0, 0.5), (2, 1.0), (1, 1.25), (1, 2.0), (9, 2.0), (3, 99.0)):
            stream.arrived(number, number / 4, at, 100)
        stream.ended(5, 1, 0.25, 0.5)
        self.assertEqual(stream_rows(stream.report()), [
            ("packets", "5"),
            ("received", "3, 1.6 kbit/s"),
            ("lost", "2 (40 %)"),
            ("loss periods", "1, mean 2, max 2 packets"),
            ("duplicates", "1"),
            ("reordered", "1 (20 %)"),
            ("reordering extent", "1, mean 1, max 1 packets"),
            ("late", "1"),
            ("overdue", "1"),
            ("foreign", "1"),
            ("jitter", "31.2 ms"),
            ("delay variation", "min 0 s, mean 167 ms, p50 0 s, p99 500 ms, max 500 ms"),
            ("IPDV", "min -500 ms, mean 0 s, p50 -500 ms, p99 500 ms, max 500 ms"),
            ("sender missed", "1"),
            ("sender late", "mean 250 ms, max 500 ms"),
        ])  # fmt: skip

    def test_nothing(self) -> None:
        """What there is nothing to say of has no row."""
        self.assertEqual(stream_rows(OneWay().report()), [
            ("packets", "0"), ("received", "0, 0 bit/s"), ("lost", "0"), ("duplicates", "0"),
            ("reordered", "0"), ("late", "0"), ("jitter", "0 s"),
        ])  # fmt: skip


class ProbeRowsTests(SynchronousTestCase):
    """Probes."""

    def test_all(self) -> None:
        """Both ways, and which nobody knows."""
        probes = RoundTrip()
        for number in range(4):
            probes.sent(number, number / 4)
        probes.answered(2, Counts(2), 0.0, 1.0, 100)
        rows = dict(probe_rows(probes.report()))
        self.assertEqual(rows["lost"], "3 (75 %): 1 up, 1 down, 1 on either way")
        probes.counted(Counts(2))
        rows = dict(probe_rows(probes.report()))
        self.assertEqual(rows["lost"], "3 (75 %): 2 up, 1 down")
        self.assertEqual((rows["probes"], rows["answered"]), ("4", "1"))
        self.assertEqual(
            rows["round trip"],
            "min 500 ms, mean 500 ms, p50 500 ms, p90 500 ms, p99 500 ms, p99.9 500 ms, max 500 ms",
        )
        self.assertIn("delay variation up", rows)
        self.assertIn("delay variation down", rows)


class IntervalRowsTests(SynchronousTestCase):
    """Rows of intervals."""

    def test_columns(self) -> None:
        """A word for each column; without packets there are no delays."""
        stream = OneWay(4, begun=0.0, interval=0.5)
        stream.arrived(0, 0.0, 0.25, 100)
        stream.arrived(2, 0.5, 1.25, 100)
        rows = interval_rows(stream.report().intervals)
        self.assertEqual({len(row) for row in rows}, {len(COLUMNS)})
        self.assertEqual(rows[0], ("0-0.5", "1", "0", "", "0", "0", "0", "1.6 kbit/s", "0 s",
                                   "0 s", "0 s"))  # fmt: skip
        self.assertEqual(rows[1][:3] + rows[1][-3:], ("0.5-1", "0", "0", "", "", ""))
        self.assertEqual(rows[2], ("1-1.5", "3", "2", "", "0", "0", "0", "1.6 kbit/s", "31.2 ms",
                                   "500 ms", "500 ms"))  # fmt: skip

    def test_probes(self) -> None:
        """Probes have no jitter, and some are in flight."""
        probes = RoundTrip(timeout=2.0)
        for number in range(2):
            probes.sent(number, number / 4)
        probes.answered(0, Counts(1), 0.0, 0.5, 100)
        (row,) = interval_rows(probes.so_far(1.0))
        self.assertEqual(row[:4] + row[-3:], ("0-1", "1", "0", "1", "", "500 ms", "500 ms"))

    def test_long(self) -> None:
        """Thousands of seconds are not rounded."""
        stream = OneWay(begun=0.0, interval=100.0)
        stream.arrived(0, 0.0, 123_456.0, 100)
        self.assertEqual(interval_rows(stream.report().intervals)[-1][0], "123400-123500")

    def test_rate(self) -> None:
        """Units are those of iperf3: powers of 1,000."""
        shown = [show_rate(bits) for bits in (0, 999, 1000, 999_600, 2.5e9, 1.2e12)]
        self.assertEqual(shown, [
            "0 bit/s", "999 bit/s", "1 kbit/s", "1 Mbit/s", "2.5 Gbit/s", "1.2e+03 Gbit/s",
        ])  # fmt: skip
