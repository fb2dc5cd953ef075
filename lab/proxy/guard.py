"""
Who may ask the API: what stands between it and the pages that people's browsers show them.

Toxiproxy refuses every browser, by the name that it gives itself. Here a page that the API's own
server has sent may ask it. A name in DNS that an attacker lets point at this machine is no such
server, so the name by which it was asked has to be one of its own.
"""

import hmac
from collections.abc import Collection, Mapping, Sequence
from urllib.parse import urlsplit

from attrs import field, frozen

#: Names by which the API is asked on its own machine.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
#: Methods that change nothing: their answers can't be read by foreign pages anyway.
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@frozen
class Guard:
    """
    Decides about requests.

    Args:
        token: Who carries it may ask, and nobody else; empty: there is none.
        hosts: Names by which the API may be asked, besides `LOOPBACK` and the address at which
            the connection came in; in small letters.
    """

    token: str = field(default="", repr=False)
    hosts: Collection[str] = ()

    def carries(self, headers: Mapping[str, Sequence[str]]) -> bool:
        """Whether a request carries the token. How long that takes says nothing about it."""
        if not self.token:
            return False
        expected = f"Bearer {self.token}".encode()
        return any(
            hmac.compare_digest(given.encode("latin-1", "replace"), expected)
            for given in headers.get("authorization", ())
        )

    def refusal(
        self, method: str, headers: Mapping[str, Sequence[str]], here: str
    ) -> tuple[int, str] | None:
        """
        Why a request is refused, whatever it is for.

        Args:
            method: In capital letters.
            headers: By their names in small letters.
            here: The address at which its connection came in.

        Returns:
            Status and text, or None if it is not.
        """
        if self.carries(headers):
            return None
        if self.token:
            return 401, "Token required"
        if not all(self._known(host, here) for host in headers.get("host", ())):
            return 403, "Host not allowed"
        own = {f"{scheme}://{host}" for scheme in ("http", "https") for host in _hosts(headers)}
        if method not in SAFE and not own.issuperset(map(str.lower, headers.get("origin", ()))):
            return 403, "Origin not allowed"
        return None

    def refuses_browser(self, headers: Mapping[str, Sequence[str]]) -> bool:
        """Whether this is a browser that shows a page of somebody else."""
        if not any(agent.startswith("Mozilla/") for agent in headers.get("user-agent", ())):
            return False
        own = [one in {"same-origin", "none"} for one in headers.get("sec-fetch-site", ())]
        return not (self.carries(headers) or (own and all(own) and headers.get("host")))

    def _known(self, host: str, here: str) -> bool:
        """Whether a Host header names this server; its port does not matter."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        # A socket for both families shows addresses of IPv4 in the form of IPv6.
        return name in LOOPBACK or name in self.hosts or name == here.removeprefix("::ffff:")


def _hosts(headers: Mapping[str, Sequence[str]]) -> list[str]:
    """The Host headers, in small letters."""
    return [host.lower() for host in headers.get("host", ())]
