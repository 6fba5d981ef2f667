"""What an evaluation found, as a few lines for the terminal: methods beside each other, accuracy and cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from RobustDIRLib.cohort.figures import BEFORE
from RobustDIRLib.cohort.layout import SUMMARY, UNPERTURBED
from RobustDIRLib.evaluation.measures import digits_of

_COLUMNS = ("folding_percent", "sdlogj", "wall_s", "peak_gib")


def overview(folder: Path) -> list[str]:
    """Lines of a table: for each method the median over subjects of the measure that ranks cases, regularity, cost.

    Args:
        folder: Of an evaluation that is summed up.
    Returns:
        No line if nothing is done.
    """
    content = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    measures = {one["name"]: one for one in content["measures"]}
    shown = [measures[name] for name in (content["primary"], *_COLUMNS) if name in measures]
    found = {
        (one["method"], one["measure"]): one["median"]
        for one in content["summary"]
        if one["perturbation"] == UNPERTURBED
    }
    names = [BEFORE, *(method["name"] for method in content["methods"])]
    rows = [[name, *(_text(found.get((name, one["name"])), one) for one in shown)] for name in names]
    rows = [row for row in rows if any(row[1:])]
    return _aligned([["median over subjects", *(_heading(one) for one in shown)], *rows]) if rows else []


def _heading(measure: Mapping[str, Any]) -> str:
    return f"{measure['title']}, {measure['unit']}" if measure["unit"] else str(measure["title"])


def _text(value: float | None, measure: Mapping[str, Any]) -> str:
    return "" if value is None else f"{value:.{digits_of(measure['unit'])}f}"


def _aligned(rows: list[list[str]]) -> list[str]:
    """Names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
    return ["  ".join(row).rstrip() for row in cells]
