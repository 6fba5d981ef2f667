"""A small data set, methods whose outcome is known, and ways to run an evaluation without processes of its own."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import forked_commands
from registration_cases import grid_about, picture
from RobustDIRLib.baselines.method import Outcome, Pair
from RobustDIRLib.baselines.timing import Cost
from RobustDIRLib.cohort import figures, task
from RobustDIRLib.cohort import run as running
from RobustDIRLib.cohort.results import Key
from RobustDIRLib.datasets.cases import Case, Dataset
from RobustDIRLib.datasets.sources import ImageFile, LabelFile, LandmarkFile
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image, write_image
from RobustDIRLib.io.landmarks import Landmarks, write_landmarks
from timing_process import Telling

MIDDLE = np.array([30.0, -20.0, 10.0])
FIXED_GRID = grid_about(MIDDLE, (13, 17, 15), (5.3, 4.1, 6.1), (12, -8, 20), (1, -1, 1))
_STEP = 0.25  # mm by which the moving grids of neighbouring cases differ: methods tell the case by it
OTHER_GRID = grid_about(MIDDLE + [2, -1, 1], (21, 23, 19), (3.1, 3.3, 3.7), (4, 6, -8))
POINTS = MIDDLE + np.array([[0.0, 0, 0], [-12, 5, 10], [14, -6, -9], [5, 10, -12], [9, 4, 13]])


def shift_of(number: int) -> np.ndarray:
    """By how much the moving body of a case lies elsewhere, mm: no two alike."""
    return np.array([2.0 + number, -3.0, 1.5 * number])


def moving_grid(number: int) -> Grid:
    return grid_about(MIDDLE + [1 + _STEP * number, 2, -3], (18, 16, 19), (4.3, 4.9, 4.7), (-10, 25, 8), (-1, 1, 1))


def number_of(moving: Grid) -> int:
    return round((moving.origin[0] - moving_grid(0).origin[0]) / _STEP)


def labels_of(image: Image) -> Image:
    return Image(np.digitize(image.array, [0.2, 0.5, 0.75]).astype(np.uint8), image.grid)


def write_case(folder: Path, number: int) -> None:
    """Fixed and moving image, labels and landmarks of one case; the moving body lies `shift_of` away."""
    folder.mkdir(parents=True)
    shift = shift_of(number)
    fixed = picture(FIXED_GRID, lambda p: p - MIDDLE, noise=0.01)
    moving = picture(moving_grid(number), lambda p: p - MIDDLE - shift)
    for name, image, at in (("fixed", fixed, 0 * shift), ("moving", moving, shift)):
        write_image(folder / f"{name}.nii.gz", image)
        write_image(folder / f"{name}_labels.nii.gz", labels_of(image))
        write_landmarks(folder / f"{name}_landmarks.csv", Landmarks(POINTS + at))


def case_of(folder: Path, subject: str | None = None) -> Case:
    return Case(
        folder.name,
        subject or folder.name,
        "generic",
        ImageFile(folder / "fixed.nii.gz"),
        ImageFile(folder / "moving.nii.gz"),
        fixed_landmarks=LandmarkFile(folder / "fixed_landmarks.csv"),
        moving_landmarks=LandmarkFile(folder / "moving_landmarks.csv"),
        fixed_labels=LabelFile(folder / "fixed_labels.nii.gz"),
        moving_labels=LabelFile(folder / "moving_labels.nii.gz"),
    )


def write_dataset(folder: Path, cases: int) -> None:
    for number in range(cases):
        write_case(folder / f"case{number}", number)


def open_dataset(path, kind="auto", split=None) -> Dataset:
    """A stand-in for the library's: each folder a case, the first two of one subject."""
    folders = sorted(Path(path).glob("case*"))
    cases = [case_of(folder, "case0" if folder.name == "case1" else None) for folder in folders]
    return Dataset(name="bodies", kind="folders", folder=Path(path), cases=tuple(cases))


@dataclass(frozen=True)
class Shift:
    """Knows where the body lies but for an error, mm along x."""

    name: str
    error: float = 0.0
    seconds: float = 0.0
    inverse: bool = True

    def prepare(self) -> None:
        pass

    def register(self, pair: Pair, threads: int) -> Outcome:
        time.sleep(self.seconds)
        offset = shift_of(number_of(pair.moving.grid)) + [self.error, 0, 0]
        there, back = (sitk.TranslationTransform(3, tuple(map(float, s * offset))) for s in (1, -1))
        return Outcome(there, back if self.inverse else None)


@dataclass(frozen=True)
class Still:
    """Changes nothing, and takes its time."""

    name: str = "still"
    seconds: float = 0.0

    def prepare(self) -> None:
        pass

    def register(self, pair: Pair, threads: int) -> Outcome:
        time.sleep(self.seconds)
        return Outcome(sitk.TranslationTransform(3), sitk.TranslationTransform(3))


@dataclass(frozen=True)
class Refusing:
    """Refuses every pair, or fails by a mistake."""

    name: str = "refusing"
    mistake: bool = False

    def prepare(self) -> None:
        pass

    def register(self, pair: Pair, threads: int) -> Outcome:
        if self.mistake:
            raise ZeroDivisionError("one\ntoo many")
        raise InputError("the pair is too hard; give another.")


@dataclass(frozen=True)
class Filling:
    """Finds the disk full."""

    name: str = "filling"

    def prepare(self) -> None:
        pass

    def register(self, pair: Pair, threads: int) -> Outcome:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


METHODS = {m.name: m for m in (Still(), Shift("good"), Shift("fair", 2.0, inverse=False), Refusing())}


def find_method(name: str, device: str = "auto"):
    if name not in METHODS:
        raise InputError(f"--methods {name}: there is no such method.")
    return METHODS[name]


def measured_here(method, pair: Pair, threads: int):
    """A stand-in for `timing.measured` without a process of its own; the pair is pickled, as it would be for one."""
    return method.register(pickle.loads(pickle.dumps(pair)), threads), Cost(0.25, 0.5, 2**28)


def stand_in(monkeypatch) -> None:
    """Let `run.evaluate` work in this process, on `open_dataset` and `METHODS`."""
    monkeypatch.setattr(running, "open_dataset", open_dataset)
    monkeypatch.setattr(running, "find_method", find_method)
    monkeypatch.setattr(task, "measured", measured_here)
    monkeypatch.setattr(figures, "available", lambda: False)  # they take most of the time, and have their own tests


class Ear:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.left: list[Key] = []
        self.kept: list[Key] = []
        self.made: list[Key] = []
        self.failed: dict[Key, str] = {}

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def start(self, left, kept) -> None:
        self.left, self.kept = list(left), list(kept)

    def ended(self, event) -> None:
        self.made.append(event.key)
        if event.reason:
            self.failed[event.key] = event.reason


@dataclass(frozen=True)
class DeadlyFile:
    """An image whose reading ends the process, as want of memory would."""

    path: Path

    def grid(self) -> Grid:
        return FIXED_GRID

    def read(self) -> Image:
        time.sleep(1)  # Dask takes no note of a worker that dies in its first moment
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


@dataclass(frozen=True)
class DeadlyOnce:
    """Ends the process that registers the first time, and changes nothing from then on."""

    path: Path
    name: str = "deadly"

    def settings(self) -> dict[str, str]:
        return {}  # its files come and go

    def prepare(self) -> None:
        pass

    def register(self, pair: Pair, threads: int) -> Outcome:
        if not self.path.exists():
            self.path.touch()
            time.sleep(1)
            os.kill(os.getpid(), signal.SIGKILL)
        return Still().register(pair, threads)


@dataclass(frozen=True)
class Held:
    """Says that it has begun, and waits for leave to end: five minutes at most."""

    begun: Path
    leave: Path
    name: str = "held"

    def settings(self) -> dict[str, str]:
        return {}

    def prepare(self) -> None:
        pass

    def register(self, pair: Pair, threads: int) -> Outcome:
        self.begun.touch()
        for _ in range(3000):
            if self.leave.exists():
                return Still().register(pair, threads)
            time.sleep(0.1)
        raise AssertionError


def main(data: str, output: str, *methods: str) -> int:
    """Evaluate as `stand_in` lets it, in a process of its own; a line for each result."""

    class Printing(Ear):
        def ended(self, event) -> None:
            print(event.key.case, event.key.method, flush=True)

        def say(self, sentence: str) -> None:
            print("said:", sentence, flush=True)

    with pytest.MonkeyPatch.context() as monkeypatch:
        stand_in(monkeypatch)
        try:
            running.evaluate(running.Request(Path(data), methods, worst=0), Path(output), Printing())
        except InputError as error:
            print(f"refused: {error}", flush=True)
            return 2
    return 0


def a_cluster(workers: int, failures: int = 0):
    """A cluster of the tests' own, in which a task is given up when its first worker dies, or a later one.

    Its processes are forked from one that has imported everything, which is quick; `--jobs` starts them afresh.
    """
    import dask
    from distributed import LocalCluster

    dask.config.set(
        {
            "distributed.scheduler.allowed-failures": failures,
            "distributed.worker.multiprocessing-method": "forkserver",
            "distributed.nanny.pre-spawn-environ": {},  # which it would leave behind in this process
            "distributed.deploy.lost-worker-timeout": "1 hour",
        }
    )
    preload_forkserver()
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        dashboard_address="127.0.0.1:0",
        silence_logs=60,
        memory_limit=0,
        preload=["cohort_worker"],
    )


def preload_forkserver() -> None:
    """Let what Dask forks its processes from import everything once, and from the same places."""
    # Optimisers import the last one as they are made. What is not there is left out.
    preloaded = ["distributed", "cohort_worker", "RobustDIRLib.cli.finetune", "torch._dynamo"]
    multiprocessing.get_context("forkserver").set_forkserver_preload(preloaded)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        forkserver.ensure_running()


def a_worker(scheduler_file: str) -> int:
    """A worker of a scheduler that runs elsewhere; it ends with that."""
    import asyncio

    from distributed import Worker

    import cohort_worker  # noqa: F401

    async def serve() -> None:
        async with Worker(scheduler_file=scheduler_file, nthreads=1, dashboard=False) as worker:
            await worker.finished()

    asyncio.run(serve())
    return 0


def a_scheduler(file: str) -> int:
    """A scheduler without workers as yet, which writes into a file where it is."""
    import asyncio

    from distributed import Scheduler

    async def serve() -> None:
        async with Scheduler(host="127.0.0.1", port=0, dashboard=False, scheduler_file=file) as scheduler:
            await scheduler.finished()

    asyncio.run(serve())
    return 0


def begun(function: str, *arguments: str | Path) -> forked_commands.ForkedCommand:
    """A process that runs one function of this file."""
    return forked_commands.started(command(function, *arguments))


def command(*words: str | Path) -> list[str]:
    """The command line of a process that runs one function of this file."""
    paths = [path for path in sys.path if path]
    function, *arguments = map(str, words)
    code = (
        f"import sys; sys.path[:0] = {paths!r}; import cohort_cases; sys.exit(cohort_cases.{function}(*sys.argv[1:]))"
    )
    return [sys.executable, "-c", code, *arguments]


def evaluate_in_pairs(data: str, output: str) -> int:
    """The command, on two workers, with registrations in real processes that say who they are and take a minute."""
    from RobustDIRLib.cli import main as robustdir

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(running, "open_dataset", open_dataset)
        monkeypatch.setattr(running, "find_method", lambda name, device: Telling(Path(output, "pids"), name))
        words = ["--methods", "telling", "--jobs", "2", "--threads", "1", "--limit", "2", "--worst", "0"]
        return robustdir(["evaluate", data, "-o", output, *words])
