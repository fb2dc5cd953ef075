"""
A client of an experiment in a process of its own: a job comes in, what it saw goes out.

It is started by `lab.experiments.processes`: the first line of standard input is the job, the
second lets it begin. Lines of standard output are JSON. It stays until standard input ends, so
that what it has used can be looked at.
"""

import json
import sys
from typing import Any, BinaryIO, TextIO

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from lab.experiments.orphans import end_with_parent
from lab.experiments.subject import Job, Part
from lab.experiments.subjects import SUBJECTS

#: Its command line.
COMMAND = (sys.executable, "-c", "from lab.commands.cell_client import main; main()")


def main() -> None:
    """Do the job, and wait for the end."""
    from twisted.internet import reactor

    perform(reactor, sys.stdin.buffer, sys.stdout)


def perform(reactor: Any, stdin: BinaryIO, stdout: TextIO) -> None:
    """
    Do the job, and stay until nobody wants anything any more.

    Args:
        reactor: Is run, until it is done.
        stdin: The job, and the word to begin.
        stdout: For what was seen.
    """
    told = stdin.readline()
    if not told:
        return
    job = Job.from_json(json.loads(told))

    def say(**event: Any) -> None:
        """Write an event."""
        stdout.write(json.dumps(event) + "\n")
        stdout.flush()

    def begin() -> None:
        """Run the client."""
        done: Deferred[Part] = maybeDeferred(SUBJECTS[job.cell.service].ask, reactor, job)
        done.addCallbacks(lambda part: say(part=part), lambda reason: say(failed=_why(reason)))
        done.addBoth(lambda _: reactor.stop())

    say(ready=True)
    if not stdin.readline():
        return
    parent = end_with_parent()
    reactor.callWhenRunning(begin)
    reactor.run()
    parent.join()


def _why(reason: Failure) -> str:
    """An error in one line."""
    return f"{type(reason.value).__name__}: {reason.getErrorMessage()}"
