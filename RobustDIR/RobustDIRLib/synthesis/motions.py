"""Real breathing as smooth displacement fields, from matched points of two breaths: no images needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import written_atomically

NODES = 12
_REACH = 0.12  # standard deviation of the kernel, as a share of the lungs' sides
_FEWEST = 100

Array = NDArray[np.float64]


def read_matches(file: Path) -> tuple[Array, Array]:
    """Matched points of two breaths, each `(n, 3)`, axes z, y, x, any unit.

    Args:
        file: Rows x,y,z,x,y,z without a header: a point, and where it is in the other breath; x to a side, y from
            front to back, z upwards.
    Raises:
        InputError: If it is no such table or has under 100 rows.
    """
    try:
        rows = np.loadtxt(file, delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError(f"{file} is no table of numbers: give rows x,y,z,x,y,z without a header") from error
    if rows.shape[1] != 6 or len(rows) < _FEWEST:
        raise InputError(f"{file} has {len(rows)} rows of {rows.shape[1]} numbers: give {_FEWEST} rows or more of 6")
    return rows[:, 2::-1], rows[:, :2:-1]


def breathing_field(start: Array, end: Array, nodes: int = NODES) -> NDArray[np.float32]:
    """Smooth displacement between two breaths, from their matched points by a Gaussian kernel's weighted mean.

    Args:
        start: Points `(n, 3)`, axes z, y, x.
        end: The same points in the other breath.
        nodes: Of the field, a side; they span the points' box (first to 99th percentile).
    Returns:
        Shape `(3, nodes, nodes, nodes)`, as shares of the box's sides, without the mean of all points.
    """
    low, high = np.percentile(start, (1, 99), axis=0)
    places, moves = (start - low) / (high - low), (end - start) / (high - low)
    axis = np.linspace(0, 1, nodes)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    squares = cdist(grid, places, "sqeuclidean")
    # Only differences count, so that nodes far from all points have weights, too.
    weights = np.exp(-(squares - squares.min(1, keepdims=True)) / (2 * _REACH**2))
    field = weights @ (moves - moves.mean(0)) / weights.sum(1, keepdims=True)
    return np.asarray(field.T.reshape(3, nodes, nodes, nodes).astype(np.float32))


def write_motions(target: Path, files: Sequence[Path]) -> None:
    """One field for every table of matched points, into an `.npz` file.

    Raises:
        InputError: If a table is unfit.
    """
    motions = np.stack([breathing_field(*read_matches(file)) for file in files])
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_atomically(target) as temporary:
        np.savez_compressed(temporary, motions=motions)
