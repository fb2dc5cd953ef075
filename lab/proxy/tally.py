"""
What faults have done at a proxy, counted by their names: in its API, its metrics and its log.

**What is one.** A unit that a fault has done something with: a datagram (each copy of it that the
fault has seen); a chunk of a stream as it came in, or its end; with ``loss`` on a stream, each
transmission of a segment that was lost. And a connection that a fault has closed or reset. What is
both, as where a ``limit_data`` or a ``cut`` takes the rest of a chunk and ends the connection
there, is one, too.

**What is none.** A unit that was let pass as it was and at once, whatever was drawn for it; a
connection on which a fault works, but has nothing to do.
"""

from lab.faults.fault import Fault
from lab.faults.streams import Cut, LimitData
from lab.faults.verdicts import Verdict

# What they take from a chunk is told of again when they end the connection.
_ENDING = (Cut, LimitData)


class Tally(dict[str, int]):
    """How often faults have done something, by name; a `lab.faults.trail.Watch`."""

    traces = False

    def judged(self, fault: Fault, done: Verdict | str, start: int = 0, size: int = 0) -> None:
        """A unit: count what is no delivery as usual."""
        usual = isinstance(done, Verdict) and done.kind == "deliver"
        if not usual and not isinstance(fault.settings, _ENDING):
            self.ended(fault)

    def ended(self, fault: Fault) -> None:
        """A connection, or what else is one."""
        self[fault.name] = self.get(fault.name, 0) + 1

    def keep(self, faults: tuple[Fault, ...]) -> None:
        """Forget all but these."""
        for name in self.keys() - {fault.name for fault in faults}:
            del self[name]
