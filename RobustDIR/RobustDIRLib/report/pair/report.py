"""What the report of a pair says, and as JSON and CSV: everything but pictures, without the packages of the extra.

`gather` finds it out, `page` lays it out as HTML.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from RobustDIRLib import __version__
from RobustDIRLib.evaluation.measures import STRUCTURES
from RobustDIRLib.evaluation.tolerances import JudgedFigure, Tolerances, summary
from RobustDIRLib.io.csv_cells import CellWriter
from RobustDIRLib.report.pair.review import Review
from RobustDIRLib.report.pair.review import as_json as reviews_as_json
from RobustDIRLib.report.pair.run_folder import RunFolder
from RobustDIRLib.report.pair.shown import Shown
from RobustDIRLib.report.pair.structures import Structure

FORMAT = "robustdir-report-1"
COLUMNS = ("table", "item", "quantity", "value", "unit", "limit", "verdict", "note")
Row = tuple[Any, ...]
NOTICE = (
    "Research software, not a medical device. To be within tolerance means that a figure keeps to the limit set here; "
    "it does not mean that the registration may be used. Check the images yourself."
)


@dataclass(frozen=True)
class LandmarkRow:
    """One landmark's errors.

    Attributes:
        name: Of the landmark.
        point: Where it is in the fixed image, mm, LPS; None if the file is lost.
        before: TRE as the images lie, mm.
        linear: TRE after the linear alignment, mm; None if the transform is lost.
        after: TRE after registration, mm.
        judgement: The last against the tolerated largest error.
    """

    name: str
    point: tuple[float, float, float] | None
    before: float
    linear: float | None
    after: float
    judgement: JudgedFigure


@dataclass(frozen=True)
class MapStatistics:
    """What a map's voxels are like.

    Attributes:
        title: Of what.
        unit: `mm` or nothing.
        values: Minimum, percentiles, mean and maximum by their names.
    """

    title: str
    unit: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class PairReport:
    """Everything a report of a pair says.

    Attributes:
        run: The run's folder.
        created: When the report was made.
        tolerances: The limits.
        voxel_mm: Largest voxel side of the fixed image, mm.
        judgements: The figures against the limits.
        landmarks: Worst first; empty if there are none.
        structures: In the order of the label maps.
        maps: Statistics of the Jacobian determinant and of the displacement, as far as their files are there.
        reviews: Of this run, the oldest first.
        warnings: Of the run and of the report.
        card: The model's card, Markdown; None if it is lost.
        shown: What the panel showed; None for a report of the command line.
    """

    run: RunFolder
    created: datetime
    tolerances: Tolerances
    voxel_mm: float
    judgements: tuple[JudgedFigure, ...]
    landmarks: tuple[LandmarkRow, ...]
    structures: tuple[Structure, ...]
    maps: tuple[MapStatistics, ...]
    reviews: tuple[Review, ...]
    warnings: tuple[str, ...]
    card: str | None
    shown: Shown | None = None

    @property
    def title(self) -> str:
        """Both images by their names in the panel, or by their files'."""
        if self.shown is not None:
            return self.shown.title
        names = [one.path.name for role in ("moving", "fixed") if (one := self.run.input(role))]
        return " registered to ".join(names) if len(names) == 2 else self.run.folder.name

    @property
    def summary(self) -> str:
        """What came of the tolerances, in one sentence."""
        return summary(self.judgements)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; the run's own record is inside as it is."""
        return {
            "format": FORMAT,
            "created": self.created.isoformat(timespec="seconds"),
            "robustdir": __version__,
            "notice": NOTICE,
            **(self.shown.as_dict() if self.shown is not None else {}),
            "folder": str(self.run.folder),
            "run_sha256": self.run.sha256,
            "summary": self.summary,
            "tolerances": self.tolerances.to_json(),
            "largest_voxel_side_mm": self.voxel_mm,
            "judgements": [one.as_dict() for one in self.judgements],
            "reviews": reviews_as_json(self.reviews)["reviews"],
            "warnings": list(self.warnings),
            "landmarks": [
                {
                    "name": one.name,
                    "fixed_point_mm": one.point,
                    "before_mm": one.before,
                    "linear_mm": one.linear,
                    "after_mm": one.after,
                    "verdict": one.judgement.verdict.value,
                }
                for one in self.landmarks
            ],
            "structures": [one.as_dict() for one in self.structures],
            "maps": [{"map": one.title, "unit": one.unit, **one.values} for one in self.maps],
            "inputs": [
                {"role": one.role, "path": str(one.path), "sha256": one.sha256, "state": one.state}
                for one in self.run.inputs
            ],
            "outputs": dict(self.run.outputs),
            "output_states": dict(self.run.states),
            "model_card": self.card,
            "run": dict(self.run.record),
        }


def as_json(report: PairReport) -> str:
    """The JSON file's text; what is not a number there is null."""
    return json.dumps(finite(report.as_dict()), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(report: PairReport) -> str:
    """The CSV file's text: a row a value, with `COLUMNS`; what is undefined has no value and a note that says why."""
    text = io.StringIO()
    writer = CellWriter(text)
    writer.writerow(COLUMNS)
    writer.writerows(rows(report))
    return text.getvalue()


def rows(report: PairReport) -> Iterator[Row]:
    """The rows of the CSV file."""
    if report.shown is not None:
        yield ("registration", "", "patient", report.shown.patient, "", "", "", "")
        for role, name, node_id in report.shown.nodes:
            yield ("registration", role, "node", name, "", "", "", node_id)
    for one in report.judgements:
        criterion, limit = one.criterion, "" if one.limit is None else one.limit
        value = one.figure.value
        yield ("tolerances", "", criterion.name, value, criterion.unit, limit, one.verdict.value, one.figure.note)
    for row in report.landmarks:
        limit = "" if row.judgement.limit is None else row.judgement.limit
        yield ("landmarks", row.name, "tre_before_mm", row.before, "mm", "", "", "")
        yield ("landmarks", row.name, "tre_linear_mm", row.linear, "mm", "", "", "")
        yield ("landmarks", row.name, "tre_mm", row.after, "mm", limit, row.judgement.verdict.value, "")
    yield from _structures(report)
    for one_map in report.maps:
        for name, value in one_map.values.items():
            yield ("maps", one_map.title, name, value, one_map.unit, "", "", "")
    for review in report.reviews:
        other = review.other_limits(report.tolerances)
        note = ": ".join(part for part in (review.date, other and f"limits then {other}", review.comment) if part)
        yield ("reviews", review.reviewer, "decision", review.decided, "", "", "", note)


def _structures(report: PairReport) -> Iterator[Row]:
    units = {one.name: one.unit for one in STRUCTURES} | {"fixed_ml": "ml", "warped_ml": "ml", "folding_percent": "%"}
    for row in report.structures:
        named = f" ({row.name})" if row.name else ""
        item = f"map {row.map} label {row.label}{named}" if isinstance(row.label, int) else row.label
        others = {name: getattr(row, name) for name in ("fixed_ml", "warped_ml", "folding_percent")}
        for name, value in {**row.values, **others}.items():
            yield ("structures", item, name, value, units.get(name, ""), "", "", row.reason if value is None else "")


def finite(value: Any) -> Any:
    """Plain values with None for what JSON cannot hold: NaN and infinity."""
    if isinstance(value, dict):
        return {str(key): finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
