"""Point lists, segmentations, tables and charts: to the library's landmarks and labels and back."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import forked_commands
from mrml_cases import TOLERANCE_MM, bend, matrix_of, new_node, scene_state, segmentation_from_labels, to_parent
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import swap_lps_ras
from RobustDIRLib.io.images import resample
from RobustDIRLib.io.landmarks import Landmarks, read_landmarks
from RobustDIRLib.values import Image

pytestmark = pytest.mark.usefixtures("scene")


@pytest.fixture
def mrml(scene):
    from RobustDIRLib import mrml

    return mrml


@pytest.fixture
def a_point_list(scene, some_landmarks):
    """`some_landmarks` as Slicer itself would make them."""
    import vtk

    node = new_node(scene, "MarkupsFiducial", "landmarks")
    for point, name in zip(swap_lps_ras(some_landmarks.points), some_landmarks.names, strict=True):
        node.AddControlPoint(vtk.vtkVector3d(*point), name)
    return node


@pytest.fixture
def a_segmentation(scene, a_label_map):
    """`a_label_map` as Slicer itself would make it a segmentation: a segment a label, the largest label last."""
    import slicer

    volume = slicer.util.addVolumeFromArray(
        a_label_map.array.copy(), matrix_of(a_label_map.grid), "labels", "vtkMRMLLabelMapVolumeNode"
    )
    node = new_node(scene, "Segmentation", "organs")
    assert slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(volume, node)
    scene.RemoveNode(volume)
    return node


class TestPoints:
    def test_points_are_where_slicer_has_them(self, mrml, a_point_list, some_landmarks):
        points = mrml.points_from_markups(a_point_list)
        np.testing.assert_allclose(points.points, some_landmarks.points, atol=TOLERANCE_MM)
        assert points.names == some_landmarks.names

    def test_parents_of_points_count(self, mrml, scene, a_point_list, some_landmarks):
        parent = bend(scene)
        a_point_list.SetAndObserveTransformNodeID(parent.GetID())
        expected = to_parent(parent, some_landmarks.points)
        np.testing.assert_allclose(mrml.points_from_markups(a_point_list).points, expected, atol=TOLERANCE_MM)

    def test_points_return_as_they_went(self, mrml, some_landmarks):
        node = mrml.markups_from_points(Landmarks(some_landmarks.points, some_landmarks.names), "made")
        again = mrml.points_from_markups(node)
        np.testing.assert_allclose(again.points, some_landmarks.points, atol=TOLERANCE_MM)
        assert again.names == some_landmarks.names

    def test_a_filled_list_keeps_its_parent_and_the_points_their_place(self, mrml, scene, a_point_list, some_landmarks):
        parent = bend(scene)
        a_point_list.SetAndObserveTransformNodeID(parent.GetID())
        wanted = Landmarks(some_landmarks.points[:3], some_landmarks.names[:3])
        mrml.markups_from_points(wanted, "ignored", node=a_point_list)
        assert a_point_list.GetTransformNodeID() == parent.GetID()
        np.testing.assert_allclose(mrml.points_from_markups(a_point_list).points, wanted.points, atol=0.02)

    def test_the_library_reads_what_slicer_saves(self, mrml, some_landmarks, tmp_path):
        import slicer

        node = mrml.markups_from_points(Landmarks(some_landmarks.points, some_landmarks.names), "made")
        assert slicer.util.saveNode(node, str(tmp_path / "points.mrk.json"))
        again = read_landmarks(tmp_path / "points.mrk.json")
        np.testing.assert_allclose(again.points, some_landmarks.points, atol=TOLERANCE_MM)
        assert again.names == some_landmarks.names

    def test_missing_empty_and_unplaced_lists_are_refused(self, mrml, scene, a_point_list):
        with pytest.raises(InputError, match="select one"):
            mrml.points_from_markups(None)
        with pytest.raises(InputError, match="empty holds no points"):
            mrml.points_from_markups(new_node(scene, "MarkupsFiducial", "empty"))
        a_point_list.UnsetNthControlPointPosition(2)
        with pytest.raises(InputError, match='the point the "hilum" is not placed'):
            mrml.points_from_markups(a_point_list)

    def test_slices_go_to_a_point(self, mrml, some_landmarks):
        import slicer

        mrml.show_point(some_landmarks.points[4])
        right, anterior, superior = swap_lps_ras(some_landmarks.points[4])
        for name, axis, expected in (("Red", 2, superior), ("Green", 1, anterior), ("Yellow", 0, right)):
            slice_node = slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode()
            assert slice_node.GetSliceToRAS().GetElement(axis, 3) == pytest.approx(expected, abs=TOLERANCE_MM)


class TestSegmentations:
    def test_labels_on_their_own_grid(self, mrml, a_segmentation, a_label_map):
        labels = mrml.labels_from_segmentation(a_segmentation, a_label_map.grid)
        expected = np.searchsorted([0, 1, 2, 3, 207], a_label_map.array)
        np.testing.assert_array_equal(labels.array, expected)

    def test_labels_on_another_grid_are_the_librarys(self, mrml, a_segmentation, a_label_map, other_grid):
        labels = mrml.labels_from_segmentation(a_segmentation, other_grid)
        expected = np.searchsorted([0, 1, 2, 3, 207], resample(a_label_map, other_grid, nearest=True).array)
        assert (labels.array != expected).mean() < 1e-3

    def test_one_segment_alone(self, mrml, a_segmentation, a_label_map):
        identifier = list(mrml.segments_of(a_segmentation))[2]
        labels = mrml.labels_from_segmentation(a_segmentation, a_label_map.grid, [identifier])
        np.testing.assert_array_equal(labels.array, a_label_map.array == 3)

    def test_parents_of_a_segmentation_count(self, mrml, scene, a_segmentation, a_label_map):
        import slicer

        parent = bend(scene)
        a_segmentation.SetAndObserveTransformNodeID(parent.GetID())
        volume = slicer.util.addVolumeFromArray(
            a_label_map.array.copy(), matrix_of(a_label_map.grid), "labels", "vtkMRMLLabelMapVolumeNode"
        )
        volume.SetAndObserveTransformNodeID(parent.GetID())
        expected = mrml.volume_from_node(volume, a_label_map.grid).array
        labels = mrml.labels_from_segmentation(a_segmentation, a_label_map.grid).array
        np.testing.assert_array_equal(labels, np.searchsorted([0, 1, 2, 3, 207], expected))
        assert (expected != a_label_map.array).any()

    def test_surfaces_become_labels_and_stay_surfaces(self, mrml, scene, oblique_grid):
        import vtk

        centre = swap_lps_ras(oblique_grid.points_from_voxels(np.array(oblique_grid.shape) / 2))
        ball = vtk.vtkSphereSource()
        ball.SetCenter(*centre)
        ball.SetRadius(7.0)
        ball.SetPhiResolution(60)
        ball.SetThetaResolution(60)
        ball.Update()
        node = new_node(scene, "Segmentation", "surface")
        node.SetSourceRepresentationToClosedSurface()
        node.AddSegmentFromClosedSurfaceRepresentation(ball.GetOutput(), "ball", [1, 0, 0])
        before = scene_state(scene)
        labels = mrml.labels_from_segmentation(node, oblique_grid).array
        centres = oblique_grid.points_from_voxels(np.argwhere(np.ones(oblique_grid.shape)))
        distance = np.linalg.norm(centres - swap_lps_ras(centre), axis=1).reshape(oblique_grid.shape)
        assert labels[distance < 6.0].all()
        assert not labels[distance > 8.0].any()
        assert scene_state(scene) == before
        assert not node.GetSegmentation().ContainsRepresentation("Binary labelmap")

    def test_later_segments_win_where_they_overlap(self, mrml, scene, oblique_grid):
        import slicer

        node = new_node(scene, "Segmentation", "overlapping")
        reference = mrml.volume_to_node(Image(np.zeros(oblique_grid.shape), oblique_grid), "reference")
        for name, stop in (("large", 9), ("small", 5)):
            array = np.zeros(oblique_grid.shape, np.uint8)
            array[2:stop, 3:8, 4:11] = 1
            identifier = node.GetSegmentation().AddEmptySegment(name)
            slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, identifier, reference)
        labels = mrml.labels_from_segmentation(node, oblique_grid).array
        assert (labels[2:5, 3:8, 4:11] == 2).all()
        assert (labels[5:9, 3:8, 4:11] == 1).all()
        assert (labels > 0).sum() == 7 * 5 * 7

    def test_a_segment_can_be_given_any_label(self, mrml, a_segmentation, a_label_map, monkeypatch):
        from RobustDIRLib.mrml import resampling

        monkeypatch.setattr(resampling, "_LINEAR_VOXELS", 90)
        first, _, third, fourth = mrml.segments_of(a_segmentation)
        labels, steps = mrml.begin_labels(a_segmentation, a_label_map.grid, {fourth: 300, first: 9, third: 4})
        assert not labels.array.any()
        assert len(list(steps)) > 100
        expected = np.select([a_label_map.array == old for old in (207, 1, 3)], [300, 9, 4])
        np.testing.assert_array_equal(labels.array, expected)

    def test_a_segment_deleted_while_it_is_read_is_a_sentence(self, mrml, a_segmentation, a_label_map):
        first = next(iter(mrml.segments_of(a_segmentation)))
        _, steps = mrml.begin_labels(a_segmentation, a_label_map.grid, [first])
        a_segmentation.GetSegmentation().RemoveSegment(first)
        with pytest.raises(InputError, match="A segment of organs was deleted while it was read"):
            list(steps)

    def test_surfaces_beside_each_other_are_told_apart(self, mrml, scene, oblique_grid):
        import vtk

        node = new_node(scene, "Segmentation", "surfaces")
        node.SetSourceRepresentationToClosedSurface()
        centres = [oblique_grid.points_from_voxels(np.array(voxel)) for voxel in ([8, 10, 6], [8, 10, 19])]
        for centre in centres:
            ball = vtk.vtkSphereSource()
            ball.SetCenter(*swap_lps_ras(centre))
            ball.SetRadius(5.0)
            ball.Update()
            node.AddSegmentFromClosedSurfaceRepresentation(ball.GetOutput(), "ball", [1, 0, 0])
        labels = mrml.labels_from_segmentation(node, oblique_grid).array
        assert [labels[8, 10, 6], labels[8, 10, 19]] == [1, 2]
        assert (labels == 1).sum() == pytest.approx((labels == 2).sum(), rel=0.2)

    def test_an_empty_segment_is_empty(self, mrml, scene, oblique_grid):
        node = new_node(scene, "Segmentation", "new")
        node.GetSegmentation().AddEmptySegment("nothing yet")
        node.GetSegmentation().CreateRepresentation("Binary labelmap")
        assert not mrml.labels_from_segmentation(node, oblique_grid).array.any()

    def test_labels_return_as_they_went(self, mrml, a_label_map):
        names = {1: "one", 2: "two", 207: "far"}
        node = segmentation_from_labels(Image(a_label_map.array, a_label_map.grid), names, "made")
        assert list(mrml.segments_of(node).values()) == ["one", "two", "3", "far"]
        labels = mrml.labels_from_segmentation(node, a_label_map.grid)
        np.testing.assert_array_equal(labels.array, np.searchsorted([0, 1, 2, 3, 207], a_label_map.array))

    def test_unknown_segments_and_empty_segmentations_are_refused(self, mrml, scene, a_segmentation, oblique_grid):
        with pytest.raises(InputError, match="organs has no segment spleen"):
            mrml.labels_from_segmentation(a_segmentation, oblique_grid, ["spleen"])
        with pytest.raises(InputError, match="blank has no segments"):
            mrml.labels_from_segmentation(new_node(scene, "Segmentation", "blank"), oblique_grid)

    def test_segmentations_made_here_can_be_saved(self, mrml, a_label_map, tmp_path):
        import slicer

        node = segmentation_from_labels(Image(a_label_map.array, a_label_map.grid), {}, "made")
        assert slicer.util.saveNode(node, str(tmp_path / "made.seg.nrrd"))
        again = slicer.util.loadSegmentation(str(tmp_path / "made.seg.nrrd"))
        assert list(mrml.segments_of(again).values()) == ["1", "2", "3", "207"]


class TestTables:
    def test_a_table_is_filled_anew(self, mrml):
        node = mrml.table_from_columns({"x": [1.0, 2.0]}, "t")
        mrml.table_from_columns({"y": ["left", "right"], "z": [True, False]}, "ignored", node=node)
        names = [node.GetTable().GetColumnName(k) for k in range(node.GetTable().GetNumberOfColumns())]
        assert names == ["y", "z"]

    def test_columns_of_unlike_length_are_a_mistake(self, mrml):
        with pytest.raises(ValueError, match="one length"):
            mrml.table_from_columns({"x": [1.0], "y": [1.0, 2.0]}, "t")

    def test_the_curve_tells_how_many_errors_are_at_most_so_large(self, mrml, scene):
        import slicer

        chart = mrml.cumulative_chart({"before": [4.0, 1.0, 2.0, 8.0], "after": [0.5, 1.5]}, "TRE")
        assert [chart.GetNthPlotSeriesNode(k).GetName() for k in range(2)] == ["before", "after"]
        table = chart.GetNthPlotSeriesNode(0).GetTableNode()
        errors, share = (slicer.util.arrayFromTableColumn(table, n) for n in ("TRE (mm)", "Landmarks (%)"))
        for limit, expected in ((0.9, 0), (1.0, 25), (3.0, 50), (4.0, 75), (8.0, 100)):
            assert share[errors <= limit].max() == expected
        assert (np.diff(errors) >= 0).all()
        assert (np.diff(share) >= 0).all()
        assert chart.GetXAxisRange()[1] > 1.2 * 8  # the legend has room beside the curves' ends

    def test_a_chart_of_nothing_has_axes(self, mrml, scene):
        assert mrml.cumulative_chart({"before": [], "after": []}, "TRE").GetXAxisRange() == (0.0, 1.0)

    def test_a_million_errors_are_a_thousand_steps_of_the_same_curve(self):
        from RobustDIRLib.mrml.tables import cumulative_steps

        errors = np.random.default_rng(4).gamma(2.0, 1.5, 1_000_000)
        x, y = cumulative_steps(errors)
        assert len(x) == 2001 and (x[-1], y[-1]) == (errors.max(), 100.0)
        for limit in (0.01, 1.0, 3.0, 12.0):
            assert 0 <= 100 * np.mean(errors <= limit) - y[x <= limit].max() <= 0.11

    def test_a_box_is_one_line_with_dashes_for_what_lies_beyond_its_whiskers(self):
        from RobustDIRLib.mrml.plots import box, range_of_boxes

        x, y = box([*range(1, 10), 30, -20, 30], 7)
        drawn = ~np.isnan(y)
        assert np.array_equal(drawn, ~np.isnan(x))
        whole = int(np.argmin(drawn))  # the box, up to the first gap
        assert (y[:whole].min(), y[:whole].max()) == (1, 9) and np.abs(x[:whole] - 7).max() == pytest.approx(0.3)
        np.testing.assert_array_equal(y[whole:], [np.nan, -20, -20, np.nan, 30, 30])
        assert np.isfinite(box([2.0, 2.0], 1)[1]).all() and range_of_boxes(3)[1] > 2 * 3

    def test_zeros_alone_have_an_axis_up_to_one(self, scene):
        from RobustDIRLib.mrml import Line, Titles, ViewChart

        view, titles = ViewChart("a view"), Titles("Folding", "Step", "%")
        node = view.show({"a": Line([0, 1], [0, 0])}, titles)
        assert not node.GetYAxisRangeAuto() and node.GetYAxisRange() == (0.0, 1.0)
        assert view.show({"a": Line([0, 1], [0, 1e-3])}, titles).GetYAxisRangeAuto()
        two = {"a": Line([0, 1], [1, 2]), "b": Line([0, 1], [2, 3])}
        assert view.show(two, titles).GetLegendVisibility()
        assert node.GetXAxisRangeAuto()
        view.show(two, Titles("", "", "", (0.5, 4.0), (1.0, 9.0)))
        assert not node.GetXAxisRangeAuto() and node.GetXAxisRange() == (0.5, 4.0)
        assert not node.GetYAxisRangeAuto() and node.GetYAxisRange() == (1.0, 9.0)
        view.remove()

    def test_a_chart_drawn_anew_leaves_no_old_curves(self, mrml, scene):
        chart = mrml.cumulative_chart({"before": [4.0, 1.0], "after": [0.5, 1.5]}, "TRE")
        before = scene.GetNumberOfNodes()
        mrml.cumulative_chart({"before": [4.0, 1.0], "after": [0.25, 1.5]}, "TRE", chart=chart)
        assert chart.GetNumberOfPlotSeriesNodes() == 2
        assert scene.GetNumberOfNodes() == before


def test_importing_needs_numpy_alone(scene):
    root = Path(__file__).parents[2] / "RobustDIR"
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r}); import RobustDIRLib.mrml; "
        "print(sorted({'torch', 'SimpleITK', 'nibabel', 'scipy', 'skimage'} & set(sys.modules)))"
    )
    output, errors = forked_commands.started([sys.executable, "-c", code], kind="bench").communicate(60)
    assert output.strip() == "[]", errors


def test_vectors_lead_from_their_starts_to_their_ends_in_the_scene(mrml, some_landmarks):
    """Both ends are given in LPS and lie in the scene in RAS, as the points of a list do."""
    from vtk.util.numpy_support import vtk_to_numpy

    ends = some_landmarks.points + [[1.0, -2.0, 3.0]]
    node = mrml.vectors_to_node(some_landmarks.points, ends, "errors")
    lines = vtk_to_numpy(node.GetPolyData().GetPoints().GetData()).reshape(-1, 2, 3)
    np.testing.assert_allclose(lines[:, 0], swap_lps_ras(some_landmarks.points), atol=TOLERANCE_MM)
    np.testing.assert_allclose(lines[:, 1], swap_lps_ras(ends), atol=TOLERANCE_MM)
    lengths = vtk_to_numpy(node.GetPolyData().GetCellData().GetArray(0))
    np.testing.assert_allclose(lengths, np.sqrt(14), atol=TOLERANCE_MM)
