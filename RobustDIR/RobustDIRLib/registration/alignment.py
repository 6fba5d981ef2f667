"""Linear pre-alignment: the affine transform from fixed points to moving points that the network starts from.

Stages run on coarse copies of the normalised images: a start (as the headers say, shifted by centres, or turned, where
the images lie so: `orientation`), then rigid, then affine, by Mattes mutual information, which bears different
contrasts. A stage is judged outside its optimiser, all by one normalised mutual information over one fixed sampling,
and dropped if it does not improve it.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.information import normalised_mutual_information
from RobustDIRLib.geometry import Array, Grid
from RobustDIRLib.io.images import Image, to_sitk
from RobustDIRLib.io.shared import SharedSetting
from RobustDIRLib.registration.linear import IDENTITY, Linear, LinearAlignment, Stage
from RobustDIRLib.registration.orientation import at_spacing, find_orientation, foreground
from RobustDIRLib.registration.poses import volume
from RobustDIRLib.registration.preprocessing import Warn

KINDS = ("automatic", "none", "centre", "rigid", "affine")
SEED = 20250101
_COARSE_VOXELS = 64**3
_BINS = 32
_GAIN = 0.01
_VOLUME_CHANGE = (0.5, 2.0)
_KEPT_OVERLAP = 0.5
_LITTLE_OVERLAP = 0.3
# Of the metric's gain over 1. Right pairs have 0.99 at most mirrored (brains of two people, which hide it), a mirrored
# thorax or brain of one person 1.17 to 1.19 as soon as it is mirrored back.
_MIRRORED = 1.05
_LEVELS = ((2, 1.0), (1, 0.0))
_ITERATIONS = 100
_SAMPLES = 20_000


def check_kind(kind: str) -> None:
    """Refuse a kind of alignment that does not exist.

    Raises:
        InputError: If it is none of `KINDS`.
    """
    if kind not in KINDS:
        raise InputError(f"`alignment` {kind}: there is no such alignment; choose one of {', '.join(KINDS)}.")


def align(fixed: Image, moving: Image, kind: str = "automatic") -> LinearAlignment:
    """Align two normalised images linearly.

    Args:
        fixed: Scaled to [-1, 1], background -1.
        moving: The same, any grid and contrast.
        kind: `none` (as they lie by their headers), `centre` (centres of mass), `rigid` or `affine` (dropped only if
            the metric worsens), or `automatic` (each stage has to earn its place by a clear gain).
    Raises:
        InputError: For an unknown kind, or with `none` if the images share no space at all.
    """
    check_kind(kind)
    if kind == "none":
        return LinearAlignment(kind, IDENTITY, (), _refuse_disjoint(fixed.grid, moving.grid))
    pair = _CoarsePair(fixed, moving)
    if kind == "centre":
        return _report(kind, pair, *_timed_start(pair, {"centre of mass": _shift_of_mass(pair)}))
    current, stages = _turned_start(pair, *_timed_start(pair, _starts(pair)), rigid=kind == "rigid")
    for name in ("rigid", "affine")[: 1 if kind == "rigid" else 2]:
        current, stage = _try_stage(pair, name, current, _GAIN if kind == "automatic" else 0.0)
        stages.append(stage)
    return _report(kind, pair, current, stages)


def overlap(fixed: Grid, moving: Grid, linear: Linear = IDENTITY) -> float:
    """Share of the smaller image's volume, 0 to 1, that both images cover under a linear transform."""
    points = fixed.points_from_voxels(_lattice(fixed))
    shared = float(moving.contains(linear(points)).mean()) * volume(fixed)
    moving_volume = volume(moving) / abs(np.linalg.det(linear.matrix))
    found: float = min(shared / min(volume(fixed), moving_volume), 1.0)
    return found


def warn_of_little_overlap(alignment: LinearAlignment, warn: Warn) -> None:
    """Warn if the images share little space after linear alignment."""
    if alignment.overlap < _LITTLE_OVERLAP:
        warn(
            f"the images share only {100 * alignment.overlap:.0f} % of the smaller one's volume after linear "
            f"alignment; look at the result before you use it."
        )


def _lattice(grid: Grid, side: int = 24) -> Array:
    """Voxel coordinates `(N, 3)` that fill a grid evenly, whatever its voxels."""
    axes = [(np.arange(side) + 0.5) / side * n - 0.5 for n in grid.shape]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)


def _centre(grid: Grid) -> Array:
    return grid.points_from_voxels((np.array(grid.shape) - 1) / 2)


def _refuse_disjoint(fixed: Grid, moving: Grid) -> float:
    share = overlap(fixed, moving)
    if share == 0:
        apart = float(np.linalg.norm(_centre(moving) - _centre(fixed)))
        raise InputError(
            f"`alignment` none: the images share no space, their centres lie {apart:.0f} mm apart; use the `alignment` "
            f"automatic or correct the origin in the files."
        )
    return share


class _CoarsePair:
    """Coarse copies of both images, and the one metric by which stages are compared."""

    def __init__(self, fixed: Image, moving: Image) -> None:
        spacing = max(_coarse_spacing(fixed.grid), _coarse_spacing(moving.grid))
        self.spacing = spacing
        self.fixed = at_spacing(fixed, spacing)
        self.moving = at_spacing(moving, spacing)
        self.points = self.fixed.grid.points_from_voxels(np.moveaxis(np.indices(self.fixed.array.shape), 0, -1))

    def metric(self, linear: Linear) -> float:
        """Normalised mutual information (Studholme 1999), 1 to 2, over the fixed voxels that moving covers."""
        voxels = self.moving.grid.voxels_from_points(linear(self.points))
        inside = ((voxels >= -0.5) & (voxels <= np.array(self.moving.array.shape) - 0.5)).all(-1)
        if not inside.any():
            return 0.0
        values = ndimage.map_coordinates(self.moving.array, voxels[inside].T, order=1, mode="nearest")
        joint = np.histogram2d(self.fixed.array[inside], values, bins=_BINS, range=((-1, 1), (-1, 1)))[0]
        return float(normalised_mutual_information(joint))

    def overlap(self, linear: Linear) -> float:
        """Share of the smaller image that both cover."""
        return overlap(self.fixed.grid, self.moving.grid, linear)


def _coarse_spacing(grid: Grid) -> float:
    """Side of a cubic voxel, mm, at which the grid holds `_COARSE_VOXELS`, or its own voxels' if those are fewer."""
    return float((volume(grid) / min(_COARSE_VOXELS, int(np.prod(grid.shape, dtype=np.int64)))) ** (1 / 3))


def centre_of_mass(image: Image) -> Array:
    """Centre, mm, LPS, of the foreground: voxels above Otsu's threshold, all of equal weight, whatever the contrast."""
    return foreground(image).centre


def _shift(offset: Array) -> Linear:
    return Linear(np.eye(3), offset)


def _shift_of_mass(pair: _CoarsePair) -> Linear:
    return _shift(centre_of_mass(pair.moving) - centre_of_mass(pair.fixed))


def _starts(pair: _CoarsePair) -> dict[str, Linear]:
    """Where to start: as the headers say (if they overlap), and by the centres of mass and of the images."""
    starts = {"headers": IDENTITY} if pair.overlap(IDENTITY) > 0.1 else {}
    starts["centre of mass"] = _shift_of_mass(pair)
    starts["image centres"] = _shift(_centre(pair.moving.grid) - _centre(pair.fixed.grid))
    return starts


def _timed_start(pair: _CoarsePair, starts: dict[str, Linear]) -> tuple[Linear, list[Stage]]:
    """The start of the best metric; the headers' one unless another is clearly better."""
    begun = time.perf_counter()
    metrics = {name: pair.metric(linear) for name, linear in starts.items()}
    best = next(iter(starts))
    for name in starts:
        if metrics[name] > 1 + (metrics[best] - 1) * (1 + _GAIN):
            best = name
    seconds = time.perf_counter() - begun
    stages = [Stage(n, metrics[n], n == best, "best start" if n == best else "not better", seconds) for n in starts]
    return starts[best], stages


def _turned_start(pair: _CoarsePair, start: Linear, stages: list[Stage], rigid: bool) -> tuple[Linear, list[Stage]]:
    """The start, or one turned against it if the images lie so."""
    begun = time.perf_counter()
    offsets = [np.zeros(3), start.offset, _shift_of_mass(pair).offset]
    found = find_orientation(pair.fixed, pair.moving, offsets, rigid)
    if found is None:
        reason = "the images match best without being turned"
        return start, [*stages, Stage("orientation", pair.metric(start), False, reason, time.perf_counter() - begun)]
    linear = Linear(found.matrix, found.offset)
    reason = f"turned by {found.degrees:.0f} degrees the score is {found.score:.3f}, not {found.unturned:.3f}"
    stages = [replace(stage, kept=False, reason="not turned") for stage in stages]
    return linear, [*stages, Stage("orientation", pair.metric(linear), True, reason, time.perf_counter() - begun)]


def _try_stage(pair: _CoarsePair, name: str, start: Linear, gain: float) -> tuple[Linear, Stage]:
    """Run one stage; what is kept of it, and the report."""
    begun = time.perf_counter()
    before = pair.metric(start)
    found = _optimise(pair, name, start)
    after = 0.0 if found is None else pair.metric(found)
    reason = _objection(pair, start, found)
    if not reason and after - 1 <= (before - 1) * (1 + gain):
        reason = f"metric {after:.4f} is no clear gain over {before:.4f}"
    kept = not reason
    stage = Stage(name, after, kept, reason or f"metric rose from {before:.4f}", time.perf_counter() - begun)
    return (found if kept and found is not None else start), stage


def _objection(pair: _CoarsePair, start: Linear, found: Linear | None) -> str:
    """Why a result cannot be right whatever its metric, or nothing."""
    if found is None:
        return "the optimiser failed"
    determinant = float(np.linalg.det(found.matrix) / np.linalg.det(start.matrix))
    if not _VOLUME_CHANGE[0] <= determinant <= _VOLUME_CHANGE[1]:
        return f"volume would change by a factor of {determinant:.2f}"
    if pair.overlap(found) < _KEPT_OVERLAP * pair.overlap(start):
        return "the overlap was lost"
    return ""


def _optimise(pair: _CoarsePair, name: str, start: Linear) -> Linear | None:
    """Optimise the transform of a stage from a start; None if the optimiser cannot go on."""
    centre = centre_of_mass(pair.fixed)
    transform = sitk.Euler3DTransform() if name == "rigid" else sitk.AffineTransform(3)
    transform.SetCenter(centre.tolist())
    method = _method(transform, pair)
    # The start stays apart as the moving initial transform, so that a stage optimises small changes only.
    method.SetMovingInitialTransform(start.transform)
    try:
        with _ONE_THREAD.changed():
            method.Execute(to_sitk(pair.fixed), to_sitk(pair.moving))
    except RuntimeError:  # ITK's way to say that too few samples fall into the moving image
        return None
    points = np.vstack([np.zeros(3), np.eye(3)])
    moved = np.array([transform.TransformPoint(point) for point in points.tolist()])
    found = start(moved)
    return Linear((found[1:] - found[0]).T, found[0])


def _set_one_thread() -> int:
    before = int(sitk.ProcessObject.GetGlobalDefaultNumberOfThreads())
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    return before


# ITK's metric adds up in the order in which its threads finish, and heeds only the global number of threads.
_ONE_THREAD = SharedSetting(_set_one_thread, sitk.ProcessObject.SetGlobalDefaultNumberOfThreads)


def _method(transform: sitk.Transform, pair: _CoarsePair) -> sitk.ImageRegistrationMethod:
    """The optimisation set-up: fixed sampling and seed, so that equal input gives equal output."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.REGULAR)
    voxels = pair.fixed.array.size
    shares = [min(1.0, _SAMPLES * shrink**3 / voxels) for shrink, _ in _LEVELS]
    method.SetMetricSamplingPercentagePerLevel(shares, SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetShrinkFactorsPerLevel([shrink for shrink, _ in _LEVELS])
    method.SetSmoothingSigmasPerLevel([sigma * pair.spacing for _, sigma in _LEVELS])
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=pair.spacing,
        minStep=pair.spacing * 0.01,
        numberOfIterations=_ITERATIONS,
        relaxationFactor=0.8,
        gradientMagnitudeTolerance=1e-8,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, True)
    return method


def _report(kind: str, pair: _CoarsePair, linear: Linear, stages: list[Stage]) -> LinearAlignment:
    return LinearAlignment(kind, linear, tuple(stages), pair.overlap(linear), _seems_mirrored(pair, linear))


def _seems_mirrored(pair: _CoarsePair, linear: Linear) -> bool:
    """Whether the metric rises clearly if the fixed image is mirrored along one of its axes, about its centre of mass.

    That tells of bodies that are nearly their own mirror image, as a chest, which a rotation brings together well
    enough to pass for right; what is nothing like its mirror image hardly agrees, and is told by that.
    """
    centre, axes = centre_of_mass(pair.fixed), np.array(pair.fixed.grid.direction).T
    mirrors = [np.eye(3) - 2 * np.outer(axis, axis) for axis in axes]
    best = max(pair.metric(linear.after(Linear(mirror, centre - mirror @ centre))) for mirror in mirrors)
    return best - 1 > _MIRRORED * (pair.metric(linear) - 1)
