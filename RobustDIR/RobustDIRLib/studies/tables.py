"""Tables of studies: rows grouped by their labels, the paper's own numbers beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from RobustDIRLib.io.files import write_json, written_atomically
from RobustDIRLib.studies.study import Row

ROWS, TABLE = "rows.json", "table.md"


def grouped(rows: Sequence[Row], by: Sequence[str], measures: Sequence[str]) -> list[Row]:
    """One row a group: how many runs, and of each measure the median, least and largest over them.

    Args:
        rows: Of a study.
        by: Labels that make a group.
        measures: Columns of figures; those that no row has are left out.
    """
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(name) for name in by), []).append(row)
    table = []
    for key, members in groups.items():
        entry: Row = {**dict(zip(by, key, strict=True)), "runs": len(members)}
        for name in measures:
            values = [row[name] for row in members if row.get(name) is not None]
            if values:
                entry[name] = {"median": median(values), "min": min(values), "max": max(values)}
        table.append(entry)
    return table


def markdown(table: Sequence[Row], titles: Mapping[str, str], paper: Mapping[Any, str] | None = None) -> str:
    """A Markdown table: labels, then figures as `median (min-max)`, then what the paper reports.

    Args:
        table: As of `grouped`.
        titles: Of the columns to show, in their order.
        paper: What the paper says of a group, by the values of its labels (those columns that are not figures).
    """
    head = [*titles.values(), *(["paper"] if paper else [])]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in table:
        cells = [_cell(row.get(name)) for name in titles]
        labels = tuple(row[name] for name in titles if name in row and not isinstance(row[name], dict))
        if paper:
            cells.append(next((text for key, text in paper.items() if set(key) <= set(labels)), ""))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: object) -> str:
    if isinstance(value, dict):
        middle, low, high = (f"{value[name]:.4g}" for name in ("median", "min", "max"))
        return middle if low == high else f"{middle} ({low}-{high})"
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def write_tables(folder: Path, rows: Sequence[Row], text: str) -> None:
    """Keep the rows as JSON and the table as Markdown."""
    write_json(folder / ROWS, list(rows))
    with written_atomically(folder / TABLE) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
