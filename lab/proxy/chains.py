"""
The faults of one relay by their names, and what each of them has really hit.

Knows neither ports nor tests. A relay forgets the hits of a fault that is taken away; here they are
kept, because that is when a test asks for them.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain, count
from typing import Protocol as Interface

from lab.errors import LocalError
from lab.faults.datagrams import Blackhole, Settings
from lab.faults.fault import DIRECTIONS, Fault
from lab.faults.schema import DATAGRAMS, STREAMS
from lab.faults.streams import Partition


class Target(Interface):
    """A relay, as its faults see it."""

    @property
    def hits(self) -> Mapping[str, int]:
        """How often each fault in force has done something, by its name."""

    def set_faults(self, upstream: Sequence[Fault], downstream: Sequence[Fault]) -> None:
        """Have these from now on."""


class Chain:
    """
    The faults of a relay.

    Args:
        relay: Has them.
        owner: The name of the proxy, for errors.
        protocol: ``tcp`` or ``udp``; they have other faults.
    """

    def __init__(self, relay: Target, owner: str, protocol: str) -> None:
        self._relay, self._owner, self._protocol = relay, owner, protocol
        #: Those in force; one of both directions is two.
        self._made: dict[str, tuple[Fault, ...]] = {}
        #: Hits of those that are gone; there is a 0 for each that has not gone yet.
        self._past: dict[str, int] = {}
        self._cut = ""

    def __contains__(self, name: object) -> bool:
        """Whether there is one of that name now."""
        return name in self._made

    def faults(self, *streams: str) -> Iterator[Fault]:
        """Those in force, of these directions or of all; one of both directions is two."""
        for made in self._made.values():
            yield from (fault for fault in made if fault.stream in (streams or DIRECTIONS))

    def hits(self) -> dict[str, int]:
        """How often each that there ever was has done something, by its name."""
        return {name: hits + self._relay.hits.get(name, 0) for name, hits in self._past.items()}

    def add(
        self,
        settings: Settings,
        name: str | None,
        stream: str,
        toxicity: float = 1.0,
        times: Mapping[str, float] | None = None,
    ) -> str:
        """
        Have one more, behind the others.

        Args:
            settings: What it is.
            name: Unlike that of others; None for its type, with a number if that is taken.
            stream: ``upstream``, ``downstream`` or ``both``.
            toxicity: The share of connections that it works on, 0 to 1.
            times: ``after``, ``duration`` and ``every`` of a `Fault`, in seconds.

        Returns:
            Its name.

        Raises:
            LocalError: The name is taken, or something can't be; then all is as before.
        """
        kind = self._kind(settings)
        if name in self._made:
            raise LocalError(f"{self._owner} has a fault {name!r}; give another name")
        chosen = name or self._free(kind)
        streams = DIRECTIONS if stream == "both" else (stream,)
        made = tuple(Fault(settings, chosen, one, toxicity, **times or {}) for one in streams)
        self._give({**self._made, chosen: made})
        return chosen

    def remove(self, name: str) -> None:
        """
        Take one away.

        Raises:
            LocalError: There is none of that name.
        """
        if name not in self._made:
            raise self.unknown(name, self._made)
        self._give({other: made for other, made in self._made.items() if other != name})

    def cut(self) -> str:
        """Let nothing pass; if it does not already."""
        if self._cut not in self._made:
            settings = Blackhole() if self._protocol == "udp" else Partition()
            self._cut = self.add(settings, self._free("partition"), "both")
        return self._cut

    def heal(self) -> None:
        """End a cut."""
        if self._cut in self._made:
            self.remove(self._cut)

    def unknown(self, name: str, known: Collection[str]) -> LocalError:
        """There is no such fault."""
        there = f"give one of {', '.join(known)}" if known else "there is none"
        return LocalError(f"fault of {self._owner} is {name!r}; {there}")

    def _free(self, kind: str) -> str:
        """A name for one of this type."""
        names = chain([kind], (f"{kind}_{number}" for number in count(2)))
        return next(name for name in names if name not in self._made)

    def _kind(self, settings: Settings) -> str:
        """The type of a fault, if it is one of this protocol's."""
        kinds = DATAGRAMS if self._protocol == "udp" else STREAMS
        for name, kind in kinds.items():
            if kind.settings is type(settings):
                return name
        known = ", ".join(sorted(kind.settings.__name__ for kind in kinds.values()))
        raise LocalError(f"fault of {self._protocol} is {settings!r}; give one of {known}")

    def _give(self, made: dict[str, tuple[Fault, ...]]) -> None:
        """Have these, unless the relay refuses them."""
        before, self._made = self._made, made
        hits = dict(self._relay.hits)
        try:
            self._relay.set_faults([*self.faults("upstream")], [*self.faults("downstream")])
        except LocalError:
            self._made = before
            raise
        for name in made:
            self._past.setdefault(name, 0)
        for name in before.keys() - made.keys():
            self._past[name] += hits.get(name, 0)
