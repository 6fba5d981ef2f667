"""Displacements in voxels: warping, composing, integrating, inverting, resizing, and their Jacobian.

A displacement `u`, shape `(B, 3, D, H, W)`, in voxels of its own grid with channel c along spatial axis c (z, y, x),
stands for the transform `x -> x + u(x)`. Beyond the border, images and displacements continue with their border value.
Grids of different resolution share their outer border (cells align, as in average pooling), so that halving twice and
mirroring both commute with resizing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from RobustDIRLib import gathering

SPATIAL = (2, 3, 4)
_MOST_PARTS = 8  # a thread: more are tried only until one number divides the lines evenly


def identity_grid(shape: Sequence[int], *, device: torch.device | None = None) -> Tensor:
    """Voxel coordinates of a grid, shape `(1, 3, D, H, W)`, channels z, y, x."""
    return torch.stack(torch.broadcast_tensors(*_axes(shape, device)))[None]


def _axes(shape: Sequence[int], device: torch.device | None = None) -> list[Tensor]:
    """Voxel coordinates along each axis, shapes `(D, 1, 1)`, `(1, H, 1)`, `(1, 1, W)`."""
    views = ((-1, 1, 1), (1, -1, 1), (1, 1, -1))
    return [torch.arange(n, dtype=torch.float32, device=device).view(v) for n, v in zip(shape, views, strict=True)]


def _per_axis(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(1, 3, 1, 1, 1)


def sample(image: Tensor, coordinates: Tensor, *, mode: str = "bilinear") -> Tensor:
    """Values of an image at voxel coordinates, linear or nearest, border values outside.

    Args:
        image: Shape `(B, C, D, H, W)`.
        coordinates: Shape `(B, 3, d, h, w)`, voxels of `image`, channels z, y, x; any `d, h, w`.
        mode: `"bilinear"` (trilinear in 3D) or `"nearest"`.
    Returns:
        Shape `(B, C, d, h, w)`.
    """
    if mode == "bilinear" and gathering.fits(image, coordinates):
        return gathering.gather(image, coordinates)
    return sample_normalised(image, _normalised(coordinates, (0.0, 0.0, 0.0), image.shape[2:]), mode)


def _normalised(voxels: Tensor, origin: Sequence[Tensor | float], shape: Sequence[int]) -> Tensor:
    """Voxel coordinates `(B, 3, d, h, w)` plus what is added to each channel, as `grid_sample` wants them.

    That is x, y, z in [-1, 1] between the outer voxel centres; one voxel has no such span.
    """
    scales = [2 / max(n - 1, 1) for n in shape]
    axes = zip(voxels.unbind(1), origin, scales, strict=True)
    return torch.stack([(o * s - 1) + axis * s for axis, o, s in axes][::-1], 1).permute(0, 2, 3, 4, 1)


def sample_normalised(image: Tensor, points: Tensor, mode: str = "bilinear") -> Tensor:
    """`grid_sample` with the conventions of this module, on all threads.

    PyTorch shares out the images of a batch alone: a single volume would keep one core busy and the others idle.

    Args:
        image: Shape `(B, C, D, H, W)`.
        points: Shape `(B, d, h, w, 3)`, channels x, y, z in [-1, 1] between the outer voxel centres.
        mode: As `sample` has it.
    Returns:
        Shape `(B, C, d, h, w)`.
    """
    threads = torch.get_num_threads()
    if threads <= len(points) or image.device.type != "cpu" or gathering.gradients_wanted(image, points):
        return F.grid_sample(image, points, mode=mode, padding_mode="border", align_corners=True)
    one_by_one = zip(image.split(1), points.split(1), strict=True)
    return torch.cat([_sample_in_parts(*one, mode, threads) for one in one_by_one])


def _sample_in_parts(image: Tensor, points: Tensor, mode: str, threads: int) -> Tensor:
    """A single volume at lines of points that are shared out as if they belonged to a batch."""
    depth, height, width = points.shape[1:4]
    lines = depth * height
    parts = next((n for n in range(threads, _MOST_PARTS * threads) if lines % n == 0), 1)
    points = points.reshape(parts, lines // parts, width, 1, 3)
    image = image.expand(parts, -1, -1, -1, -1)
    found = F.grid_sample(image, points, mode=mode, padding_mode="border", align_corners=True)
    return found.transpose(0, 1).reshape(1, -1, depth, height, width)


def warp(image: Tensor, displacement: Tensor, *, mode: str = "bilinear") -> Tensor:
    """Resample an image at the points its displacement leads to: `warped(x) = image(x + u(x))`.

    Args:
        image: Moving image, shape `(B, C, D, H, W)`.
        displacement: Shape `(B, 3, D, H, W)`, voxels, channel c along spatial axis c (z, y, x).
        mode: `"bilinear"` for intensities, `"nearest"` for labels.
    Returns:
        Warped image, shape `(B, C, D, H, W)`.
    Raises:
        ValueError: If the spatial shapes differ.
    """
    if image.shape[2:] != displacement.shape[2:]:
        raise ValueError(f"image {tuple(image.shape[2:])} and displacement {tuple(displacement.shape[2:])} differ")
    if mode == "bilinear" and gathering.fits(image, displacement):
        return gathering.gather(image, displacement, _axes(displacement.shape[2:]))
    axes = _axes(displacement.shape[2:], displacement.device)
    return sample_normalised(image, _normalised(displacement, axes, image.shape[2:]), mode)


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """Displacement of `T(x) = outer(inner(x))`: first `inner`, then `outer`; `u(x) = inner(x) + outer(x + inner(x))`.

    Args:
        outer: Shape `(B, 3, D, H, W)`, voxels, channels z, y, x.
        inner: The same shape, unit and order.
    """
    return inner + warp(outer, inner)


def integrate_velocity(velocity: Tensor, steps: int = 5) -> Tensor:
    """Displacement at unit time of a stationary velocity, by scaling and squaring (section 2.1.1).

    Args:
        velocity: Shape `(B, 3, D, H, W)`, voxels per unit time, channels z, y, x.
        steps: Squarings; the flow starts from `velocity / 2**steps`.
    """
    displacement: Tensor = velocity / 2**steps
    for _ in range(steps):
        displacement = compose(displacement, displacement)
    return displacement


def invert(displacement: Tensor, iterations: int = 20, start: Tensor | None = None) -> Tensor:
    """Displacement of the inverse transform by fixed-point iteration, `v <- -u(x + v(x))` (Chen et al. 2008).

    Args:
        displacement: Invertible displacement, shape `(B, 3, D, H, W)`, voxels, channels z, y, x.
        iterations: Converges where the displacement's Lipschitz constant is below one, faster the smaller it is.
        start: First guess of the inverse; zero if not given.
    """
    inverse = -displacement if start is None else start
    for _ in range(iterations):
        inverse = -warp(displacement, inverse)
    return inverse


def resize(image: Tensor, shape: Sequence[int]) -> Tensor:
    """Linear resampling onto the grid of another shape with the same outer border; smoothed first where it shrinks."""
    shape = tuple(shape)
    if shape == tuple(2 * n for n in image.shape[2:]) and not gathering.gradients_wanted(image):
        return _doubled(image)
    # Averaging whole cells keeps the outer border only where they divide evenly, so cut the image into such first.
    cells = [max(round(n / m), 1) for n, m in zip(image.shape[2:], shape, strict=True)]
    fine = tuple(m * c for m, c in zip(shape, cells, strict=True))
    if tuple(image.shape[2:]) != fine:
        image = F.interpolate(image, size=fine, mode="trilinear", align_corners=False)
    return F.avg_pool3d(image, cells) if max(cells) > 1 else image


def _doubled(image: Tensor) -> Tensor:
    """Twice the resolution, axis by axis: each new value lies a quarter of a voxel from an old one. No gradients."""
    for axis in SPATIAL:
        count = image.shape[axis] - 1
        lower, upper = image.narrow(axis, 0, count), image.narrow(axis, 1, count)
        pairs = image.new_empty((*image.shape[: axis + 1], 2, *image.shape[axis + 1 :]))
        before, after = pairs.unbind(axis + 1)
        torch.lerp(upper, lower, 0.25, out=before.narrow(axis, 1, count))
        torch.lerp(lower, upper, 0.25, out=after.narrow(axis, 0, count))
        before.select(axis, 0).copy_(image.select(axis, 0))
        after.select(axis, -1).copy_(image.select(axis, -1))
        image = pairs.flatten(axis, axis + 1)
    return image


def resize_displacement(displacement: Tensor, shape: Sequence[int]) -> Tensor:
    """The same transform on a grid of another shape: resampled, and rescaled to voxels of the new grid."""
    ratio = [m / n for n, m in zip(displacement.shape[2:], shape, strict=True)]
    return resize(displacement, shape) * _per_axis(ratio, displacement)


def displacement_gradient(displacement: Tensor) -> Tensor:
    """Forward differences of each channel along each axis, as in Eq. 3.

    Returns:
        Shape `(B, 3, 3, D-1, H-1, W-1)`: entry `[b, c, a]` is the change of channel c along axis a.
    """
    inside = displacement[..., :-1, :-1, :-1]
    steps = (displacement[..., 1:, :-1, :-1], displacement[..., :-1, 1:, :-1], displacement[..., :-1, :-1, 1:])
    return torch.stack([step - inside for step in steps], dim=2)


def jacobian_determinant(displacement: Tensor) -> Tensor:
    """Determinant of the Jacobian of `x -> x + u(x)`, by central differences (one-sided at the border).

    Args:
        displacement: Shape `(B, 3, D, H, W)`, voxels, channels z, y, x; every side at least 2.
    Returns:
        Shape `(B, D, H, W)`: local volume change; 1 keeps volume, at or below 0 the transform folds.
    """
    rows = torch.gradient(displacement, dim=SPATIAL)
    j = [[rows[a][:, c] + (1.0 if a == c else 0.0) for a in range(3)] for c in range(3)]
    return (
        j[0][0] * (j[1][1] * j[2][2] - j[1][2] * j[2][1])
        - j[0][1] * (j[1][0] * j[2][2] - j[1][2] * j[2][0])
        + j[0][2] * (j[1][0] * j[2][1] - j[1][1] * j[2][0])
    )
