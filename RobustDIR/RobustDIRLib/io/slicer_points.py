"""Point lists as 3D Slicer keeps them: `.mrk.json` and `.fcsv`, in and out."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import numpy as np

from RobustDIRLib.configuration import named_once
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array, swap_lps_ras
from RobustDIRLib.io.files import PathLike
from RobustDIRLib.io.text_points import (
    Points,
    cells,
    check_columns,
    comments,
    numbered_lines,
    numbers,
    refuse_other_unit,
    said_frame,
)

_FCSV_COLUMNS = ["id", "x", "y", "z", "ow", "ox", "oy", "oz", "vis", "sel", "lock", "label", "desc", "associatedNodeID"]
_FCSV_UNNAMED = ("position status", "made automatically")  # what Slicer 5 writes beyond the named columns
_LARGEST = 1e300
_SCHEMA = "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json#"


def points_from_json(path: PathLike, text: str) -> Points:
    """The control points of the one list in a `.mrk.json`; LPS where it names no coordinate system, as its schema says.

    Raises:
        InputError: If it is no such file, holds several lists or none of points, is not in mm, or has points that are
            not placed.
    """
    lists = [markup for markup in _markups(path, text) if markup.get("controlPoints")]
    if len(lists) > 1:
        raise InputError(f"{path} holds {len(lists)} lists of points; save the one you want in a file of its own.")
    if not lists:
        return [], []
    markup = lists[0]
    if (kind := markup.get("type")) != "Fiducial":
        raise InputError(f"{path} holds a markup of the type {kind}, whose points are no landmarks; save a point list.")
    frame = markup.get("coordinateSystem", "LPS")
    if frame not in ("LPS", "RAS"):
        raise InputError(f'{path} has the coordinate system "{frame}"; save the points in LPS or RAS.')
    units = markup.get("coordinateUnits", "mm")
    if (units[0] if isinstance(units, list) and units else units) != "mm":
        raise InputError(f"{path} has its points in {units}; save them in mm.")
    return _control_points(path, markup["controlPoints"], frame)


def _markups(path: PathLike, text: str) -> list[dict[str, Any]]:
    """The markups of a file, once each is known to be an object with a list of control points, if any."""
    try:
        content = json.loads(text, object_pairs_hook=named_once)
    except (ValueError, RecursionError) as error:
        raise _no_markups(path) from error
    markups = content.get("markups") if isinstance(content, dict) else None
    if not isinstance(markups, list) or not all(isinstance(markup, dict) for markup in markups):
        raise _no_markups(path)
    controls = [markup.get("controlPoints", []) for markup in markups]
    if not all(isinstance(c, list) and all(isinstance(point, dict) for point in c) for c in controls):
        raise _no_markups(path)
    return markups


def _no_markups(path: PathLike) -> InputError:
    return InputError(f"{path} is no Slicer markups file; save the points in Slicer as .mrk.json.")


def _control_points(path: PathLike, controls: list[dict[str, Any]], frame: str) -> Points:
    names = [str(control.get("label") or "") for control in controls]
    called = [name or f"number {k + 1}" for k, name in enumerate(names)]
    placed = [control.get("positionStatus", "defined") == "defined" for control in controls]
    if not all(placed):
        raise _not_placed(path, [name for name, fine in zip(called, placed, strict=True) if not fine])
    points = [_position(path, name, control) for name, control in zip(called, controls, strict=True)]
    return (swap_lps_ras(points).tolist() if frame == "RAS" else points), names


def _not_placed(path: PathLike, names: list[str]) -> InputError:
    return InputError(f"{path} has points that are not placed ({', '.join(names)}); place or remove them.")


def _position(path: PathLike, name: str, control: dict[str, Any]) -> list[float]:
    position = control.get("position")
    numeric = isinstance(position, list) and [type(p) for p in position if type(p) in (int, float)]
    if isinstance(position, list) and numeric and len(position) == len(numeric) == 3:
        # integers of any length are JSON, and too large a one is no float
        values = [float(p) if abs(p) < _LARGEST else np.inf for p in position]
        if np.isfinite(values).all():
            return values
    raise InputError(f"{path}: the point {name} has no position of three finite numbers; place or remove it.")


def points_from_fcsv(path: PathLike, text: str) -> Points:
    """The points of an `.fcsv` of any Slicer version, by its own column names and coordinate system.

    Raises:
        InputError: If it does not say whether it is LPS or RAS, a line does not fit its columns or has no three
            numbers, or a point is not placed.
    """
    refuse_other_unit(path, text)
    frame, columns = _fcsv_frame(path, text), _fcsv_columns(path, text)
    places = [columns.index(axis) for axis in "xyz"]
    label = columns.index("label") if "label" in columns else len(columns)
    points, names, unplaced = [], [], []
    for number, line in numbered_lines(text):
        row = _fcsv_row(path, number, cells(path, number, line), columns)
        points.append(numbers(path, number, [row[place] for place in places if place < len(row)]))
        names.append(row[label] if label < len(row) else "")
        if not _is_placed(row, columns):
            unplaced.append(names[-1] or f"line {number}")
    if unplaced:
        raise _not_placed(path, unplaced)
    return (swap_lps_ras(points).tolist() if frame == "RAS" and points else points), names


def _fcsv_columns(path: PathLike, text: str) -> list[str]:
    """The columns that the file names; Slicer 4's where it names none."""
    named = [comment for comment in comments(text) if re.match(r"columns\b", comment, re.IGNORECASE)]
    if not named:
        return [column.lower() for column in _FCSV_COLUMNS]
    match = re.fullmatch(r"columns\s*=\s*(.*)", named[-1], re.IGNORECASE)
    columns = [column.strip().lower() for column in match[1].split(",")] if match else []
    if match is None or not {"x", "y", "z"} <= set(columns) or len(named) > 1:
        shown = match[1] if match else named[-1]
        raise InputError(f'{path} has the columns "{shown}" without x, y, z, or twice; save it again in Slicer.')
    check_columns(path, columns)
    return columns


def _fcsv_row(path: PathLike, number: int, row: list[str], columns: list[str]) -> list[str]:
    """A row, once its length is known to fit: whole, with Slicer 5's two unnamed columns, or ending at z or label."""
    ends = {len(columns), len(columns) + len(_FCSV_UNNAMED), max(map(columns.index, "xyz")) + 1}
    ends |= {columns.index("label") + 1} if "label" in columns else set()
    extra = row[len(columns) :]
    if len(row) not in ends or not all(re.fullmatch("[0-3]", cell) for cell in extra):
        raise InputError(
            f"{path}, line {number}: has {len(row)} columns where {len(columns)} are named; correct the line, or save "
            f"it again in Slicer."
        )
    return row


def _is_placed(row: list[str], columns: list[str]) -> bool:
    """By the status of the point: 0 undefined, 1 preview, 2 defined, 3 missing; Slicer 5 does not name its column."""
    place = columns.index("positionstatus") if "positionstatus" in columns else len(columns)
    return place >= len(row) or row[place] in ("", "2")


def _fcsv_frame(path: PathLike, text: str) -> str:
    frame = said_frame(path, text)
    if frame is None and any(comment.startswith("Fiducial List file") for comment in comments(text)):
        return "RAS"  # Slicer 3 knew no other and did not say
    if frame is None:
        raise InputError(f'{path} does not say its frame; add a line "# CoordinateSystem = LPS" (or RAS) at its top.')
    return frame


def json_from_points(points: Array, names: tuple[str, ...]) -> str:
    """The text of a `.mrk.json` with a list of points `(N, 3)`, mm, LPS, written as LPS."""
    controls = [
        {"id": str(k + 1), "label": name, "position": point, "positionStatus": "defined"}
        for k, (name, point) in enumerate(zip(names, points.tolist(), strict=True))
    ]
    markup = {"type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": "mm", "controlPoints": controls}
    return json.dumps({"@schema": _SCHEMA, "markups": [markup]}, indent=1) + "\n"


def fcsv_from_points(points: Array, names: tuple[str, ...]) -> str:
    """The text of an `.fcsv` with points `(N, 3)`, mm, LPS, written as LPS (read by Slicer 4.11 and later)."""
    text = io.StringIO()
    text.write("# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n")
    text.write(f"# columns = {','.join(_FCSV_COLUMNS)}\n")
    writer = csv.writer(text, lineterminator="\n")
    for k, (name, point) in enumerate(zip(names, points.tolist(), strict=True)):
        writer.writerow([k + 1, *map(repr, point), 0, 0, 0, 1, 1, 1, 0, name, "", ""])
    return text.getvalue()
