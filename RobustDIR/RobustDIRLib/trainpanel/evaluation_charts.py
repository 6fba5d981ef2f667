"""Plots of an evaluation: how many landmarks have which error, and a box for each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from RobustDIRLib.cohort.layout import BEFORE
from RobustDIRLib.evaluation.measures import Measure
from RobustDIRLib.mrml import Line, Titles, ViewChart
from RobustDIRLib.mrml.plots import BLACK, COLOURS, box, outliers
from RobustDIRLib.mrml.tables import cumulative_steps
from RobustDIRLib.panelparts import views
from RobustDIRLib.panelparts.words import _


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
        lines = {titles[name]: Line(*cumulative_steps(errors[name]), _colour(name, shown)) for name in shown}
        self._cumulative.show(lines, Titles(_("Landmark errors"), _("TRE (mm)"), _("landmarks (%)")))
        self._lay_out()

    def show_boxes(self, values: Mapping[str, Sequence[float]], measure: Measure, titles: Mapping[str, str]) -> None:
        """Show a box of a measure for each method.

        Args:
            values: Of the cases, by method.
            measure: Which one.
            titles: Of the methods, in order.
        """
        shown = [name for name in titles if values.get(name)]
        lines = {}
        for place, name in enumerate(shown, 1):
            lines[titles[name]] = Line(*box(values[name], place), _colour(name, shown))
            beyond = outliers(values[name])
            if beyond.size:
                label = _("{method}, beyond the whiskers").format(method=titles[name])
                lines[label] = Line([place] * beyond.size, beyond, _colour(name, shown), marks=True)
        axis = ", ".join(f"{place} {titles[name]}" for place, name in enumerate(shown, 1))
        self._boxes.show(lines, Titles(measure.title, axis, measure.heading), legend=False)
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


def _colour(name: str, shown: Sequence[str]) -> tuple[float, float, float]:
    """The start is black."""
    if name == BEFORE:
        return BLACK
    return COLOURS[[other for other in shown if other != BEFORE].index(name) % len(COLOURS)]
