"""A real ``twistd -n lab-server``: how it starts, answers, bears what is done to it, and ends."""

import json
import os
import select
import signal
import socket
import ssl
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random

import pytest
import trustme

from lab.commands.server import DEFAULTS, Options
from tests.pytest_only.processes import (
    LAB,
    PATIENCE,
    TWISTD,
    Ended,
    Server,
    address,
    ask_tcp,
    ask_udp,
    cases,
    connected,
    datagrams,
    message,
    read_all,
    read_line,
    run,
    running,
    serving,
)

FOREGROUND = (TWISTD, "-n", "--pidfile=")
#: What the memory of a server may grow by under attack, in bytes.
GROWTH = 24 * 2**20


def twistd(*options: str, cwd: Path | None = None) -> Ended:
    """Run a lab-server that ends by itself."""
    return run(*FOREGROUND, "lab-server", *options, cwd=cwd)


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago, on TCP and on UDP."""
    with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as port:
        stream.bind(("127.0.0.1", 0))
        port.bind(stream.getsockname())
        found: int = stream.getsockname()[1]
        return found


# How it starts.


def test_answers_on_both_transports() -> None:
    """One server answers over TCP and over UDP."""
    with serving() as server:
        assert ask_tcp(server.address("tcp")) == b"200,2\n"
        assert ask_udp(server.address("udp")) == b"200,2"


def test_default_endpoints() -> None:
    """Without options it serves its usual ports of 127.0.0.1, or says that they are taken."""
    with running(*FOREGROUND, "lab-server", "--log-format", "json") as process:
        try:
            places = [process.event("listens on")["endpoint"] for _ in DEFAULTS["arithmetic"]]
        except AssertionError:  # somebody else on this machine has one of them
            assert ":50000:interface=127.0.0.1: Address already in use" in process.wait().err
            return
        assert places == ["tcp:127.0.0.1:50000", "udp:127.0.0.1:50000"]
        assert ask_tcp(address(places[0])) == b"200,2\n"
        assert ask_udp(address(places[1])) == b"200,2"


def test_only_named_endpoints() -> None:
    """An endpoint that is named is served, and then no other is."""
    with serving(places=["udp:0:interface=127.0.0.1"]) as server:
        assert ask_udp(server.address("udp")) == b"200,2"
        ended = server.process.end()
    assert [m for m in map(message, ended.lines) if "listens on" in m] == [
        f"arithmetic listens on {server.places[0]}"
    ]


def test_endpoints_may_be_repeated() -> None:
    """Each of several endpoints of one kind is served."""
    with serving(places=["tcp:0:interface=127.0.0.1"] * 3) as server:
        assert len(set(server.places)) == 3
        assert [ask_tcp(address(place)) for place in server.places] == [b"200,2\n"] * 3


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_port_in_use(kind: str) -> None:
    """A port that is taken is one clear line, and exit code 1."""
    with serving(places=[f"{kind}:0:interface=127.0.0.1"]) as server:
        port = server.address(kind)[1]
        place = f"{kind}:{port}:interface=127.0.0.1"
        ended = twistd("--arithmetic", place)
    assert ended.code == 1
    assert ended.err == f"arithmetic can't listen on {place}: Address already in use\n"
    assert "Traceback" not in ended.out


def test_interface_of_another_machine() -> None:
    """An address that isn't ours (RFC 5737) is one clear line, too."""
    place = "tcp:0:interface=203.0.113.9"
    ended = twistd("--arithmetic", place)
    assert ended.code == 1
    assert ended.err == f"arithmetic can't listen on {place}: Cannot assign requested address\n"


MISTAKES = {
    "--bogus": "option --bogus not recognized; see --help",
    "--arithmetic": "option --arithmetic requires argument; see --help",
    "--drop-rate 2": "drop-rate is '2'; give a probability from 0 to 1, for example 0.3",
    "--drop-rate nan": "drop-rate is 'nan'; give a probability from 0 to 1, for example 0.3",
    "--success -1": "success is '-1'; give a probability from 0 to 1, for example 0.3",
    "--drop-rate .1 --success .9": "drop-rate and success say the same thing; give one of them",
    "--seed x": "seed is 'x'; give a whole number from 0 to 18,446,744,073,709,551,615",
    "--idle 0": "idle is '0'; give more than 0, for example 0.1 or 100ms",
    "--cache-size 1.5K": "cache-size is '1.5K'; give bytes, for example 1200, 64K or 16M",
    "--cache-entries -1": ("cache-entries is '-1'; give a whole number from 0 to 1,000,000,000"),
    "--log-format xml": "log-format is 'xml'; give text or json",
    "--arithmetic udp:70000": "endpoint is 'udp:70000'; give a port from 0 to 65535",
    "--arithmetic nonsense:1": (
        "endpoint is 'nonsense:1'; give one like tcp:50000:interface=127.0.0.1 "
        "(Unknown endpoint type: 'nonsense')"
    ),
    "--arithmetic ssl:0:privateKey=absent.pem": (
        "endpoint is 'ssl:0:privateKey=absent.pem'; [Errno 2] No such file or directory"
    ),
    "superfluous": "Wrong number of arguments.",
}


@pytest.mark.parametrize("words", cases(MISTAKES))
def test_mistake(words: str) -> None:
    """A mistake on the command line is one line that says what is allowed, and exit code 2."""
    ended = twistd(*words.split())
    assert (ended.code, ended.out) == (2, "")
    (line,) = ended.err.splitlines()
    assert line.startswith(f"lab-server: {MISTAKES[words]}")


def test_help_lists_every_option() -> None:
    """`--help` shows each option there is, and an example."""
    ended = twistd("--help")
    assert (ended.code, ended.err) == (0, "")
    for option in Options().longOpt:
        assert f"--{option}" in ended.out
    assert "Example: twistd -n lab-server" in " ".join(ended.out.split())


def test_version() -> None:
    """`--version` is ours, and Twisted's beside it."""
    ended = twistd("--version")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("txlab ")
    assert " on Twisted " in ended.out


# The INI file.


def test_file_overrides_options(tmp_path: Path) -> None:
    """What the file says counts, and each override is a line in the log with both values."""
    (tmp_path / "lab.ini").write_text(
        "[lab-server]\narithmetic =\n  tcp:0:interface=127.0.0.1\n  udp:0:interface=127.0.0.1\n"
        "drop-rate = 1\nseed = 7\n"
    )
    options = ("--drop-rate", "0", "--seed", "7", "-c", str(tmp_path / "lab.ini"))
    with serving(*options, places=["tcp:0"]) as server:
        # The file names two endpoints in the place of the one on the command line.
        second = server.process.event("listens on")["endpoint"]
        assert [place.split(":")[0] for place in (*server.places, second)] == ["tcp", "udp"]
        with datagrams(address(second)) as port:
            port.send(b"+,1,1")
            server.process.event("dropped")
        ended = server.process.end()
    overridden = [m for m in map(message, ended.lines) if "overridden" in m]
    assert len(overridden) == 2
    assert f"--drop-rate: 0 of the command line is overridden by 1 of {tmp_path}" in "".join(
        overridden
    )
    assert "--seed" not in "".join(overridden)


FILES = {
    "[lab-server]\nbogus = 1\n": "config has 'bogus'; allowed are arithmetic, ",
    "[lab-server]\ndrop-rate = 2\n": "drop-rate is '2'; give a probability from 0 to 1",
    "[other]\nseed = 1\n": "it has no section [lab-server]",
    "seed = 1\n": "File contains no section headers",
    "[lab-server]\nseed = 1\nseed = 2\n": "option 'seed' in section 'lab-server' already exists",
    "[lab-server]\nconfig = other.ini\n": "config has 'config'; allowed are",
}


@pytest.mark.parametrize("text", cases(FILES))
def test_mistake_in_file(text: str, tmp_path: Path) -> None:
    """A mistake in the file is one line and exit code 2, as one on the command line."""
    (tmp_path / "lab.ini").write_text(text)
    ended = twistd("-c", "lab.ini", cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    (line,) = ended.err.splitlines()
    assert line.startswith("lab-server: ")
    assert FILES[text] in line


@pytest.mark.parametrize("name", ["absent.ini", "."])
def test_file_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    """A file that is not there, or is none, is one line and exit code 2."""
    ended = twistd("-c", name, cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"lab-server: config is {name!r}; ")
    assert ended.err.count("\n") == 1


# What is dropped.


def dropped(*options: str) -> list[int]:
    """Send 40 datagrams, which get the numbers 1 to 40, and return those that were dropped."""
    sent = 40
    with (
        serving(*options, places=["udp:0:interface=127.0.0.1"]) as server,
        datagrams(server.address("udp")) as port,
    ):
        for _ in range(sent):
            port.send(b"+,1,1")
        # Each of them leaves a trace: an answer, or a line in the log.
        received = 0
        deadline = time.monotonic() + PATIENCE
        while received + len(server.process.events("dropped: ")) < sent:
            assert time.monotonic() < deadline
            if select.select([port], [], [], 0.02)[0]:
                assert port.recv(100) == b"200,2"
                received += 1
        numbers = [event["number"] for event in server.process.events("dropped: ")]
        report = [m for m in map(message, server.process.end().lines) if " ends: " in m]
    assert f"{sent} datagrams, {len(numbers)} dropped, {received} executed" in report[0]
    return numbers


def test_equal_seeds_drop_the_same() -> None:
    """Two runs with one seed drop the same datagrams; another seed drops others."""
    first = dropped("--drop-rate", "0.3", "--seed", "7")
    assert 0 < len(first) < 40
    assert dropped("--drop-rate", "0.3", "--seed", "7") == first
    assert dropped("--success", "0.7", "--seed", "7") == first
    assert dropped("--drop-rate", "0.3", "--seed", "8") != first


@pytest.mark.parametrize(
    ("options", "count"), [("--drop-rate 0", 0), ("--success 1", 0), ("--success 0", 40)]
)
def test_all_or_nothing(options: str, count: int) -> None:
    """A drop rate of 0 drops nothing, one of 1 everything."""
    assert len(dropped(*options.split())) == count


def test_seed_is_logged() -> None:
    """A seed that was not given is drawn and logged, so that the run can be repeated."""
    with serving("--drop-rate", "0.5", places=["udp:0"]) as server:
        ended = server.process.end()
    (event,) = (json.loads(line) for line in ended.lines if "drop rate 0.5, seed" in line)
    assert event["seed"] >= 0


# Other transports.


def test_ipv6() -> None:
    """It serves IPv6 over TCP and UDP; on a machine without, it says so in one line."""
    places = [r"tcp6:0:interface=\:\:1", r"udp:0:interface=\:\:1"]
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        ended = twistd("--arithmetic", places[0])
        assert (ended.code, ended.err.count("\n")) == (1, 1)
        return
    with serving(places=places) as server:
        tcp, udp = map(address, server.places)
        assert ask_tcp(tcp) == b"200,2\n"
        assert ask_udp(udp) == b"200,2"


def test_unix_socket(tmp_path: Path) -> None:
    """It serves a Unix socket, and takes it away at the end."""
    path = tmp_path / "arithmetic"
    with serving(places=[f"unix:{path}"]) as server:
        assert server.places == [f"unix:{path}"]
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(path))
            connection.sendall(b"+,1,1\n")
            assert read_line(connection) == b"200,2\n"
        assert run(LAB, "arithmetic", f"unix:{path}", "*,6,7").out == "42\n"
        server.process.end()
    assert list(tmp_path.iterdir()) == []


def test_tls(tmp_path: Path) -> None:
    """It serves TLS with a certificate that clients can check."""
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    issued = authority.issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    issued.private_key_pem.write_to_path(key)
    issued.cert_chain_pems[0].write_to_path(certificate)
    (tmp_path / "roots").mkdir()
    authority.cert_pem.write_to_path(tmp_path / "roots" / "root.pem")
    place = f"ssl:0:privateKey={key}:certKey={certificate}:interface=127.0.0.1"
    with serving(places=[place]) as server:
        where = server.address("ssl")
        context = ssl.create_default_context()
        authority.configure_trust(context)
        with (
            connected(where) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            connection.sendall(b"+,1,1\n*,6,7\n")
            assert [read_line(connection), read_line(connection)] == [b"200,2\n", b"200,42\n"]
        trusting = f"tls:localhost:{where[1]}:trustRoots={tmp_path / 'roots'}"
        assert run(LAB, "arithmetic", trusting, "*,6,7").out == "42\n"
        stranger = run(LAB, "arithmetic", f"tls:localhost:{where[1]}", "*,6,7")
        assert (stranger.code, stranger.out) == (1, "")
        assert "certificate verify failed" in stranger.err
        assert stranger.err.count("\n") == 1
        with connected(where) as plain:  # no TLS at all
            plain.sendall(b"+,1,1\n")
            with suppress(ConnectionResetError):
                assert b"200" not in read_all(plain)
        assert run(LAB, "arithmetic", trusting, "+,1,1").out == "2\n"


# How it ends.


def test_sigterm(tmp_path: Path) -> None:
    """SIGTERM ends it cleanly: a report in the log, no file left, death by that very signal."""
    pid_file = tmp_path / "pid"
    places = [f"unix:{tmp_path / 'socket'}"]
    with serving(places=places, twistd=[TWISTD, "-n", f"--pidfile={pid_file}"]) as server:
        assert int(pid_file.read_text()) == server.process.pid
        ended = server.process.end()
    assert (ended.code, ended.err) == (-signal.SIGTERM, "")
    messages = [message(line) for line in ended.lines]
    assert "arithmetic ends: 0 executed, 0 refused" in messages
    assert messages[-1] == "Server Shut Down."
    assert list(tmp_path.iterdir()) == []


def test_sigint() -> None:
    """Ctrl-C does the same."""
    with serving() as server:
        ended = server.process.end(signal.SIGINT)
    assert (ended.code, ended.err) == (-signal.SIGINT, "")
    assert "Server Shut Down." in ended.out


def test_ends_under_connections() -> None:
    """Clients that hang on don't keep it from ending; they see the end of the connection."""
    with serving() as server, connected(server.address("tcp")) as connection:
        connection.sendall(b"+,1,1\n+,1,")
        assert read_line(connection) == b"200,2\n"
        assert server.process.end().code == -signal.SIGTERM
        assert connection.recv(1) == b""


def test_daemon(tmp_path: Path) -> None:
    """Without -n it goes to the background, writes its log to a file, and ends cleanly."""
    port = free_port()
    words = ["lab-server", "--log-format", "json", "--arithmetic"]
    done = run(TWISTD, *words, f"tcp:{port}:interface=127.0.0.1", cwd=tmp_path)
    assert done == Ended(0, "", "")
    pid = int((tmp_path / "twistd.pid").read_text())
    watched = os.pidfd_open(pid)
    try:
        assert ask_tcp(("127.0.0.1", port)) == b"200,2\n"
    finally:
        os.kill(pid, signal.SIGTERM)
        ended = select.select([watched], [], [], PATIENCE)[0]
        os.close(watched)
    assert ended
    assert not (tmp_path / "twistd.pid").exists()
    messages = [message(line) for line in (tmp_path / "twistd.log").read_text().splitlines()]
    assert "arithmetic ends: 1 executed, 0 refused" in messages


# What it says.


def test_json_log() -> None:
    """With `--log-format json` every line is one JSON object with time, level and message."""
    with serving("--drop-rate", "1") as server:
        ask_tcp(server.address("tcp"), b"nonsense\n")
        with datagrams(server.address("udp")) as port:
            port.send(b"+,1,1")
            server.process.event("dropped")
        ended = server.process.end()
    events = [json.loads(line) for line in ended.lines]
    assert all({"time", "level", "namespace", "message"} <= event.keys() for event in events)
    assert {event["level"] for event in events} == {"info"}
    assert ended.err == ""


def test_text_log() -> None:
    """Without it, the log is lines of text, and says where the server listens."""
    words = (*FOREGROUND, "lab-server", "--arithmetic", "tcp:0:interface=127.0.0.1")
    with running(*words) as process:
        line = process.line(lambda line: "arithmetic listens on tcp:127.0.0.1:" in line)
        where = address(line.split(" listens on ")[1].strip())
        assert ask_tcp(where) == b"200,2\n"


# What is done to it.


@pytest.fixture(scope="module")
def server() -> Server:
    """One server for all the attacks: what one of them breaks, the next sees."""
    with serving("--idle", "60") as server:
        yield server


def status(pid: int, key: str) -> int:
    """A figure of /proc/PID/status, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(key)


def ticks(pid: int) -> int:
    """The CPU time of a process so far, in ticks of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.fixture
def unharmed(server: Server) -> Server:
    """The server, which has to answer after the test as before, in about the same memory."""
    before = status(server.process.pid, "VmRSS")
    yield server
    assert ask_tcp(server.address("tcp"), b"*,6,7\n") == b"200,42\n"
    assert ask_udp(server.address("udp"), b"*,6,7") == b"200,42"
    assert status(server.process.pid, "VmRSS") - before < GROWTH


def test_random_bytes(unharmed: Server) -> None:
    """Bytes without sense are refused, line by line, or end the connection."""
    noise = Random(7)
    for _ in range(20):
        with connected(unharmed.address("tcp")) as connection, suppress(ConnectionError):
            connection.sendall(noise.randbytes(20_000))
            connection.shutdown(socket.SHUT_WR)
            answers = read_all(connection)
            assert set(answers.splitlines()) <= {b"300,-1"}
    with datagrams(unharmed.address("udp")) as port:
        for size in (0, 1, 3, 100, 1024, 1025, 9000, 60_000):
            port.send(noise.randbytes(size))
            assert port.recv(65535) == b"300,-1"


@pytest.mark.parametrize(
    "request_", [b"**,9,99999999", b"**,9,-99999999", b"**,9.5,999999999", b"*,1e308,1e308", b""]
)
def test_work_without_end(unharmed: Server, request_: bytes) -> None:
    """What would take for ever, or has no result, is refused at once."""
    answer = ask_tcp(unharmed.address("tcp"), request_ + b"\n")
    assert answer == ask_udp(unharmed.address("udp"), request_) + b"\n"
    assert answer in {b"300,-1\n", b"200,0.0\n"}


def test_operand_of_10000_digits(unharmed: Server) -> None:
    """A line that is too long is refused once, and the connection ends."""
    with connected(unharmed.address("tcp")) as connection:
        connection.sendall(b"+,1," + b"9" * 10_000 + b"\n+,1,1\n")
        assert read_all(connection) == b"300,-1\n"
    assert ask_udp(unharmed.address("udp"), b"+,1," + b"9" * 10_000) == b"300,-1"


def test_line_without_end(unharmed: Server) -> None:
    """A line that never ends is refused early; nobody waits for the rest of it."""
    with connected(unharmed.address("tcp")) as connection, pytest.raises(ConnectionError):
        while True:
            connection.send(b"1" * 65536)


def test_half_lines(unharmed: Server) -> None:
    """Bytes may come one by one; half a line at the end of a connection is no request."""
    with connected(unharmed.address("tcp")) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"+,1,1\r\n-,5,":
            connection.sendall(bytes([byte]))
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b"200,2\n"


def test_200_connections(unharmed: Server) -> None:
    """Two hundred connections at once are all answered."""
    with ExitStack() as stack:
        connections = [stack.enter_context(connected(unharmed.address("tcp"))) for _ in range(200)]
        for number, connection in enumerate(connections):
            connection.sendall(b"+,%d,1\n" % number)
        answers = [read_line(connection) for connection in connections]
        assert answers == [b"200,%d\n" % (number + 1) for number in range(200)]


def test_asks_and_never_reads(unharmed: Server) -> None:
    """A peer that asks for much and reads nothing is not read any more, and costs no memory."""
    before = status(unharmed.process.pid, "VmRSS")
    with connected(unharmed.address("tcp")) as connection:
        connection.settimeout(1)
        with pytest.raises(TimeoutError):  # nothing is taken for a second
            while True:
                connection.send(b"**,9,4000\n" * 1000)
        # Others are answered meanwhile.
        assert ask_tcp(unharmed.address("tcp")) == b"200,2\n"
        assert status(unharmed.process.pid, "VmRSS") - before < GROWTH
        # As soon as it reads it is answered, and right.
        connection.settimeout(PATIENCE)
        assert read_line(connection) == b"200,%d\n" % 9**4000


def test_idle(unharmed: Server) -> None:
    """A server with connections on which nothing happens takes no CPU time."""
    with ExitStack() as stack:
        connections = [stack.enter_context(connected(unharmed.address("tcp"))) for _ in range(9)]
        for connection in connections:
            connection.sendall(b"+,1,1\n")
            assert read_line(connection) == b"200,2\n"
        before = ticks(unharmed.process.pid)
        assert select.select(connections, [], [], 1.0)[0] == []
        assert ticks(unharmed.process.pid) - before <= 1


def test_idle_connection_is_closed() -> None:
    """A connection without a request is closed after `--idle`, and the log says why."""
    with serving("--idle", "200ms") as server, connected(server.address("tcp")) as connection:
        assert connection.recv(1) == b""
        assert "no request for 0.2 s" in server.process.event("is let go")["message"]
