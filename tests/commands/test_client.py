"""``twistd lab-client``: which service is kept busy, and what makes it."""

import io
import sys
from typing import Any

from lab.commands.client import Options, makeService
from lab.commands.load_arithmetic import ArithmeticLoadService
from lab.commands.load_sequence import SequenceLoadService
from lab.commands.logs import JsonLog
from lab.commands.options import one_line
from tests.commands.loading import LoadCase


class OptionsTests(LoadCase):
    """What the options say."""

    def test_version(self) -> None:
        """The version is ours, whether a service is named or not."""
        for words in (["--version"], ["arithmetic", "--version"], ["sequence", "--version"]):
            self.patch(sys, "stdout", io.StringIO())
            self.assertRaises(SystemExit, Options().parseOptions, words)
            self.assertTrue(sys.stdout.getvalue().startswith("txlab "))

    def test_name_may_be_left_out(self) -> None:
        """The service is arithmetic whether it is named or not."""
        for words in ([], ["arithmetic"]):
            options = Options()
            options.parseOptions([*words, "--rate", "7", "udp:localhost:1"])
            self.assertEqual(options.subCommand, "arithmetic")
            self.assertEqual(options.subOptions.rate, 7)
            self.assertEqual(options.subOptions.endpoint, "udp:localhost:1")

    def test_words_of_the_program(self) -> None:
        """The words are those of the command line if none are given."""
        self.patch(sys, "argv", ["twistd", "--count", "3"])
        options = Options()
        options.parseOptions()
        self.assertEqual(options.subOptions.count, 3)


class ServiceTests(LoadCase):
    """What is made of them."""

    def test_each_has_its_own(self) -> None:
        """The service is that of the options."""
        kinds = {"arithmetic": ArithmeticLoadService, "sequence": SequenceLoadService}
        for self.service, kind in kinds.items():
            services: Any = makeService(self.parse())
            self.assertEqual([type(one) for one in services], [kind])

    def test_mistakes_are_one_line(self) -> None:
        """The hook for exceptions is ours."""
        makeService(self.parse())
        self.assertIs(sys.excepthook, one_line)

    def test_log_format(self) -> None:
        """With --log-format json the services have the log of twistd's options, in JSON."""
        options = self.parse("--log-format", "json")
        options.parent = {"logfile": "-"}  # type: ignore[assignment]
        service: Any = makeService(options)
        self.assertIsInstance(service, JsonLog)
        self.assertIs(options.subOptions.parent, options.parent)
        self.assertNotIsInstance(makeService(self.parse()), JsonLog)
