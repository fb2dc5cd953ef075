"""``lab file``: what it receives, shows and keeps, how it ends."""

import io
import json
from hashlib import sha256
from typing import Any
from unittest import mock

from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from lab.commands import file
from lab.commands.conversation.descriptors import OutputClosedError
from lab.commands.file import Bar, JsonLines, Lines, Quiet, Wanted, describe
from lab.commands.saving import Nowhere
from lab.echo.outcomes import Received
from lab.echo.pattern import characters
from lab.echo.settings import ServerSettings
from lab.faults.datagrams import Loss
from lab.faults.fault import Fault
from lab.faults.streams import LimitData
from lab.simulator.network import Network
from tests.commands.echoes import TCP, UDP, EchoCommandCase, Taken, serve
from tests.helpers import folder

N = 300_000
WHOLE = characters(0, 0, N)
SHA256 = sha256(WHOLE).hexdigest()


class Lying(Protocol):
    """A server that sends other characters than there are in the file."""

    def dataReceived(self, data: bytes) -> None:
        """Send them."""
        id = data.split(b" ")[0]
        said = characters(0, 0, 1000)[:-1] + b"?"
        self.transport.write(b"%s 200 ready 1000\n%s\n" % (id, said))


class FileCase(EchoCommandCase):
    """Calls ``lab file``."""

    module, name = file, "file"

    def setUp(self) -> None:
        """Somewhere to save it."""
        super().setUp()
        self.folder = folder(self)
        self.path, self.part = self.folder / "a", self.folder / "a.part"
        self.out = Taken()
        self.patch(file, "Output", lambda *_: self.out)

    def cut(self, net: Network) -> None:
        """A connection that is cut in the middle of the file."""
        serve(net)
        net.link("server", "client", Fault(LimitData(N // 2), "cut"))

    def lossy(self, net: Network) -> None:
        """Of what the server sends, one datagram in five is lost."""
        serve(net)
        net.link("server", "client", Fault(Loss(0.2), "loss"))

    def names(self) -> list[str]:
        """What was saved."""
        return sorted(path.name for path in self.folder.iterdir())


class EndTests(FileCase):
    """How it ends."""

    def test_whole(self) -> None:
        """Every character was right: a line that says so, and 0."""
        for endpoint in (TCP, UDP):
            done = self.call(endpoint, str(N))
            self.assertEqual((done.exit_code, done.stderr), (0, ""))
            self.assertTrue(done.stdout.startswith("300,000 characters in "), done.stdout)
            end = f"; every one right; SHA-256 {SHA256}, as the server's\n"
            self.assertTrue(done.stdout.endswith(end), done.stdout)

    def test_saved(self) -> None:
        """With -o it is in a file, and in no other."""
        for endpoint in (TCP, UDP):
            done = self.call(endpoint, str(N), "-o", str(self.path))
            self.assertEqual((done.exit_code, done.stderr), (0, ""))
            self.assertTrue(done.stdout.endswith(f"; in {self.path}\n"))
            self.assertEqual((self.names(), self.path.read_bytes()), (["a"], WHOLE))
            self.path.unlink()

    def test_printed(self) -> None:
        """With --print-file it goes to standard output, what is told to the other."""
        for endpoint in (TCP, UDP):
            done = self.call(endpoint, str(N), "--print-file")
            self.assertEqual((done.exit_code, done.stdout, self.out.data), (0, "", WHOLE))
            self.assertIn("every one right", done.stderr)
            self.out.data.clear()
        done = self.call(TCP, str(N), "--print-file", "-o", str(self.path))
        self.assertEqual((done.exit_code, self.out.data), (0, WHOLE))
        self.assertEqual(self.path.read_bytes(), WHOLE)

    def test_seed(self) -> None:
        """Another seed is another file."""
        self.call(TCP, "100", "--seed", "5", "-o", str(self.path))
        self.assertEqual(self.path.read_bytes(), characters(5, 0, 100))

    def test_nothing(self) -> None:
        """A file of no characters is one, too."""
        done = self.call(TCP, "0", "-o", str(self.path))
        self.assertEqual((done.exit_code, self.path.read_bytes()), (0, b""))

    def test_cut_and_resumed(self) -> None:
        """A connection that breaks is never success; what came is gone on with."""
        self.prepare = self.cut
        done = self.call(TCP, str(N), "-o", str(self.path))
        self.assertEqual((done.exit_code, done.stdout, self.names()), (1, "", ["a.part"]))
        there = self.part.read_bytes()
        self.assertTrue(0 < len(there) <= N // 2)
        self.assertEqual(there, WHOLE[: len(there)])
        self.assertIn(f"what came is in {self.part}; --resume goes on with it\n", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 2)
        self.prepare = serve
        done = self.call(TCP, str(N), "-o", str(self.path), "--resume")
        self.assertEqual((done.exit_code, self.names()), (0, ["a"]))
        self.assertIn(f"goes on with character {len(there):,}\n{N - len(there):,} ", done.stdout)
        self.assertEqual(self.path.read_bytes(), WHOLE)

    def test_interrupted(self) -> None:
        """Ctrl-C keeps what came."""
        self.interrupt = 0.01
        done = self.call(UDP, str(N), "-o", str(self.path))
        self.assertEqual((done.exit_code, self.names()), (130, ["a.part"]))
        self.interrupt = None
        done = self.call(UDP, str(N), "-o", str(self.path), "--resume")
        self.assertEqual((done.exit_code, self.path.read_bytes()), (0, WHOLE))

    def test_lost(self) -> None:
        """What was lost is said, and is a failure: nothing has the name."""
        self.prepare = self.lossy
        done = self.call(UDP, str(N), "--backoff", "-o", str(self.path))
        self.assertEqual((done.exit_code, self.names()), (1, ["a.part"]))
        self.assertRegex(done.stdout, r" of 300,000 are missing, in \d+ gaps\n$")
        self.assertIn("--reliable asks for what is missing\n", done.stderr)
        self.assertNotIn("every one right", done.output)

    def test_reliable(self) -> None:
        """With --reliable it is asked for until all is there."""
        self.prepare = self.lossy
        done = self.call(UDP, str(N), "--backoff", "--reliable", "-o", str(self.path))
        self.assertEqual((done.exit_code, self.path.read_bytes()), (0, WHOLE))
        self.assertRegex(done.stdout, r"every one right, \d+ requests for what was missing; SHA")

    def test_wrong(self) -> None:
        """Data that are not those of the file: 4, and a line that says where."""

        def prepare(net: Network) -> None:
            """A server that lies."""

            def start(reactor: Any, disk: dict[str, Any]) -> None:
                """Start it."""
                TCP4ServerEndpoint(reactor, 80).listen(Factory.forProtocol(Lying))

            net.host("server").start(start)

        self.prepare = prepare
        done = self.call(TCP, "1000", "-o", str(self.path))
        self.assertEqual((done.exit_code, done.stdout), (4, ""))
        self.assertIn("999", done.stderr)
        self.assertNotIn("a", self.names())

    def test_silence(self) -> None:
        """Nothing comes any more: 5."""

        def prepare(net: Network) -> None:
            """A network that is cut in the middle."""
            serve(net)
            net.at(0.01, net.partition, "server", "client")

        self.prepare = prepare
        done = self.call(TCP, str(50 * N), "--receive-timeout", "2")
        self.assertEqual(done.exit_code, 5)
        self.assertEqual(done.stderr.count("\n"), 1)

    def test_refused(self) -> None:
        """The server says what it allows: 3."""
        self.prepare = lambda net: serve(net, ServerSettings(file=10))
        done = self.call(TCP, "11")
        self.assertEqual((done.exit_code, done.stdout), (3, ""))
        self.assertTrue(done.stderr.startswith("the server refuses: "), done.stderr)

    def test_reader_is_gone(self) -> None:
        """Nobody reads what is printed: the code that shells have for it, and not a word."""
        self.out.error = OutputClosedError()
        done = self.call(TCP, str(N), "--print-file")
        self.assertEqual((done.exit_code, done.output), (141, ""))

    def test_taken(self) -> None:
        """A file that can't be is one line, before anything is asked."""
        done = self.call(TCP, "10", "-o", "/none/a")
        self.assertEqual((done.exit_code, done.stdout), (2, ""))
        self.assertEqual(done.stderr, "file is '/none/a'; No such file or directory\n")


class ViewTests(FileCase):
    """What is shown."""

    def test_lines(self) -> None:
        """Elsewhere than on a terminal there is a line a second."""
        self.prepare = lambda net: serve(net, ServerSettings(pace=100_000.0))
        done = self.call(UDP, str(N))
        lines = done.stdout.splitlines()
        self.assertIn(len(lines), (3, 4))
        self.assertRegex(lines[0], r"^\d+,\d+ of 300,000 characters \(3\d %\), [78]\d\d kbit/s$")

    def test_json(self) -> None:
        """Each event is an object."""
        self.prepare = lambda net: serve(net, ServerSettings(pace=100_000.0))
        done = self.call(UDP, str(N), "--json", "-o", str(self.path))
        begun, progress, *_, ended = map(json.loads, done.stdout.splitlines())
        self.assertEqual(begun, {"event": "begun", "received": 0})
        self.assertEqual((progress["event"], progress["of"]), ("progress", N))
        self.assertEqual((ended["whole"], ended["sha256"]), (True, SHA256))
        self.assertEqual(ended["file"], str(self.path))

    def test_json_of_failures(self) -> None:
        """Also of what broke; nothing is said twice."""
        self.prepare = self.cut
        done = self.call(TCP, str(N), "--json")
        begun, failed = map(json.loads, done.stdout.splitlines())
        self.assertEqual((done.exit_code, done.stderr, begun["received"]), (1, "", 0))
        self.assertTrue(0 < failed["received"] <= N // 2)
        self.prepare = lambda net: serve(net, ServerSettings(file=10))
        done = self.call(TCP, "11", "--json")
        failed = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual((failed["event"], failed["received"]), ("failed", 0))

    def test_bar(self) -> None:
        """On a terminal there is a bar, which is gone at the end."""
        now = [0.0]
        terminal = io.StringIO()
        terminal.isatty = lambda: True  # type: ignore[method-assign]
        with mock.patch.dict("os.environ", {"TERM": "xterm", "COLUMNS": "100"}):
            view = Bar(lambda: now[0], terminal)
            view.begin(50)
            view.step(10, 100)
            now[0] = 0.5
            view.step(20, 100)
            self.assertIn("70 of 150 characters (47 %), 320 bit/s", terminal.getvalue())
            view.close()
        view.end(Received(0, 10, sha256="f"), None)
        self.assertTrue(terminal.getvalue().endswith("SHA-256 f, the server's was not heard\n"))

    def test_which(self) -> None:
        """JSON if asked for; a bar on a terminal, unless the file is printed there; else lines."""
        out, err = io.StringIO(), io.StringIO()

        def kind(**given: Any) -> type:
            """The view of it."""
            return type(Wanted("", 1, **given).view(lambda: 0.0))

        with mock.patch.multiple(file.sys, stdout=out, stderr=err):
            self.assertIs(kind(), Lines)
            self.assertIs(kind(as_json=True), JsonLines)
            err.isatty = lambda: True  # type: ignore[method-assign]
            self.assertEqual((kind(), kind(printed=True)), (Lines, Bar))
            out.isatty = lambda: True  # type: ignore[method-assign]
            self.assertEqual((kind(), kind(printed=True)), (Bar, Lines))

    def test_quiet(self) -> None:
        """Who wants to see nothing sees nothing."""
        view = Quiet()
        view.begin(0)
        view.step(1, 2)
        view.close()

    def test_missing(self) -> None:
        """What is missing, and in how many gaps."""
        text = describe(Received(0, 10, ((2, 4), (6, 7)), seconds=1.0))
        self.assertEqual(text, "7 characters in 1 s, 56 bit/s; 3 of 10 are missing, in 2 gaps")


class OptionsTests(FileCase):
    """What can be said, and what can't."""

    def test_server(self) -> None:
        """Without an endpoint it is the first of the list."""
        path = self.folder / "hosts"
        path.write_text(f"{UDP}\n")
        done = self.call("100", "--hosts", str(path))
        self.assertEqual(done.exit_code, 0)

    def test_mistakes(self) -> None:
        """Each is one line with what is allowed, and 2."""
        for words, said in (
            ((TCP,), "lab file: n is ''; give a whole number from 0 to 1,000,000,000,000,000,000"),
            (("1", "2"), "lab file: n is '1 2'; give a whole number"),
            ((TCP, "x"), "lab file: n is 'x'; give a whole number"),
            (("1", "--resume"), "lab file: resume goes on with a file; give its name with -o"),
            (("1", "--hosts", "/none"), "lab file: hosts is '/none'; No such file"),
        ):
            done = self.call(*words)
            self.assertEqual(done.exit_code, 2, words)
            self.assertTrue(done.stderr.startswith(said), done.stderr)


class WantedTests(SynchronousTestCase):
    """Where it goes."""

    def test_part(self) -> None:
        """Of a part that is printed, the first character is the first that is printed."""
        out: Any = Taken()
        sink = Wanted("", 100, offset=50, printed=True).sink(out, ordered=False)
        sink.write(50, b"ab")
        sink.close()
        self.assertIs(type(Wanted("", 1).sink(None, ordered=True)), Nowhere)
