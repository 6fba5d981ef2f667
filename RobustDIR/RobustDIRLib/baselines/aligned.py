"""What rivals start from: the same normalised images on the same working grid, and the same linear alignment, as ours.

So what is compared is the deformable part alone, and no method is paid for finer voxels or a luckier start. Rivals that
take an initial transform get the moving image in a frame of its own and hold the linear alignment themselves; those
that know nothing but voxels get both images on the fixed image's working grid, as our networks do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import SimpleITK as sitk

from RobustDIRLib.baselines.method import Outcome, Pair
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.displacements import compose_transforms
from RobustDIRLib.io.images import Image, resample
from RobustDIRLib.presets import Preset, find_preset
from RobustDIRLib.registration.alignment import align, warn_of_little_overlap
from RobustDIRLib.registration.checks import check_images
from RobustDIRLib.registration.linear import Linear
from RobustDIRLib.registration.preprocessing import (
    budget_spacing,
    inside,
    normalise,
    prepare_mask,
    to_working_grid,
    wanted_spacing,
    working_grid,
)


@dataclass(frozen=True)
class Frames:
    """Both images in frames of their own, at the working spacing, in [-1, 1]; masks on their images' grids."""

    fixed: Image
    moving: Image
    fixed_mask: Image | None
    moving_mask: Image | None


@dataclass(frozen=True)
class Aligned:
    """A pair and its linear alignment.

    Attributes:
        pair: As it was given.
        preset: Of the pair.
        fixed_mask: Of the pair, on the fixed image's grid.
        moving_mask: Of the pair, on the moving image's grid.
        fixed: In [-1, 1] on its original grid, whole.
        moving: The same.
        linear: Fixed point to moving point, mm, LPS.
        notes: Warnings, a sentence each.
    """

    pair: Pair
    preset: Preset
    fixed_mask: Image | None
    moving_mask: Image | None
    fixed: Image
    moving: Image
    linear: Linear
    notes: tuple[str, ...] = ()

    @property
    def grid(self) -> Grid:
        """Working grid in the fixed image's frame: that on which our networks work, too."""
        return working_grid(self.fixed.grid, self.preset, spacing=self._spacing)

    @property
    def _spacing(self) -> float:
        return self.pair.spacing or wanted_spacing(self.fixed.grid, self.preset)

    def on_fixed_grid(self) -> tuple[Image, Image]:
        """Both images on the working grid, the moving one linearly aligned; background outside the masks."""
        grid = self.grid
        fixed, moving = inside(self.fixed, self.fixed_mask), inside(self.moving, self.moving_mask)
        return to_working_grid(fixed, grid), to_working_grid(moving, grid, self.linear.transform)

    def in_own_frames(self) -> Frames:
        """Both images each in its frame at the working spacing; the masks are for the metric."""
        # A moving image that covers far more space than the fixed one must not cost more than our own would take.
        spacing = max(self._spacing, budget_spacing(self.moving.grid))
        fixed_grid, moving_grid = self.grid, working_grid(self.moving.grid, self.preset, spacing=spacing)
        return Frames(
            to_working_grid(self.fixed, fixed_grid),
            to_working_grid(self.moving, moving_grid),
            _mask_on(self.fixed_mask, fixed_grid),
            _mask_on(self.moving_mask, moving_grid),
        )

    def outcome(self, deformable: sitk.Transform, inverse: sitk.Transform | None = None) -> Outcome:
        """The whole transform of a deformable part that acts before the linear alignment, as in ours: `A(D(x))`.

        Args:
            deformable: Fixed point to a point of the linearly aligned moving image, mm, LPS.
            inverse: The way back, if there is one.
        """
        linear = self.linear.transform
        back = None if inverse is None else compose_transforms(inverse, linear.GetInverse())
        return Outcome(compose_transforms(linear, deformable), back, self.notes)


def aligned(pair: Pair, threads: int) -> Aligned:
    """Normalise a pair and align it linearly, as `robustdir register` does with its defaults: masks say where the
    alignment looks, percentiles are those of the whole images.

    Raises:
        InputError: If the preset is unknown, an image is constant or not finite, or a mask does not overlap its image.
    """
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    preset = find_preset(pair.preset)
    notes: list[str] = []
    check_images(pair.fixed, pair.moving, preset, notes.append)
    fixed_mask = prepare_mask(pair.fixed_mask, pair.fixed, "fixed", notes.append)
    moving_mask = prepare_mask(pair.moving_mask, pair.moving, "moving", notes.append)
    fixed, moving = normalise(pair.fixed, preset), normalise(pair.moving, preset)
    found = align(inside(fixed, fixed_mask), inside(moving, moving_mask))
    warn_of_little_overlap(found, notes.append)
    return Aligned(pair, preset, fixed_mask, moving_mask, fixed, moving, found.linear, tuple(notes))


def _mask_on(mask: Image | None, grid: Grid) -> Image | None:
    if mask is None:
        return None
    return resample(replace(mask, array=(mask.array > 0).astype("uint8")), grid, nearest=True, outside=0)
