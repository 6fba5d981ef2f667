"""What the library computes with, in memory: images, landmarks, displacement fields, each in mm, LPS. NumPy alone.

What brings the intensities of any image to a known range stands here too.

Files are read into these and written from them by `io`, Slicer's nodes by `mrml`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.geometry import Array, Grid


@dataclass(frozen=True)
class Image:
    """A volume and where it lies.

    Attributes:
        array: Intensities or labels, shape `(z, y, x)`.
        grid: Of the same shape; mm, LPS.
    Raises:
        ValueError: If the shapes differ.
    """

    array: NDArray[Any]
    grid: Grid

    def __post_init__(self) -> None:
        if self.array.shape != self.grid.shape:
            raise ValueError(f"an array of shape {self.array.shape} does not fill a grid of shape {self.grid.shape}")


@dataclass(frozen=True)
class Landmarks:
    """Points with names.

    Attributes:
        points: Shape `(N, 3)`, mm, LPS, components x, y, z.
        names: One for each point; those empty or not given become its number, counted from 1.
    Raises:
        ValueError: If a point is not finite, or names and points differ in number.
    """

    points: Array
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        points = np.asarray(self.points, dtype=np.float64).reshape(-1, 3)
        if not np.isfinite(points).all():
            raise ValueError("landmarks must be finite")
        if self.names and len(self.names) != len(points):
            raise ValueError(f"{len(self.names)} names do not fit {len(points)} landmarks")
        names = self.names or ("",) * len(points)
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "names", tuple(name or str(k + 1) for k, name in enumerate(names)))

    def __len__(self) -> int:
        return len(self.points)

    def where(self, kept: NDArray[np.bool_]) -> Landmarks:
        """Those of them that are kept, shape `(N,)`, in their order."""
        return Landmarks(self.points[kept], tuple(np.array(self.names, dtype=object)[kept]))


@dataclass(frozen=True)
class DisplacementField:
    """Displacements of the points of a grid, from fixed to moving.

    Attributes:
        array: Shape `(z, y, x, 3)`, mm, components x, y, z, LPS.
        grid: The fixed grid, shape `(z, y, x)`.
    Raises:
        ValueError: If the shapes differ.
    """

    array: NDArray[np.floating]
    grid: Grid

    def __post_init__(self) -> None:
        if self.array.shape != (*self.grid.shape, 3):
            raise ValueError(f"a field of shape {self.array.shape} does not fill a grid of shape {self.grid.shape}")


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
