"""The end of a client, which comes once, however often it is asked for. Knows no service."""

from collections.abc import Callable

from attrs import define, field
from twisted.internet.defer import Deferred

from lab.errors import LocalError


@define(eq=False)
class Closing:
    """
    Closes something once.

    Args:
        close: Begins it, and gives what fires at its end.
    """

    _close: Callable[[], Deferred[None]]
    _closing: Deferred[None] | None = field(init=False, default=None)

    def check(self) -> None:
        """
        Refuse what comes too late.

        Raises:
            LocalError: It is closed, or about to be.
        """
        if self._closing is not None:
            raise LocalError("the client is closed; make a new one")

    def close(self) -> Deferred[None]:
        """Close it, unless that is done or under way; each Deferred of these fires at its end."""
        if self._closing is None:
            self._closing = Deferred()  # whoever is told of a failure may close the client, too
            self._close().chainDeferred(self._closing)
        ended: Deferred[None] = Deferred()
        self._closing.addCallback(ended.callback)
        return ended
