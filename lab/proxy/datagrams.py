"""
Datagrams relayed to an upstream, with faults on each direction.

**What it must do.** Give each client its own replies: a client is an address, and has a socket of
its own to the upstream for as long as it is not idle. Keep every datagram whole, of 0 to 65,507
bytes. Cost bounded memory whoever sends, however much is under way.

**How it does it.** A session has two links, which say when which copies of a datagram leave; each
copy that is late waits in a timer. What is under way is bounded for each session and direction:
what comes beyond that is dropped, as a full queue would. Where there are neither faults nor a
capture to look at each datagram, those that were read together leave together.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from lab.adapters.endpoints import DatagramClientEndpoint
from lab.adapters.offload import DatagramSender
from lab.faults.fault import Fault
from lab.faults.journal import Journal, Place
from lab.faults.link import Arrival, DatagramLink, Decisions, check_names
from lab.faults.sharing import Buckets
from lab.faults.words import Touch, all_told
from lab.proxy.recording import DatagramLeg, RelayRecording
from lab.proxy.tally import Tally

#: Bytes that a datagram under way costs besides its own, about.
_OVERHEAD = 100
#: After a line in the log about an upstream that there is none of there is none for so long, in
#: seconds.
QUIET = 10.0
# So many datagrams of a client wait for the address of the upstream.
_EARLY = 100
DIRECTIONS = ("upstream", "downstream")

Address = tuple[str, int]
Touches = Sequence[Touch]


@frozen
class Limits:
    """
    What a relay bounds.

    Args:
        idle: A client that neither sends nor gets anything for so long is forgotten, in seconds.
        clients: Most of them at a time; what others send is dropped.
        under_way: Most bytes under way, in each direction of each client.
    """

    idle: float = 120.0
    clients: int = 4096
    under_way: int = 2**20


class _Way:
    """
    One direction of one client.

    Args:
        relay: Has the faults, and counts.
        place: Which it is.
        client: The address of the client, without its port.
        write: Called with datagrams that leave, and what faults have done to them.
    """

    #: What a capture has of where datagrams come in, if there is one.
    seen: DatagramLeg | None = None

    def __init__(
        self,
        relay: "DatagramRelay",
        place: Place,
        client: str,
        write: Callable[[Sequence[bytes], Touches], object],
    ) -> None:
        self._relay, self._place, self._write = relay, place, write
        self._share = partial(relay.buckets.lane, client=client)
        self._link: DatagramLink | None = None
        self._begun = relay.clock.seconds()
        self._under_way = 0
        #: Copies that leave later, and the call for what a fault holds back.
        self._late: dict[IDelayedCall, None] = {}
        self._held: IDelayedCall | None = None
        self._due = 0.0
        self.follow()

    def follow(self) -> None:
        """The faults have changed."""
        relay, faults = self._relay, self._relay.faults[self._place.direction]
        if not (faults or self._link):
            return
        link = self._link = self._link or DatagramLink(
            [],
            relay.decisions,
            self._place,
            journal=relay.journal,
            now=self._begun,
            share=self._share,
            watch=relay.tally.judged,
        )
        self._deliver(link.update(faults, relay.clock.seconds()))

    def send_all(self, datagrams: Sequence[bytes]) -> None:
        """Several come."""
        if self._link is None and self.seen is None:
            size = sum(map(len, datagrams))
            self._relay.received[self._place.direction] += size
            self._relay.sent[self._place.direction] += size
            self._write(datagrams, ())
        else:
            for data in datagrams:
                self.send(data)

    def send(self, data: bytes) -> None:
        """A datagram comes."""
        relay, link = self._relay, self._link
        relay.received[self._place.direction] += len(data)
        if link is None:
            self._come(data)
            self._leave(data)
            return
        if self._under_way + link.memory >= relay.limits.under_way:
            relay.overflowed += 1
            self._come(data, "dropped: too much is under way")
            return
        arrivals = link.send(data, relay.clock.seconds())
        if self.seen is not None:
            self._come(data, all_told(link.touched))
        self._deliver(arrivals)

    def close(self) -> None:
        """Nothing leaves any more."""
        for call in [*self._late, *filter(None, [self._held])]:
            call.cancel()
        self._late.clear()
        self._held = None
        if self._link is not None:
            self._link.close()

    def _come(self, data: bytes, told: str = "") -> None:
        """A datagram has come, and there is this to say of it."""
        if self.seen is not None:
            self.seen.came(data, told)

    def _deliver(self, arrivals: Sequence[Arrival]) -> None:
        """Let copies leave at their times, and come back for what is held back."""
        clock, link = self._relay.clock, self._link
        for arrival in arrivals:
            wait = arrival.at - clock.seconds()
            if wait <= 0:
                self._leave(arrival.data, arrival.touches)
            else:
                self._wait(wait, arrival)
        due = link.deadline() if link else None
        if due is None or (self._held is not None and self._due <= due):
            return
        if self._held is not None:
            self._held.cancel()
        self._due = due
        self._held = clock.callLater(max(0.0, due - clock.seconds()), self._tick, link)

    def _wait(self, seconds: float, arrival: Arrival) -> None:
        """A copy leaves later."""
        size = len(arrival.data) + _OVERHEAD
        self._under_way += size

        def leave() -> None:
            """Now."""
            del self._late[call]
            self._under_way -= size
            self._leave(arrival.data, arrival.touches)

        call: IDelayedCall = self._relay.clock.callLater(seconds, leave)
        self._late[call] = None

    def _tick(self, link: DatagramLink) -> None:
        """Nobody has overtaken it in time, or it has had its turn."""
        self._held = None
        # Floating point may bring a clock a hair before the time it was asked for.
        self._deliver(link.tick(max(self._due, self._relay.clock.seconds())))

    def _leave(self, data: bytes, touches: Touches = ()) -> None:
        """A datagram goes out."""
        self._relay.sent[self._place.direction] += len(data)
        self._write([data], touches)


class _Session(DatagramProtocol):
    """
    One client, and the socket of its own to the upstream.

    Args:
        relay: Which it belongs to.
        client: Its address.
        number: The how-manieth client it is.
    """

    transport: Any = None
    noisy = False

    def __init__(self, relay: "DatagramRelay", client: Address, number: int) -> None:
        self._relay, self.client = relay, client
        self._sender = DatagramSender(self, relay.lose)
        self.heard = relay.clock.seconds()
        #: What is to be sent as soon as there is a socket; None while nobody looks for one.
        self._early: deque[tuple[Sequence[bytes], Touches]] | None = None
        self._closed = False
        name = relay.name
        self.ways = {
            "upstream": _Way(relay, Place(name, number, "upstream"), client[0], self._write),
            "downstream": _Way(relay, Place(name, number, "downstream"), client[0], self._reply),
        }
        self._to_client = self.ways["upstream"].seen = relay.client_leg(client)
        self._to_upstream: DatagramLeg | None = None

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """The upstream sends."""
        self._relay.touch(self)
        self.ways["downstream"].send(datagram)

    def datagramsReceived(self, datagrams: list[bytes], addr: Address) -> None:
        """It sends several at once."""
        self._relay.touch(self)
        self.ways["downstream"].send_all(datagrams)

    def connectionRefused(self) -> None:
        """Nobody listens at the upstream: ICMP said so."""
        self._relay.refusals += 1
        if self._to_upstream is not None:
            self._to_upstream.refused()

    def stopProtocol(self) -> None:
        """The socket is closed; if not by us, then by some reactors, because ICMP said so."""
        self.transport = None
        if not self._closed:
            self.connectionRefused()

    def close(self) -> None:
        """Forget the client."""
        self._closed = True
        for way in self.ways.values():
            way.close()
        if self.transport is not None:
            self.transport.stopListening()

    def _write(self, datagrams: Sequence[bytes], touches: Touches) -> None:
        """To the upstream; what the system does not take is lost, as datagrams may be."""
        if self.transport is None:
            self._wait_for_socket(datagrams, touches)
            return
        unsent = self._sender.unsent
        self._sender.send(datagrams)
        if self._to_upstream is not None and self._sender.unsent == unsent:
            for data in datagrams:
                self._to_upstream.left(data, all_told(touches))

    def _wait_for_socket(self, datagrams: Sequence[bytes], touches: Touches) -> None:
        """Send them when there is one."""
        early = (([data], touches) for data in datagrams)
        if self._early is not None:
            self._early.extend(early)
            return
        self._early = deque(early, maxlen=_EARLY)
        endpoint = self._relay.connect()
        looked: Deferred[list[Address]] = endpoint.addresses()
        looked.addCallback(self._found, endpoint)
        looked.addErrback(self._lost)

    def _found(self, addresses: list[Address], endpoint: DatagramClientEndpoint) -> None:
        """The upstream has an address."""
        early, self._early = self._early or (), None
        if self._closed:
            return
        # Of several the first of IPv4, as where a proxy listens.
        host, port = min(addresses, key=lambda address: ":" in address[0])
        endpoint.listen(self, "::" if ":" in host else "")
        # A socket that is connected hears of refusals, and takes datagrams from nobody else.
        self.transport.connect(host, port)
        capture = self._relay.capture
        if capture is not None:
            leg = DatagramLeg(capture, self.transport.getHost(), (host, port), inbound=False)
            self._to_upstream = self.ways["downstream"].seen = leg
        for datagrams, touches in early:
            self._write(datagrams, touches)

    def _lost(self, reason: Failure) -> None:
        """There is no way to the upstream."""
        self._relay.refuse(self, reason)

    def _reply(self, datagrams: Sequence[bytes], touches: Touches) -> None:
        """To the client."""
        if self._relay.reply(datagrams, self.client) and self._to_client is not None:
            for data in datagrams:
                self._to_client.left(data, all_told(touches))


class DatagramRelay:
    """
    Relays datagrams to an upstream, with faults on each direction.

    Args:
        reactor: Listens, and gives the time.
        name: Of the link, for random streams and journals.
        connect: Gives the upstream; asked anew for each client.
        decisions: Where verdicts come from.
        journal: Takes what is decided; without, none is kept.
        limits: What is bounded.
        capture: Takes what goes through.

    Attributes:
        protocol: Listens: ``endpoint.listen(relay.protocol)``.
        factory: The same, as relays of streams call it.
        connections: Clients that there are.
        accepted: Clients that there were.
        refused: Clients that could not be served: there were too many, or no upstream.
        refusals: ICMP messages that nobody listens at the upstream.
        overflowed: Datagrams dropped because too much was under way.
        unsent: Datagrams that the system did not take, now or after they had waited for room.
        received: Bytes that came in, by direction.
        sent: Bytes that went out, by direction.
        hits: How often each fault has done something, by its name; see `lab.proxy.tally`.
        tally: The same.
        number: That of the next client; a relay that goes on for another has its.
        buckets: Those of rates that clients have together.
    """

    _log = Logger()

    def __init__(  # noqa: PLR0913 - what a relay can be given
        self,
        reactor: Any,
        name: str,
        connect: Callable[[], DatagramClientEndpoint],
        *,
        decisions: Decisions,
        journal: Journal | None = None,
        limits: Limits | None = None,
        capture: RelayRecording | None = None,
    ) -> None:
        self.capture = capture
        self.clock, self.name = reactor, name
        self.decisions, self.journal = decisions, journal
        self.connect, self.limits = connect, limits or Limits()
        self.buckets = Buckets()
        self.faults: dict[str, tuple[Fault, ...]] = dict.fromkeys(DIRECTIONS, ())
        self.factory = self.protocol = _Listener(self)
        self._sender = DatagramSender(self.protocol, self.lose)
        self.number = 0
        self.accepted = self.refused = self.refusals = self.overflowed = self.unsent = 0
        self.received = dict.fromkeys(DIRECTIONS, 0)
        self.sent = dict.fromkeys(DIRECTIONS, 0)
        self.tally = Tally()
        self.hits: dict[str, int] = self.tally
        #: By address; who was silent for longest comes first.
        self._sessions: OrderedDict[Address, _Session] = OrderedDict()
        self._sweep: IDelayedCall | None = None
        self._quiet_until = -QUIET

    @property
    def connections(self) -> int:
        """See above."""
        return len(self._sessions)

    @property
    def special(self) -> dict[str, int]:
        """What only datagrams have, by the names that it has in metrics."""
        return {
            "icmp_refusals": self.refusals,
            "overflowed": self.overflowed,
            "unsent": self.unsent,
        }

    def set_faults(self, upstream: Sequence[Fault], downstream: Sequence[Fault]) -> None:
        """
        Have these faults from now on; clients that there are follow at once.

        Args:
            upstream: From clients to the upstream, in order.
            downstream: Back.

        Raises:
            LocalError: Two faults of one name.
        """
        faults = {"upstream": tuple(upstream), "downstream": tuple(downstream)}
        if faults == self.faults:
            return
        for found in faults.values():  # refused before anything has changed
            check_names(found, self.name)
        self.faults = faults
        for session in list(self._sessions.values()):
            for way in session.ways.values():
                way.follow()
        self.tally.keep(sum(faults.values(), ()))

    def drop(self) -> None:
        """Forget all clients, and what is under way."""
        while self._sessions:
            self._sessions.popitem()[1].close()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def received_from(self, client: Address, datagrams: Sequence[bytes]) -> None:
        """A client sends."""
        session = self._sessions.get(client) or self._meet(client)
        if session is not None:
            self.touch(session)
            session.ways["upstream"].send_all(datagrams)
            return
        self.refused += len(datagrams) - 1  # as if each had come alone
        if (leg := self.client_leg(client)) is not None:
            for data in datagrams:
                leg.came(data, "dropped: there are too many clients")

    def touch(self, session: _Session) -> None:
        """It is not idle."""
        session.heard = self.clock.seconds()
        if session.client in self._sessions:
            self._sessions.move_to_end(session.client)

    def refuse(self, session: _Session, reason: Failure) -> None:
        """A client can't be served."""
        self.refused += 1
        # A client that goes on sending is a new one with each datagram.
        now = self.clock.seconds()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET
            self._log.warn(
                "{name} has no upstream: {reason} ({refused} of {accepted} clients so far)",
                name=self.name,
                reason=reason.getErrorMessage(),
                refused=self.refused,
                accepted=self.accepted,
            )
        if self._sessions.get(session.client) is session:
            del self._sessions[session.client]
        session.close()

    def reply(self, datagrams: Sequence[bytes], client: Address) -> bool:
        """To a client; whether the system has taken them."""
        if self.protocol.transport is None:
            return False
        unsent = self.unsent
        self._sender.send(datagrams, client)
        return self.unsent == unsent

    def lose(self, count: int) -> None:
        """So many could not be sent."""
        self.unsent += count

    def client_leg(self, client: Address) -> DatagramLeg | None:
        """What a capture has of a client, if there is one."""
        if self.capture is None:
            return None
        host = self.protocol.transport.getHost()
        return DatagramLeg(self.capture, host, client, inbound=True)

    def _meet(self, client: Address) -> _Session | None:
        """A client that there was not before; None if there are too many."""
        if len(self._sessions) >= self.limits.clients:
            self.refused += 1
            return None
        session = _Session(self, client, self.number)
        self.accepted += 1
        self.number += 1
        self._sessions[client] = session
        if self._sweep is None:
            self._sweep = self.clock.callLater(self.limits.idle, self._expire)
        return session

    def _expire(self) -> None:
        """Forget who was silent for too long, and come again for the next."""
        self._sweep = None
        now = self.clock.seconds()
        while self._sessions:
            oldest = next(iter(self._sessions.values()))
            left = oldest.heard + self.limits.idle - now
            if left > 0:
                self._sweep = self.clock.callLater(left, self._expire)
                return
            del self._sessions[oldest.client]
            oldest.close()


class _Listener(DatagramProtocol):
    """Where clients send to."""

    transport: Any = None
    noisy = False

    def __init__(self, relay: DatagramRelay) -> None:
        self._relay = relay

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """A client sends; what else an IPv6 address has is kept for the reply."""
        self._relay.received_from(addr, [datagram])

    def datagramsReceived(self, datagrams: list[bytes], addr: Any) -> None:
        """A client sends several at once."""
        self._relay.received_from(addr, datagrams)

    def stopProtocol(self) -> None:
        """The port is closed."""
        self.transport = None
        self._relay.drop()
