"""``twistd lab-server``: what its options say."""

from pathlib import Path
from typing import Any

from twisted.application.service import MultiService

from lab.adapters.endpoints import DatagramServerEndpoint
from lab.arithmetic.settings import ServerSettings
from lab.commands.server import DEFAULTS, SERVICES, makeService
from lab.download.settings import ServerSettings as DownloadSettings
from lab.echo.settings import ServerSettings as EchoSettings
from lab.sequence.settings import ServerSettings as SequenceSettings
from tests.commands.servers import TCP, UDP, ServerTestCase
from tests.helpers import folder


class OptionsTests(ServerTestCase):
    """What the options say."""

    def places(self, *words: str) -> list[tuple[str, str]]:
        """The services and endpoints that these options name."""
        return [(name, text) for name, text, _ in self.options(*words).endpoints]

    def test_defaults(self) -> None:
        """Without options all services are at their usual ports of 127.0.0.1."""
        options = self.options()
        self.assertEqual(options.settings, ServerSettings())
        (_, tcp, _), (_, udp, endpoint), (_, sequence, _), *others = options.endpoints
        self.assertEqual(tcp, "tcp:50000:backlog=1024:interface=127.0.0.1")
        self.assertEqual(udp, "udp:50000:interface=127.0.0.1")
        self.assertEqual(sequence, "tcp:49155:backlog=1024:interface=127.0.0.1")
        self.assertEqual(
            [text for _, text, _ in others],
            [
                "tcp:50001:backlog=1024:interface=127.0.0.1",
                "udp:50001:interface=127.0.0.1",
                "tcp:50002:backlog=1024:interface=127.0.0.1",
            ],
        )
        self.assertEqual(options.sequence, SequenceSettings())
        self.assertEqual(options.echo, EchoSettings())
        self.assertEqual(options.download, DownloadSettings())
        assert options.catalogue is not None
        self.assertEqual(options.catalogue.root, str(Path.cwd()))
        at: Any = self.reactor
        self.assertEqual(endpoint, DatagramServerEndpoint(at, 50000, "127.0.0.1"))
        self.assertEqual({name for name, _, _ in options.endpoints}, set(DEFAULTS))

    def test_named(self) -> None:
        """As soon as an endpoint is named only the named ones are there, in their order."""
        self.assertEqual(self.places("--arithmetic", UDP), [("arithmetic", UDP)])
        words = [word for place in (TCP, UDP, TCP) for word in ("--arithmetic", place)]
        self.assertEqual(self.places(*words), [("arithmetic", text) for text in (TCP, UDP, TCP)])
        for name in SERVICES:
            self.assertEqual(self.places(f"--{name}", TCP), [(name, TCP)])

    def test_settings(self) -> None:
        """Each limit is an option, in the units that people type."""
        words = ("--idle", "5m", "--cache-entries", "0", "--cache-size", "64K", "--drop-rate", ".3")
        expected = ServerSettings(idle=300.0, drop_rate=0.3, cache_entries=0, cache_size=65536)
        self.assertEqual(self.options(*words).settings, expected)
        words = ("--interval", "100ms", "--heartbeat-interval", ".5", "--reconnect-window", "1m")
        self.assertEqual(self.options(*words).sequence, SequenceSettings(0.1, 0.001, 0.5, 60.0))

    def test_success(self) -> None:
        """The drop rate may be said the other way round, but not both ways."""
        self.assertEqual(self.options("--success", "0.75").settings.drop_rate, 0.25)
        self.assertEqual(self.options("--success", "1").settings.drop_rate, 0)
        self.assertEqual(
            self.mistake("--success", "1", "--drop-rate", "0"),
            "lab-server: drop-rate and success say the same thing; give one of them",
        )

    def test_seed(self) -> None:
        """A seed is taken as it is given, and 0 is one; otherwise each run has its own."""
        self.assertEqual([self.options("--seed", text).seed for text in ("0", "8")], [0, 8])
        self.assertEqual(len({self.options().seed for _ in range(5)}), 5)

    def test_mistakes(self) -> None:
        """A value that can't be is one line with what is allowed, and exit code 2."""
        mistakes = {
            "--drop-rate 1.1": "drop-rate is '1.1'; give a probability from 0 to 1",
            "--success -1": "success is '-1'; give a probability from 0 to 1",
            "--seed -1": "seed is '-1'; give a whole number from 0",
            "--idle 0": "idle is '0'; give more than 0",
            "--cache-entries -1": "cache-entries is '-1'; give a whole number from 0",
            "--cache-size 1.5K": "cache-size is '1.5K'; give bytes",
            "--arithmetic udp:x": "endpoint is 'udp:x'; give a port from 0 to 65535",
            "--arithmetic tcp:x": "endpoint is 'tcp:x'; give one like tcp:50000:interface",
            "--sequence udp:49155": "sequence is at 'udp:49155'; give an endpoint of streams",
            "--interval 0": "interval is '0'; give more than 0",
            "--reconnect-window x": "reconnect-window is 'x'; give seconds",
            "--log-format xml": "log-format is 'xml'; give text or json",
            "argument": "Wrong number of arguments.",
        }
        for words, line in mistakes.items():
            self.assertIn(f"lab-server: {line}", self.mistake(*words.split()), words)

    def test_file(self) -> None:
        """A file may name endpoint and limits, and overrides the command line."""
        path = folder(self) / "lab.ini"
        path.write_text(f"[lab-server]\narithmetic = {UDP}\nidle = 2m\n")
        options = self.options("--idle", "1s", "--arithmetic", TCP, "-c", str(path))
        self.assertEqual(options.settings.idle, 120.0)
        self.assertEqual([text for _, text, _ in options.endpoints], [UDP])

    def test_root(self) -> None:
        """The directory is looked for only where it is served."""
        self.assertIsNone(self.options("--echo", TCP, "--root", "/nothing").catalogue)
        self.assertIn("root is '/nothing'", self.mistake("--download", TCP, "--root", "/nothing"))

    def test_one_service_for_all(self) -> None:
        """What twistd is given is one service with all others in it."""
        self.assertIsInstance(makeService(self.options()), MultiService)


class WorkersTests(ServerTestCase):
    """Options of several processes; `tests.commands.test_workers` has what they do."""

    def test_worker(self) -> None:
        """A worker shares the ports that it is told."""
        options = self.options("--worker", "4000", "--arithmetic", TCP)
        ((_, text, endpoint),) = options.endpoints
        self.assertEqual((text, endpoint._reactor._port), (TCP, 4000))

    def test_alone(self) -> None:
        """What one process alone can do is refused."""
        self.assertIn("sessions is 'memory'", self.mistake("--workers", "2"))
        self.assertIn("console", self.mistake("--workers", "2", "--console"))
