"""Options of `twistd lab-server` for single services."""

from twisted.trial.unittest import SynchronousTestCase

from lab.commands import server_echo
from lab.commands.server import Options
from lab.commands.server_options import CLASSIC, DOWNLOAD, ECHO, FLAGS


class TableTests(SynchronousTestCase):
    """Rows of options."""

    def test_rows(self) -> None:
        """Each names its service in the help, and is an option with that default."""
        options = Options()
        for service, rows in (("echo", ECHO), ("download", DOWNLOAD)):
            for name, _, default, text in rows:
                self.assertTrue(str(text).startswith(service), text)
                self.assertEqual(options[name], default)
        for name, _, text in FLAGS:
            self.assertTrue(str(text).startswith("download: "), text)
            self.assertEqual(options[name], 0)

    def test_classic(self) -> None:
        """There is an option for each of the old relatives that can be served."""
        self.assertEqual(CLASSIC, tuple(server_echo._CLASSIC))
