"""The figures of a registration that are held against tolerances, from the measures of `run.json`.

The report and the panel share this file; importing it needs neither torch nor NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from RobustDIRLib.evaluation.measurement import Measurement, Reason
from RobustDIRLib.evaluation.measures import CRITERIA, Kind, Measure, named

TRE_FIGURES = named(Kind.LANDMARKS)
Structures = list[tuple[str, Mapping[str, Any]]]  # rows of labels with their names for people


@dataclass(frozen=True)
class Figure(Measurement):
    """A measurement that a limit is held against.

    Attributes:
        note: Where it was found (the worst landmark or structure); if undefined, why, in words.
        complete: Whether nothing can be worse; where the worst of several is sought and some are undefined, it can.
    """

    note: str = ""
    complete: bool = True

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            self._set(value=None, reason=Reason.NOT_FINITE, note=f"the figure is {self.value}, not a finite number")
        super().__post_init__()
        if self.reason is not None and not self.note:
            self._set(note=self.reason.words)

    def _set(self, **changes: Any) -> None:
        for name, value in changes.items():
            object.__setattr__(self, name, value)


def figures_of(measures: Mapping[str, Any]) -> dict[str, Figure]:
    """The figure of every criterion from a run's measures.

    Args:
        measures: `measures` of `run.json`. Beside what every run holds, a label may have `mda_mm`, `hd95_mm`
            and, where one map alone holds it so that it is not to be judged, `only_in`.
    """
    landmarks, structures = _landmark_figures(measures.get("tre")), _structures(measures)
    return {one.name: landmarks.get(one.name) or _figure_of(one, measures, structures) for one in CRITERIA}


def _figure_of(criterion: Measure, measures: Mapping[str, Any], structures: Structures) -> Figure:
    if criterion.kind is Kind.LABELS:
        return _worst(structures, criterion.in_run[1], max if criterion.better == "low" else min)
    if criterion.kind is Kind.INVERSE:
        residual = measures.get("inverse_residual_mm") or {}
        return _figure(residual.get(criterion.name.removeprefix("inverse_").removesuffix("_mm")))
    return _figure(measures.get(criterion.name))


def _figure(value: float | None) -> Figure:
    return Figure(value) if value is not None else Figure(reason=Reason.NOT_RECORDED)


def _landmark_figures(tre: Mapping[str, Any] | None) -> dict[str, Figure]:
    if not tre or not tre["landmarks"]:
        return dict.fromkeys(TRE_FIGURES, Figure(reason=Reason.NO_LANDMARKS, note="no paired landmarks were given"))
    from RobustDIRLib.evaluation.landmarks import tre_spread

    rows = tre["landmarks"]
    note = f"{len(rows)} landmark{'s' if len(rows) > 1 else ''}"
    figures = {name: Figure(value, note=note) for name, value in tre_spread([row["after_mm"] for row in rows]).items()}
    worst = max(rows, key=lambda row: row["after_mm"])
    largest = figures["tre_max_mm"].value
    return figures if largest is None else figures | {"tre_max_mm": Figure(largest, note=f"landmark {worst['name']}")}


def _structures(measures: Mapping[str, Any]) -> Structures:
    """Every label of every pair of label maps, with its name for people."""
    maps = measures.get("dice") or []
    return [
        (f"label {row['label']}" + (f" of map {number}" if len(maps) > 1 else ""), row)
        for number, overlap in enumerate(maps, start=1)
        for row in overlap["labels"]
    ]


def _worst(structures: Structures, key: str, choose: Any) -> Figure:
    compared = [(row, name) for name, row in structures if not row.get("only_in")]
    if not structures:
        return Figure(reason=Reason.NO_LABEL_MAPS)
    if not compared:
        return Figure(reason=Reason.NO_COMMON_LABEL)
    if not any(key in row for row, _ in compared):
        return Figure(reason=Reason.NOT_MEASURED)
    known = [(row[key], name) for row, name in compared if row.get(key) is not None]
    unknown = ", ".join(name for row, name in compared if row.get(key) is None)
    if not known:
        return Figure(reason=Reason.NOTHING_DEFINED, note=f"undefined for {unknown}")
    value, name = choose(known, key=lambda pair: pair[0])
    if unknown:
        return Figure(value, note=f"{name}; undefined for {unknown}", complete=False)
    return Figure(value, note=name)
