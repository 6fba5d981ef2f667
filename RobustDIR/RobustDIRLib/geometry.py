"""Voxel grids in space, and the only conversions between voxels and millimetres, LPS and RAS.

Arrays are indexed `(z, y, x)`; spacing, origin and direction follow ITK and are ordered x, y, z in LPS. Voxel
coordinates are continuous array indices, ordered z, y, x, with voxel centres at whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from RobustDIRLib.errors import InputError

Array = NDArray[np.float64]

SMALLEST_SIDE = 8  # voxels along each side of what is registered, and of what a network works on
_LPS_RAS = np.array([-1.0, -1.0, 1.0])
# Distance in voxels by which a corner of a volume may move when its axes are made rectangular: rounding of headers.
_ROUNDING = 0.1
# What may be left of axes' products beyond that, where a grid is made from a direction that should be orthonormal.
_ORTHONORMAL = 1e-4
_MOST_VOXELS = 2**31  # along a side
# Sides of voxels, mm, and how far away a first voxel may lie: beyond, the float32 of NIfTI is off by a tenth of a mm.
_SIDES_MM, _FARTHEST_MM = (1e-6, 1e6), 1e6
_IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def swap_lps_ras(vectors: ArrayLike) -> Array:
    """Turn LPS points or displacements into RAS, or back: the same change of sign serves both ways.

    Args:
        vectors: Shape `(..., 3)`, mm, components x, y, z.
    """
    return np.asarray(np.asarray(vectors, dtype=np.float64) * _LPS_RAS)


def real_numbers(given: ArrayLike, name: str, *shape: int) -> Array:
    """An array, float64, of what was given, once it is known to be one of real numbers of a shape.

    Args:
        given: Anything.
        name: What it is called, for the message.
        *shape: Its sides.
    Raises:
        InputError: If it is another.
    """
    array = _as_reals(given, name)
    if array.shape != shape:
        raise InputError(f"`{name}` has the shape {array.shape}; give {shape}")
    return array


def triples(given: ArrayLike, name: str) -> Array:
    """Points or vectors, `(..., 3)`, float64; nothing at all stands for none of them.

    Raises:
        InputError: If it is anything else: what has as many numbers in another shape would be read in another order.
    """
    array = _as_reals(given, name)
    if array.shape == (0,):
        return array.reshape(0, 3)
    if array.shape[-1:] != (3,):
        raise InputError(f"`{name}` has the shape {array.shape}; give (N, 3), three numbers of each")
    return array


def _as_reals(given: ArrayLike, name: str) -> Array:
    try:
        array = np.asarray(given)
        if array.dtype.kind not in "buifO":
            raise TypeError(array.dtype)
        return array.astype(np.float64, copy=False)
    except (ValueError, TypeError) as error:
        raise InputError(f"`{name}` is of the type {type(given).__name__}; give an array of real numbers") from error


def _whole_numbers(given: ArrayLike, name: str) -> tuple[int, int, int]:
    numbers = real_numbers(given, name, 3)
    if not (np.abs(numbers) < _MOST_VOXELS).all() or not np.array_equal(numbers, np.rint(numbers)):
        raise InputError(f"`{name}` is {given!r}; give three whole numbers of voxels")
    z, y, x = (int(number) for number in numbers)
    return z, y, x


def _check_vectors(name: str, given: NDArray[np.floating], axis: int) -> None:
    """Refuse what is no array of four sides, of which one has length 3."""
    if not isinstance(given, np.ndarray) or given.dtype.kind not in "buif":
        raise InputError(f"`{name}` is of the type {type(given).__name__}; give an array of real numbers")
    if given.ndim != 4 or given.shape[axis] != 3:
        raise InputError(f"`{name}` has the shape {given.shape}; give {'(D, H, W, 3)' if axis else '(3, D, H, W)'}")


def nearest_rotation(axes: Array) -> Array:
    """The orthonormal matrix `(3, 3)`, with or without a mirror, that is closest to axes as they are, by columns."""
    left, _, right = np.linalg.svd(axes)
    return np.asarray(left @ right)


@dataclass(frozen=True)
class Grid:
    """A regular grid of voxels in space: `point = origin + direction @ (spacing * index)`.

    Attributes:
        shape: Voxels along z, y, x, the shape of the array that fills the grid.
        spacing: Distance of voxel centres along x, y, z, mm.
        origin: Centre of the first voxel, mm, LPS, components x, y, z.
        direction: Orthonormal 3x3 matrix by rows; column k is where index axis k (x, y, z) points in LPS.
    Raises:
        InputError: If a side is not positive, a spacing is not positive and finite, an origin is not finite, or the
            direction is not orthonormal within rounding, of which it is rid: see `rectangular` for any matrix.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[tuple[float, ...], ...] = _IDENTITY

    def __post_init__(self) -> None:
        flat = isinstance(self.direction, (tuple, list)) and len(self.direction) == 9  # as ITK has it
        direction = real_numbers(self.direction, "direction", *((9,) if flat else (3, 3))).reshape(3, 3)
        object.__setattr__(self, "shape", _whole_numbers(self.shape, "shape"))
        for name in ("spacing", "origin"):
            object.__setattr__(self, name, tuple(real_numbers(getattr(self, name), name, 3).tolist()))
        object.__setattr__(self, "direction", tuple(map(tuple, direction.tolist())))
        if min(self.shape) < 1:
            raise InputError(f"a grid needs three sides of at least one voxel, not {self.shape}")
        if not all(np.isfinite(self.spacing)) or min(self.spacing) <= 0:
            raise InputError(f"voxel spacing must be positive and finite, not {self.spacing}")
        if not all(np.isfinite(self.origin)):
            raise InputError(f"the origin must be finite, not {self.origin}")
        off = np.abs(direction.T @ direction - np.eye(3)).max()
        if not off <= _ORTHONORMAL:
            raise InputError(f"the axes must be of unit length and at right angles, not {self.direction}")
        if off > 1e-12:
            nearest = nearest_rotation(direction)
            object.__setattr__(self, "direction", tuple(tuple(float(d) for d in row) for row in nearest))

    def __getstate__(self) -> dict[str, object]:
        """The fields alone: a matrix kept by a grid that was used comes back with another layout in memory than a new
        one has, its products differ in the last bit, and the optimisers of a registration make millimetres of that.
        """
        return {name: value for name, value in vars(self).items() if name in self.__dataclass_fields__}

    @property
    def voxel_side(self) -> float:
        """Side of a cube as large as a voxel, mm."""
        return float(np.prod(self.spacing) ** (1 / 3))

    @property
    def size(self) -> tuple[int, int, int]:
        """Voxels along x, y, z, as ITK counts them."""
        z, y, x = self.shape
        return x, y, z

    @cached_property
    def array_to_mm(self) -> Array:
        """Matrix `(3, 3)` that takes a step in voxels, components z, y, x, to a step in mm, components x, y, z, LPS."""
        return np.ascontiguousarray((np.asarray(self.direction) * np.asarray(self.spacing))[:, ::-1])

    @property
    def affine(self) -> Array:
        """Matrix `(4, 4)` that takes indices x, y, z to mm, LPS: `rectangular` makes the grid of it again."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.array_to_mm[:, ::-1], self.origin
        return matrix

    @cached_property
    def mm_to_array(self) -> Array:
        """Inverse of `array_to_mm`."""
        return np.asarray(np.linalg.inv(self.array_to_mm))

    def points_from_voxels(self, voxels: ArrayLike) -> Array:
        """Points in mm (LPS) of voxel coordinates `(..., 3)` ordered z, y, x."""
        return np.asarray(triples(voxels, "voxels") @ self.array_to_mm.T + np.asarray(self.origin))

    def voxels_from_points(self, points: ArrayLike) -> Array:
        """Continuous voxel coordinates `(..., 3)` ordered z, y, x of points in mm (LPS)."""
        return np.asarray((triples(points, "points") - np.asarray(self.origin)) @ self.mm_to_array.T)

    def contains(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Whether points `(..., 3)`, mm, LPS, lie within the voxels, so up to half a voxel past the outer centres."""
        voxels = self.voxels_from_points(points)
        return np.asarray(((voxels >= -0.5) & (voxels <= np.array(self.shape) - 0.5)).all(-1))

    def displacement_to_mm(self, displacement: NDArray[np.floating]) -> NDArray[np.float32]:
        """Displacement field in mm from a displacement in voxels of this grid.

        Args:
            displacement: Shape `(3, D, H, W)`, voxels of this grid, channels z, y, x.
        Returns:
            Shape `(D, H, W, 3)`, mm, components x, y, z, LPS.
        """
        _check_vectors("displacement", displacement, 0)
        matrix = self.array_to_mm.astype(np.float32)
        return np.ascontiguousarray(np.moveaxis(np.tensordot(matrix, displacement.astype(np.float32), 1), 0, -1))

    def displacement_from_mm(self, field: NDArray[np.floating]) -> NDArray[np.float32]:
        """Displacement in voxels of this grid, `(3, D, H, W)`, from a field in mm: inverts `displacement_to_mm`."""
        _check_vectors("field", field, 3)
        matrix = self.mm_to_array.astype(np.float32)
        return np.ascontiguousarray(np.tensordot(matrix, np.moveaxis(field.astype(np.float32), -1, 0), 1))

    def resized(self, shape: tuple[int, int, int]) -> Grid:
        """The grid of another shape that covers the same voxels' outer borders: voxels grow or shrink, extent stays."""
        wanted = _whole_numbers(shape, "shape")
        if min(wanted) < 1:
            raise InputError(f"`shape` is {tuple(shape)}; give three sides of at least one voxel")
        ratio = np.array(self.shape, dtype=np.float64) / wanted
        spacing = np.array(self.spacing) * ratio[::-1]
        origin = self.points_from_voxels((ratio - 1) / 2)
        return Grid(shape, tuple(spacing), tuple(origin), self.direction)

    def padded(self, before: tuple[int, int, int], after: tuple[int, int, int]) -> Grid:
        """The grid with whole voxels added (or, where negative, taken off) before and after each axis z, y, x."""
        first, last = _whole_numbers(before, "before"), _whole_numbers(after, "after")
        z, y, x = (n + b + a for n, b, a in zip(self.shape, first, last, strict=True))
        return Grid((z, y, x), self.spacing, tuple(self.points_from_voxels([-b for b in first])), self.direction)

    def close_to(self, other: Grid, tolerance: float = 1e-3) -> bool:
        """Whether both grids have one shape and their corner voxels lie within `tolerance` of a voxel of each other."""
        if not isinstance(other, Grid):
            raise InputError(f"`other` is of the type {type(other).__name__}; give a Grid")
        tolerance = float(real_numbers(tolerance, "tolerance"))
        if self.shape != other.shape:
            return False
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.shape], indexing="ij")).reshape(3, -1).T
        apart = self.voxels_from_points(other.points_from_voxels(corners)) - corners
        return bool(np.abs(apart).max() <= tolerance)


def refuse_absurd(spacing: ArrayLike, origin: ArrayLike) -> None:
    """Refuse voxels of a size that no image has, and places that files cannot keep.

    Args:
        spacing: Along x, y, z, mm.
        origin: Of the first voxel, mm.
    Raises:
        InputError: To follow "has".
    """
    sides, place = np.asarray(spacing, dtype=np.float64), np.asarray(origin, dtype=np.float64)
    if sides.min() < _SIDES_MM[0] or sides.max() > _SIDES_MM[1]:
        raise InputError(f"voxels of {' x '.join(f'{side:g}' for side in sides)} mm, as no image has")
    if np.abs(place).max() > _FARTHEST_MM:
        raise InputError(f"its first voxel at {', '.join(f'{p:g}' for p in place)} mm, further off than files can keep")


@np.errstate(over="ignore", invalid="ignore")  # what is not finite then is refused
def rectangular(shape: tuple[int, int, int], matrix: ArrayLike) -> tuple[Grid, float]:
    """The grid that a file or a node means whose axes are at right angles but for rounding: one rule for all of them.

    Args:
        shape: Voxels along z, y, x.
        matrix: Shape `(3, 4)` or `(4, 4)`; takes indices x, y, z to mm, LPS. Spacing is the length of its columns.
    Returns:
        The grid, its first voxel and its spacing as they were, and by how many voxels a corner has moved at most.
    Raises:
        InputError: If a number is not finite, a column has no length, two are parallel, or a corner would move by more
            than a tenth of a voxel: such axes are skewed, and no grid can hold them. Or as `refuse_absurd`.
    """
    matrix = np.asarray(matrix, dtype=np.float64)[:3]
    spacing = np.linalg.norm(matrix[:, :3], axis=0)
    if not np.isfinite(matrix).all() or spacing.min() <= 0:
        listed = ", ".join(f"{s:g}" for s in spacing)
        raise InputError(f"a voxel spacing that is not positive ({listed} mm), or an origin that is not finite")
    refuse_absurd(spacing, matrix[:, 3])
    axes = matrix[:, :3] / spacing
    direction = nearest_rotation(axes)
    reach = np.array(shape[::-1]) - 1
    corners = np.array(np.meshgrid(*[(0, n) for n in reach], indexing="ij"), dtype=np.float64).reshape(3, -1)
    off = direction.T @ ((axes - direction) * spacing) @ corners
    moved = float(np.abs(off / spacing[:, None]).max())
    if moved > _ROUNDING:
        raise InputError(f"skewed axes (a corner is {moved:.2f} voxels off a rectangular grid)")
    return Grid(shape, tuple(spacing), tuple(matrix[:, 3]), tuple(map(tuple, direction))), moved
