"""The faults of a cell: their names, and when they were at work."""

from collections.abc import Sequence

from attrs import evolve

from lab.experiments.plan import Cell
from lab.experiments.results import Window
from lab.faults.fault import Fault

# So many windows are told of at most: nobody sees more of them in a picture.
_MOST = 1000


def named(faults: Sequence[Fault]) -> list[Fault]:
    """Faults of which each has a name of its own: the second of one name has a number behind it."""
    found: dict[str, Fault] = {}
    for fault in faults:
        name, number = fault.name, 2
        while name in found:
            name, number = f"{fault.name}_{number}", number + 1
        found[name] = evolve(fault, name=name)
    return list(found.values())


def windows(cell: Cell, lasted: float) -> tuple[Window, ...]:
    """
    When faults were at work that are not at work all the time.

    Args:
        cell: Has the faults.
        lasted: How long it took, in seconds.
    """
    found: list[Window] = []
    for fault in cell.faults():
        begin = fault.after
        while not fault.always and begin < lasted and fault.duration and len(found) < _MOST:
            found.append(Window(begin, min(begin + fault.duration, lasted), fault.name))
            if not fault.every:
                break
            begin += fault.every
    if cell.seconds("cut"):
        begin = cell.seconds("cut-after")
        found.append(Window(begin, begin + cell.seconds("cut"), "cut"))
    return tuple(found)
