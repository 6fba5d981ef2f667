"""Numbers of a cohort by method and condition, over per-subject averages (section 2.4.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from RobustDIRLib.cohort.collecting import Collection, Row
from RobustDIRLib.cohort.figures import BEFORE
from RobustDIRLib.cohort.plan import Evaluation
from RobustDIRLib.evaluation.measures import COHORT, Measure
from RobustDIRLib.evaluation.significance import DEFAULTS, pair_test, summarise


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
        for measure in COHORT:
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


def against_start(plan: Evaluation, collection: Collection, measures: Sequence[str]) -> list[dict[str, Any]]:
    """Wilcoxon's signed-rank test of every method against the start, of the images as they are.

    Args:
        plan: Gives the order of methods.
        collection: The numbers.
        measures: Names of those to test; Bonferroni counts each of them that any result has, with each method.
    Returns:
        `evaluation.significance.PairTest.plain()` with the `measure`, over the subjects of which both are known.
    """
    rows = collection.done()
    tested = [one for one in COHORT if one.name in measures and before(rows, one)]
    entries = []
    for measure in tested:
        start = per_subject(before(rows, measure), BEFORE, measure.name)
        for method in plan.methods:
            found = per_subject(rows, method.name, measure.name)
            differences = np.array([found[subject] - start[subject] for subject in found if subject in start])
            if differences.size:
                test = pair_test((method.name, BEFORE), differences, len(tested) * len(plan.methods), DEFAULTS)
                entries.append({"measure": measure.name, **test.plain()})
    return entries
