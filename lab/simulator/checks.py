"""
What has to hold in a run: always, in the end, or in at least one of many runs.

Checks are looked at after each event. Knows no network.
"""

from collections.abc import Callable

from attrs import define, field

#: Whether something holds just now.
Condition = Callable[[], object]


@define
class Checks:
    """
    The checks of one run.

    Attributes:
        held: Names of checks that should hold at some time in some run, and whether they have
            held in this one.
    """

    held: dict[str, bool] = field(init=False, factory=dict)
    _always: dict[str, Condition] = field(init=False, factory=dict)
    _eventually: dict[str, Condition] = field(init=False, factory=dict)
    _sometimes: dict[str, Condition] = field(init=False, factory=dict)

    def always(self, name: str, condition: Condition) -> None:
        """It has to hold after each event."""
        self._always[name] = condition

    def eventually(self, name: str, condition: Condition) -> None:
        """It has to hold at some time in the run."""
        self._eventually[name] = condition

    def sometimes(self, name: str, condition: Condition) -> None:
        """It has to hold at some time in one of many runs, or they have proved nothing."""
        self._sometimes[name] = condition
        self.held[name] = False

    def look(self) -> str | None:
        """Look at them all; returns what is wrong, if anything."""
        for waiting in (self._eventually, self._sometimes):
            for name in [name for name, condition in waiting.items() if condition()]:
                del waiting[name]
                if waiting is self._sometimes:
                    self.held[name] = True
        for name, condition in self._always.items():
            if not condition():
                return f"{name!r} does not hold, and always should"
        return None

    def end(self) -> str | None:
        """The run is over; returns what is wrong, if anything."""
        for name in self._eventually:
            return f"{name!r} has never held, and should in the end"
        return None
