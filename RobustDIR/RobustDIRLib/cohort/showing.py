"""One case of an evaluation registered once more, to be looked at: a folder of results holds figures, no transforms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from RobustDIRLib.baselines.method import Outcome
from RobustDIRLib.baselines.registry import find_method
from RobustDIRLib.cohort import measuring
from RobustDIRLib.cohort.plan import Evaluation, checksums, made_with, require_evaluation, settings_of
from RobustDIRLib.cohort.results import Key, differences, look
from RobustDIRLib.cohort.task import pair_of, read_case
from RobustDIRLib.datasets.cases import Case, CaseData
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.datasets.subjects import of_subjects
from RobustDIRLib.errors import InputError

_THREADS = 1  # where the result does not tell with how many it was made


@dataclass(frozen=True)
class Shown:
    """A case and what a method made of it.

    Attributes:
        data: Images and truth, as the evaluation reads them.
        outcome: Of the method, on the evaluation's terms.
        notes: What makes it another one than the evaluation's own, a sentence each.
    """

    data: CaseData
    outcome: Outcome
    notes: tuple[str, ...] = ()


def register_again(folder: Path, case_name: str, method_name: str) -> Shown:
    """Register a case of an evaluation by one of its methods, on the same terms and with as many threads.

    Args:
        folder: Of the evaluation; it stays as it is.
        case_name: One of its cases.
        method_name: One of its methods.
    Raises:
        InputError: If the folder holds no evaluation, or no such case or method; the data set or the method is gone;
            or the pair cannot be registered.
    """
    plan = require_evaluation(folder)
    if method_name not in {method.name for method in plan.methods}:
        raise InputError(f"{folder} holds no results of {method_name}; choose one of its methods.")
    case, method = _case(plan, case_name), find_method(method_name)
    found = look(folder, Key(case_name, method_name))
    threads, notes = _THREADS, []
    if found.result is not None:
        threads = found.result.threads
        sums, _ = checksums(case, found.result)
        as_they_are = found.result.made_with.get("perturbation", {})
        now = made_with(case, settings_of(method), as_they_are, measuring.settings(case.preset), sums, plan.terms)
        if differences(found.result.made_with, now):
            notes.append(
                "The data, the model or RobustDIR has changed since the evaluation; this is what it gives now."
            )
    data = read_case(case, plan.terms)
    method.prepare()
    outcome = method.register(pair_of(data, case.preset, plan.terms), threads)
    return Shown(data, outcome, (*notes, *outcome.notes))


def _case(plan: Evaluation, name: str) -> Case:
    dataset = open_dataset(plan.dataset.path, plan.dataset.kind, plan.dataset.split)
    if plan.dataset.subjects:  # their pairs may be others than those of the data set
        dataset = of_subjects(dataset, plan.dataset.subjects)
    for case in dataset.cases:
        if case.name == name:
            return case
    raise InputError(f"{plan.dataset.path} holds no case {name} any more; put it back, or evaluate again.")
