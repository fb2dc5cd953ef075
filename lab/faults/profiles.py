"""
Links as people have them, by name: figures that somebody has published, and where.

A rate is that of the link: all connections have it together. It is rounded to whole KB/s (1 KB is
1,000 bytes), and a latency to whole milliseconds, as the API of the proxy has them. A latency of
which no more is said is taken for the round trip. No source says anything of jitter, and but one
nothing of loss; what is not said is not there.
"""

from collections.abc import Iterator, Sequence

from attrs import frozen

from lab.errors import LocalError
from lab.faults.datagrams import Bandwidth, Latency, Loss, Settings
from lab.faults.fault import DIRECTIONS, Fault


@frozen
class Profile:
    """
    A link.

    Args:
        name: What it is called.
        down: To the client, in bytes/s.
        up: From the client, in bytes/s.
        round_trip: There and back on the empty link, in seconds; each way takes half of it.
        loss: The share of segments, or datagrams, that is lost in each direction, 0 to 1.
        source: Who has said so, and when.
        url: Where.
    """

    name: str
    down: float
    up: float
    round_trip: float
    loss: float
    source: str
    url: str

    def faults(self, protocol: str = "tcp", directions: Sequence[str] = DIRECTIONS) -> list[Fault]:
        """
        What makes a link like that.

        Args:
            protocol: ``tcp`` or ``udp``. What is lost of a stream comes later, by a
                retransmission. Datagrams find a queue of `QUEUE`; a stream waits.
            directions: ``upstream`` is from client to server; on a link of the simulator, which
                is one direction, give one.

        Returns:
            Faults named ``NAME_TYPE_DIRECTION``.

        Raises:
            LocalError: Another protocol.

        >>> [fault.name for fault in profile("3g").faults("tcp", ["upstream"])]
        ['3g_bandwidth_upstream', '3g_latency_upstream']
        """
        if protocol not in {"tcp", "udp"}:
            raise LocalError(f"protocol is {protocol!r}; give tcp or udp")
        packets = QUEUE if protocol == "udp" else 0
        return [
            Fault(settings, f"{self.name}_{kind}_{direction}", direction)
            for direction in directions
            for kind, settings in self._settings(up=direction == "upstream", packets=packets)
        ]

    def _settings(self, *, up: bool, packets: int) -> Iterator[tuple[str, Settings]]:
        """What is wrong with one direction, in order, by its type."""
        rate = self.up if up else self.down
        yield "bandwidth", Bandwidth(rate, packets=packets, scope="proxy")
        # Of an odd number of milliseconds the longer half is on the way up.
        ms = round(self.round_trip * 1000)
        yield "latency", Latency((ms + 1 if up else ms) // 2 / 1000)
        if self.loss:
            yield "loss", Loss(self.loss)


#: Datagrams that wait at most in each direction. No source has a queue, and a link whose queue
#: never ends is none: so it is that of dummynet, ipfw(8), if nothing is said there.
QUEUE = 50

_GITHUB, _COMMIT = "https://github.com", "a7cf6a7742c9e93cf0c06ee6b58a608adb223f20"
_WEBPAGETEST = (
    "WebPageTest, connectivity.ini.sample, read 2026",
    f"{_GITHUB}/WPO-Foundation/webpagetest/blob/{_COMMIT}/www/settings/connectivity.ini.sample",
)
_FIREFOX = (
    "Firefox, throttling in its developer tools, read 2026",
    f"{_GITHUB}/mozilla-firefox/firefox/tree/main/devtools/docs/user/network_monitor/throttling",
)
_COMCAST = ("Comcast (the tool), README, good dial-up, read 2026", f"{_GITHUB}/tylertreat/comcast")
_MOBILE_5G = (
    "Ookla, medians of 5G, United Kingdom, 2nd half of 2024",
    "https://5g.co.uk/news/latest-5g-speedtests-three-wins-again/5554",
)
_SATELLITES = "https://www.ookla.com/articles/starlink-hughesnet-viasat-performance-q2-2021"
_STARLINK = ("Ookla, medians of Starlink, United States, 2nd quarter of 2021", _SATELLITES)
_HUGHESNET = ("Ookla, medians of HughesNet, United States, 2nd quarter of 2021", _SATELLITES)


def _of(
    name: str, down: int, up: int, ms: int, source: tuple[str, str], loss: float = 0.0
) -> Profile:
    """A link, from its rates in KB/s and its round trip in milliseconds."""
    return Profile(name, down * 1000.0, up * 1000.0, ms / 1000, loss, *source)


_ALL = (
    _of("dialup", 5, 5, 185, _COMCAST, loss=0.02),
    _of("edge", 30, 25, 840, _WEBPAGETEST),
    _of("2g", 35, 32, 800, _WEBPAGETEST),
    _of("3g", 200, 96, 300, _WEBPAGETEST),
    _of("4g", 1125, 1125, 170, _WEBPAGETEST),
    _of("lte", 1500, 1500, 70, _WEBPAGETEST),
    _of("5g", 13_884, 1390, 31, _MOBILE_5G),
    _of("dsl", 188, 48, 50, _WEBPAGETEST),
    _of("cable", 625, 125, 28, _WEBPAGETEST),
    _of("fiber", 2500, 625, 4, _WEBPAGETEST),  # its word is FIOS
    _of("wifi", 3750, 1875, 2, _FIREFOX),
    _of("leo", 12_154, 1736, 45, _STARLINK),
    _of("satellite", 2466, 304, 724, _HUGHESNET),
)
#: All that there are, by name: telephone, mobile, wired, in the house, by satellite.
PROFILES: dict[str, Profile] = {one.name: one for one in _ALL}


def profile(name: str) -> Profile:
    """
    The link of that name.

    Raises:
        LocalError: There is none; the text says which there are.

    >>> profile("satellite").round_trip
    0.724
    """
    found = PROFILES.get(name)
    if found is None:
        raise LocalError(f"profile is {name!r}; give one of {', '.join(PROFILES)}")
    return found
