"""How far apart the surfaces of a structure lie in two label maps: HD95, ASSD and mean distance to agreement, in mm.

**The surface.** A label's surface runs through every cell of 2x2x2 neighbouring voxel centres of which some bear the
label and some do not; beyond the image nothing does, so that a label cut off by the image's border is closed there. A
cell contributes one point, its centre, with the area of the marching-cubes surface through the cell; where a cell and
its complement (inside for outside) are cut differently, the smaller area is taken, so that a label and its background
have one surface. The distance of a point is that to the nearest point of the other surface. Weighting by area makes the
figures independent of how densely an anisotropic or oblique grid happens to sample a surface, which counting border
voxels does not. It is the definition of the package `surface-distance` that Learn2Reg ranks by, and agrees with it to
rounding.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from scipy.spatial import KDTree
from skimage.measure import marching_cubes, mesh_surface_area

from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.measurement import Measurement, Reason
from RobustDIRLib.geometry import Array, Grid

Box = tuple[slice, slice, slice]

_CORNERS = tuple((z, y, x) for z in (0, 1) for y in (0, 1) for x in (0, 1))  # bit k of a cell's code is corner k
_WHOLE = 255  # code of a cell with the label in all corners
_LARGEST_INDEX = 65535  # beyond it a list of boxes by label would be long and all but empty


@dataclass(frozen=True)
class Surface:
    """Sample points of a surface.

    Attributes:
        points: Shape `(N, 3)`, mm, LPS.
        areas: Area that each stands for, shape `(N,)`, mm^2.
    """

    points: Array
    areas: Array


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances between two surfaces, mm; all undefined for one reason where one of them is missing.

    Attributes:
        hd95_mm: 95 % Hausdorff distance: the larger of the two directions' 95th percentiles by area.
        assd_mm: Average symmetric surface distance: mean by area over both surfaces together.
        mda_mm: Mean distance to agreement (AAPM TG-132): mean of the two directions' means, so that each surface counts
            alike.
        hausdorff_mm: Largest distance of either direction.
        fixed_to_warped_mm: Mean by area over the fixed surface.
        warped_to_fixed_mm: Mean by area over the warped surface.
    """

    hd95_mm: Measurement
    assd_mm: Measurement
    mda_mm: Measurement
    hausdorff_mm: Measurement
    fixed_to_warped_mm: Measurement
    warped_to_fixed_mm: Measurement

    @classmethod
    def undefined(cls, reason: Reason) -> SurfaceDistances:
        """No distances, and why."""
        return cls(*[Measurement.undefined(reason)] * len(fields(cls)))

    @property
    def reason(self) -> Reason | None:
        """Why there are none, or None."""
        return self.hd95_mm.reason

    def plain(self) -> dict[str, Any]:
        """For JSON: each by its name, `Measurement.plain`."""
        return {field.name: getattr(self, field.name).plain() for field in fields(self)}


def surface_distances_per_label(
    fixed: NDArray[np.integer],
    warped: NDArray[np.integer],
    grid: Grid,
    labels: Iterable[int] | None = None,
    moving_labels: Collection[int] = (),
) -> dict[int, SurfaceDistances]:
    """Distances between the surfaces of each label (section 2.4.2).

    One label is held at a time, and of each map no more than the box around it.

    Args:
        fixed: Label map of the fixed image, shape `(z, y, x)`.
        warped: Label map of the moving image on the fixed grid, the same shape.
        grid: Where both lie.
        labels: Which to compare; all but 0 that either map holds if not given.
        moving_labels: What the moving label map held before it was warped.
    Returns:
        By label, in the order of `labels` or ascending; undefined where a map lacks it, as `IN_NEITHER_MAP`,
        `ONLY_IN_FIXED`, `ONLY_IN_MOVING` or, if it is one of `moving_labels`, `VANISHED`.
    Raises:
        InputError: If the shapes differ.
    """
    fixed, warped = np.asarray(fixed), np.asarray(warped)
    if not fixed.shape == warped.shape == grid.shape:
        raise InputError(f"label maps and grid must be of one shape, not {fixed.shape}, {warped.shape}, {grid.shape}")
    in_fixed, in_warped = label_boxes(fixed), label_boxes(warped)
    wanted = sorted((in_fixed.keys() | in_warped.keys()) - {0}) if labels is None else [int(n) for n in labels]
    distances = {}
    for label in wanted:
        one = surface_of_label(fixed, label, in_fixed.get(label), grid)
        other = surface_of_label(warped, label, in_warped.get(label), grid)
        distances[label] = surface_distances(one, other)
        if distances[label].reason is Reason.ONLY_IN_FIXED and label in moving_labels:
            distances[label] = SurfaceDistances.undefined(Reason.VANISHED)
    return distances


def surface_distances(fixed: Surface, warped: Surface) -> SurfaceDistances:
    """Distances between two surfaces; undefined if one or both have no points."""
    if not len(fixed.points) or not len(warped.points):
        present = (bool(len(fixed.points)), bool(len(warped.points)))
        reasons = {(True, False): Reason.ONLY_IN_FIXED, (False, True): Reason.ONLY_IN_MOVING}
        return SurfaceDistances.undefined(reasons.get(present, Reason.IN_NEITHER_MAP))
    there, back = _nearest(fixed.points, warped.points), _nearest(warped.points, fixed.points)
    fixed_area, warped_area = float(fixed.areas.sum()), float(warped.areas.sum())
    from_fixed, from_warped = float(there @ fixed.areas), float(back @ warped.areas)
    mean_there, mean_back = from_fixed / fixed_area, from_warped / warped_area
    return SurfaceDistances(
        hd95_mm=Measurement.of(max(_percentile(there, fixed.areas, 0.95), _percentile(back, warped.areas, 0.95))),
        assd_mm=Measurement.of((from_fixed + from_warped) / (fixed_area + warped_area)),
        mda_mm=Measurement.of((mean_there + mean_back) / 2),
        hausdorff_mm=Measurement.of(max(there.max(), back.max())),
        fixed_to_warped_mm=Measurement.of(mean_there),
        warped_to_fixed_mm=Measurement.of(mean_back),
    )


def _nearest(points: Array, others: Array) -> Array:
    """Distance of each point to the nearest of the others. Most surfaces of a good registration share most points."""
    return np.asarray(KDTree(others, balanced_tree=False, compact_nodes=False).query(points)[0])


def _percentile(distances: Array, areas: Array, part: float) -> float:
    """The smallest distance within which that part of the area lies."""
    order = np.argsort(distances, kind="stable")
    within = np.cumsum(areas[order])
    return float(distances[order][min(np.searchsorted(within, part * within[-1]), len(order) - 1)])


def surface_of_label(labels: NDArray[np.integer], label: int, box: Box | None, grid: Grid) -> Surface:
    """The surface of one label, as the module describes it.

    Args:
        labels: Label map, shape `(z, y, x)`.
        label: Which one.
        box: All its voxels lie inside (`label_boxes`); None if it has none.
        grid: Where the label map lies.
    """
    if box is None:
        return Surface(np.empty((0, 3)), np.empty(0))
    codes = _cell_codes(labels[box] == label)
    places = np.flatnonzero((codes > 0) & (codes < _WHOLE))
    # Cell 0 of the padded box lies half a voxel before the box's first voxel.
    voxels = np.stack(np.unravel_index(places, codes.shape), axis=-1) + np.array([s.start - 0.5 for s in box])
    return Surface(grid.points_from_voxels(voxels), _cell_areas(grid.spacing)[codes.ravel()[places]])


def _cell_codes(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Which corners of each cell are inside, a bit a corner; one more cell than voxels along each axis."""
    z, y, x = (n + 1 for n in mask.shape)
    inside = np.pad(mask, 1).view(np.uint8)
    codes = np.zeros((z, y, x), np.uint8)
    for bit, (i, j, k) in enumerate(_CORNERS):
        codes |= inside[i : i + z, j : j + y, k : k + x] << np.uint8(bit)
    return codes


@lru_cache(maxsize=64)
def _cell_areas(spacing: tuple[float, float, float]) -> Array:
    """Area of the surface through a cell by its code, mm^2; spacing along x, y, z, mm."""
    areas = np.zeros(_WHOLE + 1)
    for code in range(1, _WHOLE):
        cell = np.array([code >> bit & 1 for bit in range(len(_CORNERS))], np.float64).reshape(2, 2, 2)
        vertices, faces, *_ = marching_cubes(cell, 0.5, spacing=spacing[::-1], method="lorensen")
        areas[code] = mesh_surface_area(vertices, faces)
    return np.asarray(np.minimum(areas, areas[::-1]))


def label_boxes(labels: NDArray[np.integer]) -> dict[int, Box]:
    """The smallest box around each value of a label map, 0 included."""
    if not labels.size:
        return {}
    if labels.min() >= 0 and labels.max() <= _LARGEST_INDEX:
        values, numbers = list(range(int(labels.max()) + 1)), labels.astype(np.int32) + 1
    else:
        values = [int(n) for n in np.unique(labels)]
        numbers = np.searchsorted(values, labels).astype(np.int32) + 1
    found = zip(values, find_objects(numbers), strict=True)
    return {label: box for label, box in found if box is not None}
