"""What the report of a pair says; `gather` finds it out, `html` and `tables` lay it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from RobustDIRLib import __version__
from RobustDIRLib.evaluation.tolerances import JudgedFigure, Tolerances, summary
from RobustDIRLib.report.review import Review, as_json
from RobustDIRLib.report.run import RunFolder
from RobustDIRLib.report.shown import Shown
from RobustDIRLib.report.structures import Structure

FORMAT = "robustdir-report-1"
NOTICE = (
    "Research software, not a medical device. To be within tolerance means that a figure keeps to the limit set here; "
    "it does not mean that the registration may be used. Check the images yourself."
)


COHORT_NOTICE = "The figures are of this data set alone; they do not say how a method does on other images."
TIME_FORMAT = "%Y-%m-%d %H:%M %Z"


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
            "reviews": as_json(self.reviews)["reviews"],
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
