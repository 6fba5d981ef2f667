"""The report of a pair as one HTML file: which pictures, and every table's words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from RobustDIRLib.evaluation.landmarks import OF_LANDMARKS
from RobustDIRLib.evaluation.measurement import Reason
from RobustDIRLib.evaluation.measures import STRUCTURES, before_name
from RobustDIRLib.evaluation.run_figures import Figure
from RobustDIRLib.evaluation.tolerances import JudgedFigure, Verdict
from RobustDIRLib.report.html import TIME_FORMAT, number, render
from RobustDIRLib.report.pair.figures import agreement_picture, images_picture, transform_picture
from RobustDIRLib.report.pair.gather import PictureMaterial
from RobustDIRLib.report.pair.landmark_figures import curve_picture, worst_picture
from RobustDIRLib.report.pair.picture import Picture
from RobustDIRLib.report.pair.report import NOTICE, PairReport
from RobustDIRLib.report.pair.review import Review, as_json
from RobustDIRLib.report.pair.structures import Structure

MOST_LANDMARKS = 50  # in the table that is printed
_SEVERITY = (Verdict.NOT_JUDGED, Verdict.WITHIN, Verdict.UNDEFINED, Verdict.OUTSIDE)


def pair_html(report: PairReport, material: PictureMaterial) -> str:
    """The HTML file's text.

    Args:
        report: What it says.
        material: What its pictures are made of.
    Raises:
        InputError: If a package of the extra is missing.
    """
    record, digits = report.run.record, max(2, 2 - math.floor(math.log10(report.voxel_mm)))
    content = {
        "report": report,
        "created": report.created.strftime(TIME_FORMAT),
        "registered": report.run.written.strftime(TIME_FORMAT),
        "notice": NOTICE,
        "model": record.get("model") or {"name": None, "sha256": None},
        "digits": digits,
        "structure_columns": _structure_columns(digits),
        "review_state": _review_state(report),
        "pictures": _pictures(report, material),
        "regularity": list(_regularity(report)),
        "landmark_summary": list(_landmark_summary(report)),
        "most_landmarks": MOST_LANDMARKS,
        "structures": [(row, *_judged(report, row)) for row in report.structures],
        "several_maps": len({row.map for row in report.structures}) > 1,
        "settings": list(_settings(record)),
        "stages": (record.get("alignment") or {}).get("stages") or [],
        "versions": list((record.get("versions") or {}).items()),
        "command": record.get("command"),
        "reviewed_limits": [_reviewed_limits(report, one) for one in report.reviews],
        "review_data": {
            **as_json(report.reviews),
            "run_sha256": report.run.sha256,
            "limits": report.tolerances.to_json(),
        },
    }
    return render("pair.html", content)


def _review_state(report: PairReport) -> str:
    """The latest word, for the head of the page."""
    if not report.reviews:
        return "not reviewed yet"
    last = report.reviews[-1]
    return f"{last.decided}, {last.date}"


def _reviewed_limits(report: PairReport, review: Review) -> str:
    """Which limits a reviewer had before the eyes."""
    if review.limits is None:
        return "not recorded"
    other = review.other_limits(report.tolerances)
    return f"as above, but {other}" if other else "as above"


def _pictures(report: PairReport, material: PictureMaterial) -> dict[str, list[Picture]]:
    scene = material.scene
    images: list[Picture | None] = [images_picture(scene), agreement_picture(scene)] if scene else []
    transform: list[Picture | None] = [transform_picture(scene)] if scene else []
    landmarks: list[Picture | None] = []
    if report.landmarks:
        rows = [{"before_mm": one.before, "linear_mm": one.linear, "after_mm": one.after} for one in report.landmarks]
        landmarks.append(curve_picture(rows, report.landmarks[0].judgement.limit))
    if material.worst and material.fixed and material.moving:
        landmarks.append(worst_picture(material.worst, material.fixed, material.moving))
    groups = {"images": images, "transform": transform, "landmarks": landmarks}
    return {name: [one for one in group if one is not None] for name, group in groups.items()}


def _regularity(report: PairReport) -> Iterator[tuple[str, str]]:
    measures = report.run.measures
    residual = measures.get("inverse_residual_mm") or {}
    yield "Non-positive Jacobian, %", number(measures.get("folding_percent"), 4)
    yield "SDlogJ", number(measures.get("sdlogj"), 3)
    for key, title in (("mean", "mean"), ("p95", "95th percentile"), ("max", "largest")):
        yield f"Inverse residual, {title}", number(residual.get(key), 3)


def _landmark_summary(report: PairReport) -> Iterator[tuple[str, list[float]]]:
    for title, key in (("Before", "before"), ("After linear alignment", "linear"), ("After registration", "after")):
        errors = np.array([value for row in report.landmarks if (value := getattr(row, key)) is not None])
        if len(errors):
            yield title, [OF_LANDMARKS[f"tre_{name}_mm"](errors) for name in ("mean", "median", "p95", "max")]


def _judged(report: PairReport, row: Structure) -> tuple[dict[str, JudgedFigure], JudgedFigure | None]:
    """The measures of one structure against their limits, and the worst; none for what one map lacks."""
    if row.only_in:
        return {}, None
    judged = {
        one.name: report.tolerances.judge(one.name, _figure(row.values[one.name]), report.voxel_mm)
        for one in STRUCTURES
        if one.limit is not None
    }
    return judged, max(judged.values(), key=lambda one: _SEVERITY.index(one.verdict))


def _figure(value: float | None) -> Figure:
    if value is None:
        return Figure(reason=Reason.NOTHING_DEFINED, note="undefined")
    return Figure(value)


def _structure_columns(digits: int) -> list[tuple[str, str, int]]:
    """Key of `Structure.values`, heading and digits of each; lengths as fine as the voxels ask for."""
    named = [(before_name("dice"), "Dice before"), ("dice", "Dice after")]
    named += [(one.name, one.short_heading) for one in STRUCTURES if one.name != "dice"]
    return [(key, heading, digits if key.endswith("_mm") else 3) for key, heading in named]


def _settings(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    alignment, grid = record.get("alignment") or {}, record.get("working_grid") or {}
    for key in ("preset", "device", "threads"):
        if record.get(key) is not None:
            yield key.capitalize(), str(record[key])
    if alignment:
        yield "Linear alignment", f"{alignment.get('kind')}; {100 * alignment.get('overlap', 0):.0f} % overlap"
    if grid:
        size = " × ".join(str(n) for n in grid["size"])
        yield "Network's grid", f"{size} voxels of {' × '.join(f'{s:.3g}' for s in grid['spacing'])} mm"
    for key, seed in (record.get("seeds") or {}).items():
        yield f"Seed of the {key}", str(seed)
    if timings := record.get("timings_s"):
        stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in timings.items())
        yield "Time, s", f"{sum(timings.values()):.1f} ({stages})"
