"""The layout's slices, 3D and plots, and what is really drawn into them."""

import numpy as np
import pytest

from RobustDIRLib.values import DisplacementField


@pytest.fixture
def a_bright_corner(scene):
    """A volume of 40 mm a side, dark but for its left posterior inferior eighth."""
    import slicer

    array = np.zeros((20, 20, 20), np.float32)
    array[:10, :10, :10] = 100
    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    matrix[:3, 3] = -19
    node = slicer.util.addVolumeFromArray(array, ijkToRAS=matrix, name="corner")
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevel(100, 50)
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    return node


def pixels(view):
    """What a view shows: rows from the top, columns from the left, RGB."""
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    view.render()
    grabber = vtk.vtkWindowToImageFilter()
    grabber.SetInput(view.window)
    grabber.ReadFrontBufferOff()
    grabber.Update()
    image = grabber.GetOutput()
    width, height = image.GetDimensions()[:2]
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3].astype(float)


def slice_view(name):
    import slicer

    return slicer.app.layoutManager().sliceWidget(name).sliceView().offscreen


def test_the_layout_starts_with_three_slices_and_one_3d_view(scene):
    import slicer

    layout = slicer.app.layoutManager()
    layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    assert sorted(layout.sliceViewNames()) == ["Green", "Red", "Yellow"]
    assert (layout.threeDViewCount, layout.plotViewCount) == (1, 0)
    assert layout.sliceWidget("Blue") is None


def test_showing_a_chart_changes_the_layout(scene):
    import slicer

    layout = slicer.app.layoutManager()
    layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    chart = slicer.util.plot(np.array([[0.0, 1.0], [1.0, 3.0]]), 0)
    assert layout.plotViewCount == 1
    assert layout.plotWidget(0).mrmlPlotViewNode().GetPlotChartNodeID() == chart.GetID()
    layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)


def test_slices_and_layers_survive_closing_the_scene(scene, a_bright_corner):
    import slicer

    scene.Clear(0)
    composite = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    assert composite.GetBackgroundVolumeID() is None
    again = slicer.util.addVolumeFromArray(np.ones((4, 4, 4)), name="again")
    slicer.util.setSliceViewerLayers(background=again)
    assert composite.GetBackgroundVolumeID() == again.GetID()


def test_an_axial_slice_is_drawn_as_radiologists_look_at_it(rendering, a_bright_corner):
    """The patient's left is to the right of the picture, posterior at its bottom."""
    import slicer

    slicer.app.layoutManager().sliceWidget("Red").sliceLogic().SetSliceOffset(-10.0)
    picture = pixels(slice_view("Red")).mean(axis=2)
    height, width = picture.shape
    quarters = {
        (row, column): picture[
            int(height * (0.3 if row == "top" else 0.6)) : int(height * (0.4 if row == "top" else 0.7)),
            int(width * (0.3 if column == "left" else 0.6)) : int(width * (0.4 if column == "left" else 0.7)),
        ].mean()
        for row in ("top", "bottom")
        for column in ("left", "right")
    }
    assert max(quarters, key=quarters.get) == ("bottom", "right")
    assert sum(value > 100 for value in quarters.values()) == 1


def test_a_slice_elsewhere_shows_something_else(rendering, a_bright_corner):
    import slicer

    logic = slicer.app.layoutManager().sliceWidget("Red").sliceLogic()
    logic.SetSliceOffset(-10.0)
    below = pixels(slice_view("Red"))
    logic.SetSliceOffset(10.0)
    assert np.abs(below - pixels(slice_view("Red"))).max() > 100


@pytest.mark.parametrize("mode", ["GRID", "GLYPH", "CONTOUR"])
def test_a_transform_is_drawn_and_taken_away(rendering, scene, a_bright_corner, mode):
    from RobustDIRLib import mrml

    grid = mrml.grid_of_volume(a_bright_corner)
    array = np.zeros((*grid.shape, 3), np.float32)
    array[..., 0] = 6 * np.sin(np.arange(20) / 3)[:, None]
    node = mrml.transform_from_parts([DisplacementField(array, grid)], "transform")
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAndObserveRegionNode(a_bright_corner)
    display.SetVisualizationMode(getattr(display, f"VIS_MODE_{mode}"))
    display.SetContourLevelsMmFromString("1 3 5")
    display.SetGlyphSpacingMm(5)
    display.SetGridSpacingMm(8)
    before = pixels(slice_view("Red"))
    display.SetVisibility(True)
    display.SetVisibility2D(True)
    drawn = pixels(slice_view("Red"))
    assert (np.abs(drawn - before).max(axis=2) > 30).mean() > 1e-3
    display.SetVisibility(False)
    np.testing.assert_array_equal(pixels(slice_view("Red")), before)


def test_a_model_is_drawn_in_3d(rendering, scene):
    import slicer
    import vtk

    view = slicer.app.layoutManager().threeDWidget(0).threeDView().offscreen
    before = pixels(view)
    ball = vtk.vtkSphereSource()
    ball.SetRadius(30)
    model = slicer.modules.models.logic().AddModel(ball.GetOutputPort())
    model.GetDisplayNode().SetColor(1, 0, 0)
    view.reset_camera()
    assert np.abs(pixels(view) - before).max() > 50


def test_pictures_of_a_panel_and_a_view_stand_side_by_side(rendering, desktop, a_bright_corner, tmp_path):
    import qt

    from SlicerHeadless import pictures

    panel = qt.QWidget()
    layout = qt.QVBoxLayout(panel)
    layout.addWidget(qt.QLabel("a panel"))
    left = pictures.panel_picture(panel, 200, 150)
    right = pictures.view_picture(slice_view("Red"))
    both = pictures.beside(left, right)
    assert (left.width(), left.height()) == (200, 150)
    assert both.width() == left.width() + pictures.GAP + right.width()
    assert both.height() == right.height()
    assert pictures.below(left, right).height() == left.height() + pictures.GAP + right.height()
    assert pictures.save(both, tmp_path / "new" / "both.png").read_bytes().startswith(b"\x89PNG")


def test_charts_are_drawn(rendering, desktop):
    from RobustDIRLib import mrml
    from SlicerHeadless import pictures

    chart = mrml.cumulative_chart({"before": [5.0, 2.0, 9.0], "after": [1.0, 0.5, 2.0]}, "TRE")
    picture = pictures.chart_picture(chart, (300, 200))
    colours = {picture.pixelColor(x, y).name() for x in range(300) for y in range(200)}
    assert (picture.width(), picture.height()) == (300, 200)
    assert len(colours) > 10
