"""What an evaluation found, read from the files of its folder: nothing is computed anew. No Qt, no MRML."""

from __future__ import annotations

import csv
import statistics
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from RobustDIRLib.cohort.files import BEFORE, LANDMARKS, PAIRS, UNPERTURBED, is_whole
from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.measures import BY_NAME, Measure
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.run_files import SUMMARY
from RobustDIRLib.runner.folders import read_object

_ROWS, _PAIRS = 1000, 100  # rows of a table between two yields; those of pairs hold many figures


@dataclass(frozen=True)
class Test:
    """Wilcoxon's test of a measure between two methods, or between one and the start.

    Attributes:
        first, second: Names of methods; the start is `BEFORE`.
        subjects: How many are compared.
        difference: Median over subjects of first less second; None where it is undefined.
        p, corrected: Before and after Bonferroni; None where nothing differs.
        significant: Whether it counts.
    """

    first: str
    second: str
    subjects: int
    difference: float | None
    p: float | None
    corrected: float | None
    significant: bool


@dataclass
class Evaluated:
    """An evaluation that was summed up.

    Attributes:
        folder: Of it.
        dataset: Name of the data set.
        methods: Title by name, in order.
        measures: Those with values, in the order of tables.
        primary: The measure that ranks cases; empty if nothing is done.
        cases: In order.
        values: By case, method and measure; the start is a method, `BEFORE`.
        reasons: Why a case failed by a method.
        tests: By measure.
        notes: Sentences that a reader should see.
    """

    folder: Path
    dataset: str
    methods: dict[str, str]
    measures: list[Measure]
    primary: str
    cases: list[str] = field(default_factory=list)
    values: dict[tuple[str, str, str], float] = field(default_factory=dict)
    reasons: dict[tuple[str, str], str] = field(default_factory=dict)
    tests: dict[str, list[Test]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def titles(self) -> dict[str, str]:
        """Of the methods by name, the start first; where two are called alike, their whole names."""
        held = list(self.methods.values())
        unlike = {name: title if held.count(title) == 1 else name for name, title in self.methods.items()}
        return {BEFORE: _("before"), **unlike}

    def compared(self, measure: str) -> list[str]:
        """All methods, the start first where it has a measure."""
        return [*([BEFORE] if self.has(measure, BEFORE) else []), *self.methods]

    def columns(self, measure: str) -> list[str]:
        """Methods that have a measure, the start first."""
        return [method for method in (BEFORE, *self.methods) if self.has(measure, method)]

    def has(self, measure: str, method: str) -> bool:
        """Whether any case has a measure by a method."""
        return any((case, method, measure) in self.values for case in self.cases)

    def of(self, measure: str, method: str) -> list[float]:
        """A measure of every case that has it."""
        keys = [(case, method, measure) for case in self.cases]
        return [self.values[key] for key in keys if key in self.values]

    def median(self, measure: str, method: str) -> float | None:
        """Over cases."""
        values = self.of(measure, method)
        return statistics.median(values) if values else None


def read(folder: Path) -> Evaluated:
    """What an evaluation found, all at once; see `begin`."""
    found, rest = begin(folder)
    for _step in rest:
        pass
    return found


def begin(folder: Path) -> tuple[Evaluated, Iterator[None]]:
    """What an evaluation found.

    Args:
        folder: Of one that has come to its end.
    Returns:
        The evaluation, and steps after which its figures are there.
    Raises:
        InputError: If it is not summed up yet, was changed since, or by another version. So do the steps where a table
            is damaged.
    """
    content = read_object(folder / SUMMARY)
    if content is None:
        raise InputError(
            _("{folder} holds no sums of an evaluation yet; let it come to its end.").format(folder=folder)
        )
    if not is_whole(content):
        raise InputError(
            _(
                "{file} was changed after it was written, or is of another version; start the evaluation again, which "
                "keeps its results."
            ).format(file=folder / SUMMARY)
        )
    with _damage_told(folder):
        found = _summary(folder, content)
    return found, _pairs(found)


@contextmanager
def _damage_told(folder: Path) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, OSError, csv.Error) as error:
        raise InputError(
            _("{folder} holds damaged tables ({error}); start the evaluation again, which keeps its results.").format(
                folder=folder, error=error
            )
        ) from error


def _summary(folder: Path, content: dict[str, Any]) -> Evaluated:
    return Evaluated(
        folder,
        str(content["dataset"]["name"]),
        {str(method["name"]): str(method["title"]) for method in content["methods"]},
        [BY_NAME[one["name"]] for one in content["measures"] if one["name"] in BY_NAME],
        str(content["primary"] or ""),
        tests=_tests(content),
        notes=[str(note) for note in content["notes"]],
    )


def _tests(content: dict[str, Any]) -> dict[str, list[Test]]:
    """Against the start first, then between methods."""
    tests: dict[str, list[Test]] = {}
    for one in content["start_tests"]:
        tests.setdefault(one["measure"], []).append(_test(one))
    for measure, metric in ((content.get("tests") or {}).get("metrics") or {}).items():
        tests.setdefault(measure, []).extend(_test(one) for one in metric["pairs"])
    return tests


def _test(one: dict[str, Any]) -> Test:
    names = str(one["first"]), str(one["second"]), int(one["subjects"])
    return Test(*names, one["median_difference"], one["p"], one["p_corrected"], bool(one["significant"]))


def _pairs(found: Evaluated) -> Iterator[None]:
    cases = dict.fromkeys(found.cases)
    with _damage_told(found.folder):
        for number, row in enumerate(_rows(found.folder / PAIRS)):
            cases[row["case"]] = None
            _take(found, row)
            if number % _PAIRS == 0:
                yield
    found.cases = list(cases)


def _take(found: Evaluated, row: dict[str, str]) -> None:
    case, method = row["case"], row["method"]
    if row["status"] != "done":
        found.reasons[case, method] = row["reason"] or row["status"]
        return
    for measure in found.measures:
        if text := row.get(measure.name):
            found.values[case, method, measure.name] = float(text)
        if text := row.get(measure.before or ""):
            found.values[case, BEFORE, measure.name] = float(text)


def landmark_errors(found: Evaluated, errors: dict[str, array[float]]) -> Iterator[None]:
    """Read the error of every landmark, a thousand between two yields; there may be a million.

    Args:
        found: The evaluation.
        errors: Filled: mm, by method, the start as `BEFORE`.
    Raises:
        InputError: If the file cannot be read.
    """
    first = next(iter(found.methods), "")
    with _damage_told(found.folder):
        for number, row in enumerate(_rows(found.folder / LANDMARKS)):
            errors.setdefault(row["method"], array("d")).append(float(row["tre_mm"]))
            if row["method"] == first:
                errors.setdefault(BEFORE, array("d")).append(float(row["tre_before_mm"]))
            if number % _ROWS == 0:
                yield


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["perturbation"] == UNPERTURBED:
                yield row
