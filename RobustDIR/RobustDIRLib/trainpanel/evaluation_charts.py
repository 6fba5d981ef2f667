"""Plots of an evaluation: how many landmarks have which error, and a box for each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from RobustDIRLib.cohort.files import BEFORE
from RobustDIRLib.evaluation.measures import Measure
from RobustDIRLib.mrml import Line, Titles, ViewChart
from RobustDIRLib.mrml.plots import BLACK, COLOURS, box, range_of_boxes
from RobustDIRLib.mrml.tables import cumulative_steps
from RobustDIRLib.panelparts import views
from RobustDIRLib.panelparts.words import _

_LONGEST = 26  # letters of a method's name that a legend has room for
_ROW = 5.0  # of a legend, per cent of the landmarks' axis


class EvaluationCharts:
    """Two charts, each shown or not; they exist while they are shown, and are never saved."""

    def __init__(self) -> None:
        self._cumulative, self._boxes = ViewChart("RobustDIR cumulative errors"), ViewChart("RobustDIR boxes")
        self._layout = views.ChartLayout()

    def show_cumulative(self, errors: Mapping[str, Sequence[float]], titles: Mapping[str, str]) -> None:
        """Show how many per cent of the landmarks have at most which error.

        Args:
            errors: mm, by method.
            titles: Of the methods, in order.
        """
        shown = [name for name in titles if errors.get(name)]
        lines = {
            label: Line(*cumulative_steps(errors[name]), _colour(name, shown))
            for label, name in _numbered(shown, titles).items()
        }
        axes = _("Landmark errors"), _("TRE (mm)"), _("Landmarks (%)")
        above = 100.0 + _ROW * (1 + len(lines))  # where the legend covers no curve
        self._cumulative.show(lines, Titles(*axes, y_range=(0.0, above)))
        self._lay_out()

    def show_boxes(self, values: Mapping[str, Sequence[float]], measure: Measure, titles: Mapping[str, str]) -> None:
        """Show a box of a measure for each method.

        Args:
            values: Of the cases, by method.
            measure: Which one.
            titles: Of the methods, in order.
        """
        shown = [name for name in titles if values.get(name)]
        lines = {
            label: Line(*box(values[name], place), _colour(name, shown))
            for place, (label, name) in enumerate(_numbered(shown, titles).items(), 1)
        }
        axis = _("Number of the method")
        self._boxes.show(lines, Titles(measure.title, axis, measure.heading, range_of_boxes(len(lines))))
        self._lay_out()

    def hide_cumulative(self) -> None:
        """Take the curves away."""
        self._cumulative.remove()
        self._lay_out()

    def hide_boxes(self) -> None:
        """Take the boxes away."""
        self._boxes.remove()
        self._lay_out()

    def _lay_out(self) -> None:
        """Show those that there are; without any go back to the layout of before, unless the user has left theirs."""
        charts = [chart.node for chart in (self._cumulative, self._boxes) if chart.node is not None]
        if charts:
            self._layout.show(charts)
        else:
            self._layout.leave()


def _numbered(shown: Sequence[str], titles: Mapping[str, str]) -> dict[str, str]:
    """Methods by what a legend calls them: a plot of Slicer has numbers at its axis and no words, the legend has both.

    Too long a title lacks its middle there; the number tells it from one that differs in that alone.
    """
    return {f"{place} {_short(titles[name])}": name for place, name in enumerate(shown, 1)}


def _short(title: str) -> str:
    return title if len(title) <= _LONGEST else f"{title[: _LONGEST // 2 - 1]}…{title[-_LONGEST // 2 :]}"


def _colour(name: str, shown: Sequence[str]) -> tuple[float, float, float]:
    """The start is black."""
    if name == BEFORE:
        return BLACK
    return COLOURS[[other for other in shown if other != BEFORE].index(name) % len(COLOURS)]
