"""Points in plain text: CSV, DIR-Lab voxel lists, elastix point files and what transformix writes.

Each reader takes the file's text and gives points and names; `landmarks.py` chooses the reader.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

import numpy as np

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array, Grid, swap_lps_ras
from RobustDIRLib.io.files import PathLike

Points = tuple[list[list[float]], list[str]]  # points in mm, LPS, and their names, empty where there are none

_NAME_COLUMNS = ("name", "label")
_OUTPUT_POINT = re.compile(r"OutputPoint\s*=\s*\[([^\]]*)\]")


def numbers(path: PathLike, line: int, texts: Sequence[str]) -> list[float]:
    """Three finite numbers from the texts of one line.

    Raises:
        InputError: If there are not three, or one is no finite number; names file and line.
    """
    shown = " ".join(text.strip() for text in texts)
    try:
        values = [float(text) for text in texts]
    except ValueError as error:
        raise InputError(f'{path}, line {line}: "{shown}" is not three numbers; correct or remove the line.') from error
    if len(values) != 3:
        raise InputError(f'{path}, line {line}: "{shown}" has {len(values)} numbers where 3 are needed; correct it.')
    if not np.isfinite(values).all():
        raise InputError(f'{path}, line {line}: "{shown}" is not finite; correct or remove the line.')
    return values


def numbered_lines(text: str) -> list[tuple[int, str]]:
    """The lines that say something, neither blank nor comments (`#`), each with its number from 1."""
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), start=1))
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def points_from_csv(path: PathLike, text: str) -> Points:
    """CSV with a header naming x, y, z (or l, p, s; LPS mm) or r, a, s (RAS mm), or three columns x, y, z without one.

    Columns may be parted by comma, semicolon or tab; a column `name` or `label` gives names; others are passed over.
    """
    lines = numbered_lines(text)
    if not lines:
        return [], []
    delimiter = next((d for d in ",;\t" if d in lines[0][1]), ",")
    # strict: a quote left open would otherwise swallow the rows after it
    rows = [(number, _cells(path, number, line, delimiter)) for number, line in lines]
    header = [cell.lower() for cell in rows[0][1]]
    if all(_is_number(cell) for cell in header):
        return [numbers(path, number, row) for number, row in rows], []
    axes = next((axes for axes in ("xyz", "lps", "ras") if set(axes) <= set(header)), None)
    if axes is None:
        raise InputError(
            f'{path} has the columns "{", ".join(rows[0][1])}"; name three of them x, y, z (mm, LPS), or give three '
            "columns of numbers without a header."
        )
    rows = rows[1:]
    columns = [header.index(axis) for axis in axes]
    points = [numbers(path, number, _pick(path, number, row, columns)) for number, row in rows]
    _refuse_undefined(path, header, rows)
    named = next((header.index(column) for column in _NAME_COLUMNS if column in header), None)
    names = [] if named is None else [row[named] if named < len(row) else "" for _, row in rows]
    return (swap_lps_ras(points).tolist() if axes == "ras" and points else points), names


def _cells(path: PathLike, number: int, line: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, strict=True))]
    except csv.Error as error:
        raise InputError(f"{path}, line {number}: {error}; correct the quotes in that line.") from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _pick(path: PathLike, number: int, row: list[str], columns: list[int]) -> list[str]:
    if len(row) <= max(columns):
        raise InputError(f"{path}, line {number}: has {len(row)} columns where the header has more; complete the line.")
    return [row[column] for column in columns]


def _refuse_undefined(path: PathLike, header: list[str], rows: list[tuple[int, list[str]]]) -> None:
    """Slicer exports points not yet placed, at 0, 0, 0, and says so in a column of its own."""
    if "defined" not in header:
        return
    column = header.index("defined")
    undefined = [str(number) for number, row in rows if column < len(row) and row[column] in ("0", "false", "False")]
    if undefined:
        raise InputError(f"{path} has points that are not placed (line {', '.join(undefined)}); place or remove them.")


def points_from_text(path: PathLike, text: str, grid: Grid | None) -> Points:
    """DIR-Lab voxel list, elastix point file or transformix output, told apart by the first line."""
    lines = numbered_lines(text)
    first = lines[0][1].lower() if lines else ""
    if first in ("point", "index"):
        return _points_from_elastix(path, lines, grid), []
    if "outputpoint" in first:
        return _points_from_transformix(path, lines), []
    return _points_from_dirlab(path, lines, grid), []


def _points_from_elastix(path: PathLike, lines: list[tuple[int, str]], grid: Grid | None) -> list[list[float]]:
    """First line `point` (mm, LPS) or `index` (voxels from 0, x y z), then the count, then three numbers a line."""
    in_voxels = lines[0][1].lower() == "index"
    if len(lines) < 2 or not lines[1][1].isdigit():
        raise InputError(f'{path} needs the number of points in the line after "{lines[0][1]}"; add it.')
    values = [numbers(path, number, line.split()) for number, line in lines[2:]]
    if len(values) != int(lines[1][1]):
        raise InputError(
            f"{path} says {lines[1][1]} points but has {len(values)}; correct the count in line {lines[1][0]}."
        )
    if not (in_voxels and values):
        return list(values)
    voxels = np.array(values)[:, ::-1]
    return list(_image_grid(path, grid, "elastix indices").points_from_voxels(voxels).tolist())


def _points_from_transformix(path: PathLike, lines: list[tuple[int, str]]) -> list[list[float]]:
    """The `OutputPoint` (mm, LPS) of each line of transformix's `outputpoints.txt`."""
    found = [(number, line, _OUTPUT_POINT.search(line)) for number, line in lines]
    for number, line, match in found:
        if match is None:
            raise InputError(f'{path}, line {number}: "{line[:60]}" has no OutputPoint; remove the line.')
    return [numbers(path, number, match[1].split()) for number, _, match in found if match]


def _points_from_dirlab(path: PathLike, lines: list[tuple[int, str]], grid: Grid | None) -> list[list[float]]:
    """Three whole numbers a line, voxels x y z counted from 1 along the axes of `grid`, as DIR-Lab gives them."""
    voxels = np.array([numbers(path, number, line.split()) for number, line in lines]).reshape(-1, 3)
    for (number, line), voxel in zip(lines, voxels, strict=True):
        if (voxel != np.round(voxel)).any():
            raise InputError(
                f'{path}, line {number}: "{line}" is no voxel counted from 1, as in DIR-Lab text; give points in mm as '
                "CSV with the header x,y,z."
            )
    if not len(voxels):
        return []
    image_grid = _image_grid(path, grid, "DIR-Lab voxels")
    _refuse_outside(path, lines, voxels, image_grid)
    return list(image_grid.points_from_voxels(voxels[:, ::-1] - 1).tolist())


def _refuse_outside(path: PathLike, lines: list[tuple[int, str]], voxels: Array, grid: Grid) -> None:
    outside = ((voxels < 1) | (voxels > np.array(grid.size))).any(axis=1)
    if outside.any():
        number, line = lines[int(outside.argmax())]
        sides = " x ".join(map(str, grid.size))
        raise InputError(
            f'{path}, line {number}: voxel "{line}", counted from 1, is not in its image of {sides} voxels '
            f"({outside.sum()} such lines); give the image that the landmarks belong to."
        )


def _image_grid(path: PathLike, grid: Grid | None, what: str) -> Grid:
    if grid is None:
        raise InputError(f"{path} holds {what}, whose place in mm depends on their image; give the image as well.")
    return grid
