"""Processes that work through tasks side by side; one that dies costs the result it was at, and no other.

Workers are started afresh (`spawn`), so that no state of the main process is theirs. Each leads a process group with
whatever its methods start, and ends itself and the group when the main process is gone, however that ended.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from RobustDIRLib.cohort.work import Begun, Ended, Task, WorkSettings, perform
from RobustDIRLib.errors import InputError

# What a process needs once its pipe is closed to end by itself.
_GRACE_S = 5.0


@dataclass(frozen=True)
class Lost:
    """A worker died while it was at a task.

    Attributes:
        task: What was left of it: the first wanted result is the one that was being made.
        why: In words.
    """

    task: Task
    why: str


@dataclass(frozen=True)
class _Broken:
    """A worker could not go on: the folder cannot be written to."""

    error: Exception


Event = Begun | Ended | Lost
Told = Callable[[Event], None]


class _Worker:
    """One process, the main process's side."""

    def __init__(self, settings: WorkSettings, scratch: Path, place: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.place = place
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, settings, scratch, place), daemon=True)
        self.process.start()
        theirs.close()
        self.task: Task | None = None

    def give(self, task: Task) -> None:
        """Hand over a task; a process that has died in the meantime is found out by `hear`."""
        self.task = task
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(task)

    def hear(self) -> Event | None:
        """What it says; None when the task is done.

        Raises:
            OSError, InputError: If it could not write.
        """
        assert self.task is not None
        try:
            message = self.connection.recv()
        except (EOFError, ConnectionResetError):
            return self._lost()
        if isinstance(message, _Broken):
            raise message.error
        if message is None:
            self.task = None
        elif isinstance(message, Ended):
            self.task = replace(self.task, wanted=self.task.wanted[1:])
        return message if isinstance(message, (Begun, Ended)) else None

    def _lost(self) -> Lost:
        assert self.task is not None
        self.process.join(_GRACE_S)
        code = self.process.exitcode
        self.end()  # with what it has started
        return Lost(self.task, _death(code))

    def end(self) -> None:
        """End it and all that it has started."""
        self.connection.close()
        _kill(self.process)


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        return (
            f"its process was ended by signal {-code}, which often means that memory ran out; run fewer processes at "
            f"once or crop the images"
        )
    return f"its process ended of itself (exit code {code})"


def _kill(process: Any) -> None:
    if hasattr(os, "killpg") and process.pid is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it has not yet made its group, or all are gone
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join(_GRACE_S)


def work_through(tasks: Iterable[Task], jobs: int, settings: WorkSettings, scratch: Path, told: Told) -> None:
    """Work through tasks in some processes; returns when all are done.

    Args:
        tasks: Handed out in order.
        jobs: How many processes at once.
        settings: Of the run.
        scratch: Folder for the processes' temporary files.
        told: Told of every event. Of a `Lost` the first wanted result counts as failed and the rest is done anew.
    Raises:
        OSError, InputError: If results cannot be written.
    """
    waiting, crew = deque(tasks), list[_Worker]()
    try:
        while waiting or any(worker.task for worker in crew):
            _employ(crew, waiting, jobs, settings, scratch)
            busy: dict[Any, _Worker] = {worker.connection: worker for worker in crew if worker.task}
            for connection in wait(list(busy)):
                _listen(busy[connection], crew, waiting, told)
    finally:
        for worker in crew:
            worker.end()


def _employ(crew: list[_Worker], waiting: deque[Task], jobs: int, settings: WorkSettings, scratch: Path) -> None:
    """Give every idle worker a task, and take on more where there is work for them."""
    for worker in crew:
        if worker.task is None and waiting:
            worker.give(waiting.popleft())
    free = sorted(set(range(jobs)) - {worker.place for worker in crew}, reverse=True)
    while waiting and free:
        crew.append(_Worker(settings, scratch, free.pop()))
        crew[-1].give(waiting.popleft())


def _listen(worker: _Worker, crew: list[_Worker], waiting: deque[Task], told: Told) -> None:
    event = worker.hear()
    if event is None:
        return
    if isinstance(event, Lost):
        crew.remove(worker)
        rest = event.task.wanted[1:]
        if rest:
            waiting.appendleft(replace(event.task, wanted=rest))
    told(event)


def _serve(connection: Connection, settings: WorkSettings, scratch: Path, place: int) -> None:
    """The worker's side: task after task until the pipe is closed."""
    _stay_with_parent()
    if settings.spread_gpus:
        _take_gpu(place)
    tempfile.tempdir = str(scratch)
    os.environ["TMPDIR"] = str(scratch)
    _limit_threads(settings.threads)
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        try:
            perform(task, settings, connection.send)
        except (OSError, InputError) as error:
            connection.send(_Broken(error))
            return
        connection.send(None)


def _stay_with_parent() -> None:
    """Lead a process group, and end with it as soon as the main process is gone: nothing is left running."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        if hasattr(os, "killpg"):
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _take_gpu(place: int) -> None:
    """Leave to this process and what it starts one of the machine's GPUs, if there are several, in turn.

    Args:
        place: Of this process among those of its rank; ranks of one machine hold LOCAL_WORLD_SIZE times as many.
    """
    import torch

    count = torch.cuda.device_count()
    if count < 2:
        return
    rank, ranks = (int(os.environ.get(name, text)) for name, text in (("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", "1")))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count)))).split(",")
    os.environ["CUDA_VISIBLE_DEVICES"] = visible[(rank + place * ranks) % count].strip()


def _limit_threads(threads: int) -> None:
    import SimpleITK as sitk
    import torch

    torch.set_num_threads(threads)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
