"""How a program ends that can't go on."""

import io
import os
import sys
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lab.commands import giving_up as room
from lab.commands.giving_up import give_up
from lab.errors import LabError


class StandIn:
    """A reactor that can be stopped."""

    stopped = 0

    def stop(self) -> None:
        """Note it."""
        self.stopped += 1


class GivingUpTests(SynchronousTestCase):
    """How the program ends."""

    def test_give_up(self) -> None:
        """One line, the end of the reactor, and exit code 1 behind everything."""
        reactor, at_exit, codes = StandIn(), list[Any](), list[int]()
        self.patch(room.atexit, "register", at_exit.append)
        self.patch(sys, "__stderr__", io.StringIO())
        give_up(reactor, LabError("that is why"))
        self.assertEqual((sys.__stderr__.getvalue(), reactor.stopped), ("that is why\n", 1))  # type: ignore[union-attr]
        self.patch(os, "_exit", codes.append)
        at_exit[0]()
        self.assertEqual(codes, [1])
