"""Pictures of panels and views, and several in one, as a user sees them side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import vtk
from PySide6 import QtCore, QtGui, QtWidgets
from vtk.util.numpy_support import vtk_to_numpy

from SlicerHeadless.desktop import process_events

GAP = 4  # pixels between pictures, as between Slicer's views
BACKDROP = QtGui.QColor(40, 40, 44)


def panel_picture(widget: Any, width: int, height: int | None = None) -> QtGui.QImage:
    """A widget as it looks at a width, and at a height or as high as it wants to be."""
    widget.setFixedWidth(width)
    widget.show()
    _lay_out(widget)
    wanted = widget.layout().totalHeightForWidth(width) if widget.layout() is not None else -1
    widget.setFixedHeight(height or max(wanted, widget.sizeHint().height()))
    _lay_out(widget)
    picture = widget.grab().toImage()
    widget.setMinimumSize(0, 0)
    widget.setMaximumSize(16777215, 16777215)
    widget.hide()
    return picture


def _lay_out(widget: Any) -> None:
    """Places everything anew: lines that wrap otherwise keep the height of the text they held when nobody looked."""
    for layout in widget.findChildren(QtWidgets.QLayout):
        layout.invalidate()
    process_events()


def view_picture(view: Any) -> QtGui.QImage:
    """What an off-screen view (`views.OffscreenView`) shows."""
    view.render()
    return _window_picture(view.window)


def chart_picture(chart: Any, size: tuple[int, int]) -> QtGui.QImage:
    """A plot chart node, drawn by VTK's own charts (Slicer's plot view is part of the desktop application)."""
    drawn = vtk.vtkChartXY()
    drawn.SetTitle(chart.GetTitle() or "")
    drawn.GetTitleProperties().SetFontSize(16)
    drawn.SetShowLegend(bool(chart.GetLegendVisibility()))
    for axis, title in ((vtk.vtkAxis.BOTTOM, chart.GetXAxisTitle()), (vtk.vtkAxis.LEFT, chart.GetYAxisTitle())):
        drawn.GetAxis(axis).SetTitle(title or "")
    _set_range(drawn.GetAxis(vtk.vtkAxis.BOTTOM), chart.GetXAxisRangeAuto(), chart.GetXAxisRange())
    _set_range(drawn.GetAxis(vtk.vtkAxis.LEFT), chart.GetYAxisRangeAuto(), chart.GetYAxisRange())
    for k in range(chart.GetNumberOfPlotSeriesNodes()):
        _add_curve(drawn, chart.GetNthPlotSeriesNode(k))
    view = vtk.vtkContextView()
    view.GetRenderWindow().SetOffScreenRendering(1)
    view.GetRenderWindow().SetSize(*size)
    view.GetRenderWindow().SetMultiSamples(4)
    view.GetRenderer().SetBackground(1, 1, 1)
    view.GetScene().AddItem(drawn)
    view.GetRenderWindow().Render()
    return _window_picture(view.GetRenderWindow())


def _set_range(axis: Any, automatic: bool, limits: tuple[float, float]) -> None:
    if not automatic:
        axis.SetBehavior(vtk.vtkAxis.FIXED)
        axis.SetRange(*limits)


def beside(*pictures: QtGui.QImage) -> QtGui.QImage:
    """Pictures from left to right, tops in line."""
    return _painted([(picture, 0, k) for k, picture in enumerate(pictures)])


def below(*pictures: QtGui.QImage) -> QtGui.QImage:
    """Pictures from top to bottom, left sides in line."""
    return _painted([(picture, k, 0) for k, picture in enumerate(pictures)])


def save(picture: QtGui.QImage, path: Path) -> Path:
    """Writes a picture as PNG.

    Raises:
        OSError: If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not picture.save(str(path), "PNG"):
        raise OSError(f"{path} cannot be written")
    return path


def _add_curve(drawn: Any, series: Any) -> None:
    table = series.GetTableNode().GetTable()
    plot = drawn.AddPlot(vtk.vtkChart.LINE)
    plot.SetInputData(table, series.GetXColumnName(), series.GetYColumnName())
    plot.SetColorF(*series.GetColor())
    plot.SetWidth(series.GetLineWidth())
    plot.SetLabel(series.GetName())


def _window_picture(window: Any) -> QtGui.QImage:
    grabber = vtk.vtkWindowToImageFilter()
    grabber.SetInput(window)
    grabber.ReadFrontBufferOff()
    grabber.Update()
    image = grabber.GetOutput()
    width, height = image.GetDimensions()[:2]
    pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3]
    pixels = np.ascontiguousarray(pixels)
    return QtGui.QImage(pixels.data, width, height, 3 * width, QtGui.QImage.Format.Format_RGB888).copy()


def _painted(placed: list[tuple[QtGui.QImage, int, int]]) -> QtGui.QImage:
    """Pictures by row and column; all in one row or all in one column."""
    corners, x, y = [], 0, 0
    for picture, row, column in placed:
        x, y = (x if column else 0), (y if row else 0)
        corners.append((picture, x, y))
        x, y = x + picture.width() + GAP, y + picture.height() + GAP
    width = max(x + picture.width() for picture, x, _ in corners)
    height = max(y + picture.height() for picture, _, y in corners)
    whole = QtGui.QImage(width, height, QtGui.QImage.Format.Format_RGB32)
    whole.fill(BACKDROP)
    painter = QtGui.QPainter(whole)
    for picture, x, y in corners:
        painter.drawImage(QtCore.QPoint(x, y), picture)
    painter.end()
    return whole
