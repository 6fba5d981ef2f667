"""Evaluate a data set: open it, take up what a folder already holds, work through the rest, sum up."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from RobustDIRLib.baselines.method import Method
from RobustDIRLib.baselines.ours import OwnModel
from RobustDIRLib.baselines.registry import find_method
from RobustDIRLib.baselines.settings import settings_of
from RobustDIRLib.clusters import place_of, without_dask
from RobustDIRLib.cohort import measuring
from RobustDIRLib.cohort.aggregate import aggregate
from RobustDIRLib.cohort.engine import Event, crew
from RobustDIRLib.cohort.files import WRITTEN
from RobustDIRLib.cohort.plan import (
    Evaluation,
    made_with,
    merged,
    planned,
    read_evaluation,
    write_evaluation,
)
from RobustDIRLib.cohort.results import (
    AS_THEY_ARE,
    Condition,
    Key,
    Result,
    State,
    write_result,
)
from RobustDIRLib.cohort.survey import Survey
from RobustDIRLib.cohort.task import Ended, Lost, TaskSettings
from RobustDIRLib.cohort.terms import Perturbations, Terms, parse_conditions
from RobustDIRLib.datasets.cases import Dataset
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.datasets.subjects import of_subjects, read_subjects
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import refuse_inputs
from RobustDIRLib.io.lock import Rank, locked
from RobustDIRLib.registration.record import versions

_TEMPORARY = re.compile(r"\.[0-9a-f]{32}(\.|$)")


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        dataset: Folder of a data set, or a file that describes one.
        methods: Names, as `baselines.registry.find_method` takes them.
        kind: Of the data set.
        split: Part of it.
        subjects: File that names those whose pairs alone are taken, or of a split, its test; see `datasets.subjects`.
        limit: At most so many cases, the first ones.
        device: Where networks run.
        perturb: As `terms.parse_conditions` takes them.
        perturbations: How images are perturbed.
        terms: What every method is given alike.
        jobs: Cases at once, in processes of this machine; several need Dask.
        scheduler: Of a Dask cluster that works through the cases, instead: its address, or the file that it wrote.
        threads: Of each job; None shares the processors out, and takes one on a cluster.
        worst: How many worst cases a method has its pictures of.
        redo: Make results anew that were made with other settings.
        command: How to repeat it.
    """

    dataset: Path
    methods: tuple[str, ...]
    kind: str = "auto"
    split: str | None = None
    subjects: Path | None = None
    limit: int | None = None
    device: str = "auto"
    perturb: tuple[str, ...] = ()
    perturbations: Perturbations = field(default_factory=Perturbations)
    terms: Terms = field(default_factory=Terms)
    jobs: int = 1
    scheduler: str | None = None
    threads: int | None = None
    worst: int = 3
    redo: bool = False
    command: str = ""


class Listener(Protocol):
    """Told how a run goes."""

    def say(self, sentence: str) -> None:
        """Something to be read."""

    def start(self, left: Sequence[Key], kept: Sequence[Key]) -> None:
        """Work begins: what is left to do, and what is kept of earlier runs."""

    def ended(self, event: Ended) -> None:
        """A result is there."""


@dataclass(frozen=True)
class Counts:
    """What came of a run.

    Attributes:
        done: Results of this request that are there.
        failed: Those that failed.
        missing: Those that are not there all the same, as when somebody takes files away.
    """

    done: int
    failed: int
    missing: int = 0


def evaluate(request: Request, folder: Path, listener: Listener) -> Counts:
    """Every case by every method under every condition; what a folder already holds of it is kept.

    Args:
        request: What is asked for.
        folder: Made if it is not there; see `layout`.
        listener: Told how it goes.
    Raises:
        InputError: If the data set, a method or a perturbation is unknown or broken; another run is at work in the
            folder; it belongs to another data set, or holds results made with other settings.
    """
    _refuse_ranks()
    methods = [find_method(name, request.device) for name in dict.fromkeys(request.methods)]
    parse_conditions(request.perturb)  # before the data set, which may take a while to open
    subjects = read_subjects(request.subjects) if request.subjects else ()
    dataset = _opened(request, subjects)
    conditions = (AS_THEY_ARE, *parse_conditions(request.perturb, (case.preset for case in dataset.cases)))
    plan = _planned(request, dataset, methods, conditions)
    plan = replace(plan, dataset=replace(plan.dataset, subjects=subjects))
    _make(folder)
    with locked(folder, Rank.alone()) as scratch:
        _sweep(folder)
        earlier = read_evaluation(folder)
        _refuse_foreign(folder, earlier is None, dataset, methods)
        plan = merged(earlier, plan, folder)
        survey = Survey(folder, methods, conditions, request.perturbations, request.terms)
        tasks = survey.tasks(dataset.cases, request.redo, listener.say)
        settings = _settings(request, folder, scratch)
        with crew(place_of(request.jobs, request.scheduler, listener.say), tasks, settings, listener.say) as work:
            write_evaluation(folder, plan)
            listener.start([key for task in tasks for key in task.places()], survey.kept)
            work(_Secretary(settings, listener).take)
        wanted = [Key(case.name, method.name, one) for case in dataset.cases for method, one in survey.wanted]
        return _finish(folder, plan, wanted, listener)


def _refuse_ranks() -> None:
    """Refuse to be started several times at once.

    Raises:
        InputError: Under `torchrun`.
    """
    if Rank.here().world > 1:
        raise InputError("torchrun starts one evaluation several times; start it once, with `jobs` or a `scheduler`.")


def _settings(request: Request, folder: Path, scratch: Path) -> TaskSettings:
    return TaskSettings(
        folder.absolute(),
        threads_of(request.jobs, request.threads, request.scheduler),
        request.worst,
        request.perturbations,
        request.terms,
        request.device in ("auto", "cuda"),  # cuda:1 means that one
        scratch,
    )


def _opened(request: Request, subjects: Sequence[str]) -> Dataset:
    # Workers may be in other folders, where a path from here leads elsewhere.
    dataset = open_dataset(request.dataset.absolute(), request.kind, request.split)
    if subjects:
        dataset = of_subjects(dataset, subjects)
    return replace(dataset, cases=dataset.cases[: request.limit])


def _planned(
    request: Request, dataset: Dataset, methods: Sequence[Method], conditions: Sequence[Condition]
) -> Evaluation:
    return planned(
        dataset,
        request.dataset,
        request.split,
        methods,
        conditions=conditions,
        terms=request.terms,
        worst=request.worst,
        command=request.command,
    )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"`output` {folder} cannot be made ({error.strerror}); give another folder.") from error


def _refuse_foreign(folder: Path, new: bool, dataset: Dataset, methods: Sequence[Method]) -> None:
    """Refuse to write over what is read, or over files of others that are called as an evaluation's are.

    Raises:
        InputError: Names what lies there.
    """
    places = [folder / name for name in WRITTEN]
    models = [method.path for method in methods if isinstance(method, OwnModel)]
    files = [path for case in dataset.cases for path in case.files().values()]
    # A DICOM series is a folder itself.
    read = {dataset.folder, *(path if path.is_dir() else path.parent for path in map(Path, files))}
    if folder.resolve() in {one.resolve() for one in read}:
        raise InputError(f"`output` {folder} is a folder of the data set, which is only read; give another folder.")
    refuse_inputs(places, [*models, *files])
    if new and (found := [place.name for place in places if place.exists()]):
        raise InputError(f"`output` {folder} holds {', '.join(found)} of no evaluation; give another folder.")


def _sweep(folder: Path) -> None:
    """Take away what killed writers left: files under the names that `files.written_atomically` gives for the time."""
    for path in folder.rglob(".*"):
        if _TEMPORARY.match(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def threads_of(jobs: int, threads: int | None, scheduler: str | None = None) -> int:
    """Threads of each job: as asked for, or this machine's processors shared out; one on a cluster, whatever it has."""
    if threads is not None:
        return threads
    if scheduler is not None:
        return 1
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, processors // (1 if without_dask() else jobs))


class _Secretary:
    """Writes down what workers could not, and passes on what happens."""

    def __init__(self, settings: TaskSettings, listener: Listener) -> None:
        self.settings, self.listener = settings, listener

    def take(self, event: Event) -> None:
        """One event of the workers."""
        if isinstance(event, Lost):
            event = self._failed(event)
        if isinstance(event, Ended):
            self.listener.ended(event)

    def _failed(self, lost: Lost) -> Ended:
        key, case, method = lost.task.places()[0], lost.task.case, lost.task.wanted[0][0]
        setting = self.settings.perturbations.settings(key.condition)
        measures, terms = measuring.settings(case.preset), self.settings.terms
        made = made_with(case, settings_of(method), setting, measures, {}, terms)
        result = Result(key, case.subject, made, reason=lost.why, threads=self.settings.threads, versions=versions())
        write_result(self.settings.folder, result)
        return Ended(key, 0.0, lost.why, {})


def _finish(folder: Path, plan: Evaluation, wanted: Sequence[Key], listener: Listener) -> Counts:
    states = aggregate(folder, plan, listener.say)
    counts = Counter(states[key] for key in wanted)
    done, failed = counts[State.DONE], counts[State.FAILED]
    return Counts(done, failed, len(wanted) - done - failed)
