"""A program that converses with whoever starts it, for tests of whole processes."""

import atexit
import os
import sys
from typing import Any

if "--asyncio" in sys.argv:
    from twisted.internet import asyncioreactor

    asyncioreactor.install()

from twisted.internet.defer import Deferred

from lab.commands.conversation.converse import converse
from lab.commands.running import run
from lab.errors import LocalError


class Upper:
    """
    Answers in capitals; some words do worse things.

    Args:
        reactor: Can be crashed.
    """

    prompt = "demo> "

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def complete(self, text: str) -> list[str]:
        """One of two words."""
        return [word for word in ("alpha", "beta") if word.startswith(text)]

    async def line(self, text: str) -> str:
        """Answer."""
        if text == "slow":
            os.write(1, b"started\n")
            await Deferred[None]()
        if text == "crash":
            self._reactor.crash()
        if text == "bad":
            raise LocalError("bad is bad")
        if text == "bug":
            raise ZeroDivisionError
        return text.upper()


async def main(reactor: Any) -> int:
    """Converse, and return the exit code."""
    return await converse(reactor, Upper(reactor), help="some help", code_of=lambda failure: 3)


if __name__ == "__main__":
    # Called after whatever is registered later, and before objects are collected: only what is
    # put right by then counts.
    atexit.register(lambda: os._exit(7) if "--hard" in sys.argv else None)
    run(main)
