"""Numbers of a cohort over per-subject averages (section 2.4.3), in `summary.json`, in tables, and for the terminal.

Tables are in the manner of the paper's Table D.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from RobustDIRLib.cohort.collecting import Collection, Row, before, per_subject
from RobustDIRLib.cohort.files import BEFORE, TABLES, UNPERTURBED, read_summary
from RobustDIRLib.cohort.plan import Evaluation
from RobustDIRLib.cohort.results import AS_THEY_ARE, Condition
from RobustDIRLib.evaluation.measures import COHORT, Kind, Measure, Places, digits_of, named
from RobustDIRLib.evaluation.significance import DEFAULTS, pair_test, summarise
from RobustDIRLib.evaluation.table_text import EXTENSIONS, write_table
from RobustDIRLib.evaluation.tables import Column, Table, TableStyle, make_table

TESTED = tuple(one.name for one in COHORT if Places.TESTS in one.shown)
COST = named(Kind.COST)
_OVERVIEW = ("folding_percent", "sdlogj", "wall_s", "peak_gib")


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


def write_tables(folder: Path, plan: Evaluation, collection: Collection) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """Write every table there are numbers for.

    Args:
        folder: Of the evaluation.
        plan: Gives the order of methods.
        collection: The numbers.
    Returns:
        File, title and caption of each, and `tests` and `tests_reason` of `summary.json`.
    """
    (folder / TABLES).mkdir(exist_ok=True)
    done = collection.done()
    accuracy, grid = _table(plan, {"": done}, TESTED), plan.terms.words
    tables = {
        "accuracy": (accuracy, "Accuracy and regularity", f"The images as they are. {grid}"),
        "cost": (
            _table(plan, {"": done}, COST),
            "Cost",
            f"Of the registration alone; each ran in a process of its own. {grid}",
        ),
        "robustness": (
            _robustness(plan, collection),
            "Robustness",
            f"A block for each perturbation and strength. {grid}",
        ),
    }
    entries = [entry for name, content in tables.items() for entry in _written(folder, name, *content)]
    wanted = {Path(entry["file"]).name for entry in entries}
    for path in (folder / TABLES).glob("[!.]*"):
        if path.name not in wanted:
            path.unlink(missing_ok=True)
    if accuracy is None:
        return entries, {"tests": None, "tests_reason": "no result has a measure to be tested"}
    return entries, {"tests": accuracy.blocks[0].comparison.plain(), "tests_reason": None}


def _written(folder: Path, name: str, table: Table | None, title: str, caption: str) -> Iterator[dict[str, str]]:
    if table is None:
        return
    for extension in EXTENSIONS:
        file = f"{TABLES}/{name}{extension}"
        write_table(folder / file, table)
        yield {"file": file, "title": title, "caption": caption}


def _robustness(plan: Evaluation, collection: Collection) -> Table | None:
    if len(plan.conditions) < 2:
        return None
    return _table(plan, {_title(condition): collection.done(condition) for condition in plan.conditions}, TESTED)


def _title(condition: Condition) -> str:
    return "unperturbed" if condition == AS_THEY_ARE else f"{condition.perturbation} {condition.strength:g}"


def _table(plan: Evaluation, blocks: dict[str, list[Row]], measures: Sequence[str]) -> Table | None:
    """A table of some measures, those that any row has; None if there are none."""
    there = {name for rows in blocks.values() for row in rows for name in row.values}
    columns = [
        Column(measure.name, measure.title, measure.unit, measure.better, measure.digits)
        for measure in COHORT
        if measure.name in there and measure.name in measures
    ]
    if not columns:
        return None
    records = {title: list(_records(rows, measures)) for title, rows in blocks.items() if rows}
    titles = {method.name: method.title for method in plan.methods}
    style = TableStyle(titles=titles, remark=plan.terms.words)
    return make_table(records, columns, methods=[method.name for method in plan.methods], style=style)


def _records(rows: Iterable[Row], measures: Sequence[str]) -> Iterator[dict[str, Any]]:
    for row in rows:
        for name in measures:
            yield {"subject": row.subject, "method": row.key.method, "metric": name, "value": row.values.get(name)}


def overview(folder: Path) -> list[str]:
    """Lines of a table: for each method the median over subjects of the measure that ranks cases, regularity, cost.

    Args:
        folder: Of an evaluation that is summed up.
    Returns:
        No line if nothing is done.
    """
    content = read_summary(folder)
    measures = {one["name"]: one for one in content["measures"]}
    shown = [measures[name] for name in (content["primary"], *_OVERVIEW) if name in measures]
    found = {
        (one["method"], one["measure"]): one["median"]
        for one in content["summary"]
        if one["perturbation"] == UNPERTURBED
    }
    names = [BEFORE, *(method["name"] for method in content["methods"])]
    rows = [[name, *(_in_figures(found.get((name, one["name"])), one) for one in shown)] for name in names]
    rows = [row for row in rows if any(row[1:])]
    return _aligned([["median over subjects", *(_headed(one) for one in shown)], *rows]) if rows else []


def _headed(measure: Mapping[str, Any]) -> str:
    return f"{measure['title']}, {measure['unit']}" if measure["unit"] else str(measure["title"])


def _in_figures(value: float | None, measure: Mapping[str, Any]) -> str:
    return "" if value is None else f"{value:.{digits_of(measure['unit'])}f}"


def _aligned(rows: list[list[str]]) -> list[str]:
    """Names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
    return ["  ".join(row).rstrip() for row in cells]
