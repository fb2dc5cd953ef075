"""Commands that ask an echo server, on a simulated network."""

from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from click.testing import CliRunner, Result
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.trial.unittest import SynchronousTestCase

from lab.commands import running
from lab.commands.main import main
from lab.echo.settings import ServerSettings
from lab.echo.tcp import EchoFactory
from lab.echo.udp import EchoDatagramProtocol
from lab.errors import LabError
from lab.simulator import simulate
from lab.simulator.network import Network

TCP, UDP = "tcp:server:80", "udp:server:81"


def serve(net: Network, settings: ServerSettings | None = None) -> None:
    """A server at `TCP` and at `UDP`."""

    def start(reactor: Any, disk: dict[str, Any]) -> None:
        """Start it."""
        TCP4ServerEndpoint(reactor, 80).listen(EchoFactory(reactor, settings))
        reactor.listenUDP(81, EchoDatagramProtocol(reactor, settings), maxPacketSize=65535)

    net.host("server").start(start)


class Taken:
    """Stands in for standard output."""

    def __init__(self, *_: object) -> None:
        self.data = bytearray()
        self.error: Exception | None = None

    def write(self, data: bytes) -> None:
        """Note it."""
        self.data += data

    def drain(self) -> Deferred[None]:
        """All is written at once."""
        if self.error is not None:
            raise self.error
        return succeed(None)


class EchoCommandCase(SynchronousTestCase):
    """Calls a command, on a simulated network."""

    #: The module of the command, and its name.
    module: Any
    name: str

    def setUp(self) -> None:
        """A network with a server."""
        self.patch(self.module, "run", self.run_in_simulation)
        self.prepare: Callable[[Network], object] = serve
        #: Ctrl-C comes then, in seconds.
        self.interrupt: float | None = None
        #: What was said of that.
        self.said = ""

    def run_in_simulation(
        self, begin: Callable[[Any], Coroutine[Deferred[Any], Any, int]]
    ) -> NoReturn:
        """As `lab.commands.running.run`, on a network of its own."""
        with simulate(7) as net:
            self.net = net
            self.prepare(net)
            done = Deferred.fromCoroutine(begin(net.host("client").reactor))
            if self.interrupt is not None:
                net.at(self.interrupt, done.cancel)
            try:
                code = net.run_until(done)
            except CancelledError as error:
                code, self.said = 130, str(error)
            except LabError as error:
                print(error)  # noqa: T201 - as `run` does, elsewhere
                code = running.code_of(error)
            net.run(1)
            self.assertEqual(net.host("client").reactor.getDelayedCalls(), [])
        raise SystemExit(code)

    def call(self, *words: str) -> Result:
        """Call it as a shell would."""
        return CliRunner().invoke(main, [self.name, *words], prog_name="lab")
