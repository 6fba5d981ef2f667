"""The figures of the Check section: landmark errors, structures, regularity, each against its tolerance.

No Qt and no MRML: points and records in, rows out.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.tolerances import Figure, Judgement, Tolerances, figures_of

Array = NDArray[np.float64]
NEAR_MM = 2.0


@dataclass(frozen=True)
class LandmarkError:
    """TRE of one landmark, mm, before and after, and where it lies in the fixed volume (mm, LPS)."""

    name: str
    before: float
    after: float
    point: tuple[float, float, float]

    @property
    def improvement(self) -> float:
        """How much smaller the error has become, mm; negative if it has grown."""
        return self.before - self.after


@dataclass(frozen=True)
class Spread:
    """Errors in five figures: mm, and per cent of them under `NEAR_MM`."""

    mean: float
    median: float
    p95: float
    largest: float
    near_percent: float

    @classmethod
    def of(cls, errors: Sequence[float]) -> Spread:
        """Of at least one error."""
        values = np.asarray(errors, dtype=np.float64)
        mean, median, p95 = values.mean(), np.median(values), np.percentile(values, 95)
        return cls(*(float(n) for n in (mean, median, p95, values.max(), 100 * (values < NEAR_MM).mean())))


def landmark_errors(names: Sequence[str], fixed: Array, moving: Array, transformed: Array) -> list[LandmarkError]:
    """Errors of paired landmarks, worst first.

    Args:
        names: One for each.
        fixed: In the fixed volume, `(N, 3)`, mm, LPS.
        moving: The same places in the moving volume, `(N, 3)`, mm, LPS.
        transformed: Where the transform takes `fixed`, `(N, 3)`, mm, LPS.
    """
    before, after = (np.linalg.norm(np.asarray(moving) - points, axis=1) for points in (fixed, transformed))
    rows = [
        LandmarkError(name, float(b), float(a), (float(p[0]), float(p[1]), float(p[2])))
        for name, b, a, p in zip(names, before, after, fixed, strict=True)
    ]
    return sorted(rows, key=lambda row: -row.after)


def landmark_sentence(rows: Sequence[LandmarkError]) -> str:
    """The five figures, before and after, as rich text."""
    before, after = Spread.of([row.before for row in rows]), Spread.of([row.after for row in rows])
    lines = [
        ("Mean", before.mean, after.mean, "mm"),
        ("Median", before.median, after.median, "mm"),
        ("95th percentile", before.p95, after.p95, "mm"),
        ("Largest", before.largest, after.largest, "mm"),
        (f"Under {NEAR_MM:g} mm", before.near_percent, after.near_percent, "%"),
    ]
    cell = "<td align='right' style='padding-left:16px'>"
    body = "".join(
        f"<tr><td>{name}</td>{cell}{_number(b)} {unit}</td>{cell}<b>{_number(a)} {unit}</b></td></tr>"
        for name, b, a, unit in lines
    )
    count = f"{len(rows)} landmark{'s' if len(rows) != 1 else ''}"
    return f"<table><tr><td>{count}</td>{cell}before</td>{cell}after</td></tr>{body}</table>"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 99.5 else f"{value:.2f}"


def measures(
    record: Mapping[str, Any] | None, landmarks: Sequence[LandmarkError], structures: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Everything known of a registration in the form of `measures` of `run.json`.

    Args:
        record: `run.json` of the run, or None where there is none.
        landmarks: As they are now; they take the place of the record's.
        structures: Rows of the structures' measurement, as `structures` gives them.
    """
    own = dict((record or {}).get("measures") or {})
    own["tre"] = _tre(landmarks) if landmarks else None
    own["dice"] = [{"labels": list(structures)}] if structures else []
    return own


def _tre(rows: Sequence[LandmarkError]) -> dict[str, Any]:
    before, after = Spread.of([row.before for row in rows]), Spread.of([row.after for row in rows])
    return {
        "count": len(rows),
        "before_mean_mm": before.mean,
        "before_median_mm": before.median,
        "after_mean_mm": after.mean,
        "after_median_mm": after.median,
        "landmarks": [{"name": row.name, "before_mm": row.before, "after_mm": row.after} for row in rows],
    }


def judged(measured: Mapping[str, Any], tolerances: Tolerances, voxel_mm: float) -> tuple[Judgement, ...]:
    """Each figure beside its limit; SDlogJ has none and is not among them.

    Args:
        measured: What `measures` gave.
        tolerances: Of the user.
        voxel_mm: Largest voxel side of the fixed volume, mm.
    """
    return tolerances.judge_all(figures_of(measured), voxel_mm)


def figure_text(figure: Figure, unit: str) -> str:
    """A figure for people; a dash where there is none."""
    if figure.value is None:
        return "–"
    return f"{figure.value:.3g}{f' {unit}' if unit else ''}"


def before_text(name: str, measured: Mapping[str, Any]) -> str:
    """The same figure before the registration, where there is one."""
    tre = measured.get("tre")
    labels = [row for each in measured.get("dice") or [] for row in each["labels"]]
    if name == "tre_mean_mm" and tre:
        return f"{tre['before_mean_mm']:.3g} mm"
    if name == "tre_max_mm" and tre:
        return f"{max(row['before_mm'] for row in tre['landmarks']):.3g} mm"
    keys = {"dice": ("before", min, ""), "mda_mm": ("mda_before_mm", max, " mm")}
    if name in keys:
        key, worst, unit = keys[name]
        values = [row[key] for row in labels if row.get(key) is not None]
        return f"{worst(values):.3g}{unit}" if values else "–"
    return "–"


def write_csv(
    path: Path,
    judgements: Sequence[Judgement],
    measured: Mapping[str, Any],
    structures: Sequence[Mapping[str, Any]],
) -> None:
    """Write all figures: a block of judgements, one of landmarks, one of structures, each under its own header.

    Raises:
        InputError: If the file cannot be written.
    """
    from RobustDIRLib.io.files import written_atomically

    if path.suffix.lower() != ".csv":
        raise InputError(f"{path} cannot be written: figures go into .csv; give it such a name.")
    with written_atomically(path) as temporary, temporary.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(["measure", "unit", "value", "limit", "verdict", "note"])
        for each in judgements:
            value = "" if each.figure.value is None else repr(each.figure.value)
            c = each.criterion
            writer.writerow([c.title, c.unit, value, each.limit_text, each.verdict.value, each.figure.note])
        if measured.get("sdlogj") is not None:
            writer.writerow(["SDlogJ", "", repr(measured["sdlogj"]), "none set", "not judged", ""])
        _write_landmarks(writer, measured)
        _write_structures(writer, structures)


def _write_landmarks(writer: Any, measured: Mapping[str, Any]) -> None:
    tre = measured.get("tre")
    if not tre:
        return
    writer.writerows([[], ["landmark", "before_mm", "after_mm", "improvement_mm"]])
    for row in tre["landmarks"]:
        before, after = row["before_mm"], row["after_mm"]
        writer.writerow([row["name"], repr(before), repr(after), repr(before - after)])


STRUCTURE_COLUMNS = (
    "label", "before", "after", "hd95_before_mm", "hd95_mm", "mda_before_mm", "mda_mm",
)  # fmt: skip


def _write_structures(writer: Any, structures: Sequence[Mapping[str, Any]]) -> None:
    if not structures:
        return
    writer.writerows([[], ["structure", "dice_before", "dice_after", *STRUCTURE_COLUMNS[3:], "note"]])
    for row in structures:
        cells = ["" if row.get(key) is None else row[key] for key in STRUCTURE_COLUMNS]
        writer.writerow([*cells, row.get("note", "")])
