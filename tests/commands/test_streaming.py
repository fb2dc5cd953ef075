"""What is shown of a stream."""

import io
import json
from pathlib import Path
from typing import Any
from unittest import mock

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from lab.commands import streaming
from lab.commands.streaming import (
    Json,
    Lines,
    Request,
    Stoppable,
    Terminal,
    make_view,
    plain_row,
    plain_summary,
    summary,
    write_packets,
)
from lab.echo.figures import Packet
from lab.echo.oneway import OneWay
from lab.echo.outcomes import Measured
from lab.echo.roundtrip import RoundTrip
from lab.errors import LocalError
from tests.helpers import folder

REQUEST = Request("udp:there:1", 0.02, 3, 100)


def measured() -> Measured:
    """A stream of three packets, of which the second was lost."""
    meter = OneWay(3, keep=True)
    meter.arrived(0, 0.0, 5.0, 100)
    meter.arrived(2, 0.04, 5.041, 100)
    return Measured(meter.report(), tuple(meter.packets(0.02)), ended=True)


class ViewTests(SynchronousTestCase):
    """Rows and the report."""

    def setUp(self) -> None:
        """What is printed."""
        self.said: list[str] = []
        self.errors: list[str] = []
        self.patch(streaming.click, "echo", self.echo)
        self.measured = measured()
        self.row = self.measured.report.intervals[0]

    def echo(self, text: str, *, err: bool = False) -> None:
        """Stands in for click's."""
        (self.errors if err else self.said).append(text)

    def test_plain(self) -> None:
        """A row says what its numbers are; the report is a line for each figure."""
        view = Lines(self.echo)
        view.row(self.row)
        self.assertEqual(
            self.said,
            [
                (
                    "0-1 s: 3 packets, 1 lost, 0 duplicates, 0 reordered, 0 late, 1.6 kbit/s, "
                    "jitter 62.5 us, mean delay 500 us, max delay 1 ms"
                )
            ],
        )
        view.end(self.measured, "it broke")
        self.assertEqual(self.said[1], plain_summary(summary(self.measured)))
        self.assertIn("\nlost             1 (33.3 %)\n", self.said[1])
        self.assertEqual(self.errors, ["it broke"])
        view.end(None, "")
        self.assertEqual((len(self.said), len(self.errors)), (2, 1))

    def test_row_without_packets(self) -> None:
        """What there is not is not said."""
        text = plain_row(evolve(self.row, mean=None, most=None))
        self.assertTrue(text.endswith("jitter 62.5 us"), text)

    def test_terminal(self) -> None:
        """Columns have one head; no row is wider than 80."""
        view = Terminal(self.echo)
        view.row(self.row)
        view.row(evolve(self.row, start=1000.0, end=1001.0, size=10**9))
        head, first, second = self.said
        self.assertEqual(head.split()[:3], ["seconds", "packets", "lost"])
        self.assertEqual(first.split()[:3], ["0-1", "3", "1"])
        self.assertTrue(all(len(line) <= 80 for line in self.said))
        self.assertEqual(len(head), len(first))
        self.assertTrue(second.startswith("1000-1001"))
        view.end(self.measured, "")
        self.assertRegex("\n".join(self.said[3:]), r"(?m)^lost +1 \(33\.3 %\)")

    def test_terminal_of_probes(self) -> None:
        """How many are in flight stands there in the place of the jitter."""
        view = Terminal(self.echo, round_trip=True)
        view.row(evolve(self.row, jitter=None, in_flight=7))
        head, row = self.said
        self.assertEqual(head.split()[:4], ["seconds", "packets", "lost", "flight"])
        self.assertEqual(row.split()[:4], ["0-1", "3", "1", "7"])
        self.assertNotIn("jitter", head)
        self.assertEqual((len(head) <= 80, len(head)), (True, len(row)))

    def test_stopped(self) -> None:
        """Who stops it has the report; who reads it later is told that it was stopped."""
        Lines(self.echo).stop(self.measured)
        self.assertEqual((len(self.said), self.errors), (1, []))
        Json(REQUEST).stop(self.measured)
        self.assertEqual(json.loads(self.said[1])["error"], "interrupted")

    def test_json(self) -> None:
        """One object, with iperf3's names."""
        view = Json(REQUEST)
        view.row(self.row)
        self.assertEqual(self.said, [])
        view.end(self.measured, "")
        told = json.loads(self.said.pop())
        self.assertEqual(list(told), ["start", "intervals", "end"])
        self.assertEqual(told["start"]["test_start"]["blksize"], 100)
        self.assertEqual(told["start"]["test_start"]["protocol"], "UDP")
        self.assertEqual(told["end"]["sum"]["lost_packets"], 1)
        view.end(None, "it broke")
        told = json.loads(self.said.pop())
        self.assertEqual((told["intervals"], told["end"], told["error"]), ([], {}, "it broke"))
        self.assertEqual(self.errors, [])

    def test_which(self) -> None:
        """JSON if asked for, columns on a terminal, lines elsewhere."""
        self.assertIsInstance(make_view(REQUEST, as_json=True), Json)
        out = io.StringIO()
        with mock.patch.object(streaming.sys, "stdout", out):
            self.assertIs(type(make_view(REQUEST, as_json=False)), Lines)
            out.isatty = lambda: True  # type: ignore[method-assign]
            self.assertIs(type(make_view(REQUEST, as_json=False)), Terminal)

    def test_probes(self) -> None:
        """Probes have figures of their own."""
        meter = RoundTrip()
        meter.sent(0, 1.0)
        names = [name for name, _ in summary(Measured(meter.report()))]
        self.assertEqual(names[:2], ["probes", "answered"])

    def test_title(self) -> None:
        """What was asked for, in words."""
        self.assertEqual(REQUEST.title, "3 packets of 100 bytes, one every 20 ms, udp:there:1")
        probes = Request("tcp:x:1", 0, 5, 64, round_trip=True)
        self.assertEqual(probes.title, "5 probes of 64 bytes, at once, tcp:x:1")


class PacketsTests(SynchronousTestCase):
    """What became of each packet."""

    def test_each(self) -> None:
        """An object a line, also for one that was lost."""
        path = folder(self) / "packets.jsonl"
        packets = (Packet(0, 0.0, 0.25, copies=2, extent=3, late=True), Packet(1, 0.5, None, 0))
        write_packets(path, packets)
        one, other = map(json.loads, path.read_text().splitlines())
        self.assertEqual(
            one,
            {
                "packet": 0, "class": "received", "sent": 0.0, "delay": 0.25, "copies": 2,
                "reordered": True, "extent": 3, "late": True,
            },
        )  # fmt: skip
        self.assertEqual((other["class"], other["delay"], other["copies"]), ("lost", None, 0))

    def test_nowhere(self) -> None:
        """Where nothing can be written, it is one line."""
        error = self.assertRaises(LocalError, write_packets, Path("/none/a"), [])
        self.assertEqual(str(error), "packets is '/none/a'; No such file or directory")


class StoppableTests(SynchronousTestCase):
    """To be stopped, and to have a result all the same."""

    def test_result(self) -> None:
        """What comes goes on."""
        waiting, done = Stoppable(), Deferred[Any]()
        waited = waiting.wait(done)
        done.callback(5)
        self.assertEqual((self.successResultOf(waited), waiting.stopped), (5, False))

    def test_stopped(self) -> None:
        """What there is when it is cancelled goes on, too, and it is noted."""
        waiting, done = Stoppable(), Deferred[Any](lambda done: done.callback(3))
        waited = waiting.wait(done)
        waited.cancel()
        self.assertEqual((self.successResultOf(waited), waiting.stopped), (3, True))

    def test_nothing(self) -> None:
        """Without anything it fails."""
        waited = Stoppable().wait(Deferred())
        waited.cancel()
        self.failureResultOf(waited, CancelledError)
