"""``lab simulate``: a script whose global reactor is the simulator's."""

import math
import shlex
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType, ModuleType, TracebackType
from typing import Any, BinaryIO

import click

from lab.commands.running import FAILED, INTERRUPTED, OK
from lab.commands.types import SECONDS, SEED
from lab.errors import LabError


def perform(
    script: str, seed: int, limit: float, again: str, *, capture: Path | None, clock: bool
) -> None:
    """
    Execute a script in a simulation, and call its function ``scenario`` if it has one.

    Args:
        script: The file.
        seed: Of the simulation.
        limit: So long `reactor.run` takes at most, in seconds, or time passes after ``scenario``.
        again: The command that does the same again.
        capture: A file for a capture.
        clock: Refuse the real clock.

    Raises:
        SimulationFailed: Something went wrong that the script has not told of.
    """
    from lab.simulator.delegating import install
    from lab.simulator.network import simulate

    ended: SystemExit | None = None
    with simulate(seed, capture=capture, clock=clock) as net:
        net.again = again
        reactor = install(net, limit)
        try:
            names = execute(script)
            if callable(names.get("scenario")):
                reactor.begin()
                names["scenario"](net)
                if limit < math.inf:
                    net.run(limit)
        except SystemExit as error:
            if error.code not in (None, OK):
                raise
            ended = error
    if ended is not None:
        raise ended


def execute(script: str) -> dict[str, Any]:
    """
    Execute a file as ``__main__``, as Python does.

    Returns:
        Its names.
    """
    module = ModuleType("__main__")
    module.__file__ = script
    sys.modules["__main__"] = module
    sys.path.insert(0, str(Path(script).resolve().parent))
    exec(compile(Path(script).read_bytes(), script, "exec"), module.__dict__)  # noqa: S102
    return module.__dict__


def interrupt(_: int = signal.SIGINT, frame: FrameType | None = None) -> None:
    """
    End at Ctrl-C.

    A Deferred would keep a `KeyboardInterrupt` to itself, so code on a host and what a Deferred
    has called run to their end, and the clock raises. A second Ctrl-C does not wait for that.
    """
    from lab.simulator.network import RUNNING

    signal.signal(signal.SIGINT, signal.default_int_handler)
    kept = called_by_deferred(frame)
    waiting = [net for net in RUNNING if kept or net.current is not None]
    for net in waiting:
        net.kernel.at(net.now, signal.raise_signal, signal.SIGINT)
    if not waiting:
        raise KeyboardInterrupt


def called_by_deferred(frame: FrameType | None) -> bool:
    """Whether a Deferred waits for what runs in a frame."""
    from twisted.internet import defer

    while frame is not None and frame.f_code.co_filename != defer.__file__:
        frame = frame.f_back
    return frame is not None


def own_frames(trace: TracebackType | None, script: str) -> TracebackType | None:
    """The traceback from the first frame of the script on; none if it has no frame there."""
    while trace is not None and trace.tb_frame.f_code.co_filename != script:
        trace = trace.tb_next
    return trace


def replay_line(
    script: str, arguments: tuple[str, ...], seed: int, limit: float | None, *, clock: bool
) -> str:
    """
    The command that does the same again.

    >>> replay_line("chat.py", ("a b",), 7, None, clock=False)
    "lab simulate --seed 7 chat.py -- 'a b'"
    """
    options = ["--for", f"{limit:g}"] if limit is not None else []
    options += ["--clock"] if clock else []
    rest = ["--", *arguments] if arguments else []
    return shlex.join(["lab", "simulate", "--seed", str(seed), *options, script, *rest])


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("script", type=click.Path(exists=True, dir_okay=False))
@click.argument("arguments", nargs=-1, metavar="[-- ARGUMENT...]")
@click.option("--seed", type=SEED, default="0", show_default=True, help="All draws follow from it.")
@click.option("--for", "limit", type=SECONDS, help="Let so much virtual time pass at most.")
@click.option(
    "--capture",
    type=click.File("wb", lazy=False),
    metavar="FILE",
    help="Write what crosses the links to a pcapng file, for Wireshark.",
)
@click.option("--clock", is_flag=True, help="Refuse SCRIPT's calls of the real clock.")
def command(
    script: str,
    arguments: tuple[str, ...],
    *,
    seed: int,
    limit: float | None,
    capture: BinaryIO | None,
    clock: bool,
) -> int:
    """
    Run the Python file SCRIPT with the simulator in the place of Twisted's reactor.

    SCRIPT calls reactor.run() or task.react(), and finds itself on a host named "main". Or it
    defines a function scenario(net), which is called with the network. No time passes but the
    virtual one: reactor.run() returns after reactor.stop(), or when nothing more will happen, or
    after the time of --for, which otherwise passes after the scenario.

    \b
    Examples:
      lab simulate chat.py --seed 7 --capture chat.pcapng
      lab simulate server.py --for 1h -- --port 8000

    Exit codes: 0 ok, 1 failed, 2 usage, 130 interrupted; that of SCRIPT if it gives another one.
    """
    sys.argv[:] = [script, *arguments]
    signal.signal(signal.SIGINT, interrupt)
    again = replay_line(script, arguments, seed, limit, clock=clock)
    try:
        file = Path(capture.name) if capture else None
        longest = math.inf if limit is None else limit
        perform(script, seed, longest, again, capture=file, clock=clock)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except SystemExit as error:
        if error.code not in (None, OK):
            sys.stderr.write(f"seed {seed} failed; again: {again}\n")
        raise
    except LabError as error:
        sys.stderr.write("\n".join([str(error), *error.__notes__, ""]))
        return FAILED
    except Exception as error:  # noqa: BLE001 - a script may raise anything
        traceback.print_exception(error.with_traceback(own_frames(error.__traceback__, script)))
        return FAILED
    return OK
