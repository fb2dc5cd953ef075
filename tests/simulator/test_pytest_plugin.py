"""The plug-in for pytest, called as pytest calls it."""

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from lab.simulator import pytest_plugin
from lab.simulator.network import SimulationFailed, simulate


class Request:
    """A stand-in for pytest's request, of a test with these markers."""

    def __init__(self, **markers: Any) -> None:
        self.node = self
        self.get_closest_marker = markers.get


class NetTests(SynchronousTestCase):
    """The fixture."""

    def begin(self, **markers: Any) -> Any:
        """What the fixture gives, one after the other."""
        # pytest wraps the function, so that nobody calls a fixture by mistake.
        return pytest_plugin.net.__wrapped__(Request(**markers))  # type: ignore[attr-defined]

    def test_seed(self) -> None:
        """The seed is 0, or that of the marker."""
        for markers, seed in (({}, 0), ({"seed": pytest.mark.seed(7).mark}, 7)):
            fixture = self.begin(**markers)
            self.assertEqual(next(fixture).seed, seed)
            self.assertEqual(list(fixture), [])

    def test_failure(self) -> None:
        """What went wrong on a host is raised at the end."""
        fixture = self.begin()
        next(fixture).failures.append("a: oops")
        self.assertRaises(SimulationFailed, next, fixture)

    def test_marker(self) -> None:
        """The marker is declared, for who allows no others."""
        lines: list[tuple[str, str]] = []
        config: Any = self
        self.addinivalue_line = lambda *line: lines.append(line)
        pytest_plugin.pytest_configure(config)
        self.assertEqual(
            [(name, text.split("(")[0]) for name, text in lines], [("markers", "seed")]
        )

    def test_report(self) -> None:
        """A test with a network that fails has its report, and no other test."""
        with simulate(7) as net:
            for funcargs, when, failed, expected in (
                ({"net": net}, "call", True, ["simulation"]),
                ({"net": net}, "call", False, []),
                ({"net": net}, "setup", True, []),
                ({"net": "another"}, "call", True, []),
                ({}, "call", True, []),
            ):
                told: Any = SimpleNamespace(when=when, failed=failed, sections=[])
                item: Any = SimpleNamespace(funcargs=funcargs)
                steps = pytest_plugin.pytest_runtest_makereport(item)
                next(steps)
                error = self.assertRaises(StopIteration, steps.send, told)
                self.assertIs(error.value, told)
                self.assertEqual([title for title, _ in told.sections], expected)
