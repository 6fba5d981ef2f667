"""Numbers of a cohort by method and condition, over per-subject averages (section 2.4.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from RobustDIRLib.cohort.collecting import Collection, Row
from RobustDIRLib.cohort.figures import BEFORE
from RobustDIRLib.cohort.layout import MEASURES, Measure
from RobustDIRLib.cohort.plan import Evaluation
from RobustDIRLib.evaluation.significance import summarise


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


def summarised(plan: Evaluation, collection: Collection) -> list[dict[str, Any]]:
    """Every measure of every method under every condition, and of the start, ready for JSON."""
    entries = []
    for condition in plan.conditions:
        rows = collection.done(condition)
        place = {"perturbation": condition.perturbation, "strength": condition.strength}
        for measure in MEASURES:
            for method, values, pairs in _columns(plan, rows, measure):
                if values:
                    entries.append(
                        {
                            "method": method,
                            **place,
                            "measure": measure.name,
                            "pairs": pairs,
                            **summarise(values).plain(),
                        }
                    )
    return entries


def _columns(plan: Evaluation, rows: list[Row], measure: Measure) -> Iterator[tuple[str, list[float], int]]:
    """Per-subject averages of the start and of each method, and over how many pairs they are."""
    start = before(rows, measure)
    yield BEFORE, list(per_subject(start, BEFORE, measure.name).values()), len(start)
    for method in plan.methods:
        pairs = sum(row.key.method == method.name and measure.name in row.values for row in rows)
        yield method.name, list(per_subject(rows, method.name, measure.name).values()), pairs


def before(rows: Iterable[Row], measure: Measure) -> list[Row]:
    """A measure of the images as they lie, once for each case, as if it were a method's."""
    start = {row.key.case: row for row in rows if measure.before in row.values}
    return [
        replace(row, key=replace(row.key, method=BEFORE), values={measure.name: row.values[measure.before]})
        for row in start.values()
    ]
