"""``lab simulate`` in a process of its own."""

import signal
import sys
from pathlib import Path
from textwrap import dedent

from tests.pytest_only.processes import Ended, run, running

CHECKOUT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-c", "from lab.commands.main import main; main(prog_name='lab')")


def simulate(folder: Path, text: str, *words: str) -> Ended:
    """Run a script."""
    script = folder / "script.py"
    script.write_text(dedent(text))
    return run(*COMMAND, "simulate", str(script), *words, cwd=CHECKOUT)


def test_timeout_mixin(tmp_path: Path) -> None:
    """Code that can't take a reactor has the simulated one; the same each time."""
    text = """
        from twisted.internet import defer, endpoints, protocol, reactor, task
        from twisted.protocols.policies import TimeoutMixin

        class Patient(protocol.Protocol, TimeoutMixin):
            def connectionMade(self):
                self.setTimeout(3600)

        class Waiting(protocol.Protocol):
            def __init__(self):
                self.done = defer.Deferred()

            def connectionLost(self, reason):
                self.done.callback(reactor.seconds())

        async def main(reactor):
            factory = protocol.Factory.forProtocol(Patient)
            await endpoints.serverFromString(reactor, "tcp:80").listen(factory)
            place = endpoints.clientFromString(reactor, "tcp:localhost:80")
            waiting = await endpoints.connectProtocol(place, Waiting())
            print(await waiting.done)

        task.react(main)
    """
    for _ in range(2):
        assert simulate(tmp_path, text) == Ended(0, "3600.0\n", "")


def test_explored(tmp_path: Path) -> None:
    """A script explores such code: timers of the global reactor are those of their hosts."""
    text = """
        from twisted.internet import reactor
        from lab.simulator import explore

        def crashing(net):
            a, b = net.host("a"), net.host("b")
            a.start(lambda _, disk: reactor.callLater(5, disk.update, name=a.name))
            b.start(lambda _, disk: reactor.callLater(5, disk.update, name=b.name))
            b.crash()
            net.run(5)
            assert (a.disk, b.disk) == ({"name": "a"}, {})

        print(explore(crashing, range(20)))
    """
    assert simulate(tmp_path, text) == Ended(0, "20\n", "")


def test_failure(tmp_path: Path) -> None:
    """What a coroutine raises is its own traceback, with the line that does it again."""
    text = """
        from twisted.internet import task

        async def main(reactor):
            await task.deferLater(reactor, 60)
            1 / 0

        task.react(main)
    """
    ended = simulate(tmp_path, text, "--seed", "7")
    assert ended.code == 1
    assert "ZeroDivisionError: division by zero" in ended.err
    again = f"seed 7 failed; again: lab simulate --seed 7 {tmp_path / 'script.py'}"
    assert ended.err.splitlines()[-1] == again


def test_interrupted(tmp_path: Path) -> None:
    """Ctrl-C ends a script that would run for ever."""
    script = tmp_path / "script.py"
    script.write_text(
        "from twisted.internet import reactor, task\n"
        "print('begins', flush=True)\n"
        "task.LoopingCall(list).start(1)\n"
        "reactor.run()\n"
    )
    with running(*COMMAND, "simulate", str(script), cwd=CHECKOUT) as process:
        process.line("begins\n".__eq__)
        assert process.end(signal.SIGINT) == Ended(130, "begins\n", "interrupted\n")
