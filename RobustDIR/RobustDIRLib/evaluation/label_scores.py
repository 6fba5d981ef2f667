"""Everything that two label maps tell about a registration: overlap and surface distances of the labels both hold.

Which labels are compared follows Learn2Reg: those that the fixed and the moving map hold. The rest is listed, not
scored. A label that both hold but that vanished when the moving map was warped has Dice 0, which is what it is, and
undefined distances.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.evaluation.measurement import Measurement, Reason, mean_of_defined
from RobustDIRLib.evaluation.metrics import dice_per_label, voxels_per_label
from RobustDIRLib.evaluation.surfaces import SurfaceDistances, surface_distances_per_label
from RobustDIRLib.io.images import Image, resample


@dataclass(frozen=True)
class LabelSets:
    """Labels of two maps but for the background 0, ascending.

    Attributes:
        common: In both.
        only_fixed: In the fixed map alone.
        only_moving: In the moving map alone.
    """

    common: tuple[int, ...]
    only_fixed: tuple[int, ...]
    only_moving: tuple[int, ...]

    @classmethod
    def of(cls, fixed: NDArray[np.integer], moving: NDArray[np.integer]) -> LabelSets:
        """What two label maps hold; they may lie on unlike grids."""
        in_fixed, in_moving = ({*voxels_per_label(labels)} - {0} for labels in (fixed, moving))
        parts = in_fixed & in_moving, in_fixed - in_moving, in_moving - in_fixed
        return cls(*(tuple(sorted(part)) for part in parts))


@dataclass(frozen=True)
class LabelScores:
    """One label's figures.

    Attributes:
        fixed_voxels: How many voxels the fixed map has of it.
        warped_voxels: How many the warped map has, on the fixed grid.
        dice: Overlap, 0 to 1.
        distances: Between the surfaces, mm.
        label: Its number.
        maps: Both label maps, on the fixed grid, for measures that look at voxels; not compared.
    """

    fixed_voxels: int
    warped_voxels: int
    dice: Measurement
    distances: SurfaceDistances
    label: int = 0
    maps: tuple[Image, Image] | None = field(default=None, repr=False, compare=False)

    @property
    def masks(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which voxels of the fixed grid bear the label, in the fixed and in the warped map.

        Raises:
            ValueError: If the maps are not there.
        """
        if self.maps is None:
            raise ValueError("the label maps were not kept")
        fixed, warped = (labels.array == self.label for labels in self.maps)
        return fixed, warped

    def values(self) -> dict[str, Measurement]:
        """Every measure of `OF_LABELS` by name."""
        return {name: measure(self) for name, measure in OF_LABELS.items()}

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        counts = {"fixed_voxels": self.fixed_voxels, "warped_voxels": self.warped_voxels}
        return {**counts, "dice": self.dice.plain(), **self.distances.plain()}


# By the names of `measures.MEASURES`: what is measured of each label.
OF_LABELS: dict[str, Callable[[LabelScores], Measurement]] = {
    "dice": lambda one: one.dice,
    "hd95_mm": lambda one: one.distances.hd95_mm,
    "assd_mm": lambda one: one.distances.assd_mm,
    "mda_mm": lambda one: one.distances.mda_mm,
}


@dataclass(frozen=True)
class LabelEvaluation:
    """How well two label maps agree.

    Attributes:
        scores: Of each label that the fixed and the moving map hold, ascending.
        only_fixed: Labels that the fixed map alone holds: not scored.
        only_moving: Labels that the moving map alone holds: not scored.
        notes: What else a reader should know, a sentence each: maps that were resampled.
    """

    scores: dict[int, LabelScores]
    only_fixed: tuple[int, ...] = ()
    only_moving: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def vanished(self) -> tuple[int, ...]:
        """Labels that the moving map held and the warped one lost."""
        return tuple(label for label, one in self.scores.items() if not one.warped_voxels)

    def mean(self, figure: Callable[[LabelScores], Measurement]) -> Measurement:
        """Mean of a figure over the labels of which it is defined, as of `lambda one: one.distances.hd95_mm`."""
        if not self.scores:
            return Measurement.undefined(Reason.NO_COMMON_LABEL)
        return mean_of_defined(figure(one) for one in self.scores.values())

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "labels": [{"label": label, **one.plain()} for label, one in self.scores.items()],
            "only_in_fixed": list(self.only_fixed),
            "only_in_moving": list(self.only_moving),
            "vanished_after_warping": list(self.vanished),
            "notes": list(self.notes),
        }


def evaluate_labels(fixed: Image, warped: Image, moving: Image | None = None) -> LabelEvaluation:
    """Dice and surface distances of every label that both label maps hold.

    Args:
        fixed: Label map of the fixed image; resampled by nearest neighbour, with a note, if it lies on another grid.
        warped: Label map of the moving image, warped onto the fixed image's grid.
        moving: The same as it was, on its own grid, to tell labels that vanished from those that never were; `warped`
            stands for it if not given, and what vanished is listed as only in the fixed map.
    """
    fixed, notes = _on_grid_of(fixed, warped)
    sets = LabelSets.of(fixed.array, (moving or warped).array)
    in_fixed, in_warped = voxels_per_label(fixed.array), voxels_per_label(warped.array)
    dice = dice_per_label(fixed.array, warped.array, sets.common)
    distances = surface_distances_per_label(fixed.array, warped.array, warped.grid, sets.common, sets.common)
    scores = {
        n: LabelScores(in_fixed[n], in_warped.get(n, 0), dice[n], distances[n], n, (fixed, warped)) for n in sets.common
    }
    return LabelEvaluation(scores, sets.only_fixed, sets.only_moving, notes)


def _on_grid_of(fixed: Image, warped: Image) -> tuple[Image, tuple[str, ...]]:
    if fixed.grid.close_to(warped.grid):
        return Image(fixed.array, warped.grid), ()
    note = (
        "the fixed label map lies on another grid than the fixed image and was resampled onto it by nearest neighbour, "
        "which moves its surfaces by up to half a voxel"
    )
    return resample(fixed, warped.grid, nearest=True, outside=0), (note,)
