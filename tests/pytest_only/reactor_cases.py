"""
Twisted's own tests of reactors, for one reactor: ``python -m tests.pytest_only.reactor_cases``.

The arguments are the full name of the reactor's class, and modules of tests. What came of each test
is printed, in JSON.
"""

import json
import sys

from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.trial.reporter import TestResult
from twisted.trial.runner import TestLoader

from lab.adapters.epoll import LabReactor


class EPollReactor(LabReactor):
    """Ours, under the name by which these tests know what epoll can't tell a reactor."""


def main(reactor: str, *modules: str) -> None:
    """Run them."""
    ReactorBuilder._reactors = [reactor]
    result = TestResult()
    # Trial's results are told of successes by their number only.
    passed: list[str] = []
    count = result.addSuccess

    def keep(test: object) -> None:
        passed.append(test.id())
        count(test)

    result.addSuccess = keep
    TestLoader().loadByNames(modules).run(result)
    kinds = {"failed": result.failures, "error": result.errors, "skipped": result.skips}
    said = {test.id(): kind for kind, tests in kinds.items() for test, _ in tests}
    sys.stdout.write(json.dumps(said | dict.fromkeys(passed, "passed")) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
