"""Where the demo leaves what it has made."""

import os
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lab.commands.demonstrating import folder as module
from lab.commands.demonstrating.folder import Folder, program
from lab.errors import LocalError
from tests.helpers import folder


class FolderTests(SynchronousTestCase):
    """The folder."""

    def setUp(self) -> None:
        """One that is not there yet."""
        self.place = folder(self)
        self.folder = Folder(self.place / "a" / "demo")

    def refused(self, path: Path) -> str:
        """Why a folder can't be had; what is said of the place is left out."""
        error = self.assertRaises(LocalError, Folder(path).prepare, ["one"])
        said = str(error)
        self.assertTrue(said.startswith("to is '"), said)
        return said.partition("; ")[2]

    def test_prepare(self) -> None:
        """It is made; what was there before stays, and it may be had again."""
        self.folder.prepare(["one"])
        self.assertEqual([path.name for path in self.folder.path.iterdir()], ["plots"])
        (self.folder.path / "mine").write_text("mine")
        self.folder.report.write_text("before")
        self.folder.prepare(["one"])
        self.assertEqual((self.folder.path / "mine").read_text(), "mine")
        self.assertEqual(self.folder.report.read_text(), "before")

    def test_places(self) -> None:
        """Each file has its place."""
        path = self.folder.path
        self.assertEqual(self.folder.capture, path / "demo.pcapng")
        self.assertEqual(self.folder.report, path / "report.html")
        pictures = [path / "plots" / "one.svg", path / "plots" / "one.png"]
        self.assertEqual(self.folder.pictures("one"), pictures)

    def test_no_folder(self) -> None:
        """A file in its place, or above it, is one line."""
        file = self.place / "file"
        file.write_text("")
        self.assertEqual(self.refused(file), "Not a directory")
        self.assertEqual(self.refused(file / "below"), "Not a directory")

    def test_something_else(self) -> None:
        """So is a folder where a file shall be."""
        for name in ("demo.pcapng", "report.html", "plots/one.png"):
            path = self.place / name.replace("/", "-")
            (path / name).mkdir(parents=True)
            self.assertEqual(self.refused(path), "it is no file that can be written")

    def test_no_right(self) -> None:
        """And what may not be written, which is asked of the system."""
        self.folder.prepare([])
        self.folder.capture.write_text("")
        asked: list[tuple[Path, int]] = []

        def access(path: Path, mode: int) -> bool:
            """Files may not be written."""
            asked.append((path, mode))
            return path.is_dir()

        self.patch(module.os, "access", access)
        self.assertEqual(self.refused(self.folder.path), "it is no file that can be written")
        self.assertEqual(asked[-1], (self.folder.capture, os.W_OK))
        self.patch(module.os, "access", lambda path, mode: False)
        self.assertEqual(self.refused(self.folder.path), "it can't be written")

    def test_go_on(self) -> None:
        """What to type next is as a shell reads it, whatever the folder is called."""
        self.patch(module, "program", lambda name: name)
        lines = [line for line, _ in Folder(Path("a b")).go_on(7)]
        self.assertEqual(
            lines,
            [
                "lab plot 'a b/demo.pcapng'",
                "lab plot 'a b/demo.pcapng' --kind time -o 'a b/plots/time.png'",
                "lab demo --seed 8 --to 'a b-again'",
                "lab experiment run rpc --simulate --to rpc",
                "twistd -n lab-server",
            ],
        )
        self.assertIn("--to demo-again", Folder(Path()).go_on(7)[2][0])

    def test_program(self) -> None:
        """A program is called by its name if that finds it, and else by where it is."""
        here = self.place / "bin" / "lab"
        here.parent.mkdir()
        self.patch(sys, "executable", str(here.with_name("python")))
        self.assertEqual(program("lab"), "lab")  # we are elsewhere, as from a zip file
        here.write_text("")
        self.patch(module.shutil, "which", lambda name: None)
        self.assertEqual(program("lab"), str(here))
        self.patch(module.shutil, "which", lambda name: "/usr/bin/another")
        self.assertEqual(program("lab"), str(here))
        before = Path.cwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.place)
        self.assertEqual(program("lab"), "bin/lab")
        self.patch(module.shutil, "which", lambda name: str(here))
        self.assertEqual(program("lab"), "lab")
