"""The stand-ins of CTK's and Slicer's widgets: that they behave as panels expect, on the real scene."""

import numpy as np
import pytest


@pytest.fixture
def a_segmentation_node(scene):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "organs")
    for name in ("liver", "spleen"):
        node.GetSegmentation().AddEmptySegment(name, name)
    return node


def selector_of(kind, scene, **properties):
    import slicer

    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = [kind]
    for name, value in properties.items():
        setattr(selector, name, value)
    selector.setMRMLScene(scene)
    return selector


class TestNodeSelector:
    def test_without_none_the_first_node_is_chosen(self, desktop, scene):
        selector = selector_of("vtkMRMLScalarVolumeNode", scene)
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "first")
        scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "second")
        assert selector.currentNode() is node

    def test_with_none_nothing_is_chosen_by_itself(self, desktop, scene):
        selector = selector_of("vtkMRMLScalarVolumeNode", scene, noneEnabled=True)
        scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "first")
        assert selector.currentNode() is None

    def test_label_maps_can_be_left_out(self, desktop, scene):
        label_map = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
        volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "volume")
        every = selector_of("vtkMRMLScalarVolumeNode", scene)
        strict = selector_of("vtkMRMLScalarVolumeNode", scene, showChildNodeTypes=False)
        assert every.nodeCount() == 2
        assert [strict.nodeFromIndex(k) for k in range(strict.nodeCount())] == [volume]
        strict.setCurrentNode(label_map)
        assert strict.currentNode() is None

    def test_hidden_nodes_and_other_attributes_are_left_out(self, desktop, scene):
        selector = selector_of("vtkMRMLScriptedModuleNode", scene, noneEnabled=True)
        selector.addAttribute("vtkMRMLScriptedModuleNode", "ModuleName", "RobustDIR")
        ours, other = (scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", name) for name in "ab")
        ours.SetAttribute("ModuleName", "RobustDIR")
        other.SetAttribute("ModuleName", "Another")
        selector.setMRMLScene(scene)
        assert selector.nodeCount() == 0  # parameter nodes are hidden from the start
        selector.showHidden = True
        assert [selector.nodeFromIndex(k) for k in range(selector.nodeCount())] == [ours]

    def test_each_change_is_signalled_once(self, desktop, scene):
        selector = selector_of("vtkMRMLScalarVolumeNode", scene, noneEnabled=True)
        heard = []
        selector.connect("currentNodeChanged(vtkMRMLNode*)", heard.append)
        selector.connect("currentNodeChanged(bool)", heard.append)
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "volume")
        selector.setCurrentNode(node)
        selector.setCurrentNode(node)
        scene.RemoveNode(node)
        assert heard == [node, True, None, False]

    def test_create_new_makes_and_selects_a_node(self, desktop, scene):
        selector = selector_of("vtkMRMLGridTransformNode", scene, noneEnabled=True, baseName="Result")
        added = []
        selector.connect("nodeAddedByUser(vtkMRMLNode*)", added.append)
        row = selector._box.findText("Create new GridTransform")
        selector._box.activated.emit(row)
        assert selector.currentNode() is added[0]
        assert added[0].GetName() == "Result"

    def test_nodes_are_checked_one_by_one(self, desktop, scene):
        import qt
        import slicer

        selector = slicer.qMRMLCheckableNodeComboBox()
        selector.nodeTypes = ["vtkMRMLModelNode"]
        selector.setMRMLScene(scene)
        first, second = (scene.AddNewNodeByClass("vtkMRMLModelNode", name) for name in "ab")
        changes = []
        selector.connect("checkedNodesChanged()", lambda: changes.append(len(selector.checkedNodes())))
        selector.setCheckState(second, qt.Qt.Checked)
        selector.setCheckState(first, qt.Qt.Checked)
        scene.RemoveNode(second)
        assert selector.checkedNodes() == [first]
        assert changes == [1, 2, 1]


class TestSegmentSelector:
    def test_segments_follow_the_segmentation(self, desktop, scene, a_segmentation_node):
        import slicer

        selector = slicer.qMRMLSegmentSelectorWidget()
        selector.noneEnabled = True
        selector.setMRMLScene(scene)
        heard = []
        selector.connect("currentSegmentChanged(QString)", heard.append)
        selector.setCurrentNode(a_segmentation_node)
        assert selector.segmentIDs() == ["liver", "spleen"]
        assert selector.currentSegmentID() == ""
        selector.setCurrentSegmentID("spleen")
        a_segmentation_node.GetSegmentation().RemoveSegment("spleen")
        assert selector.currentSegmentID() == ""
        assert heard == ["spleen", ""]


class TestCtkWidgets:
    def test_a_collapsed_section_hides_what_is_in_it(self, desktop):
        import ctk
        import qt

        section = ctk.ctkCollapsibleButton("Inputs")
        layout = qt.QVBoxLayout(section)
        label = qt.QLabel("inside")
        layout.addWidget(label)
        section.show()
        heard = []
        section.connect("contentsCollapsed(bool)", heard.append)
        section.collapsed = True
        assert not label.visible
        section.collapsed = False
        assert label.visible
        assert heard == [True, False]

    @pytest.mark.parametrize("value", [-3.0, 0.25, 17.0])
    def test_a_slider_widget_shows_what_it_is_given(self, desktop, value):
        import ctk

        slider = ctk.ctkSliderWidget()
        slider.minimum, slider.maximum, slider.decimals = -5.0, 20.0, 3
        heard = []
        slider.connect("valueChanged(double)", heard.append)
        slider.value = value
        assert slider.value == pytest.approx(value)
        assert heard == [pytest.approx(value)]

    def test_numbers_beyond_the_limits_are_held(self, desktop):
        import ctk

        slider = ctk.ctkSliderWidget()
        slider.minimum, slider.maximum = 2.0, 5.0
        slider.value = 9.0
        assert slider.value == 5.0

    def test_a_chosen_path_is_signalled(self, dialogs):
        import ctk

        line = ctk.ctkPathLineEdit()
        heard = []
        line.currentPathChanged.connect(heard.append)
        dialogs.answer("/somewhere/else")
        line.browse()
        assert line.currentPath == "/somewhere/else"
        assert heard == ["/somewhere/else"]


class TestDialogs:
    def test_messages_are_recorded_and_closed(self, dialogs):
        import slicer

        slicer.util.errorDisplay("It is broken.", detailedText="because")
        assert dialogs.shown[0].text == "It is broken."
        assert dialogs.shown[0].details == "because"
        assert "error" in dialogs.shown[0].title

    def test_file_choosers_take_the_answer(self, dialogs):
        import qt

        dialogs.answer("/folder/file.csv", "")
        assert qt.QFileDialog.getSaveFileName(None, "Save", "", "*.csv") == "/folder/file.csv"
        assert qt.QFileDialog.getExistingDirectory(None, "Folder") == ""
        assert dialogs.unused_answers == []

    def test_questions_without_answer_fail(self, dialogs):
        import qt

        with pytest.raises(AssertionError, match="nobody answers"):
            qt.QMessageBox.question(None, "Sure?", "Really?")


def test_the_event_loop_is_watched(desktop):
    import time

    import qt

    with desktop.LongestPause() as pause:
        qt.QTimer.singleShot(10, lambda: time.sleep(0.25))
        end = time.monotonic() + 0.5
        desktop.wait_until(lambda: time.monotonic() > end, 5)
    assert pause.seconds > 0.2


def test_waiting_ends(desktop):
    with pytest.raises(TimeoutError, match="still not so"):
        desktop.wait_until(lambda: False, 0.05)


@pytest.mark.parametrize("extension", [".nrrd", ".nii.gz", ".mha"])
def test_volumes_are_saved_and_loaded_by_slicer_itself(scene, tmp_path, extension):
    import slicer

    array = np.random.default_rng(2).normal(size=(5, 6, 7)).astype(np.float32)
    node = slicer.util.addVolumeFromArray(array, name="volume")
    assert slicer.util.saveNode(node, str(tmp_path / f"volume{extension}"))
    again = slicer.util.loadVolume(str(tmp_path / f"volume{extension}"))
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(again), array)


def test_files_that_are_not_there_are_reported(scene, tmp_path):
    import slicer

    with pytest.raises(RuntimeError, match="Failed to load node"):
        slicer.util.loadVolume(str(tmp_path / "missing.nrrd"))
