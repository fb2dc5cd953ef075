"""One connection to a download server, from the attempt to its end. Knows no files, no pieces."""

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from lab.adapters.driver import Driver
from lab.adapters.receivefile import FileReceiver, file_receiver
from lab.adapters.routes import StreamRoute
from lab.adapters.stream import ChunkCoreProtocol
from lab.backoff import Backoff
from lab.core import Part
from lab.download.client import DownloadClientCore, Into
from lab.download.settings import ClientSettings
from lab.download.wire import Request
from lab.errors import NoAnswer, Unreachable
from lab.rng import Random


class _Protocol(ChunkCoreProtocol):
    """
    Has the system put into files what belongs there, where it can.

    Args:
        driver: Runs the core.
        core: That one.
        lost: Called with the reason when the connection is gone.
    """

    _receiver: FileReceiver | None = None

    def __init__(
        self, driver: Driver, core: DownloadClientCore, lost: Callable[[Failure], None]
    ) -> None:
        super().__init__(driver, lost)
        self._core = core

    def connectionMade(self) -> None:
        """The core has a transport from now on."""
        self._receiver = file_receiver(self.transport, self)
        if self._receiver is not None:
            self._receiver.begin()
        super().connectionMade()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        if self._receiver is not None:
            self._receiver.end()
        super().connectionLost(reason)

    def room(self) -> Part | None:
        """See `lab.adapters.receivefile.Sink`; nothing overtakes what was read before."""
        return None if self._lines or self._finished else self._core.room()

    def ahead(self) -> int:
        """See there."""
        return self._core.ahead()

    def placed(self, size: int) -> None:
        """See there."""
        self._core.placed(size, self._driver.now())
        self._driver.settle()
        if self._driver.busy():
            # Nothing is read ahead, for it would not go to its place; the release goes on.
            self._held = True
            self._read(wanted=False)

    def failed(self, error: OSError) -> None:
        """See there."""
        self._core.misplaced(error, self._driver.now())
        self._driver.settle()


@define(eq=False)
class Connection:
    """
    A core, and the one connection that it has; it is what `lab.adapters.routes` calls a way.

    Args:
        endpoint: Where the server is.
        clock: Gives the time.
        settings: Of the client.
        random: Where jitter is drawn from.
        tell: Called with the events of the core.
        tried: How often it was tried before in vain, for what is said if it is again.
    """

    _endpoint: IStreamClientEndpoint
    _clock: IReactorTime
    _settings: ClientSettings
    _random: Random
    _tell: Callable[[Any], None]
    _tried: int = 0
    _core: DownloadClientCore = field(init=False)
    driver: Driver = field(init=False)
    _route: StreamRoute = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Connect."""
        self._core = DownloadClientCore(self._settings)
        self.driver = Driver(self._core, self._clock)
        self.driver.tell = self._tell
        once = Backoff.fixed(self._settings.silence)
        self._route = StreamRoute(
            self, self._endpoint, once, self._random, self._build, self._tried
        )

    def _build(self, lost: Callable[[Failure], None]) -> ChunkCoreProtocol:
        """The protocol of the connection."""
        return _Protocol(self.driver, self._core, lost)

    def begin(self) -> None:
        """Connect."""
        self._route.need()

    def ask(self, request: Request, into: Into | None = None) -> int:
        """
        Ask.

        Args:
            request: What for.
            into: Says where the content belongs.

        Returns:
            The number that the answer will have.
        """
        number = self._core.ask(request, self._clock.seconds(), into)
        self.driver.settle()
        return number

    def hold(self, *, wanted: bool) -> None:
        """Nobody takes content from now on; or somebody does again."""
        (self._core.hold if wanted else self._core.release)(self._clock.seconds())
        self.driver.settle()

    def end(self) -> Deferred[None]:
        """Let it go, and tell nothing more; fires when it is gone."""
        self._core.stop(self._clock.seconds())
        self.driver.tell = lambda event: None
        self.driver.stop()
        return self._route.close()

    @property
    def waiting(self) -> int:
        """Whether a connection is needed."""
        return self._core.waiting

    @property
    def opened(self) -> bool:
        """Whether the server has taken it."""
        return self._core.opened

    @property
    def heard(self) -> bool:
        """Whether the server has said anything."""
        return self._core.heard

    def open(self) -> None:
        """There is a connection now."""
        self._core.open(self._clock.seconds())
        self.driver.settle()

    def closed(self, error: Unreachable) -> None:
        """It is gone."""
        self.fail(error)

    def fail(self, error: NoAnswer | Unreachable) -> None:
        """There will be none."""
        self._core.lost(error, self._clock.seconds())
        self.driver.settle()
