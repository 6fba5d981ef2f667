"""Cases that are looked at: what a process wrote lies in the scene where it belongs, and leaves without a trace."""

import json
import shutil

import numpy as np
import pytest

from dataset_cases import GRID, write_label_map, write_points, write_scan
from panel_cases import contents
from RobustDIRLib.cli import main
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.errors import InputError
from RobustDIRLib.synthesis.files import make_pair, pair_images, read_settings


@pytest.fixture
def a_folder(tmp_path):
    """A case as `dataset show` writes it, and the case itself."""
    for role, grid in (("fixed", GRID), ("moving", GRID.resized((9, 16, 13)))):
        write_scan(tmp_path / "set" / "ann" / f"{role}.nii.gz", len(role), grid)
        write_label_map(tmp_path / "set" / "ann" / f"{role}_labels.nii.gz", len(role), grid)
        write_points(tmp_path / "set" / "ann" / f"{role}_landmarks.csv", 4, len(role))
    folder = tmp_path / "shown"
    assert main(["dataset", "show", str(tmp_path / "set"), "--case", "ann", "-o", str(folder)]) == 0
    return folder, open_dataset(tmp_path / "set").cases[0].load()


def load(folder, title="ann"):
    from RobustDIRLib.trainpanel.case_scene import CaseLoading

    loading = CaseLoading(shutil.copytree(folder, folder.with_name("read"), dirs_exist_ok=True), title)
    for _ in loading.steps():
        pass
    return loading.nodes


def test_images_labels_and_landmarks_lie_where_the_files_have_them(scene, a_folder):
    from RobustDIRLib import mrml

    folder, data = a_folder
    nodes = load(folder)
    assert set(nodes.volumes) == {"fixed", "moving", "fixed_labels", "moving_labels"} and nodes.transform is None
    for name, node in nodes.volumes.items():
        volume = mrml.volume_from_node(node)
        array, grid = volume.array, volume.grid
        assert np.array_equal(array, getattr(data, name).array)
        assert grid.close_to(getattr(data, name).grid)
    for side, node in nodes.points.items():
        points = mrml.points_from_markups(node)
        assert np.allclose(points.points, getattr(data, f"{side}_landmarks").points, atol=1e-4)
    apart = np.linalg.norm(data.fixed_landmarks.points - data.moving_landmarks.points, axis=1)
    assert np.allclose(nodes.said["landmarks"]["before"], apart, atol=1e-3)


def test_the_next_case_takes_the_place_of_the_last_and_nothing_is_saved(scene, a_folder, tmp_path):
    import slicer

    from RobustDIRLib.trainpanel.case_scene import remove_looked_at

    assert slicer.util.saveScene(str(tmp_path / "scene.mrml"))  # gives nodes of earlier tests their storage nodes
    before = contents(scene)
    load(a_folder[0])
    count = scene.GetNumberOfNodes()
    load(a_folder[0], "again")
    assert scene.GetNumberOfNodes() == count
    assert slicer.util.saveScene(str(tmp_path / "scene.mrml"))
    assert "again" not in (tmp_path / "scene.mrml").read_text(encoding="utf-8")
    remove_looked_at()
    left = contents(scene)
    assert {name for name in left if name not in before} <= {"vtkMRMLColorTableNodeGrey"}


def test_views_show_it_one_by_one_and_let_it_go_before_it_goes(scene, a_folder, desktop):
    """Each would draw a large pair anew with every layer that is set, and with every node that is taken away."""
    import vtk

    from RobustDIRLib.panelparts import views
    from RobustDIRLib.trainpanel.case_scene import remove_looked_at, show

    nodes, drawn = load(a_folder[0]), []
    wanted = tuple(nodes.volumes[name].GetID() for name in ("fixed", "moving", "fixed_labels"))

    def shown():
        return [
            (c.GetBackgroundVolumeID(), c.GetForegroundVolumeID(), c.GetLabelVolumeID()) for c in views.composites()
        ]

    composites = views.composites()
    tags = [c.AddObserver("ModifiedEvent", lambda *_: drawn.append(1)) for c in composites]
    for count, _step in enumerate(show(nodes), 1):
        assert shown().count(wanted) == count and len(drawn) <= count
    assert shown() == [wanted] * len(composites)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def goes(_scene, _event, _node):
        told.append(set(shown()))

    told = []
    tag = scene.AddObserver(scene.NodeAboutToBeRemovedEvent, goes)
    remove_looked_at()
    scene.RemoveObserver(tag)
    for composite, each in zip(composites, tags, strict=True):
        composite.RemoveObserver(each)
    assert len(told) >= len(nodes.all) and told.count({(None, None, None)}) == len(told)


def test_a_damaged_file_leaves_the_scene_as_it_was(scene, a_folder):
    load(a_folder[0], "first")
    before = contents(scene)
    path = a_folder[0] / "moving_labels.mha"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match="moving_labels"):
        load(a_folder[0], "second")
    assert contents(scene) == before


def test_a_synthetic_pair_fits_by_its_own_deformation(scene, tmp_path):
    """The transform above the moving labels brings them onto the fixed ones, but for the borders of structures."""
    from RobustDIRLib import mrml

    (tmp_path / "s.json").write_text(json.dumps({"labels": {"kinds": ["large"], "labels": 4}}))
    words = ["synthesize", "-o", str(tmp_path / "pair"), "--config", str(tmp_path / "s.json"), "--side", "32"]
    assert main([*words, "--seed", "5", "--hand-over"]) == 0
    nodes = load(tmp_path / "pair", "synthetic")
    truth = pair_images(make_pair(read_settings(tmp_path / "s.json", 32, 1), 5, 0))
    volume = mrml.volume_from_node(nodes.volumes["fixed_labels"])
    fixed, grid = volume.array, volume.grid
    assert np.array_equal(fixed, truth.fixed_labels.array) and grid.close_to(truth.fixed.grid)
    moving = nodes.volumes["moving_labels"]
    apart = mrml.volume_from_node(moving, grid).array != fixed
    moving.SetAndObserveTransformNodeID(nodes.transform.GetID())
    inner = (slice(6, -6),) * 3
    fits = (mrml.volume_from_node(moving, grid).array == fixed)[inner].mean()
    assert fits > 0.9 and fits > 1 - apart[inner].mean() + 0.1
    voxel = np.array([10.0, 15, 20])
    point = mrml.transform_points(nodes.transform, truth.fixed.grid.points_from_voxels(voxel)[None])[0]
    told = truth.displacement.array[10, 15, 20]
    assert truth.displacement.grid.shape == grid.shape
    assert np.allclose(point - truth.fixed.grid.points_from_voxels(voxel), told, atol=1e-3)


def test_show_refuses_what_is_not_there_and_a_folder_in_use(a_folder, tmp_path, capsys):
    words = ["dataset", "show", str(tmp_path / "set")]
    assert main([*words, "--case", "bob", "-o", str(tmp_path / "new")]) == 2
    assert main([*words, "--case", "ann", "-o", str(a_folder[0])]) == 2
    assert "no such case" in capsys.readouterr().err and not (tmp_path / "new").exists()
