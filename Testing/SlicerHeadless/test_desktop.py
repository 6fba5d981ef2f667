"""The bench's application, Qt habits, parameter node and panels, on the example module beside it."""

from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).with_name("example") / "Example.py"


@pytest.fixture
def an_example_panel(desktop, dialogs):
    panel = desktop.open_panel(EXAMPLE)
    yield panel
    panel.close()


@pytest.fixture
def two_volumes(scene):
    import slicer

    return [slicer.util.addVolumeFromArray(np.full((3, 4, 5), level), name=f"level {level}") for level in (2.0, 7.0)]


def test_a_forgotten_scene_leaves_selectors_empty(desktop, two_volumes):
    import slicer

    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    assert selector.currentNode() is None
    selector.setMRMLScene(slicer.mrmlScene)
    assert selector.currentNode() is two_volumes[0]


def test_button_follows_the_choosers(an_example_panel, two_volumes):
    ui = an_example_panel.ui
    assert not ui.applyButton.enabled
    ui.fixedSelector.setCurrentNode(two_volumes[0])
    assert not ui.applyButton.enabled
    ui.movingSelector.setCurrentNode(two_volumes[1])
    assert ui.applyButton.enabled
    assert an_example_panel.widget.parameters.movingVolume is two_volumes[1]


def test_removing_a_node_empties_its_chooser(an_example_panel, two_volumes, scene):
    ui = an_example_panel.ui
    for selector, volume in zip((ui.fixedSelector, ui.movingSelector), two_volumes, strict=True):
        selector.setCurrentNode(volume)
    scene.RemoveNode(two_volumes[1])
    assert ui.movingSelector.currentNode() is None
    assert not ui.applyButton.enabled


def test_a_click_fills_the_table(an_example_panel, two_volumes):
    ui = an_example_panel.ui
    ui.fixedSelector.setCurrentNode(two_volumes[0])
    ui.movingSelector.setCurrentNode(two_volumes[1])
    ui.applyButton.click()
    assert [ui.qaTableView.item(0, column).text() for column in (0, 1)] == ["2", "7"]


def test_errors_are_shown_once_and_raised(an_example_panel, two_volumes, dialogs, capsys):
    ui = an_example_panel.ui
    ui.fixedSelector.setCurrentNode(two_volumes[0])
    ui.movingSelector.setCurrentNode(two_volumes[0])
    ui.applyButton.click()
    assert dialogs.texts == ["The example failed.\n\nboth volumes are the same"]
    assert "ValueError" in dialogs.shown[0].details


def test_parameters_survive_saving_and_loading(an_example_panel, two_volumes, scene, tmp_path):
    import slicer

    parameters = an_example_panel.widget.parameters
    parameters.fixedVolume, parameters.gridSpacing, parameters.showGrid = two_volumes[1], 17.5, False
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    scene.Clear(0)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    again = an_example_panel.module.ExampleLogic().getParameterNode()
    assert (again.fixedVolume.GetName(), again.gridSpacing, again.showGrid) == ("level 7.0", 17.5, False)


def test_parameters_refuse_what_their_annotations_exclude(an_example_panel):
    with pytest.raises(ValueError, match="within range"):
        an_example_panel.widget.parameters.gridSpacing = 41.0


def test_slider_and_parameter_follow_each_other(an_example_panel):
    ui, parameters = an_example_panel.ui, an_example_panel.widget.parameters
    ui.spacingSlider.value = 12
    assert parameters.gridSpacing == 12.0
    parameters.gridSpacing = 33.0
    assert ui.spacingSlider.value == 33.0


def test_unknown_properties_and_signals_are_refused(desktop):
    import qt

    button = qt.QPushButton("text")
    with pytest.raises(AttributeError, match="no property enable"):
        button.enable = False
    with pytest.raises(AttributeError, match="no signal pushed"):
        button.connect("pushed()", print)


def test_a_question_takes_the_answer_of_the_test(dialogs):
    import slicer

    dialogs.answer("Cancel", "Ok")
    assert not slicer.util.confirmOkCancelDisplay("Install?")
    assert slicer.util.confirmOkCancelDisplay("Install?")
    with pytest.raises(AssertionError, match="nobody answers"):
        slicer.util.confirmOkCancelDisplay("And this?")


def test_self_test_of_a_module_runs(an_example_panel):
    import slicer

    slicer.selfTests["Example"]()


def test_what_is_put_off_is_known_until_it_is_done(desktop):
    import qt

    timer = qt.QTimer()
    timer.setInterval(5)
    timer.connect("timeout()", timer.stop)
    assert not desktop.has_put_off(5)
    timer.start()
    assert desktop.has_put_off(5) and not desktop.has_put_off(4)
    desktop.wait_until(lambda: not timer.active)
    assert not desktop.has_put_off(5)
