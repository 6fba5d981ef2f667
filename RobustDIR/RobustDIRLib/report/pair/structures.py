"""The table of structures: overlap and distances as the run recorded them, volumes and folding from its label maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from RobustDIRLib.evaluation.label_names import names_of, number_of
from RobustDIRLib.evaluation.measurement import Reason
from RobustDIRLib.evaluation.measures import STRUCTURES, before_name
from RobustDIRLib.evaluation.metrics import voxels_per_label
from RobustDIRLib.evaluation.regularity import regularity_per_label
from RobustDIRLib.io.images import Image, resample
from RobustDIRLib.io.labels import read_label_maps, read_labels
from RobustDIRLib.report.pair.run_folder import Reader
from RobustDIRLib.run_files import labels_name

Volumes = dict[int | None, float] | None

_NOT_MEASURED = "the run did not measure it"


@dataclass(frozen=True)
class Structure:
    """One label of one pair of label maps.

    Attributes:
        map: Which pair, from 1.
        label: Its number, or its name where it has one.
        values: `dice_before` and, after registration, the measures of `measures.STRUCTURES`; None where undefined.
        fixed_ml: Volume in the fixed label map; None where that is lost.
        warped_ml: Volume in the warped label map; None where that is lost.
        folding_percent: Voxels of the fixed structure with a non-positive Jacobian determinant; None where undefined.
        only_in: `fixed` or `moving` where the other map lacks the label from the start: it is not judged then.
        reason: Why a distance is undefined.
        name: What the label maps call it; empty if they do not.
    """

    map: int
    label: int | str
    values: Mapping[str, float | None]
    fixed_ml: float | None
    warped_ml: float | None
    folding_percent: float | None
    only_in: str
    reason: str
    name: str = ""

    @property
    def title(self) -> str:
        """What it is called, with its number where it has one."""
        if isinstance(self.label, str):
            return self.label
        return f"{self.name} (label {self.label})" if self.name else f"Label {self.label}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        plain = asdict(self)
        return {"map": plain.pop("map"), "label": plain.pop("label"), **plain.pop("values"), **plain}


def structures_of(reader: Reader, jacobian: Image | None) -> tuple[Structure, ...]:
    """Every label of the run's pairs of label maps.

    Args:
        reader: Of the run.
        jacobian: Determinant on the fixed grid.
    """
    maps = reader.run.measures.get("dice") or []
    return tuple(row for index, overlap in enumerate(maps) for row in _of_map(reader, index, overlap, jacobian))


def values_of(row: Mapping[str, Any]) -> dict[str, float | None]:
    """`Structure.values` of a label's row in `run.json`, or of one that the panel shows."""
    return {before_name("dice"): row.get("before"), **{one.name: row.get(one.in_run[1]) for one in STRUCTURES}}


def _of_map(reader: Reader, index: int, overlap: Mapping[str, Any], jacobian: Image | None) -> Iterator[Structure]:
    fixed = reader.input(read_label_maps, "fixed_labels", index)
    warped = reader.output(read_labels, labels_name(index))
    fixed_ml = None if fixed is None else {n: ml for one in fixed for n, ml in (_millilitres(one) or {}).items()}
    warped_ml = _millilitres(warped)
    folding = {n: share for one in fixed or () for n, share in _folding(one, jacobian).items()}
    for row in overlap["labels"]:
        label, name = int(row["label"]), str(row.get("name") or "")
        there = _number_in(fixed[0] if fixed else None, label, name)
        yield Structure(
            map=index + 1,
            label=label,
            values=values_of(row),
            fixed_ml=None if fixed_ml is None else fixed_ml.get(there, 0.0),
            warped_ml=None if warped_ml is None else warped_ml.get(label, 0.0),
            folding_percent=folding.get(there),
            only_in=row.get("only_in") or "",
            reason=_reason(row),
            name=name,
        )


def _number_in(fixed: Image | None, label: int, name: str) -> int | None:
    """The fixed label map's own number of a structure: by its name where both have names, as the run paired them."""
    names = names_of(fixed)
    return number_of(names, name) if name and names else label


def _reason(row: Mapping[str, Any]) -> str:
    """Why a label has no distance, in words; empty if it has one."""
    if "mda_mm" not in row:
        return _NOT_MEASURED
    names = {str(reason): reason.words for reason in Reason}
    return names.get(row.get("reason") or "", row.get("reason") or "")


def _millilitres(labels: Image | None) -> Volumes:
    if labels is None:
        return None
    millilitre = float(np.prod(labels.grid.spacing)) / 1000
    return {label: count * millilitre for label, count in voxels_per_label(labels.array).items()}


def _folding(fixed: Image | None, jacobian: Image | None) -> dict[int | None, float | None]:
    """Share of each fixed structure where the transform folds."""
    if fixed is None or jacobian is None:
        return {}
    organs = fixed
    if not fixed.grid.close_to(jacobian.grid):
        organs = resample(fixed, jacobian.grid, nearest=True, outside=0)
    found = regularity_per_label(jacobian.array, organs.array)
    return {label: one.folding_percent.value for label, one in found.items()}
