"""
Python's garbage collector in a program that has thousands of connections.

It looks at what is young when there are 700 objects more than before. One call of epoll that tells
of so many clients is enough for that, and what is young may be much more: with 19,000 clients of
sequences such a look took up to 80 ms, in which nobody was served and as many clients again began
to wait, so that the next came soon.

This is for programs of ours. A library must not do it: the collector belongs to the whole process.
"""

import gc

from twisted.application.service import Service

#: Young objects are looked at when there are so many more of them: more than a turn of the reactor
#: brings, and few enough to take some milliseconds.
YOUNG = 10_000


class CollectorService(Service):
    """While it runs, Python looks for garbage less often; then it is as it was."""

    def __init__(self) -> None:
        self._before: tuple[int, int, int] | None = None

    def startService(self) -> None:
        """Less often, unless it is so already."""
        super().startService()
        young, *older = self._before = gc.get_threshold()
        if 0 < young < YOUNG:
            gc.set_threshold(YOUNG, *older)

    def stopService(self) -> None:
        """As it was."""
        super().stopService()
        if self._before is not None:
            gc.set_threshold(*self._before)
