"""A plan whose repetitions are done at once, in whatever process."""

from lab.experiments.plan import Repetition, read
from lab.experiments.results import Measure, Result

PLAN = read("[experiment]\nservice=arithmetic\ncount=2\nclients=1,2,3\nrepetitions=4", "mine")


def work(one: Repetition) -> Result:
    """What comes of a repetition follows from its seed."""
    measures = {"success": Measure("1", (one.seed % 100,))}
    values = one.cell.values
    return Result("mine", values, one.number, measures, seed=one.seed, simulated=True)
