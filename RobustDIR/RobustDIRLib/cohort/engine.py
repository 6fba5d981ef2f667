"""Tasks worked through: one after the other in this process, or as tasks of Dask, on this machine or on any cluster.

Dask shares tasks out, restarts workers that die and gives their tasks to others, bounds the memory of each and shows
all of it on its dashboard. Ours are the result files: a run that ends, however it ends, goes on from those.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from RobustDIRLib import __version__
from RobustDIRLib.cohort.layout import EVALUATION
from RobustDIRLib.cohort.task import Ended, Lost, Task, TaskSettings, finished, perform
from RobustDIRLib.configuration import from_dict
from RobustDIRLib.errors import InputError

_INSTALL = "pip install 'robustdir[cluster]'"
_TICK_S = 0.5  # Ctrl-C is heeded as often where waiting cannot be interrupted
_CONNECT_S = 10
_SILENT = logging.CRITICAL + 1
_LOGGERS = ("distributed", "distributed.client", "bokeh", "tornado", "tornado.application")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_PATIENCE_S = 60.0
_UNREAD = "deserialization"  # as Dask says of a scheduler that cannot unpickle tasks
_BUSY = threading.Lock()  # of a worker with several threads: what a task sets holds for the whole process

Event = Ended | Lost
Told = Callable[[Event], None]
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
    if find_spec("distributed"):
        return None
    return f"several jobs need Dask ({_INSTALL}); without it all is done in one process"


@contextmanager
def crew(place: Place, tasks: Sequence[Task], settings: TaskSettings, say: Say) -> Iterator[Callable[[Told], None]]:
    """Get ready to work through tasks.

    Args:
        place: Where.
        tasks: Handed out in order.
        settings: Of the run.
        say: Told what the user should know of the cluster.
    Yields:
        What does it: it returns when all tasks are done, and tells of every result. Of a `Lost` the first wanted result
        counts as failed, and the rest is done anew.
    Raises:
        InputError: If Dask is missing or the scheduler does not answer. Work raises it, or an OSError, if results
            cannot be written, and a ConnectionError if the scheduler goes.
    """
    jobs = min(place.jobs, len(tasks))
    if not tasks or (jobs == 1 and not place.far):
        yield lambda told: _one_by_one(tasks, settings, told)
        return
    if place.far and not find_spec("distributed"):
        raise InputError(f"`scheduler` needs Dask: {_INSTALL}, here and on the workers.")
    with ExitStack() as stack:
        stack.enter_context(_silence())
        if place.scheduler is not None:
            client = stack.enter_context(_connected(place.scheduler))
            settings = replace(settings, scratch=None, spread_gpus=False)  # the cluster's own business
        else:
            client = stack.enter_context(_local_cluster(jobs, settings))
        _introduce(client, say)
        yield _Dispatcher(client, tasks, settings).work


def _one_by_one(tasks: Sequence[Task], settings: TaskSettings, told: Told) -> None:
    for task in tasks:
        perform(task, settings, told)


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


@contextmanager
def _local_cluster(jobs: int, settings: TaskSettings) -> Iterator[Any]:
    """Worker processes of this machine, which end with this one, however that ends."""
    import dask
    from distributed import Client, LocalCluster

    surroundings = {**dict.fromkeys(_THREADS, settings.threads), "DASK_LOGGING__DISTRIBUTED": "critical"}
    scratch = {"temporary-directory": str(settings.scratch)} if settings.scratch else {}
    rules = {
        **scratch,
        "distributed.scheduler.allowed-failures": 1,  # what ends two workers would end a third
        "distributed.scheduler.worker-saturation": 1.0,  # one task a worker: with it dies no other
        "distributed.deploy.lost-worker-timeout": "1 hour",  # a worker that starts again, however slowly, is not lost
        "distributed.nanny.pre-spawn-environ": {
            **dask.config.get("distributed.nanny.pre-spawn-environ"),
            **surroundings,
        },
    }
    with (
        dask.config.set(rules),
        LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0" if find_spec("bokeh") else None,
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


class _Dispatcher:
    """Hands tasks to a cluster and hears what becomes of them.

    Args:
        client: Of the cluster.
        tasks: Of the run.
        settings: Of the run.
    """

    def __init__(self, client: Any, tasks: Sequence[Task], settings: TaskSettings) -> None:
        self.client, self.tasks, self.settings = client, tasks, settings
        # Whether a task whose workers died was the cause of it. On clusters of others a worker may hold a second task,
        # which dies with the first: those are done anew at the end, one at a time.
        self.certain = client.cluster is not None
        self.alive = time.monotonic()
        self.topic = f"robustdir-{uuid.uuid4().hex}"
        self.news: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.pending: dict[str, tuple[Any, Task, bool]] = {}  # by Dask's key: whether the task is alone
        self.suspects: deque[Task] = deque()
        self.made: set[Any] = set()

    def work(self, told: Told) -> None:
        """Work through all tasks.

        Raises:
            ConnectionError: If the scheduler is gone.
            OSError, InputError: If results cannot be written.
        """
        self.client.subscribe_topic(self.topic, lambda event: self.news.put(from_dict(Ended, event[1])))
        for task in self.tasks:
            self._submit(task, self.certain)
        while self.pending or self.suspects:
            if not self.pending:
                self._submit(self.suspects.popleft(), alone=True)
            try:
                news = self.news.get(timeout=_TICK_S)
            except queue.Empty:
                self._look_after_workers()
            else:
                self._hear(news, told)

    def _look_after_workers(self) -> None:
        """Notice that nobody is left to work: Dask waits for workers for ever.

        Raises:
            ConnectionError: If no process of a local cluster could be started again.
        """
        if self.client.cluster is None:
            return
        if any(nanny.is_alive() for nanny in list(self.client.cluster.workers.values())):
            self.alive = time.monotonic()
        elif time.monotonic() - self.alive > _PATIENCE_S:
            raise ConnectionError(
                "the processes of `jobs` have ended and could not be started again; what is finished is kept, and the "
                "same command goes on from there, better with fewer of them"
            )

    def _submit(self, task: Task, alone: bool) -> None:
        key = f"{task.case.name}-{uuid.uuid4().hex}"
        future = self.client.submit(_on_worker, task, self.settings, self.topic, __version__, key=key, pure=False)
        self.pending[key] = future, task, alone
        future.add_done_callback(self.news.put)

    def _hear(self, news: Any, told: Told) -> None:
        if isinstance(news, Ended):
            self._tell(news, told)
            return
        _, task, alone = self.pending.pop(news.key)
        if news.status == "finished":
            for ended in news.result():
                self._tell(ended, told)
        elif news.status == "error":
            self._failed(news.exception(), task, alone, told)
        else:
            raise ConnectionError(
                "the Dask scheduler is gone, or has dropped the tasks; what is finished is kept, and the same command "
                "goes on from there"
            )

    def _tell(self, ended: Ended, told: Told) -> None:
        """Tell of a result once: a task that was begun again tells of what it had made before."""
        if ended.key not in self.made:
            self.made.add(ended.key)
            told(ended)

    def _failed(self, error: BaseException, task: Task, alone: bool, told: Told) -> None:
        """A task came to no end: its workers died, or it could not be done at all.

        Raises:
            OSError, InputError: If it could not be done at all.
        """
        from distributed import KilledWorker

        if isinstance(error, ImportError) or isinstance(error.__cause__, ImportError) or _UNREAD in str(error):
            raise InputError(
                f"the cluster cannot import what it needs ({str(error).splitlines()[0]}); install the same version of "
                f"robustdir where its scheduler and its workers run."
            ) from error
        if not isinstance(error, KilledWorker):
            raise error
        left = self._left_of(task, told)
        if left.wanted and not alone:
            self.suspects.append(left)
        elif left.wanted:
            told(Lost(left, _DEATH))
            if len(left.wanted) > 1:
                self._submit(replace(left, wanted=left.wanted[1:]), alone)

    def _left_of(self, task: Task, told: Told) -> Task:
        """What a task has not made; a worker may have died between writing a result and telling of it."""
        for ended in finished(task, self.settings):
            self._tell(ended, told)
        pairs = zip(task.wanted, task.places(), strict=True)
        return replace(task, wanted=tuple(wanted for wanted, key in pairs if key not in self.made))


_DEATH = (
    "the worker at it died, and so did the next, which often means that memory ran out; run fewer processes at once "
    "(`jobs`), give workers more memory, or crop the images"
)


def _on_worker(task: Task, settings: TaskSettings, topic: str, version: str) -> list[Ended]:
    """The worker's side.

    Raises:
        InputError: If the worker is of another version, or does not see the folder of the evaluation.
    """
    from distributed import get_worker

    worker, made = get_worker(), list[Ended]()
    if version != __version__:
        raise InputError(
            f"the worker {worker.address} has RobustDIR {__version__}, and this is {version}; install the same there."
        )
    if not (settings.folder / EVALUATION).is_file():
        raise InputError(
            f"the worker {worker.address} does not see {settings.folder}; data set and `output` have to lie where all "
            f"workers find them under the same path."
        )

    def tell(ended: Ended) -> None:
        made.append(ended)
        worker.log_event(topic, asdict(ended))
        if _is_dropped(worker):
            raise _Dropped

    with _BUSY:
        if settings.spread_gpus:
            _take_gpu(int(worker.name))
        perform(task, settings, tell)
    return made


class _Dropped(Exception):
    """Nobody waits for the rest of a task any more."""


def _is_dropped(worker: Any) -> bool:
    """Whether whoever asked for the task that runs here has gone: Dask cannot end a thread."""
    task = worker.state.tasks.get(worker.get_current_task())
    return task is None or task.state == "cancelled"


@lru_cache(maxsize=1)
def _take_gpu(place: int) -> None:
    """Leave to this process and what it starts one of the machine's GPUs, if there are several, in turn.

    Args:
        place: Of this process among those of the local cluster.
    """
    import torch

    count = torch.cuda.device_count()
    if count < 2:
        return
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count)))).split(",")
    os.environ["CUDA_VISIBLE_DEVICES"] = visible[place % count].strip()
