"""The whole transform of a registration, linear part and network's displacement together, and what it does to images.

The transform from fixed to moving points is `T(x) = A(x + u(x))`: the network's displacement first, on the working grid
in the fixed image's frame, then the linear alignment A. Its inverse is `z + v(z)` at `z = A^-1(y)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import SimpleITK as sitk
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from RobustDIRLib.geometry import Array, Grid
from RobustDIRLib.io.displacements import DisplacementField, to_sitk_transform
from RobustDIRLib.io.images import Image
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.registration.linear import Linear
from RobustDIRLib.warping import identity_grid, jacobian_determinant, sample

# Whole volumes are worked through in slabs of about this many voxels, to bound memory on large images.
_SLAB_VOXELS = 2_000_000
# Beyond the working grid the inverse is kept over a margin of at most this share of each side.
_LARGEST_MARGIN = 0.25


@dataclass(frozen=True)
class ComposedTransform:
    """Fixed points to moving points, and back.

    Attributes:
        linear: Linear alignment, applied last; mm, LPS.
        deformation: What the network gave on `grid`, both of shape `(1, 3, D, H, W)`, in main memory.
        grid: Working grid.
    """

    linear: Linear
    deformation: Deformation
    grid: Grid

    @cached_property
    def transform(self) -> sitk.CompositeTransform:
        """Fixed point to moving point. Off the working grid's voxels only the linear part acts."""
        displacement = to_sitk_transform(_field(self.deformation.displacement, self.grid))
        # ITK applies the transform added last first.
        return sitk.CompositeTransform([self.linear.transform, displacement])

    @cached_property
    def inverse(self) -> sitk.CompositeTransform:
        """Moving point to fixed point, wherever a fixed voxel may come to lie."""
        displacement = to_sitk_transform(_field(*self._covering_inverse))
        return sitk.CompositeTransform([displacement, self.linear.transform.GetInverse()])

    @cached_property
    def _covering_inverse(self) -> tuple[Tensor, Grid]:
        """The inverse displacement, continued with its border values over all points that `u` leads to."""
        before, after = _margins(self.deformation.displacement)
        pad = [n for pair in zip(before[::-1], after[::-1], strict=True) for n in pair]
        padded = F.pad(self.deformation.inverse, pad, mode="replicate") if any(pad) else self.deformation.inverse
        return padded, self.grid.padded(before, after)

    def field(self, grid: Grid) -> DisplacementField:
        """The whole transform as one displacement field on a grid of the fixed image's borders and direction.

        Returns:
            `T(x) - x` at every voxel x, mm, LPS, linear between working voxels as in `transform`.
        """
        array = np.empty((*grid.shape, 3), dtype=np.float32)
        # A working voxel's displacement, z, y, x, to mm of the moving image, x, y, z.
        to_mm = torch.from_numpy((self.linear.matrix @ self.grid.array_to_mm).astype(np.float32))
        # The linear part alone moves x by (A - 1) x + offset, which changes by a constant from voxel to voxel.
        change = (self.linear.matrix - np.eye(3)) @ grid.array_to_mm
        start = self.linear(np.asarray(grid.origin)) - np.asarray(grid.origin)
        to_working = self.grid.mm_to_array @ grid.array_to_mm
        first = self.grid.voxels_from_points(np.asarray(grid.origin))
        for slab in _slabs(grid):
            voxels = _affine_lattice(to_working, first, grid, slab)
            moved = sample(self.deformation.displacement, voxels[None])[0]
            whole = torch.tensordot(to_mm, moved, 1).add_(_affine_lattice(change, start, grid, slab))
            torch.from_numpy(array[slab]).copy_(whole.permute(1, 2, 3, 0))
        return DisplacementField(array, grid)

    def inverse_residual(self) -> NDArray[np.float32]:
        """Distance, mm, of every working voxel from where it comes back to after the transform and its inverse."""
        displacement, (inverse, grid) = self.deformation.displacement, self._covering_inverse
        offset = torch.from_numpy(grid.voxels_from_points(self.grid.origin).astype(np.float32)).view(1, 3, 1, 1, 1)
        reached = identity_grid(self.grid.shape) + displacement + offset
        residual = (displacement + sample(inverse, reached))[0].numpy()
        return np.asarray(np.linalg.norm(self.grid.displacement_to_mm(residual), axis=-1))


def _field(displacement: Tensor, grid: Grid) -> DisplacementField:
    return DisplacementField(grid.displacement_to_mm(displacement[0].numpy()), grid)


def _margins(displacement: Tensor) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Whole voxels by which points leave the grid before and after each axis z, y, x."""
    shape = displacement.shape[2:]
    reached = (identity_grid(shape) + displacement)[0].flatten(1)
    limit = [int(_LARGEST_MARGIN * n) for n in shape]
    low = [int(np.ceil(max(-float(value), 0))) for value in reached.amin(1)]
    high = [int(np.ceil(max(float(value) - (n - 1), 0))) for value, n in zip(reached.amax(1), shape, strict=True)]
    z, y, x = (min(n, most) for n, most in zip(low, limit, strict=True))
    c, b, a = (min(n, most) for n, most in zip(high, limit, strict=True))
    return (z, y, x), (c, b, a)


def _slabs(grid: Grid) -> Iterator[slice]:
    step = max(1, _SLAB_VOXELS // (grid.shape[1] * grid.shape[2]))
    for start in range(0, grid.shape[0], step):
        yield slice(start, min(start + step, grid.shape[0]))


def _affine_lattice(matrix: Array, start: Array, grid: Grid, slab: slice) -> Tensor:
    """`start + matrix @ voxel` for the voxels (z, y, x) of a slab of planes, shape `(3, d, H, W)`, single precision."""
    z = torch.arange(slab.start, slab.stop, dtype=torch.float64)[:, None, None]
    y = torch.arange(grid.shape[1], dtype=torch.float64)[:, None]
    x = torch.arange(grid.shape[2], dtype=torch.float64)
    lattice = torch.empty((3, len(z), len(y), len(x)))
    for row, s, m in zip(lattice, start.tolist(), matrix.tolist(), strict=True):
        row.copy_((s + m[0] * z) + (m[1] * y + m[2] * x))
    return lattice


def _moving_voxels(moving: Grid, field: DisplacementField, slab: slice) -> NDArray[np.float32]:
    """Continuous voxel coordinates of the moving grid that a slab of fixed voxels is led to, shape `(3, d, H, W)`."""
    straight = moving.mm_to_array @ field.grid.array_to_mm
    first = moving.voxels_from_points(np.asarray(field.grid.origin))
    voxels = _affine_lattice(straight, first, field.grid, slab)
    voxels += _voxels_of(moving, field.array[slab])
    return voxels.numpy()


def _voxels_of(grid: Grid, vectors: NDArray[np.floating]) -> Tensor:
    """As `Grid.displacement_from_mm`, on all threads: `(d, H, W, 3)`, mm, LPS, to `(3, d, H, W)`, voxels z, y, x."""
    matrix = torch.from_numpy(grid.mm_to_array.astype(np.float32))
    voxels: Tensor = torch.tensordot(matrix, torch.from_numpy(vectors).permute(3, 0, 1, 2).to(torch.float32), 1)
    return voxels


def _within(voxels: NDArray[np.floating], shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.asarray(
        np.all([(axis >= -0.5) & (axis < n - 0.5) for axis, n in zip(voxels, shape, strict=True)], axis=0)
    )


def covered(grid: Grid, linear: Linear, moving: Grid) -> NDArray[np.bool_] | None:
    """Where the moving image reaches on a grid after a linear alignment.

    Args:
        grid: Of any image in the fixed image's frame.
        linear: Fixed points to moving points.
        moving: Grid of the moving image.
    Returns:
        Shape `(D, H, W)`; None if it reaches everywhere.
    """
    matrix = moving.mm_to_array @ linear.matrix @ grid.array_to_mm
    first = moving.voxels_from_points(linear(np.asarray(grid.origin)))
    corners = np.stack(np.meshgrid(*((0, n - 1) for n in grid.shape), indexing="ij")).reshape(3, -1)
    if _within(matrix @ corners + first[:, None], moving.shape).all():  # a box lies in a box if its corners do
        return None
    slabs = [_within(_affine_lattice(matrix, first, grid, slab).numpy(), moving.shape) for slab in _slabs(grid)]
    return np.concatenate(slabs)


def warp_image(moving: Image, field: DisplacementField) -> Image:
    """The moving image on the field's grid, resampled once: `warped(x) = moving(x + u(x))`, linear.

    Args:
        moving: Intensities, on any grid.
        field: Whole displacement from fixed to moving points, mm, LPS.
    Returns:
        Float32 on the field's grid; beyond the moving image its lowest value (air in CT).
    """
    image = torch.tensor(moving.array, dtype=torch.float32)[None, None]
    outside = float(moving.array.min())
    warped = np.empty(field.grid.shape, dtype=np.float32)
    for slab in _slabs(field.grid):
        voxels = _moving_voxels(moving.grid, field, slab)
        values = sample(image, torch.from_numpy(voxels)[None])[0, 0].numpy()
        warped[slab] = np.where(_within(voxels, moving.grid.shape), values, outside)
    return Image(warped, field.grid)


def warp_labels(labels: Image, field: DisplacementField) -> Image:
    """A label map of the moving image on the field's grid, nearest voxel, 0 beyond its borders; its type is kept."""
    warped = np.zeros(field.grid.shape, dtype=labels.array.dtype)
    limits = np.array(labels.grid.shape).reshape(3, 1, 1, 1) - 1
    for slab in _slabs(field.grid):
        voxels = _moving_voxels(labels.grid, field, slab)
        z, y, x = np.clip(np.floor(voxels + 0.5).astype(np.int64), 0, limits)
        warped[slab] = np.where(_within(voxels, labels.grid.shape), labels.array[z, y, x], 0)
    return Image(warped, field.grid)


def jacobian(field: DisplacementField) -> Image:
    """Determinant of the Jacobian of `x -> x + u(x)` at every voxel: local volume in moving per volume in fixed."""
    planes = field.grid.shape[0]
    determinant = np.empty(field.grid.shape, dtype=np.float32)
    for slab in _slabs(field.grid):
        # One plane more on either side makes the central differences of a slab those of the whole.
        start, stop = max(slab.start - 1, 0), min(slab.stop + 1, planes)
        voxels = _voxels_of(field.grid, field.array[start:stop])[None]
        determinant[slab] = jacobian_determinant(voxels)[0, slab.start - start : slab.stop - start].numpy()
    return Image(determinant, field.grid)
