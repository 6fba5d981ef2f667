"""What the library computes with, in memory: images, landmarks, displacement fields, each in mm, LPS. NumPy alone.

What brings the intensities of any image to a known range stands here too.

Files are read into these and written from them by `io`, Slicer's nodes by `mrml`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array, Grid, triples


def _check_fills(array: NDArray[Any], grid: Grid, more: tuple[int, ...]) -> None:
    """Refuse an array that does not fill a grid, with `more` numbers a voxel, or holds other than real numbers."""
    for name, given, kind in (("array", array, np.ndarray), ("grid", grid, Grid)):
        if not isinstance(given, kind):
            raise InputError(f"`{name}` is of the type {type(given).__name__}; give one of {kind.__name__}")
    if array.dtype.kind not in "buif":
        raise InputError(f"`array` holds {array.dtype}; give real numbers")
    if array.shape != (*grid.shape, *more):
        what = "a field" if more else "an array"
        raise InputError(f"{what} of shape {array.shape} does not fill a grid of shape {grid.shape}")


@dataclass(frozen=True)
class Image:
    """A volume and where it lies.

    Attributes:
        array: Intensities or labels, shape `(z, y, x)`.
        grid: Of the same shape; mm, LPS.
    Raises:
        InputError: If the shapes differ, or the array holds other than real numbers.
    """

    array: NDArray[Any]
    grid: Grid

    def __post_init__(self) -> None:
        _check_fills(self.array, self.grid, ())


@dataclass(frozen=True)
class Landmarks:
    """Points with names.

    Attributes:
        points: Shape `(N, 3)`, mm, LPS, components x, y, z.
        names: One for each point; those empty or not given become its number, counted from 1.
    Raises:
        InputError: If a point is not finite or of three numbers, or names and points differ in number.
    """

    points: Array
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        points = triples(self.points, "points")
        if points.ndim != 2:
            raise InputError(f"`points` has the shape {points.shape}; give (N, 3), x, y and z of each")
        listed = isinstance(self.names, (tuple, list, np.ndarray))
        if not listed or not all(isinstance(name, str) for name in self.names):
            raise InputError(f"`names` is of the type {type(self.names).__name__}; give one text for each landmark")
        if not np.isfinite(points).all():
            raise InputError("landmarks must be finite")
        if len(self.names) not in (0, len(points)):
            raise InputError(f"{len(self.names)} names do not fit {len(points)} landmarks")
        names = tuple(map(str, self.names)) or ("",) * len(points)
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "names", tuple(name or str(k + 1) for k, name in enumerate(names)))

    def __len__(self) -> int:
        return len(self.points)

    def where(self, kept: NDArray[np.bool_]) -> Landmarks:
        """Those of them that are kept, shape `(N,)`, in their order.

        Raises:
            InputError: If `kept` is no array of as many answers.
        """
        if not isinstance(kept, np.ndarray) or kept.dtype != bool or kept.shape != (len(self),):
            raise InputError(f"`kept` is {kept!r:.40}; give an array of True and False, one for each landmark")
        return Landmarks(self.points[kept], tuple(np.array(self.names, dtype=object)[kept]))


@dataclass(frozen=True)
class DisplacementField:
    """Displacements of the points of a grid, from fixed to moving.

    Attributes:
        array: Shape `(z, y, x, 3)`, mm, components x, y, z, LPS.
        grid: The fixed grid, shape `(z, y, x)`.
    Raises:
        InputError: If the shapes differ, or the array holds other than real numbers.
    """

    array: NDArray[np.floating]
    grid: Grid

    def __post_init__(self) -> None:
        _check_fills(self.array, self.grid, (3,))


Window = tuple[float, float]  # intensities that become the ends of a range

_SAMPLES = 1_000_000
_DARKEST, _BRIGHTEST = 0.5, 99.7  # percentiles


def scaled(array: NDArray[Any], window: Window, onto: Window = (-1.0, 1.0)) -> NDArray[np.float32]:
    """Intensities clipped to a window and scaled, by default to what networks see (section 2.3).

    Args:
        array: Of any shape.
        window: Intensities that become the ends of the range; where they are one, all becomes its lower end.
        onto: The range.
    """
    low, high = window
    values = np.clip(array.astype(np.float32), low, high)
    values -= low
    values *= (onto[1] - onto[0]) / max(high - low, np.finfo(np.float32).tiny)
    values += onto[0]
    return values


def display_window(array: NDArray[Any]) -> Window:
    """Intensities to be drawn black and white: percentiles of a regular subset."""
    values = array.reshape(-1)
    low, high = np.percentile(values[:: max(1, values.size // _SAMPLES)], (_DARKEST, _BRIGHTEST))
    return float(low), float(max(high, low + 1e-6))
