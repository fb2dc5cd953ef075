"""Results of experiments that nobody has run, for the tests of what reads results."""

from itertools import product
from typing import Any

from lab.experiments.results import Measure, Process, Result, Series, Window
from lab.rng import stream
from lab.statistics import Histogram

MIB = 2**20
VERSIONS = {"txlab": "0.1.0", "python": "3.13.1"}


def downloads(
    repetitions: int = 10, *, slower: float = 1.0, seed: int = 1, simulated: bool = False
) -> list[Result]:
    """Downloads by some clients of two sizes of file; all take longer by a factor."""
    dice = stream(seed, "made")
    found = []
    for clients, size in product((1, 2, 4), (MIB, 16 * MIB)):
        for repetition in range(repetitions):
            seconds = slower * size * clients / 1e8 * dice.uniform(0.9, 1.1)
            found.append(
                Result(
                    "download",
                    {"service": "download", "clients": clients, "size": size, "fault": ""},
                    repetition,
                    {
                        "duration": Measure("s", (seconds,), better="less"),
                        "throughput": Measure("B/s", (size / seconds,), better="more"),
                    },
                    seed=seed,
                    simulated=simulated,
                    processes=() if simulated else (Process("server-1", 0.1, 4e7),),
                    versions=VERSIONS,
                )
            )
    return found


def streams(
    repetitions: int = 3, loss: tuple[str, ...] = ("", "loss:probability=0.1")
) -> list[Any]:
    """Latencies of a server that pauses, and loss over time while a fault is at work."""
    dice = stream(1, "streams")
    found = []
    for fault, repetition in product(loss, range(repetitions)):
        latency, naive = Histogram(), Histogram()
        for number in range(5000):
            own = dice.uniform(0.001, 0.002)
            latency.add(own + max(0, 1 - number / 500))
            naive.add(own + (number == 0))
        times = [number / 4 for number in range(41)]
        lost = [0.1 * dice.random() + 0.3 * (bool(fault) and 3 <= time < 5) for time in times]
        found.append(
            Result(
                "stream",
                {"rate": 1000, "fault": fault},
                repetition,
                {
                    "latency": Measure("s", histogram=latency, better="less"),
                    "latency_naive": Measure("s", histogram=naive, better="less"),
                    "success": Measure("1", (1.0 - repetition / 100,), better="more"),
                },
                series={"loss": Series("1", times, lost)},
                windows=(Window(3, 5, "loss"), Window(7, 7.5, "partition")) if fault else (),
            )
        )
    return found
