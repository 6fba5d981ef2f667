"""elastix (Klein et al. 2009; package itk-elastix) in the setting of section 2.4.1.

B-splines by normalised correlation with a bending energy of relative weight 0.05 and adaptive stochastic gradient
descent, five resolutions. For the lung two stages (Staring et al. 2010), the second inside the lung; for all else the
first alone. What the paper leaves open is as in that work's parameter files (elastix model zoo, Par0011): 2000 new
random samples an iteration, linear interpolation. They have an affine stage too; here its place is taken by the linear
alignment that all methods start from.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from RobustDIRLib.baselines.aligned import Frames, aligned
from RobustDIRLib.baselines.method import Outcome, Pair
from RobustDIRLib.baselines.optional import failure, itk_threads, package, settings
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image
from RobustDIRLib.presets import Preset
from RobustDIRLib.registration.alignment import SEED
from RobustDIRLib.registration.linear import Linear

# The paper's grid spacings are for working voxels of 1.5 mm; other presets take as many voxels.
_PAPER_VOXEL = 1.5
_LUNG_HU = -250.0
_LOG = "elastix.log"


@dataclass(frozen=True)
class BSplineStage:
    """One B-spline registration.

    Attributes:
        iterations: A resolution.
        shrink: Factors of downsampling that the images are smoothed for, coarsest first.
        spacing: Of the control points, mm at working voxels of 1.5 mm, coarsest first.
    """

    iterations: int
    shrink: tuple[int, ...]
    spacing: tuple[float, ...]


FIRST = BSplineStage(1000, (16, 8, 4, 2, 1), (80, 80, 40, 20, 10))
IN_LUNG = BSplineStage(2000, (4, 3, 2, 1, 1), (80, 40, 20, 10, 5))


@dataclass(frozen=True)
class Elastix:
    """B-splines of elastix.

    Attributes:
        name: As asked for.
        share: Of the stages' iterations.
        first: The only stage, but for CT of the lung.
        in_lung: The second stage there.
    """

    name: str = "elastix"
    share: float = 1.0
    first: BSplineStage = FIRST
    in_lung: BSplineStage = IN_LUNG

    def settings(self) -> dict[str, Any]:
        """What it is set to, and the version of its package."""
        return settings(self, "itk-elastix")

    def prepare(self) -> None:
        """Import the package and build the filter, whose wrapping itk loads only then.

        Raises:
            InputError: If it is not installed.
        """
        _filter(package("itk-elastix", self.name, "itk"))

    def register(self, pair: Pair, threads: int) -> Outcome:
        """The linear alignment, then one B-spline or two. There is no inverse."""
        with itk_threads(threads):
            itk = package("itk-elastix", self.name, "itk")
            start = aligned(pair, threads)
            frames = start.in_own_frames()
            fixed, moving = _placement(frames.fixed.grid), _placement(frames.moving.grid)
            linear = _after(_inverse(moving), _after(start.linear, fixed))
            splines = self._run(itk, frames, linear, self.plan(frames, start.preset), threads)
            # Of each pair of transforms in elastix the first acts first, and so here.
            parts = [_inverse(fixed).transform, linear.transform, *splines, moving.transform]
            return Outcome(sitk.CompositeTransform(parts[::-1]))

    def plan(self, frames: Frames, preset: Preset) -> list[tuple[BSplineStage, Image | None]]:
        """The stages, each with the mask of the fixed image inside which its metric is taken; None for everywhere."""
        if preset.window is None:
            return [(self.first, frames.fixed_mask)]
        lung = lung_mask(frames.fixed, preset.window) if frames.fixed_mask is None else frames.fixed_mask
        return [(self.first, None), (self.in_lung, lung)]

    def _run(
        self, itk: Any, frames: Frames, linear: Linear, plan: list[tuple[BSplineStage, Image | None]], threads: int
    ) -> list[sitk.BSplineTransform]:
        """One B-spline a stage, each acting on what the linear alignment and those before it have done.

        All of them, and the linear alignment, between the images laid along the axes.
        """
        before, splines = None, []
        voxel = float(np.prod(frames.fixed.grid.spacing) ** (1 / 3))
        for stage, mask in plan:
            run = _filter(itk)
            run.SetFixedImage(_to_itk(itk, frames.fixed))
            run.SetMovingImage(_to_itk(itk, frames.moving))
            if mask is not None:
                run.SetFixedMask(_to_itk(itk, mask))
            if frames.moving_mask is not None:
                run.SetMovingMask(_to_itk(itk, frames.moving_mask))
            if before is None:
                run.SetInitialTransform(_affine(itk, linear))
            else:
                run.SetInitialTransformParameterObject(before)
            parameters = itk.ParameterObject.New()
            parameters.AddParameterMap(_parameters(stage, self.share, voxel))
            run.SetParameterObject(parameters)
            run.SetNumberOfThreads(threads)
            self._update(run)
            before = run.GetTransformParameterObject()
            splines.append(_spline(before.GetParameterMap(before.GetNumberOfParameterMaps() - 1)))
        return splines

    def _update(self, run: Any) -> None:
        """Run, quietly, and pass on the reason of a failure, which elastix says in its log alone."""
        with tempfile.TemporaryDirectory(prefix="robustdir-") as folder:
            run.SetLogToConsole(False)
            run.SetOutputDirectory(folder)
            run.SetLogFileName(_LOG)
            run.SetLogToFile(True)
            try:
                run.UpdateLargestPossibleRegion()
            except RuntimeError as error:
                log = Path(folder, _LOG)
                reason = _reason(log.read_text(encoding="utf-8", errors="replace")) if log.is_file() else ""
                raise failure(self.name, RuntimeError(reason) if reason else error) from error


def quick() -> Elastix:
    """The same with a tenth of the iterations."""
    return Elastix("elastix-quick", 0.1)


def lung_mask(image: Image, window: tuple[float, float]) -> Image | None:
    """The rough lung mask of section 2.3.2, above 0 inside: below -250 HU, the largest component.

    The air around the body is no part of it, which the paper's images seem not to have shown: what touches the sides of
    the image (not its top and bottom, where a scan may cut the lungs) is left out.

    Args:
        image: CT, its window scaled to [-1, 1].
        window: HU that became -1 and 1.
    Returns:
        None if nothing is left.
    """
    low, high = window
    air, _ = ndimage.label(image.array < 2 * (_LUNG_HU - low) / (high - low) - 1)
    sides = np.concatenate([air[:, (0, -1)].ravel(), air[:, :, (0, -1)].ravel()])
    sizes = np.bincount(air.ravel())
    sizes[np.union1d(0, sides)] = 0
    if not sizes.any():
        return None
    return Image((air == sizes.argmax()).astype(np.uint8), image.grid)


def _parameters(stage: BSplineStage, share: float, voxel: float) -> dict[str, list[str]]:
    """A stage as elastix reads it: lists of text.

    Args:
        stage: To be run.
        share: Of its iterations.
        voxel: Side of a working voxel, mm.
    """
    values: dict[str, Any] = {
        "Registration": "MultiMetricMultiResolutionRegistration",
        "NumberOfResolutions": len(stage.shrink),
        # Smoothed as for the factors but not thinned out: samples lie between voxels anyway, and small images would
        # have none left.
        "FixedImagePyramid": "FixedSmoothingImagePyramid",
        "MovingImagePyramid": "MovingSmoothingImagePyramid",
        "ImagePyramidSchedule": [factor for factor in stage.shrink for _ in range(3)],
        "Transform": "BSplineTransform",
        "FinalGridSpacingInPhysicalUnits": stage.spacing[-1] * voxel / _PAPER_VOXEL,
        "GridSpacingSchedule": [spacing / stage.spacing[-1] for spacing in stage.spacing],
        "HowToCombineTransforms": "Compose",
        "Metric": ["AdvancedNormalizedCorrelation", "TransformBendingEnergyPenalty"],
        "UseRelativeWeights": "true",
        "Metric0RelativeWeight": 1.0,
        "Metric1RelativeWeight": 0.05,
        "Optimizer": "AdaptiveStochasticGradientDescent",
        "MaximumNumberOfIterations": max(1, round(share * stage.iterations)),
        "AutomaticParameterEstimation": "true",
        "ImageSampler": "RandomCoordinate",
        "NumberOfSpatialSamples": 2000,
        "NewSamplesEveryIteration": "true",
        "MaximumNumberOfSamplingAttempts": 50,
        "RequiredRatioOfValidSamples": 0.05,
        "ErodeMask": "false",
        "RandomSeed": SEED,
        "Interpolator": "LinearInterpolator",
        "ResampleInterpolator": "FinalLinearInterpolator",
        "Resampler": "DefaultResampler",
        "WriteResultImage": "false",
    }
    return {key: [str(v) for v in (value if isinstance(value, list) else [value])] for key, value in values.items()}


def _reason(log: str) -> str:
    """What elastix' log describes as the error, or nothing."""
    lines = [line.partition("Description:")[2].strip() for line in log.splitlines() if "Description:" in line]
    return lines[0] if lines else ""


def _filter(itk: Any) -> Any:
    image = itk.Image[itk.F, 3]
    return itk.ElastixRegistrationMethod[image, image].New()


def _placement(grid: Grid) -> Linear:
    """From where elastix sees an image, along the axes from the origin, to where it lies; mm.

    elastix looks for an oblique image's mask in the wrong place (itk-elastix 0.25), so it is shown none.
    """
    return Linear(np.array(grid.direction), np.array(grid.origin))


def _inverse(linear: Linear) -> Linear:
    matrix = np.asarray(np.linalg.inv(linear.matrix), dtype=np.float64)
    return Linear(matrix, -matrix @ linear.offset)


def _after(outer: Linear, inner: Linear) -> Linear:
    """`point -> outer(inner(point))`."""
    return Linear(outer.matrix @ inner.matrix, outer(inner.offset))


def _to_itk(itk: Any, image: Image) -> Any:
    """The image laid along the axes from the origin (`_placement`)."""
    copy = itk.image_from_array(np.ascontiguousarray(image.array))
    copy.SetSpacing(image.grid.spacing)
    return copy


def _affine(itk: Any, linear: Linear) -> Any:
    transform = itk.AffineTransform[itk.D, 3].New()
    transform.SetMatrix(itk.matrix_from_array(linear.matrix))
    transform.SetOffset(linear.offset.tolist())
    return transform


def _spline(parameters: Any) -> sitk.BSplineTransform:
    """A B-spline of elastix, which lies along the axes as the images do, as one of ITK."""
    size, origin, spacing, coefficients = (
        [float(number) for number in parameters[key]]
        for key in ("GridSize", "GridOrigin", "GridSpacing", "TransformParameters")
    )
    spline = sitk.BSplineTransform(3, 3)
    spline.SetFixedParameters([*size, *origin, *spacing, *np.eye(3).ravel()])
    spline.SetParameters(coefficients)
    return spline
