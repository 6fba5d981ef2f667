"""Rivals that come with SimpleITK, on which the library rests anyway: a B-spline and diffeomorphic demons.

The paper has no setting for them. The B-spline is that of Rueckert et al. 1999 with the mutual information of Mattes et
al. 2003, the demons are those of Vercauteren et al. 2009.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from RobustDIRLib.baselines.aligned import Frames, aligned
from RobustDIRLib.baselines.method import Outcome, Pair
from RobustDIRLib.baselines.optional import failure, settings
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image, to_sitk
from RobustDIRLib.registration.alignment import SEED
from RobustDIRLib.registration.preprocessing import to_working_grid

_BINS = 32
_FEWEST_SAMPLES = 20_000
_SMALLEST_SIDE = 12


@dataclass(frozen=True)
class BSpline:
    """A cubic B-spline by mutual information, coarse to fine, by L-BFGS.

    Attributes:
        name: As asked for.
        levels: Resolutions, of images and control points alike, each twice as fine as the one before.
        cell: Working voxels between neighbouring control points at the finest level.
        samples: Share of each level's fixed voxels at which the metric is taken; more where that would be too few.
        iterations: At most, a level.
    """

    name: str = "bspline"
    levels: int = 3
    cell: float = 6.0
    samples: float = 0.2
    iterations: int = 100

    def settings(self) -> dict[str, Any]:
        """What it is set to, and the version of its package."""
        return settings(self, "SimpleITK")

    def prepare(self) -> None:
        """Nothing to do."""

    def register(self, pair: Pair, threads: int) -> Outcome:
        """The B-spline, then the linear alignment. There is no inverse."""
        start = aligned(pair, threads)
        frames = start.in_own_frames()
        fixed, moving = to_sitk(frames.fixed), to_sitk(frames.moving)
        factors = [2**level for level in range(self.levels)]
        mesh = [max(1, round((n - 1) / (self.cell * factors[-1]))) for n in fixed.GetSize()]
        spline = sitk.BSplineTransformInitializer(fixed, mesh, 3)
        method = self._method(frames, threads)
        method.SetMovingInitialTransform(start.linear.transform)
        method.SetInitialTransformAsBSpline(spline, inPlace=True, scaleFactors=factors)
        method.SetShrinkFactorsPerLevel(factors[::-1])
        method.SetSmoothingSigmasPerLevel([factor / 2 if factor > 1 else 0 for factor in factors[::-1]])
        method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
        try:
            method.Execute(fixed, moving)
        except RuntimeError as error:
            raise failure(self.name, error) from error
        return start.outcome(spline)

    def _method(self, frames: Frames, threads: int) -> sitk.ImageRegistrationMethod:
        method = sitk.ImageRegistrationMethod()
        method.SetNumberOfThreads(threads)
        method.SetMetricAsMattesMutualInformation(_BINS)
        method.SetMetricSamplingStrategy(method.RANDOM)
        voxels = np.prod(frames.fixed.grid.shape) / 8.0 ** np.arange(self.levels)[::-1]
        shares = np.clip(_FEWEST_SAMPLES / voxels, self.samples, 1)
        method.SetMetricSamplingPercentagePerLevel(shares.tolist(), SEED)
        method.SetInterpolator(sitk.sitkLinear)
        # The bounded variant, L-BFGS-B, cannot go on with more control points than it began with.
        method.SetOptimizerAsLBFGS2(numberOfIterations=self.iterations, deltaConvergenceTolerance=1e-4)
        if frames.fixed_mask is not None:
            method.SetMetricFixedMask(to_sitk(frames.fixed_mask))
        if frames.moving_mask is not None:
            method.SetMetricMovingMask(to_sitk(frames.moving_mask))
        return method


@dataclass(frozen=True)
class Demons:
    """Diffeomorphic demons, coarse to fine, on intensities matched by their histograms: for images of one contrast.

    Attributes:
        name: As asked for.
        iterations: Of each level, coarsest first; each level is twice as fine as the one before, the last is finest.
        smoothing: Standard deviation of the Gaussian that regularises the displacement, voxels of the level.
    """

    name: str = "demons"
    iterations: tuple[int, ...] = (100, 100, 50)
    smoothing: float = 1.5

    def settings(self) -> dict[str, Any]:
        """What it is set to, and the version of its package."""
        return settings(self, "SimpleITK")

    def prepare(self) -> None:
        """Nothing to do."""

    def register(self, pair: Pair, threads: int) -> Outcome:
        """The demons' displacement, then the linear alignment. There is no inverse."""
        start = aligned(pair, threads)
        fixed, moving = start.on_fixed_grid()
        matched = sitk.HistogramMatching(to_sitk(moving), to_sitk(fixed), 256, 7, True)
        moving = Image(sitk.GetArrayFromImage(matched), fixed.grid)
        field: sitk.Image | None = None
        for level, iterations in enumerate(self.iterations):
            grid = _coarser(fixed.grid, 2 ** (len(self.iterations) - 1 - level))
            images = [to_sitk(to_working_grid(image, grid)) for image in (fixed, moving)]
            try:
                field = self._level(images, iterations, threads, field)
            except RuntimeError as error:
                raise failure(self.name, error) from error
        return start.outcome(sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64)))

    def _level(self, images: list[sitk.Image], iterations: int, threads: int, field: sitk.Image | None) -> sitk.Image:
        fixed, moving = images
        demons = sitk.DiffeomorphicDemonsRegistrationFilter()
        demons.SetNumberOfThreads(threads)
        demons.SetNumberOfIterations(iterations)
        demons.SetSmoothDisplacementField(True)
        demons.SetStandardDeviations(self.smoothing)
        if field is None:
            return demons.Execute(fixed, moving)
        return demons.Execute(fixed, moving, _field_on(field, fixed))


def quick_bspline() -> BSpline:
    """Fewer control points, samples and iterations."""
    return BSpline("bspline-quick", cell=12.0, samples=0.1, iterations=20)


def quick_demons() -> Demons:
    """Without the finest level."""
    return Demons("demons-quick", iterations=(100, 50, 0))


def _coarser(grid: Grid, factor: int) -> Grid:
    sides = np.maximum(np.rint(np.array(grid.shape) / factor), np.minimum(grid.shape, _SMALLEST_SIDE)).astype(int)
    return grid.resized((int(sides[0]), int(sides[1]), int(sides[2])))


def _field_on(field: sitk.Image, grid: sitk.Image) -> sitk.Image:
    """A displacement field, mm, on the voxels of another image, border values beyond its own."""
    resampler = sitk.ResampleImageFilter()
    resampler.SetReferenceImage(grid)
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.SetUseNearestNeighborExtrapolator(True)
    resampler.SetOutputPixelType(field.GetPixelID())
    return resampler.Execute(field)
