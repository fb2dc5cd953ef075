"""
Two cuts of one sequence, wherever they are: the proof that takes minutes.

It is here because trial knows no marks, and would run it each time.
"""

import pytest

from lab.simulator import exhaust
from tests.sequence.test_tcp import five_that_are_cut


@pytest.mark.thorough
def test_every_pair_of_cuts() -> None:
    """Five numbers, cut behind any byte and then behind any later one, in both directions."""
    assert exhaust(five_that_are_cut, faults=2, jobs=0, most=200_000) > 50_000
