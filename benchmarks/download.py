"""
How fast is the download service? ``python benchmarks/download.py`` measures it beside others.

A file that the system has in its memory, sent over TCP to a reader that throws all away: ours as it
is and without the system's help, beside nginx, Twisted's ``FileSender`` and ``http.server``. Then
clients in processes of their own that fetch it to a disk: ours, which checks each piece, beside
``curl`` and ``aria2c``. All take turns, round after round. Compare within a run, never one run with
another. Of the peers, those that are not installed are left out.

The reader has Linux drop what came, so that it costs less than any sender. The kernel's congestion
control decides more than anything else here; in a network of its own anybody may choose it::

    unshare -rn sh -c "ip link set lo up; sysctl -qw net.ipv4.tcp_congestion_control=reno;
        python benchmarks/download.py"
"""

import os
import socket
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from fetchers import fetchers
from frame import Frame, framed
from processes import BenchmarkError
from senders import FILE, LINES, Sender, start, twistd
from turns import OURS, Measure, show, take_turns

BLOCK = 2**20
"""Bytes that are made at once."""

LEGEND = (
    "Medians of {rounds} rounds of {size:,} bytes, below the lowest and the highest. CPU s/GiB: of "
    "the server above, of the client below, whole processes; reader's, server's: of the other end. "
    "s: from the start of the client's process to its end; with sync: until the file is on the "
    "disk ({disk}), for all alike; lab download does that by itself, within s. get alone: without "
    "start-up and sync. txlab is: of servers its rate divided by theirs, of clients its s divided "
    "by theirs. The servers have read the file before; ours had made the list of its digests."
)
"""What the tables mean."""


def make_file(path: Path, size: int) -> None:
    """Write a file of which no two pieces are alike; it is in the system's memory afterwards."""
    with path.open("wb") as file:
        for start_of in range(0, size, BLOCK):
            file.write(os.urandom(min(BLOCK, size - start_of)))
        file.flush()
        os.fsync(file.fileno())  # nothing of it is written while others are measured


def file_system(folder: Path) -> str:
    """What a directory is on, for people."""
    command = ("df", "--output=fstype", str(folder))
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return said[-1] if said else "unknown"


def warm(server: Sender) -> None:
    """Have a server of ours make its lists of digests, one of each kind, which it keeps."""
    with socket.create_connection(("127.0.0.1", server.port), 600) as connection:
        connection.sendall(b"hashes %b\nhashes %b blake3\nquit\n" % (FILE.encode(), FILE.encode()))
        with connection.makefile("rb") as lines:
            if sum(line.startswith(b"200 ") for line in lines) != 2:
                raise BenchmarkError("our server does not know the file")


@click.command()
@click.option("--rounds", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.option(
    "--size", type=click.IntRange(1, 2**40), default=2**30, show_default=True, help="Bytes."
)
@click.option(
    "--folder", type=click.Path(exists=True, file_okay=False), help="For the files, on a disk."
)
@framed("download")
def main(*, frame: Frame, rounds: int, size: int, folder: str | None) -> None:
    """Measure the download service beside others on 127.0.0.1, and print two tables."""
    with ExitStack() as stack:
        made = stack.enter_context(tempfile.TemporaryDirectory(prefix="lab-download-", dir=folder))
        try:
            measure(frame, Path(made), rounds, size, stack)
        except (BenchmarkError, OSError) as error:
            raise click.ClickException(str(error)) from error
        legend = LEGEND.format(rounds=rounds, size=size, disk=file_system(Path(made)))
    frame.console().print(legend)


def measure(frame: Frame, folder: Path, rounds: int, size: int, stack: ExitStack) -> None:
    """Make the file, start the servers, measure, and print."""
    root, own = folder / "root", folder / "own"
    root.mkdir()
    own.mkdir()
    make_file(root / FILE, size)
    started = start(root, own, stack)
    senders: dict[str, Measure] = {
        name: lambda server=server: server.discard(size) for name, server in started.items()
    }
    show(frame, f"{size:,} bytes to a reader that discards", take_turns(senders, rounds))
    running = stack.enter_context(contextmanager(twistd)("second", "download", root, own))
    second = Sender(running, LINES)
    for server in (started[OURS], second):
        warm(server)
    clients = fetchers(started, second, folder, size)
    show(frame, f"{size:,} bytes to a disk", take_turns(clients, rounds))


if __name__ == "__main__":
    main()
