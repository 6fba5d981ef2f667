"""The panel as a whole: opened with nothing installed, kept in the scene, several sets of it, and one real run."""

import sys
from pathlib import Path

import numpy as np
import pytest

import forked_commands
import panel_cases as cases
from RobustDIRLib.values import Landmarks

ROOT = Path(__file__).parents[2]


def test_opens_with_nothing_installed(desktop):
    """In a process of its own, where none of the packages that must be installed can be found or imported."""
    code = f"""
import sys
sys.path[:0] = [{str(ROOT / "Testing")!r}, {str(ROOT / "RobustDIR")!r}]
from SlicerHeadless import desktop
desktop.start()
MISSING = ("torch", "nibabel", "pydicom", "skimage", "scipy", "SimpleITK")
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in MISSING:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Nothing())
from pathlib import Path
panel = desktop.open_panel(Path({str(ROOT / "RobustDIR" / "RobustDIR.py")!r}))
print(panel.ui.environmentLabel.text)
print(panel.ui.statusLabel.text)
print(panel.ui.installButton.enabled, panel.ui.registerButton.enabled, panel.ui.wheelsButton.isHidden())
print(sorted(set(MISSING) & set(sys.modules)))
"""
    process = forked_commands.started([sys.executable, "-c", code], kind="bench")
    output, errors = process.communicate(60)
    assert process.returncode == 0, errors
    strip, status, buttons, loaded = output.strip().splitlines()[-4:]
    assert strip.startswith(
        "Missing: torch, scipy, SimpleITK, nibabel, pydicom, scikit-image. PyTorch comes with the extension"
    )
    assert status == "Some Python packages are missing; see the top of this panel."
    assert buttons == "False False False"
    assert loaded == "[]"


def test_opening_either_panel_loads_nothing_heavy(desktop):
    code = f"""
import sys
sys.path[:0] = [{str(ROOT / "Testing")!r}, {str(ROOT / "RobustDIR")!r}]
from SlicerHeadless import desktop
desktop.start()
from pathlib import Path
for name, needed in (("RobustDIR", ()), ("RobustDIRTrain", ("scipy",))):
    desktop.open_panel(Path({str(ROOT)!r}, name, name + ".py"))
    print(sorted({{"torch", "SimpleITK", "scipy", "skimage", "nibabel"}}.difference(needed) & set(sys.modules)))
"""
    output, errors = forked_commands.started([sys.executable, "-c", code], kind="bench").communicate(60)
    assert output.strip().splitlines()[-2:] == ["[]", "[]"], errors


def test_sections_stand_in_the_order_of_the_work():
    text = (ROOT / "RobustDIR" / "Resources" / "UI" / "RobustDIR.ui").read_text(encoding="utf-8")
    names = (
        "environmentLabel", "inputsCollapsibleButton", "methodCollapsibleButton", "outputsCollapsibleButton",
        "registerButton", "cancelButton", "progressBar", "statusLabel", "messageLabel", "logText",
        "lookCollapsibleButton", "checkCollapsibleButton", "applyCollapsibleButton",
    )  # fmt: skip
    places = [text.index(f'name="{name}"') for name in names]
    assert places == sorted(places)


@pytest.fixture
def a_panel(open_panel, desktop, monkeypatch):
    """The panel, its registrations done as soon as they are started."""
    cases.play_here(monkeypatch)
    return open_panel("RobustDIR")


def register(panel, desktop) -> None:
    sections = panel.widget.panel
    cases.settle(desktop)
    panel.ui.registerButton.click()
    desktop.wait_until(lambda: sections.run.run is None)
    cases.settle(desktop)
    assert sections.parameters.transformNode is not None, panel.ui.messageLabel.text


def test_missing_packages_are_named_and_installed_after_asking(a_panel, desktop, dialogs, monkeypatch):
    import slicer

    from RobustDIRLib.panelparts import environment

    missing = environment.Readiness((environment.Requirement("nibabel", "5"),), (), True)
    monkeypatch.setattr(environment, "_packaging", lambda: None)  # as in Slicer 5.10
    monkeypatch.setattr(environment, "examine", lambda *_: missing)
    strip = a_panel.widget.panel.environment
    strip.examine()
    assert a_panel.ui.environmentLabel.text == "Missing: nibabel."
    assert not a_panel.ui.installButton.isHidden()
    dialogs.answer("Cancel")
    a_panel.ui.installButton.click()
    assert a_panel.ui.messageLabel.text.startswith("Nothing was installed")
    installed = []
    monkeypatch.setattr(slicer.util, "pip_install", installed.append)
    monkeypatch.setattr(environment, "examine", lambda *_: environment.Readiness((), (), True))
    dialogs.answer("Ok")
    a_panel.ui.installButton.click()
    assert installed == [["nibabel>=5"]]
    assert a_panel.ui.messageLabel.text == "Everything is installed."
    assert a_panel.ui.installButton.isHidden()


def test_saving_and_loading_brings_the_panel_back(a_panel, desktop, scene, tmp_path):
    import slicer

    sections = a_panel.widget.panel
    p = sections.parameters
    p.fixedVolume, p.movingVolume = cases.volume_nodes()
    p.fixedLandmarks, p.movingLandmarks = cases.landmark_nodes()
    p.alignment, p.device, p.deformationSpacing, p.makeJacobian = "rigid", "cpu", 17.0, False
    register(a_panel, desktop)
    a_panel.ui.deformationSelector.setCurrentIndex(sections.look.deformation.keys.index("grid"))
    table = a_panel.ui.judgementTable
    table.item(0, 3).setText("1.25")
    cases.settle(desktop)
    rows = [[table.item(r, c).text() for c in range(5)] for r in range(table.rowCount)]
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    scene.Clear(0)
    cases.settle(desktop)
    assert sections.parameters.fixedVolume is None
    assert a_panel.ui.judgementTable.rowCount == 0
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    cases.settle(desktop)
    p = sections.parameters
    assert [n.GetName() for n in (p.fixedVolume, p.movingVolume)] == ["planning", "control"]
    assert (p.alignment, p.device, p.deformationSpacing, p.makeJacobian) == ("rigid", "cpu", 17.0, False)
    assert a_panel.ui.fixedSelector.currentNode() is p.fixedVolume
    assert a_panel.ui.alignmentSelector.currentText == "Rigid"
    assert a_panel.ui.spacingSlider.value == 17
    assert not a_panel.ui.jacobianCheckBox.checked
    assert a_panel.ui.transformSelector.currentNode() is p.transformNode
    assert p.transformNode.GetDisplayNode().GetVisibility()
    assert [[table.item(r, c).text() for c in range(5)] for r in range(table.rowCount)] == rows
    assert rows[0][3] == "≤ 1.25 mm"


def test_two_sets_do_not_mix(a_panel, desktop):
    ui, sections = a_panel.ui, a_panel.widget.panel
    first = sections.parameters.parameterNode
    fixed, moving = cases.volume_nodes()
    ui.fixedSelector.setCurrentNode(fixed)
    ui.movingSelector.setCurrentNode(moving)
    register(a_panel, desktop)
    ui.newSetButton.click()
    cases.settle(desktop)
    second = sections.parameters.parameterNode
    assert second is not first
    assert ui.parameterSetSelector.currentNode() is second
    assert ui.fixedSelector.currentNode() is None
    assert sections.parameters.transformNode is None
    assert ui.judgementTable.rowCount == 0
    ui.fixedSelector.setCurrentNode(moving)
    ui.presetSelector.setCurrentIndex(2)
    ui.blendSlider.value = 11
    cases.settle(desktop)
    ui.parameterSetSelector.setCurrentNode(first)
    cases.settle(desktop)
    assert ui.fixedSelector.currentNode() is fixed
    assert (sections.parameters.preset, ui.blendSlider.value) == ("generic", 50)
    assert ui.judgementTable.rowCount > 0
    ui.parameterSetSelector.setCurrentNode(second)
    cases.settle(desktop)
    assert ui.fixedSelector.currentNode() is moving
    assert (sections.parameters.preset, ui.blendSlider.value) == ("brain-mri", 11)


def test_a_parameter_set_that_is_deleted_makes_way_for_another(a_panel, desktop, scene):
    sections = a_panel.widget.panel
    first = sections.parameters.parameterNode
    a_panel.ui.newSetButton.click()
    assert sections.parameters.parameterNode is not first
    scene.RemoveNode(sections.parameters.parameterNode)
    cases.settle(desktop)
    assert sections.parameters.parameterNode is first


def test_swapping_takes_everything_along(a_panel, desktop):
    p = a_panel.widget.panel.parameters
    p.fixedVolume, p.movingVolume = volumes = cases.volume_nodes()
    p.fixedLandmarks, p.movingLandmarks = points = cases.landmark_nodes()
    p.fixedSegmentation = segmentation = cases.segmentation_nodes()[0]
    cases.settle(desktop)
    a_panel.ui.swapButton.click()
    cases.settle(desktop)
    assert [p.movingVolume, p.fixedVolume] == volumes
    assert [p.movingLandmarks, p.fixedLandmarks] == points
    assert (p.fixedSegmentation, p.movingSegmentation) == (None, segmentation)
    assert a_panel.ui.fixedSelector.currentNode() is volumes[1]


def test_the_model_tells_what_it_was_taught_on(a_panel):
    assert a_panel.ui.modelSelector.currentText == "generic"
    assert "# generic" in a_panel.ui.modelSelector.toolTip
    assert "Taught on" in a_panel.ui.modelLabel.text


def test_a_model_that_is_not_here_can_be_changed_for_one_that_is(a_panel, desktop):
    parameters = a_panel.widget.panel.parameters
    parameters.model = "lost"
    cases.settle(desktop)
    assert a_panel.ui.modelSelector.currentText == ""
    a_panel.ui.modelSelector.setCurrentIndex(0)
    assert parameters.model == "generic"


def test_refinement_is_chosen_by_quality_or_by_its_box(a_panel, desktop):
    ui, parameters = a_panel.ui, a_panel.widget.panel.parameters
    assert parameters.quality == "balanced"
    assert ui.refinementCheckBox.checked
    ui.qualitySelector.setCurrentIndex(0)
    cases.settle(desktop)
    assert parameters.quality == "fast"
    assert not ui.refinementCheckBox.checked
    ui.refinementCheckBox.checked = True
    cases.settle(desktop)
    assert (parameters.quality, ui.qualitySelector.currentIndex) == ("balanced", 1)
    parameters.quality = "best"
    cases.settle(desktop)
    assert ui.refinementCheckBox.checked
    assert parameters.quality == "best"


def test_the_forecast_names_seconds_memory_and_grid(a_panel, desktop):
    p = a_panel.widget.panel.parameters
    assert a_panel.ui.forecastLabel.text == "Select two volumes to see how long it will take."
    p.fixedVolume, p.movingVolume = cases.volume_nodes()
    cases.settle(desktop)
    assert all(word in a_panel.ui.forecastLabel.text for word in ("About ", "GiB", "voxels of"))


def test_a_model_file_is_checked_before_it_is_added(a_panel, desktop, dialogs, tmp_path, monkeypatch):
    from RobustDIRLib.panel import method_section

    sections = a_panel.widget.panel
    code = "print('robustdir: broken.pt is no model file; give a model file made by RobustDIR.'); raise SystemExit(2)"
    monkeypatch.setattr(method_section, "library_command", lambda *_: [sys.executable, "-c", code])
    dialogs.answer(str(tmp_path / "broken.pt"))
    a_panel.ui.addModelButton.click()
    desktop.wait_until(lambda: sections.method._job is None)
    assert a_panel.ui.messageLabel.text == "broken.pt is no model file; give a model file made by RobustDIR."
    assert sections.parameters.model == "generic"


def test_sample_data_are_made_and_chosen(a_panel, desktop, tmp_path, monkeypatch):
    from RobustDIRLib import mrml
    from RobustDIRLib.panel import inputs_section
    from RobustDIRLib.panelparts import environment

    code = sample_process(tmp_path)
    write_sample(tmp_path)
    monkeypatch.setattr(environment, "examine", lambda *_: environment.Readiness((), (), True))
    monkeypatch.setattr(inputs_section.sample, "command", lambda folder: [sys.executable, "-c", code, str(folder)])
    sections = a_panel.widget.panel
    a_panel.ui.sampleButton.click()
    desktop.wait_until(lambda: not sections.inputs._background.busy)
    cases.settle(desktop)
    p = sections.parameters
    grids = mrml.grid_of_volume(p.fixedVolume), cases.FIXED_GRID
    middles = [grid.points_from_voxels((np.array(grid.shape) - 1) / 2) for grid in grids]
    np.testing.assert_allclose(*middles, atol=1e-3)
    assert len(mrml.points_from_markups(p.movingLandmarks).names) == 2
    assert p.fixedVolume.GetStorageNode() is None
    assert a_panel.ui.registerButton.enabled


def sample_process(source: Path) -> str:
    """Code that gives the pair of `write_sample` where it is told to, if that place is free, as the command demands."""
    return (
        "import os, shutil, sys; place = sys.argv[1]\n"
        "assert not os.path.exists(place) or not os.listdir(place), os.listdir(place)\n"
        f"shutil.copytree({str(source)!r}, place, dirs_exist_ok=True)"
    )


def write_sample(folder: Path) -> None:
    from registration_cases import picture
    from RobustDIRLib.io.images import write_image
    from RobustDIRLib.io.landmarks import write_landmarks

    for side, grid in (("fixed", cases.FIXED_GRID), ("moving", cases.MOVING_GRID)):
        write_image(folder / f"{side}.nii.gz", picture(grid, lambda p: p - cases.CENTRE))
        points = grid.points_from_voxels(np.array([[9.0, 9, 9], [11, 12, 13]]))
        write_landmarks(folder / f"{side}_landmarks.csv", Landmarks(points))


def test_a_real_registration_from_click_to_table(open_panel, desktop, scene, fresh_commands):
    """The whole way with the shipped network, in a process of its own."""
    from RobustDIRLib import mrml

    panel = open_panel("RobustDIR")
    sections = panel.widget.panel
    fixed, moving = cases.volume_nodes()
    panel.ui.fixedSelector.setCurrentNode(fixed)
    panel.ui.movingSelector.setCurrentNode(moving)
    panel.ui.alignmentSelector.setCurrentIndex(1)
    points = cases.FIXED_GRID.points_from_voxels(np.array([[9.0, 11, 12], [12, 13, 14], [8, 9, 16]]))
    names = ("a", "b", "c")
    # The moving volume shows the scene at (p - centre) * 1.03 - (2, 1, 3), so that is where a fixed point is found.
    true = (points - cases.CENTRE + [2, 1, 3]) / 1.03 + cases.CENTRE
    p = sections.parameters
    p.fixedLandmarks = mrml.markups_from_points(Landmarks(points, names), "fixed")
    p.movingLandmarks = mrml.markups_from_points(Landmarks(true, names), "moving")
    cases.settle(desktop)
    panel.ui.registerButton.click()
    desktop.wait_until(lambda: sections.run.run is None, 180)
    cases.settle(desktop)
    assert panel.ui.messageLabel.text.startswith("Registered"), panel.ui.messageLabel.text
    assert panel.ui.landmarkTable.rowCount == 3
    errors = sections.check.landmarks
    assert np.mean([e.after for e in errors]) < np.mean([e.before for e in errors])
    back = mrml.transform_points(p.inverseNode, mrml.transform_points(p.transformNode, points))
    assert np.linalg.norm(back - points, axis=1).max() < 1.5
    record = sections.check.record
    assert record["model"]["name"] == "generic"
    assert record["pair"] == ["planning", "control"]


def test_a_field_that_bends_holds_the_same_after_loading(a_panel, desktop, scene, tmp_path):
    """Loaded grids are cubic; ours are linear again, so that landmark errors stay what they were."""
    import slicer

    from RobustDIRLib import mrml

    sections = a_panel.widget.panel
    p = sections.parameters
    p.fixedVolume, p.movingVolume = cases.volume_nodes()
    p.fixedMask = cases.segmentation_nodes()[0]
    register(a_panel, desktop)
    points = cases.FIXED_GRID.points_from_voxels(np.array([[9.3, 11.7, 12.1], [12.4, 13.2, 14.9]]))
    grid = p.transformNode.GetTransformFromParent().GetDisplacementGrid()
    vectors = slicer.util.arrayFromGridTransform(p.transformNode)
    vectors += np.random.default_rng(3).normal(size=vectors.shape).astype(np.float32)
    grid.Modified()
    before = mrml.transform_points(p.transformNode, points)
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    scene.Clear(0)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    cases.settle(desktop)
    after = mrml.transform_points(sections.parameters.transformNode, points)
    np.testing.assert_allclose(after, before, atol=1e-4)
    reason = "The transform “control to planning” is not what the registration left."
    assert sections.standing.reasons == (reason,)  # the mask and the volumes are what they were


def test_a_slicer_that_is_too_old_says_so_and_offers_nothing(open_panel, desktop, monkeypatch):
    import slicer

    from RobustDIRLib.errors import InputError

    monkeypatch.setattr(slicer.app, "minorVersion", 8)
    panel = open_panel("RobustDIR")
    assert panel.ui.environmentLabel.text.startswith("RobustDIR needs 3D Slicer 5.10 or later, and this is 5.8")
    assert not any(getattr(panel.ui, name).enabled for name in ("registerButton", "fixedSelector", "compareSelector"))
    slicer.mrmlScene.Clear(0)
    panel.widget.enter()
    with pytest.raises(InputError, match="needs 3D Slicer 5.10"):
        panel.module.RobustDIRLogic().register(None)


def test_the_self_test_empties_the_scene_first(a_panel, scene):
    scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "of the user")
    test = a_panel.module.RobustDIRTest()
    test.setUp()
    assert scene.GetFirstNodeByName("of the user") is None


def test_devices_that_are_not_here_are_not_offered(a_panel, desktop, monkeypatch):
    from RobustDIRLib.panel import inputs
    from RobustDIRLib.panelparts import devices

    monkeypatch.setattr(devices, "_has_card", lambda: False)
    monkeypatch.setattr(devices.sys, "platform", "linux")
    assert set(devices.offered()) == {"auto", "cpu"}
    monkeypatch.setattr(devices, "_has_card", lambda: True)
    monkeypatch.setattr(devices, "version", lambda _: "2.6.0+cu124")
    assert set(devices.offered()) == {"auto", "cpu", "cuda"}
    monkeypatch.setattr(devices, "version", lambda _: "2.6.0+cpu")
    assert set(devices.offered()) == {"auto", "cpu"}
    p = a_panel.widget.panel.parameters
    p.device = "mps"
    cases.settle(desktop)
    assert a_panel.ui.forecastLabel.text.startswith("The device “Apple graphics (MPS)” is not here")
    assert inputs.of_device(p)
