"""What a registration is asked to do, what it is given, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import SimpleITK as sitk

from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.displacements import DisplacementField
from RobustDIRLib.io.images import Image
from RobustDIRLib.io.landmarks import Landmarks
from RobustDIRLib.presets import DEFAULT
from RobustDIRLib.registration.judgement import Judgement
from RobustDIRLib.registration.linear import LinearAlignment
from RobustDIRLib.registration.measures import Measures


@dataclass(frozen=True)
class RegistrationOptions:
    """How to register.

    Attributes:
        preset: Name of one of `preprocessing.PRESETS`.
        alignment: One of `alignment.KINDS`.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`: where the network runs.
        threads: Of torch and SimpleITK; None leaves them as they are. Results repeat for equal numbers of threads.
        memory_limit: Bytes of main memory to keep to; None for what is free.
        blank_outside: Whether the network, too, sees nothing outside the masks, and percentiles are taken inside.
        spacing: Side of a working voxel, mm; None for the preset's.
        quality: One of `refinement.settings.QUALITIES`.
        refine: Whether the network's result is refined on the pair itself; None as the model's
            card (`refine`, false where refinement undoes what labels taught) or else the quality has it.
        refine_seconds: Wall time at most for the refinement; None for as long as it helps.
    """

    preset: str = DEFAULT
    alignment: str = "automatic"
    device: str = "auto"
    threads: int | None = None
    memory_limit: int | None = None
    blank_outside: bool = False
    spacing: float | None = None
    quality: str = "balanced"
    refine: bool | None = None
    refine_seconds: float | None = None


@dataclass(frozen=True)
class PairExtras:
    """What may come with the two images.

    Attributes:
        fixed_mask: Where the alignment looks in the fixed image, above 0 inside.
        moving_mask: The same for the moving image.
        fixed_landmarks: Points in the fixed image, for TRE alone: they do not guide the registration.
        moving_landmarks: The same places in the moving image, in the same order.
        moving_labels: Label maps of the moving image, to be warped along.
        fixed_labels: Label maps of the fixed image, for Dice, one for each of `moving_labels`; may be empty.
    """

    fixed_mask: Image | None = None
    moving_mask: Image | None = None
    fixed_landmarks: Landmarks | None = None
    moving_landmarks: Landmarks | None = None
    moving_labels: tuple[Image, ...] = ()
    fixed_labels: tuple[Image, ...] = ()

    @property
    def masks(self) -> tuple[Image | None, Image | None]:
        """Of the fixed and of the moving image."""
        return self.fixed_mask, self.moving_mask

    @property
    def landmarks(self) -> tuple[Landmarks, Landmarks] | None:
        """Of the fixed and of the moving image, if there are both."""
        if self.fixed_landmarks is None or self.moving_landmarks is None:
            return None
        return self.fixed_landmarks, self.moving_landmarks


@dataclass(frozen=True)
class RegistrationResult:
    """A registration; everything about images lies on the original fixed grid.

    Attributes:
        transform: Fixed point to moving point, mm, LPS.
        inverse: Moving point to fixed point, mm, LPS.
        displacement: `transform(x) - x` at every fixed voxel, mm, LPS.
        warped: Moving image, resampled once through `transform`.
        warped_labels: The moving label maps likewise, nearest voxel.
        jacobian: Determinant of the Jacobian of `transform`.
        measures: Folding, SDlogJ, inverse residual, TRE, Dice.
        alignment: The linear part, and how it was found.
        working_grid: Grid the network worked on.
        warnings: Sentences the user should read.
        timings: Seconds per stage, in order.
        record: What was used: options, device, threads, seeds, model, versions; ready for JSON.
        judgement: Whether it has likely failed, and where to look.
    """

    transform: sitk.Transform
    inverse: sitk.Transform
    displacement: DisplacementField
    warped: Image
    warped_labels: tuple[Image, ...]
    jacobian: Image
    measures: Measures
    alignment: LinearAlignment
    working_grid: Grid
    warnings: tuple[str, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)
    judgement: Judgement | None = None
