"""The panels' .ui files against what Slicer's widgets really have, and the check itself on files with a fault each."""

from pathlib import Path

import pytest

from SlicerHeadless import availability

ROOT = Path(__file__).parents[2]
UI_FILES = sorted(ROOT.glob("RobustDIR*/Resources/UI/*.ui"))
EXAMPLE = Path(__file__).with_name("example") / "Resources" / "UI" / "Example.ui"


@pytest.fixture
def ui_check():
    if availability.why_no_desktop():
        pytest.skip(availability.why_no_desktop())
    from SlicerHeadless import ui_check

    return ui_check


@pytest.mark.parametrize("path", [*UI_FILES, EXAMPLE], ids=lambda path: path.name)
def test_ui_files_name_only_what_there_is(ui_check, path):
    assert ui_check.problems_of(path) == []


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ('class="ctkSliderWidget"', 'class="ctkSlidingWidget"', "there is no widget class ctkSlidingWidget"),
        ('class="QCheckBox"', 'class="QChekBox"', "there is no widget class QChekBox"),
        ('name="maximum"', 'name="maximun"', "ctkSliderWidget has no property maximun"),
        ('name="noneEnabled"', 'name="noneAllowed"', "qMRMLNodeComboBox has no property noneAllowed"),
        ('name="enabled"', 'name="enable"', "QPushButton has no property enable"),
        ("SlicerParameterName", "SlicerParametername", "SlicerParametername is none that Slicer reads"),
        ("mrmlSceneChanged(vtkMRMLScene*)", "mrmlSceneChange(vtkMRMLScene*)", "no signal mrmlSceneChange("),
        ("<cstring>fixedSelector<", "<cstring>fixtSelector<", "there is no widget fixtSelector"),
        ("<sender>Example</sender>", "<sender>Exampel</sender>", "there is no widget Exampel"),
        ("<receiver>movingSelector<", "<receiver>movedSelector<", "there is no widget movedSelector"),
        ('name="movingSelector"', 'name="fixedSelector"', "two widgets are named fixedSelector"),
    ],
)  # fmt: skip
def test_a_fault_is_found(ui_check, tmp_path, right, wrong, problem):
    text = EXAMPLE.read_text(encoding="utf-8")
    assert right in text
    broken = tmp_path / "broken.ui"
    broken.write_text(text.replace(right, wrong), encoding="utf-8")
    assert any(problem in found for found in ui_check.problems_of(broken)), ui_check.problems_of(broken)


def test_signatures_are_compared_as_qt_does(ui_check):
    assert ui_check.normalized("currentNodeIDChanged(const QString& id)") == "currentNodeIDChanged(QString)"
    assert ui_check.normalized("nodeAdded( vtkMRMLNode * node )") == ui_check.normalized("nodeAdded(vtkMRMLNode*)")
    assert ui_check.normalized("clicked()") == "clicked()"


def test_every_stand_in_is_of_a_real_class(desktop):
    from SlicerHeadless import ui_check, ui_loader

    invented = set(ui_loader.STAND_INS) - set(ui_check.table()) - {"qSlicerScriptedLoadableModuleWidget"}
    assert not invented


def test_stand_ins_have_only_properties_that_the_real_widgets_have(desktop):
    from SlicerHeadless import ui_check, ui_loader

    for name, stand_in in ui_loader.STAND_INS.items():
        real = ui_check.properties_of(name)
        meta = stand_in.staticMetaObject
        own = {meta.property(k).name() for k in range(meta.propertyOffset(), meta.propertyCount())}
        assert real is None or own <= real, f"{name}: {sorted(own - real)}"


def test_the_loader_refuses_a_faulty_file(desktop, tmp_path):
    import slicer

    broken = tmp_path / "broken.ui"
    broken.write_text(EXAMPLE.read_text(encoding="utf-8").replace('name="maximum"', 'name="maximun"'), encoding="utf-8")
    with pytest.raises(RuntimeError, match="no property maximun"):
        slicer.util.loadUI(str(broken))
