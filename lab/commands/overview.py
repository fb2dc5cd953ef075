"""
What is to be seen of a running server, and done about it: the words of its console.

An answer is a dict that JSON can hold; `render` makes lines for people of it. Knows neither the
console nor the control socket.
"""

from collections.abc import Callable, Sequence
from typing import Any

from attrs import asdict, define

from lab.adapters.service import ListeningService
from lab.commands.conversation.session import printable
from lab.download.tcp import DownloadFactory
from lab.errors import LocalError

#: The words, and what they do.
WORDS = {
    "clients": "who is connected to the download service, also over HTTP",
    "transfers": "the files that are on their way",
    "statistics": "what each service has done so far",
    "disconnect": "disconnect N: cut the connection of a client, by its number",
    "stop": "stop the server",
}
#: What ``help`` prints, before what the conversation itself has.
HELP = "\n".join(f"{word:12}{text}" for word, text in WORDS.items())

Answer = dict[str, Any]


@define(eq=False)
class Overview:
    """
    Answers the words.

    Args:
        now: Gives the time, in seconds.
        services: All that listen.
        download: The server of files, if there is one.
    """

    _now: Callable[[], float]
    _services: Sequence[ListeningService]
    _download: DownloadFactory | None = None

    def answer(self, line: str) -> Answer:
        """
        Do what a line says, but for ``stop``, which only is answered.

        Raises:
            LocalError: It can't be done; the text says what can.
        """
        word, *rest = line.split()
        if word == "disconnect":
            return self._disconnect(rest)
        if word not in WORDS:
            raise LocalError(f"no word is {word[:40]!a}; give one of {', '.join(WORDS)}")
        if rest:
            raise LocalError(f"{word} stands alone; leave out {rest[0][:40]!a}")
        return self._answers()[word]()

    def _answers(self) -> dict[str, Callable[[], Answer]]:
        """What answers words that stand alone."""
        return {
            "clients": self._clients,
            "transfers": self._transfers,
            "statistics": self._statistics,
            "stop": lambda: {"stopping": True},
        }

    def _clients(self) -> Answer:
        """Who is connected."""
        now = self._now()
        found = self._download.clients() if self._download else []
        return {
            "clients": [
                {
                    "client": one.number,
                    "peer": one.peer,
                    "seconds": round(now - one.since, 3),
                    "requests": one.requests,
                    "sent": one.sent,
                    "doing": one.doing,
                }
                for one in found
            ]
        }

    def _transfers(self) -> Answer:
        """What is on its way."""
        now = self._now()
        found = self._download.transfers() if self._download else []
        return {
            "transfers": [
                {
                    "client": one.client,
                    "name": one.name,
                    "offset": one.offset,
                    "length": one.length,
                    "sent": one.sent,
                    "rate": round(one.rate),
                    "seconds": round(now - one.since, 3),
                }
                for one in found
            ]
        }

    def _statistics(self) -> Answer:
        """What was done."""
        services: list[Answer] = [
            {"service": one.label, "endpoint": one.place(), "report": one.report()}
            for one in self._services
        ]
        counters = {"download": asdict(self._download.counters)} if self._download else {}
        return {"statistics": services, "counters": counters}

    def _disconnect(self, rest: Sequence[str]) -> Answer:
        """Cut a connection."""
        if len(rest) != 1 or not rest[0].isdecimal() or len(rest[0]) > 20:
            raise LocalError("disconnect takes the number of a client; see clients")
        number = int(rest[0])
        if self._download is None or not self._download.disconnect(number):
            raise LocalError(f"there is no client {number}; see clients")
        return {"disconnected": number}


def render(answer: Answer) -> str:
    """
    An answer as lines for people.

    >>> render({"clients": []})
    'no clients'
    """
    if "statistics" in answer:
        rows = answer["statistics"]
        lines = ("{service} at {endpoint}: {report}".format(**row) for row in rows)
        return "\n".join(printable(line) for line in lines)
    if "disconnected" in answer:
        return f"client {answer['disconnected']} is disconnected"
    if "stopping" in answer:
        return "the server stops"
    ((kind, rows),) = answer.items()
    return _table(rows) if rows else f"no {kind}"


def _table(rows: Sequence[Answer]) -> str:
    """A table with a heading; numbers are at the right."""
    cells = [[printable(_cell(value)) for value in row.values()] for row in rows]
    table = [list(rows[0]), *cells]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    numbers = [not isinstance(value, str) for value in rows[0].values()]
    return "\n".join(
        "  ".join(
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(row, widths, numbers, strict=True)
        ).rstrip()
        for row in table
    )


def _cell(value: Any) -> str:
    """One value."""
    if isinstance(value, str):
        return value
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
