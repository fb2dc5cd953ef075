"""The pictures of ``lab demo``: of what the scenes measured, and of the capture."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from lab.commands.demonstrating.arithmetic import Arithmetic
from lab.commands.demonstrating.download import Download
from lab.commands.demonstrating.echo import Stream
from lab.commands.demonstrating.scene import Scene
from lab.commands.demonstrating.sequence import Sequence as SequenceScene
from lab.errors import LocalError
from lab.experiments.results import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lab.experiments.seen import Seen

#: The names of all pictures.
NAMES = (
    "arithmetic-latency",
    "stream-delays",
    "sequence-numbers",
    "download-bytes",
    "sequence-ladder",
    "download-time",
)
#: So many packets before the first reset are drawn, and so many from there on.
BEFORE, BEHIND = 10, 20


@frozen
class Picture:
    """
    A picture.

    Args:
        name: Of its files, without ending.
        title: What it shows.
        draw: Draws it.
    """

    name: str
    title: str
    draw: Callable[["Figure"], object]


def pictures(scenes: Sequence[Scene], capture: Path, ports: dict[str, str]) -> Iterator[Picture]:
    """
    Those that can be drawn; of what went wrong there may be none.

    Args:
        scenes: All.
        capture: What went through the proxy.
        ports: Where proxies listen, by their names.
    """
    asked = [scene for scene in scenes if isinstance(scene, Arithmetic) and scene.answered]
    results = [scene.result for scene in asked if scene.result is not None]
    if results:
        yield _cdf(results)
    for scene in scenes:
        if isinstance(scene, Stream) and scene.packets:
            yield _delays(scene)
        elif isinstance(scene, SequenceScene) and scene.result is not None:
            title = "The sequence, number by number; shaded: cut by the proxy"
            yield _series("sequence-numbers", scene, title)
        elif isinstance(scene, Download) and scene.result is not None:
            yield _series("download-bytes", scene, "The download; shaded: one of two servers left")
    look = cache(lambda: _look(capture))
    yield Picture("sequence-ladder", _OF_LADDER, lambda figure: _ladder(figure, look(), ports))
    yield Picture("download-time", _OF_TIME, lambda figure: _time(figure, look(), ports))


_OF_LADDER = "The first cut of the sequence, between client and proxy, from the capture"
_OF_TIME = "The download between client and proxies, from the capture"


def _cdf(results: Sequence[Result]) -> Picture:
    """How long answers took."""
    from lab.experiments.cells import gather
    from lab.experiments.plots.shares import draw_cdf

    run = gather(results, "demo")
    title = "How long an answer took, all attempts together"
    return Picture("arithmetic-latency", title, lambda figure: draw_cdf(figure, [run], "latency"))


def _delays(scene: Stream) -> Picture:
    """How late each packet was."""
    from lab.experiments.plots.delays import drawing

    title = f"{scene.name}: {scene.asked}"
    return Picture("stream-delays", title, drawing(scene.packets, title=title))


def _series(name: str, scene: Scene, title: str) -> Picture:
    """What was there at which time."""
    from lab.experiments.cells import gather
    from lab.experiments.plots.moments import draw

    run = gather([scene.result], "demo")  # type: ignore[list-item]
    (measure,) = run.series
    return Picture(name, title, lambda figure: draw(figure, [run], measure))


def _look(capture: Path) -> "Seen":
    """What is in the capture."""
    from lab.experiments.seen import look

    return look(capture)


def _ladder(figure: "Figure", seen: "Seen", ports: dict[str, str]) -> None:
    """The packets between the client of the sequence and the proxy, around the first reset."""
    from lab.experiments.plots.ladder import draw

    port = ports["sequence"]
    arrows = [one for one in seen.arrows if port in {one.source, one.to}]
    if not arrows:
        raise LocalError("nothing of the sequence was captured")
    cut = next((place for place, one in enumerate(arrows) if "RST" in one.label), 0)
    shown = arrows[max(0, cut - BEFORE) : cut + BEHIND]
    draw(figure, _OF_LADDER, shown, [f"the proxy listens on {port}"])


def _time(figure: "Figure", seen: "Seen", ports: dict[str, str]) -> None:
    """The bytes from both proxies to the client of the download."""
    from lab.experiments.plots.progress import draw

    wanted = [f"TCP {port} " for name, port in ports.items() if name.startswith("download-")]
    traces = [one for one in seen.traces if one.name.startswith(tuple(wanted))]
    if not traces:
        raise LocalError("nothing of the download was captured")
    # Not those of attempts to reach the server that was killed.
    most = sorted(traces, key=lambda trace: -len(trace.marks))[: len(wanted)]
    draw(figure, _OF_TIME, [trace for trace in traces if trace in most], [])
