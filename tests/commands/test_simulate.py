"""``lab simulate``: which scripts it runs, how it ends, and what it says of failures."""

import signal
import sys
from textwrap import dedent

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.main import main
from lab.commands.simulate import interrupt
from lab.simulator.network import simulate
from tests.capture.blocks import packets
from tests.helpers import folder, without_reactor

REACT = """
    from twisted.internet import task

    async def main(reactor):
        {}

    task.react(main)
"""


class SimulateTests(SynchronousTestCase):
    """The command, in a process that has no reactor yet."""

    def setUp(self) -> None:
        """Be like a fresh process, and leave everything as it was."""
        without_reactor(self)
        self.patch(sys, "argv", [*sys.argv])
        self.patch(sys, "path", [*sys.path])
        self.addCleanup(sys.modules.__setitem__, "__main__", sys.modules["__main__"])
        self.addCleanup(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT))
        self.folder = folder(self)

    def simulate(self, text: str, *words: str) -> Result:
        """Run a script."""
        self.script = self.folder / "script.py"
        self.script.write_text(dedent(text))
        return CliRunner().invoke(main, ["simulate", str(self.script), *words], prog_name="lab")

    def check(self, done: Result, code: int, out: str, err: str = "") -> None:
        """The exit code, and what was printed."""
        text = done.stderr.replace(str(self.script), "SCRIPT")
        self.assertEqual((done.exit_code, done.stdout, text), (code, out, err))

    def test_run(self) -> None:
        """A program that runs the reactor, with its arguments; it is ``__main__``."""
        (self.folder / "beside.py").write_text("word = 'beside'\n")
        done = self.simulate(
            """
            import sys

            from twisted.internet import reactor

            import beside

            print(sys.argv[1:], __name__, sys.modules["__main__"].__file__ == sys.argv[0])
            print(beside.word)
            reactor.callLater(3600, lambda: print(reactor.seconds()))
            reactor.callLater(7200, reactor.stop)
            reactor.run()
            """,
            *("--", "--loud", "x"),
        )
        self.check(done, 0, "['--loud', 'x'] __main__ True\nbeside\n3600.0\n")

    def test_react(self) -> None:
        """A program by ``task.react``."""
        done = self.simulate(REACT.format("print(await task.deferLater(reactor, 60, lambda: 5))"))
        self.check(done, 0, "5\n")

    def test_scenario(self) -> None:
        """A function ``scenario`` gets the network, with the seed; time passes after it."""
        text = """
            from twisted.internet import reactor

            reactor.callWhenRunning(print, "begins")

            def scenario(net):
                print(net.seed, net.now)
                net.host("a").reactor.callLater(10, print, "later")
        """
        self.check(self.simulate(text, "--seed", "7"), 0, "begins\n7 0.0\n")
        without_reactor(self)
        self.check(self.simulate(text, "--for", "10"), 0, "begins\n0 0.0\nlater\n")

    def test_limit(self) -> None:
        """A program that would run for ever ends after its time."""
        text = """
            from twisted.internet import reactor
            from twisted.internet.task import LoopingCall

            LoopingCall(lambda: print(reactor.seconds())).start(5)
            reactor.run()
        """
        self.check(self.simulate(text, "--for", "12s"), 0, "0.0\n5.0\n10.0\n")

    def test_own_exit_code(self) -> None:
        """The exit code of the script is ours; one that says failure has the seed with it."""
        line = "seed 0 failed; again: lab simulate --seed 0 SCRIPT -- x\n"
        self.check(self.simulate("raise SystemExit(5)", "--", "x"), 5, "", line)
        without_reactor(self)
        self.check(self.simulate("raise SystemExit"), 0, "")

    def test_failure(self) -> None:
        """A failure on a host that the script does not tell of is one line, and the report."""
        text = REACT.format("reactor.callLater(1, int, 'x'); await task.deferLater(reactor, 2)")
        done = self.simulate(text, "--seed", "3", "--for", "1m")
        error = "ValueError(\"invalid literal for int() with base 10: 'x'\")"
        report = [
            f"seed 3, 2 s: main: {error}",
            "simulation with seed 3, at 2.000000 s; to run it again:",
            "  lab simulate --seed 3 --for 60 SCRIPT",
            *("last events:", "  none", "waiting:", "  main (10.0.0.2) waits for nothing", ""),
        ]
        self.check(done, 1, "", "\n".join(report))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_clock(self) -> None:
        """The real clock is refused if that is asked for."""
        text = "import time\ntime.sleep(0)\n"
        self.check(self.simulate(text), 0, "")
        without_reactor(self)
        done = self.simulate(text, "--clock")
        self.assertIn("script.py:2 calls time.sleep() in a simulation", done.stderr)
        self.assertIn("  lab simulate --seed 0 --clock ", done.stderr)
        self.assertEqual(done.exit_code, 1)

    def test_exception(self) -> None:
        """An exception of the script is a traceback of its own frames, and the report."""
        done = self.simulate("def scenario(net):\n    1 / 0\n")
        lines = done.stderr.splitlines()
        self.assertEqual(lines[0], "Traceback (most recent call last):")
        self.assertIn('script.py", line 2, in scenario', lines[1])
        self.assertIn("ZeroDivisionError: division by zero", lines)
        self.assertIn("simulation with seed 0, at 0.000000 s; to run it again:", lines)
        self.assertEqual(done.exit_code, 1)

    def test_capture(self) -> None:
        """What crosses the links goes to a file; one that can't be written is a wrong use."""
        file = self.folder / "run.pcapng"
        text = """
            from twisted.internet.protocol import DatagramProtocol

            def scenario(net):
                port = net.host("a").reactor.listenUDP(0, DatagramProtocol())
                port.write(b"hello", (net.host("b").address, 7))
                net.run(1)
        """
        self.check(self.simulate(text, "--capture", str(file)), 0, "")
        self.assertEqual(len(packets(file.read_bytes())), 4)
        without_reactor(self)
        done = self.simulate(text, "--capture", str(self.folder / "no" / "where"))
        self.assertEqual((done.exit_code, done.stderr.count("\n")), (2, 1))

    def test_syntax_error(self) -> None:
        """A script that is none has no frame."""
        done = self.simulate("1 +")
        self.assertTrue(done.stderr.startswith(f'  File "{self.script}", line 1\n'), done.stderr)
        self.assertIn("SyntaxError: invalid syntax", done.stderr)
        self.assertEqual(done.exit_code, 1)

    def test_no_fresh_process(self) -> None:
        """Where there is a reactor already, it says so."""
        self.patch(sys, "modules", {**sys.modules, "twisted.internet.reactor": self})
        done = self.simulate("print(1)")
        self.assertIn("a reactor is installed already", done.stderr)
        self.assertEqual((done.exit_code, done.stdout), (1, ""))

    def test_no_such_file(self) -> None:
        """A file that is not there is a wrong use."""
        done = CliRunner().invoke(main, ["simulate", str(self.folder / "x.py")], prog_name="lab")
        self.assertEqual(done.exit_code, 2)
        self.assertEqual(done.stderr.count("\n"), 1)

    def test_interrupted(self) -> None:
        """Ctrl-C ends it with 130, even if a Deferred would swallow the exception."""
        swallowing = "defer.succeed(5).addCallback(raise_signal)"
        for text in ("raise_signal()", swallowing, f"reactor.callLater(5, lambda: {swallowing})"):
            without_reactor(self)
            done = self.simulate(f"""
                import signal

                from twisted.internet import defer, reactor

                def raise_signal(_=None):
                    signal.raise_signal(signal.SIGINT)

                {text}
                reactor.callLater(6, print, "too late")
                reactor.run()
            """)
            self.check(done, 130, "", "interrupted\n")

    def test_interrupted_on_a_host(self) -> None:
        """Code on a host goes on to its end; a second Ctrl-C does not wait for it."""
        with simulate(7) as net:
            host = net.host("a")
            host.within(interrupt)
            self.assertRaises(KeyboardInterrupt, net.run, 1)
            host.within(interrupt)
            self.assertRaises(KeyboardInterrupt, host.within, signal.raise_signal, signal.SIGINT)
