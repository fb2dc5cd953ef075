"""What a capture has of a relay, for tests."""

from collections.abc import Callable

from lab.capture.packets import ACK, FIN, RST, SYN
from lab.capture.recorder import Capture
from lab.proxy.recording import Recording, RelayRecording
from tests.capture.blocks import blocks, packets
from tests.simulator.test_tapping import Seen

CLIENT, UPSTREAM = "relay-client", "relay-upstream"
#: Words for the flags of TCP that make a difference.
_WORDS = {SYN: "SYN", FIN: "FIN", RST: "RST"}


class Captured:
    """
    A capture in memory, of one relay.

    Args:
        seconds: Gives the time.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.file = bytearray()
        self.capture = Capture(self.file.extend, "a test")
        self.recording = Recording(self.capture, seconds)
        self.relay = RelayRecording(self.recording, "relay", "server:80")

    def sides(self) -> list[tuple[str, str]]:
        """The names and descriptions of the interfaces."""
        found = [dict(one.options(8)) for one in blocks(bytes(self.file)) if one.kind == 1]
        return [(options[2].decode(), options[3].decode()) for options in found]

    def seen(self, side: str, *, inbound: bool | None = None) -> list[Seen]:
        """The packets at one interface, of one way or both."""
        names = [name for name, _ in self.sides()]
        found = [Seen(packet) for packet in packets(bytes(self.file))]
        return [one for one in found if names[one.side] == side and inbound in {None, one.inbound}]

    def bytes(self, side: str, *, inbound: bool) -> bytes:
        """What was sent one way, of one connection."""
        return b"".join(one.data for one in self.seen(side, inbound=inbound))

    def ends(self, side: str) -> list[tuple[str, str]]:
        """Who has ended a connection at this interface how, and the comment of that."""
        return [
            (f"{_WORDS[flag]} {'in' if one.inbound else 'out'}", one.comment)
            for one in self.seen(side)
            for flag in (FIN, RST)
            if one.flags & flag
        ]

    def check(self, side: str) -> None:
        """Refuse packets of one connection that a network without flaws would not have."""
        seen = self.seen(side)
        assert [one.flags for one in seen[:3]] == [SYN, SYN | ACK, ACK], seen[:3]
        asked = seen[0].inbound
        assert [one.inbound for one in seen[:3]] == [asked, not asked, asked]
        sent = {True: seen[0].seq + 1, False: seen[0].seq + 1}
        acked = dict(sent)
        over = False
        for one in seen[3:]:
            assert not over, "something comes behind RST"
            assert one.flags & ACK
            assert one.seq == sent[one.inbound]
            sent[one.inbound] += len(one.data) + bool(one.flags & FIN)
            assert acked[not one.inbound] <= one.ack <= sent[not one.inbound]
            news = one.data or one.flags & (FIN | RST) or one.ack > acked[not one.inbound]
            assert news or "dropped" in one.comment
            acked[not one.inbound] = one.ack
            over = bool(one.flags & RST)
        assert over or acked == sent, "not all is acknowledged"
