"""
Every fault that there is on the path of every service, one after the other.

One real server and one real proxy for all of them; clients are the classes that applications embed,
and the commands. Whatever a fault does, a client has right answers, or a clean error with its exit
code; nobody hangs, and nobody has a traceback. What a fault makes of a digit on its way to or from
the arithmetic service nobody can tell, since that has no checksum; the sequence service has one,
and every character of the echo service's files is known. A file that is downloaded is the right one
or is not there, and a second run without the fault finishes it.
"""

import json
import subprocess
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import pytest_twisted
from attrs import define, frozen
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred, DeferredList

from lab.adapters.endpoints import clientFromString
from lab.arithmetic import tcp, udp
from lab.arithmetic.asking import Answer, Asking
from lab.arithmetic.settings import ClientSettings
from lab.backoff import Backoff
from lab.commands import echoing
from lab.commands.running import DATA_WRONG, FAILED, OK, REFUSED, TIMED_OUT, code_of
from lab.commands.sequence import _CODES
from lab.download.settings import ClientSettings as DownloadSettings
from lab.download.tcp import DownloadClient
from lab.echo import measuring
from lab.echo import tcp as echo_tcp
from lab.echo import udp as echo_udp
from lab.echo.asking import EchoAsking
from lab.echo.pattern import characters
from lab.echo.settings import ClientSettings as EchoSettings
from lab.errors import LabError
from lab.faults.fault import DIRECTIONS
from lab.faults.schema import DATAGRAMS, STREAMS
from lab.rng import stream
from lab.sequence.client import Ended, Retry
from lab.sequence.settings import ClientSettings as SequenceSettings
from lab.sequence.tcp import SequenceClient
from lab.sequence.wire import Number
from tests.helpers import captured_logs
from tests.pytest_only.processes import LAB, PATIENCE, PLACES, TWISTD, run, running
from tests.pytest_only.proxies import Proxies, proxying

reactor: Any = real_reactor
#: What is asked, and the right answers.
QUESTIONS = {f"*,{number},3": 3 * number for number in range(4)}
#: How many numbers a sequence has, and how often one comes, in seconds.
N, INTERVAL = 10, 0.005
#: What the echo service is asked for: a text, packets, one a millisecond, and characters.
TEXT, PACKETS, CHARACTERS = b"hello", 5, 500
#: Files that are downloaded: of one piece, and of three, the last of which is small.
FILES = {"small": characters(0, 0, 2000), "large": characters(0, 0, 2_100_000)}
#: With these faults, one that is large takes long.
SLOW = {"bandwidth", "slicer", "loss"}
#: What can't be answered is given up after so long, in seconds.
SOON = 0.15


@frozen
class Case:
    """
    What a fault is, and what may come of it.

    Args:
        attributes: In the units of the API.
        codes: Exit codes of a client of the arithmetic service.
        sequence: Those of a client of the sequence service; the fault goes when a connection has.
        echo: The worst of a client of the echo service, of a text, a stream and a file; those of
            the arithmetic service if None.
        blind: Whether nobody can tell that an answer is wrong.
        download: Those of a client of the download service, if they are others; it tries again and
            again, but not for ever.
    """

    attributes: dict[str, Any]
    codes: frozenset[int] = frozenset({OK})
    sequence: frozenset[int] = frozenset({OK})
    blind: bool = False
    echo: frozenset[int] | None = None
    download: frozenset[int] | None = None

    @property
    def patience(self) -> float:
        """How long an answer is waited for, in seconds: only a silence that is sure is short."""
        return SOON if TIMED_OUT in self.codes else PATIENCE


BROKEN, SILENT, ANY = (
    frozenset({FAILED}),
    frozenset({TIMED_OUT}),
    frozenset({OK, FAILED, TIMED_OUT}),
)
TOLD = frozenset({OK, FAILED, REFUSED, DATA_WRONG})
CORRUPT = Case({"probability": 0.7}, ANY, TOLD, blind=True, echo=ANY | TOLD)
#: One case for each fault of streams, and for each of datagrams: who adds a fault adds it here.
CASES = {
    "tcp": {
        "latency": Case({"latency": 5, "jitter": 3}),
        "bandwidth": Case({"rate": 10}),
        "slow_close": Case({"delay": 20}),
        "timeout": Case({"timeout": 20}, BROKEN),
        "reset_peer": Case({"timeout": 5}, BROKEN),
        "slicer": Case({"average_size": 3, "size_variation": 1, "delay": 50}),
        "limit_data": Case({"bytes": 10}, BROKEN),
        "packet_loss": Case({"loss_rate": 0.5}, SILENT | {OK}, echo=ANY, download=ANY),
        "loss": Case({"every": 2}),
        "corrupt": CORRUPT,
        "blackhole": Case({}, SILENT),
        "cut": Case({"probability": 0.3}, BROKEN, echo=BROKEN | {OK}),
        "partition": Case({}, SILENT),
        "noop": Case({}),
    },
    "udp": {
        "latency": Case({"latency": 5, "jitter": 3}),
        "loss": Case({"probability": 0.3}),
        "duplicate": Case({"probability": 1, "copies": 3}),
        "reorder": Case({"probability": 0.5}),
        "corrupt": CORRUPT,
        "bandwidth": Case({"rate": 10}),
        "blackhole": Case({}, SILENT),
        "noop": Case({}),
    },
}


#: In the order in which the server says where they are.
SERVICES = ("tcp", "udp", "echo-tcp", "echo-udp", "download", "sequence")


@frozen
class Services:
    """
    A server and a proxy.

    Args:
        places: Where the services are, as in `SERVICES`.
        proxies: The proxy.
    """

    places: dict[str, str]
    proxies: Proxies

    @contextmanager
    def broken(
        self, service: str, kind: str, direction: str, **attributes: Any
    ) -> Iterator["BrokenPath"]:
        """A path to a service with this fault on it; with its usual attributes unless given."""
        protocol = "udp" if service.endswith("udp") else "tcp"
        name = f"{service}-{kind}-{direction}"
        toxic = {
            "type": kind,
            "name": kind,
            "stream": direction,
            "attributes": attributes or CASES[protocol][kind].attributes,
        }
        wanted = {"name": name, "upstream": self.places[service], "toxics": [toxic]}
        wanted |= {"protocol": protocol, "listen": "127.0.0.1:0"}
        (made,) = self.proxies.do("POST", "/populate", [wanted])["proxies"]
        place = f"{protocol}:{made['listen']}"
        yield BrokenPath(self.proxies, name, kind, place)
        self.proxies.do("DELETE", f"/proxies/{name}")


@define
class BrokenPath:
    """
    A path with a fault on it.

    Args:
        proxies: The process.
        name: Of its proxy.
        kind: Type and name of the fault.
        place: Where clients ask, as an endpoint string.
    """

    proxies: Proxies
    name: str
    kind: str
    place: str
    _hits: float = 0.0
    _mended: bool = False

    def mend(self) -> None:
        """Take the fault away; what it has done is known afterwards."""
        if not self._mended:
            self._mended = True
            self._hits = self._count()
            self.proxies.do("DELETE", f"/proxies/{self.name}/toxics/{self.kind}")

    def spared(self) -> bool:
        """Whether it could have been hit, and was not."""
        return self.kind != "noop" and not self._count()

    def check_hit(self) -> None:
        """It was hit, by the proxy's own count; what does nothing never is."""
        deadline = reactor.seconds() + PATIENCE
        while not (self._mended or self._hits or self.kind == "noop"):
            assert reactor.seconds() < deadline
            self._hits = self._count()  # an end may still be on its way
        assert (self._hits > 0) == (self.kind != "noop")

    def _count(self) -> float:
        """How often so far."""
        return self.proxies.counted(self.name, "lab_proxy_fault_hits_total", fault=self.kind)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Both processes; at their end there is no word in their logs that should not be there."""
    root = tmp_path_factory.mktemp("root")
    for name, content in FILES.items():
        (root / name).write_bytes(content)
    words = [TWISTD, "-n", "--pidfile=", "lab-server", "--log-format", "json"]
    words += ["--root", str(root)]
    for option, place in (
        ("arithmetic", PLACES[0]),
        ("arithmetic", PLACES[1]),
        ("sequence", PLACES[0]),
        ("echo", PLACES[0]),
        ("echo", PLACES[1]),
        ("download", PLACES[0]),
    ):
        words += [f"--{option}", place]
    with (
        running(*words, "--interval", str(INTERVAL)) as server,
        proxying(options=("--seed", "12")) as proxies,
    ):
        found = [server.event("listens on")["endpoint"] for _ in SERVICES]
        server.started()
        yield Services(dict(zip(SERVICES, found, strict=True)), proxies)
        for process in (server, proxies.process):
            ended = process.end()
            assert ended.err == ""
            events = [json.loads(line) for line in ended.lines]
            assert [one for one in events if one["level"] in {"error", "critical"}] == []
            assert "Traceback" not in ended.out


async def in_time(awaitable: Awaitable[Any]) -> Any:
    """What comes, within `PATIENCE`."""

    async def wait() -> Any:
        """It."""
        return await awaitable

    return await Deferred.fromCoroutine(wait()).addTimeout(2 * PATIENCE, reactor)  # type: ignore[arg-type]


# The arithmetic service.


def cases(protocol: str, kinds: Any) -> Any:
    """All faults, in both directions."""
    return pytest.mark.parametrize(
        ("protocol", "kind", "direction"),
        [(protocol, kind, direction) for kind in kinds for direction in DIRECTIONS],
    )


def asking(protocol: str, place: str, case: Case) -> Asking:
    """A client."""
    random = stream(7, "client")
    endpoint: Any = clientFromString(reactor, place)
    if protocol == "tcp":
        settings = ClientSettings(Backoff.fixed(case.patience))
        return tcp.ArithmeticClient(reactor, endpoint, settings, random)
    retry = Backoff.fixed(SOON / 2, 2) if case.patience == SOON else Backoff(0.05, 4.0)
    return udp.ArithmeticClient(reactor, endpoint, ClientSettings(retry), random)


async def answers(client: Asking, case: Case) -> int:
    """Ask all questions, one after the other; the worst exit code."""
    worst = OK
    for question, right in QUESTIONS.items():
        try:
            answer: Answer = await client.request(question.encode())
        except LabError as error:
            worst = max(worst, code_of(error))
        else:
            assert case.blind or answer.reply.value == right
            worst = max(worst, OK if answer.reply.code == 200 else FAILED)
    await client.close()
    return worst


@cases("tcp", STREAMS)
@pytest_twisted.ensureDeferred
async def test_streams(services: Services, protocol: str, kind: str, direction: str) -> None:
    """Arithmetic over TCP."""
    await ask_all(services, protocol, kind, direction)


@cases("udp", DATAGRAMS)
@pytest_twisted.ensureDeferred
async def test_datagrams(services: Services, protocol: str, kind: str, direction: str) -> None:
    """Arithmetic over UDP, whose clients ask again."""
    await ask_all(services, protocol, kind, direction)


async def ask_all(services: Services, protocol: str, kind: str, direction: str) -> None:
    """Ask through a fault."""
    case = CASES[protocol][kind]
    with captured_logs() as logs, services.broken(protocol, kind, direction) as path:
        code = await in_time(answers(asking(protocol, path.place, case), case))
        path.check_hit()
    assert code in case.codes
    assert not [event for event in logs if "log_failure" in event]


# The sequence service.


async def receive(path: BrokenPath) -> tuple[Ended, list[Number]]:
    """Receive a sequence; the fault goes when the first connection has."""
    numbers: list[Number] = []

    def show(event: Any) -> None:
        """Something has come."""
        if isinstance(event, Retry):
            path.mend()
        elif isinstance(event, Number):
            numbers.append(event)

    settings = SequenceSettings(N, INTERVAL, heartbeat=0.1, retry=0.01)
    endpoint: Any = clientFromString(reactor, path.place)
    client = SequenceClient(reactor, endpoint, settings, stream(7, "client"))
    return await in_time(client.receive(show)), numbers


@cases("tcp", STREAMS)
@pytest_twisted.ensureDeferred
async def test_sequence(services: Services, protocol: str, kind: str, direction: str) -> None:
    """A sequence comes whole, or its client knows that it did not."""
    case = CASES[protocol][kind]
    with captured_logs() as logs, services.broken("sequence", kind, direction) as path:
        ended, numbers = await receive(path)
        path.check_hit()
    code = _CODES.get(ended.outcome, FAILED)
    assert code in case.sequence, ended
    assert [one.index for one in numbers] == list(range(ended.count))
    if code == OK and not case.blind:
        assert ended.count == N
    assert not [event for event in logs if "log_failure" in event]


# The echo service.


def echoing_client(protocol: str, place: str, case: Case) -> EchoAsking:
    """A client."""
    endpoint: Any = clientFromString(reactor, place)
    soon = case.patience == SOON
    if protocol == "tcp":
        settings = EchoSettings(Backoff.fixed(case.patience), silence=case.patience)
        return echo_tcp.EchoClient(reactor, endpoint, settings, stream(7, "client"))
    retry = Backoff.fixed(SOON / 2, 2) if soon else Backoff(0.05, 4.0)
    settings = EchoSettings(retry, silence=SOON if soon else 1.0)
    return echo_udp.EchoClient(reactor, endpoint, settings, stream(7, "client"))


async def echoed(client: EchoAsking, protocol: str, case: Case) -> int:
    """Ask for texts in turn, a stream and a file at a time; the worst exit code."""
    there: dict[int, bytes] = {}

    async def texts() -> bytes:
        """What came back each time."""
        return b"".join([await client.echo(TEXT) for _ in range(4)])

    asked = (
        Deferred.fromCoroutine(texts()),
        client.stream(0.001, PACKETS, 64),
        client.file(CHARACTERS, there.__setitem__, reliable=protocol == "udp"),
    )
    results = await DeferredList(asked, consumeErrors=True)
    await client.close()
    codes = [OK if done else echoing.code_of(result.value) for done, result in results]
    (texted, text), (streamed, measured), (filed, received) = results
    if texted:
        assert case.blind or text == 4 * TEXT
    if streamed:
        report = measured.report
        assert 0 < report.received + report.lost <= PACKETS
        assert protocol == "udp" or report.received == PACKETS
    if filed:  # a file is whole and right, or none
        assert received.whole
        data = b"".join(there[offset] for offset in sorted(there))
        assert data == characters(0, 0, CHARACTERS)
    return max(codes)


async def ask_echo(services: Services, protocol: str, kind: str, direction: str) -> None:
    """Ask through a fault."""
    case = CASES[protocol][kind]
    with (
        mock.patch.object(measuring, "LAST", 0.1),
        captured_logs() as logs,
        services.broken(f"echo-{protocol}", kind, direction) as path,
    ):
        client = echoing_client(protocol, path.place, case)
        code = await in_time(echoed(client, protocol, case))
        path.check_hit()
    assert code in (case.codes if case.echo is None else case.echo)
    assert not [event for event in logs if "log_failure" in event]


@cases("tcp", STREAMS)
@pytest_twisted.ensureDeferred
async def test_echo_streams(services: Services, protocol: str, kind: str, direction: str) -> None:
    """A text, a stream and a file over TCP: each is right, or there is a clean error."""
    await ask_echo(services, protocol, kind, direction)


@cases("udp", DATAGRAMS)
@pytest_twisted.ensureDeferred
async def test_echo_datagrams(services: Services, protocol: str, kind: str, direction: str) -> None:
    """The same over UDP, where packets may be lost, and a file is asked for until it is whole."""
    await ask_echo(services, protocol, kind, direction)


# The download service.


def downloading(place: str, case: Case) -> DownloadClient:
    """A client that connects twice more before it gives up a server that gives nothing."""
    settings = DownloadSettings(Backoff.fixed(0.02, 2), silence=case.patience)
    endpoint: Any = clientFromString(reactor, place)
    return DownloadClient(reactor, {place: endpoint}, settings, stream(7, "client"))


def content_of(target: Path) -> bytes | None:
    """What is in a file, if it is there."""
    return target.read_bytes() if target.exists() else None


async def downloaded(place: str, case: Case, name: str, target: Path) -> int:
    """Download a file; the exit code. It is there, whole and right, exactly if that went well."""
    client = downloading(place, case)
    try:
        fetched = await client.get(name, target)
    except LabError as error:
        assert content_of(target) is None
        return code_of(error)
    else:
        assert fetched.size == len(FILES[name])
        assert content_of(target) == FILES[name]
        return OK
    finally:
        await client.close()


def sizes() -> Any:
    """A small file through all faults each time, a large one through those that let it pass."""
    return pytest.mark.parametrize(
        ("name", "kind", "direction"),
        [
            pytest.param(name, kind, direction, marks=marks)
            for name, marks in (("small", ()), ("large", pytest.mark.thorough))
            for kind in STREAMS
            for direction in DIRECTIONS
            if name == "small" or kind not in SLOW
        ],
    )


@sizes()
@pytest_twisted.ensureDeferred
async def test_download(
    services: Services, name: str, kind: str, direction: str, tmp_path: Path
) -> None:
    """A file is right, or is not there and its client says why; a second run finishes it."""
    case, target = CASES["tcp"][kind], tmp_path / "target"
    with captured_logs() as logs, services.broken("download", kind, direction) as path:
        code = await in_time(downloaded(path.place, case, name, target))
        while code == OK and path.spared():
            # What draws may spare a connection of a few chunks; there are others.
            target.unlink()
            code = await in_time(downloaded(path.place, case, name, target))
        path.check_hit()
        path.mend()
        again = await in_time(downloaded(path.place, Case({}), name, target))
    assert code in (case.codes if case.download is None else case.download)
    assert again == OK
    assert content_of(target.with_name(".target.part")) is None
    assert not [event for event in logs if "log_failure" in event]


@pytest_twisted.ensureDeferred
async def test_download_changed(services: Services, tmp_path: Path) -> None:
    """Bits of some chunks of a file are inverted, and its client finds them."""
    few = services.broken("download", "corrupt", "downstream", probability=0.2)
    with captured_logs() as logs, few as path:
        code = await in_time(downloaded(path.place, Case({}, ANY), "large", tmp_path / "target"))
        path.check_hit()
    assert code in ANY
    assert not [event for event in logs if "log_failure" in event]


# The commands.

#: With these in its name, and the seed above, a proxy inverts the lowest bit of one digit of one
#: number of its first connection, when a number is a chunk, and changes nothing else.
TAMPERED = (5539, 9745, 12352, 12852, 13018)
#: Those that are tried each time; the others are the long tail.
USUAL = {
    ("tcp", "noop", "upstream"),
    ("tcp", "reset_peer", "upstream"),
    ("tcp", "blackhole", "downstream"),
    ("udp", "loss", "upstream"),
}
ALL = [
    pytest.param(*one, marks=() if one in USUAL else pytest.mark.thorough)
    for protocol, kinds in (("tcp", STREAMS), ("udp", DATAGRAMS))
    for kind in kinds
    for direction in DIRECTIONS
    for one in [(protocol, kind, direction)]
]


def asked_in_turn(*words: str) -> tuple[int, list[str]]:
    """
    Ask a command on a pipe, each question behind the answer to the one before.

    All at once they might be one chunk, of which a fault that hits every second hits none.

    Returns:
        Its exit code, and the line that it said to each, be it an answer or an error.
    """
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with process:
        lines = []
        for question in QUESTIONS:
            process.stdin.write(f"{question}\n")
            process.stdin.flush()
            lines.append(process.stdout.readline().rstrip("\n"))
        process.stdin.close()
        lines += process.stdout.read().splitlines()
        return process.wait(PATIENCE), lines


@pytest.mark.parametrize(("protocol", "kind", "direction"), ALL)
def test_lab_arithmetic(services: Services, protocol: str, kind: str, direction: str) -> None:
    """The command says the same, by its exit code and in one line for each question."""
    case = CASES[protocol][kind]
    options = ["--timeout", str(case.patience)]
    if protocol == "udp":
        options = ["--timeout", "0.05", "--attempts", "2" if case.patience == SOON else "9"]
        options += ["--backoff", "--max-timeout", "20"]
    with services.broken(protocol, kind, direction) as path:
        code, lines = asked_in_turn(LAB, "arithmetic", path.place, *options)
        path.check_hit()
    assert code in case.codes, lines
    assert len(lines) == len(QUESTIONS), lines
    if not case.blind:
        answers = {line for line in lines if not line.startswith("line ")}
        assert answers <= {str(right) for right in QUESTIONS.values()}, lines


@pytest.mark.thorough
@cases("tcp", STREAMS)
def test_lab_sequence(
    services: Services, protocol: str, kind: str, direction: str, tmp_path: Path
) -> None:
    """The command says the same."""
    with services.broken("sequence", kind, direction) as path:
        words = (LAB, "sequence", path.place, str(N), "--json", "--heartbeat-interval", "0.1")
        with running(*words, cwd=tmp_path) as process:
            line = process.line(lambda text: '"retry"' in text or '"ended"' in text)
            if '"retry"' in line:
                path.mend()
            ended = process.wait()
        path.check_hit()
    assert ended.code in CASES[protocol][kind].sequence, ended
    assert ended.err == ""


def test_data_wrong(services: Services, tmp_path: Path) -> None:
    """A digit that is changed on its way is found out by the checksum: exit code 4."""
    codes = set()
    for number in TAMPERED:
        toxic = {"type": "corrupt", "name": "corrupt", "attributes": {"probability": 0.05}}
        wanted = {"name": f"tampered-{number}", "upstream": services.places["sequence"]}
        wanted |= {"listen": "127.0.0.1:0", "toxics": [toxic]}
        (made,) = services.proxies.do("POST", "/populate", [wanted])["proxies"]
        ended = run(LAB, "sequence", f"tcp:{made['listen']}", "20", cwd=tmp_path)
        codes.add(ended.code)
        if ended.code == DATA_WRONG:  # on a slow machine several numbers may be one chunk
            assert ended.lines[-1].startswith("system - FAILURE! ")
            break
    assert DATA_WRONG in codes <= TOLD
