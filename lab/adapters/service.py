"""
Services that listen at an endpoint, of streams or of datagrams.

Knows no service of the laboratory.
"""

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IStreamServerEndpoint
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from lab.adapters.endpoints import DatagramServerEndpoint
from lab.errors import LocalError


class ListeningService(Service):
    """
    Listens while it runs, and logs where.

    Args:
        label: What it is called in the log.
        place: The endpoint string that ``endpoint`` was made from, for the log and for errors.
        endpoint: Where to listen.
        listener: What listens: a factory, or at a `DatagramServerEndpoint` a datagram protocol.
        report: Gives the line that is logged when the service ends.

    Attributes:
        label: What it is called.
        report: Gives the line of what it has done so far.
        port: The port while the service runs, or None.
    """

    _log = Logger()

    def __init__(
        self,
        label: str,
        place: str,
        endpoint: IStreamServerEndpoint | DatagramServerEndpoint,
        listener: Factory | DatagramProtocol,
        report: Callable[[], str],
    ) -> None:
        self.label = label
        self._place = place
        self._endpoint = endpoint
        self._listener = listener
        self.report = report
        self.port: IListeningPort | None = None

    def privilegedStartService(self) -> None:
        """
        Listen, while ports below 1024 are still allowed.

        Raises:
            LocalError: It can't; the text says why.
        """
        super().privilegedStartService()
        self._listen()

    def startService(self) -> None:
        """
        Listen, if that is not done yet.

        Raises:
            LocalError: It can't; the text says why.
        """
        super().startService()
        if self.port is None:
            self._listen()

    def stopService(self) -> Deferred[None]:
        """Listen no more."""
        super().stopService()
        port, self.port = self.port, None
        self._log.info("{name} ends: {report}", name=self.label, report=self.report())
        return maybeDeferred(_stop, port)

    def place(self) -> str:
        """The endpoint string of a client on this machine; empty while nothing listens."""
        if self.port is None:
            return ""
        return show_address(self._place.partition(":")[0], self.port.getHost())

    def _listen(self) -> None:
        """Ask the endpoint; a refusal is raised here, so that the start of the program fails."""
        failures: list[Failure] = []
        listen: Any = self._endpoint.listen
        listening: Deferred[IListeningPort] = maybeDeferred(listen, self._listener)
        listening.addCallbacks(self._listening, failures.append)
        for failure in failures:
            why = why_not(failure.value)
            raise LocalError(f"{self.label} can't listen on {self._place}: {why}")

    def _listening(self, port: IListeningPort) -> None:
        """The port is open."""
        self.port = port
        self._log.info(
            "{name} listens on {endpoint}",
            name=self.label,
            endpoint=self.place(),
        )


def _stop(port: IListeningPort | None) -> Any:
    """Close a port; the Deferred of that, if it takes time."""
    return port.stopListening() if port else None


def show_address(kind: str, address: IAddress) -> str:
    """The endpoint string that a client on this machine would use for this address."""
    if isinstance(address, UNIXAddress):
        return f"{kind}:{address.name.decode() if address.name else ''}"
    host, port = getattr(address, "host", "?"), getattr(address, "port", "?")
    host = host.replace(":", "\\:")
    return f"{kind}:{host}:{port}"


def why_not(error: BaseException | None) -> str:
    """Why a port could not be opened, for people."""
    cause = error.socketError if isinstance(error, CannotListenError) else error
    return getattr(cause, "strerror", None) or str(cause)
