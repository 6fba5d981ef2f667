"""What is measured of every registration: how regular and invertible it is and, where given, TRE and Dice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from RobustDIRLib.evaluation.label_names import names_of
from RobustDIRLib.evaluation.label_scores import OF_LABELS, LabelScores
from RobustDIRLib.evaluation.landmarks import OF_LANDMARKS
from RobustDIRLib.evaluation.measurement import Measurement, Reason
from RobustDIRLib.evaluation.metrics import dice_per_label, tre, voxels_per_label
from RobustDIRLib.evaluation.regularity import OF_JACOBIAN
from RobustDIRLib.evaluation.surfaces import SurfaceDistances, surface_distances_per_label
from RobustDIRLib.io.displacements import apply_to_points
from RobustDIRLib.io.images import Image, resample
from RobustDIRLib.io.landmarks import Landmarks
from RobustDIRLib.registration.linear import Linear
from RobustDIRLib.registration.transforms import ComposedTransform

Array = NDArray[np.float64]
_DISTANCES = [name for name in OF_LABELS if name in SurfaceDistances.__annotations__]
_OTHERS = [name for name in OF_LABELS if name not in ("dice", *_DISTANCES)]
_ONLY_IN: dict[Reason | None, str] = {Reason.ONLY_IN_FIXED: "fixed", Reason.ONLY_IN_MOVING: "moving"}


@dataclass(frozen=True)
class LandmarkErrors:
    """TRE of each landmark, mm, in their order: as the images lie, after the linear alignment, and after all."""

    names: tuple[str, ...]
    before: Array
    linear: Array
    after: Array

    def summary(self) -> dict[str, Any]:
        """Means, medians and every landmark's figures, ready for JSON."""
        figures = {"before": self.before, "linear": self.linear, "after": self.after}
        return {
            "count": len(self.names),
            **{f"{name}_mean_mm": OF_LANDMARKS["tre_mean_mm"](values) for name, values in figures.items()},
            **{f"{name}_median_mm": OF_LANDMARKS["tre_median_mm"](values) for name, values in figures.items()},
            "landmarks": [
                {"name": name, "before_mm": float(b), "linear_mm": float(c), "after_mm": float(a)}
                for name, b, c, a in zip(self.names, self.before, self.linear, self.after, strict=True)
            ],
        }


@dataclass(frozen=True)
class LabelOverlap:
    """How well a pair of label maps agrees, by label.

    Attributes:
        before: Dice as the images lie; None for a label that one of both maps lacks: it is listed, not scored.
        after: Dice after registration, likewise; 0 for a label that vanished when it was warped.
        distances: Between the surfaces after registration, with the reason where they are undefined.
        names: Of the structures, as far as the label maps have any.
        others: Every other measure of `label_scores.OF_LABELS` after registration, of the labels that both maps hold.
    """

    before: dict[int, float | None]
    after: dict[int, float | None]
    distances: dict[int, SurfaceDistances] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)
    others: Mapping[int, Mapping[str, float | None]] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """Means and every label's figures, ready for JSON."""
        return {
            "before_mean": _mean(self.before),
            "after_mean": _mean(self.after),
            "labels": [
                {"label": n, **self._named(n), "before": self.before.get(n), "after": self.after.get(n)}
                | self._distances(n)
                for n in self.after
            ],
        }

    def _named(self, label: int) -> dict[str, str]:
        return {"name": self.names[label]} if label in self.names else {}

    def _distances(self, label: int) -> dict[str, Any]:
        found = self.distances.get(label)
        if found is None:
            return {}
        return {
            **{name: getattr(found, name).value for name in _DISTANCES},
            **{name: self.others.get(label, {}).get(name) for name in _OTHERS},
            "reason": None if found.reason is None else str(found.reason),
            "only_in": _ONLY_IN.get(found.reason, ""),
        }


@dataclass(frozen=True)
class Measures:
    """Figures of one registration.

    Attributes:
        regularity: By the names of `evaluation.regularity.OF_JACOBIAN`.
        inverse_residual_mm: `|T^-1(T(x)) - x|` over the working voxels: mean, 95th percentile (`p95`) and max.
        landmarks: TRE, if landmarks were given.
        labels: Dice and surface distances per pair of label maps, if both were given.
    """

    regularity: Mapping[str, float]
    inverse_residual_mm: dict[str, float]
    landmarks: LandmarkErrors | None = None
    labels: tuple[LabelOverlap, ...] = field(default=())

    @property
    def folding_percent(self) -> float:
        """Fixed voxels whose Jacobian determinant is not positive."""
        return self.regularity["folding_percent"]

    @property
    def sdlogj(self) -> float:
        """Standard deviation of the logarithm of the Jacobian determinant."""
        return self.regularity["sdlogj"]

    def summary(self) -> dict[str, Any]:
        """All figures, ready for JSON."""
        return {
            **self.regularity,
            "inverse_residual_mm": self.inverse_residual_mm,
            "tre": self.landmarks.summary() if self.landmarks else None,
            "dice": [overlap.summary() for overlap in self.labels],
        }


def _mean(dice: dict[int, float | None]) -> float | None:
    values = [value for value in dice.values() if value is not None]
    return float(np.mean(values)) if values else None


def measured(
    composed: ComposedTransform,
    determinant: Image,
    landmarks: tuple[Landmarks, Landmarks] | None,
    labels: Iterable[tuple[Image, Image, Image]],
) -> Measures:
    """All figures of a registration.

    Args:
        composed: Its transform.
        determinant: Of the transform's Jacobian, on the fixed grid.
        landmarks: Of the fixed and of the moving image, if there are any.
        labels: Label maps of the fixed image, each with its counterpart of the moving one, and that warped.
    """
    errors = None if landmarks is None else landmark_errors(*landmarks, composed.linear, composed.transform)
    overlaps = tuple(
        label_overlap(fixed, resample(moving, determinant.grid, nearest=True, outside=0), warped, moving)
        for fixed, moving, warped in labels
    )
    return Measures(regularity(determinant), residual_summary(composed.inverse_residual()), errors, overlaps)


def landmark_errors(fixed: Landmarks, moving: Landmarks, linear: Linear, transform: sitk.Transform) -> LandmarkErrors:
    """TRE of paired landmarks.

    Args:
        fixed: Points in the fixed image, mm, LPS.
        moving: The same places in the moving image, in the same order.
        linear: Linear alignment alone, fixed to moving.
        transform: Whole transform, fixed to moving.
    """
    points = np.asarray(fixed.points, dtype=np.float64)
    return LandmarkErrors(
        fixed.names,
        tre(points, moving.points),
        tre(linear(points), moving.points),
        tre(apply_to_points(transform, points), moving.points),
    )


def label_overlap(fixed: Image, before: Image, after: Image, moving: Image | None = None) -> LabelOverlap:
    """Dice of the fixed image's label map with the moving one's before and after, and surface distances after.

    Args:
        fixed: Label map of the fixed image.
        before: Label map of the moving image as it lies, on the fixed grid.
        after: The same, warped.
        moving: The same on its own grid, which holds small labels that resampling has lost; the other two stand for it
            if not given.
    """
    in_fixed = {*voxels_per_label(fixed.array)} - {0}
    maps = (before, after) if moving is None else (moving, before, after)
    in_moving = {label for labels in maps for label in voxels_per_label(labels.array)} - {0}
    labels = sorted(in_fixed | in_moving)
    common = in_fixed & in_moving
    start, end = (dice_per_label(fixed.array, moving.array, common) for moving in (before, after))
    distances = surface_distances_per_label(fixed.array, after.array, fixed.grid, labels, in_moving)
    names = names_of(moving, before, fixed)
    others = {n: _others(n, (fixed, after), end[n], distances[n]) for n in sorted(common)} if _OTHERS else {}
    return LabelOverlap(_values(start, labels), _values(end, labels), distances, names, others)


def _others(
    label: int, maps: tuple[Image, Image], dice: Measurement, distances: SurfaceDistances
) -> dict[str, float | None]:
    fixed, warped = (int((labels.array == label).sum()) for labels in maps)
    scores = LabelScores(fixed, warped, dice, distances, label, maps)
    return {name: OF_LABELS[name](scores).value for name in _OTHERS}


def _values(dice: dict[int, Measurement], labels: list[int]) -> dict[int, float | None]:
    return {label: dice[label].value if label in dice else None for label in labels}


def residual_summary(residual: NDArray[np.floating]) -> dict[str, float]:
    """Mean, 95th percentile and maximum of the inverse's residual, mm."""
    return {
        "mean": float(residual.mean(dtype=np.float64)),
        "p95": float(np.percentile(residual, 95)),
        "max": float(residual.max()),
    }


def regularity(jacobian: Image) -> dict[str, float]:
    """Every measure of `evaluation.regularity.OF_JACOBIAN` of a map of Jacobian determinants, by name."""
    return {name: measure(jacobian.array) for name, measure in OF_JACOBIAN.items()}
