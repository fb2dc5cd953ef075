"""The verbs of a core, and the cores that have them."""

from attrs.exceptions import FrozenInstanceError
from twisted.trial.unittest import SynchronousTestCase

from lab.arithmetic.client import ArithmeticClientCore
from lab.arithmetic.server import ArithmeticServerCore
from lab.arithmetic.settings import ClientSettings, ServerSettings
from lab.core import BatchCore, Body, Core, Datagrams, Finished, PromptCore, Series
from lab.echo.server import EchoServerCore
from lab.echo.settings import ServerSettings as EchoSettings
from lab.rng import stream
from lab.wire.tokens import ProvedCore, Tokens


def cores() -> list[Core]:
    """One of each, with a way to its peer."""
    client = ArithmeticClientCore(ClientSettings(), "a", stream(7))
    client.open(0.0)
    client.ask(b"+,1,1", 0.0)
    server = ArithmeticServerCore(ServerSettings(), 0.0)
    behind = ArithmeticServerCore(ServerSettings(), 0.0)
    return [client, server, ProvedCore(behind, "peer", Tokens(b"k" * 16))]


class Bounds:
    """A body that gives the numbers below one."""

    def __init__(self, below: int) -> None:
        self.left = list(range(below))

    def read(self, size: int, now: float) -> bytes:
        """As many as there are."""
        given, self.left = self.left[:size], self.left[size:]
        return bytes(given)


class VerbTests(SynchronousTestCase):
    """What holds for every core."""

    def test_given_once(self) -> None:
        """Messages and events are given once, and what is given is the caller's to keep."""
        for core in cores():
            core.message(b"*" * 5000, 1.0)
            out, events = core.outgoing(), core.events()
            self.assertTrue(out, core)
            self.assertTrue(events, core)
            kept = list(out), list(events)
            self.assertEqual((core.outgoing(), core.events()), ([], []))
            core.message(b"*" * 5000, 1.0)
            self.assertEqual((out, events), kept)

    def test_tick_before_the_deadline(self) -> None:
        """A tick leaves a deadline that lies ahead, or none."""
        for core in cores():
            deadline = core.deadline()
            self.assertIsNotNone(deadline)
            core.tick(deadline)
            later = core.deadline()
            self.assertTrue(later is None or later > deadline, core)

    def test_batches(self) -> None:
        """A core that takes batches can be told from one that doesn't."""
        client, server, proved = cores()
        self.assertIsInstance(server, BatchCore)
        self.assertIsInstance(server, PromptCore)
        self.assertNotIsInstance(client, BatchCore)
        self.assertNotIsInstance(proved, BatchCore)

    def test_busy(self) -> None:
        """A core whose answers take time can be told, and its body is nobody's class."""
        core = EchoServerCore(EchoSettings(), 0.0)
        self.assertIsInstance(core, BatchCore)
        bodies: list[Body] = [core, Bounds(3)]
        self.assertFalse(core.busy())
        core.message(b"5", 0.0)
        self.assertTrue(core.busy())
        self.assertEqual([body.read(100, 0.0)[:2] for body in bodies], [b"00", b"\0\1"])


class DatagramsTests(SynchronousTestCase):
    """Datagrams that leave together."""

    def test_parts(self) -> None:
        """They are there one by one and all together, as often as they are asked for."""
        both = Datagrams(lambda begin, end: memoryview(b"onetwo")[3 * begin : 3 * end], 2, 3)
        for _ in range(2):
            self.assertEqual((list(both), bytes(both), len(both)), ([b"one", b"two"], b"onetwo", 2))


class FinishedTests(SynchronousTestCase):
    """The event that ends a connection."""

    def test_value(self) -> None:
        """It is a value: equal to its like, and not to be changed."""
        self.assertEqual(Finished("idle"), Finished("idle"))
        self.assertNotEqual(Finished("idle"), Finished("too long"))
        with self.assertRaises(FrozenInstanceError):
            Finished("idle").reason = "other"  # type: ignore[misc]


class SeriesTests(SynchronousTestCase):
    """Lines at regular times."""

    def test_take(self) -> None:
        """The next comes, and those behind it whose time has come; what was not sent goes back."""
        series = Series(10.0, 0.5, lines=[b"c\n", b"b\n", b"a\n"])
        self.assertEqual(series.due(), 10.0)
        self.assertEqual((series.take(10.0), series.due(), series.done), (b"a\n", 10.5, 1))
        self.assertEqual((series.take(11.0), series.due(), series.done), (b"b\nc\n", 11.5, 3))
        series.give_back(b"\n")
        self.assertEqual((series.lines, series.due()), ([b"\n"], 11.0))
        self.assertEqual(series.take(99.0), b"\n")
