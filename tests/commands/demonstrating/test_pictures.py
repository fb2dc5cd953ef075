"""The pictures of the demo: which there are, and what they are drawn of."""

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lab.arithmetic.asking import Answer
from lab.arithmetic.wire import Reply, Request
from lab.commands.demonstrating import pictures as module
from lab.commands.demonstrating.arithmetic import Arithmetic
from lab.commands.demonstrating.download import Download
from lab.commands.demonstrating.echo import File, Stream
from lab.commands.demonstrating.pictures import BEFORE, BEHIND, NAMES, pictures
from lab.commands.demonstrating.sequence import Sequence
from lab.echo.figures import Packet
from lab.errors import LocalError
from lab.experiments.plots import delays, ladder, moments, progress, shares
from lab.experiments.plots.ladder import Arrow
from lab.experiments.plots.progress import Mark, Trace
from lab.experiments.results import Result, Series
from lab.experiments.seen import Seen

LOOK = module._look
PORTS = {"sequence": "h:1", "download-1": "h:2", "download-2": "h:3", "echo-tcp": "h:4"}


def played() -> list[Any]:
    """Scenes that have something to draw."""
    asked, stream, sequence, download = Arithmetic("tcp", 1), Stream(), Sequence(), Download()
    asked.heard(Answer(Reply(200, 2), 1, 0.1), Request("+", 1, 1))
    asked._judge()
    stream.packets = (Packet(0, 0.0, 0.1),)
    sequence.result = Result("demo", {}, 0, series={"numbers": Series("1", (1.0,), (2.0,))})
    download.result = Result("demo", {}, 0, series={"bytes there": Series("B", (1.0,), (2.0,))})
    return [asked, stream, File(), sequence, download]


class PicturesTests(SynchronousTestCase):
    """What is drawn, by stand-ins of what draws."""

    def setUp(self) -> None:
        """Note what is drawn."""
        self.drawn: list[tuple[Any, ...]] = []
        for room, name in ((shares, "draw_cdf"), (moments, "draw"), (ladder, "draw"),
                           (progress, "draw")):  # fmt: skip
            self.patch(room, name, lambda figure, *what: self.drawn.append(what))
        self.patch(delays, "drawing", lambda *what, **named: lambda figure: self.drawn.append(what))
        labels = ["SYN"] * 20 + ["RST, ACK, seq 5"] + ["ACK"] * 40
        arrows = [Arrow("h:9", "h:1", at, at, label) for at, label in enumerate(labels)]
        self.seen = Seen(
            [Arrow("h:9", "h:4", 0, 0), *arrows],
            [
                Trace("TCP h:2 to h:7", "", [Mark(0, 0)] * 9),
                Trace("TCP h:7 to h:2", "", [Mark(0, 0)] * 9),
                Trace("TCP h:3 to h:6", "", [Mark(0, 0)]),
                Trace("TCP h:3 to h:8", "", [Mark(0, 0)] * 9),
            ],
        )
        self.looked: list[Path] = []
        self.patch(module, "_look", lambda path: (self.looked.append(path), self.seen)[1])

    def draw(self, scenes: list[Any]) -> dict[str, Any]:
        """What is drawn, by the names of pictures."""
        made = list(pictures(scenes, Path("x.pcapng"), PORTS))
        for picture in made:
            picture.draw(None)  # type: ignore[arg-type]
            self.assertTrue(picture.title)
        return dict(zip((one.name for one in made), self.drawn, strict=True))

    def test_all(self) -> None:
        """Each has its picture; the capture is read once."""
        drawn = self.draw(played())
        self.assertEqual((tuple(drawn), self.looked), (NAMES, [Path("x.pcapng")]))
        self.assertEqual(drawn["arithmetic-latency"][0][0].cells[0].values, {"transport": "TCP"})
        self.assertEqual(drawn["stream-delays"], ((Packet(0, 0.0, 0.1),),))
        self.assertEqual(drawn["sequence-numbers"][1], "numbers")
        self.assertEqual(drawn["download-bytes"][1], "bytes there")

    def test_ladder(self) -> None:
        """It has what went between client and proxy around the first reset."""
        _, arrows, notes = self.draw([])["sequence-ladder"]
        self.assertEqual((len(arrows), arrows[BEFORE].sent), (BEFORE + BEHIND, 20))
        self.assertEqual(notes, ["the proxy listens on h:1"])

    def test_ladder_without_reset(self) -> None:
        """Without a reset it has the first packets."""
        self.seen.arrows = self.seen.arrows[:5]
        self.assertEqual(len(self.draw([])["sequence-ladder"][1]), 4)

    def test_time(self) -> None:
        """It has the way from both proxies to the client, on the connections that had most."""
        names = [trace.name for trace in self.draw([])["download-time"][1]]
        self.assertEqual(names, ["TCP h:2 to h:7", "TCP h:3 to h:8"])

    def test_nothing(self) -> None:
        """Scenes without anything to draw have no picture; nor has a capture without them."""
        cut = Arithmetic("udp", 2)  # it was broken off behind its first answer
        cut.heard(Answer(Reply(200, 2), 1, 0.1), Request("+", 1, 1))
        scenes = [Arithmetic("tcp", 1), cut, Stream(), Sequence(), Download()]
        self.assertEqual(list(self.draw(scenes)), ["sequence-ladder", "download-time"])
        self.seen.arrows, self.seen.traces = self.seen.arrows[:1], []
        for picture in pictures([], Path(), PORTS):
            self.assertRaises(LocalError, picture.draw, None)

    def test_look(self) -> None:
        """A capture that is not there is an error of the user's."""
        self.assertRaises(LocalError, LOOK, Path("/nowhere"))
