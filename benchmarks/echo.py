"""
How fast is the echo service? ``python benchmarks/echo.py`` measures it beside others.

A file of 123,456,789 characters over TCP, asked for once, and again when its SHA-256 is known, also
after another that is longer, beside Twisted's ``FileSender`` with a real file of that size; the
reader is the same and throws all away. A stream over UDP as fast as may be, with and without
batches, beside a program in C, which writes the numbers by hand, or with snprintf, beside a loop of
``transport.write`` on Twisted, and ``iperf3 -u``.
The stream of the program in C, received at our port, at Twisted's own, and in C. Round trips at an
interval, beside ``irtt``. The servers are processes of their own, and take turns, round after
round. Compare within a run, never one run with another. Of the peers, those that are not installed
are left out.
"""

import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
from attrs import frozen

from datagrams import (
    PATIENCE,
    Figures,
    iperf3,
    irtt,
    plain_stream,
    probes,
    received,
    stream,
)
from frame import Frame, framed
from processes import HERE, BenchmarkError, compile_program, cpu_seconds, serving
from turns import OURS, Measure, show, take_turns, there

SIZE = 123_456_789
"""Characters of the file."""


@frozen
class Question:
    """
    What a server is asked.

    Args:
        request: The bytes.
        size: So many bytes come.
    """

    request: bytes
    size: int


def generated(size: int) -> Question:
    """A file of so many characters; a line comes before it, and a line end and one behind it."""
    around = len(f"200 ready {size}\n\nsha256 \n") + 64
    return Question(b"file %d\n" % size, size + around)


def receive(folder: Path, questions: Sequence[Question], *words: str) -> Figures:
    """
    Ask a server, whose script and arguments these words are, for files, and throw them away.

    Args:
        folder: For what it logs.
        questions: What it is asked, one after the other; the last is measured.
        words: Its script, and arguments.
    """
    room = bytearray(2**18)
    command = [sys.executable, str(HERE / "peers" / words[0]), *words[1:]]
    with (
        serving(words[0], command, folder) as server,
        socket.create_connection(("127.0.0.1", server.ports["tcp"]), PATIENCE) as connection,
    ):
        for question in questions:
            cpu, began = cpu_seconds(server.pid), time.perf_counter()
            connection.sendall(question.request)
            came = 0
            while came < question.size and (more := connection.recv_into(room)):
                came += more
            if came < question.size:
                raise BenchmarkError(f"only {came:,} of {question.size:,} bytes came")
        took, cpu = time.perf_counter() - began, cpu_seconds(server.pid) - cpu
    return {"MB/s": came / took / 1e6, "CPU s/GiB": cpu / came * 2**30}


@click.command()
@click.option("--rounds", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.1, 60), default=2.0, show_default=True)
@click.option("--size", default=SIZE, show_default=True, help="Characters of the file.")
@click.option(
    "--interval", type=click.IntRange(1, 1000), default=1, show_default=True, help="Of probes, ms."
)
@framed("echo")
def main(*, frame: Frame, rounds: int, seconds: float, size: int, interval: int) -> None:
    """Measure the echo service beside others on 127.0.0.1, and print a table of each kind."""
    with tempfile.TemporaryDirectory(prefix="lab-echo-") as name:
        folder = Path(name)
        file = folder / "file"
        file.write_bytes(b"x" * size)
        ours, real = "echo_server.py", ["file_sender.py", str(file)]
        one, shorter, go = generated(size), generated(size * 9 // 10), Question(b"go\n", size)
        files: dict[str, Measure] = {
            OURS: lambda: receive(folder, [one], ours),
            "txlab, again": lambda: receive(folder, [one, one], ours),
            "txlab, after a longer one": lambda: receive(folder, [one, shorter], ours),
            "FileSender": lambda: receive(folder, [go], *real),
            "FileSender, 1 MiB": lambda: receive(folder, [go], *real, str(2**20)),
        }
        streams: dict[str, Measure] = {
            OURS: lambda: stream(folder, seconds),
            "txlab, one by one": lambda: stream(folder, seconds, "one-by-one"),
        }
        plain = [sys.executable, str(HERE / "peers" / "datagrams.py")]
        streams["transport.write"] = lambda: plain_stream(folder, seconds, *plain, "send")
        receivers: dict[str, Measure] = {}
        try:
            program = str(compile_program("streams", folder))
        except BenchmarkError as error:
            click.echo(f"C is left out: {error}", err=True)
        else:
            send = [program, "send", str(round(PATIENCE + seconds))]
            streams["C"] = lambda: plain_stream(folder, seconds, *send)
            streams["C, snprintf"] = lambda: plain_stream(folder, seconds, *send, "printf")
            for peer in (OURS, "Twisted"):
                words = [*plain, "receive", peer]
                receivers[peer] = partial(received, folder, seconds, send, *words)
            receivers["C"] = lambda: received(folder, seconds, send, program, "receive")
        trips: dict[str, Measure] = {OURS: lambda: probes(folder, seconds, interval)}
        if there("iperf3"):
            streams["iperf3 -u"] = lambda: iperf3(folder, seconds)
        if there("irtt"):
            trips["irtt"] = lambda: irtt(folder, seconds, interval)
        try:
            show(frame, f"A file of {size:,} characters over TCP", take_turns(files, rounds))
            title = "1,200-byte packets over UDP, full speed"
            show(frame, title, take_turns(streams, rounds), by="came/s")
            if receivers:
                title = "The same of C, received"
                show(frame, title, take_turns(receivers, rounds), by="came/s")
            title = f"Round trips of 64 bytes over UDP, one every {interval} ms"
            show(frame, title, take_turns(trips, rounds))
        except (BenchmarkError, OSError) as error:
            raise click.ClickException(str(error)) from error
    frame.console().print(
        f"Medians of {rounds} rounds of {seconds:g} s each, below the lowest and the highest; "
        "CPU us: the server's for a packet, or that of what receives; "
        f"{OURS} is: its rate divided by theirs, of streams that of what came."
    )


if __name__ == "__main__":
    main()
