"""The figures of a registration that are held against tolerances, from the measures of `run.json`.

The report and the panel share this file; importing it needs neither torch nor NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from RobustDIRLib.evaluation.measures import CRITERIA, Kind, Measure, named

TRE_FIGURES = named(Kind.LANDMARKS)
Structures = list[tuple[str, Mapping[str, Any]]]  # rows of labels with their names for people


@dataclass(frozen=True)
class Figure:
    """A measured figure, or why there is none.

    Attributes:
        value: None where it is undefined.
        note: Where it was found (the worst landmark or structure); if undefined, the reason.
        complete: Whether nothing can be worse; where the worst of several is sought and some are undefined, it can.
    """

    value: float | None
    note: str = ""
    complete: bool = True

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            object.__setattr__(self, "note", f"the figure is {self.value}, not a finite number")
            object.__setattr__(self, "value", None)
        if self.value is None and not self.note:
            raise ValueError("an undefined figure needs a reason")


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
    return Figure(value, "" if value is not None else "the run did not record it")


def _landmark_figures(tre: Mapping[str, Any] | None) -> dict[str, Figure]:
    if not tre or not tre["landmarks"]:
        return dict.fromkeys(TRE_FIGURES, Figure(None, "no paired landmarks were given"))
    from RobustDIRLib.evaluation.landmarks import tre_spread

    rows = tre["landmarks"]
    note = f"{len(rows)} landmark{'s' if len(rows) > 1 else ''}"
    figures = {name: Figure(value, note) for name, value in tre_spread([row["after_mm"] for row in rows]).items()}
    worst = max(rows, key=lambda row: row["after_mm"])
    largest = figures["tre_max_mm"].value
    return figures if largest is None else figures | {"tre_max_mm": Figure(largest, f"landmark {worst['name']}")}


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
        return Figure(None, "no pair of label maps was given")
    if not compared:
        return Figure(None, "the label maps have no label in common")
    if not any(key in row for row, _ in compared):
        return Figure(None, "it was not measured")
    known = [(row[key], name) for row, name in compared if row.get(key) is not None]
    unknown = ", ".join(name for row, name in compared if row.get(key) is None)
    if not known:
        return Figure(None, f"undefined for {unknown}")
    value, name = choose(known, key=lambda pair: pair[0])
    return Figure(value, f"{name}; undefined for {unknown}", complete=False) if unknown else Figure(value, name)
