"""
A virtual network and clock for Twisted code that takes its reactor as an argument.

The names that everybody needs are here: ``from lab.simulator import simulate, explore, exhaust,
replay``.
They are imported when they are asked for, so that the pure rooms load no Twisted.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.simulator.exhausting import exhaust
    from lab.simulator.exploring import explore, replay
    from lab.simulator.network import simulate

__all__ = ["exhaust", "explore", "replay", "simulate"]
_ROOMS = {
    "exhaust": "exhausting",
    "explore": "exploring",
    "replay": "exploring",
    "simulate": "network",
}


def __getattr__(name: str) -> Any:
    """Import one of the names."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
