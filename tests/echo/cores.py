"""What the tests of the client's cores share."""

from collections.abc import Iterable, Sequence
from typing import Any

from lab.backoff import Backoff
from lab.core import Core, Datagrams
from lab.echo.outcomes import Done, Row, Traffic
from lab.echo.settings import ClientSettings
from lab.rng import stream
from lab.testing import Playbook

#: Attempts at 0, 0.1, 0.3, 0.7 and 1.5 s; given up at 3.1 s.
SCHEDULE = Backoff(first=0.1, cap=2.0)
TOKEN = b"x" * 22


def common(*, datagrams: bool = True, **settings: Any) -> dict[str, Any]:
    """What all cores take; their ids begin with ``a``."""
    return {
        "settings": ClientSettings(**{"retry": SCHEDULE, **settings}),
        "name": b"a",
        "random": stream(7),
        "datagrams": datagrams,
        "traffic": Traffic(),
    }


def each(messages: Iterable[bytes | Datagrams]) -> list[bytes]:
    """Each message, also of those that leave together."""
    found: list[bytes] = []
    for message in messages:
        found += [message] if isinstance(message, bytes) else message
    return found


def opened(core: Any, now: float = 0.0) -> Playbook:
    """A play whose core has a transport."""
    return Playbook(core, now).does(core.open)


def told(core: Core) -> list[object]:
    """What a core has told since the last call."""
    return core.events()


def result(events: Sequence[object]) -> Any:
    """The one end among events."""
    (done,) = [event for event in events if isinstance(event, Done)]
    return done.value


def rows(events: Sequence[object]) -> list[tuple[float, float, int, int]]:
    """The rows among events: start, end, received, lost."""
    found = [event.interval for event in events if isinstance(event, Row)]
    return [(one.start, one.end, one.received, one.lost) for one in found]
