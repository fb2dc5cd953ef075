"""The report of ``lab demo``: one page of HTML that opens offline."""

from collections.abc import Mapping, Sequence
from html import escape

from attrs import frozen

from lab.commands.demonstrating.scene import Scene
from lab.commands.demonstrating.showing import HEAD
from lab.experiments.page import figure, page, table


@frozen
class DemoReport:
    """
    What it is made of.

    Args:
        scenes: All.
        verdict: The last word, in a line.
        seed: Of everything.
        commands: What was started.
        go_on: What to type next, and what it does.
        versions: Of what it ran on, by name.
    """

    scenes: Sequence[Scene]
    verdict: str
    seed: int
    commands: Sequence[str]
    go_on: Sequence[tuple[str, str]]
    versions: Mapping[str, str]

    def page(self, pictures: Sequence[tuple[str, str]]) -> str:
        """
        The page.

        Args:
            pictures: What each shows, and its SVG.
        """
        return page(
            "lab demo",
            [
                f"<p>{escape(self.verdict)} Seed {self.seed}.</p>",
                table(
                    "What was asked, what the network did, what arrived",
                    HEAD,
                    [scene.row for scene in self.scenes],
                    words=True,
                ),
                *self._wrong(),
                *(f"<h2>{escape(title)}</h2>{figure(svg, title)}" for title, svg in pictures),
                "<h2>What was started</h2>",
                f"<pre>{escape(chr(10).join(self.commands))}</pre>",
                "<h2>How to go on</h2>",
                f"<pre>{escape(chr(10).join(self._lines()))}</pre>",
                table("Versions", ["what", "version"], [*self.versions.items()]),
            ],
        )

    def _wrong(self) -> list[str]:
        """What was wrong, if anything was."""
        texts = [f"{scene.name}: {text}" for scene in self.scenes for text in scene.wrong]
        lines = "".join(f"<li>{escape(text)}</li>" for text in texts)
        return [f"<h2>What was wrong</h2><ul>{lines}</ul>"] if texts else []

    def _lines(self) -> list[str]:
        """What to type next."""
        return [f"{line}    # {words}" for line, words in self.go_on]
