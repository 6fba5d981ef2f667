"""Label maps of a case: Dice and surface distances of the labels that both maps hold, and folding within each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.cohort.results import LabelRow
from RobustDIRLib.datasets.cases import CaseData
from RobustDIRLib.evaluation.label_names import names_of, numbered_alike
from RobustDIRLib.evaluation.label_scores import OF_LABELS, LabelEvaluation, evaluate_labels
from RobustDIRLib.evaluation.measurement import Measurement, Reason
from RobustDIRLib.evaluation.measures import before_name
from RobustDIRLib.evaluation.metrics import voxels_per_label
from RobustDIRLib.evaluation.regularity import regularity_per_label
from RobustDIRLib.io.displacements import DisplacementField
from RobustDIRLib.io.images import Image, resample
from RobustDIRLib.registration.transforms import warp_labels

Note = Callable[[str], None]
Add = Callable[[str, Measurement], None]

_NAMED = 10


@dataclass(frozen=True)
class SampledTransform:
    """A transform on the fixed grid.

    Attributes:
        displacement: From fixed to moving points.
        determinant: Of its Jacobian.
        within: Where the determinant means something; everywhere if None.
    """

    displacement: DisplacementField
    determinant: Image
    within: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class LabelGauge:
    """Measures transforms by the label maps of one case; what concerns them as they lie is measured once.

    Attributes:
        fixed: On the fixed image's grid.
        moving: On any grid.
        names: Of structures by number, as far as the label maps have any.
    """

    fixed: Image
    moving: Image
    names: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, data: CaseData, note: Note) -> LabelGauge | None:
        """Of a case, or None if it lacks a label map; says what was resampled.

        Args:
            data: The case.
            note: Takes sentences for the reader.
        """
        fixed, moving = data.fixed_labels, data.moving_labels
        if fixed is None or moving is None:
            return None
        fixed, sentences = numbered_alike(fixed, moving)
        names = names_of(moving, fixed)
        for sentence in sentences:
            note(sentence.rstrip("."))
        if not moving.grid.close_to(data.moving.grid):
            note("the moving label map lies on another grid than the moving image; it was warped from its own")
        if not fixed.grid.close_to(data.fixed.grid):
            note(
                "the fixed label map lies on another grid than the fixed image; it was resampled onto it by nearest "
                "neighbour, which moves its surfaces by up to half a voxel"
            )
            fixed = resample(fixed, data.fixed.grid, nearest=True, outside=0)
        return cls(Image(fixed.array, data.fixed.grid), moving, names)

    @cached_property
    def before(self) -> LabelEvaluation:
        """With the images as they lie."""
        return evaluate_labels(self.fixed, resample(self.moving, self.fixed.grid, nearest=True, outside=0), self.moving)

    def read(self, deformation: SampledTransform, add: Add, note: Note) -> tuple[LabelRow, ...]:
        """Measure a transform.

        Args:
            deformation: The transform.
            add: Takes the means over labels by name.
            note: Takes sentences for the reader.
        Returns:
            A row a label, those that only one map holds included.
        """
        warped = warp_labels(self.moving, deformation.displacement)
        after = evaluate_labels(self.fixed, warped, self.moving)
        for name, figure in OF_LABELS.items():
            add(before_name(name), self.before.mean(figure))
            add(name, after.mean(figure))
        for sentence in _sentences(after):
            note(sentence)
        rows = [*self._scored(after, deformation), *_unscored(after, self.fixed, warped)]
        rows = [replace(row, name=self.names.get(row.label, "")) for row in rows]
        return tuple(sorted(rows, key=lambda row: row.label))

    def _scored(self, after: LabelEvaluation, deformation: SampledTransform) -> Iterator[LabelRow]:
        organs = self.fixed.array if deformation.within is None else np.where(deformation.within, self.fixed.array, 0)
        regular = regularity_per_label(deformation.determinant.array, organs, after.scores)
        for label, scores in after.scores.items():
            figures = {before_name(name): one for name, one in self.before.scores[label].values().items()}
            figures |= {**scores.values(), **regular[label].values}
            reasons = {name: one.reason.words for name, one in figures.items() if one.reason}
            yield LabelRow(
                label,
                scores.fixed_voxels,
                scores.warped_voxels,
                {name: one.value for name, one in figures.items() if one.value is not None},
                in_groups(reasons),
            )


def in_groups(reasons: dict[str, str]) -> str:
    """Reasons by name in one line, each once: `hd95_mm, assd_mm: the label vanished; tre_mean_mm: ...`."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(group)}: {reason}" for reason, group in names.items())


def _unscored(after: LabelEvaluation, fixed: Image, warped: Image) -> Iterator[LabelRow]:
    if not after.only_fixed and not after.only_moving:
        return
    held = voxels_per_label(fixed.array), voxels_per_label(warped.array)
    lists = ((after.only_fixed, Reason.ONLY_IN_FIXED), (after.only_moving, Reason.ONLY_IN_MOVING))
    for label, reason in ((label, reason) for labels, reason in lists for label in labels):
        yield LabelRow(label, held[0].get(label, 0), held[1].get(label, 0), reason=reason.words)


def _sentences(after: LabelEvaluation) -> Iterator[str]:
    """What a reader of the means should know."""
    for labels, what in (
        (after.only_fixed, "are in the fixed label map alone and were left out"),
        (after.only_moving, "are in the moving label map alone and were left out"),
        (after.vanished, "vanished after warping: they count as Dice 0, and no distance of theirs is in the means"),
    ):
        if labels:
            yield f"labels {_listed(labels)} {what}"


def _listed(labels: tuple[int, ...]) -> str:
    numbers = ", ".join(str(label) for label in labels[:_NAMED])
    return numbers + (f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else "")
