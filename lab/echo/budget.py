"""How much of an echo server its peers may have: streams at a time, and bytes a second."""

from attrs import define, field

from lab.budget import AGAIN, Places, Rates
from lab.echo.settings import ServerSettings


@define(eq=False)
class Budget:
    """
    What all streams and files of a server share.

    Args:
        settings: Its limits.

    Attributes:
        share: Bytes that may be sent at once, by who has not to wait.
    """

    _settings: ServerSettings
    share: int = field(init=False)
    _places: Places = field(init=False)
    _rates: Rates = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Nothing runs yet."""
        limits = self._settings
        self._places = Places(limits.streams, limits.total_streams, "streams")
        self._rates = Rates(limits.rate, limits.total_rate)
        self.share = self._rates.share

    @property
    def running(self) -> int:
        """Streams and files at present."""
        return self._places.taken

    def begin(self, address: str, now: float) -> tuple[float, str] | None:
        """
        Begin a stream or a file, if that may be.

        Returns:
            None: it has begun, and `end` is due. Or how long to wait, in seconds, and why.
        """
        limits, refusal = self._settings, self._places.refusal(address)
        if refusal is not None:
            return AGAIN, refusal
        # One alone waits by itself for what those before it have used up.
        if self._places.of(address) and (wait := self._rates.wait_of(address, now)):
            return wait, f"this address has its {limits.rate:.0f} bytes a second"
        if self.running and (wait := self._rates.wait_of_all(now)):
            return wait, f"all {limits.total_rate:.0f} bytes a second are in use"
        self._places.begin(address)
        return None

    def end(self, address: str) -> None:
        """A stream or a file has ended."""
        self._places.end(address)

    def wait(self, address: str, now: float) -> float:
        """How long not to send to an address, in seconds; 0 to send now."""
        return self._rates.wait(address, now)

    def spend(self, address: str, size: int, now: float) -> None:
        """So many bytes were sent to an address."""
        self._rates.spend(address, size, now)
