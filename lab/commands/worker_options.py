"""
What ``twistd lab-server --workers N`` allows, and what it tells its workers.

Starts none: that is done in `lab.commands.workers`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lab.adapters.reuseport import SHARED, SharedPorts, check_system
from lab.errors import LocalError

#: Most workers.
MOST = 256
#: Options of twistd that say what a supervisor does, and not how its workers serve.
_NOT_WITH = ("uid", "gid", "chroot")


def check_workers(options: Mapping[str, Any], twistd: Mapping[str, Any] | None) -> None:
    """
    Whether these options are ones for several processes.

    Args:
        options: Of the server: words, as they were given, and the endpoints by their services.
        twistd: Its own.

    Raises:
        LocalError: They are not.
    """
    check_system()
    for name in ("control", "console"):
        if options[name]:
            raise LocalError(f"{name} is for a server of one process; leave --workers out")
    for name in _NOT_WITH:
        if twistd is not None and twistd.get(name):
            raise LocalError(f"workers share ports as one user; leave {name} of twistd out")


def check_shared(endpoints: Sequence[tuple[str, str]], sessions: str) -> None:
    """
    Whether several processes can serve these.

    Args:
        endpoints: Services, and endpoint strings.
        sessions: Where those of sequences are.

    Raises:
        LocalError: They can't.
    """
    for name, text in endpoints:
        if text.partition(":")[0] not in SHARED:
            raise LocalError(
                f"{name} is at {text!r}; workers can share {', '.join(SHARED)}, no other endpoint"
            )
        if name == "sequence" and not sessions.startswith("redis:"):
            raise LocalError(
                f"sessions is {sessions!r}, of one process; workers that serve sequences need "
                "--sessions redis://HOST:PORT/DATABASE (or name other services only)"
            )


def shared_reactors(reactor: Any, ports: str | None, count: int) -> list[Any]:
    """
    What the endpoints of this process listen on: of a worker, ports that it shares.

    Args:
        reactor: Of the process.
        ports: The numbers with commas between them, for a worker.
        count: How many endpoints there are.

    Raises:
        LocalError: That are not the ports of so many.
    """
    if ports is None:
        return [reactor] * count
    form = ",".join(["[0-9]{1,5}"] * count)
    if not re.fullmatch(form, ports):
        raise LocalError(f"worker is {ports!r}; that is for processes that --workers has started")
    return [SharedPorts(reactor, int(port)) for port in ports.split(",")]


def server_words(options: Any, ports: Sequence[int]) -> list[str]:
    """
    The words of a worker's ``lab-server``: what the options of its supervisor have come to.

    Args:
        options: Those; `lab.commands.server.Options`.
        ports: Where its endpoints are.
    """
    own = {"config", "control", "console", "log-format", "seed", "worker", "workers"}
    words = [f"--worker={','.join(map(str, ports))}", f"--seed={options.seed}"]
    for name, default in options.defaults.items():
        value = options[name]
        if name in own or value == default:
            continue
        words.append(f"--{name}" if isinstance(default, int) else f"--{name}={value}")
    words += [f"--{name}={text}" for name in options.repeatable for text in options[name]]
    reactor = (options.parent or {}).get("reactor")
    twistd = ["-n", "--pidfile=", *([f"--reactor={reactor}"] if reactor else [])]
    return [*twistd, "lab-server", "--log-format=json", *words]
