"""
Our sequence server, embedded as in any application: ``txlab_sequence.py LIFETIME WORD…``.

With the word ``lab`` it has our reactor, else Twisted's; with ``wheel`` its timers are in a wheel;
with ``rarely`` Python looks for garbage as rarely as in ``lab-server``.
On a free port of 127.0.0.1, which is printed.
"""

# mypy: disable-error-code=no-untyped-call
# Twisted has types for the most part only.

import sys
from typing import Any

if "lab" in sys.argv:  # before anything imports a reactor
    from lab.adapters.epoll import install

    install()

from twisted.internet.task import react

from lab.adapters.wheel import TimerWheel
from lab.commands.collecting import CollectorService
from lab.sequence.settings import ServerSettings
from lab.sequence.tcp import SequenceFactory
from serving import serve


async def main(reactor: Any, lifetime: str, *words: str) -> None:
    """
    Serve until killed.

    Args:
        reactor: Twisted's.
        lifetime: The process ends by itself after this, in seconds.
        words: What it is made of.
    """
    if "rarely" in words:
        CollectorService().startService()
    settings = ServerSettings(sessions=1_000_000, per_address=1_000_000)
    clock = TimerWheel(reactor) if "wheel" in words else reactor
    await serve(reactor, lifetime, SequenceFactory(clock, settings))


if __name__ == "__main__":
    react(main, sys.argv[1:])
