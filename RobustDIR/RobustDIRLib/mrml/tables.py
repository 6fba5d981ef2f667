"""Table and plot nodes: landmark errors, and the curve that shows how many of them are how small."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import slicer
import vtk
from numpy.typing import ArrayLike, NDArray
from vtk.util.numpy_support import numpy_to_vtk

from RobustDIRLib.mrml.nodes import ChartNode, SeriesNode, TableNode
from RobustDIRLib.mrml.vtk_objects import DataArray

_MOST_STEPS = 1000  # of a curve: more of them nobody sees, and plots of them are slow
_ROOM = 1.3  # beyond the largest error, for the legend, which would hide the ends of the curves
_COLOURS = ((0.78, 0.33, 0.20), (0.13, 0.47, 0.71), (0.20, 0.60, 0.30), (0.50, 0.35, 0.65))


def table_from_columns(
    columns: Mapping[str, Sequence[object] | NDArray[np.generic]], name: str, *, node: TableNode | None = None
) -> TableNode:
    """Put columns of one length into a table node: numbers as numbers, anything else as text.

    Args:
        columns: By their headings, in order.
        name: Of a new node; made unique in the scene.
        node: Table to fill instead of a new one; its columns are replaced.
    Raises:
        ValueError: If the columns differ in length.
    """
    if len({len(column) for column in columns.values()}) > 1:
        raise ValueError("the columns of a table have one length")
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", slicer.mrmlScene.GenerateUniqueName(name))
    with slicer.util.NodeModify(node):
        node.RemoveAllColumns()
        for heading, values in columns.items():
            column = _column(values)
            column.SetName(heading)
            node.AddColumn(column)
    return node


def cumulative_chart(errors: Mapping[str, ArrayLike], name: str, *, chart: ChartNode | None = None) -> ChartNode:
    """A chart of how many per cent of the errors are at most so large, a curve for each set of errors.

    Args:
        errors: Errors, mm, by what the legend calls them ("before", "after").
        name: Of new nodes, and title.
        chart: Chart to fill instead of a new one; its curves, and the table behind them, are replaced.
    Returns:
        The chart node; `GetNthPlotSeriesNode` gives the curves.
    """
    if chart is None:
        chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", slicer.mrmlScene.GenerateUniqueName(name))
    _remove_curves(chart)
    for number, (legend, values) in enumerate(errors.items()):
        chart.AddAndObservePlotSeriesNodeID(_curve(legend, values, name, _COLOURS[number % len(_COLOURS)]).GetID())
    with slicer.util.NodeModify(chart):
        chart.SetTitle(name)
        chart.SetXAxisTitle("TRE (mm)")
        chart.SetYAxisTitle("Landmarks (%)")
        chart.SetXAxisRangeAuto(False)
        largest = max((float(np.max(values)) for values in errors.values() if np.size(values)), default=0.0)
        chart.SetXAxisRange(0.0, _ROOM * largest or 1.0)
        chart.SetYAxisRangeAuto(False)
        chart.SetYAxisRange(0.0, 100.0)
        chart.SetLegendVisibility(True)
        chart.Modified()  # a chart view may stay empty without it
    return chart


def cumulative_steps(values: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How many per cent of some errors are at most so large, as a line of steps: errors, and per cent.

    Of many errors it has so many of the steps that no share is told too small by more than a tenth of a per cent.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    ranks = np.linspace(min(1, len(ordered)), len(ordered), min(len(ordered), _MOST_STEPS)).round().astype(int)
    ordered, share = ordered[ranks - 1], 100.0 * ranks / max(len(ordered), 1)
    return np.r_[0.0, np.repeat(ordered, 2)], np.r_[0.0, 0.0, np.repeat(share, 2)][:-1]


def _curve(legend: str, values: ArrayLike, name: str, colour: tuple[float, float, float]) -> SeriesNode:
    steps = dict(zip(("TRE (mm)", "Landmarks (%)"), cumulative_steps(values), strict=True))
    table = table_from_columns(steps, f"{name} {legend}")
    series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", legend)
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName("TRE (mm)")
    series.SetYColumnName("Landmarks (%)")
    series.SetPlotType(series.PlotTypeScatter)
    series.SetMarkerStyle(series.MarkerStyleNone)
    series.SetLineWidth(2)
    series.SetColor(*colour)
    made: SeriesNode = series
    return made


def _remove_curves(chart: ChartNode) -> None:
    """Curves and tables of an earlier drawing, which nothing else refers to."""
    curves = [chart.GetNthPlotSeriesNode(k) for k in range(chart.GetNumberOfPlotSeriesNodes())]
    chart.RemoveAllPlotSeriesNodeIDs()
    for series in (curve for curve in curves if curve is not None):
        table = series.GetTableNode()
        slicer.mrmlScene.RemoveNode(series)
        if table is not None:
            slicer.mrmlScene.RemoveNode(table)


def _column(values: Sequence[object] | NDArray[np.generic]) -> DataArray:
    array = np.asarray(values)
    made: DataArray
    if array.dtype.kind in "iufb":
        made = numpy_to_vtk(np.ascontiguousarray(array, dtype=np.float64), deep=True)
        return made
    made = column = vtk.vtkStringArray()
    for value in values:
        column.InsertNextValue(str(value))
    return made
