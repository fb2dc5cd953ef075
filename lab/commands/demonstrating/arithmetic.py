"""The scenes of the arithmetic service: each answer is compared with what Python computes."""

from twisted.internet.defer import Deferred, DeferredSemaphore, FirstError, gatherResults
from twisted.python.failure import Failure

from lab.arithmetic import wire
from lab.arithmetic.asking import Answer, Asking
from lab.arithmetic.numbers import OPERATORS, evaluate
from lab.arithmetic.settings import ClientSettings
from lab.arithmetic.wire import Request
from lab.backoff import Backoff
from lab.commands.asking import make_client
from lab.commands.demonstrating.scene import Link, Scene, Toxic, World
from lab.errors import LabError
from lab.experiments.results import Measure, Result
from lab.rng import Random, stream
from lab.statistics import Histogram
from lab.units import show_seconds

#: Datagrams that are lost, each way.
LOSS = 0.2
_LOST = {"probability": LOSS}
#: What is wrong with the network, by protocol.
TOXICS = {
    "tcp": (
        Toxic("latency", "downstream", "{} chunks delayed", {"latency": 20, "jitter": 5}),
        Toxic("slicer", "upstream", "{} cut in slices", {"average_size": 7, "size_variation": 3}),
    ),
    "udp": (
        Toxic("loss", "upstream", "{} questions lost", _LOST),
        Toxic("loss", "downstream", "{} answers lost", _LOST),
    ),
}
_NAMES = {"tcp": "arithmetic, TCP", "udp": f"arithmetic, UDP, {LOSS:.0%} loss"}
# 21 attempts: of a thousand questions, one run of two million loses one.
_PATIENT = Backoff(first=0.05, cap=2.0, factor=1.2)
_AT_ONCE = 20


class Arithmetic(Scene):
    """
    Questions and answers.

    Args:
        protocol: ``tcp`` or ``udp``.
        count: How many questions.
    """

    def __init__(self, protocol: str, count: int) -> None:
        asked = f"{count:,} questions, {_AT_ONCE} at a time"
        link = Link(f"arithmetic-{protocol}", "arithmetic", protocol, TOXICS[protocol])
        super().__init__(_NAMES[protocol], asked, (link,), count, "answers")
        self.protocol = protocol
        self.latency = Histogram()
        self.answered = self.again = 0

    async def play(self, world: World) -> None:
        """See `Scene.play`."""
        link = self.links[0].name
        requests = questions(stream(world.seed, "demo", link), self.total)
        settings = ClientSettings(_PATIENT)
        client = make_client(world.reactor, world.places[link], settings, world.seed)
        try:
            await self._ask(client, requests)
        finally:
            self.again = client.traffic.sent - client.traffic.requests
            await client.close()
        self._judge()

    async def _ask(self, client: Asking, requests: list[Request]) -> None:
        """Ask all, a few at a time."""
        room = DeferredSemaphore(_AT_ONCE)

        def one(request: Request) -> Deferred[object]:
            """Ask one of them."""
            asked = client.request(request.encode())
            asked.addCallbacks(self.heard, self.failed, callbackArgs=(request,))
            return asked.addBoth(self._asked)

        try:
            asked = [room.run(one, request) for request in requests]
            await gatherResults(asked, consumeErrors=True)
        except FirstError as error:
            error.subFailure.raiseException()  # what happened, above all that it was cancelled

    def _asked(self, result: object) -> object:
        """One more has ended."""
        self.move(self.done + 1)
        return result

    def heard(self, answer: Answer, request: Request) -> None:
        """There is an answer; look whether it is right."""
        value = evaluate(request.operator, request.left, request.right)
        if (answer.reply.code, answer.reply.value) == (wire.OK, value):
            self.answered += 1
            self.latency.add(answer.waited)
        else:
            reply = answer.reply.encode().decode()
            self._complain(f"the answer to {request.encode().decode()} is not {reply}")

    def failed(self, failure: Failure) -> None:
        """There is none."""
        failure.trap(LabError)
        self._complain(str(failure.value))

    def _complain(self, text: str) -> None:
        """Something is wrong; it is told once."""
        if not self.wrong:
            self.wrong.append(text)

    def _judge(self) -> None:
        """Say what came of it."""
        median, most = (show_seconds(self.latency.percentile(percent)) for percent in (50, 99))
        self.arrived = f"{self.answered:,} right answers, {median} (median), {most} (p99)"
        if self.protocol == "udp":
            self.arrived += f"; {self.again:,} asked again"
        measured = {"latency": Measure("s", histogram=self.latency, better="less")}
        self.result = Result("demo", {"transport": self.protocol.upper()}, 0, measured)
        if self.answered != self.total:
            self.wrong.append(f"{self.total - self.answered:,} without a right answer")


def questions(random: Random, count: int) -> list[Request]:
    """That many requests, of all operators, each with a right answer."""
    names = sorted(OPERATORS)
    return [
        Request(random.choice(names), random.randint(1, 99), random.randint(1, 9))
        for _ in range(count)
    ]
