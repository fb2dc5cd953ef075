"""The scenes of arithmetic, on a simulated network."""

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lab.arithmetic.asking import Answer
from lab.arithmetic.numbers import OPERATORS, evaluate
from lab.arithmetic.tcp import ArithmeticFactory
from lab.arithmetic.udp import ArithmeticDatagramProtocol
from lab.arithmetic.wire import Reply, Request
from lab.commands.demonstrating.arithmetic import Arithmetic, questions
from lab.faults.datagrams import Loss
from lab.faults.fault import Fault
from lab.rng import stream
from lab.simulator import simulate
from lab.simulator.network import Network
from tests.commands.demonstrating.play import play, world

PLACES = {"arithmetic_tcp": "tcp:server:80", "arithmetic_udp": "udp:server:81"}


def serve(net: Network) -> None:
    """A server."""

    def start(reactor: Any, disk: dict[str, Any]) -> None:
        """Start it."""
        TCP4ServerEndpoint(reactor, 80).listen(ArithmeticFactory(reactor))
        reactor.listenUDP(81, ArithmeticDatagramProtocol(reactor))

    net.host("server").start(start)


class ArithmeticTests(SynchronousTestCase):
    """Questions and answers."""

    def test_right(self) -> None:
        """All answers are right, over both protocols; each is a step."""
        for protocol in ("tcp", "udp"):
            with simulate(7) as net:
                serve(net)
                scene = Arithmetic(protocol, 50)
                steps: list[int] = []
                scene.step = lambda scene=scene, steps=steps: steps.append(scene.done)  # type: ignore[misc]
                play(net, scene, world(net, **PLACES))
            self.assertEqual((scene.wrong, steps), ([], list(range(1, 51))))
            self.assertRegex(scene.arrived, r"^50 right answers, .+ \(median\), .+ \(p99\)")
            self.assertEqual(scene.arrived.endswith("; 0 asked again"), protocol == "udp")
            self.assertEqual(scene.links[0].name, f"arithmetic-{protocol}")
            result: Any = scene.result
            self.assertEqual(result.cell, {"transport": protocol.upper()})
            self.assertEqual(result.measures["latency"].count, 50)

    def test_loss(self) -> None:
        """Where much is lost, much is asked again; all answers come all the same."""
        with simulate(7) as net:
            serve(net)
            net.link("client", "server", Fault(Loss(0.2), "up"))
            net.link("server", "client", Fault(Loss(0.2), "down"))
            scene: Any = play(net, Arithmetic("udp", 100), world(net, **PLACES))
        self.assertEqual((scene.wrong, scene.answered), ([], 100))
        self.assertGreater(scene.again, 30)
        self.assertIn(f"{scene.again} asked again", scene.arrived)

    def test_nobody_there(self) -> None:
        """Without a server nothing is right; that is told once, and counted."""
        with simulate(7) as net:
            net.host("server")
            scene: Any = play(net, Arithmetic("tcp", 30), world(net, **PLACES))
        self.assertEqual((scene.answered, scene.done), (0, 30))
        first, last = scene.wrong
        self.assertIn("no connection", first)
        self.assertEqual(last, "30 without a right answer")

    def test_wrong_answer(self) -> None:
        """An answer that is not what Python computes is wrong; times are those of right ones."""
        scene = Arithmetic("tcp", 3)
        scene.heard(Answer(Reply(200, 3.5), 1, 0.25), Request("/", 7, 2))
        scene.heard(Answer(Reply(200, 3), 1, 9.0), Request("/", 7, 2))
        scene.heard(Answer(Reply(300), 1, 9.0), Request("-", 1, 2))
        self.assertEqual(scene.wrong, ["the answer to /,7,2 is not 200,3"])
        self.assertEqual((scene.answered, scene.latency.count, scene.latency.most), (1, 1, 0.25))

    def test_bug_is_no_missing_answer(self) -> None:
        """What is no error of the laboratory's goes on."""
        error = Failure(ZeroDivisionError())
        self.assertRaises(ZeroDivisionError, Arithmetic("tcp", 1).failed, error)

    def test_cancelled(self) -> None:
        """Who is interrupted leaves nothing behind."""
        with simulate(7) as net:
            net.host("server")
            there = world(net, **PLACES)
            playing = Deferred.fromCoroutine(Arithmetic("udp", 30).play(there))
            playing.cancel()
            self.assertRaises(CancelledError, net.run_until, playing, 10)
            self.assertEqual(there.reactor.getDelayedCalls(), [])

    def test_questions(self) -> None:
        """A seed gives the same questions again; all have an answer, and all operators occur."""
        asked = questions(stream(7, "demo", "tcp"), 500)
        self.assertEqual(asked, questions(stream(7, "demo", "tcp"), 500))
        self.assertNotEqual(asked, questions(stream(7, "demo", "udp"), 500))
        self.assertEqual({request.operator for request in asked}, set(OPERATORS))
        for request in asked:
            evaluate(request.operator, request.left, request.right)
