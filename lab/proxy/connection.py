"""
One relayed connection: a leg to the client, a leg to the upstream, and a pump each way.

How one leg ends is how the other ends. The end of one half is passed on as such, behind what is
due. A leg that breaks, by RST or because nobody answers any more, breaks the other at once: as a
real RST does, this destroys what is still on its way. A leg that was closed as a whole, which is
how TLS ends, closes the other behind what is due to it.
"""

from collections.abc import Sequence
from typing import Any
from typing import Protocol as Interface

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionClosed, ConnectionDone
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from lab.adapters.connecting import AddressEndpoint, Dialed
from lab.adapters.proxy_protocol import HeadedEndpoint
from lab.faults.fault import Fault
from lab.faults.journal import Place
from lab.faults.sharing import Lane
from lab.proxy.legs import LINGER, Leg
from lab.proxy.pump import Common, Pump
from lab.proxy.recording import Way


class Keeper(Interface):
    """The relay, as its connections know it."""

    #: Those in force, by direction.
    faults: dict[str, tuple[Fault, ...]]

    def connect(self) -> IStreamClientEndpoint:
        """Say where the upstream is."""

    def refuse(self, reason: Failure) -> None:
        """The upstream could not be connected."""

    def over(self, connection: "Connection") -> None:
        """Nothing is relayed any more."""

    def gone(self, connection: "Connection") -> None:
        """No transport is left."""


class _Upstream(Factory):
    """Gives a connection to the upstream its leg."""

    noisy = False

    def __init__(self, leg: Leg) -> None:
        self._leg = leg

    def buildProtocol(self, addr: Any) -> Leg:
        """The leg."""
        return self._leg

    def doStart(self) -> None:
        """There is nothing to begin or to end with."""

    doStop = doStart


class Connection:
    """
    A connection.

    Nothing is read from the client before the upstream is there: its bytes wait with the kernel,
    and faults begin for both directions at once. What has come until then is read in that very
    event, and costs none of its own.

    Args:
        keeper: Is asked for the upstream, and told what happens.
        common: What all pumps share.
        link: Name of the relay.
        number: Of the connection, from 0.
        way: To the upstream, or the connection there, where the keeper was asked already.
        since: When bytes began to be relayed, if they are already, in seconds.
    """

    _connecting: Deferred[Any] | None = None
    _begun = _over = False

    def __init__(
        self,
        keeper: Keeper,
        common: Common,
        link: str,
        number: int,
        way: Dialed | IStreamClientEndpoint | None = None,
        since: float | None = None,
    ) -> None:
        self._keeper, self._common = keeper, common
        self._way, self._since = way, since
        if common.capture is None:
            near = far = up = down = None
        else:
            near, far = common.capture.legs()
            up, down = Way(near, far, common.tally), Way(far, near, common.tally)
        client = self.client = Leg(common.clock, self, near)
        upstream = self.upstream = Leg(common.clock, self, far)
        #: By where bytes come from; none when both legs are gone.
        self._pumps = {
            client: Pump(common, (link, number, "upstream"), client, upstream, self, up),
            upstream: Pump(common, (link, number, "downstream"), upstream, client, self, down),
        }

    def follow(self, direction: str, faults: Sequence[Fault]) -> None:
        """Have these faults from now on."""
        if self._begun:
            self._pumps[self.client if direction == "upstream" else self.upstream].follow(faults)

    def close(self, patience: float, why: str = "") -> None:
        """
        End it with FIN on both legs, behind what was written to them; what is in links is lost.

        Args:
            patience: So long a peer may take to read what is due to it, in seconds.
            why: What a capture has to say of that.
        """
        self._end()
        for leg in (self.client, self.upstream):
            leg.finish(patience, why)

    def reset(self, why: str = "") -> None:
        """
        End it with RST on both legs.

        Args:
            why: What a capture has to say of that.
        """
        self._end()
        for leg in (self.client, self.upstream):
            leg.abort(why)

    # What legs say.

    def made(self, leg: Leg) -> None:
        """One leg is there; the first is the client's."""
        if leg is self.client:
            self._connect()
            return
        self._connecting = None  # there is nothing to give up any more
        if self._over:
            leg.finish(LINGER)
            return
        self._begun = True
        since, faults = self._since, self._keeper.faults
        if since is None:
            since = self._common.clock.seconds()
        for pump in self._pumps.values():
            pump.begin(faults[pump.direction], since)
        self.client.read_now()

    def ended(self, leg: Leg) -> None:
        """A peer sends no more."""
        if self._begun and not self._over:
            back = self._pumps[self.upstream if leg is self.client else self.client]
            self._pumps[leg].end()
            back.look()

    def lost(self, leg: Leg, reason: Failure) -> None:
        """A leg is gone."""
        if not self._over:
            self._lost(leg, reason)
        if self._pumps and not self.client.there and not self.upstream.there:
            self._end()
            self._pumps = {}  # each has us: so nothing is left for the collector of garbage
            self._keeper.gone(self)

    def _connect(self) -> None:
        """Connect the upstream; nothing is read before it is there."""
        try:
            connecting = self._begin(_Upstream(self.upstream))
        except Exception:  # noqa: BLE001 - whoever is asked for the upstream may fail
            self._refused(Failure())
            return
        if connecting is not self.upstream:  # it is a Deferred
            connecting.addErrback(self._refused)
            if not self._begun and not self._over:  # it may have been done at once
                self._connecting = connecting
                self.client.read(wanted=False)

    def _begin(self, factory: IProtocolFactory) -> Any:
        """Begin to connect; an endpoint that wants to know for whom is told."""
        way = self._keeper.connect() if self._way is None else self._way
        if isinstance(way, AddressEndpoint | Dialed):
            return way.begin(factory)
        if isinstance(way, HeadedEndpoint):
            client = self.client.transport
            return way.connect_for(factory, client.getPeer(), client.getHost())
        return way.connect(factory)

    def _lost(self, leg: Leg, reason: Failure) -> None:
        """A leg is gone, and nobody here has wanted that."""
        if not self._begun:
            self.close(LINGER)
        elif isinstance(reason.value, ConnectionDone):
            self._pumps[leg].end()
        elif leg is self.upstream and not reason.check(ConnectionClosed):
            self._refused(reason)  # TLS has not agreed to it
        else:
            self.reset()

    def lane(self, fault: Fault, place: Place, now: float) -> Lane:
        """A lane at a rate that connections have together; clients without an address are one."""
        client = getattr(self.client.transport.getPeer(), "host", "")
        return self._common.buckets.lane(fault, place, now, client)

    def _refused(self, reason: Failure) -> None:
        """The upstream could not be connected."""
        if not self._over:
            self._keeper.refuse(reason)
            self.close(LINGER, f"no upstream: {reason.getErrorMessage()}")

    def _end(self) -> None:
        """Relay nothing any more."""
        if self._over:
            return
        self._over = True
        for pump in self._pumps.values():
            pump.stop()
        if self._connecting is not None:
            self._connecting.cancel()
        self._keeper.over(self)
