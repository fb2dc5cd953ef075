"""Packets one by one."""

from twisted.trial.unittest import SynchronousTestCase

from lab.echo.figures import Packet
from lab.echo.kept import Kept


def kept(*packets: Packet) -> Kept:
    """These."""
    found = Kept()
    for packet in packets:
        found.add(packet)
    return found


class KeptTests(SynchronousTestCase):
    """All packets of a stream, lost ones too."""

    def test_between(self) -> None:
        """Who was lost left between its neighbours, and times and delays count from 0."""
        found = kept(Packet(3, 13.0, 7.5), Packet(0, 10.0, 7.0, extent=2, late=True))
        self.assertEqual(
            found.all(4, step=99.0),
            [
                Packet(0, 0.0, 0.0, extent=2, late=True),
                Packet(1, 1.0, None, copies=0),
                Packet(2, 2.0, None, copies=0),
                Packet(3, 3.0, 0.5),
            ],
        )

    def test_ends(self) -> None:
        """At the ends the plan says when."""
        found = kept(Packet(1, 5.0, 0.0)).all(4, step=0.5)
        self.assertEqual([packet.sent for packet in found], [0.0, 0.5, 1.0, 1.5])
        self.assertEqual([packet.copies for packet in found], [0, 1, 0, 0])

    def test_nothing_came(self) -> None:
        """All are lost, and left by the plan."""
        found = Kept().all(3, step=0.1)
        self.assertEqual([packet.sent for packet in found], [0.0, 0.1, 0.2])
        self.assertEqual(Kept().all(0, step=0.1), [])

    def test_again(self) -> None:
        """Copies are counted."""
        found = kept(Packet(0, 0.0, 0.0))
        found.again(0)
        found.again(0)
        self.assertEqual(found.all(1, step=0.0), [Packet(0, 0.0, 0.0, copies=3)])
