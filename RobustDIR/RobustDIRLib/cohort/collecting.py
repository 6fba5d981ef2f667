"""All results of a folder in one pass: what counts and what does not, the long tables, and the numbers to sum up.

One result is held at a time; kept of each are its measures, and of its landmarks the errors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.cohort.files import (
    BEFORE,
    LABEL_COLUMNS,
    LABELS,
    LANDMARK_COLUMNS,
    LANDMARKS,
    PAIR_COLUMNS,
    PAIRS,
    RESULTS,
)
from RobustDIRLib.cohort.overlaps import in_groups
from RobustDIRLib.cohort.plan import Evaluation
from RobustDIRLib.cohort.results import AS_THEY_ARE, Condition, Found, Key, Result, State, differences, look
from RobustDIRLib.evaluation.measures import Measure
from RobustDIRLib.io.csv_cells import CellWriter
from RobustDIRLib.io.files import written_atomically

_SEPARATOR = " | "


@dataclass(frozen=True)
class Row:
    """What is kept of a result."""

    key: Key
    subject: str
    state: State
    values: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    threads: int = 0


@dataclass
class Collection:
    """What a folder's results say.

    Attributes:
        rows: One for each planned result, in order.
        errors: TRE of all landmarks by method, the images as they are; the start as `files.BEFORE`.
        notes: Sentences with how many results say them.
    """

    rows: list[Row] = field(default_factory=list)
    errors: dict[str, list[NDArray[np.float32]]] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)

    def states(self) -> dict[Key, State]:
        """What lies at each place."""
        return {row.key: row.state for row in self.rows}

    def done(self, condition: Condition = AS_THEY_ARE) -> list[Row]:
        """Rows with values under a condition."""
        return [row for row in self.rows if row.state is State.DONE and row.key.condition == condition]


def collect(folder: Path, plan: Evaluation) -> Collection:
    """Read every planned result and write `pairs.csv`, `landmarks.csv` and `labels.csv`.

    Args:
        folder: Of the evaluation.
        plan: What there should be.
    """
    collection, subjects = Collection(), plan.subject_of()
    inputs: dict[str, Any] = {}
    settings = {method.name: method.settings for method in plan.methods}
    with ExitStack() as open_files:
        tables = _Tables(*(open_files.enter_context(_table(folder / name, columns)) for name, columns in _FILES))
        for key in plan.places():
            found = _counted(look(folder, key), settings[key.method])
            row = _row(key, subjects[key.case], found)
            collection.rows.append(row)
            tables.write(row, found)
            _note(collection, row, found)
            if found.state is State.DONE and found.result:
                _keep_errors(collection, found.result)
                _compare_input(collection, inputs, found.result)
    _note_strangers(collection, folder, plan)
    return collection


def per_subject(rows: Iterable[Row], method: str, measure: str) -> dict[str, float]:
    """Average of a measure over each subject's cases.

    Args:
        rows: Of one condition.
        method: Whose.
        measure: Name of a column.
    """
    values: dict[str, list[float]] = {}
    for row in rows:
        if row.key.method == method and measure in row.values:
            values.setdefault(row.subject, []).append(row.values[measure])
    return {subject: sum(some) / len(some) for subject, some in values.items()}


def before(rows: Iterable[Row], measure: Measure) -> list[Row]:
    """A measure of the images as they lie, once for each case, as if it were a method's."""
    start = {row.key.case: row for row in rows if measure.before in row.values}
    return [
        replace(row, key=replace(row.key, method=BEFORE), values={measure.name: row.values[measure.before]})
        for row in start.values()
    ]


_FILES = ((PAIRS, PAIR_COLUMNS), (LANDMARKS, LANDMARK_COLUMNS), (LABELS, LABEL_COLUMNS))


def _counted(found: Found, settings: Mapping[str, Any]) -> Found:
    """A result counts if its method was set as the folder's plan says."""
    if found.state is not State.DONE or found.result is None:
        return found
    changes = differences(found.result.made_with.get("method", {}), settings)
    return Found(State.OTHER, problem="; ".join(changes)) if changes else found


def _row(key: Key, subject: str, found: Found) -> Row:
    if found.result is None or found.state not in (State.DONE, State.FAILED):
        return Row(key, subject, found.state, reason=found.problem)
    return Row(key, subject, found.state, found.result.values, found.result.reason, found.result.threads)


def _note(collection: Collection, row: Row, found: Found) -> None:
    if row.state is State.DAMAGED:
        collection.notes[f"{found.problem}: it was left out; run the evaluation again"] += 1
    elif row.state is State.OTHER:
        collection.notes[f"{row.key.method}: made with other settings ({found.problem}) and left out"] += 1
    for sentence in found.result.notes if found.result else ():
        collection.notes[sentence] += 1


def _keep_errors(collection: Collection, result: Result) -> None:
    if result.landmarks is None or result.key.condition != AS_THEY_ARE:
        return
    collection.errors.setdefault(result.key.method, []).append(np.array(result.landmarks.after, np.float32))


def _compare_input(collection: Collection, inputs: dict[str, Any], result: Result) -> None:
    """Note where two results of a case were made from unlike files, and take the start of each case once."""
    case, made = result.key.case, result.made_with.get("input")
    if case not in inputs:
        inputs[case] = made
        if result.landmarks is not None and result.key.condition == AS_THEY_ARE:
            collection.errors.setdefault(BEFORE, []).append(np.array(result.landmarks.before, np.float32))
    elif inputs[case] != made:
        collection.notes[f"{case}: its results were made from unlike files; give `redo` and evaluate again"] += 1


def _note_strangers(collection: Collection, folder: Path, plan: Evaluation) -> None:
    planned = {key.path(folder) for key in plan.places()}
    there = {path for path in (folder / RESULTS).rglob("*") if path.is_file() and not path.name.startswith(".")}
    strangers = sorted(there - planned)
    if strangers:
        collection.notes[
            f"{len(strangers)} files in {RESULTS} are of no planned result and were left out "
            f"({strangers[0].relative_to(folder)}{', ...' if len(strangers) > 1 else ''})"
        ] += 1


@dataclass(frozen=True)
class _Tables:
    """Writers of the three long tables."""

    pairs: Any
    landmarks: Any
    labels: Any

    def write(self, row: Row, found: Found) -> None:
        """All rows of one result."""
        head = _head(row)
        result = found.result if row.state is State.DONE else None
        self.pairs.writerow({**head, **_pair_cells(row, result)})
        if result is None:
            return
        self.landmarks.writerows({**head, **cells} for cells in _landmark_cells(result))
        for label in result.labels:
            known = {n: getattr(label, n) for n in ("label", "name", "fixed_voxels", "warped_voxels", "reason")}
            self.labels.writerow({**head, **known, **label.values})


@contextmanager
def _table(path: Path, columns: Iterable[str]) -> Iterator[Any]:
    with written_atomically(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = _Table(CellWriter(file), tuple(columns))
        table.header()
        yield table


class _Table:
    """Rows by the names of their columns; those of no name are empty."""

    def __init__(self, writer: CellWriter, columns: tuple[str, ...]) -> None:
        self._writer, self._columns = writer, columns

    def header(self) -> None:
        self._writer.writerow(self._columns)

    def writerow(self, cells: Mapping[str, Any]) -> None:
        self._writer.writerow([cells.get(name, "") for name in self._columns])

    def writerows(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for cells in rows:
            self.writerow(cells)


def _head(row: Row) -> dict[str, Any]:
    condition = row.key.condition
    strength = "" if condition.strength is None else condition.strength
    names = {"case": row.key.case, "subject": row.subject, "method": row.key.method}
    return {**names, "perturbation": condition.perturbation, "strength": strength}


def _pair_cells(row: Row, result: Result | None) -> dict[str, Any]:
    known = row.state in (State.DONE, State.FAILED)
    cells: dict[str, Any] = {"status": str(row.state.value) if known else "missing", "reason": row.reason}
    if result is None:
        return cells
    return {
        **cells,
        **row.values,
        "landmarks": len(result.landmarks.names) if result.landmarks else 0,
        "labels": sum("dice" in label.values for label in result.labels),
        "threads": result.threads,
        "spacing_mm": result.spacing_mm,
        "undefined": in_groups(result.undefined),
        "notes": _SEPARATOR.join(result.notes),
    }


def _landmark_cells(result: Result) -> Iterator[dict[str, Any]]:
    table = result.landmarks
    if table is None:
        return
    columns = ("landmark", "fixed_x_mm", "fixed_y_mm", "fixed_z_mm", "tre_before_mm", "tre_mm")
    for cells in zip(table.names, table.x, table.y, table.z, table.before, table.after, strict=True):
        yield dict(zip(columns, cells, strict=True))
