"""Tables of a cohort in the manner of the paper's Table D.2, with the tests of section 2.4.3."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from RobustDIRLib.cohort.collecting import Collection, Row
from RobustDIRLib.cohort.layout import TABLES
from RobustDIRLib.cohort.plan import Evaluation
from RobustDIRLib.cohort.results import AS_THEY_ARE, Condition
from RobustDIRLib.evaluation.measures import COHORT, Kind, Places, named
from RobustDIRLib.evaluation.table_text import EXTENSIONS, write_table
from RobustDIRLib.evaluation.tables import Column, Table, TableStyle, make_table

TESTED = tuple(one.name for one in COHORT if Places.TESTS in one.shown)
COST = named(Kind.COST)


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
