"""Which figures a cohort gets, from its numbers; `figures` says how they look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from RobustDIRLib.cohort.collecting import Collection, Row
from RobustDIRLib.cohort.figures import BEFORE, CurvePoint, draw_boxes, draw_cumulative, draw_robustness
from RobustDIRLib.cohort.layout import FIGURES, UNPERTURBED
from RobustDIRLib.cohort.plan import Evaluation
from RobustDIRLib.cohort.results import AS_THEY_ARE, safe_name
from RobustDIRLib.cohort.summary import before, per_subject
from RobustDIRLib.evaluation.measures import COHORT, Measure, Places
from RobustDIRLib.perturbations.catalogue import find_perturbation

_BOX_CAPTION = "Median, quartiles, whiskers to 1.5 interquartile ranges, outliers; in brackets how many cases."

Entry = dict[str, str]


def draw_all(folder: Path, plan: Evaluation, collection: Collection) -> list[Entry]:
    """Draw every figure there are numbers for.

    Args:
        folder: Of the evaluation; its folder of figures is there.
        plan: Gives the order of methods.
        collection: The numbers.
    Returns:
        File, title and caption of each.
    """
    return [
        *_cumulative(folder, plan, collection),
        *_boxes(folder, plan, collection.done()),
        *_robustness(folder, plan, collection),
    ]


def _shown(where: Places) -> list[Measure]:
    return [measure for measure in COHORT if where in measure.shown]


def _cumulative(folder: Path, plan: Evaluation, collection: Collection) -> Iterator[Entry]:
    shown = [*(method.name for method in plan.methods), *_start(plan)]
    errors = {name: np.concatenate(collection.errors[name]) for name in shown if name in collection.errors}
    if not errors:
        return
    file = f"{FIGURES}/cumulative_tre.png"
    draw_cumulative(folder / file, errors)
    counts = ", ".join(f"{name} {len(values)}" for name, values in errors.items())
    yield {
        "file": file,
        "title": "Landmark errors",
        "caption": f"Share of all landmarks of all cases whose TRE is at most so much. Landmarks: {counts}.",
    }


def _start(plan: Evaluation) -> tuple[str, ...]:
    """The start, unless the method that changes nothing shows it anyway."""
    return () if "none" in (method.name for method in plan.methods) else (BEFORE,)


def _boxes(folder: Path, plan: Evaluation, rows: list[Row]) -> Iterator[Entry]:
    for measure in _shown(Places.BOXES):
        values = {m.name: [r.values[measure.name] for r in rows if r.key.method == m.name and measure.name in r.values]
                  for m in plan.methods}  # fmt: skip
        if not any(values.values()):
            continue
        if _start(plan) and (start := before(rows, measure)):
            values[BEFORE] = [row.values[measure.name] for row in start]
        file = f"{FIGURES}/box_{measure.name}.png"
        draw_boxes(folder / file, measure, values)
        yield {
            "file": file,
            "title": measure.title,
            "caption": _BOX_CAPTION,
        }


def _robustness(folder: Path, plan: Evaluation, collection: Collection) -> Iterator[Entry]:
    kinds = dict.fromkeys(c.perturbation for c in plan.conditions if c.perturbation != UNPERTURBED)
    for kind in kinds:
        for measure in _shown(Places.CURVES):
            curves = _curves(plan, collection, kind, measure)
            if not any(len(curve) > 1 for curve in curves.values()):
                continue
            file = f"{FIGURES}/robustness_{safe_name(kind)}_{measure.name}.png"
            draw_robustness(folder / file, measure, f"{kind} ({find_perturbation(kind).unit})", curves)
            yield {
                "file": file,
                "title": f"{measure.title} under {kind}",
                "caption": f"Median over subjects by the strength of the perturbation {kind}; bands are the quartiles.",
            }


def _curves(plan: Evaluation, collection: Collection, kind: str, measure: Measure) -> Mapping[str, list[CurvePoint]]:
    conditions = [c for c in plan.conditions if c == AS_THEY_ARE or c.perturbation == kind]
    curves: dict[str, list[CurvePoint]] = {}
    for method in plan.methods:
        for condition in sorted(conditions, key=lambda c: (c.strength is not None, c.strength or 0)):
            values = list(per_subject(collection.done(condition), method.name, measure.name).values())
            if values:
                q1, median, q3 = (float(q) for q in np.percentile(values, (25, 50, 75)))
                curves.setdefault(method.name, []).append(CurvePoint(condition.strength, median, q1, q3))
    return curves
