"""
The arithmetic service on datagrams: a request is one, and so is its answer.

An application embeds the server with
``reactor.listenUDP(50000, ArithmeticDatagramProtocol(reactor), maxPacketSize=65535)`` and asks
with ``await ArithmeticClient(reactor, DatagramClientEndpoint(reactor, HOST, 50000)).ask(...)``.
"""

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from lab.adapters.datagram import Address, PeersProtocol
from lab.adapters.endpoints import DatagramClientEndpoint
from lab.adapters.routes import DatagramRoute
from lab.arithmetic.asking import Asking
from lab.arithmetic.replies import ReplyCache
from lab.arithmetic.server import SHORT, ArithmeticServerCore, Counters, answer_sum
from lab.arithmetic.settings import ClientSettings, ServerSettings
from lab.core import Core
from lab.faults.datagrams import Judge, Loss
from lab.rng import Random, secret, stream
from lab.wire.tokens import ProvedCore, Tokens


class ArithmeticDatagramProtocol(PeersProtocol):
    """
    Answers the datagrams of any number of peers at one port.

    A request with an id is executed once, however often it comes; see `ReplyCache`. An answer
    of more than three times its request is given only to an address that has proved itself;
    see `ProvedCore`.

    Args:
        clock: The reactor, or another `IReactorTime`.
        settings: Limits and drop rate; those of
            `lab.arithmetic.settings.ServerSettings` by default.
        drops: Judges what comes in: what it drops is lost. By default `lab.faults.datagrams.Loss`
            at the drop rate, on a stream from the system's seed.
        key: Makes the tokens; 16 random bytes by default.

    Attributes:
        counters: What was answered so far.
        replies: The answers that are kept.
        received: Datagrams that came in.
        dropped: Those of them that were dropped on purpose.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        settings: ServerSettings | None = None,
        drops: Judge | None = None,
        key: bytes | None = None,
    ) -> None:
        super().__init__(clock, self._core)
        self._settings = settings or ServerSettings()
        self._drops = drops or Loss(self._settings.drop_rate).begin(stream(None))
        self._tokens = Tokens(key or secret())
        self.counters = Counters()
        self.replies = ReplyCache(self._settings.cache_entries, self._settings.cache_size)
        self.received = self.dropped = 0

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """Drop it or answer it; one line ending at its end is no part of the request."""
        self.received += 1
        verdict = self._drops.judge(len(datagram), self._clock.seconds())
        if not verdict.delays:
            self.dropped += 1
            self._log.info(
                "datagram {number} from {host}:{port} dropped: {size} bytes, drop rate {rate:g}",
                number=self.received,
                host=addr[0],
                port=addr[1],
                size=len(datagram),
                rate=self._settings.drop_rate,
                draw=verdict.draw,
            )
            return
        request = datagram.removesuffix(b"\n").removesuffix(b"\r")
        answer = _answer(request)
        if answer is None:
            super().datagramReceived(request, addr)
        else:
            self.counters.executed += 1
            self._send([answer], addr)

    def _core(self, addr: Address) -> Core:
        """The core of a new peer."""
        peer = f"{addr[0]} {addr[1]}"
        core = ArithmeticServerCore(
            self._settings, self._clock.seconds(), self.counters, peer, self.replies
        )
        return ProvedCore(core, peer, self._tokens)


def _answer(request: bytes) -> bytes | None:
    """
    The answer to a sum without an id; None to all else.

    Nobody has to know what was answered before, nor where it goes: it is hardly longer than the
    request.
    """
    if len(request) > SHORT or request[:1] == b"#" or not request[-1:].isdigit():
        return None
    answer = answer_sum(request + b"\n")
    return None if answer is None else answer[:-1]


class ArithmeticClient(Asking):
    """
    Asks an arithmetic server over UDP.

    Args:
        reactor: Gives the time.
        endpoint: Where the server is.
        settings: Timeouts, backoff, ports; those of
            `lab.arithmetic.settings.ClientSettings` by default.
        random: Where ids and jitter are drawn from; by default a stream from the system's seed.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        endpoint: DatagramClientEndpoint,
        settings: ClientSettings | None = None,
        random: Random | None = None,
    ) -> None:
        super().__init__(
            reactor,
            settings or ClientSettings(),
            random or stream(None),
            lambda way: DatagramRoute(way, endpoint),
        )
