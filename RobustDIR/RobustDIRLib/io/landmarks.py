"""Landmarks in and out: CSV, Slicer `.mrk.json` and `.fcsv`, DIR-Lab text, elastix and transformix point files.

| extension | what | frame |
|---|---|---|
| `.csv` | header x,y,z with name or label; three columns without header; Slicer's l,p,s | LPS mm |
| `.csv` | Slicer's r,a,s | RAS mm |
| `.mrk.json`, `.json` | Slicer markups | as the file says |
| `.fcsv` | Slicer fiducials, old and new | as the file says |
| `.txt`, `.pts`, first line `point` | elastix | LPS mm |
| `.txt`, `.pts`, first line `index` | elastix, voxels x y z from 0 | voxels of the image's grid |
| `.txt`, first line with `OutputPoint` | transformix output | LPS mm |
| `.txt`, any other first line | DIR-Lab, voxels x y z from 1 | voxels of the image's grid |

DIR-Lab and elastix indices count along the axes of the array as it is stored. A DIR-Lab landmark is right only on an
image whose slices were stored in the order of the set's raw file: an image whose z axis was flipped in conversion turns
every landmark's z to the wrong side.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array, Grid
from RobustDIRLib.io.csv_cells import CellWriter
from RobustDIRLib.io.csv_points import points_from_csv
from RobustDIRLib.io.files import PathLike, check_extension, extension, read_text, regular_file, written_atomically
from RobustDIRLib.io.slicer_points import fcsv_from_points, json_from_points, points_from_fcsv, points_from_json
from RobustDIRLib.io.text_points import points_from_text
from RobustDIRLib.values import Landmarks as Landmarks

READ_EXTENSIONS = (".csv", ".mrk.json", ".json", ".fcsv", ".txt", ".pts")
_MOST_LINES = 500_000  # of which a minute's reading comes
WRITE_EXTENSIONS = (".csv", ".mrk.json", ".fcsv", ".txt", ".pts")


def pairs_inside(fixed: Landmarks, moving: Landmarks, fixed_grid: Grid, moving_grid: Grid) -> NDArray[np.bool_]:
    """Which pairs of landmarks have both inside their images, shape `(N,)`: what a registration measures."""
    return fixed_grid.contains(fixed.points) & moving_grid.contains(moving.points)


def read_landmarks(path: PathLike, grid: Grid | None = None) -> Landmarks:
    """Reads landmarks; the format follows from the extension and, for text, from the first line (see the table above).

    Args:
        path: File of one of `READ_EXTENSIONS`.
        grid: Of the image that the landmarks belong to; needed where they are in voxels (DIR-Lab, elastix `index`).
    Raises:
        InputError: If the file is missing, empty or of another format, a line is not three finite numbers, a point is
            not placed, or voxels come without their grid or lie outside it.
    """
    kind = extension(path)
    text = read_text(regular_file(path))  # a pipe would be empty, or never end, when its checksum is taken
    if kind not in (".mrk.json", ".json") and (lines := text.count("\n")) > _MOST_LINES:
        raise InputError(f"{path} has {lines} lines, as no list of landmarks has; check that it is the file you mean.")
    if kind == ".csv":
        points, names = points_from_csv(path, text)
    elif kind in (".mrk.json", ".json"):
        points, names = points_from_json(path, text)
    elif kind == ".fcsv":
        points, names = points_from_fcsv(path, text)
    elif kind in (".txt", ".pts"):
        points, names = points_from_text(path, text, grid)
    else:
        raise InputError(f"{path} has no known format of landmarks; give one of {', '.join(READ_EXTENSIONS)}.")
    if not points:
        raise InputError(f"{path} holds no landmarks; check that it is the file you mean.")
    return Landmarks(np.array(points), tuple(names))


def write_landmarks(path: PathLike, landmarks: Landmarks) -> None:
    """Writes landmarks as CSV, `.mrk.json`, `.fcsv` or elastix points (`.txt`, `.pts`, which keep no names), in LPS mm.

    Raises:
        InputError: If the extension is another one or the file cannot be written.
    """
    kind = check_extension(path, WRITE_EXTENSIONS, "a list of landmarks")
    writers = {".csv": _csv, ".mrk.json": json_from_points, ".fcsv": fcsv_from_points}
    names = tuple(" ".join(name.splitlines()) for name in landmarks.names)  # as tables are read line by line
    text = writers.get(kind, _elastix)(landmarks.points, names)
    with written_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _csv(points: Array, names: tuple[str, ...]) -> str:
    text = io.StringIO()
    writer = CellWriter(text)
    writer.writerow(["x", "y", "z", "name"])
    writer.writerows([*map(repr, point), name] for point, name in zip(points.tolist(), names, strict=True))
    return text.getvalue()


def _elastix(points: Array, names: tuple[str, ...]) -> str:
    lines = [" ".join(map(repr, point)) for point in points.tolist()]
    return "\n".join(["point", str(len(names)), *lines]) + "\n"
