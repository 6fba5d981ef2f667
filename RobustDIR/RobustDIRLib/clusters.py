"""Where work is done: in this process, or by Dask in several of this machine or on any cluster.

Dask shares tasks out, restarts workers that die and gives their tasks to others, bounds the memory of each and shows
all of it on its dashboard. What a task leaves in files is ours, and a run goes on from there.
"""

from __future__ import annotations

import json
import logging
import queue
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from RobustDIRLib.errors import InputError

_INSTALL = "pip install 'robustdir[cluster]'"
_CONNECT_S = 10
_TICK_S = 0.5  # Ctrl-C is heeded as often where waiting cannot be interrupted
_PATIENCE_S = 60.0
_UNREAD = "deserialization"  # as Dask says of a scheduler that cannot unpickle tasks
_SILENT = logging.CRITICAL + 1
_LOGGERS = ("distributed", "distributed.client", "bokeh", "tornado", "tornado.application")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_GONE = (
    "the Dask scheduler is gone, or has dropped the tasks; what is finished is kept, and the same command goes on from "
    "there"
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    """Where tasks are worked through.

    Attributes:
        jobs: Processes at once, on this machine; 1 is this process.
        scheduler: Address of a Dask scheduler, or the file that it wrote; instead of `jobs`.
    """

    jobs: int = 1
    scheduler: str | None = None

    @property
    def far(self) -> bool:
        """Whether a cluster of the user's own does the work."""
        return self.scheduler is not None


def without_dask() -> str | None:
    """What to say where several processes are wanted and Dask is missing."""
    if find_spec("distributed") and find_spec("cryptography"):
        return None
    return f"several jobs need Dask ({_INSTALL}); without it all is done in one process"


def place_of(jobs: int, scheduler: str | None, say: Say) -> Place:
    """Where work that is asked for is done: in this process where several cannot be had, which is said."""
    if scheduler is None and jobs > 1 and (why := without_dask()):
        say(why)
        return Place()
    return Place(jobs, scheduler)


@contextmanager
def opened(place: Place, threads: int, scratch: Path | None, say: Say) -> Iterator[Any]:
    """A client of Dask, where the work is to be done.

    Args:
        place: Not this process.
        threads: Of each process of this machine.
        scratch: Folder for their temporary files; None leaves them where Dask has them.
        say: Told what the user should know of the cluster.
    Raises:
        InputError: If Dask is missing or the scheduler does not answer.
    """
    if place.far and not find_spec("distributed"):
        raise InputError(f"`scheduler` needs Dask: {_INSTALL}, here and on the workers.")
    cluster = _connected(place.scheduler) if place.scheduler else _local_cluster(place.jobs, threads, scratch)
    with _silence(), cluster as client:
        _introduce(client, say)
        yield client


class WorkerWatch:
    """Notices that nobody is left to work: Dask waits for workers for ever."""

    def __init__(self, client: Any) -> None:
        self._cluster, self._alive = client.cluster, time.monotonic()

    def look(self) -> None:
        """Look at the processes of a local cluster; a cluster of others may have none for as long as it likes.

        Raises:
            ConnectionError: If none could be started again.
        """
        if self._cluster is None:
            return
        if any(nanny.is_alive() for nanny in list(self._cluster.workers.values())):
            self._alive = time.monotonic()
        elif time.monotonic() - self._alive > _PATIENCE_S:
            raise ConnectionError(
                "the processes of `jobs` have ended and could not be started again; what is finished is kept, and the "
                "same command goes on from there, better with fewer of them"
            )


class Errands:
    """Tasks handed to a cluster, and what is heard of them.

    Args:
        client: Of the cluster.

    Attributes:
        topic: Under which workers tell of records, by `tell_client`.
    """

    def __init__(self, client: Any) -> None:
        self.topic = f"robustdir-{uuid.uuid4().hex}"
        self._client, self._watch = client, WorkerWatch(client)
        self._news: queue.SimpleQueue[Any] = queue.SimpleQueue()
        # Text, as Dask adds words of its own to a dictionary.
        client.subscribe_topic(self.topic, lambda event: self._news.put(json.loads(event[1])))

    def submit(self, key: str, work: Callable[..., Any], *values: Any) -> Any:
        """Hand out a task; its future, which `hear` gives when it is over."""
        future = self._client.submit(work, *values, key=key, pure=False)
        future.add_done_callback(self._news.put)
        return future

    def hear(self) -> Any:
        """Wait for what comes next: a record that a worker told, a dictionary, or the future of a task that is over.

        Raises:
            ConnectionError: If nobody is left to work.
        """
        while True:
            try:
                return self._news.get(timeout=_TICK_S)
            except queue.Empty:
                self._watch.look()


def tell_client(worker: Any, topic: str, record: Mapping[str, Any]) -> bool:
    """Tell whoever asked for the task of a worker of a record, plain values; whether anybody still listens."""
    worker.log_event(topic, json.dumps(record))
    return not _is_dropped(worker)


def failure(future: Any) -> BaseException:
    """What became of a task that came to no end, as users are told; `distributed.KilledWorker` stays as it is."""
    if future.status != "error":
        return ConnectionError(_GONE)
    error: BaseException = future.exception()
    if isinstance(error, ImportError) or isinstance(error.__cause__, ImportError) or _UNREAD in str(error):
        return InputError(
            f"the cluster cannot import what it needs ({str(error).splitlines()[0]}); install the same version of "
            f"robustdir where its scheduler and its workers run."
        )
    return error


def _is_dropped(worker: Any) -> bool:
    """Whether whoever asked for the task that runs in a worker has gone: Dask cannot end a thread."""
    task = worker.state.tasks.get(worker.get_current_task())
    return task is None or task.state == "cancelled"


@contextmanager
def _silence() -> Iterator[None]:
    """Dask's own log stays off the terminal: what the user has to know is said in our words."""
    import distributed  # noqa: F401 - makes the loggers' handlers

    handlers = [handler for name in _LOGGERS for handler in logging.getLogger(name).handlers]
    levels = [handler.level for handler in handlers]
    for handler in handlers:
        handler.setLevel(_SILENT)
    try:
        yield
    finally:
        for handler, level in zip(handlers, levels, strict=True):
            handler.setLevel(level)


def _rules(threads: int, scratch: Path | None) -> dict[str, Any]:
    """Dask's settings for workers of this machine."""
    import dask

    surroundings = {**dict.fromkeys(_THREADS, threads), "DASK_LOGGING__DISTRIBUTED": "critical"}
    return {
        **({"temporary-directory": str(scratch)} if scratch else {}),
        "distributed.scheduler.allowed-failures": 1,  # what ends two workers would end a third
        "distributed.scheduler.worker-saturation": 1.0,  # one task a worker: with it dies no other
        "distributed.deploy.lost-worker-timeout": "1 hour",  # a worker that starts again, however slowly, is not lost
        "distributed.nanny.pre-spawn-environ": {
            **dask.config.get("distributed.nanny.pre-spawn-environ"),
            **surroundings,
        },
    }


@contextmanager
def _local_cluster(jobs: int, threads: int, scratch: Path | None) -> Iterator[Any]:
    """Worker processes of this machine, which end with this one, however that ends."""
    import dask
    from distributed import Client, LocalCluster

    with (
        dask.config.set(_rules(threads, scratch)),
        LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",  # any free port; without bokeh nothing is to be seen there
            silence_logs=_SILENT,
            security=True,  # others on this machine must not send it tasks
            preload=[__name__],
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def dask_setup(worker: Any) -> None:
    """Called by Dask in each worker of a local cluster: Ctrl-C is for the main process, which ends its workers."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _connected(scheduler: str) -> Iterator[Any]:
    """A client of a cluster that is there.

    Raises:
        InputError: If nobody answers.
    """
    from distributed import Client

    where = {"scheduler_file": scheduler} if Path(scheduler).is_file() else {"address": scheduler}
    try:
        client = Client(**where, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:  # nobody there, or no address
        raise InputError(
            f"`scheduler` {scheduler}: no Dask scheduler answers there; give its address as `dask scheduler` prints "
            f"it, or its scheduler file."
        ) from error
    with client:
        yield client


def _introduce(client: Any, say: Say) -> None:
    if not client.scheduler_info()["workers"]:
        say("the cluster has no worker yet; waiting for one")
    if find_spec("bokeh") and client.dashboard_link:
        say(f"Dask's dashboard: {client.dashboard_link}")
