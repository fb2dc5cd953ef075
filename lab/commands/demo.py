"""``lab demo``: the whole laboratory once, on this machine, and what happened there."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
from attrs import define, field
from rich.console import Console
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.task import deferLater

from lab.commands.demonstrating.arithmetic import Arithmetic
from lab.commands.demonstrating.download import Download
from lab.commands.demonstrating.echo import File, Stream
from lab.commands.demonstrating.folder import DEFAULT, Folder
from lab.commands.demonstrating.page import DemoReport
from lab.commands.demonstrating.pictures import NAMES, pictures
from lab.commands.demonstrating.scene import Scene, World, perform
from lab.commands.demonstrating.sequence import Sequence as SequenceScene
from lab.commands.demonstrating.showing import Lines, make_showing, table
from lab.commands.demonstrating.stage import Stage
from lab.commands.experiment_report import write
from lab.commands.processes import ServerError
from lab.commands.running import FAILED, OK, run
from lab.commands.types import COUNT, SEED
from lab.errors import LocalError

if TYPE_CHECKING:
    from lab.commands.demonstrating.pictures import Picture

#: A scene takes no longer, in seconds; with more requests, more.
LIMIT, REQUESTS_A_SECOND = 90.0, 20


def make_scenes(requests: int) -> list[Scene]:
    """All scenes, in the order of the table."""
    return [
        Arithmetic("tcp", requests),
        Arithmetic("udp", requests),
        Stream(),
        File(),
        SequenceScene(),
        Download(),
    ]


@define(eq=False)
class Demo:
    """
    One demo.

    Args:
        reactor: Of the program.
        folder: Where things go.
        scenes: All.
        seed: Draws everything.
        limit: A scene takes no longer, in seconds.
        console: Standard output.
    """

    _reactor: Any
    _folder: Folder
    _scenes: Sequence[Scene]
    _seed: int
    _limit: float
    _console: Console
    _broken: ServerError | None = field(init=False, default=None)

    async def run(self) -> int:
        """
        Run it.

        Returns:
            The exit code.
        """
        began = self._reactor.seconds()
        showing = make_showing(self._console, self._scenes, self._reactor.seconds)
        with showing, TemporaryDirectory(prefix="lab-demo-") as scratch:
            stage = Stage(
                self._reactor, self._seed, self._folder.capture, Path(scratch), showing.say
            )
            async with stage.open(self._scenes) as world:
                await self._play(stage, world)
            verdict = self._verdict(self._reactor.seconds() - began)
            await self._report(showing, stage, world, verdict)
        self._console.print(table(self._scenes))
        return self._end(verdict)

    async def _play(self, stage: Stage, world: World) -> None:
        """Play all scenes at the same time, until a server ends by itself."""
        playing: Deferred[Any] = DeferredList(
            [Deferred.fromCoroutine(perform(one, world, self._limit)) for one in self._scenes],
            consumeErrors=True,
        )

        def broken(error: ServerError) -> None:
            """There is nothing to go on with."""
            self._broken = error
            playing.cancel()

        stage.broken = broken
        for scene, (done, failure) in zip(self._scenes, await playing, strict=True):
            if done:
                continue
            if self._broken is None or not failure.check(CancelledError):
                failure.raiseException()
            scene.wrong.append(str(self._broken))

    def _verdict(self, seconds: float) -> str:
        """The last word: how long it took to play all, without what is drawn of it."""
        wrong = [scene.name for scene in self._scenes if not scene.right]
        took = f"{seconds:.1f} s"
        if not wrong:
            return f"Everything was right, in {took}."
        return f"Not everything was right, in {took}: {'; '.join(wrong)}."

    async def _report(self, showing: Lines, stage: Stage, world: World, verdict: str) -> None:
        """Draw the pictures, and write the page."""
        from lab.experiments.working import versions

        ports = {name: place.partition(":")[2] for name, place in world.places.items()}
        shown = []
        for picture in pictures(self._scenes, self._folder.capture, ports):
            showing.work(f"drawing {picture.name}")
            # Whoever types Ctrl-C is heard between two of them.
            shown.append(await deferLater(self._reactor, 0, self._draw, picture))
        report = DemoReport(
            self._scenes,
            verdict,
            self._seed,
            stage.commands,
            self._folder.go_on(self._seed),
            versions(simulated=False),
        )
        write(self._folder.report, report.page([one for one in shown if one]))

    def _draw(self, picture: "Picture") -> tuple[str, str] | None:
        """Draw a picture into its files; gives what goes into the page."""
        from lab.experiments.plots.paper import embedded, paint_all

        files = self._folder.pictures(picture.name)
        try:
            paint_all(files, picture.draw)
        except LocalError as error:
            # What went wrong may have left nothing to be drawn.
            self._console.print(f"{picture.name}: {error}", highlight=False, markup=False)
            return None
        return picture.title, embedded(files[0].read_text(encoding="utf-8"), picture.name)

    def _end(self, verdict: str) -> int:
        """Say what was wrong, if anything was, where things are, and how to go on."""
        say: Callable[[str], None] = partial(
            self._console.print, highlight=False, markup=False, soft_wrap=True
        )
        for scene in self._scenes:
            for text in scene.wrong:
                say(f"{scene.name}: {text}")
        say(f"{verdict} Seed {self._seed}.")
        say(f"\n{self._folder.report}   all of it in one page; open it in a browser")
        say(f"{self._folder.capture}   all packets on both sides of the proxy, for Wireshark")
        say(f"{self._folder.plots}   the pictures, as SVG and PNG")
        say("\nGo on with:")
        for line, words in self._folder.go_on(self._seed):
            say(f"  {line}\n      {words}")
        return OK if all(scene.right for scene in self._scenes) else FAILED


async def _main(reactor: Any, folder: Folder, requests: int, seed: int) -> int:
    """Run it."""
    limit = LIMIT + requests / REQUESTS_A_SECOND
    return await Demo(reactor, folder, make_scenes(requests), seed, limit, Console()).run()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--to", type=click.Path(path_type=Path), default=DEFAULT, show_default=True, metavar="DIR",
    help="Where the capture, the plots and the report go.",
)  # fmt: skip
@click.option(
    "--requests", type=COUNT, default="200", show_default=True,
    help="Questions of arithmetic, over TCP and over UDP each.",
)  # fmt: skip
@click.option("--seed", type=SEED, default="7", show_default=True, help="Draws all that is drawn.")
def command(to: Path, requests: int, seed: int) -> None:
    """
    Run the whole laboratory once, on this machine, and show what happened.

    Two real `twistd -n lab-server` and a `twistd -n lab-proxy` start, as processes of their own on
    free ports of 127.0.0.1. The proxy breaks the network of each service in another way: questions
    and answers of arithmetic are lost, a stream jitters, a file is held up, a sequence is cut three
    times and goes on, and of two servers of a download one is killed. A table says what was
    asked, what the network did, and what arrived; DIR has a capture, plots and a report then.

    Exit codes: 0 everything was right, and each fault has really struck; 1 something was not; 2
    usage; 130 interrupted.
    """
    folder = Folder(to)
    try:
        folder.prepare(NAMES)
    except LocalError as error:
        raise click.UsageError(str(error)) from error
    run(lambda reactor: _main(reactor, folder, requests, seed))
