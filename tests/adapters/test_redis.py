"""A connection to Redis: to a real one, and to none."""

import signal
from typing import Any
from unittest.mock import patch

from twisted.internet import reactor as real_reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lab.adapters import redis
from lab.adapters.redis import PATIENCE, RedisAway, RedisConnection
from lab.rng import stream
from tests.redis_server import RealRedis

ECHO = "return ARGV[1]"
reactor: Any = real_reactor


class Told:
    """Notes the log of connections, and lets a line be waited for."""

    def __init__(self, case: SynchronousTestCase) -> None:
        self.lines: list[str] = []
        self._waiting: list[tuple[str, Deferred[None]]] = []
        globalLogPublisher.addObserver(self._observe)  # type: ignore[arg-type]
        case.addCleanup(globalLogPublisher.removeObserver, self._observe)

    def _observe(self, event: LogEvent) -> None:
        """One line more."""
        if event.get("log_namespace", "").startswith("lab.adapters.redis"):
            self.lines.append(formatEvent(event))
            for one in list(self._waiting):
                if one[0] in self.lines[-1]:
                    self._waiting.remove(one)
                    reactor.callLater(0, one[1].callback, None)

    def line(self, words: str) -> Deferred[None]:
        """The next line with these words."""
        deferred = Deferred[None]()
        self._waiting.append((words, deferred))
        return deferred


class RealTests(TestCase):
    """With a real Redis."""

    timeout = 60

    def setUp(self) -> None:
        """A Redis, and no connection yet."""
        self.real = RealRedis()
        self.addCleanup(self.real.clean)
        self.told = Told(self)

    def connect(self, **keywords: Any) -> RedisConnection:
        """A connection that ends with the test."""
        endpoint = UNIXClientEndpoint(reactor, self.real.path)
        connection = RedisConnection(reactor, endpoint, "here", **keywords)
        self.addCleanup(connection.close)
        connection.open()
        return connection

    async def connected(self, **keywords: Any) -> RedisConnection:
        """The same, when it is."""
        line = self.told.line("connected")
        connection = self.connect(**keywords)
        await line
        return connection

    async def test_answers(self) -> None:
        """Integers, bytes and nothing."""
        connection = await self.connected()
        for script, answer in (
            ("return 7", 7), (ECHO, b"1.0"), ("return false", None),
            ("return {1, ARGV[1]}", [1, b"1.0"]),
        ):  # fmt: skip
            for _ in range(2):
                self.assertEqual(await connection.evaluate(script, [], ["1.0"]), answer)
        self.assertEqual(self.told.lines, ["connected to Redis at here"])

    async def test_by_hash(self) -> None:
        """A script is sent once; and again, if Redis has forgotten it."""
        connection = await self.connected()
        for _ in range(3):
            await connection.evaluate(ECHO, [], ["x"])
        self.real.ask("SCRIPT", "FLUSH")
        for _ in range(2):
            self.assertEqual(await connection.evaluate(ECHO, [], ["x"]), b"x")
        said = self.real.ask("INFO", "commandstats").decode()
        self.assertIn("cmdstat_eval:calls=2,", said)
        self.assertIn("cmdstat_evalsha:calls=4,", said)

    async def test_order(self) -> None:
        """Questions that are asked at once are answered in their order."""
        connection = await self.connected()
        asked = [connection.evaluate(ECHO, [], [str(number)]) for number in range(500)]
        self.assertEqual(await gatherResults(asked), [b"%d" % n for n in range(500)])

    async def test_refused(self) -> None:
        """What Redis does not like is told as it says it."""
        connection = await self.connected()
        with self.assertRaises(RedisAway) as caught:
            await connection.evaluate("return nonsense(", [], [])
        self.assertRegex(str(caught.exception), "^Redis at here: .*Error compiling script")
        self.assertEqual(await connection.evaluate("return 1", [], []), 1)

    async def test_database(self) -> None:
        """It is in the database that was asked for."""
        connection = await self.connected(database=3)
        await connection.evaluate("return redis.call('SET', KEYS[1], 1)", ["x"], [])
        self.real.ask("SELECT", 3)
        self.assertEqual(self.real.ask("GET", "x"), b"1")

    async def test_no_such_database(self) -> None:
        """One that is not there is told once, and no secret."""
        line = self.told.line("DB index is out of range")
        connection = self.connect(database=99)
        await line
        with self.assertRaises(RedisAway):
            await connection.evaluate("return 1", [], [])

    async def test_password(self) -> None:
        """The right password, of the default user and of another; and a wrong one."""
        self.real.ask("ACL", "SETUSER", "lab", "on", ">sesame", "~*", "+@all")
        self.real.ask("CONFIG", "SET", "requirepass", "hidden")
        for user, password in ((None, "hidden"), ("lab", "sesame")):
            connection = await self.connected(user=user, password=password)
            self.assertEqual(await connection.evaluate("return 1", [], []), 1)
        for user, password in ((None, None), ("lab", "hidden")):
            line = self.told.line("no connection")
            self.connect(user=user, password=password)
            await line
        self.assertNotIn("hidden", "".join(self.told.lines))
        self.assertIn("NOAUTH", self.told.lines[2])
        self.assertIn("WRONGPASS", self.told.lines[3])

    async def test_killed(self) -> None:
        """A Redis that ends, and comes back: questions fail meanwhile, and it is told once."""
        connection = await self.connected()
        line = self.told.line("no connection to Redis at here: the connection is lost")
        self.real.kill()
        await line
        with self.assertRaises(RedisAway) as caught:
            await connection.evaluate("return 1", [], [])
        self.assertEqual(str(caught.exception), "Redis at here: the connection is lost")
        line = self.told.line("connected")
        self.real.start()
        await line
        self.assertEqual(await connection.evaluate("return 1", [], []), 1)
        self.assertEqual(len(self.told.lines), 3)

    async def test_hangs(self) -> None:
        """One that hangs: all that is asked fails in time, then at once; then it goes on."""
        with patch.object(redis, "PATIENCE", 0.2):
            connection = await self.connected()
        self.real.process.send(signal.SIGSTOP)
        try:
            with patch.object(redis, "PATIENCE", 0.2):
                began = reactor.seconds()
                lost = self.told.line("no connection")
                asked = [connection.evaluate("return 1", [], []) for _ in range(3)]
                for one in asked:
                    with self.assertRaises(RedisAway):
                        await one
                await lost
                with self.assertRaises(RedisAway):
                    await connection.evaluate("return 1", [], [])
                self.assertLess(reactor.seconds() - began, 10)
        finally:
            line = self.told.line("connected")
            self.real.process.send(signal.SIGCONT)
        await line
        self.assertEqual(await connection.evaluate("return 1", [], []), 1)

    async def test_too_many(self) -> None:
        """Only so many questions are open."""
        connection = await self.connected()
        with patch.object(redis, "OPEN", 3):
            asked = [connection.evaluate("return 1", [], []) for _ in range(3)]
            with self.assertRaises(RedisAway) as caught:
                await connection.evaluate("return 1", [], [])
            self.assertEqual(str(caught.exception), "Redis at here: 3 questions are open already")
            self.assertEqual(await gatherResults(asked), [1, 1, 1])
            self.assertEqual(await connection.evaluate("return 1", [], []), 1)

    async def test_close(self) -> None:
        """What was asked is answered before it ends; then nothing is."""
        connection = await self.connected()
        asked = [connection.evaluate("return 1", [], []) for _ in range(3)]
        closed = connection.close()
        await closed
        self.assertEqual([self.successResultOf(one) for one in asked], [1, 1, 1])
        with self.assertRaises(RedisAway) as caught:
            await connection.evaluate("return 1", [], [])
        self.assertEqual(str(caught.exception), "Redis at here: closed")

    async def test_cancelled(self) -> None:
        """Who does not want to know any more is not told; others are."""
        connection = await self.connected()
        asked = [connection.evaluate(ECHO, [], [str(number)]) for number in range(3)]
        asked[1].cancel()
        self.failureResultOf(asked[1], CancelledError)
        self.assertEqual([await asked[0], await asked[2]], [b"0", b"2"])


class Endpoint:
    """An endpoint whose attempts a test decides."""

    def __init__(self) -> None:
        self.attempts: list[Deferred[Any]] = []
        self.cancelled = 0
        self._factories: list[Any] = []

    def connect(self, factory: Any) -> Deferred[Any]:
        """One attempt more."""
        self._factories.append(factory)
        self.attempts.append(Deferred(self._cancel))
        return self.attempts[-1]

    def _cancel(self, attempt: Deferred[Any]) -> None:
        """One attempt less."""
        self.cancelled += 1

    def refuse(self) -> None:
        """There is nobody."""
        self.attempts[-1].errback(ConnectError(string="nobody"))

    def accept(self) -> Any:
        """There is somebody."""
        protocol = self._factories[-1].buildProtocol(None)
        protocol.makeConnection(Transport(protocol))
        self.attempts[-1].callback(protocol)
        return protocol


class Transport(StringTransport):
    """A transport that is gone when that is wished."""

    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self._protocol = protocol

    def abortConnection(self) -> None:
        """Be gone."""
        self._protocol.connectionLost(Failure(ConnectionDone()))


class VirtualTests(SynchronousTestCase):
    """With none, on a virtual clock."""

    def setUp(self) -> None:
        """Nothing is there."""
        self.clock, self.endpoint = Clock(), Endpoint()
        self.told = Told(self)
        endpoint: Any = self.endpoint
        self.connection = RedisConnection(self.clock, endpoint, "here", random=stream(7))

    def again(self) -> float:
        """Let the wait for the next attempt pass; how long it is, in seconds."""
        number = len(self.endpoint.attempts)
        (call,) = self.clock.getDelayedCalls()
        wait: float = call.getTime() - self.clock.seconds()
        self.clock.pump([wait])
        self.assertEqual(len(self.endpoint.attempts), number + 1)
        return wait

    def test_waits(self) -> None:
        """It tries again after waits that double up to a bound, and says so once."""
        self.connection.open()
        waits = []
        for _ in range(10):
            self.endpoint.refuse()
            waits.append(self.again())
        for wait, usual in zip(waits, (0.1, 0.2, 0.4, 0.8, 1.6, 2, 2, 2, 2, 2), strict=True):
            self.assertTrue(usual / 2 <= wait <= usual * 1.5)
        self.assertEqual(len(set(waits)), 10)
        text = "An error occurred while connecting: nobody"
        said = f"no connection to Redis at here: {text}; it is tried again"
        self.assertEqual(self.told.lines, [said])
        asked = self.connection.evaluate(ECHO, [], [])
        why = self.failureResultOf(asked, RedisAway).getErrorMessage()
        self.assertEqual(why, f"Redis at here: {text}")

    def test_before(self) -> None:
        """What is asked ahead of the first connection fails."""
        self.connection.open()
        why = self.failureResultOf(self.connection.evaluate(ECHO, [], []), RedisAway)
        self.assertEqual(why.getErrorMessage(), "Redis at here: not connected yet")

    def test_quick_ends(self) -> None:
        """Connections that end at once don't make it hurry; one that lasted does."""
        self.connection.open()
        waits = []
        for lasts in (0, 0, 0, 0, 0, 0, 5, 0):
            protocol = self.endpoint.accept()
            protocol.dataReceived(b"+OK\r\n")
            self.clock.advance(lasts)
            protocol.transport.abortConnection()
            waits.append(self.again())
        self.assertGreater(waits[5], 1)
        self.assertLess(waits[6], 0.15)

    def test_no_connection_in_time(self) -> None:
        """An attempt that leads nowhere is given up."""
        self.connection.open()
        self.clock.advance(PATIENCE)
        self.assertEqual(self.endpoint.cancelled, 1)
        said = "no connection to Redis at here: nobody is there after 2 s; it is tried again"
        self.assertEqual(self.told.lines, [said])
        self.again()

    def test_no_answer_in_time(self) -> None:
        """So is a connection on which nothing is answered, with all that was asked."""
        self.connection.open()
        first = self.endpoint.accept()
        self.clock.advance(PATIENCE)
        self.assertFalse(first.connected)
        self.again()
        self.endpoint.accept().dataReceived(b"+OK\r\n")
        asked = [self.connection.evaluate(ECHO, [], [])]
        self.clock.advance(PATIENCE / 2)
        asked.append(self.connection.evaluate(ECHO, [], []))
        self.clock.advance(PATIENCE / 2)
        for one in asked:
            self.failureResultOf(one, RedisAway)
        self.again()

    def test_lost_at_once(self) -> None:
        """A connection that ends ahead of its first answer is none."""
        self.connection.open()
        self.endpoint.accept().transport.abortConnection()
        said = "no connection to Redis at here: Lost connection; it is tried again"
        self.assertEqual(self.told.lines, [said])
        self.again()

    def test_close(self) -> None:
        """It ends at any time, and leaves nothing in the reactor."""

        def connect() -> None:
            """Be connected."""
            self.endpoint.accept().dataReceived(b"+OK\r\n")

        for steps in (
            (), (self.endpoint.refuse,), (self.endpoint.accept,), (connect,),
        ):  # fmt: skip
            self.connection.open()
            for step in steps:
                step()
            self.successResultOf(self.connection.close())
            self.assertEqual(self.clock.getDelayedCalls(), [])
            why = self.failureResultOf(self.connection.evaluate(ECHO, [], []), RedisAway)
            self.assertEqual(why.getErrorMessage(), "Redis at here: closed")

    def test_close_what_was_not_opened(self) -> None:
        """That is nothing to do."""
        self.successResultOf(self.connection.close())

    def test_close_waits(self) -> None:
        """It waits for what is open, but no longer than for any answer."""
        self.connection.open()
        self.endpoint.accept().dataReceived(b"+OK\r\n")
        asked = self.connection.evaluate(ECHO, [], [])
        closed = self.connection.close()
        self.assertNoResult(closed)
        self.clock.advance(PATIENCE)
        self.failureResultOf(asked, RedisAway)
        self.successResultOf(closed)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_fault_of_ours(self) -> None:
        """What Redis has no part in is not blamed on it."""
        self.connection.open()
        self.endpoint.accept().dataReceived(b"+OK\r\n")
        nonsense: Any = None
        self.failureResultOf(self.connection.evaluate(ECHO, nonsense, []), TypeError)
