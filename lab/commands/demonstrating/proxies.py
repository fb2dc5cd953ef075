"""The proxy of ``lab demo``, told what to do through its API."""

from collections.abc import Iterable, Mapping

from attrs import frozen
from prometheus_client.parser import text_string_to_metric_families

from lab.commands.api import Api
from lab.commands.demonstrating.scene import Link, Toxic
from lab.commands.proxying import reading

_HITS = "lab_proxy_fault_hits_total"


@frozen
class Proxies:
    """
    The proxies that links are.

    Args:
        api: Asks it.
    """

    _api: Api

    async def make(
        self, links: Iterable[Link], upstreams: Mapping[tuple[int, str, str], str]
    ) -> dict[str, str]:
        """
        Make a proxy for each link, with its toxics.

        Args:
            links: All.
            upstreams: The client's endpoint of each service of each server: by the server's
                number, the service and the protocol.

        Returns:
            The client's endpoint of each proxy, by its name.

        Raises:
            LabError: It can't be.
        """
        links = list(links)
        wanted = [
            {
                "name": link.name,
                "listen": "127.0.0.1:0",
                "upstream": _address(upstreams[link.server, link.service, link.protocol]),
                "protocol": link.protocol,
                "toxics": [toxic.as_json() for toxic in link.toxics],
            }
            for link in links
        ]
        found = await self._api.call("POST", "populate", body=wanted)
        with reading():
            listens = {made["name"]: made["listen"] for made in found["proxies"]}
            return {link.name: f"{link.protocol}:{listens[link.name]}" for link in links}

    async def add(self, link: str, toxic: Toxic) -> None:
        """See `lab.commands.demonstrating.scene.Controls`; and so with the others."""
        await self._api.call("POST", "proxies", link, "toxics", body=toxic.as_json())

    async def remove(self, link: str, toxic: Toxic) -> None:
        """See there."""
        await self._api.call("DELETE", "proxies", link, "toxics", toxic.name)

    async def enable(self, link: str, *, on: bool) -> None:
        """See there."""
        await self._api.call("POST", "proxies", link, body={"enabled": on})

    async def hits(self, link: str) -> dict[str, int]:
        """See there."""
        with reading():
            return _hits(await self._api.text("metrics"), link)


def _address(endpoint: str) -> str:
    """
    The address of an endpoint.

    >>> _address("udp:127.0.0.1:4001")
    '127.0.0.1:4001'
    """
    return endpoint.partition(":")[2]


def _hits(metrics: str, link: str) -> dict[str, int]:
    """What the metrics say of the faults of a proxy."""
    return {
        sample.labels["fault"]: int(sample.value)
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == _HITS and sample.labels["proxy"] == link
    }
