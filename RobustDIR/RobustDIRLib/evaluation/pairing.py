"""Hints that two lists of landmarks are no pairs as they were given: another order, another frame, or other places."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from RobustDIRLib.geometry import Array, Grid
from RobustDIRLib.io.landmark_readings import other_readings

# A hint is given where another reading leaves at most this share of the error, and where there is an error to explain.
_SHARE, _LEAST_MM = 1 / 3, 3.0
_WORSE = 1.5
_FEW, _MANY = 4, 2000  # an order can be told of so many landmarks; an assignment takes the cube of their number
_ENOUGH = 200  # landmarks of which axes can be told

Grids = tuple[Grid, Grid]


def pairing_hints(
    fixed: Array, moving: Array, transform: Callable[[Array], Array], grids: Grids | None = None
) -> list[str]:
    """Sentences for the user where landmarks do not look like pairs; none for most lists.

    Args:
        fixed: Landmarks of the fixed image, shape `(N, 3)`, mm, LPS.
        moving: Those of the moving image, row by row the same places.
        transform: From fixed to moving points.
        grids: Of the fixed and the moving image, for lists that are voxels.
    """
    mapped = transform(fixed)
    before, after = _mean(fixed, moving), _mean(mapped, moving)
    hints = []
    if after > _WORSE * before and after - before > _LEAST_MM:
        hints.append(
            f"the landmarks' error after registration ({after:.1f} mm on average) is far above the one before "
            f"({before:.1f} mm); check that both lists are of these images, in mm, LPS and row by row, and look at the "
            f"result."
        )
    if after > _LEAST_MM:
        some = slice(None, None, max(1, len(fixed) // _ENOUGH))
        readings = [*_in_order(mapped, moving), *_read_otherwise(fixed[some], moving[some], transform, grids)]
        error, what = min(readings, key=lambda reading: reading[0], default=(after, ""))
        if error < _SHARE * after:
            hints.append(
                f"the landmarks would fit far better {what}; they were taken as they are, so correct the files if so."
            )
    return hints


def names_hint(fixed: Sequence[str], moving: Sequence[str]) -> list[str]:
    """A sentence where lists that are paired row by row name their rows differently; none otherwise.

    Numbers count only where both lists hold the same ones, as rows without a name have theirs.
    """
    alike = sorted(fixed) == sorted(moving)
    rows = [_rows(names) for names in (fixed, moving)]
    shared = [name for name in rows[0] if name in rows[1] and (alike or not name.isdecimal())]
    apart = [name for name in shared if rows[0][name] != rows[1][name]]
    if not apart:
        return []
    first, second = (found[apart[0]] + 1 for found in rows)
    return [
        f"the landmarks' names come in different orders in both files ({apart[0]} is the {first}. of the fixed and the "
        f"{second}. of the moving ones); they were paired row by row all the same."
    ]


def _rows(names: Sequence[str]) -> dict[str, int]:
    """The row of each name that is used once."""
    times = Counter(names)
    return {name: k for k, name in enumerate(names) if times[name] == 1}


def _read_otherwise(
    fixed: Array, moving: Array, transform: Callable[[Array], Array], grids: Grids | None
) -> Iterator[tuple[float, str]]:
    """Mean errors, mm, of readings of one list or of both, and how to say each; those that are no better left out.

    But for the frame there are so many of them that one brings other landmarks near by chance: it counts where it makes
    the two shapes alike, too.
    """
    mapped = transform(fixed)
    shapes = _mean(mapped - mapped.mean(0), moving - moving.mean(0))
    sides = [other_readings(grid) for grid in grids or (None, None)]
    for of_fixed, of_moving in zip(*sides, strict=True):
        remapped, reread = transform(of_fixed.points(fixed)), of_moving.points(moving)
        for first, second, which in (
            (mapped, reread, "the moving ones"), (remapped, moving, "the fixed ones"), (remapped, reread, "both lists")
        ):  # fmt: skip
            alike = _mean(first - first.mean(0), second - second.mean(0)) < _SHARE * shapes
            if of_fixed.frame or (len(fixed) >= _FEW and alike):
                yield _mean(first, second), f"if {which} are read {of_fixed.words}"


def _in_order(mapped: Array, moving: Array) -> Iterator[tuple[float, str]]:
    """Mean error, mm, of the order of rows that fits best; none in a new Slicer, which lacks SciPy."""
    if _FEW <= len(moving) <= _MANY and importlib.util.find_spec("scipy") is not None:
        from scipy.optimize import linear_sum_assignment
        from scipy.spatial.distance import cdist

        distances = cdist(mapped, moving)
        rows, columns = linear_sum_assignment(distances)
        yield float(distances[rows, columns].mean()), "in another order of the rows"


def _mean(first: Array, second: Array) -> float:
    return float(np.linalg.norm(first - second, axis=-1).mean())
