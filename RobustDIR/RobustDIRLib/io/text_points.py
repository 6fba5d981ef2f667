"""Points in plain text: DIR-Lab voxel lists, elastix point files, what transformix writes; and words of such files.

Each reader takes the file's text and gives points and names; `landmarks.py` chooses the reader.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array, Grid
from RobustDIRLib.io.files import PathLike

Points = tuple[list[list[float]], list[str]]  # points in mm, LPS, and their names, empty where there are none

NAME_COLUMNS = ("name", "label")
_READ_COLUMNS = {*"xyzlpsra", *NAME_COLUMNS, "defined", "positionstatus"}
# Slicer's own words for its two frames in .fcsv; 0 and 1 until Slicer 4.10.
_FRAMES = {"0": "RAS", "1": "LPS", "RAS": "RAS", "LPS": "LPS"}
_FRAME = re.compile(r"coordinatesystem\s*=\s*(.*\S)", re.IGNORECASE)
_OTHER_UNIT = re.compile(r"units?\W+\s*(?!mm\b|millimet)\w", re.IGNORECASE)
_UNIT_WORDS = r"(?:centi|micro|nano)?met(?:er|re)s?|microns?|[\u00b5\u03bc]m|inch(?:es)?"
_VOXEL_WORDS = r"voxels?|pixels?|px|IJK"
# Words of comments by which points are not what they are read as, and words that a cell may consist of.
_OTHERWISE = re.compile(
    rf"\b(RAS|{_UNIT_WORDS}|{_VOXEL_WORDS}|index coordinates|(?:in|units?\W+)\s*(?:cm|m|um))(?!\w)|"
    rf"{_OTHER_UNIT.pattern}",
    re.IGNORECASE,
)
# Words of comments by which voxels are none, but for sizes in mm, and by which they are counted from 0.
_IN_MM = re.compile(r"\b(?:RAS|LPS|physical|world|millimet\w*)\b|(?<![\d.])(?<![\d.]\s)\bmm\b", re.IGNORECASE)
_FROM_ZERO = re.compile(r"\b(?:0|zero)[\s-]*based\b|\bfrom (?:0|zero)\b", re.IGNORECASE)
_OTHER_CELL = re.compile(rf"{_UNIT_WORDS}|{_VOXEL_WORDS}|cm", re.IGNORECASE)
# What a column says by its name of the points, and what it must say: nothing else is converted here.
_SAYING = {
    "frame": ("LPS", "RAS"), "space": ("LPS", "RAS"), "coordinatesystem": ("LPS", "RAS"),
    "unit": ("mm",), "units": ("mm",), "coordinateunits": ("mm",),
}  # fmt: skip
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


def refuse_other_words(path: PathLike, text: str) -> None:
    """Refuse comments that speak of another frame or unit than mm, LPS, in words that nothing reads.

    Raises:
        InputError: Names the comment.
    """
    for comment in comments(text):
        if not comment.lower().startswith("coordinatesystem") and _OTHERWISE.search(comment):
            raise InputError(
                f'{path} has the comment "{comment}", and its points are read as mm, LPS; convert them if they are '
                f'not, name RAS by "# CoordinateSystem = RAS" in CSV, and take the comment out.'
            )


def is_said_otherwise(column: str, cell: str, frame: str) -> str | None:
    """What points are read as, the frame or mm, where a cell says another, by its column or by the word itself."""
    allowed = [one for one in _SAYING.get(re.sub(r"[ _]", "", column), ()) if one in (frame, "mm")]
    if cell and allowed:
        return None if cell.lower() in map(str.lower, allowed) else allowed[0]
    if cell.upper() in ("LPS", "RAS") and cell.upper() != frame:
        return frame
    return "mm" if _OTHER_CELL.fullmatch(cell) else None


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


def points_from_text(path: PathLike, text: str, grid: Grid | None) -> Points:
    """DIR-Lab voxel list, elastix point file or transformix output, told apart by the first line."""
    lines = numbered_lines(text)
    first = lines[0][1].lower() if lines else ""
    if first == "point" or "outputpoint" in first:
        refuse_other_words(path, text)
    elif lines:
        _refuse_other_count(path, text, first)
    if first in ("point", "index"):
        return _points_from_elastix(path, lines, grid), []
    if "outputpoint" in first:
        return _points_from_transformix(path, lines), []
    return _points_from_dirlab(path, lines, grid), []


def _refuse_other_count(path: PathLike, text: str, first: str) -> None:
    """Refuse voxels that a comment says are points, or counts otherwise than they are read: elastix 0, DIR-Lab 1."""
    for comment in comments(text):
        if _IN_MM.search(comment) or (first != "index" and _FROM_ZERO.search(comment)):
            raise InputError(
                f'{path} has the comment "{comment}", and its voxels are read as counted from '
                f"{0 if first == 'index' else 1} along the axes of the image; give points in mm as CSV instead."
            )


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
    image_grid = _image_grid(path, grid, "elastix indices")
    _refuse_outside(path, lines[2:], np.array(values), image_grid, first=0)
    return list(image_grid.points_from_voxels(np.array(values)[:, ::-1]).tolist())


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
    _refuse_outside(path, lines, voxels, image_grid, first=1)
    return list(image_grid.points_from_voxels(voxels[:, ::-1] - 1).tolist())


def _refuse_outside(path: PathLike, lines: list[tuple[int, str]], voxels: Array, grid: Grid, *, first: int) -> None:
    """Refuse voxels of another image, or in another count: half of them outside, or one below where 1 is the first.

    A few outside are points that a registration leaves out.
    """
    below, beyond = (voxels < first - 0.5).any(axis=1), (voxels > np.array(grid.size) + first - 0.5).any(axis=1)
    outside = below | beyond
    if (first == 1 and below.any()) or 2 * outside.sum() >= len(voxels):
        number, line = lines[int(outside.argmax())]
        sides = " x ".join(map(str, grid.size))
        raise InputError(
            f'{path}, line {number}: voxel "{line}", counted from {first}, is not in its image of {sides} voxels '
            f"({outside.sum()} such lines); give the image that the landmarks belong to."
        )


def _image_grid(path: PathLike, grid: Grid | None, what: str) -> Grid:
    if grid is None:
        raise InputError(f"{path} holds {what}, whose place in mm depends on their image; give the image as well.")
    return grid
