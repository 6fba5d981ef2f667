"""The tasks of an evaluation worked through: one after the other in this process, or as tasks of Dask."""

from __future__ import annotations

import os
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import lru_cache
from threading import Lock
from typing import Any

from RobustDIRLib import __version__
from RobustDIRLib.clusters import Errands, Place, Say, failure, opened, tell_client
from RobustDIRLib.cohort.task import Ended, Lost, Task, TaskSettings, finished, perform
from RobustDIRLib.configuration import from_dict
from RobustDIRLib.errors import InputError
from RobustDIRLib.run_files import EVALUATION

_BUSY = Lock()  # of a worker with several threads: what a task sets holds for the whole process

Event = Ended | Lost
Told = Callable[[Event], None]


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
    with opened(replace(place, jobs=jobs), settings.threads, settings.scratch, say) as client:
        if place.far:
            settings = replace(settings, scratch=None, spread_gpus=False)  # the cluster's own business
        yield _Dispatcher(client, tasks, settings).work


def _one_by_one(tasks: Sequence[Task], settings: TaskSettings, told: Told) -> None:
    for task in tasks:
        perform(task, settings, told)


class _Dispatcher:
    """Hands tasks to a cluster and hears what becomes of them.

    Args:
        client: Of the cluster.
        tasks: Of the run.
        settings: Of the run.
    """

    def __init__(self, client: Any, tasks: Sequence[Task], settings: TaskSettings) -> None:
        self.tasks, self.settings = tasks, settings
        # Whether a task whose workers died was the cause of it. On clusters of others a worker may hold a second task,
        # which dies with the first: those are done anew at the end, one at a time.
        self.certain = client.cluster is not None
        self.errands = Errands(client)
        self.pending: dict[str, tuple[Any, Task, bool]] = {}  # by Dask's key: whether the task is alone
        self.suspects: deque[Task] = deque()
        self.made: set[Any] = set()

    def work(self, told: Told) -> None:
        """Work through all tasks.

        Raises:
            ConnectionError: If the scheduler is gone.
            OSError, InputError: If results cannot be written.
        """
        for task in self.tasks:
            self._submit(task, self.certain)
        while self.pending or self.suspects:
            if not self.pending:
                self._submit(self.suspects.popleft(), alone=True)
            self._hear(self.errands.hear(), told)

    def _submit(self, task: Task, alone: bool) -> None:
        key = f"{task.case.name}-{uuid.uuid4().hex}"
        future = self.errands.submit(key, _on_worker, task, self.settings, self.errands.topic, __version__)
        self.pending[key] = future, task, alone

    def _hear(self, news: Any, told: Told) -> None:
        if isinstance(news, dict):
            self._tell(from_dict(Ended, news), told)
            return
        _, task, alone = self.pending.pop(news.key)
        if news.status == "finished":
            for ended in news.result():
                self._tell(ended, told)
        else:
            self._failed(failure(news), task, alone, told)

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
        if not tell_client(worker, topic, asdict(ended)):
            raise _Dropped

    with _BUSY:
        if settings.spread_gpus:
            _take_gpu(int(worker.name))
        perform(task, settings, tell)
    return made


class _Dropped(Exception):
    """Nobody waits for the rest of a task any more."""


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
