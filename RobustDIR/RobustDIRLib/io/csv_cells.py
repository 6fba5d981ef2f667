"""Cells of CSV that stay what they are in a spreadsheet: text that would be a formula there is marked as text.

A name such as `=HYPERLINK(...)`, from a file that somebody sent, would be computed when the table is opened. A quote
before it is what spreadsheets themselves take for "this is text"; `from_cell` takes it away again.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import IO, Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def as_cell(value: Any) -> Any:
    """A value for a cell: numbers, also those that are text already, and plain text as they are."""
    if not isinstance(value, str) or not _is_formula(value):
        return value
    return f"'{value}"


def from_cell(text: str) -> str:
    """The text that a cell of ours was made of."""
    return text[1:] if text.startswith("'") and _is_formula(text[1:]) else text


def _is_formula(text: str) -> bool:
    # Also behind blanks and quotes, so that a quote of the text's own comes back.
    if not text.lstrip(" '").startswith(_FORMULA) or len(text) < 2:
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False


class CellWriter:
    """As `csv.writer`, with every text that would be a formula marked as text.

    Args:
        file: Open for text, with `newline=""`.
        ending: Of lines.
    """

    def __init__(self, file: IO[str], ending: str = "\n") -> None:
        self._writer = csv.writer(file, lineterminator=ending)

    def writerow(self, row: Iterable[Any]) -> None:
        """Write one row."""
        self._writer.writerow([as_cell(value) for value in row])

    def writerows(self, rows: Iterable[Iterable[Any]]) -> None:
        """Write several."""
        for row in rows:
            self.writerow(row)
