"""The sample pair in Slicer's module Sample Data: offered, and made on a click there, without a panel."""

import sys
import types
from pathlib import Path

import pytest

from panel_cases import FIXED_GRID
from test_panel_state import sample_process, write_sample


class SampleDataLogic:
    """Slicer's, as far as extensions call it: the same arguments, and a list of what is offered."""

    offered = []

    @staticmethod
    def registerCustomSampleDataSource(
        category="Custom", sampleName=None, uris=None, fileNames=None, nodeNames=None, customDownloader=None,
        thumbnailFileName=None, loadFileType="VolumeFile", loadFiles=None, loadFileProperties=None, checksums=None,
    ):  # fmt: skip
        assert len(uris) == len(fileNames) == len(nodeNames)
        source = types.SimpleNamespace(**locals())
        if all(source.sampleName != one.sampleName for one in SampleDataLogic.offered):
            SampleDataLogic.offered.append(source)


@pytest.fixture
def offered(open_panel, desktop, monkeypatch):
    """What the module offers once the application has started."""
    import slicer

    monkeypatch.setitem(sys.modules, "SampleData", types.SimpleNamespace(SampleDataLogic=SampleDataLogic))
    monkeypatch.setattr(SampleDataLogic, "offered", [])
    open_panel("RobustDIR")
    slicer.app.emit("startupCompleted")
    return SampleDataLogic.offered


def test_the_pair_is_offered_with_a_picture(offered):
    (source,) = offered
    assert source.category == "RobustDIR"
    assert Path(source.thumbnailFileName).is_file()
    assert not any(uri.startswith("http") for uri in source.uris)


def test_an_application_without_that_module_is_no_failure(open_panel, desktop, monkeypatch):
    import slicer

    monkeypatch.setitem(sys.modules, "SampleData", None)
    open_panel("RobustDIR")
    slicer.app.emit("startupCompleted")


def test_a_click_makes_and_loads_the_pair_and_leaves_the_panel_alone(
    offered, open_panel, desktop, scene, tmp_path, monkeypatch
):
    from RobustDIRLib import mrml
    from RobustDIRLib.panel import sample
    from RobustDIRLib.panelparts import environment

    code = sample_process(tmp_path)
    write_sample(tmp_path)
    monkeypatch.setattr(environment, "examine", lambda *_: environment.Readiness((), (), True))
    monkeypatch.setattr(sample, "command", lambda folder: [sys.executable, "-c", code, str(folder)])
    loader = offered[0].customDownloader
    loader(offered[0])
    loader(offered[0])  # impatience makes one pair
    desktop.wait_until(lambda: not loader._background.busy)
    volumes = {node.GetName(): node for node in scene.GetNodesByClass("vtkMRMLScalarVolumeNode")}
    assert sorted(volumes) == ["Sample fixed", "Sample moving"]
    assert mrml.grid_of_volume(volumes["Sample fixed"]).shape == FIXED_GRID.shape
    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == 2
    # Deleted bit by bit, in ticks that have nothing else to do.
    desktop.wait_until(lambda: not loader._folder.parent.exists())


def test_what_is_missing_is_said_and_nothing_begins(offered, desktop, scene, monkeypatch):
    import slicer

    from RobustDIRLib.panelparts import environment

    said = []
    monkeypatch.setattr(slicer.util, "warningDisplay", lambda text, **_: said.append(text))
    torch = (environment.Requirement("torch"),)
    monkeypatch.setattr(environment, "examine", lambda *_: environment.Readiness(torch, (), has_extension=False))
    offered[0].customDownloader(offered[0])
    assert said[0].startswith("Missing: torch.")
    assert said[0].endswith("Open the module RobustDIR.")
    assert not offered[0].customDownloader._background.busy


def test_a_process_that_fails_says_why(offered, desktop, scene, monkeypatch):
    import slicer

    from RobustDIRLib.panel import sample
    from RobustDIRLib.panelparts import environment

    said = []
    monkeypatch.setattr(slicer.util, "warningDisplay", lambda text, **_: said.append(text))
    monkeypatch.setattr(environment, "examine", lambda *_: environment.Readiness((), (), True))
    code = "import sys; sys.exit('robustdir: nilearn is missing.')"
    monkeypatch.setattr(sample, "command", lambda _folder: [sys.executable, "-c", code])
    loader = offered[0].customDownloader
    loader(offered[0])
    desktop.wait_until(lambda: not loader._background.busy)
    assert "nilearn is missing" in said[0]
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
