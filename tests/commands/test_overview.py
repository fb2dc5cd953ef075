"""What is to be seen of a running server."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from lab.adapters.service import ListeningService
from lab.commands.overview import HELP, WORDS, Overview, render
from lab.download.memory import MemoryCatalogue
from lab.download.tcp import DownloadFactory
from lab.errors import LocalError


class OverviewTests(SynchronousTestCase):
    """The words."""

    def setUp(self) -> None:
        """A server of files, with a client that has asked for one."""
        self.clock = Clock()
        files = MemoryCatalogue({"large": bytes(10**7), "a\x1b[2Jb": b""})
        self.server = DownloadFactory(self.clock, files)
        endpoint: Any = None
        service = ListeningService("echo", "tcp:0", endpoint, Factory(), lambda: "3 echoed")
        self.overview = Overview(self.clock.seconds, [service], self.server)
        self.transport = StringTransport()
        self.protocol = self.server.buildProtocol(None)
        self.protocol.makeConnection(self.transport)
        self.protocol.dataReceived(b"get large 1000\n")
        self.protocol.pauseProducing()
        self.clock.advance(1)

    def mistake(self, line: str, overview: Overview | None = None) -> str:
        """The one line that a line is refused with."""
        text = str(self.assertRaises(LocalError, (overview or self.overview).answer, line))
        self.assertTrue(text.isprintable())
        return text

    def test_clients(self) -> None:
        """Who is there, and what for."""
        answer = self.overview.answer(" clients ")
        (client,) = answer["clients"]
        self.assertEqual((client["client"], client["doing"]), (1, "get large"))
        self.assertEqual((client["seconds"], client["requests"]), (1.0, 1))
        self.assertEqual(
            render(answer),
            "client  peer               seconds  requests     sent  doing\n"
            f"     1  192.168.1.1:54321      1.0         1  {client['sent']:,}  get large",
        )

    def test_transfers(self) -> None:
        """What is on its way."""
        answer = self.overview.answer("transfers")
        (transfer,) = answer["transfers"]
        self.assertEqual((transfer["client"], transfer["name"]), (1, "large"))
        self.assertEqual((transfer["offset"], transfer["length"]), (1000, 10**7 - 1000))
        self.assertIn("large   1,000  9,999,000", render(answer))

    def test_statistics(self) -> None:
        """What each service says of itself, and the counters as numbers."""
        answer = self.overview.answer("statistics")
        self.assertEqual(
            answer["statistics"], [{"service": "echo", "endpoint": "", "report": "3 echoed"}]
        )
        self.assertEqual(answer["counters"]["download"]["requests"], 1)
        self.assertEqual(render(answer), "echo at : 3 echoed")

    def test_disconnect(self) -> None:
        """A client is cut, by its number."""
        for line in ("disconnect", "disconnect x", "disconnect 1 2", "disconnect " + "1" * 5000):
            self.assertEqual(
                self.mistake(line), "disconnect takes the number of a client; see clients"
            )
        self.assertEqual(self.mistake("disconnect 2"), "there is no client 2; see clients")
        answer = self.overview.answer("disconnect 1")
        self.assertEqual(render(answer), "client 1 is disconnected")
        self.assertTrue(self.transport.disconnecting or self.transport.disconnected)

    def test_stop(self) -> None:
        """It is answered; who asks sees to it."""
        self.assertEqual(render(self.overview.answer("stop")), "the server stops")

    def test_without_files(self) -> None:
        """Without a server of files nobody is there."""
        overview = Overview(self.clock.seconds, [])
        self.assertEqual(render(overview.answer("clients")), "no clients")
        self.assertEqual(render(overview.answer("transfers")), "no transfers")
        self.assertEqual(overview.answer("statistics"), {"statistics": [], "counters": {}})
        self.assertEqual(
            self.mistake("disconnect 1", overview), "there is no client 1; see clients"
        )

    def test_mistakes(self) -> None:
        """Other words are refused, with those that there are."""
        said = "no word is 'x'; give one of clients, transfers, statistics, disconnect, stop"
        self.assertEqual(self.mistake("x"), said)
        self.assertEqual(self.mistake("stop now"), "stop stands alone; leave out 'now'")

    @given(st.text(max_size=50).filter(str.strip) | st.sampled_from([*WORDS]))
    def test_any_line(self, line: str) -> None:
        """Whatever is said, there is an answer that JSON can hold, or a line that says why not."""
        overview = Overview(self.clock.seconds, [])
        try:
            answer = overview.answer(line)
        except LocalError as error:
            self.assertTrue(str(error).isprintable())
        else:
            self.assertEqual(json.loads(json.dumps(answer)), answer)
            self.assertIsInstance(render(answer), str)

    def test_help(self) -> None:
        """It has all words."""
        self.assertEqual([line.split()[0] for line in HELP.splitlines()], [*WORDS])

    def test_controls(self) -> None:
        """What a client chose does nothing to a terminal."""
        text = render({"clients": [{"doing": "get a\x1b[2J\nb\x9b"}]})
        self.assertEqual(text, "doing\nget a\\x1b[2J\\nb\\x9b")
