"""Other ways to read a list of points: in the other frame, with its axes exchanged, as voxels; for hints alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np

from RobustDIRLib.geometry import Array, Grid

_NEARLY_ALL = 0.95
_FRAME = ((0, 1, 2), (-1, -1, 1))
_AXES = "xyz"


@dataclass(frozen=True)
class PointReading:
    """A way to read points.

    Attributes:
        words: To follow "they would fit" or "they would lie inside".
        points: What the points as they were taken, `(N, 3)`, mm, LPS, are by it.
        frame: Whether it is the exchange of RAS and LPS, the most usual of them.
    """

    words: str
    points: Callable[[Array], Array]
    frame: bool = False


def other_readings(grid: Grid | None = None) -> list[PointReading]:
    """All ways but the one that was taken, the usual ones first: another frame, voxels, axes exchanged or mirrored.

    Args:
        grid: Of the image that the points belong to; without it voxels are left out.
    """
    axes = [(order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]
    axes.sort(key=lambda one: (one != _FRAME, _exchanged(one[0]), one[1].count(-1)))
    found = [_of_axes(order, signs) for order, signs in axes if (order, signs) != ((0, 1, 2), (1, 1, 1))]
    if grid is not None:
        found[1:1] = [
            PointReading("as voxels x, y, z instead of mm", lambda p: grid.points_from_voxels(p[:, ::-1])),
            PointReading("as voxels z, y, x instead of mm", grid.points_from_voxels),
        ]
    return found


def _of_axes(order: tuple[int, ...], signs: tuple[int, ...]) -> PointReading:
    changes = [
        *([f"{' and '.join(moved)} exchanged"] if len(moved := _moved(order)) == 2 else []),
        *([f"the axes in the order {', '.join(_AXES[k] for k in order)}"] if _exchanged(order) == 3 else []),
        *(
            [f"{' and '.join(turned)} changed in sign"]
            if (turned := [_AXES[k] for k in range(3) if signs[k] < 0])
            else []
        ),
    ]
    frame = (order, signs) == _FRAME
    words = f"with {', then '.join(changes)}{' (RAS instead of LPS)' if frame else ''}"
    return PointReading(words, lambda points: points[:, order] * np.array(signs), frame)


def _moved(order: tuple[int, ...]) -> list[str]:
    return [_AXES[k] for k in range(3) if order[k] != k]


def _exchanged(order: tuple[int, ...]) -> int:
    return len(_moved(order))


def reading_inside(points: Array, grid: Grid) -> str:
    """How points, most of which lie outside their image, would lie inside, in words; empty if there is no such way."""
    for reading in other_readings(grid):
        if grid.contains(reading.points(points)).mean() >= _NEARLY_ALL:
            return reading.words
    return ""
