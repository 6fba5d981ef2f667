"""Points in plain text: CSV, DIR-Lab voxel lists, elastix point files and what transformix writes.

Each reader takes the file's text and gives points and names; `landmarks.py` chooses the reader.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array, Grid, swap_lps_ras
from RobustDIRLib.io.csv_cells import from_cell
from RobustDIRLib.io.files import PathLike

Points = tuple[list[list[float]], list[str]]  # points in mm, LPS, and their names, empty where there are none

_NAME_COLUMNS = ("name", "label")
_FRAME_OF = {"xyz": "LPS", "lps": "LPS", "ras": "RAS"}
_READ_COLUMNS = {*"xyzlpsra", *_NAME_COLUMNS, "defined", "positionstatus"}
# Slicer's own words for its two frames in .fcsv; 0 and 1 until Slicer 4.10.
_FRAMES = {"0": "RAS", "1": "LPS", "RAS": "RAS", "LPS": "LPS"}
_FRAME = re.compile(r"coordinatesystem\s*=\s*(.*\S)", re.IGNORECASE)
_WITH_COMMA = re.compile(r"[+-]?\d+(,\d+)?", re.ASCII)
# What a column or a comment may say of the points, and what it must say: nothing else is converted here.
_SAYING = {
    "frame": ("LPS", "RAS"), "space": ("LPS", "RAS"), "coordinatesystem": ("LPS", "RAS"),
    "unit": ("mm",), "units": ("mm",), "coordinateunits": ("mm",),
}  # fmt: skip
_OTHERWISE = re.compile(
    r"\b(RAS|centimet(?:er|re)s?|inch(?:es)?|voxels?|pixels?|IJK|(?:in|units?\W+)\s*(?:cm|m|voxels?|pixels?))\b",
    re.IGNORECASE,
)
_OTHER_UNIT = re.compile(r"\bunits?\W+\s*(?!mm\b|millimet)\w", re.IGNORECASE)
_OUTPUT_POINT = re.compile(r"OutputPoint\s*=\s*\[([^\]]*)\]")


def numbers(path: PathLike, line: int, texts: Sequence[str]) -> list[float]:
    """Three finite numbers from the texts of one line.

    Raises:
        InputError: If there are not three, or one is no finite number; names file and line.
    """
    shown = " ".join(text.strip() for text in texts)
    if not all(is_number(text) for text in texts):
        raise InputError(f'{path}, line {line}: "{shown}" is not three numbers; correct or remove the line.')
    values = [float(text) for text in texts]
    if len(values) != 3:
        raise InputError(f'{path}, line {line}: "{shown}" has {len(values)} numbers where 3 are needed; correct it.')
    if not np.isfinite(values).all():
        raise InputError(f'{path}, line {line}: "{shown}" is not finite; correct or remove the line.')
    return values


def is_number(text: str) -> bool:
    """Whether a text is a number as other programs, too, write one: Python alone takes `1_000`, or Arabic digits."""
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and "_" not in text


def numbered_lines(text: str) -> list[tuple[int, str]]:
    """The lines that say something, neither blank nor comments (`#`), each with its number from 1."""
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), start=1))
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def comments(text: str) -> list[str]:
    """The lines that begin with `#`, without it."""
    return [line.strip().lstrip("# \t") for line in text.splitlines() if line.strip().startswith("#")]


def said_frame(path: PathLike, text: str) -> str | None:
    """The frame, `"LPS"` or `"RAS"`, that comments name as Slicer does: `# CoordinateSystem = LPS`; None if none does.

    Raises:
        InputError: If a comment names it in another form, names another, or two disagree.
    """
    found = set()
    for comment in comments(text):
        if not comment.lower().startswith("coordinatesystem"):
            continue
        match = _FRAME.fullmatch(comment)
        if match is None:
            raise InputError(
                f'{path}: the comment "{comment}" names no frame; write "# CoordinateSystem = LPS" (or RAS).'
            )
        if match[1].upper() not in _FRAMES:
            raise InputError(f'{path} has the coordinate system "{match[1]}"; save the points in LPS or RAS.')
        found.add(_FRAMES[match[1].upper()])
    if len(found) > 1:
        raise InputError(
            f"{path} says in one comment that it is LPS and in another that it is RAS; keep the right one."
        )
    return next(iter(found), None)


def cells(path: PathLike, number: int, line: str, delimiter: str = ",") -> list[str]:
    """The cells of one line, stripped.

    Raises:
        InputError: If a quote is left open, which would otherwise swallow the rows after it.
    """
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, strict=True))]
    except csv.Error as error:
        raise InputError(f"{path}, line {number}: {error}; correct the quotes in that line.") from error


def refuse_other_unit(path: PathLike, text: str) -> None:
    """Refuse comments that name another unit than mm.

    Raises:
        InputError: Names the comment.
    """
    found = next((comment for comment in comments(text) if _OTHER_UNIT.search(comment)), None)
    if found:
        raise InputError(f'{path} has the comment "{found}", and its points are read as mm; save them in mm.')


def check_columns(path: PathLike, header: Sequence[str]) -> None:
    """Refuse a header in which a column that is read comes twice: nothing says which of both is meant.

    Raises:
        InputError: Names the column.
    """
    twice = [name for name, times in Counter(header).items() if times > 1 and name in _READ_COLUMNS]
    if twice:
        raise InputError(f'{path} has the column "{twice[0]}" more than once; keep one of them.')


def points_from_csv(path: PathLike, text: str) -> Points:
    """CSV with a header naming x, y, z (or l, p, s; LPS mm) or r, a, s (RAS mm), or three columns x, y, z without one.

    Columns may be parted by comma, semicolon or tab; a column `name` or `label` gives names; others are passed over.
    Between semicolons numbers may have decimal commas. Every row has as many columns as the header: one that is longer
    has decimal commas in it, and one that is shorter lacks nobody knows which.
    """
    lines = numbered_lines(text)
    if not lines:
        return [], []
    _refuse_other_words(path, text)
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
    named = next((header.index(column) for column in _NAME_COLUMNS if column in header), None)
    return _in_lps(points, _FRAME_OF[axes]), [] if named is None else [from_cell(row[named]) for _, row in rows]


def _refuse_other_words(path: PathLike, text: str) -> None:
    """Refuse comments that speak of another frame or unit than points in CSV have, in words that nothing reads."""
    for comment in comments(text):
        found = None if comment.lower().startswith("coordinatesystem") else _OTHERWISE.search(comment)
        if found:
            raise InputError(
                f'{path} has the comment "{comment}", and its points are read as mm, LPS; convert them if they are '
                f'not, name RAS by "# CoordinateSystem = RAS", and take the comment out.'
            )


def _refuse_other_values(path: PathLike, header: list[str], rows: list[tuple[int, list[str]]], frame: str) -> None:
    """Refuse rows that name another frame or unit, in a column of its own, than they are read in."""
    for column, name in enumerate(header):
        allowed = [one for one in _SAYING.get(re.sub(r"[ _]", "", name), ()) if one in (frame, "mm")]
        for number, row in rows if allowed else ():
            if row[column] and row[column].lower() not in map(str.lower, allowed):
                raise InputError(
                    f'{path}, line {number}: says "{row[column]}" in its column {name}, and points are read as '
                    f"{allowed[0]}; convert them, or name the columns r, a, s for RAS."
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
    if len(lines) < 2 or not (lines[1][1].isdecimal() and lines[1][1].isascii()):
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
    """Refuse voxels of another image, or in another count: one below 1, or half of them beyond the image's sides.

    A few beyond them are points that a registration leaves out.
    """
    below, beyond = (voxels < 1).any(axis=1), (voxels > np.array(grid.size)).any(axis=1)
    outside = below | beyond
    if below.any() or 2 * outside.sum() >= len(voxels):
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
