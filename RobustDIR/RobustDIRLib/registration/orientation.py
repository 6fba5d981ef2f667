"""The search for an orientation: where to start the linear alignment of images that lie turned to each other.

As the headers say is tried first, and where that stands out from hundreds of other orientations the search ends, after
some tenth of a second. Otherwise the best orientations about the centres of the foregrounds are improved. Where
foregrounds are of one size and none of these beats the headers' orientation the search ends. If none stands out, one
image may show a part of the other: every shift of some orientations is scored. An orientation is taken only if it
scores clearly better than the headers' one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from RobustDIRLib.geometry import Array
from RobustDIRLib.io.images import Image, to_sitk
from RobustDIRLib.registration.poses import (
    Poses,
    PoseScore,
    angles,
    best_apart,
    evenly_spread_rotations,
    improved,
    quarter_turns,
    volume,
)
from RobustDIRLib.registration.preprocessing import to_working_grid
from RobustDIRLib.registration.shifts import Shifts

_COARSE, _FINE, _SHIFTED = 30, 48, 12  # voxels along a side of a cube as large as the smaller image
# Images of sides in a larger ratio are looked at as if the smaller one were larger: voxels, and so time and memory,
# would grow with the third power of it.
_LARGEST = 3.0
_COARSE_POINTS, _FINE_POINTS = 5_000, 20_000
_SPREAD, _SHIFTED_SPREAD = 480, 72
_SAME_SIZE = (0.8, 1.25)
_STANDS_OUT = 1.3
_CLEARLY_BETTER = 1.1
_BASIN = 30.0  # degrees
_SAME_PLACE = 15.0  # degrees, between two orientations that the alignment after this takes to the same place
_RADIUS = 17  # coarse voxels


@dataclass(frozen=True)
class Foreground:
    """Centre and radius of gyration, mm, of what lies above Otsu's threshold, all of equal weight."""

    centre: Array
    radius: float


def foreground(image: Image) -> Foreground:
    """Centre and size of an image's foreground; those of its grid if nothing stands out."""
    above = sitk.GetArrayFromImage(sitk.OtsuThreshold(to_sitk(image), 0, 1, 128))
    voxels = np.argwhere(above if above.any() else np.ones_like(above))
    centre = voxels.mean(0)
    radius = np.sqrt((((voxels - centre) @ image.grid.array_to_mm.T) ** 2).sum(1).mean())
    return Foreground(image.grid.points_from_voxels(centre), float(radius))


@dataclass(frozen=True)
class Orientation:
    """How a moving image is turned: `point -> matrix @ point + offset`, fixed to moving, mm, LPS.

    Attributes:
        matrix: A rotation, times the ratio of sizes if the foregrounds differ in that.
        offset: Shape `(3,)`.
        score: As of `PoseScore`.
        unturned: The best score without turning.
    """

    matrix: Array
    offset: Array
    score: float
    unturned: float

    @property
    def degrees(self) -> float:
        """Angle of the rotation."""
        return float(angles(self.matrix / np.cbrt(np.linalg.det(self.matrix)), np.eye(3)))


def find_orientation(fixed: Image, moving: Image, offsets: list[Array], rigid: bool = False) -> Orientation | None:
    """Find how the moving image is turned.

    Args:
        fixed: Coarse, scaled to [-1, 1].
        moving: The same.
        offsets: Shifts from fixed to moving points, mm, by which the images may match without being turned.
        rigid: Whether sizes must not differ; otherwise foregrounds of different size may be scaled to each other.
    Returns:
        Nothing where the images match best without being turned.
    """
    search = _PoseSearch(fixed, moving, rigid)
    headers, unturned = search.unturned(offsets)
    others, scores = search.sampled()
    found, score = search.improved(others, scores)
    stands_out = unturned > _STANDS_OUT * _beyond(headers, others, scores)
    # The others were scored as they lie: thin structures, such as a skull, show only after climbing that one is right.
    if stands_out and angles(found.rotations[0], headers.rotations[0]) <= _SAME_PLACE:
        return None
    if (search.alike or stands_out) and score <= unturned:
        return None
    if score < _STANDS_OUT * _beyond(found, others, scores) or not search.alike:
        shifted, its_score = search.shifted()
        found, score = (shifted, its_score) if its_score > score else (found, score)
    if score <= _CLEARLY_BETTER * unturned:
        return None
    return Orientation(found.matrices[0], found.offsets[0], score, unturned)


def _beyond(pose: Poses, others: Poses, scores: Array) -> float:
    """The best score among those that do not lead to the same place."""
    return float(scores[angles(others.rotations, pose.rotations[0]) > _BASIN].max())


class _PoseSearch:
    """Coarse copies of both images, and what is tried on them."""

    def __init__(self, fixed: Image, moving: Image, rigid: bool) -> None:
        self.fixed, self.moving = fixed, moving
        small, large = sorted(volume(image.grid) ** (1 / 3) for image in (fixed, moving))
        self.side = max(small, large / _LARGEST)
        self.score = PoseScore(*self._coarse(_COARSE), _COARSE_POINTS)
        self.radius = _RADIUS * self.side / _COARSE
        self.fixed_shape, self.moving_shape = foreground(fixed), foreground(moving)
        ratio = self.moving_shape.radius / max(self.fixed_shape.radius, 1e-6)
        self.alike = _SAME_SIZE[0] < ratio < _SAME_SIZE[1]
        self.scales = (1.0,) if self.alike or rigid else (1.0, ratio)

    def _coarse(self, side: int) -> tuple[Image, Image]:
        return at_spacing(self.fixed, self.side / side), at_spacing(self.moving, self.side / side)

    def _poses(self, rotations: Array, targets: Array, scale: float = 1.0) -> Poses:
        targets = np.broadcast_to(targets, (len(rotations), 3))
        return Poses(rotations, np.full(len(rotations), scale), targets, self.fixed_shape.centre)

    def unturned(self, offsets: list[Array]) -> tuple[Poses, float]:
        """The best that can be reached without turning much."""
        targets = np.array([self.fixed_shape.centre + offset for offset in offsets])
        rotations = np.repeat(np.eye(3)[None], len(targets), 0)
        poses, scores = improved(self.score, self._poses(rotations, targets), (8, 4, 2), self.radius)
        return poses.take(best_apart(poses, scores, 1)), float(scores.max())

    def sampled(self) -> tuple[Poses, Array]:
        """Orientations from all over, centre upon centre, and their scores."""
        rotations = np.concatenate([quarter_turns(), evenly_spread_rotations(_SPREAD)])
        poses = self._poses(rotations, self.moving_shape.centre)
        for scale in self.scales[1:]:
            poses = poses.joined(self._poses(rotations, self.moving_shape.centre, scale))
        return poses, self.score(poses)

    def improved(self, poses: Poses, scores: Array, finer: tuple[float, ...] = (12, 8, 5, 3)) -> tuple[Poses, float]:
        """The best that is reached from the most promising of them, of every scale."""
        chosen = [
            np.flatnonzero(poses.scales == scale)[
                best_apart(poses.take(poses.scales == scale), scores[poses.scales == scale], 16, 20, 2 * self.side)
            ]
            for scale in np.unique(poses.scales)
        ]
        reached, scores = improved(self.score, poses.take(np.concatenate(chosen)), finer, self.radius)
        few = reached.take(best_apart(reached, scores, 4, 10, self.side / 4))
        fine = PoseScore(*self._coarse(_FINE), _FINE_POINTS)
        few, scores = improved(fine, few, (3, 1.5), self.radius)
        best = few.take(best_apart(few, scores, 1))
        return best, float(self.score(best)[0])

    def shifted(self) -> tuple[Poses, float]:
        """The best of all shifts of some orientations, improved."""
        shifts = Shifts(*self._coarse(_SHIFTED))
        rotations = np.concatenate([quarter_turns(), evenly_spread_rotations(_SHIFTED_SPREAD)])
        found = [shifts.best(rotation, self.fixed_shape.centre) for rotation in rotations]
        poses = self._poses(rotations, np.array([target for target, _ in found]))
        return self.improved(poses, np.array([score for _, score in found]), (15, 10, 6, 3))


def at_spacing(image: Image, spacing: float) -> Image:
    """The image over the same extent, in cubic voxels of about this side, mm."""
    extent = np.array(image.grid.shape) * np.array(image.grid.spacing[::-1])
    z, y, x = (int(n) for n in np.maximum(np.rint(extent / spacing), 4))
    return to_working_grid(image, image.grid.resized((z, y, x)))
