"""Point lists as 3D Slicer keeps them: `.mrk.json` and `.fcsv`, in and out."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import numpy as np

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array, swap_lps_ras
from RobustDIRLib.io.files import PathLike
from RobustDIRLib.io.text_points import Points, numbered_lines, numbers

# Slicer's own words for its two frames in .fcsv; 0 and 1 until Slicer 4.10.
_FCSV_FRAMES = {"0": "RAS", "1": "LPS", "RAS": "RAS", "LPS": "LPS"}
_FCSV_COLUMNS = ["id", "x", "y", "z", "ow", "ox", "oy", "oz", "vis", "sel", "lock", "label", "desc", "associatedNodeID"]
_SCHEMA = "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json#"


def points_from_json(path: PathLike, text: str) -> Points:
    """The control points of the one list in a `.mrk.json`; LPS where it names no coordinate system, as its schema says.

    Raises:
        InputError: If it is no such file, holds several lists, is not in mm, or has points that are not placed.
    """
    try:
        lists = [markup for markup in json.loads(text)["markups"] if markup.get("controlPoints")]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no Slicer markups file; save the points in Slicer as .mrk.json.") from error
    if len(lists) > 1:
        raise InputError(f"{path} holds {len(lists)} lists of points; save the one you want in a file of its own.")
    if not lists:
        return [], []
    frame = str(lists[0].get("coordinateSystem", "LPS")).upper()
    if frame not in ("LPS", "RAS"):
        raise InputError(f'{path} has the coordinate system "{frame}"; save the points in LPS or RAS.')
    units = lists[0].get("coordinateUnits", "mm")
    if (units[0] if isinstance(units, list) and units else units) != "mm":
        raise InputError(f"{path} has its points in {units}; save them in mm.")
    return _control_points(path, lists[0]["controlPoints"], frame)


def _control_points(path: PathLike, controls: list[dict[str, Any]], frame: str) -> Points:
    try:
        names = [str(control.get("label", "")) for control in controls]
        called = [name or f"number {k + 1}" for k, name in enumerate(names)]
        defined = [control.get("positionStatus", "defined") == "defined" for control in controls]
        undefined = [name for name, fine in zip(called, defined, strict=True) if not fine]
        if undefined:
            raise InputError(f"{path} has points that are not placed ({', '.join(undefined)}); place or remove them.")
        points = [_position(path, name, control) for name, control in zip(called, controls, strict=True)]
    except AttributeError as error:
        raise InputError(f"{path} is no Slicer markups file; save the points in Slicer as .mrk.json.") from error
    return (swap_lps_ras(points).tolist() if frame == "RAS" else points), names


def _position(path: PathLike, name: str, control: dict[str, Any]) -> list[float]:
    position = control.get("position")
    is_point = isinstance(position, list) and len(position) == 3
    if not (is_point and all(isinstance(p, (int, float)) and np.isfinite(p) for p in position or ())):
        raise InputError(f"{path}: the point {name} has no position of three finite numbers; place or remove it.")
    return [float(p) for p in position or ()]


def points_from_fcsv(path: PathLike, text: str) -> Points:
    """The points of an `.fcsv` of any Slicer version, by its own column names and coordinate system.

    Raises:
        InputError: If it does not say whether it is LPS or RAS, or a line has no three numbers.
    """
    comments = [line.lstrip("# ").strip() for line in text.splitlines() if line.startswith("#")]
    frame = _fcsv_frame(path, comments)
    named = next((line.split("=", 1)[1] for line in comments if line.startswith("columns")), ",".join(_FCSV_COLUMNS))
    columns = [column.strip() for column in named.split(",")]
    if not {"x", "y", "z"} <= set(columns):
        raise InputError(f'{path} has the columns "{named.strip()}" without x, y, z; save it again in Slicer.')
    places = [columns.index(axis) for axis in "xyz"]
    points, names = [], []
    for number, line in numbered_lines(text):
        row = next(csv.reader([line]))
        points.append(numbers(path, number, [row[place] for place in places if place < len(row)]))
        label = columns.index("label") if "label" in columns else len(row)
        names.append(row[label] if label < len(row) else "")
    return (swap_lps_ras(points).tolist() if frame == "RAS" and points else points), names


def _fcsv_frame(path: PathLike, comments: list[str]) -> str:
    said = next((line.split("=", 1)[1].strip() for line in comments if line.startswith("CoordinateSystem")), None)
    if said is None and any(line.startswith("Fiducial List file") for line in comments):
        return "RAS"  # Slicer 3 knew no other and did not say
    if said is None:
        raise InputError(f'{path} does not say its frame; add a line "# CoordinateSystem = LPS" (or RAS) at its top.')
    if said.upper() not in _FCSV_FRAMES:
        raise InputError(f'{path} has the coordinate system "{said}"; save the points in LPS or RAS.')
    return _FCSV_FRAMES[said.upper()]


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
