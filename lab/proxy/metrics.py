"""
What the proxies count, as Prometheus reads it.

The counters of bytes have Toxiproxy's names and labels; there, they move when a connection ends,
and here with every byte.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from operator import attrgetter

from attrs import define
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lab.proxy.registry import Counters, Labels

#: What the text is, for a header.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: What relays of datagrams count besides.
_SPECIAL = {
    "icmp_refusals": "Messages that nobody listens at the upstream.",
    "overflowed": "Datagrams dropped because too much was under way.",
    "unsent": "Datagrams that the system did not take.",
}
_PLACE = ("proxy", "listener", "upstream")


@define(eq=False)
class ProxyCollector(Collector):
    """
    The metrics of proxies, collected when they are asked for.

    Args:
        counters: Gives what has been counted; `lab.proxy.registry.Registry.counters`.
        seed: By which faults decide, if it is known.
    """

    _counters: Callable[[], Iterable[tuple[Labels, Counters]]]
    _seed: int | None = None

    def collect(self) -> Iterator[Metric]:
        """All metrics."""
        counted = list(self._counters())
        yield _info(self._seed)
        for name in ("received", "sent"):
            yield _bytes(name, counted)
        yield _connections(counted)
        for name, told in (
            ("accepted", "Connections that were accepted."),
            ("refused", "Connections that the upstream did not take."),
        ):
            yield _numbers(name, told, counted)
        yield _hits(counted)
        for name, told in _SPECIAL.items():
            yield _special(name, told, counted)


def metrics_text(
    counters: Callable[[], Iterable[tuple[Labels, Counters]]], seed: int | None = None
) -> bytes:
    """
    The metrics of proxies, in the text format of Prometheus.

    Args:
        counters: See `ProxyCollector`.
        seed: Likewise.
    """
    registry = CollectorRegistry()
    registry.register(ProxyCollector(counters, seed))
    return generate_latest(registry)


@cache
def own_version() -> str:
    """The version of txlab; that of a checkout that nobody has installed is unknown."""
    try:
        return version("txlab")
    except PackageNotFoundError:
        return "unknown"


def _info(seed: int | None) -> Metric:
    """Which proxy this is: 1, with what is to be known in labels."""
    family = GaugeMetricFamily(
        "lab_proxy_info", "Version, and the seed of faults.", labels=("version", "seed")
    )
    family.add_metric((own_version(), "" if seed is None else str(seed)), 1)
    return family


def _bytes(name: str, counted: list[tuple[Labels, Counters]]) -> Metric:
    """Bytes by direction."""
    family = CounterMetricFamily(
        f"toxiproxy_proxy_{name}_bytes", f"Bytes {name}.", labels=("direction", *_PLACE)
    )
    by_direction = attrgetter(name)
    for labels, counters in counted:
        for direction in ("downstream", "upstream"):
            number = by_direction(counters).get(direction, 0)
            family.add_metric((direction, *_place(labels)), number)
    return family


def _connections(counted: list[tuple[Labels, Counters]]) -> Metric:
    """How many there are."""
    family = GaugeMetricFamily("lab_proxy_connections", "Open connections.", labels=_PLACE)
    for labels, counters in counted:
        family.add_metric(_place(labels), counters.connections)
    return family


def _numbers(name: str, told: str, counted: list[tuple[Labels, Counters]]) -> Metric:
    """One number of each proxy."""
    family = CounterMetricFamily(f"lab_proxy_{name}", told, labels=_PLACE)
    number = attrgetter(name)
    for labels, counters in counted:
        family.add_metric(_place(labels), number(counters))
    return family


def _hits(counted: list[tuple[Labels, Counters]]) -> Metric:
    """What faults have done."""
    family = CounterMetricFamily(
        "lab_proxy_fault_hits", "What faults have done.", labels=("fault", *_PLACE)
    )
    for labels, counters in counted:
        for fault, number in counters.hits.items():
            family.add_metric((fault, *_place(labels)), number)
    return family


def _special(name: str, told: str, counted: list[tuple[Labels, Counters]]) -> Metric:
    """One number of each proxy that has it."""
    family = CounterMetricFamily(f"lab_proxy_{name}", told, labels=_PLACE)
    for labels, counters in counted:
        if name in counters.special:
            family.add_metric(_place(labels), counters.special[name])
    return family


def _place(labels: Labels) -> tuple[str, str, str]:
    """Labels in the order of `_PLACE`."""
    return labels.proxy, labels.listener, labels.upstream
