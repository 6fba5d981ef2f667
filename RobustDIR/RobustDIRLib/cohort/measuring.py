"""What is measured of a transform on a case: on the images as they were read, warped once, on the fixed grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from RobustDIRLib.baselines.method import Outcome
from RobustDIRLib.cohort.overlaps import LabelGauge, SampledTransform
from RobustDIRLib.cohort.results import LabelRow, LandmarkTable
from RobustDIRLib.datasets.cases import CaseData
from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.label_scores import OF_LABELS
from RobustDIRLib.evaluation.landmarks import summarise_errors
from RobustDIRLib.evaluation.measurement import Measurement
from RobustDIRLib.evaluation.measures import BY_NAME, VERSION, before_name
from RobustDIRLib.evaluation.metrics import tre
from RobustDIRLib.evaluation.pairing import names_hint, pairing_hints
from RobustDIRLib.evaluation.regularity import inverse_consistency, regularity
from RobustDIRLib.evaluation.similarity import Compared
from RobustDIRLib.geometry import Array, Grid
from RobustDIRLib.io.displacements import (
    DisplacementField,
    apply_to_points,
    inside_fields,
    sample_transform,
)
from RobustDIRLib.io.images import Image, resample
from RobustDIRLib.io.landmarks import Landmarks
from RobustDIRLib.presets import PERCENTILES, find_preset
from RobustDIRLib.registration.checks import tell_one_image
from RobustDIRLib.registration.preprocessing import check_hounsfield, intensity_window, prepare_mask
from RobustDIRLib.registration.transforms import jacobian, warp_image
from RobustDIRLib.values import scaled

_RESIDUAL_POINTS = 20_000  # at which the inverse's residual is taken, at most
_DIGITS = 4  # of a millimetre, for landmarks in files
_FIGURES = 9  # of a measure that are kept
_NO_LABELS = "there is no pair of label maps"


def settings(preset: str) -> dict[str, Any]:
    """What the measures of a case are set to, in plain values."""
    known = find_preset(preset)
    limits = list(known.window or PERCENTILES)  # HU, or percentiles
    return {"version": VERSION, "ssim_window": known.ssim_window, "ssim_limits": limits}


@dataclass(frozen=True)
class Reading:
    """What was measured of one transform, and what was warped for it."""

    values: dict[str, float]
    undefined: dict[str, str]
    landmarks: LandmarkTable | None
    labels: tuple[LabelRow, ...]
    notes: tuple[str, ...]
    warped: Image
    field: DisplacementField


@dataclass
class _Tally:
    """Values and reasons as they come."""

    values: dict[str, float] = field(default_factory=dict)
    undefined: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, measured: Measurement | float) -> None:
        """Keep a measure under its name, or why there is none."""
        measured = measured if isinstance(measured, Measurement) else Measurement.of(measured)
        if measured.value is not None:
            self.values[name] = float(f"{measured.value:.{_FIGURES}g}")
        elif measured.reason is not None:
            self.undefined[name] = measured.reason.words

    def add_all(self, measures: Mapping[str, Measurement | float]) -> None:
        """Keep several."""
        for name, measured in measures.items():
            self.add(name, measured)


class Gauge:
    """Measures transforms of one case; what concerns the images as they lie is measured once."""

    def __init__(self, data: CaseData, preset: str) -> None:
        """Bring masks and label maps to the fixed grid.

        Args:
            data: The case, unperturbed.
            preset: Of the case.
        Raises:
            InputError: If a mask is empty or off its image, or the preset is unknown.
        """
        self.data, self.window = data, settings(preset)["ssim_window"]
        notes: list[str] = []
        tell_one_image(data.fixed, data.moving, notes.append)
        for name, image in (("fixed", data.fixed), ("moving", data.moving)):
            check_hounsfield(image, name, find_preset(preset), notes.append)
        self.mask = prepare_mask(data.fixed_mask, data.fixed, "fixed", notes.append)
        moving_mask = prepare_mask(data.moving_mask, data.moving, "moving", notes.append)
        self.ranges = [_range(data.fixed, preset, self.mask), _range(data.moving, preset, moving_mask)]
        self.labels = LabelGauge.of(data, notes.append)
        self.notes = tuple(notes)

    @cached_property
    def before(self) -> _Tally:
        """Similarity of the images as they lie."""
        tally = _Tally()
        tally.add_all(_before(self._similarity(resample(self.data.moving, self.data.fixed.grid))))
        return tally

    def read(self, outcome: Outcome, seen: Grid | None = None) -> Reading:
        """Measure a transform.

        Args:
            outcome: From fixed to moving points, and back where the method gives that.
            seen: Grid of the fixed image as the method saw it, if it was not the whole one: how regular the transform
                is, is measured there alone, as its displacement ends at the border.
        Raises:
            InputError: If the transform is not finite on the fixed grid.
        """
        grid, tally, notes = self.data.fixed.grid, _Tally(), list(self.notes)
        displacement = sample_transform(outcome.transform, grid)
        displacement = DisplacementField(displacement.array.astype(np.float32), grid)
        if not np.isfinite(displacement.array).all():
            raise InputError("the method's transform is NaN or infinite in places; nothing can be measured of it")
        warped, determinant = warp_image(self.data.moving, displacement), jacobian(displacement)
        within = None if seen is None or seen.close_to(grid) else _inner(seen, grid)
        tally.add_all({**self.before.values, **self._similarity(warped)})
        tally.undefined.update(self.before.undefined)
        tally.add_all(regularity(determinant.array, within).values)
        self._inverse(outcome, tally)
        landmarks = self._landmarks(outcome.transform, tally, notes.append)
        rows = self._labels(SampledTransform(displacement, determinant, within), tally, notes.append)
        return Reading(tally.values, tally.undefined, landmarks, rows, tuple(notes), warped, displacement)

    def _similarity(self, warped: Image) -> dict[str, Measurement]:
        mask = None if self.mask is None else self.mask.array > 0
        fixed = self.data.fixed.array
        a, b = (scaled(array, limits, (0, 1)) for array, limits in zip((fixed, warped.array), self.ranges, strict=True))
        return Compared(fixed, warped.array, mask, (a, b), self.window).values()

    def _inverse(self, outcome: Outcome, tally: _Tally) -> None:
        """Distance of fixed points from where they come back to."""
        back = outcome.inverse
        found = inverse_consistency(
            self.data.fixed.grid,
            partial(apply_to_points, outcome.transform),
            None if back is None else partial(apply_to_points, back),
            most_points=_RESIDUAL_POINTS,
        )
        tally.add_all({"inverse_mean_mm": found.mean_mm, "inverse_p95_mm": found.p95_mm})

    def _labels(
        self, deformation: SampledTransform, tally: _Tally, note: Callable[[str], None]
    ) -> tuple[LabelRow, ...]:
        if self.labels is None:
            tally.undefined.update(dict.fromkeys(OF_LABELS, _NO_LABELS))
            return ()
        return self.labels.read(deformation, tally.add, note)

    def _landmarks(self, transform: sitk.Transform, tally: _Tally, note: Callable[[str], None]) -> LandmarkTable | None:
        fixed, moving = self.data.fixed_landmarks, self.data.moving_landmarks
        if not fixed or not moving:
            tally.add_all(_errors(np.empty(0)))
            return None
        before, after = tre(fixed.points, moving.points), tre(apply_to_points(transform, fixed.points), moving.points)
        if not np.isfinite(after).all():
            raise InputError("the method's transform takes landmarks to NaN or infinity; nothing can be measured of it")
        tally.add_all({**_before(_errors(before)), **_errors(after)})
        outside = int((~inside_fields(transform, fixed.points)).sum())
        if outside:
            note(f"{outside} of {len(fixed)} landmarks lie outside the transform's displacement field")
        grids = self.data.fixed.grid, self.data.moving.grid
        hints = pairing_hints(fixed.points, moving.points, partial(apply_to_points, transform), grids)
        for hint in (*names_hint(fixed.names, moving.names), *hints):
            note(hint)
        return _table(fixed, before, after)


def _range(image: Image, preset: str, mask: Image | None) -> tuple[float, float]:
    """Intensities that become 0 and 1 for the SSIM: those that become -1 and 1 for the network (section 2.3)."""
    return intensity_window(image, find_preset(preset), mask)


def _inner(seen: Grid, grid: Grid) -> NDArray[np.bool_]:
    """Voxels of a grid whose neighbours, too, lie within another."""
    covered = resample(Image(np.ones(seen.shape, np.uint8), seen), grid, nearest=True, outside=0).array > 0
    return np.asarray(binary_erosion(covered, np.ones((3, 3, 3)), border_value=1))


def _before(measures: Mapping[str, Measurement]) -> dict[str, Measurement]:
    return {before_name(name): value for name, value in measures.items()}


def _errors(errors: Array) -> dict[str, Measurement]:
    return {name: one for name, one in summarise_errors(errors).values.items() if BY_NAME[name].in_cohorts}


def _table(fixed: Landmarks, before: Array, after: Array) -> LandmarkTable:
    columns = [*fixed.points.T, before, after]
    return LandmarkTable(fixed.names, *(tuple(np.round(column, _DIGITS).tolist()) for column in columns))
