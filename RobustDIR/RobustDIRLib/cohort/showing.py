"""Pairs that people look at: pictures of the worst, and any one registered once more.

A picture is drawn while the pair is at hand, and only where it may be among the worst. A pair that ends among a
method's worst few was among the worst of every part of the pairs that held it. It is therefore drawn if fewer than that
few of those done so far are worse, and no pair has to be registered again for its picture. To be looked at more
closely it has to be, for a folder of results holds figures, no transforms.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from RobustDIRLib.baselines.method import Outcome
from RobustDIRLib.baselines.registry import find_method
from RobustDIRLib.baselines.settings import settings_of
from RobustDIRLib.cohort import measuring
from RobustDIRLib.cohort.files import RANKING
from RobustDIRLib.cohort.plan import Evaluation, checksums, made_with, require_evaluation
from RobustDIRLib.cohort.results import Key, differences, look, read_result
from RobustDIRLib.datasets.cases import Case, CaseData
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.datasets.subjects import of_subjects
from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.measures import BY_NAME

if TYPE_CHECKING:
    from RobustDIRLib.cohort.measuring import Reading

_THREADS = 1  # where the result does not tell with how many it was made


def ranking_measure(names: Container[str]) -> str | None:
    """The measure by which pairs are ranked: the first of `files.RANKING` among those that they have."""
    return next((name for name in RANKING if name in names), None)


def badness(values: Mapping[str, float], measure: str) -> float:
    """Larger is worse."""
    return values[measure] if BY_NAME[measure].better == "low" else -values[measure]


def keep_picture(
    folder: Path, key: Key, count: int, data: CaseData, reading: Reading, values: Mapping[str, float]
) -> list[str]:
    """Draw a pair if it is among the worst so far; a picture from an earlier result is taken away.

    Args:
        folder: Of the evaluation.
        key: Of the result.
        count: How many worst cases have pictures.
        data: The case.
        reading: What was measured of it.
        values: Its measures.
    Returns:
        Notes: why there is no picture, where there should be one.
    """
    path = key.picture(folder)
    path.unlink(missing_ok=True)
    measure = ranking_measure(values)
    if count < 1 or measure is None or _worse(path.parent, folder, key, measure, badness(values, measure)) >= count:
        return []
    try:
        _draw(path, key, data, reading, values, measure)
    except InputError as error:
        return [f"no picture: {error}"]
    return []


def _worse(pictures: Path, folder: Path, key: Key, measure: str, own: float) -> int:
    """How many of the pairs with pictures are worse than one."""
    results = key.path(folder).parent
    count = 0
    for picture in pictures.glob("*.png"):
        path = results / f"{picture.stem}.json"
        if picture.name.startswith(".") or not path.is_file():
            continue
        try:
            values = read_result(path).values
        except InputError:  # damaged: it will be made again, and drawn again
            continue
        count += measure in values and badness(values, measure) > own
    return count


def _draw(path: Path, key: Key, data: CaseData, reading: Reading, values: Mapping[str, float], measure: str) -> None:
    from RobustDIRLib.evaluation.pictures import draw_registration

    path.parent.mkdir(parents=True, exist_ok=True)
    title = f"{key.case}: {key.method}, {in_words(values, measure)}"
    draw_registration(path, data.fixed, data.moving, reading.warped, reading.field, title=title)


def in_words(values: Mapping[str, float], measure: str) -> str:
    """A measure after and before, for people: `TRE, mean 8.31 mm (12.06 before)`."""
    kind = BY_NAME[measure]
    before = f" ({values[kind.before]:.3g} before)" if kind.before in values else ""
    return f"{kind.title} {values[measure]:.3g} {kind.unit}".rstrip() + before


@dataclass(frozen=True)
class RegisteredAgain:
    """A case and what a method made of it.

    Attributes:
        data: Images and truth, as the evaluation reads them.
        outcome: Of the method, on the evaluation's terms.
        notes: What makes it another one than the evaluation's own, a sentence each.
    """

    data: CaseData
    outcome: Outcome
    notes: tuple[str, ...] = ()


def register_again(folder: Path, case_name: str, method_name: str) -> RegisteredAgain:
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
    data = plan.terms.read(case)
    method.prepare()
    outcome = method.register(plan.terms.pair(data, case.preset), threads)
    return RegisteredAgain(data, outcome, (*notes, *outcome.notes))


def _case(plan: Evaluation, name: str) -> Case:
    dataset = open_dataset(plan.dataset.path, plan.dataset.kind, plan.dataset.split)
    if plan.dataset.subjects:  # their pairs may be others than those of the data set
        dataset = of_subjects(dataset, plan.dataset.subjects)
    for case in dataset.cases:
        if case.name == name:
            return case
    raise InputError(f"{plan.dataset.path} holds no case {name} any more; put it back, or evaluate again.")
