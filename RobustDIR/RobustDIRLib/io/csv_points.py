"""Points in CSV: whose columns, comments and numbers say one thing alone, or are refused."""

from __future__ import annotations

import re
from collections.abc import Sequence

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import swap_lps_ras
from RobustDIRLib.io.csv_cells import from_cell
from RobustDIRLib.io.files import PathLike
from RobustDIRLib.io.text_points import (
    NAME_COLUMNS,
    Points,
    cells,
    check_columns,
    is_number,
    is_said_otherwise,
    numbered_lines,
    numbers,
    refuse_other_words,
    said_frame,
)

_FRAME_OF = {"xyz": "LPS", "lps": "LPS", "ras": "RAS"}
_WITH_COMMA = re.compile(r"[+-]?\d+(,\d+)?", re.ASCII)


def points_from_csv(path: PathLike, text: str) -> Points:
    """CSV with a header naming x, y, z (or l, p, s; LPS mm) or r, a, s (RAS mm), or three columns x, y, z without one.

    Columns may be parted by comma, semicolon or tab; a column `name` or `label` gives names; others are passed over.
    Between semicolons numbers may have decimal commas. Every row has as many columns as the header: one that is longer
    has decimal commas in it, and one that is shorter lacks nobody knows which.
    """
    lines = numbered_lines(text)
    if not lines:
        return [], []
    refuse_other_words(path, text)
    delimiter = _delimiter(lines[0][1])
    rows = [(number, cells(path, number, line, delimiter)) for number, line in lines]
    header = [cell.lower() for cell in rows[0][1]]
    frame = said_frame(path, text)
    if all(is_number(cell.replace(",", ".")) for cell in header):
        points = _coordinates(path, [(number, _without_empty_end(row, 3)) for number, row in rows], delimiter)
        return _in_lps(points, frame), []
    axes = _axes(path, rows[0][1])
    if frame is not None and frame != _FRAME_OF[axes]:
        raise InputError(
            f"{path} says {frame} in a comment and has the columns {', '.join(axes)}; correct one of them."
        )
    columns = [header.index(axis) for axis in axes]
    rows = [(number, _fitted(path, number, row, header, max(columns) + 1)) for number, row in rows[1:]]
    points = _coordinates(path, [(number, [row[column] for column in columns]) for number, row in rows], delimiter)
    _refuse_undefined(path, header, rows)
    _refuse_other_values(path, header, rows, _FRAME_OF[axes])
    named = next((header.index(column) for column in NAME_COLUMNS if column in header), None)
    return _in_lps(points, _FRAME_OF[axes]), [] if named is None else [from_cell(row[named]) for _, row in rows]


def _refuse_other_values(path: PathLike, header: list[str], rows: list[tuple[int, list[str]]], frame: str) -> None:
    """Refuse rows that name another frame or unit than they are read in, in a column that is no name of the point."""
    for column, name in enumerate(header):
        if name in NAME_COLUMNS or name in frame.lower():
            continue
        for number, row in rows:
            if (said := is_said_otherwise(name, row[column], frame)) is not None:
                raise InputError(
                    f'{path}, line {number}: says "{row[column]}" in its column {name}, and points are read as '
                    f"{said}; convert them, or name the columns r, a, s for RAS."
                )


def _delimiter(line: str) -> str:
    """What parts the columns; the semicolon before the comma: where it does, commas are decimal ones."""
    outside_quotes = "".join(line.split('"')[::2])
    return next((sign for sign in ";\t" if sign in outside_quotes), ",")


def _axes(path: PathLike, header: list[str]) -> str:
    """The axes that a header names."""
    names = [cell.lower() for cell in header]
    found = [axes for axes in _FRAME_OF if set(axes) <= set(names)]
    if not found:
        raise InputError(
            f'{path} has the columns "{", ".join(header)}"; name three of them x, y, z (mm, LPS), or give three '
            "columns of numbers without a header."
        )
    if len(found) > 1:
        raise InputError(
            f"{path} has columns for {' and '.join(', '.join(axes) for axes in found)}; keep three of them."
        )
    check_columns(path, names)
    return found[0]


def _in_lps(points: list[list[float]], frame: str | None) -> list[list[float]]:
    return list(swap_lps_ras(points).tolist()) if frame == "RAS" and points else points


def _without_empty_end(row: list[str], count: int) -> list[str]:
    """A row without the empty cells beyond so many columns that spreadsheets leave."""
    return row if any(row[count:]) else row[:count]


def _fitted(path: PathLike, number: int, row: list[str], header: Sequence[str], needed: int) -> list[str]:
    """A row as long as the header, filled up with empty cells if it ends right after the last coordinate.

    Args:
        path: For the message.
        number: Of the line, for the message.
        row: Its cells.
        header: Names of all columns.
        needed: How many of them there are up to the last coordinate.
    """
    row = _without_empty_end(row, len(header))
    if len(row) == needed:
        return row + [""] * (len(header) - needed)
    if len(row) != len(header):
        raise InputError(
            f"{path}, line {number}: has {len(row)} columns where the header has {len(header)}; correct the line, and "
            f"write decimal points, not commas."
        )
    return row


def _coordinates(path: PathLike, rows: list[tuple[int, list[str]]], delimiter: str) -> list[list[float]]:
    """Three numbers a row; with decimal commas where all but whole ones have them and semicolons part the columns."""
    texts = [text for _, row in rows for text in row]
    with_commas = [text for text in texts if "," in text]
    if not with_commas:
        return [numbers(path, number, row) for number, row in rows]
    number = next(number for number, row in rows if any("," in text for text in row))
    unlike = [text for text in texts if "." in text or not _WITH_COMMA.fullmatch(text)]
    if delimiter != ";" or unlike:
        raise InputError(
            f'{path}, line {number}: "{with_commas[0]}" has a comma that may part decimals or thousands; save the '
            f"points with decimal points."
        )
    return [numbers(path, number, [text.replace(",", ".") for text in row]) for number, row in rows]


def _refuse_undefined(path: PathLike, header: list[str], rows: list[tuple[int, list[str]]]) -> None:
    """Slicer exports points not yet placed, at 0, 0, 0, and says so in a column of its own."""
    if "defined" not in header:
        return
    column = header.index("defined")
    undefined = [str(number) for number, row in rows if row[column].lower() in ("0", "false")]
    if undefined:
        raise InputError(f"{path} has points that are not placed (line {', '.join(undefined)}); place or remove them.")
