"""``lab plot``."""

from twisted.trial.unittest import SynchronousTestCase

from lab.capture.packets import udp
from lab.capture.recorder import Capture
from tests.commands.experiments import run
from tests.helpers import folder


class PlotTests(SynchronousTestCase):
    """The command."""

    def setUp(self) -> None:
        """Have a capture of one question and its answer."""
        self.path = folder(self) / "run.pcapng"
        ends = ("10.0.0.2", 1000), ("10.0.0.3", 7)
        with self.path.open("wb") as file:
            capture = Capture(file.write, "test")
            side = capture.side("a")
            capture.packet(side, 0, udp(*ends, b"question"), inbound=False)
            capture.packet(side, 1, udp(*ends[::-1], b"answer"), inbound=True)

    def test_ladder(self) -> None:
        """A ladder beside the file, unless somebody says otherwise."""
        done = run("plot", self.path)
        out = self.path.with_suffix(".svg")
        self.assertEqual((done.exit_code, done.output), (0, f"{out}\n"))
        text = out.read_text()
        for word in ("run.pcapng", "10.0.0.2", "UDP 8 bytes: question", "n = 2 packets"):
            self.assertIn(word, text)

    def test_time(self) -> None:
        """Numbers over time, of what is behind a moment, as PNG."""
        out = self.path.with_name("x.png")
        done = run("plot", self.path, "--kind", "time", "--from", "0.5", "-o", out)
        self.assertEqual((done.exit_code, done.output), (0, f"{out}\n"))
        self.assertTrue(out.read_bytes().startswith(b"\x89PNG"))

    def test_mistakes(self) -> None:
        """What there is not is a line, and exit code 2."""
        for words, text in [
            ([self.path.with_name("no")], "No such file or directory"),
            ([self.path, "--kind", "pie"], "kind is 'pie'; give one of ladder, time"),
            ([self.path, "--from", "9"], "nothing in it could be drawn"),
            ([self.path, "-o", "x.pdf"], "give a name that ends in .png or .svg"),
        ]:
            done = run("plot", *words)
            self.assertEqual((done.exit_code, done.stdout), (2, ""))
            self.assertIn(text, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)
