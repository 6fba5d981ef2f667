"""The figures of the Check section: landmark errors, structures, regularity, each against its tolerance.

No Qt and no MRML: points and records in, rows out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.landmarks import tre_spread
from RobustDIRLib.evaluation.measures import STRUCTURES
from RobustDIRLib.evaluation.pairing import pairing_hints
from RobustDIRLib.evaluation.run_figures import figures_of
from RobustDIRLib.evaluation.tolerances import JudgedFigure, Tolerances
from RobustDIRLib.geometry import Grid
from RobustDIRLib.panelparts.words import _

Array = NDArray[np.float64]
STRUCTURE_FIGURES = tuple(one.in_run for one in STRUCTURES)  # columns of a structure's row, before and after


@dataclass(frozen=True)
class LandmarkError:
    """TRE of one landmark, mm, before and after, and where it lies in the fixed and the moving volume (mm, LPS)."""

    name: str
    before: float
    after: float
    point: tuple[float, float, float]
    moving: tuple[float, float, float]

    def as_shown(self) -> dict[str, Any]:
        """For the report."""
        figures = {"before_mm": self.before, "after_mm": self.after}
        return {"name": self.name, **figures, "fixed": self.point, "moving": self.moving}

    @property
    def improvement(self) -> float:
        """How much smaller the error has become, mm; negative if it has grown."""
        return self.before - self.after


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
        LandmarkError(name, float(b), float(a), _three(p), _three(q))
        for name, b, a, p, q in zip(names, before, after, fixed, moving, strict=True)
    ]
    return sorted(rows, key=lambda row: -row.after)


def pairing_warnings(
    rows: Sequence[LandmarkError], transform: Callable[[Array], Array], grids: tuple[Grid, Grid] | None
) -> list[str]:
    """What the command line, too, says of landmarks that do not look like pairs: sentences, none for most lists.

    Args:
        rows: What `landmark_errors` gave.
        transform: From fixed to moving points, mm, LPS.
        grids: Of both volumes, for lists that are voxels.
    """
    if not rows:
        return []
    fixed, moving = (np.array([getattr(row, side) for row in rows]) for side in ("point", "moving"))
    return pairing_hints(fixed, moving, transform, grids)


def _three(point: Array) -> tuple[float, float, float]:
    x, y, z = (float(each) for each in point)
    return x, y, z


def write_shown(path: Path, shown: Mapping[str, Any]) -> None:
    """Write what the panel shows, for `robustdir report --shown`.

    Raises:
        InputError: If it cannot be written.
    """
    try:
        path.write_text(json.dumps({"format": "robustdir-shown-1", **shown}), encoding="utf-8")
    except OSError as error:
        raise InputError(
            _("{parent} cannot be written to ({reason}); free some space there.").format(
                parent=path.parent, reason=error.strerror
            )
        ) from error


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
    landmarks = [{"name": row.name, "before_mm": row.before, "after_mm": row.after} for row in rows]
    return {"count": len(rows), "landmarks": landmarks}


def judged(measured: Mapping[str, Any], tolerances: Tolerances, voxel_mm: float) -> tuple[JudgedFigure, ...]:
    """Each figure beside its limit.

    Args:
        measured: What `measures` gave.
        tolerances: Of the user.
        voxel_mm: Largest voxel side of the fixed volume, mm.
    """
    return tolerances.judge_all(figures_of(measured), voxel_mm)


def value_text(value: float | None, unit: str) -> str:
    """A figure for people; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:.3g}{f' {unit}' if unit else ''}"


def before_figures(measured: Mapping[str, Any]) -> dict[str, float]:
    """The figures before the registration, by the criteria's names; those that there are.

    Args:
        measured: What `measures` gave.
    """
    tre = measured.get("tre")
    figures = tre_spread([row["before_mm"] for row in tre["landmarks"]]) if tre else {}
    labels = [row for each in measured.get("dice") or [] for row in each["labels"]]
    for one in STRUCTURES:
        values = [row[one.in_run[0]] for row in labels if row.get(one.in_run[0]) is not None]
        if values:
            figures[one.name] = max(values) if one.better == "low" else min(values)
    return figures


def write_csv(
    path: Path,
    judgements: Sequence[JudgedFigure],
    measured: Mapping[str, Any],
    structures: Sequence[Mapping[str, Any]],
) -> None:
    """Write all figures: a block of judgements, one of landmarks, one of structures, each under its own header.

    Raises:
        InputError: If the file cannot be written.
    """
    from RobustDIRLib.io.csv_cells import CellWriter
    from RobustDIRLib.io.files import written_atomically

    if path.suffix.lower() != ".csv":
        raise InputError(_("{path} cannot be written: figures go into .csv; give it such a name.").format(path=path))
    with written_atomically(path) as temporary, temporary.open("w", newline="", encoding="utf-8-sig") as file:
        writer = CellWriter(file, ending="\r\n")
        writer.writerow(["measure", "unit", "value", "limit", "verdict", "note"])
        for each in judgements:
            value = "" if each.figure.value is None else repr(each.figure.value)
            c = each.criterion
            writer.writerow([c.title, c.unit, value, each.limit_text, each.verdict.value, each.figure.note])
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


_DICE_COLUMNS = {"before": "dice_before", "after": "dice_after"}


def _write_structures(writer: Any, structures: Sequence[Mapping[str, Any]]) -> None:
    if not structures:
        return
    keys = [key for pair in STRUCTURE_FIGURES for key in pair]
    writer.writerows([[], ["structure", *(_DICE_COLUMNS.get(key, key) for key in keys), "note"]])
    for row in structures:
        cells = ["" if row.get(key) is None else row[key] for key in ("label", *keys)]
        writer.writerow([*cells, row.get("note", "")])
