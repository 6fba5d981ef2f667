"""A report as JSON and as CSV: everything it says, without pictures, and without the packages of the extra."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

from RobustDIRLib.evaluation.measures import STRUCTURES
from RobustDIRLib.io.csv_cells import CellWriter
from RobustDIRLib.report.pair import PairReport

COLUMNS = ("table", "item", "quantity", "value", "unit", "limit", "verdict", "note")
Row = tuple[Any, ...]


def as_json(report: PairReport) -> str:
    """The JSON file's text; what is not a number there is null."""
    return json.dumps(finite(report.as_dict()), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(report: PairReport) -> str:
    """The CSV file's text: a row a value, with `COLUMNS`; what is undefined has no value and a note that says why."""
    text = io.StringIO()
    writer = CellWriter(text)
    writer.writerow(COLUMNS)
    writer.writerows(rows(report))
    return text.getvalue()


def rows(report: PairReport) -> Iterator[Row]:
    """The rows of the CSV file."""
    if report.shown is not None:
        yield ("registration", "", "patient", report.shown.patient, "", "", "", "")
        for role, name, node_id in report.shown.nodes:
            yield ("registration", role, "node", name, "", "", "", node_id)
    for one in report.judgements:
        criterion, limit = one.criterion, "" if one.limit is None else one.limit
        value = one.figure.value
        yield ("tolerances", "", criterion.name, value, criterion.unit, limit, one.verdict.value, one.figure.note)
    for row in report.landmarks:
        limit = "" if row.judgement.limit is None else row.judgement.limit
        yield ("landmarks", row.name, "tre_before_mm", row.before, "mm", "", "", "")
        yield ("landmarks", row.name, "tre_linear_mm", row.linear, "mm", "", "", "")
        yield ("landmarks", row.name, "tre_mm", row.after, "mm", limit, row.judgement.verdict.value, "")
    yield from _structures(report)
    for one_map in report.maps:
        for name, value in one_map.values.items():
            yield ("maps", one_map.title, name, value, one_map.unit, "", "", "")
    for review in report.reviews:
        other = review.other_limits(report.tolerances)
        note = ": ".join(part for part in (review.date, other and f"limits then {other}", review.comment) if part)
        yield ("reviews", review.reviewer, "decision", review.decided, "", "", "", note)


def _structures(report: PairReport) -> Iterator[Row]:
    units = {one.name: one.unit for one in STRUCTURES} | {"fixed_ml": "ml", "warped_ml": "ml", "folding_percent": "%"}
    for row in report.structures:
        named = f" ({row.name})" if row.name else ""
        item = f"map {row.map} label {row.label}{named}" if isinstance(row.label, int) else row.label
        others = {name: getattr(row, name) for name in ("fixed_ml", "warped_ml", "folding_percent")}
        for name, value in {**row.values, **others}.items():
            yield ("structures", item, name, value, units.get(name, ""), "", "", row.reason if value is None else "")


def finite(value: Any) -> Any:
    """Plain values with None for what JSON cannot hold: NaN and infinity."""
    if isinstance(value, dict):
        return {str(key): finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
