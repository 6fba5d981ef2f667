"""Figures of a cohort: cumulative landmark errors, box plots, and accuracy over the strength of a perturbation.

On white; methods differ in line, mark and hatching as well as in colour, so that they are told apart in grey.
matplotlib is imported inside functions: everything else is made without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.cohort.collecting import Collection, Row, before, per_subject
from RobustDIRLib.cohort.files import BEFORE, FIGURES, UNPERTURBED
from RobustDIRLib.cohort.plan import Evaluation
from RobustDIRLib.cohort.results import AS_THEY_ARE, safe_name
from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.measures import COHORT, Measure, Places
from RobustDIRLib.io.files import written_atomically
from RobustDIRLib.perturbations.catalogue import find_perturbation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = NDArray[np.floating]
Entry = dict[str, str]

_BOX_CAPTION = "Median, quartiles, whiskers to 1.5 interquartile ranges, outliers; in brackets how many cases."
_WIDTH_INCH, _HEIGHT_INCH, _DPI = 7.1, 4.3, 160
# Okabe and Ito's colours, which the colour-blind tell apart, with black for the start.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
# As many lines, marks and colours as have no factor in common: the 8th method looks like the 1st in colour alone.
_LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 3)))
_MARKS = "osD^vPX*<>h"
_HATCHES = ("", "//", "\\\\", "..", "xx", "--", "++")
_POINTS = 400  # of a cumulative curve
_SHOWN_PART = 0.99  # of the worst method's errors that the axis covers
_EDGE_INCH, _ROW_INCH = 1.0, 0.26  # height of a figure of rows: of its axis and ends, and of each row


@dataclass(frozen=True)
class CurvePoint:
    """Median and quartiles of a measure at a strength of a perturbation; None stands for the images as they are."""

    strength: float | None
    median: float
    q1: float
    q3: float


def available() -> bool:
    """Whether matplotlib is there."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        return False
    return bool(matplotlib.__version__)


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


def draw_cumulative(path: Path, errors: Mapping[str, Values], unit: str = "mm") -> None:
    """Share of landmarks with an error of at most so much, for each method (Figs. D.2 and D.4 of the paper).

    Args:
        path: Ends in `.png`.
        errors: TRE of all landmarks of all cases by method; `before` is the start.
        unit: Of the errors.
    """
    figure, axes = _figure()
    end = max(float(np.quantile(values, _SHOWN_PART)) for values in errors.values())
    at = np.linspace(0, max(end, 1e-6), _POINTS)
    for number, (name, values) in enumerate(_start_last(errors)):
        share = 100 * np.searchsorted(np.sort(values), at, side="right") / len(values)
        axes.plot(at, share, label=name, markevery=(number * 9, _POINTS // 8), **_line(name, number))
    axes.set(xlabel=f"target registration error, {unit}", ylabel="landmarks within, %", xlim=(0, at[-1]), ylim=(0, 101))
    _legend(figure)
    _save(figure, path)


def draw_boxes(path: Path, measure: Measure, values: Mapping[str, Sequence[float]]) -> None:
    """Box plot of a measure: median, quartiles, whiskers to 1.5 interquartile ranges, every value beyond them.

    Beside a method's name stands how many cases have a value.

    Args:
        path: Ends in `.png`.
        measure: What is shown.
        values: By method, a value a case; `before` is the start.
    """
    shown = [(name, list(some)) for name, some in _start_first(values) if len(some)]
    # A row a method, the first on top: names stay level and whole, however many there are.
    figure, axes = _figure("x", _EDGE_INCH + _ROW_INCH * max(len(shown), 4))
    boxes = axes.boxplot(
        [some for _, some in shown], orientation="horizontal", patch_artist=True, widths=0.6,
        medianprops={"color": "black", "linewidth": 1.8},
        flierprops={"marker": "o", "markersize": 3, "markerfacecolor": "none"},
    )  # fmt: skip
    for number, ((name, _), box) in enumerate(zip(shown, boxes["boxes"], strict=True)):
        box.set(facecolor=_colour(name, number - (shown[0][0] == BEFORE)), alpha=0.55)
        box.set_hatch(_HATCHES[number % len(_HATCHES)])
    axes.set_yticks(range(1, len(shown) + 1), [f"{name} ({len(some)})" for name, some in shown])
    axes.invert_yaxis()
    axes.set_xlabel(_axis(measure))
    _save(figure, path)


def draw_robustness(path: Path, measure: Measure, kind: str, curves: Mapping[str, Sequence[CurvePoint]]) -> None:
    """A measure over the strength of a perturbation: median over subjects, and the quartiles as a band.

    Args:
        path: Ends in `.png`.
        measure: What is shown.
        kind: The perturbation, and what its strength means.
        curves: By method.
    """
    figure, axes = _figure()
    places = _places(curves)
    for number, (name, curve) in enumerate(curves.items()):
        at = [places[point.strength] for point in curve]
        axes.plot(at, [point.median for point in curve], label=name, **_line(name, number))
        low, high = [point.q1 for point in curve], [point.q3 for point in curve]
        axes.fill_between(at, low, high, color=_colour(name, number), alpha=0.12, linewidth=0)
    names = ["unperturbed" if strength is None else f"{strength:g}" for strength in places]
    axes.set_xticks(list(places.values()), names)
    axes.set(xlabel=f"strength of {kind}", ylabel=_axis(measure))
    _legend(figure)
    _save(figure, path)


def _places(curves: Mapping[str, Sequence[CurvePoint]]) -> dict[float | None, int]:
    """Where each strength stands on the axis: in order and evenly, as strengths often grow by factors."""
    strengths = {point.strength for curve in curves.values() for point in curve}
    start: list[float | None] = [None] if None in strengths else []
    return {strength: place for place, strength in enumerate([*start, *sorted(s for s in strengths if s is not None)])}


def _figure(grid: Literal["x", "y"] = "y", height: float = _HEIGHT_INCH) -> tuple[Figure, Axes]:
    """A figure and its axes, with lines of a grid across one axis."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise InputError("figures need matplotlib; install it with: pip install 'robustdir[report]'") from error
    figure = Figure(figsize=(_WIDTH_INCH, height), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    axes.grid(axis=grid, linewidth=0.4, color="#bbbbbb")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _legend(figure: Figure) -> None:
    """Names of the lines above the axes, where they hide nothing."""
    figure.legend(loc="outside upper center", ncols=4, frameon=False, handlelength=4)


def _save(figure: Figure, path: Path) -> None:
    with written_atomically(path) as temporary:
        figure.savefig(temporary, facecolor="white")


def _axis(measure: Measure) -> str:
    return f"{measure.heading} ({'lower' if measure.better == 'low' else 'higher'} is better)"


def _start_first(values: Mapping[str, Sequence[float]]) -> list[tuple[str, Sequence[float]]]:
    return sorted(values.items(), key=lambda item: item[0] != BEFORE)


def _start_last(values: Mapping[str, Values]) -> list[tuple[str, Values]]:
    return sorted(values.items(), key=lambda item: item[0] == BEFORE)


def _colour(name: str, number: int) -> str:
    return "#000000" if name == BEFORE else _COLOURS[number % len(_COLOURS)]


def _line(name: str, number: int) -> dict[str, Any]:
    """How a method's line is drawn; the start is a thin grey one without marks."""
    if name == BEFORE:
        return {"color": "#000000", "linestyle": (0, (2, 2)), "linewidth": 1.0}
    marks = {"marker": _MARKS[number % len(_MARKS)], "markersize": 5, "markerfacecolor": "white"}
    return {"color": _colour(name, number), "linestyle": _LINES[number % len(_LINES)], "linewidth": 1.7, **marks}
