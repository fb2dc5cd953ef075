"""The fence around a simulation."""

import json
import logging
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from twisted.internet import main
from twisted.internet.defer import succeed
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.policies import TimeoutMixin
from twisted.trial.unittest import SynchronousTestCase

from lab.simulator import network
from lab.simulator.fence import CLOCKS, FENCED, EscapeError, Simulated, fence, is_library, place
from lab.simulator.network import SimulationFailed, simulate
from tests.helpers import without_reactor
from tests.simulator.test_parity import Connecting, Side

#: Some file of an installed package.
INSTALLED = "/usr/lib/python3/dist-packages/somebody.py"


class Real:
    """A stand-in for the global reactor."""

    def callLater(self, delay: float) -> str:
        """Of the class."""
        return "called"


class Mine(Simulated, Real):
    """One that is simulated."""


class Impatient(Protocol, TimeoutMixin):
    """A protocol that asks the global reactor for its timeout."""

    def connectionMade(self) -> None:
        """Ask."""
        self.setTimeout(5)


def compile_in(file: str, text: str, **names: object) -> Any:
    """An expression that seems to stand in a file."""
    return eval(compile(text, file, "eval"), {"place": place, **names})


class FenceTests(SynchronousTestCase):
    """Who wants the real reactor is told so."""

    def setUp(self) -> None:
        """A stand-in for the real reactor, which has a method of its own besides."""
        self.real: Any = Real()
        self.real.listenTCP = lambda: "listens"
        self.patch(sys, "modules", {**sys.modules, "twisted.internet.reactor": self.real})

    def test_refused(self) -> None:
        """Within, a call is refused with the place it comes from; after it all is as before."""
        for _ in range(2):
            with fence():
                error = self.assertRaises(EscapeError, lambda: self.real.callLater(5))
                self.assertIn("test_fence.py:", str(error))
                self.assertIn(" calls callLater() of the global reactor", str(error))
                self.assertRaises(EscapeError, lambda: self.real.listenTCP(port=5))
            self.assertEqual(self.real.callLater(5), "called")
            self.assertEqual(self.real.listenTCP(), "listens")
            self.assertEqual(list(vars(self.real)), ["listenTCP"])

    def test_simulated(self) -> None:
        """A reactor that is simulated itself stays as it is."""
        sys.modules["twisted.internet.reactor"] = mine = Mine()  # type: ignore[assignment]
        with fence():
            self.assertEqual(mine.callLater(5), "called")

    def test_nested(self) -> None:
        """One simulation in another leaves the fence of the outer one."""
        with fence():
            with fence():
                self.assertRaises(EscapeError, self.real.callLater, 5)
            self.assertRaises(EscapeError, self.real.callLater, 5)
        self.assertEqual(self.real.callLater(5), "called")

    def test_runners(self) -> None:
        """Who runs the tests keeps the reactor."""
        for name, allowed in {
            "pytest_twisted": True,
            "twisted.trial._asynctest": True,
            "a": False,
        }.items():
            code = compile("real.callLater(5)", name, "eval")
            with fence(), fence():
                if allowed:
                    self.assertEqual(eval(code, {"__name__": name, "real": self.real}), "called")
                else:
                    self.assertRaises(
                        EscapeError, eval, code, {"__name__": name, "real": self.real}
                    )

    def test_after_an_error(self) -> None:
        """An error within changes nothing of that."""

        def fail() -> None:
            """Raise within."""
            with fence():
                raise ValueError

        self.assertRaises(ValueError, fail)
        self.assertEqual(self.real.callLater(5), "called")

    def test_no_reactor(self) -> None:
        """Where no reactor is installed, there is nothing to fence, and none gets installed."""
        del sys.modules["twisted.internet.reactor"]
        with fence():
            self.assertNotIn("twisted.internet.reactor", sys.modules)

    def test_installed_meanwhile(self) -> None:
        """A reactor that is installed meanwhile is refused, and free afterwards."""
        without_reactor(self)
        real: Any = Real()
        with fence():
            main.installReactor(real)
            self.assertRaises(EscapeError, lambda: real.callLater(5))
        self.assertEqual(real.callLater(5), "called")

    def test_sockets(self) -> None:
        """A socket is refused, also by way of a module of Python's; libraries may have theirs."""
        init = socket.socket.__init__
        for function in (socket.socket, lambda: socket.create_connection(("127.0.0.1", 9))):
            with fence():
                error = self.assertRaises(EscapeError, lambda opens=function: opens())
            self.assertIn(" opens a socket in a simulation", str(error))
            self.assertTrue(str(error).startswith(f"{__file__}:"))
        with fence():
            compile_in(INSTALLED, "lambda: function()", function=socket.socket)().close()
        self.assertIs(socket.socket.__init__, init)

    def test_threads(self) -> None:
        """The same of threads; a thread that has begun below nobody's code is nobody's."""
        with ThreadPoolExecutor(1) as pool, fence():
            error = self.assertRaises(EscapeError, lambda: pool.submit(list))
            self.assertIn(" starts a thread in a simulation", str(error))
        thread = threading.Thread(target=list)
        begin = compile_in(json.__file__, "lambda: start()", start=lambda: None)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(begin).result()
            with fence():
                pool.submit(thread.start).result()
        thread.join()

    def test_clocks(self) -> None:
        """Clocks are refused if that is asked for, in the lines of the code itself."""
        before = [getattr(time, name) for name in CLOCKS]
        with fence():
            self.assertGreater(time.time(), 0)
        for name in CLOCKS:
            with fence(clock=True):
                error = self.assertRaises(EscapeError, lambda ask=name: getattr(time, ask)(0))
                self.assertIn(f" calls time.{name}() in a simulation", str(error))
                logging.makeLogRecord({})
        with fence(), fence(clock=True), fence(clock=True):
            self.assertGreater(compile_in(json.__file__, "lambda: t.time()", t=time)(), 0)
        self.assertEqual([getattr(time, name) for name in CLOCKS], before)

    def test_libraries(self) -> None:
        """Which files are libraries: Python's, Twisted's, ours and installed ones."""
        for file in (json.__file__, main.__file__, network.__file__, INSTALLED, "<frozen runpy>"):
            self.assertTrue(is_library(file), file)
        for file in (__file__, "<string>", "/home/me/chat.py"):
            self.assertFalse(is_library(file), file)

    def test_place(self) -> None:
        """A place is that of the nearest caller that is in no library."""
        self.assertEqual(place().rpartition(":")[0], __file__)
        through = succeed(None).addCallback(compile_in(json.__file__, "lambda _: place()"))
        self.assertEqual(through.result.rpartition(":")[0], __file__)
        self.assertEqual(eval("place()", {"place": place}), "<string>:1")
        library = compile_in(json.__file__, "lambda: place()")
        with ThreadPoolExecutor(1) as pool:  # nobody of ours is below a thread
            self.assertEqual(pool.submit(library).result(), "a library")

    def test_what_is_fenced(self) -> None:
        """Time, connections, threads and processes."""
        for name in ("callLater", "connectTCP", "listenUDP", "callInThread", "spawnProcess"):
            self.assertIn(name, FENCED)


class SimulationTests(SynchronousTestCase):
    """Code under simulation that escapes fails the run, and its place is named."""

    def test_timeout_mixin(self) -> None:
        """Twisted's own mix-in of timeouts is such code."""
        import twisted.internet.reactor  # noqa: F401

        with self.assertRaises(SimulationFailed) as caught, simulate(7) as net:
            net.host("server").reactor.listenTCP(80, Factory.forProtocol(Impatient))
            net.host("client").reactor.connectTCP("server", 80, Connecting(Side({})))
            net.run(1)
        self.assertIn("policies.py:", str(caught.exception))
        self.assertIn("calls callLater() of the global reactor", str(caught.exception))
        self.assertEqual(len(self.flushLoggedErrors(EscapeError)), 1)
