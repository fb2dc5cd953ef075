"""Real ``twistd lab-proxy`` processes, and their API by HTTP and nothing else."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from attrs import frozen
from prometheus_client.parser import text_string_to_metric_families

from tests.pytest_only.processes import TWISTD, Process, address, running

PLACE = "tcp:0:interface=127.0.0.1"
PROXY = (TWISTD, "-n", "--pidfile=", "lab-proxy")


@frozen
class Proxies:
    """
    A process with an API, and perhaps with proxies.

    Args:
        process: The process.
        api: The port of the API.
        listens: Where its first proxies listen, in the order of its options.
    """

    process: Process
    api: int
    listens: list[str]

    @property
    def ports(self) -> list[int]:
        """The ports of its first proxies; 0 for those that have none."""
        found = [re.findall(r"(?:^|[:=])(\d+)(?=:|$)", listen) or ["0"] for listen in self.listens]
        return [int(ports[0]) for ports in found]

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """The status and text of an answer."""
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.api}{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, method=method)) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def do(self, method: str, path: str, body: Any = None) -> Any:
        """The object of an answer; it has to be a good one."""
        status, text = self.ask(method, path, body)
        assert status < 300, text
        return json.loads(text or "null")

    def counted(self, proxy: str, name: str, **labels: str) -> float:
        """One number of a proxy, of all its labels together; 0 if there is none."""
        wanted = {"proxy": proxy, **labels}.items()
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.ask("GET", "/metrics")[1])
            for sample in family.samples
            if sample.name == name and wanted <= sample.labels.items()
        )


@contextmanager
def proxying(*legs: tuple[str, str], options: Sequence[str] = ()) -> Iterator[Proxies]:
    """A lab-proxy with an API and proxies that listen and connect so; the log is JSON."""
    words = [*PROXY, "--api", PLACE, "--log-format", "json", *options]
    for listen, upstream in legs:
        words += ["--listen", listen, "--upstream", upstream]
    with running(*words) as process:
        listens = [process.event("listens on")["listen"] for _ in legs]
        place = process.event("api listens on")["endpoint"]
        process.started()
        yield Proxies(process, address(place)[1], listens)
