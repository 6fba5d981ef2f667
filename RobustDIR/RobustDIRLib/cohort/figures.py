"""Figures of a cohort: cumulative landmark errors, box plots, and accuracy over the strength of a perturbation.

On white; methods differ in line, mark and hatching as well as in colour, so that they are told apart in grey.
matplotlib is imported inside functions: everything else is made without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.measures import Measure
from RobustDIRLib.io.files import written_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = NDArray[np.floating]

BEFORE = "before"
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
