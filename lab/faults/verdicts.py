"""
What becomes of a unit, a datagram or a chunk of a stream, and how that is done to its bytes.

A verdict holds no bytes: it can be written down, and carried out again on the same unit later.
"""

from typing import Any

from attrs import field, frozen

from lab.errors import LocalError, shortened


@frozen
class Verdict:
    """
    What a fault does to one unit.

    Args:
        delays: One for each copy that is delivered, in seconds; none: the unit is dropped.
        flips: Numbers of the bits that are inverted in each copy; bit 0 is the highest of the
            first byte.
        held: The unit waits until so many later ones have passed.
        draw: The random number that decided, if it was one.
        cut: So many bytes of the unit pass, and then its connection is reset; None: it is not.
    """

    delays: tuple[float, ...] = (0.0,)
    flips: tuple[int, ...] = ()
    held: int = 0
    draw: float | None = field(default=None, eq=False)
    cut: int | None = None

    @property
    def kind(self) -> str:
        """One word: deliver, drop, hold, corrupt, duplicate, delay or cut."""
        if self.cut is not None:
            return "cut"
        if self.held:
            return "hold"
        if self.flips:
            return "corrupt"
        if len(self.delays) != 1:
            return "duplicate" if self.delays else "drop"
        return "delay" if self.delays[0] else "deliver"

    def apply(self, data: bytes) -> list[tuple[float, bytes]]:
        """The copies that are delivered, each with its delay in seconds; a cut is not made here."""
        changed = flip(data, self.flips) if self.flips else data
        return [(delay, changed) for delay in self.delays]

    def as_json(self) -> dict[str, Any]:
        """As values that JSON has; times in seconds."""
        found: dict[str, Any] = {"verdict": self.kind}
        if self.cut is not None:
            found["cut"] = self.cut
        if self.held:
            found["held"] = self.held
        if self.flips:
            found["flips"] = list(self.flips)
        if self.delays and self.delays != (0.0,):
            found["delays"] = list(self.delays)
        if self.draw is not None:
            found["draw"] = self.draw
        return found

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Verdict":
        """
        Read what `as_json` gave.

        Raises:
            LocalError: Something else.
        """
        try:
            if values["verdict"] == "drop":
                return cls((), draw=values.get("draw"))
            delays = tuple(map(_delay, values.get("delays", (0.0,))))
            flips = tuple(map(_count, values.get("flips", ())))
            held, cut = _count(values.get("held", 0)), values.get("cut")
            cut = None if cut is None else _count(cut)
            verdict = cls(delays, flips, held, values.get("draw"), cut)
        except (KeyError, TypeError, ValueError) as error:
            shown = shortened(str(values))
            raise LocalError(f"verdict is {shown}; give one that was recorded") from error
        if verdict.kind != values["verdict"]:
            shown, kind = shortened(str(values)), shortened(str(values["verdict"]))
            raise LocalError(f"verdict is {shown}; that is no {kind}")
        return verdict


#: Nothing happens to the unit.
DELIVER = Verdict()
#: It is gone.
DROP = Verdict(())


def flip(data: bytes, bits: tuple[int, ...]) -> bytes:
    r"""
    Invert bits; numbers beyond the end are passed over.

    >>> flip(b"aaa", (7, 8))
    b'`\xe1a'
    """
    changed = bytearray(data)
    for bit in bits:
        if bit < 8 * len(changed):
            changed[bit // 8] ^= 0x80 >> bit % 8
    return bytes(changed)


def _delay(value: Any) -> float:
    """A time, in seconds."""
    delay = float(value)
    if not 0 <= delay < float("inf"):
        raise ValueError(value)
    return delay


def _count(value: Any) -> int:
    """A number of bits, bytes or units."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(value)
    return value
