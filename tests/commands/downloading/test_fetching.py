"""Downloads by name: where they go, how many at once, and what becomes of each."""

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lab.commands.downloading.batch import Batch
from lab.commands.downloading.fetching import Downloads, code_of, make_client, make_settings
from lab.download.outcomes import (
    Broken,
    Changed,
    Cut,
    InUse,
    NoRoom,
    Progress,
    Rejected,
    Stalled,
    WrongData,
)
from lab.errors import ConnectionRefused, LabError, LocalError, Unreachable
from tests.commands.downloading.scenes import FakeClient, Seen
from tests.helpers import folder


class SettingsTests(SynchronousTestCase):
    """What options become."""

    def test_settings(self) -> None:
        """The timeout bounds silence, and the waits before a server is given up."""
        settings = make_settings(10.0, None)
        self.assertEqual((settings.silence, settings.limit_rate), (10.0, float("inf")))
        self.assertEqual(list(settings.retry.waits()), [0.25, 0.5, 1.0, 2.0, 4.0])
        settings = make_settings(0.1, 2000.0)
        self.assertEqual((settings.silence, settings.limit_rate), (0.1, 2000.0))
        self.assertEqual(list(settings.retry.waits()), [0.025, 0.05])

    def test_client(self) -> None:
        """Servers are named as they were typed; datagrams can't be."""
        clock: Any = Clock()
        client = make_client(clock, ["tcp:a:1", "unix:/b"], make_settings(1.0, None), 5)
        self.assertEqual(list(client._sources), ["tcp:a:1", "unix:/b"])
        for endpoint, said in (
            ("udp:a:1", "endpoint is 'udp:a:1'; give one of a stream, as tcp:localhost:50002"),
            ("bogus:a", "'bogus:a'"),
        ):
            error = self.assertRaises(
                LocalError, make_client, clock, [endpoint], make_settings(1.0, None)
            )
            self.assertIn(said, str(error))

    def test_codes(self) -> None:
        """Each error has the code that is promised."""
        codes: dict[type[LabError], int] = {
            Broken: 1, Changed: 1, Cut: 1, InUse: 1, NoRoom: 1, Unreachable: 1, LocalError: 2,
            Rejected: 3, ConnectionRefused: 3, WrongData: 4, Stalled: 5,
        }  # fmt: skip
        for kind, code in codes.items():
            self.assertEqual(code_of(kind("no")), code, kind)
        self.assertEqual(code_of(None), 1)


class FetchTests(SynchronousTestCase):
    """Files of a batch."""

    def setUp(self) -> None:
        """Somewhere to put them."""
        self.folder = folder(self)
        self.client, self.view = FakeClient(), Seen()
        self.downloads = Downloads(self.client, 2)  # type: ignore[arg-type]

    def fetch(self, *names: str, sha256: str | None = None) -> Deferred[int]:
        """Begin."""
        self.batch = Batch(names, self.folder, sha256)
        done = Deferred.fromCoroutine(self.downloads.fetch(self.batch, self.view))
        self.addCleanup(self.stop, done)
        return done

    def stop(self, done: Deferred[int]) -> None:
        """Nothing is left behind."""
        if not done.called:
            done.addErrback(lambda failure: None)
            done.cancel()

    def test_some_at_once(self) -> None:
        """As many as are allowed, each in its place, and the next when one is over."""
        done = self.fetch("a", "b", "c")
        self.assertEqual(self.client.order, ["a", "b"])
        self.assertEqual(self.client.gots["a"].target, self.folder / "a")
        self.assertEqual(list(self.batch.running), ["a", "b"])
        self.client.gots["b"].comes(5)
        self.assertEqual(self.client.order, ["a", "b", "c"])
        self.assertEqual((self.batch.size, self.batch.whole), (5, 1))
        self.client.gots["a"].comes(6)
        self.client.gots["c"].comes(7)
        self.assertEqual(self.successResultOf(done), 0)
        self.assertEqual((self.batch.size, self.batch.whole, self.batch.running), (18, 3, {}))
        expected = [("ended", "b"), ("ended", "a"), ("ended", "c"), ("close",)]
        self.assertEqual(self.view.events, expected)

    def test_progress(self) -> None:
        """How far it is, is known and shown."""
        done = self.fetch("a")
        self.client.gots["a"].watch(Progress(10, 5))
        self.assertEqual(self.batch.running, {"a": Progress(10, 5)})
        self.assertEqual(self.view.events, [("step", "a")])
        self.client.gots["a"].comes()
        self.successResultOf(done)

    def test_shares_the_room(self) -> None:
        """Two batches together have no more at once than one."""
        first, second = self.fetch("a", "b"), self.fetch("c")
        self.assertEqual(self.client.order, ["a", "b"])
        self.client.gots["a"].comes()
        self.assertEqual(self.client.order, ["a", "b", "c"])
        self.client.gots["b"].comes()
        self.client.gots["c"].comes()
        self.assertEqual((self.successResultOf(first), self.successResultOf(second)), (0, 0))

    def test_failures(self) -> None:
        """Each is shown; the others come all the same; the first by name is the exit code."""
        done = self.fetch("a", "b", "c")
        self.client.gots["b"].done.errback(Rejected("tcp:x: there is no such file"))
        self.client.gots["a"].done.errback(WrongData("bad"))
        self.client.gots["c"].comes()
        self.assertEqual(self.successResultOf(done), 4)
        failed = [event for event in self.view.events if event[0] == "failed"]
        said = [("failed", "b", "tcp:x: there is no such file", 3), ("failed", "a", "bad", 4)]
        self.assertEqual(failed, said)
        self.assertEqual(self.batch.running, {})

    def test_sha256(self) -> None:
        """What the file has to have is handed on."""
        self.fetch("a", sha256="f" * 64)
        self.assertEqual(self.client.gots["a"].sha256, "f" * 64)

    def test_stopped(self) -> None:
        """To cancel it stops all that is on its way, and begins no more."""
        done = self.fetch("a", "b", "c")
        self.client.gots["b"].watch(Progress(10, 5))
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertEqual((self.client.order, self.client.cancelled), (["a", "b"], ["a", "b"]))
        self.assertEqual(sorted(self.view.events[1:3]), [("stopped", "a", 0), ("stopped", "b", 5)])
        self.assertEqual(self.batch.left(), "0 of 3 files are here, and 5 of 10 bytes of others")

    def test_stopped_before_it_began(self) -> None:
        """What waits for others is stopped as well."""
        self.fetch("a", "b")
        waiting = self.fetch("c")
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.client.order, ["a", "b"])

    def test_bug(self) -> None:
        """What is none of our errors comes out of it, and the others are stopped."""
        done = self.fetch("a", "b")
        self.client.gots["a"].done.errback(ZeroDivisionError())
        self.failureResultOf(done, ZeroDivisionError)
        self.assertEqual(self.client.cancelled, ["b"])

    def test_no_clobber(self) -> None:
        """What is there is kept, if that is wanted, be it a link that leads nowhere."""
        (self.folder / "a").touch()
        (self.folder / "b").symlink_to("none")
        self.downloads = Downloads(self.client, 2, clobber=False)  # type: ignore[arg-type]
        done = self.fetch("a", "b", "c")
        self.assertEqual(self.client.order, ["c"])
        self.client.gots["c"].comes()
        self.assertEqual(self.successResultOf(done), 0)
        self.assertEqual(self.view.events[:2], [("kept", "a"), ("kept", "b")])


class FolderTests(FetchTests):
    """Names with folders in them."""

    def test_below(self) -> None:
        """They are made, in the folder, and stay if there is something in them."""
        done = self.fetch("x/y/a", "x/b")
        self.assertEqual(self.client.gots["x/y/a"].target, self.folder / "x" / "y" / "a")
        self.assertTrue((self.folder / "x" / "y").is_dir())
        (self.folder / "x" / ".b.part").touch()
        for name in self.batch.names:
            self.client.gots[name].done.errback(Rejected("no"))
        self.assertEqual(self.successResultOf(done), 3)
        self.assertEqual([one.name for one in (self.folder / "x").iterdir()], [".b.part"])

    def test_goes_if_empty(self) -> None:
        """Nothing is left of what did not come; what was there before is, however empty."""
        (self.folder / "x").mkdir()
        first, second = self.fetch("x/y/a"), self.fetch("z/b")
        self.client.gots["x/y/a"].done.errback(Rejected("no"))
        self.assertEqual(self.successResultOf(first), 3)
        self.assertTrue((self.folder / "x" / "y").is_dir())
        self.client.gots["z/b"].done.errback(Rejected("no"))
        self.assertEqual(self.successResultOf(second), 3)
        self.assertEqual([str(one) for one in self.folder.rglob("*")], [str(self.folder / "x")])

    def test_elsewhere(self) -> None:
        """No name leads out of the folder."""
        for name in ("../a", "/etc/a", "x/../../a", "..", "", "a\0b"):
            done = self.fetch(name)
            self.assertEqual(self.successResultOf(done), 2, name)
        self.assertEqual(self.client.order, [])
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_in_the_way(self) -> None:
        """A file where a folder should be is one line."""
        (self.folder / "x").touch()
        done = self.fetch("x/y/a")
        self.assertEqual(self.successResultOf(done), 2)
        said = f"folder is {str(self.folder / 'x')!r}; File exists"
        self.assertIn(("failed", "x/y/a", said, 2), self.view.events)
