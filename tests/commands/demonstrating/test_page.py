"""The report of the demo."""

from twisted.trial.unittest import SynchronousTestCase

from lab.commands.demonstrating.page import DemoReport
from lab.commands.demonstrating.scene import Scene


class ReportTests(SynchronousTestCase):
    """The page."""

    def page(self, *wrong: str) -> str:
        """The page of a scene."""
        scene = Scene("a <scene>", "this & that", (), 1, "things")
        scene.arrived, scene.ended = "all", True
        scene.wrong += wrong
        commands, versions = ["twistd -n lab-server --root '<x>'"], {"txlab": "0.1"}
        go_on = [("lab plot x", "the first & the last")]
        made = DemoReport([scene], "All is well.", 8, commands, go_on, versions)
        return made.page([("A picture", '<svg width="1"></svg>')])

    def test_all(self) -> None:
        """It has the table, the pictures, versions, the seed, and what was and may be typed."""
        text = self.page()
        for part in (
            "<p>All is well. Seed 8.</p>",
            '<th scope="row">a &lt;scene&gt;</th><td>this &amp; that</td>',
            "<h2>A picture</h2>",
            'aria-label="A picture" width="1"',
            "<pre>twistd -n lab-server --root &#x27;&lt;x&gt;&#x27;</pre>",
            "<pre>lab plot x    # the first &amp; the last</pre>",
            '<th scope="row">txlab</th><td>0.1</td>',
        ):
            self.assertIn(part, text)
        self.assertNotIn("What was wrong", text)

    def test_wrong(self) -> None:
        """What was wrong is in it."""
        self.assertIn("<li>a &lt;scene&gt;: no &lt;answer&gt;</li>", self.page("no <answer>"))
