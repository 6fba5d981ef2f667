"""The tab Data on the module's real file: data sets opened, shown, shared out, and written from the scene."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

import forked_commands
from dataset_cases import untouched, write_label_map, write_points, write_scan
from panel_cases import FIXED_GRID, contents, landmark_nodes, segmentation_nodes, settle, volume_nodes
from RobustDIRLib.datasets.opening import KINDS, open_dataset
from train_panel_cases import play_here

SECONDS = 120  # of a process on a busy machine


def write_set(folder: Path, people: str = "abcd") -> Path:
    """A pair of each person; labels of all, landmarks of the first."""
    for seed, who in enumerate(people):
        for k, role in enumerate(("fixed", "moving")):
            write_scan(folder / who / f"{role}.nii.gz", 2 * seed + k)
            write_label_map(folder / who / f"{role}_labels.nii.gz", 2 * seed + k)
            if not seed:
                write_points(folder / who / f"{role}_landmarks.csv", 6, k)
    return folder


def choose(choice, key: str) -> None:
    """As the user does: by the entry of the combo box."""
    choice.combo.setCurrentIndex(choice.keys.index(key))


def open_set(panel, desktop) -> None:
    """Clicks Open and waits until the data set is shared out, or refused."""
    data = panel.widget.panel.data
    panel.ui.openDataButton.click()
    desktop.wait_until(lambda: not data.busy, SECONDS)
    settle(desktop)
    wait_for_split(panel, desktop)


def wait_for_split(panel, desktop) -> None:
    data = panel.widget.panel.data
    settle(desktop)
    desktop.wait_until(lambda: not data.split._background.busy, SECONDS)
    settle(desktop)


def column(panel, number: int) -> list[str]:
    table = panel.ui.casesTable
    return [table.item(row, number).text() for row in range(table.rowCount)]


@pytest.fixture
def here(monkeypatch, desktop):
    """Commands are done in this process."""
    play_here(monkeypatch)


@pytest.fixture
def an_open_set(here, train_panel, desktop, tmp_path):
    """The panel with a data set of four people open."""
    train_panel.ui.datasetPathEdit.currentPath = str(write_set(tmp_path / "set"))
    open_set(train_panel, desktop)
    assert train_panel.widget.panel.data.opened is not None, train_panel.ui.dataNote.text
    return train_panel


def test_a_data_set_is_opened_by_processes_that_nobody_waits_for(train_panel, desktop, tmp_path):
    """The one test here whose commands are processes, as they are in the application."""
    train_panel.ui.datasetPathEdit.currentPath = str(write_set(tmp_path / "set"))
    settle(desktop)
    if forked_commands.POSSIBLE:
        forked_commands.hold("library")  # what the tests' processes are forked from takes long to begin
    begun = time.perf_counter()
    with desktop.LongestPause() as pause:
        open_set(train_panel, desktop)
    assert pause.seconds < (time.perf_counter() - begun) / 2  # waiting for a process is most of it
    assert column(train_panel, 2).count("Training") == 2, train_panel.ui.splitNote.text


def test_a_data_set_is_opened_shared_out_and_shown(an_open_set, desktop, scene, tmp_path):
    panel, data = an_open_set, an_open_set.widget.panel.data
    before = untouched(tmp_path / "set")
    assert "4 cases of 4 patients" in panel.ui.dataNote.text
    assert column(panel, 1) == list("abcd") and column(panel, 4) == ["6", "", "", ""]
    parts = column(panel, 2)
    assert sorted(set(parts)) == ["Test", "Training", "Validation"] and parts.count("Training") == 2
    assert "Nobody is on two sides" in panel.ui.splitNote.text

    # A patient is moved by hand, and stays where the user put them.
    row = parts.index("Test")
    panel.ui.casesTable.selectRow(row)
    settle(desktop)
    assert data.split.part.key == "test"
    choose(data.split.part, "train")
    wait_for_split(panel, desktop)
    assert column(panel, 2)[row] == "Training" and not panel.ui.trainPercentBox.enabled

    desktop.wait_until(lambda: not panel.ui.casesTable.item(3, 0).icon().isNull(), SECONDS)
    nodes = scene.GetNumberOfNodes()
    panel.ui.showCaseButton.click()
    desktop.wait_until(lambda: not data._showing.busy, SECONDS)
    settle(desktop)
    assert scene.GetNumberOfNodes() > nodes and panel.ui.messageLabel.text == ""
    panel.ui.drawSplitButton.click()
    wait_for_split(panel, desktop)
    assert column(panel, 2) == parts
    assert untouched(tmp_path / "set") == before


def test_a_patient_or_scan_on_both_sides_is_refused_and_shown(an_open_set, desktop, dialogs, tmp_path):
    panel, data = an_open_set, an_open_set.widget.panel.data
    file = tmp_path / "parts.json"
    for parts, said in (
        ({"train": ["a", "b"], "test": ["b"]}, "b is in train and in test"),
        ({"train": ["a", "b"], "test": ["c"]}, "are the same scan"),
    ):
        if "same scan" in said:
            (tmp_path / "set" / "c" / "moving.nii.gz").write_bytes(
                (tmp_path / "set" / "a" / "fixed.nii.gz").read_bytes()
            )
        file.write_text(json.dumps(parts))
        dialogs.answer(str(file))
        panel.ui.splitFileButton.click()
        wait_for_split(panel, desktop)
        assert said in panel.ui.splitNote.text and data.split.shared is None
    file.write_text('{"teach": ["a"]}')
    dialogs.answer(str(file))
    panel.ui.splitFileButton.click()
    assert "holds no parts" in panel.ui.messageLabel.text


def test_problems_are_listed_and_nothing_is_used(here, train_panel, desktop, tmp_path):
    write_set(tmp_path / "set", "ab")
    (tmp_path / "set" / "a" / "moving.nii.gz").unlink()
    (tmp_path / "set" / "b" / "fixed_labels.nii.gz").write_bytes(b"broken")
    train_panel.ui.datasetPathEdit.currentPath = str(tmp_path / "set")
    open_set(train_panel, desktop)
    assert train_panel.widget.panel.data.opened is None
    listed = [train_panel.ui.problemsList.item(k).text() for k in range(train_panel.ui.problemsList.count)]
    assert len(listed) == 1 and "case a, moving image" in listed[0]  # headers are looked at once all files are there
    assert "problem" in train_panel.ui.dataNote.text and train_panel.ui.splitNote.text == ""


def test_a_pair_of_people_of_two_parts_shows_both(an_open_set, desktop):
    """Where the data set pairs people, the parts share them out and not the pairs."""
    from dataclasses import replace

    panel, data = an_open_set, an_open_set.widget.panel.data
    case = data.opened.cases[0]
    data.cases._cases = (replace(case, subjects=("a", "b")), replace(case, subjects=("a", "z")), *data.opened.cases[2:])
    shared = data.split.shared
    data.split.shared = replace(shared, subjects={"train": ("a",), "validation": (), "test": ("b", "c", "d")})
    data.cases.update()
    assert column(panel, 2) == ["Training – Test", "Training – none", "Test", "Test"]


def test_another_choice_closes_the_data_set(an_open_set, desktop):
    an_open_set.ui.datasetPartEdit.text = "training"
    settle(desktop)
    assert an_open_set.widget.panel.data.opened is None and an_open_set.ui.casesTable.rowCount == 0


@pytest.mark.parametrize(
    ("source", "fields", "said"),
    [
        ("auto", {}, "Choose the place"),
        ("auto", {"path": "/nowhere"}, "/nowhere is not there"),
        ("pattern-pairs", {"path": "."}, "pattern of the fixed images"),
        ("pattern-scans", {"path": "."}, "pattern of the images"),
        ("scene", {}, "Give the data set a name"),
        ("scene", {"name": "mine"}, "No pair is in the list"),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(train_panel, desktop, source, fields, said):
    data = train_panel.widget.panel.data
    choose(data.source, source)
    train_panel.ui.datasetPathEdit.currentPath = fields.get("path", "")
    train_panel.ui.dataNameEdit.text = fields.get("name", "")
    settle(desktop)
    train_panel.ui.openDataButton.click()
    assert said in train_panel.ui.messageLabel.text and not data.busy


def test_every_kind_of_data_set_can_be_chosen_and_is_asked_for_by_its_name(train_panel, desktop, monkeypatch, tmp_path):
    from RobustDIRLib.trainpanel.data_tab import PATTERN_PAIRS, PATTERN_SCANS, SCENE

    panel, asked = train_panel.widget.panel, []
    monkeypatch.setattr(panel.data._checking, "start", lambda _steps, command: asked.append(command))
    train_panel.ui.datasetPathEdit.currentPath = str(tmp_path)
    train_panel.ui.datasetPartEdit.text = "some part"
    kinds = [key for key in panel.data.source.keys if key not in (PATTERN_PAIRS, PATTERN_SCANS, SCENE)]
    assert set(kinds) == {"auto", *KINDS}
    for kind in kinds:
        choose(panel.data.source, kind)
        settle(desktop)
        train_panel.ui.openDataButton.click()
        parts = kind == "auto" or KINDS[kind].split
        words = [str(tmp_path), "--kind", kind, *(["--split", "some part"] if parts else []), "--progress", "json"]
        assert asked.pop()[-len(words) :] == words


def test_a_folder_by_a_pattern(here, train_panel, desktop, runs_folder, tmp_path):
    for k, who in enumerate("abc"):
        for j, phase in enumerate(("in", "out")):
            write_scan(tmp_path / "set" / f"{who}_{phase}.nii.gz", 2 * k + j)
    data = train_panel.widget.panel.data
    choose(data.source, "pattern-pairs")
    train_panel.ui.datasetPathEdit.currentPath = str(tmp_path / "set")
    train_panel.ui.patternFixedEdit.text = "{subject}_in.nii.gz"
    train_panel.ui.patternMovingEdit.text = "{subject}_out.nii.gz"
    choose(data.preset, "brain-mri")
    settle(desktop)
    open_set(train_panel, desktop)
    assert column(train_panel, 1) == ["a", "b", "c"] and data.opened.cases[0].preset == "brain-mri"
    assert Path(data.opened.path).is_relative_to(runs_folder)
    assert sorted(p.name for p in (tmp_path / "set").iterdir())[0] == "a_in.nii.gz"


@pytest.fixture
def a_pair_chosen(here, train_panel, desktop):
    """Volumes, segmentations and landmarks of a pair, all selected."""
    nodes = [*volume_nodes(), *segmentation_nodes((("lung", "heart"), ("heart", "lung"))), *landmark_nodes()]
    names = [f"pair{side}{what}Selector" for what in ("", "Segmentation", "Landmarks") for side in ("Fixed", "Moving")]
    for name, node in zip(names, nodes, strict=True):
        getattr(train_panel.ui, name).setCurrentNode(node)
    choose(train_panel.widget.panel.data.source, "scene")
    settle(desktop)
    return nodes


def add_pair(panel, desktop, patient: str = "ann") -> None:
    panel.ui.pairPatientEdit.text = patient
    panel.ui.addPairButton.click()
    settle(desktop)


def write_scene_set(panel, desktop, name: str) -> Path:
    panel.ui.dataNameEdit.text = name
    settle(desktop)
    open_set(panel, desktop)
    from RobustDIRLib.trainpanel.home import runs_home

    return runs_home() / "data_sets" / name


def test_pairs_of_the_scene_become_a_data_set_with_nothing_lost(train_panel, desktop, scene, a_pair_chosen):
    """Voxels, places, names and numbers: the moving volume under a transform lies where the scene shows it."""
    import slicer

    from RobustDIRLib import mrml

    turned = np.eye(4)
    turned[:3, :3] = [[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]
    turned[:3, 3] = [3, -5, 7]
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "turn")
    parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(turned))
    for node in a_pair_chosen[1::2]:
        node.SetAndObserveTransformNodeID(parent.GetID())
    add_pair(train_panel, desktop)
    before = contents(scene)
    folder = write_scene_set(train_panel, desktop, "mine")
    assert train_panel.widget.panel.data.opened is not None, train_panel.ui.dataNote.text
    assert contents(scene) == before or contents(scene).keys() == before.keys()
    [case] = open_dataset(folder).cases
    data = case.load()
    assert case.subject == "ann"
    for role, node in zip(("fixed", "moving"), a_pair_chosen[:2], strict=True):
        volume, image = mrml.volume_from_node(node), getattr(data, role)
        assert np.array_equal(image.array, volume.array) and image.grid.close_to(volume.grid)
    for role, node in zip(("fixed", "moving"), a_pair_chosen[4:], strict=True):
        points = mrml.points_from_markups(node)
        assert np.allclose(getattr(data, f"{role}_landmarks").points, points.points, atol=1e-6)
        assert getattr(data, f"{role}_landmarks").names == points.names
    names = json.loads((folder / "label_names.json").read_text(encoding="utf-8"))
    assert sorted(names.values()) == ["heart", "lung"]
    for role, node in zip(("fixed", "moving"), a_pair_chosen[2:4], strict=True):
        for number, name in names.items():
            [segment] = [each for each, title in mrml.segments_of(node).items() if title == name]
            alone = mrml.labels_from_segmentation(node, getattr(data, role).grid, [segment]).array > 0
            assert alone.any() and np.array_equal(getattr(data, f"{role}_labels").array == int(number), alone)


def test_pairs_survive_the_scene_and_deleted_nodes_are_told(train_panel, desktop, scene, a_pair_chosen, tmp_path):
    import slicer

    add_pair(train_panel, desktop)
    add_pair(train_panel, desktop, "bob")
    assert train_panel.ui.pairsTable.rowCount == 2
    train_panel.ui.pairsTable.selectRow(0)
    train_panel.ui.removePairButton.click()
    settle(desktop)
    assert [train_panel.ui.pairsTable.item(0, c).text() for c in range(3)] == [
        "planning – control", "bob", "segments, landmarks"
    ]  # fmt: skip
    assert slicer.util.saveScene(str(tmp_path / "scene.mrml"))
    scene.Clear(0)
    settle(desktop)
    slicer.util.loadScene(str(tmp_path / "scene.mrml"))
    settle(desktop)
    assert train_panel.ui.pairsTable.item(0, 1).text() == "bob"
    scene.RemoveNode(scene.GetFirstNodeByName("control"))
    settle(desktop)
    train_panel.ui.dataNameEdit.text = "mine"
    train_panel.ui.openDataButton.click()
    assert "no longer in the scene" in train_panel.ui.messageLabel.text


def test_overlapping_segments_are_refused_and_nothing_is_left(train_panel, desktop, runs_folder, a_pair_chosen):
    from vtk.util.numpy_support import vtk_to_numpy

    node = a_pair_chosen[2]
    segmentation = node.GetSegmentation()
    segmentation.SeparateSegmentLabelmap(segmentation.GetNthSegmentID(1))
    image = segmentation.GetSegment(segmentation.GetNthSegmentID(1)).GetRepresentation("Binary labelmap")
    first = segmentation.GetSegment(segmentation.GetNthSegmentID(0)).GetRepresentation("Binary labelmap")
    image.DeepCopy(first)
    voxels = vtk_to_numpy(image.GetPointData().GetScalars())
    value = segmentation.GetSegment(segmentation.GetNthSegmentID(1)).GetLabelValue()
    voxels[voxels > 0] = value
    image.Modified()
    add_pair(train_panel, desktop)
    write_scene_set(train_panel, desktop, "mine")
    assert "overlap" in train_panel.ui.dataNote.text, train_panel.ui.dataNote.text
    assert list((runs_folder / "data_sets").iterdir()) == []


def test_a_name_that_is_taken_is_refused_and_what_bears_it_stays(train_panel, desktop, runs_folder, a_pair_chosen):
    add_pair(train_panel, desktop)
    (runs_folder / "data_sets" / "mine").mkdir(parents=True)
    (runs_folder / "data_sets" / "mine" / "kept").touch()
    train_panel.ui.dataNameEdit.text = "mine"
    settle(desktop)
    train_panel.ui.openDataButton.click()
    assert "is there already: give the data set another name" in train_panel.ui.messageLabel.text
    assert [path.name for path in (runs_folder / "data_sets").rglob("*")] == ["mine", "kept"]


def test_pairs_that_do_not_fit_are_refused(train_panel, desktop, a_pair_chosen):
    ui = train_panel.ui
    ui.pairMovingLandmarksSelector.setCurrentNode(None)
    settle(desktop)
    add_pair(train_panel, desktop)
    assert "Select landmarks of both volumes" in ui.messageLabel.text
    ui.pairMovingLandmarksSelector.setCurrentNode(a_pair_chosen[5])
    a_pair_chosen[5].RemoveNthControlPoint(0)
    settle(desktop)
    add_pair(train_panel, desktop)
    assert "6 fixed landmarks and 5 moving" in ui.messageLabel.text
    ui.pairMovingSelector.setCurrentNode(a_pair_chosen[0])
    settle(desktop)
    add_pair(train_panel, desktop)
    assert "are the same" in ui.messageLabel.text
    assert ui.pairsTable.rowCount == 0 and FIXED_GRID
