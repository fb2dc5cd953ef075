"""``twistd lab-client``: clients that keep the services busy, and say what they saw."""

import sys
from typing import Any

from twisted.application.service import IService
from twisted.python import usage

from lab.commands.load_arithmetic import ArithmeticLoadService, ArithmeticOptions
from lab.commands.load_sequence import SequenceLoadService, SequenceOptions
from lab.commands.loads import LoadService
from lab.commands.options import LabOptions, one_line

_SERVICES: dict[str, type[LoadService]] = {
    "arithmetic": ArithmeticLoadService,
    "sequence": SequenceLoadService,
}


class Options(usage.Options):
    """Options of ``twistd lab-client``: which service is kept busy."""

    synopsis = "[SERVICE] [options]"
    longdesc = "SERVICE is arithmetic if none is named. See lab-client SERVICE --help."
    subCommands = [  # noqa: RUF012 - Twisted's own form
        ["arithmetic", None, ArithmeticOptions, "Keep an arithmetic server busy."],
        ["sequence", None, SequenceOptions, "Keep a sequence server busy, and cut clients off."],
    ]

    opt_version = LabOptions.opt_version

    def parseOptions(self, options: list[str] | None = None) -> None:
        """Parse, with the name of the service put in where it is left out."""
        words = list(sys.argv[1:] if options is None else options)
        if not words or words[0] not in {"--help", "--version", *_SERVICES}:
            words.insert(0, "arithmetic")
        super().parseOptions(words)


def makeService(options: Options) -> IService:
    """
    Build the clients that the options name.

    Args:
        options: Parsed options.
    """
    from twisted.internet import reactor

    sys.excepthook = one_line
    chosen: Any = options.subOptions
    # twistd knows the options of the service only by the class above these.
    chosen.parent = options.parent
    services: IService = chosen.services()
    _SERVICES[str(options.subCommand)](reactor, chosen).setServiceParent(services)
    return services
