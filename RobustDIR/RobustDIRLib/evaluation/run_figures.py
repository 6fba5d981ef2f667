"""The figures of a registration that are held against tolerances, from the measures of `run.json`.

The report and the panel share this file; it needs neither torch nor NumPy.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NEAR_MM = 2.0
TRE_FIGURES = ("tre_mean_mm", "tre_median_mm", "tre_p95_mm", "tre_max_mm", "tre_near_percent")


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
    residual, structures = measures.get("inverse_residual_mm") or {}, _structures(measures)
    return {
        **_landmark_figures(measures.get("tre")),
        "mda_mm": _worst(structures, "mda_mm", max),
        "hd95_mm": _worst(structures, "hd95_mm", max),
        "dice": _worst(structures, "after", min),
        "folding_percent": _figure(measures.get("folding_percent")),
        "sdlogj": _figure(measures.get("sdlogj")),
        "inverse_p95_mm": _figure(residual.get("p95")),
    }


def _figure(value: float | None) -> Figure:
    return Figure(value, "" if value is not None else "the run did not record it")


def tre_spread(errors: Sequence[float]) -> dict[str, float]:
    """TRE of all landmarks in five figures, by the criteria's names: mm, and per cent of them under `NEAR_MM`.

    Args:
        errors: At least one, mm. One that is not a number leaves none of the figures a number.
    """
    if any(math.isnan(error) for error in errors):
        return dict.fromkeys(TRE_FIGURES, math.nan)
    ordered = sorted(errors)
    below = 0.95 * (len(ordered) - 1)  # linear between the neighbours, as NumPy does it
    low, high = ordered[math.floor(below)], ordered[math.ceil(below)]
    near = sum(error < NEAR_MM for error in ordered)
    values = (
        math.fsum(ordered) / len(ordered),
        statistics.median(ordered),
        low + (high - low) * (below - math.floor(below)),
        ordered[-1],
        100 * near / len(ordered),
    )
    return dict(zip(TRE_FIGURES, values, strict=True))


def _landmark_figures(tre: Mapping[str, Any] | None) -> dict[str, Figure]:
    if not tre or not tre["landmarks"]:
        return dict.fromkeys(TRE_FIGURES, Figure(None, "no paired landmarks were given"))
    rows = tre["landmarks"]
    note = f"{len(rows)} landmark{'s' if len(rows) > 1 else ''}"
    figures = {name: Figure(value, note) for name, value in tre_spread([row["after_mm"] for row in rows]).items()}
    worst = max(rows, key=lambda row: row["after_mm"])
    largest = figures["tre_max_mm"].value
    return figures if largest is None else figures | {"tre_max_mm": Figure(largest, f"landmark {worst['name']}")}


def _structures(measures: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Every label of every pair of label maps, with its name for people."""
    maps = measures.get("dice") or []
    return [
        (f"label {row['label']}" + (f" of map {number}" if len(maps) > 1 else ""), row)
        for number, overlap in enumerate(maps, start=1)
        for row in overlap["labels"]
    ]


def _worst(structures: list[tuple[str, Mapping[str, Any]]], key: str, choose: Any) -> Figure:
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
