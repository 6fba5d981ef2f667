"""Many rigid poses of a pair scored at once, and the best of them improved: what the search for an orientation needs.

A pose takes fixed points to moving points: `x -> scale * rotation @ (x - centre) + target`, mm, LPS. All are scored by
normalised mutual information (Studholme 1999) of coarse copies, nearest voxel, over a regular subset of the smaller
image's voxels, so that exchanging the images changes little, and a part is compared with what of the whole it covers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from RobustDIRLib.evaluation.information import normalised_mutual_information
from RobustDIRLib.geometry import Array, Grid
from RobustDIRLib.io.images import Image

Bins = NDArray[np.int32]
Single = NDArray[np.float32]

_BINS = 16
_OUTSIDE = _BINS  # the bin of what lies beyond the larger image
_LEAST_COVERED = 0.05
_AT_ONCE = 64
_AXES = np.concatenate([np.eye(3), -np.eye(3)])


@dataclass(frozen=True)
class Poses:
    """K poses.

    Attributes:
        rotations: Shape `(K, 3, 3)`, never mirrored.
        scales: Shape `(K,)`.
        targets: Moving points `(K, 3)` that the centre is taken to.
        centre: Fixed point `(3,)` that all turn about.
    """

    rotations: Array
    scales: Array
    targets: Array
    centre: Array

    def __len__(self) -> int:
        return len(self.rotations)

    @property
    def matrices(self) -> Array:
        """Shape `(K, 3, 3)`."""
        return self.rotations * self.scales[:, None, None]

    @property
    def offsets(self) -> Array:
        """Shape `(K, 3)`: a pose is `matrix @ point + offset`."""
        return np.asarray(self.targets - self.matrices @ self.centre)

    def take(self, which: Array | NDArray[np.intp]) -> Poses:
        """Some of them."""
        return replace(self, rotations=self.rotations[which], scales=self.scales[which], targets=self.targets[which])

    def joined(self, other: Poses) -> Poses:
        """These and others about the same centre."""
        rotations = np.concatenate([self.rotations, other.rotations])
        scales = np.concatenate([self.scales, other.scales])
        return Poses(rotations, scales, np.concatenate([self.targets, other.targets]), self.centre)


def quarter_turns() -> Array:
    """The 24 rotations of a cube, `(24, 3, 3)`: images whose axes were named wrongly differ by one of them."""
    return np.asarray(Rotation.create_group("O").as_matrix())


def evenly_spread_rotations(count: int) -> Array:
    """Rotations `(count, 3, 3)` that lie evenly among all: super-Fibonacci spirals (Alexa, CVPR 2022)."""
    step = np.arange(count) + 0.5
    first, second = np.sqrt(step / count), np.sqrt(1 - step / count)
    a, b = 2 * np.pi * step / np.sqrt(2), 2 * np.pi * step / 1.533751168755204288118041
    quaternions = np.stack([first * np.sin(a), first * np.cos(a), second * np.sin(b), second * np.cos(b)], 1)
    return np.asarray(Rotation.from_quat(quaternions).as_matrix())


def angles(rotations: Array, other: Array) -> Array:
    """Angles, degrees, between rotations `(..., 3, 3)`."""
    traces = np.einsum("...ij,...ij->...", rotations, other)
    return np.asarray(np.degrees(np.arccos(np.clip((traces - 1) / 2, -1, 1))))


def binned(array: NDArray[np.floating], bins: int) -> Bins:
    """Bin of every voxel of a normalised image."""
    return np.asarray(np.clip((array + 1) * (bins / 2), 0, bins - 1).astype(np.int32))


def mutual_information(joint: Array) -> Array:
    """Normalised mutual information less 1, so 0 to 1, of joint histograms `(K, bins, bins)`."""
    return np.maximum(normalised_mutual_information(joint) - 1, 0)


class PoseScore:
    """The score of poses, 0 to 1: mutual information, times the root of the smaller image's share that is covered."""

    def __init__(self, fixed: Image, moving: Image, points: int) -> None:
        """Take the coarse copies, and how many of the smaller one's voxels to compare."""
        self._backwards = volume(moving.grid) < volume(fixed.grid)
        small, large = (moving, fixed) if self._backwards else (fixed, moving)
        kept = np.unique(np.linspace(0, small.array.size - 1, min(points, small.array.size)).astype(int))
        voxels = np.stack(np.unravel_index(kept, small.array.shape), 1)
        self._points = small.grid.points_from_voxels(voxels).T.astype(np.float32)
        self._rows = binned(small.array.reshape(-1)[kept], _BINS) * (_BINS + 1)
        self._grid = large.grid
        self._columns = np.pad(binned(large.array, _BINS), 1, constant_values=_OUTSIDE)

    def __call__(self, poses: Poses) -> Array:
        """Scores `(K,)`."""
        matrices, offsets = poses.matrices, poses.offsets
        if self._backwards:
            matrices = np.asarray(np.linalg.inv(matrices))
            offsets = -np.einsum("kij,kj->ki", matrices, offsets)
        to_voxels = (self._grid.mm_to_array @ matrices).astype(np.float32)
        # One for the padding, a half for rounding.
        first = (self._grid.voxels_from_points(offsets) + 1.5).astype(np.float32)
        parts = range(0, len(poses), _AT_ONCE)
        return np.concatenate([self._scores(to_voxels[k : k + _AT_ONCE], first[k : k + _AT_ONCE]) for k in parts])

    def _scores(self, to_voxels: Single, first: Single) -> Array:
        joint = self._joint_histograms(to_voxels @ self._points + first[:, :, None])
        covered = joint.sum((1, 2))
        information = mutual_information(joint)
        share = covered / self._points.shape[1]
        return np.where(share > _LEAST_COVERED, information * np.sqrt(share), 0.0)

    def _joint_histograms(self, voxels: Single) -> Array:
        """Shape `(K, bins, bins)`, of voxel coordinates `(K, 3, N)` of the padded image; without what lies outside."""
        shape = self._columns.shape
        index = np.zeros((len(voxels), voxels.shape[2]), dtype=np.int32)
        for axis in range(3):
            index *= shape[axis]
            index += np.clip(voxels[:, axis], 0, shape[axis] - 1).astype(np.int32)
        cells = self._columns.reshape(-1)[index] + self._rows
        size = _BINS * (_BINS + 1)
        cells += np.arange(len(voxels), dtype=np.int32)[:, None] * size
        counts = np.bincount(cells.reshape(-1), minlength=len(voxels) * size)
        return counts.reshape(-1, _BINS, _BINS + 1)[:, :, :_OUTSIDE].astype(np.float64)


def volume(grid: Grid) -> float:
    """Of the box that a grid fills, mm^3."""
    return float(np.prod(grid.shape, dtype=np.float64) * np.prod(grid.spacing))


def improved(score: PoseScore, poses: Poses, steps: tuple[float, ...], radius: float) -> tuple[Poses, Array]:
    """Climb from every pose, all at once, without derivatives.

    Args:
        score: What to climb.
        poses: Where from.
        steps: Degrees by which to turn, coarse to fine, each tried twice.
        radius: Turning by an angle and shifting by that angle's arc at this radius, mm, count as equal steps.
    Returns:
        The poses reached, none worse than its start, and their scores.
    """
    best = score(poses)
    for step in np.repeat(np.radians(steps), 2).tolist():
        tried = _neighbours(poses, step, step * radius)
        scores = score(tried).reshape(len(poses), -1)
        ahead = _uphill(poses, np.maximum(scores - best[:, None], 0), step, step * radius)
        every = poses.joined(tried).joined(ahead)
        scores = np.concatenate([best[:, None], scores, score(ahead)[:, None]], 1)
        chosen, first = scores.argmax(1), np.arange(len(poses))
        best = scores[first, chosen]
        moves = 2 * len(_AXES)
        neighbour = len(poses) + first * moves + chosen - 1
        last = len(poses) * (1 + moves) + first
        poses = every.take(np.where(chosen == 0, first, np.where(chosen > moves, last, neighbour)))
    return poses, best


def _neighbours(poses: Poses, turn: float, shift: float) -> Poses:
    """Of every pose twelve: turned, then shifted, either way along each axis."""
    turns = Rotation.from_rotvec(turn * _AXES).as_matrix()
    count, moves = len(poses), 2 * len(_AXES)
    turned = np.einsum("aij,kjl->kail", turns, poses.rotations)
    rotations = np.concatenate([turned, np.repeat(poses.rotations[:, None], len(_AXES), 1)], 1)
    shifted = poses.targets[:, None] + shift * _AXES
    targets = np.concatenate([np.repeat(poses.targets[:, None], len(_AXES), 1), shifted], 1)
    return Poses(
        rotations.reshape(count * moves, 3, 3),
        np.repeat(poses.scales, moves),
        targets.reshape(count * moves, 3),
        poses.centre,
    )


def _uphill(poses: Poses, gains: Array, turn: float, shift: float) -> Poses:
    """Every pose moved a step along the gains `(K, 12)` of its neighbours, all taken together."""
    turns, shifts = gains[:, :3] - gains[:, 3:6], gains[:, 6:9] - gains[:, 9:]
    length = np.maximum(np.sqrt((turns**2 + shifts**2).sum(1, keepdims=True)), 1e-12)
    rotations = Rotation.from_rotvec(turn * turns / length).as_matrix() @ poses.rotations
    return replace(poses, rotations=rotations, targets=poses.targets + shift * shifts / length)


def best_apart(poses: Poses, scores: Array, count: int, degrees: float = 0, distance: float = 0) -> NDArray[np.intp]:
    """Indices of the best poses, best first, any two of which differ by so many degrees or by so many mm."""
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        turned = angles(poses.rotations[kept], poses.rotations[index])
        shifted = np.linalg.norm(poses.targets[kept] - poses.targets[index], axis=-1)
        if bool(((turned > degrees) | (shifted > distance)).all()):
            kept.append(int(index))
        if len(kept) == count:
            break
    return np.array(kept, dtype=np.intp)
