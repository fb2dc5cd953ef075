"""
A Dask cluster as an executor: repetitions run on its workers, on whatever machines they are.

Dask itself does a task again when the worker that had it has died. Its result comes once, whatever
happens, and is written by nobody but the process that has asked for it.
"""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from attrs import define, field

from lab.errors import LabError, LocalError
from lab.experiments.plan import Repetition
from lab.experiments.remote import Done, Remote
from lab.experiments.results import Result
from lab.experiments.working import Work

#: A scheduler that is there answers sooner, in seconds.
PATIENCE = 5.0
#: So often it is looked which workers there are, in seconds.
EVERY = 2.0
_ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9A-Fa-f:.%\w]+\]|[^\s:/@\[\]]+):([0-9]{1,5})")
# Besides txlab itself, what else decides how a simulation comes out.
_DECIDING = ("python", "twisted")
_KEPT = "what is finished is kept, go on with the same command"


@contextmanager
def cluster(address: str, folder: Path, say: Callable[[str], object]) -> Iterator["Cluster"]:
    """
    The workers of a scheduler; there is at least one. At the end nothing of ours is left there.

    Args:
        address: Of the scheduler, for example ``tcp://10.0.0.1:8786``.
        folder: That of the experiment: logs of real processes are written there.
        say: Told what people should know, maybe by another thread.

    Raises:
        LocalError: The address is none, or Dask is not installed.
        LabError: No scheduler answers there.
    """
    check(address)
    from distributed import Client  # noqa: PLC0415 - not there without the extra

    asyncio.run(_ask(address))
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except OSError as error:
        raise LabError(f"scheduler {address} does not answer: {_line(error)}") from None
    try:
        with Cluster(client, address, folder, say) as made:
            yield made
    finally:
        client.close(PATIENCE)


def check(address: str) -> None:
    """
    Refuse an address that is none.

    Raises:
        LocalError: It is none, or Dask is not installed.

    >>> check("tcp://127.0.0.1:8786")
    >>> check("8786")
    Traceback (most recent call last):
    lab.errors.LocalError: scheduler is '8786'; give tcp://HOST:PORT, for example \
tcp://10.0.0.1:8786
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found[3]) < 2**16:
        raise LocalError(
            f"scheduler is {address!r}; give tcp://HOST:PORT, for example tcp://10.0.0.1:8786"
        )
    if find_spec("distributed") is None:
        raise LocalError("a scheduler needs distributed; pip install 'txlab[cluster]'")


async def _ask(address: str) -> None:
    """
    See whether it is a scheduler: Dask's client waits for ever for one that only listens.

    Raises:
        LabError: It is none.
    """
    from distributed import Security, rpc  # noqa: PLC0415 - not there without the extra

    try:
        given = Security().get_connection_args("client")
        async with asyncio.timeout(PATIENCE), rpc(address, connection_args=given) as peer:
            kind = (await peer.identity())["type"]
    except TimeoutError:
        raise LabError(f"scheduler {address} does not answer within {PATIENCE:g} s") from None
    except Exception as error:
        # What is no Dask at all is read as lengths of any size.
        raise LabError(f"{address} is no scheduler of Dask: {_line(error)}") from error
    if kind != "Scheduler":
        raise LabError(f"{address} is a {str(kind).lower()} of Dask; give its scheduler")


@define(eq=False)
class Cluster(Executor):
    """
    Does repetitions on the workers of a cluster.

    Args:
        client: Dask's.
        address: Of the scheduler.
        folder: That of the experiment.
        say: Told what people should know, maybe by another thread.

    Attributes:
        threads: So many repetitions run at a time there, as far as is known.
    """

    client: Any
    address: str
    folder: Path
    say: Callable[[str], object]
    threads: int = 0
    _executor: Executor = field(init=False)
    _looking: Any = field(init=False)
    _odd: set[str] = field(factory=set)

    def __attrs_post_init__(self) -> None:
        """Begin to look."""
        from tornado.ioloop import PeriodicCallback  # noqa: PLC0415 - Dask's own

        self._executor = self.client.get_executor(pure=False)
        self._looking = PeriodicCallback(self._look, EVERY * 1000)
        self.client.loop.add_callback(self._looking.start)

    def __enter__(self) -> Self:
        """
        Wait until there is a worker.

        Raises:
            LabError: The scheduler has gone.
        """
        try:
            self.threads = sum(self.client.nthreads().values())
            if not self.threads:
                self.say(f"waiting for a worker of {self.address}")
                self.client.wait_for_workers(1)
                self.threads = sum(self.client.nthreads().values())
        except OSError as error:
            raise self._lost() from error
        return self

    def submit(  # type: ignore[override]
        self, work: Work, /, repetition: Repetition
    ) -> "Future[Result]":
        """
        Have a worker do a repetition.

        What comes of it may be a `LabError`: the run can't go on.
        """
        result: Future[Result] = Future()

        def ended(done: "Future[Done]") -> None:
            """It has come back, or never will."""
            try:
                result.set_result(self._take(done, work, repetition))
            except Exception as error:  # noqa: BLE001 - a bug, too, is told to who waits
                result.set_exception(error)

        self._executor.submit(Remote(work), repetition).add_done_callback(ended)
        return result

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002
        """Look no more. What is not done is given up when the client closes."""
        self.client.loop.add_callback(self._looking.stop)

    def _take(self, done: "Future[Done]", work: Work, repetition: Repetition) -> Result:
        """The line of results, after the logs were written."""
        from distributed.scheduler import KilledWorker  # noqa: PLC0415 - see above

        if done.cancelled():
            raise self._lost()
        error = done.exception()
        if isinstance(error, KilledWorker):
            last = error.last_worker.address
            return work.failed(repetition, f"each worker that began it has died, {last} last")
        if isinstance(error, LabError):
            raise error
        if error is not None:
            raise LabError(f"a worker can't do it: {type(error).__name__}: {_line(error)}; {_KEPT}")
        back = done.result()
        self._compare(back, work.versions)
        self._write(back.logs)
        return back.result

    def _compare(self, back: Done, ours: Mapping[str, str]) -> None:
        """Say once that results of a worker may be others than ours would be."""
        for name in _DECIDING:
            there = f"{name} {back.result.versions[name]}"
            if back.result.versions[name] != ours[name] and there not in self._odd:
                self._odd.add(there)
                self.say(
                    f"worker {back.worker} has {there}, and this is {ours[name]}: what is "
                    "simulated may come out otherwise there"
                )

    def _write(self, logs: Mapping[str, bytes]) -> None:
        """Keep what processes have logged."""
        folder = self.folder / "logs"
        try:
            for name, text in logs.items():
                folder.mkdir(parents=True, exist_ok=True)
                with (folder / Path(name).name).open("ab") as file:
                    file.write(text)
        except OSError as error:
            raise LocalError(f"to is {str(self.folder)!r}; {error.strerror}") from None

    async def _look(self) -> None:
        """See how many workers there are."""
        with suppress(OSError):  # that the scheduler has gone is seen elsewhere
            threads = sum((await self.client.nthreads()).values())
            if self.threads and not threads:
                self.say(f"no worker of {self.address} is left; waiting for one")
            self.threads = threads

    def _lost(self) -> LabError:
        """The scheduler has gone."""
        return LabError(f"scheduler {self.address} is lost; {_KEPT}")


def _line(error: BaseException) -> str:
    """An error in one line."""
    return (str(error) or type(error).__name__).splitlines()[0]
