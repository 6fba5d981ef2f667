"""The panel of RobustDIRTrain on its real files: its tabs, what it remembers, and where runs go."""

import pytest

from panel_cases import settle
from train_panel_cases import MODULE


def test_opens_with_four_tabs_and_shows_each(train_panel, desktop):
    from RobustDIRLib.trainpanel.panel import TABS

    tabs = train_panel.ui.trainTabs
    assert [tabs.widget(k).objectName for k in range(tabs.count)] == list(TABS)
    for name in TABS:
        train_panel.widget.panel.show_tab(name)
        assert tabs.currentWidget().objectName == name


def test_parameters_survive_saving_and_loading_a_scene(train_panel, desktop, scene, tmp_path):
    import slicer

    train_panel.widget.panel.parameters.dataPath = "/kept"
    assert slicer.util.saveScene(str(tmp_path / "scene.mrml"))
    scene.Clear(0)
    settle(desktop)
    assert train_panel.widget.panel.parameters.dataPath == ""
    slicer.util.loadScene(str(tmp_path / "scene.mrml"))
    settle(desktop)
    assert train_panel.widget.panel.parameters.dataPath == "/kept"


def test_runs_go_where_the_user_says(train_panel, desktop, runs_folder, tmp_path):
    from RobustDIRLib.trainpanel import home

    first, second = (home.new_run_folder("finetune", "Lungs: 4D/CT") for _ in range(2))
    assert first != second and {first.parent, second.parent} == {runs_folder}
    assert first.name.endswith("finetune-Lungs-4D-CT")
    train_panel.ui.runsFolderButton.directory = str(tmp_path / "elsewhere")
    assert home.new_run_folder("pretrain").parent == tmp_path / "elsewhere"
    assert first.is_dir()


def test_a_runs_folder_that_cannot_be_made_is_one_sentence(train_panel, tmp_path):
    from RobustDIRLib.errors import InputError
    from RobustDIRLib.trainpanel import home

    (tmp_path / "a file").write_text("")
    train_panel.ui.runsFolderButton.directory = str(tmp_path / "a file")
    with pytest.raises(InputError, match="a file"):
        home.new_run_folder("finetune")


def test_a_slicer_that_is_too_old_is_told_so(desktop, open_panel, monkeypatch):
    import slicer

    monkeypatch.setattr(slicer.app, "minorVersion", 8)
    panel = open_panel(MODULE)
    assert "5.8" in panel.ui.environmentLabel.text
    assert not panel.ui.trainTabs.enabled


def test_the_self_test_empties_the_scene_first(train_panel, scene):
    scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "of the user")
    train_panel.module.RobustDIRTrainTest().setUp()
    assert scene.GetFirstNodeByName("of the user") is None
