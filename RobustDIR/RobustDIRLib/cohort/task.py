"""A task: one case, read once, by every wanted method under every wanted condition; a result file each.

A task may be begun a second time, after the process at it has died: what it had finished by then is kept.
"""

from __future__ import annotations

import os
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from RobustDIRLib.baselines import rivals
from RobustDIRLib.baselines.method import Method
from RobustDIRLib.baselines.settings import settings_of
from RobustDIRLib.baselines.timing import measured
from RobustDIRLib.cohort import measuring, showing
from RobustDIRLib.cohort.plan import checksums, made_with
from RobustDIRLib.cohort.results import (
    AS_THEY_ARE,
    Condition,
    Key,
    Result,
    State,
    differences,
    look,
    write_result,
)
from RobustDIRLib.cohort.terms import Perturbations, Terms, perturbed
from RobustDIRLib.datasets.cases import Case, CaseData
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import is_full
from RobustDIRLib.io.remarks import heard
from RobustDIRLib.registration.record import versions

_GIB = 2**30


@dataclass(frozen=True)
class TaskSettings:
    """What all tasks of a run have in common.

    Attributes:
        folder: Of the evaluation, from the root, so that other processes find it too.
        threads: Of each registration and of measuring it.
        pictures: How many worst cases a method has its pictures of; 0 draws none.
        perturbations: How images are perturbed.
        terms: What every method is given alike.
        spread_gpus: Whether each process keeps to one of several GPUs, in turn.
        scratch: Folder for temporary files; None leaves them where the process has them.
    """

    folder: Path
    threads: int = 1
    pictures: int = 3
    perturbations: Perturbations = Perturbations()
    terms: Terms = Terms()
    spread_gpus: bool = False
    scratch: Path | None = None


@dataclass(frozen=True)
class Task:
    """One case and what is wanted of it."""

    case: Case
    wanted: tuple[tuple[Method, Condition], ...]

    def places(self) -> tuple[Key, ...]:
        """The results it is to give, in order."""
        return tuple(Key(self.case.name, method.name, condition) for method, condition in self.wanted)


@dataclass(frozen=True)
class Ended:
    """A result is written."""

    key: Key
    seconds: float
    reason: str
    values: dict[str, float]

    @classmethod
    def of(cls, result: Result) -> Ended:
        """What is told of a result."""
        return cls(result.key, result.seconds, result.reason, result.values)


@dataclass(frozen=True)
class Lost:
    """Whoever was at a task died.

    Attributes:
        task: What was left of it: the first wanted result is the one that was being made.
        why: In words.
    """

    task: Task
    why: str


def perform(task: Task, settings: TaskSettings, tell: Callable[[Ended], None]) -> None:
    """Make every result of a task; what fails is written down with its reason and stops nothing.

    Args:
        task: What is wanted.
        settings: Of the run.
        tell: Told of each result once it is written.
    Raises:
        OSError, InputError: If a result cannot be written.
    """
    desk = _Desk(task.case, settings)
    with _surroundings(settings):
        for (method, condition), key in zip(task.wanted, task.places(), strict=True):
            result = desk.kept(method, condition, key)
            if result is None:
                result = desk.result(method, condition, key)
                write_result(settings.folder, result)
            tell(Ended.of(result))


def finished(task: Task, settings: TaskSettings) -> list[Ended]:
    """Of the results of a task those that lie there already, made with the same."""
    desk = _Desk(task.case, settings)
    pairs = zip(task.wanted, task.places(), strict=True)
    found = [desk.kept(method, condition, key) for (method, condition), key in pairs]
    return [Ended.of(result) for result in found if result is not None]


@contextmanager
def _surroundings(settings: TaskSettings) -> Iterator[None]:
    """Threads and temporary files as the run has them, whatever ran before; afterwards as they were."""
    import SimpleITK as sitk
    import torch

    threads = torch.get_num_threads(), sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    temporary = tempfile.tempdir, os.environ.get("TMPDIR")
    try:
        torch.set_num_threads(settings.threads)
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(settings.threads)
        if settings.scratch is not None:
            tempfile.tempdir = os.environ["TMPDIR"] = str(settings.scratch)
        yield
    finally:
        torch.set_num_threads(threads[0])
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads[1])
        tempfile.tempdir = temporary[0]
        if temporary[1] is None:
            os.environ.pop("TMPDIR", None)
        else:
            os.environ["TMPDIR"] = temporary[1]


class _Desk:
    """A case while it is worked on: read once, measured as it lies once."""

    def __init__(self, case: Case, settings: TaskSettings) -> None:
        self.case, self.settings = case, settings
        self.remarks: list[str] = []  # of reading
        self._perturbed: tuple[Condition, CaseData] | None = None

    @cached_property
    def identity(self) -> tuple[dict[str, str], dict[str, list[int]]]:
        """Checksums and stamps of the files."""
        return checksums(self.case)

    @cached_property
    def data(self) -> CaseData:
        """Images and truth; no masks if they are to be ignored."""
        with heard() as self.remarks:
            return self.settings.terms.read(self.case)

    @cached_property
    def gauge(self) -> measuring.Gauge:
        """What measures transforms of this case."""
        return measuring.Gauge(self.data, self.case.preset)

    def images(self, condition: Condition) -> CaseData:
        """What a method sees under a condition; the latest is kept for the next method."""
        if condition == AS_THEY_ARE:
            return self.data
        if self._perturbed is None or self._perturbed[0] != condition:
            self._perturbed = None  # before another is made, for the memory
            self._perturbed = (
                condition,
                perturbed(self.data, condition, self.settings.perturbations, self.case),
            )
        return self._perturbed[1]

    def kept(self, method: Method, condition: Condition, key: Key) -> Result | None:
        """A result that lies there already, made with the same: the task was begun before."""
        found = look(self.settings.folder, key)
        if found.state is not State.DONE or found.result is None:
            return None
        changed = differences(found.result.made_with, self._record(method, condition)["made_with"])
        return None if changed else found.result

    def result(self, method: Method, condition: Condition, key: Key) -> Result:
        """One result, failed or not."""
        begun, record = time.perf_counter(), self._record(method, condition)
        try:
            content = self._measured(method, condition, key)
        except Exception as error:  # whatever a method or a file does, the other pairs go on
            if is_full(error):  # no failure of the method, which would stand in the tables
                raise InputError(_of_full_disk(error, key)) from error
            content = {"reason": _reason(error), "traceback": "" if isinstance(error, InputError) else _trace(error)}
        seconds = round(time.perf_counter() - begun, 3)
        return Result(key, self.case.subject, **record, **content, seconds=seconds)

    def _record(self, method: Method, condition: Condition) -> dict[str, Any]:
        """What the result is made with; as far as that can be told of files that may be missing."""
        try:
            sums, stamps = self.identity
        except InputError:  # reading the case says the same as the result's reason
            sums, stamps = {}, {}
        setting = self.settings.perturbations.settings(condition)
        measures = measuring.settings(self.case.preset)
        made = made_with(self.case, settings_of(method), setting, measures, sums, self.settings.terms)
        return {
            "made_with": made,
            "stamps": stamps,
            "threads": self.settings.threads,
            "versions": {**versions(), **rivals.versions()},
        }

    def _measured(self, method: Method, condition: Condition, key: Key) -> dict[str, Any]:
        seen = self.images(condition)
        pair = self.settings.terms.pair(seen, self.case.preset)
        outcome, cost = measured(method, pair, self.settings.threads)
        reading = self.gauge.read(outcome, seen.fixed.grid)
        spent = {"wall_s": cost.wall_s, "cpu_s": cost.cpu_s, "peak_gib": cost.peak_bytes / _GIB}
        values = {**reading.values, **{name: round(value, 4) for name, value in spent.items()}}
        notes = [*self.remarks, *reading.notes, *outcome.notes]
        if condition == AS_THEY_ARE:
            notes += showing.keep_picture(self.settings.folder, key, self.settings.pictures, self.data, reading, values)
        return {
            "values": values,
            "undefined": reading.undefined,
            "landmarks": reading.landmarks,
            "labels": reading.labels,
            "spacing_mm": round(pair.spacing or 0.0, 6),
            "notes": tuple(dict.fromkeys(notes)),
        }


def _of_full_disk(error: Exception, key: Key) -> str:
    return (
        f"the disk is full, or a file larger than the system allows ({getattr(error, 'strerror', error)}), at case "
        f"{key.case} by {key.method}; free some, also where temporary files go ({tempfile.gettempdir()}), and evaluate "
        "again, which goes on from there."
    )


def _reason(error: Exception) -> str:
    """A failure in one sentence: ours as it is, a package's by its last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, InputError):
        return " ".join(lines)
    if isinstance(error, MemoryError):
        return "memory ran out; run fewer processes at once or crop the images"
    return f"{type(error).__name__}: {lines[-1] if lines else 'without a word'}"


def _trace(error: Exception) -> str:
    return "".join(traceback.format_exception(error))
