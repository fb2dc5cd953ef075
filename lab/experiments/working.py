"""One repetition, in the simulator or as processes, and the line of results that it makes."""

import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version

from attrs import Factory, frozen

from lab.errors import LabError
from lab.experiments import processes, simulated
from lab.experiments.plan import Repetition
from lab.experiments.results import Result
from lab.experiments.windows import windows


@frozen
class Work:
    """
    Does a repetition, in whatever process; it can be pickled.

    Args:
        name: Of the experiment.
        limit: A repetition takes no longer, in seconds.
        stage: What real processes need; None simulates.
        wall: Gives the time of day, in seconds since 1970; not asked in a simulation.
        versions: Of what it runs on.
    """

    name: str
    limit: float
    stage: processes.Stage | None = None
    wall: Callable[[], float] | None = None
    versions: Mapping[str, str] = Factory(
        lambda self: versions(simulated=self.stage is None), takes_self=True
    )

    def __call__(self, repetition: Repetition) -> Result:
        """Do it; an error is part of the result."""
        try:
            return self._simulate(repetition) if self.stage is None else self._measure(repetition)
        except LabError as error:
            return self.failed(repetition, str(error).splitlines()[0])
        except Exception as error:  # noqa: BLE001 - one bug does not end ten thousand cells
            return self.failed(repetition, f"{type(error).__name__}: {error}")

    def failed(self, repetition: Repetition, error: str) -> Result:
        """The line of one that has failed."""
        return self._result(repetition, error=error)

    def _simulate(self, repetition: Repetition) -> Result:
        """In the simulator."""
        found, lasted = simulated.run(repetition, self.limit)
        return self._result(
            repetition,
            measures=found.measures,
            series=found.series,
            windows=windows(repetition.cell, lasted),
        )

    def _measure(self, repetition: Repetition) -> Result:
        """As processes."""
        assert self.stage is not None  # noqa: S101 - only then it is called
        began = self.wall() if self.wall is not None else None
        found, lasted, used = processes.run(repetition, self.limit, self.stage)
        return self._result(
            repetition,
            measures=found.measures,
            series=found.series,
            windows=windows(repetition.cell, lasted),
            processes=used,
            began=began,
        )

    def _result(self, repetition: Repetition, **found: object) -> Result:
        """The line that is kept."""
        values: dict[str, object] = {
            "experiment": self.name,
            "cell": repetition.cell.values,
            "repetition": repetition.number,
            "warm_up": repetition.warm_up,
            "seed": repetition.seed,
            "simulated": self.stage is None,
            "versions": self.versions,
        }
        return Result(**(values | found))  # type: ignore[arg-type]


def versions(*, simulated: bool) -> dict[str, str]:
    """The versions that a result depends on; what is simulated does not depend on a kernel."""
    found = {
        "txlab": version("txlab"),
        "python": platform.python_version(),
        "twisted": version("twisted"),
    }
    return found if simulated else found | {"kernel": f"{platform.system()} {platform.release()}"}
