"""
Two cuts of one sequence, wherever they are: the proof that takes minutes.

It is here because trial knows no marks, and would run it each time.
"""

from functools import partial

import pytest
from twisted.internet.endpoints import TCP4ClientEndpoint

from lab.simulator import exhaust
from tests.sequence.test_tcp import five_that_are_cut


@pytest.mark.early
@pytest.mark.thorough
def test_every_pair_of_cuts() -> None:
    """Five numbers, cut behind any byte and then behind any later one, in both directions."""
    # Single cuts meet a host that is looked up as well; it would be a quarter of each run.
    scenario = partial(five_that_are_cut, endpoint=TCP4ClientEndpoint)
    assert exhaust(scenario, faults=2, jobs=0, most=200_000) > 50_000
