"""Pictures of what was measured."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lab.echo.figures import Packet
from lab.errors import LocalError
from lab.experiments.plots.delays import MARKS, MOST, plot_delays
from tests.helpers import folder

#: No picture is larger, in bytes.
LARGEST = 2_000_000


def packets(count: int, delay: float = 0.01) -> list[Packet]:
    """Packets of which every 50th is lost, every 30th was overtaken and every 70th came twice."""
    return [
        Packet(number, number / 100, None, copies=0)
        if number % 50 == 49
        else Packet(
            number,
            number / 100,
            delay * (number * 7919 % 1000) / 1000,
            copies=1 + (number % 70 == 69),
            extent=2 * (number % 30 == 29),
        )
        for number in range(count)
    ]


class PlotTests(SynchronousTestCase):
    """Pictures of delays."""

    def draw(self, found: list[Packet], name: str = "delays.svg", **more: Any) -> bytes:
        """The bytes of a picture."""
        path = folder(self) / name
        plot_delays(path, found, **more)
        return path.read_bytes()

    def texts(self, svg: bytes) -> list[str]:
        """What is written in a picture; the outlines of letters have their text beside them."""
        return [text.strip() for text in re.findall(r"<!-- (.*?) -->", svg.decode())]

    def test_formats(self) -> None:
        """The ending says what it becomes, in capitals, too."""
        self.assertTrue(self.draw(packets(10), "x.png").startswith(b"\x89PNG\r\n"))
        self.assertTrue(self.draw(packets(10), "x.SVG").startswith(b"<?xml"))

    def test_other_ending(self) -> None:
        """Another ending is refused in a line that says which there are; nothing is written."""
        place = folder(self)
        for name in ("delays.pdf", "delays"):
            error = self.assertRaises(LocalError, plot_delays, place / name, packets(1))
            self.assertTrue(str(error).endswith("give a name that ends in .png or .svg"))
            self.assertIn(name, str(error))
        self.assertEqual(list(place.iterdir()), [])

    def test_no_folder(self) -> None:
        """So is a place that is not there."""
        path = folder(self) / "nowhere" / "delays.png"
        error = self.assertRaises(LocalError, plot_delays, str(path), packets(1))
        self.assertEqual(str(error), f"picture is {str(path)!r}; No such file or directory")

    def test_words(self) -> None:
        """Titles, axes with units, and how many there are of each kind."""
        texts = self.texts(self.draw(packets(210), title="A link", delay="round trip"))
        for text in (
            "A link",
            "over time",
            "distribution",
            "time at which the packet left (s)",
            "packets",
            "round trip (ms)",
            "received (206)",
            "reordered (6)",
            "came more than once (3)",
            "lost (4)",
        ):
            self.assertIn(text, texts)
        self.assertFalse(any("drawn" in text for text in texts))
        (median,) = (text for text in texts if text.startswith("p50"))
        self.assertApproximates(float(median.split()[1]), 5.0, 0.5)

    def test_units(self) -> None:
        """The unit suits the delays."""
        for delay, unit in ((3.0, "s"), (0.5, "ms"), (0.0005, "µs"), (0.0, "ms")):
            texts = self.texts(self.draw(packets(40, delay)))
            self.assertIn(f"delay above the least ({unit})", texts)

    def test_few(self) -> None:
        """No packet, one, and none that came."""
        for found in ([], [Packet(0, 0.0, 0.0)], [Packet(0, 0.0, None, copies=0)] * 3):
            texts = self.texts(self.draw(found))
            self.assertIn(f"received ({sum(packet.copies for packet in found)})", texts)

    def test_alike(self) -> None:
        """Delays that differ in the last digit of a float only are one."""
        found = [Packet(n, n / 10, 0.001 + n * 1e-18) for n in range(9)]
        self.assertIn("received (9)", self.texts(self.draw(found)))

    def test_far_from_zero(self) -> None:
        """Round trips that hardly differ fill the picture; others begin at 0."""
        near = [Packet(n, n / 10, 0.1 + n / 1e5) for n in range(10)]
        for found, ticks in ((near, {"100.02", "100.04"}), ([*near, Packet(10, 1, 0.01)], {"20"})):
            self.assertEqual(ticks & set(self.texts(self.draw(found))), ticks)

    def test_many(self) -> None:
        """Of 100,000 a part is drawn, and said to be; the file is small, the count whole."""
        found = packets(100_000)
        for name in ("x.png", "x.svg"):
            picture = self.draw(found, name)
            self.assertLess(len(picture), LARGEST)
        texts = self.texts(picture)
        self.assertIn(f"received (98,000, {MOST:,} drawn)", texts)
        self.assertIn(f"lost (2,000, {MARKS:,} drawn)", texts)
        self.assertIn("least to largest", texts)

    def test_same_bytes(self) -> None:
        """Equal packets give equal bytes, whatever matplotlib was told elsewhere."""
        import matplotlib as mpl

        first = self.draw(packets(5000)), self.draw(packets(100), "x.png")
        with mpl.rc_context({"font.size": 30, "svg.hashsalt": "other", "axes.facecolor": "red"}):
            second = self.draw(packets(5000)), self.draw(packets(100), "x.png")
            self.assertEqual(mpl.rcParams["font.size"], 30)
        # Not assertEqual: what differs in a megabyte it would seek for minutes.
        self.assertTrue(first == second)
        self.assertNotIn(b"<dc:date>", first[0])


class LoadTests(SynchronousTestCase):
    """What drawing brings with it."""

    def loaded(self, code: str) -> set[str]:
        """Modules that a fresh interpreter has loaded behind this."""
        words = [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"]
        done = subprocess.run(
            words, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
        )
        return set(done.stdout.split())

    def test_lazily(self) -> None:
        """The room alone loads no matplotlib, and drawing with it no pyplot."""
        room = "from lab.experiments.plots.delays import plot_delays\n"
        self.assertEqual(self.loaded(room) & {"matplotlib", "numpy"}, set())
        path = str(folder(self) / "x.png")
        loaded = self.loaded(f"{room}plot_delays({path!r}, [])")
        self.assertIn("matplotlib", loaded)
        self.assertNotIn("matplotlib.pyplot", loaded)
