"""Charts for viewing alone: hidden from lists of nodes, never saved with the scene, gone once they are not shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
from numpy.typing import ArrayLike, NDArray

from RobustDIRLib.mrml.nodes import ChartNode, SeriesNode
from RobustDIRLib.mrml.tables import table_from_columns

_X, _Y = "x", "y"
# Okabe and Ito's colours, which the colour-blind tell apart, dark enough for a white ground.
COLOURS = ((0.00, 0.45, 0.70), (0.84, 0.37, 0.00), (0.00, 0.62, 0.45), (0.80, 0.47, 0.65), (0.90, 0.62, 0.00),
           (0.34, 0.71, 0.91), (0.50, 0.50, 0.50))  # fmt: skip
BLACK = (0.0, 0.0, 0.0)
_HALF_BOX, _HALF_CAP, _HALF_MARK = 0.3, 0.15, 0.06
_BOXES_SHARE = 0.55  # of the width; the rest is for the legend


@dataclass(frozen=True)
class Line:
    """A curve, or marks.

    Attributes:
        x, y: Of its points, equally many.
        colour: Red, green, blue, 0 to 1 each.
        marks: Points alone, without a line.
        dashed: For what is compared with.
    """

    x: ArrayLike
    y: ArrayLike
    colour: tuple[float, float, float] = COLOURS[0]
    marks: bool = False
    dashed: bool = False


@dataclass(frozen=True)
class Titles:
    """Of a chart and its axes.

    Attributes:
        chart: Above it.
        x, y: Beside the axes.
        x_range, y_range: From where to where the axes go, where the points do not say.
    """

    chart: str
    x: str
    y: str
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None


class ViewChart:
    """One chart, filled again and again; its nodes are made when they are first needed, and again after a scene closed.

    Args:
        name: Of its nodes, which nobody sees.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._chart: ChartNode | None = None
        self._series: dict[str, SeriesNode] = {}

    @property
    def node(self) -> ChartNode | None:
        """The chart node; None while nothing is shown."""
        return self._chart if self._chart is not None and self._chart.GetScene() is not None else None

    def show(self, lines: Mapping[str, Line], titles: Titles) -> ChartNode:
        """Show lines and no others.

        Args:
            lines: By what the legend calls them.
            titles: Of chart and axes.
        Returns:
            The chart node.
        """
        chart = self.node
        if chart is None:
            chart, self._series = self._new("vtkMRMLPlotChartNode", self._name), {}
            self._chart = chart
        for name in [name for name in self._series if name not in lines]:
            self._drop(name)
        with slicer.util.NodeModify(chart):
            for name, line in lines.items():
                self._put(chart, name, line)
            chart.SetTitle(titles.chart)
            chart.SetXAxisTitle(titles.x)
            chart.SetYAxisTitle(titles.y)
            chart.SetLegendVisibility(len(lines) > 1)
            chart.SetXAxisRangeAuto(titles.x_range is None)
            if titles.x_range is not None:
                chart.SetXAxisRange(*titles.x_range)
            nothing = not any(np.any(line.y) for line in lines.values())  # zeros would have an axis of millionths
            chart.SetYAxisRangeAuto(titles.y_range is None and not nothing)
            chart.SetYAxisRange(*(titles.y_range or (0.0, 1.0)))
            chart.Modified()  # a chart view may stay empty without it
        return chart

    def remove(self) -> None:
        """Take all of its nodes out of the scene."""
        for legend in list(self._series):
            self._drop(legend)
        if self.node is not None:
            slicer.mrmlScene.RemoveNode(self._chart)
        self._chart = None

    def _put(self, chart: ChartNode, legend: str, line: Line) -> None:
        series = self._series.get(legend)
        if series is None or series.GetScene() is None or series.GetTableNode() is None:
            series = self._series[legend] = self._new_series(chart, legend)
        columns = {_X: np.asarray(line.x, dtype=np.float64), _Y: np.asarray(line.y, dtype=np.float64)}
        table_from_columns(columns, "", node=series.GetTableNode())
        with slicer.util.NodeModify(series):
            series.SetColor(*line.colour)
            series.SetMarkerStyle(series.MarkerStyleCircle if line.marks else series.MarkerStyleNone)
            series.SetLineStyle(
                series.LineStyleNone if line.marks else series.LineStyleDash if line.dashed else series.LineStyleSolid
            )

    def _new_series(self, chart: ChartNode, legend: str) -> SeriesNode:
        table = self._new("vtkMRMLTableNode", f"{self._name} {legend}")
        series = self._new("vtkMRMLPlotSeriesNode", legend)
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetXColumnName(_X)
        series.SetYColumnName(_Y)
        series.SetPlotType(series.PlotTypeScatter)
        series.SetLineWidth(2)
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
        made: SeriesNode = series
        return made

    def _new(self, node_class: str, name: str) -> Any:
        node = slicer.mrmlScene.CreateNodeByClass(node_class)
        node.UnRegister(None)
        node.SetName(name)
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        return slicer.mrmlScene.AddNode(node)

    def _drop(self, legend: str) -> None:
        series = self._series.pop(legend)
        if series.GetScene() is None:
            return
        table = series.GetTableNode()
        if self.node is not None:
            self.node.RemovePlotSeriesNodeID(series.GetID())
        slicer.mrmlScene.RemoveNode(series)
        if table is not None:
            slicer.mrmlScene.RemoveNode(table)


def box(values: Sequence[float] | NDArray[np.floating], at: float) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """A box plot in one line: quartiles, median, whiskers to the last value within 1.5 IQR, and dashes beyond them.

    Args:
        values: At least one.
        at: Where it stands on the x axis.
    Returns:
        x and y of the line, which NaN interrupts.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    q1, median, q3 = np.quantile(ordered, (0.25, 0.5, 0.75))
    inside = ordered[(ordered >= q1 - 1.5 * (q3 - q1)) & (ordered <= q3 + 1.5 * (q3 - q1))]
    low, high = min(inside.min(), q1), max(inside.max(), q3)
    w, c = _HALF_BOX, _HALF_CAP
    stroke = [
        *((-c, low), (c, low), (0, low), (0, q1), (-w, q1), (-w, median), (w, median), (-w, median), (-w, q3)),
        *((0, q3), (0, high), (-c, high), (c, high), (0, high), (0, q3), (w, q3), (w, q1), (0, q1)),
    ]
    x, y = np.array(stroke).T
    beyond = np.unique(ordered[(ordered < low) | (ordered > high)])
    dash, gap = np.array([np.nan, -_HALF_MARK, _HALF_MARK]), np.array([np.nan, 1.0, 1.0])
    return at + np.r_[x, np.tile(dash, beyond.size)], np.r_[y, (beyond[:, None] * gap).reshape(-1)]


def range_of_boxes(count: int) -> tuple[float, float]:
    """From where to where the x axis of boxes at 1, 2, ..., `count` goes, with room for a legend on the right."""
    return 0.0, (count + 1) / _BOXES_SHARE
