"""The tab Train on the module's real file: the form, presets, the forecast, the start, and the synthetic preview."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from finetuning_cases import decathlon
from panel_cases import settle
from RobustDIRLib.configuration import from_dict
from RobustDIRLib.finetuning.config import FinetuneConfig
from RobustDIRLib.model_store import SHIPPED
from RobustDIRLib.synthesis.bank import BankSettings
from RobustDIRLib.training.config import TrainingConfig
from RobustDIRLib.trainpanel.opened import Opened, OpenedCase, Shared
from RobustDIRLib.trainpanel.plan import Plan
from train_panel_cases import play_here

LABELS = {"fixed_labels": "a.nii", "moving_labels": "b.nii"}


def choose(choice, key: str) -> None:
    """As the user does: by the entry of the combo box."""
    choice.combo.setCurrentIndex(choice.keys.index(key))


@pytest.fixture
def a_tab(train_panel, desktop, tmp_path):
    """The tab with a data set open and shared out, as the tab Data leaves it."""
    (tmp_path / "set").mkdir()
    cases = [OpenedCase(f"{w}", (w, w), "generic", LABELS, 3, (), (20, 22, 24), 12_000.0) for w in "abcdefg"]
    data = train_panel.widget.panel.data
    data.opened = Opened(str(tmp_path / "set"), "folders", "", "my set", (), tuple(cases))
    parts = {"train": tuple("abcd"), "validation": ("e",), "test": tuple("fg")}
    shared = Shared(parts, {n: len(s) for n, s in parts.items()}, {n: 2 * len(s) for n, s in parts.items()})
    data.split.shared, data.split._asked = shared, data.split._wanted()
    train_panel.widget.panel.show_tab("trainTab")
    settle(desktop)
    return train_panel


@pytest.fixture
def begun(monkeypatch, a_tab):
    """Folders and words of runs that were begun; nothing runs."""
    found = []
    monkeypatch.setattr(a_tab.widget.panel.runs, "begin", lambda folder, words: found.append((folder, words)))
    return found


def test_a_fine_tuning_is_started_with_what_the_form_says(a_tab, desktop, begun, runs_folder):
    ui, train = a_tab.ui, a_tab.widget.panel.train
    ui.epochsBox.value = 7
    ui.learningRateBox.value = 0.00025
    ui.gradientWeightBox.value = 0.3
    ui.intensityCheckBox.checked = True
    ui.seedBox.value = 11
    choose(train.loss, "dice")
    choose(train.device, "cpu")
    settle(desktop)
    assert "of memory" in ui.runForecastLabel.text and "At most" in ui.runForecastLabel.text
    ui.startRunButton.click()
    [(folder, words)] = begun
    assert folder.parent == runs_folder and words[0] == "finetune" and words[-1] == "json"
    config = from_dict(FinetuneConfig, json.loads((folder / "settings.json").read_text(encoding="utf-8")))
    assert (config.epochs, config.seed, config.device, config.initial) == (7, 11, "cpu", "generic")
    assert (config.optimizer.learning_rate, config.loss.gradient, config.loss.dice) == (0.00025, 0.3, 1.0)
    assert config.augmentation.noise == 0.5 and config.split.validation == ("e",)
    assert ui.trainTabs.currentWidget().objectName == "runsTab"
    ui.startRunButton.click()
    assert len({folder for folder, _ in begun}) == 2  # never two runs in one folder


def test_a_pretraining_is_started_and_needs_no_data(train_panel, desktop, runs_folder, monkeypatch):
    found = []
    monkeypatch.setattr(train_panel.widget.panel.runs, "begin", lambda folder, words: found.append((folder, words)))
    ui, train = train_panel.ui, train_panel.widget.panel.train
    choose(train.purpose, "pretrain")
    settle(desktop)
    assert "" in train.model.keys and ui.syntheticFrame.isVisibleTo(ui.TrainTab)
    assert not ui.dataTrainFrame.isVisibleTo(ui.TrainTab)
    choose(train.model, "")
    choose(train.shapes, "spheres")
    ui.mapsBox.value, ui.sideBox.value, ui.stepsBox.value = 3, 32, 12
    settle(desktop)
    assert "About" in ui.runForecastLabel.text
    ui.startRunButton.click()
    [(folder, words)] = found
    assert words[0] == "pretrain" and str(folder / "bank.json") in words
    config = from_dict(TrainingConfig, json.loads((folder / "settings.json").read_text(encoding="utf-8")))
    bank = from_dict(BankSettings, json.loads((folder / "bank.json").read_text(encoding="utf-8")))
    assert config.steps == 12 and config.initial is None and bank.labels.kinds == ("spheres",)


def test_another_purpose_leaves_nothing_chosen_that_it_does_not_have(train_panel, desktop):
    train, p = train_panel.widget.panel.train, train_panel.widget.panel.parameters
    choose(train.loss, "nmi")
    choose(train.purpose, "pretrain")
    settle(desktop)
    assert p.loss == "auto" and train.loss.key == "auto"
    choose(train.model, "")
    choose(train.purpose, "finetune")
    settle(desktop)
    assert p.startModel == "generic" and train.model.key == "generic"


def test_presets_are_applied_told_apart_saved_and_removed(a_tab, desktop):
    ui, train = a_tab.ui, a_tab.widget.panel.train
    choose(train.preset, "paper")
    settle(desktop)
    assert (ui.gradientWeightBox.value, ui.epochsBox.value, train.loss.key) == (0.75, 300, "dice")
    assert ui.intensityCheckBox.checked and train.preset.key == "paper"
    ui.epochsBox.value = 299
    settle(desktop)
    assert train.preset.key == ""  # no longer the paper's
    ui.presetNameEdit.text = "mine"
    ui.savePresetButton.click()
    settle(desktop)
    choose(train.preset, "ten-minutes")
    settle(desktop)
    assert train.outlook.seconds <= 600 and ui.epochsBox.value <= 5
    choose(train.preset, "own:mine")
    settle(desktop)
    assert (ui.epochsBox.value, ui.gradientWeightBox.value) == (299, 0.75)
    ui.removePresetButton.click()
    settle(desktop)
    assert "own:mine" not in train.preset.keys and ui.epochsBox.value == 299
    ui.presetNameEdit.text = "  "
    ui.savePresetButton.click()
    assert "Give the preset a name" in ui.messageLabel.text


def test_a_preset_of_that_name_is_replaced_once_the_user_has_said_so(a_tab, desktop, dialogs):
    from RobustDIRLib.trainpanel import presets

    ui = a_tab.ui
    ui.presetNameEdit.text = "mine"
    for epochs, answer, kept in ((7, "", 7), (8, "No", 7), (9, "Yes", 9)):
        ui.epochsBox.value = epochs
        settle(desktop)
        dialogs.reset()
        if answer:
            dialogs.answer(answer)
        ui.savePresetButton.click()
        settle(desktop)
        assert presets.own_presets()["mine"].epochs == kept
        assert [text for text in dialogs.texts if "Replace" in text] == (
            ["Replace the preset “mine” by the settings below?"] if answer else []
        )
    presets.remove_preset("mine")


def test_damaged_presets_in_the_settings_are_passed_over(desktop):
    import slicer

    from RobustDIRLib.trainpanel import presets

    for held in ("{", "[1]", '{"good": {"epochs": 3}, "bad": 7, "odd": {"epochs": "x", "loss": 3}}', None):
        slicer.app.settings().setValue(presets.SETTING, held)
        assert all(isinstance(plan, Plan) for plan in presets.own_presets().values())
    slicer.app.settings().remove(presets.SETTING)


def test_the_model_to_start_from_shows_its_card(a_tab, desktop):
    ui, train = a_tab.ui, a_tab.widget.panel.train
    for name in ("hippocampus-mri", "generic"):
        choose(train.model, name)
        settle(desktop)
        card = (SHIPPED / name / "card.md").read_text(encoding="utf-8")
        assert ui.startModelSelector.toolTip == card
        assert ui.startModelNote.text in " ".join(card.replace("**", "").replace("`", "").split())
        assert len(ui.startModelNote.text) > 40


def test_what_a_preset_does_not_say_stays():
    from RobustDIRLib.trainpanel import presets

    plan = Plan(device="cpu", threads=2, deformation_model="here.npz")
    assert presets.applied(replace(Plan(), epochs=9), plan) == replace(plan, epochs=9)


def test_the_data_set_moved_is_one_sentence_and_leaves_no_folder(a_tab, desktop, begun, runs_folder, tmp_path):
    shutil.move(tmp_path / "set", tmp_path / "elsewhere")
    a_tab.ui.startRunButton.click()
    assert "is no longer there" in a_tab.ui.messageLabel.text
    assert begun == [] and not list(runs_folder.glob("*finetune*"))


def test_a_run_that_cannot_be_started_leaves_no_folder(a_tab, desktop, monkeypatch, runs_folder):
    from RobustDIRLib.errors import InputError

    def refuse(folder, words):
        raise InputError("PythonSlicer cannot be started; reinstall 3D Slicer.")

    monkeypatch.setattr(a_tab.widget.panel.runs, "begin", refuse)
    a_tab.ui.startRunButton.click()
    assert "cannot be started" in a_tab.ui.messageLabel.text and list(runs_folder.iterdir()) == []


def test_a_start_file_is_taken_once_it_is_a_model(a_tab, desktop, dialogs, tmp_path, monkeypatch):
    play_here(monkeypatch)
    ui, train = a_tab.ui, a_tab.widget.panel.train
    (tmp_path / "letter.pt").write_bytes(b"Dear colleague")
    dialogs.answer(str(tmp_path / "letter.pt"))
    ui.startFileButton.click()
    desktop.wait_until(lambda: not train._examining.busy)
    settle(desktop)
    assert "letter.pt" in ui.messageLabel.text and "\n" not in ui.messageLabel.text and train.model.key == "generic"
    mine = tmp_path / "mine" / "weights.pt"
    mine.parent.mkdir()
    shutil.copy(SHIPPED / "generic" / "weights.pt", mine)
    dialogs.answer(str(mine))
    ui.startFileButton.click()
    desktop.wait_until(lambda: not train._examining.busy)
    settle(desktop)
    assert train.model.key == str(mine) and ui.messageLabel.text == ""
    mine.unlink()
    settle(desktop)
    a_tab.widget.panel.update()
    assert "is not here" in ui.startModelNote.text
    ui.startRunButton.click()
    assert str(mine) in ui.messageLabel.text


def test_a_deformation_model_is_built_and_chosen(a_tab, desktop, begun, runs_folder):
    ui, train = a_tab.ui, a_tab.widget.panel.train
    ui.virtualBox.value = 50
    settle(desktop)
    assert "need a deformation model" in ui.runForecastLabel.text
    ui.buildDeformationButton.click()
    [(folder, words)] = begun
    assert words[:2] == ["deformation-model", "build"]
    assert json.loads((folder / "split.json").read_text(encoding="utf-8"))["test"] == ["f", "g"]
    np.savez(folder / "deformation_model.npz", mean=np.zeros(3))
    a_tab.widget.panel.update()
    choose(train.deformations, str(folder / "deformation_model.npz"))
    settle(desktop)
    assert "At most" in ui.runForecastLabel.text


def test_one_click_puts_a_synthetic_pair_into_the_scene(train_panel, desktop, scene, monkeypatch):
    """By the form's settings, another one at every click, with its labels and its deformation as a grid."""
    from RobustDIRLib import mrml

    play_here(monkeypatch)
    ui, train = train_panel.ui, train_panel.widget.panel.train
    choose(train.purpose, "pretrain")
    choose(train.shapes, "large")
    choose(train.contrast, "static")
    ui.sideBox.value = 32
    settle(desktop)
    voxels = []
    for _ in range(2):
        ui.syntheticButton.click()
        desktop.wait_until(lambda: not train.synthetic.busy)
        settle(desktop)
        assert ui.messageLabel.text == "", ui.messageLabel.text
        [transform] = list(scene.GetNodesByClass("vtkMRMLGridTransformNode"))
        volumes = scene.GetNodesByClass("vtkMRMLScalarVolumeNode")
        images = [node for node in volumes if not node.IsA("vtkMRMLLabelMapVolumeNode")]
        [fixed] = [node for node in images if node.GetName().startswith("Synthetic fixed")]
        voxels.append(mrml.volume_from_node(fixed).array.copy())
        assert fixed.GetImageData().GetDimensions() == (32, 32, 32)
        assert transform.GetDisplayNode().GetVisibility2D()
        assert scene.GetNodesByClass("vtkMRMLLabelMapVolumeNode").GetNumberOfItems() == 2
    assert not np.array_equal(*voxels)
    ui.sideBox.value = 40
    settle(desktop)
    ui.syntheticButton.click()
    assert "multiple of 16" in ui.messageLabel.text


def test_a_pair_of_the_data_set_is_previewed_as_the_run_would_learn_from_it(
    train_panel, desktop, scene, monkeypatch, tmp_path
):
    """Each click the next one of the run's first epoch, with labels, where it lies; without a data set nothing."""
    from RobustDIRLib import mrml
    from RobustDIRLib.io.images import read_image

    play_here(monkeypatch)
    ui, panel = train_panel.ui, train_panel.widget.panel
    ui.syntheticButton.click()
    assert "No data set is open" in ui.messageLabel.text and not panel.train.synthetic.busy
    ui.datasetPathEdit.currentPath = str(decathlon(tmp_path / "organs"))
    panel.parameters.trainPercent, panel.parameters.alignment = 70, "none"
    ui.openDataButton.click()
    desktop.wait_until(lambda: panel.data.split.shared is not None)
    settle(desktop)
    fixed = []
    for _ in range(2):
        ui.syntheticButton.click()
        desktop.wait_until(lambda: not panel.train.synthetic.busy)
        settle(desktop)
        said = ui.messageLabel.text
        assert said.startswith("In the views: organ_"), said
        volumes = [
            n for n in scene.GetNodesByClass("vtkMRMLScalarVolumeNode") if not n.IsA("vtkMRMLLabelMapVolumeNode")
        ]
        [node] = [n for n in volumes if n.GetName().startswith("Preview fixed")]
        image = read_image(tmp_path / "organs" / "imagesTr" / said.removeprefix("In the views: ").split()[0])
        middles = [g.points_from_voxels((np.array(g.shape) - 1) / 2) for g in (mrml.grid_of_volume(node), image.grid)]
        np.testing.assert_allclose(*middles, atol=max(image.grid.spacing))
        assert scene.GetNodesByClass("vtkMRMLLabelMapVolumeNode").GetNumberOfItems() == 2
        assert scene.GetNodesByClass("vtkMRMLGridTransformNode").GetNumberOfItems() == 0
        fixed.append(said)
        for labels in scene.GetNodesByClass("vtkMRMLLabelMapVolumeNode"):
            background = [0.0] * 4
            labels.GetDisplayNode().GetColorNode().GetColor(0, background)
            assert background[3] == 0  # it is not drawn over the image
    assert len(set(fixed)) == 2


def test_more_settings_are_those_of_the_purpose_and_tell_that_they_were_changed(a_tab, desktop, begun):
    ui, train = a_tab.ui, a_tab.widget.panel.train
    ui.moreCollapsibleButton.collapsed = False
    choose(train.loss, "nmi")
    settle(desktop)
    assert ui.moreCollapsibleButton.text == "More settings"
    assert not ui.extraNmiBox.enabled and ui.extraDiceBox.enabled and not ui.virtualLowBox.enabled
    ui.extraDiceBox.value = 0.25
    ui.freezeEdit.setText("encoder")
    choose(train.more.choices["judge"], "loss")
    choose(train.more.choices["run_preset"], "lung-ct")
    settle(desktop)
    assert ui.moreCollapsibleButton.text == "More settings (changed)"
    ui.startRunButton.click()
    [(folder, _words)] = begun
    config = from_dict(FinetuneConfig, json.loads((folder / "settings.json").read_text(encoding="utf-8")))
    assert (config.loss.nmi, config.loss.dice, config.freeze) == (1.0, 0.25, ("encoder",))
    assert (config.judge, config.preset) == ("loss", "lung-ct")
    choose(train.purpose, "pretrain")
    settle(desktop)
    assert not ui.moreDataFrame.isVisibleTo(ui.TrainTab) and not ui.extraMindBox.isVisibleTo(ui.TrainTab)
    assert ui.extraDiceBox.isVisibleTo(ui.TrainTab)


def test_deformations_of_a_file_that_is_asked_for(a_tab, desktop, dialogs, tmp_path):
    ui, train = a_tab.ui, a_tab.widget.panel.train
    np.savez(tmp_path / "breaths.npz", motions=np.zeros(3))
    (tmp_path / "letter.npz").write_text("Dear colleague")
    for answer, said, chosen in (
        ("", "", ""),
        ("letter.npz", "is no deformation model", ""),
        ("breaths.npz", "", "breaths.npz"),
    ):
        dialogs.answer(str(tmp_path / answer) if answer else "")
        choose(train.deformations, "file:")
        settle(desktop)
        assert said in ui.messageLabel.text
        assert a_tab.widget.panel.parameters.deformationModel == (str(tmp_path / chosen) if chosen else "")
        assert train.deformations.key == (str(tmp_path / chosen) if chosen else "")
    ui.virtualBox.value = 50
    settle(desktop)
    assert "At most" in ui.runForecastLabel.text and ui.virtualLowBox.enabled


def test_every_option_says_what_the_paper_has():
    """But for those that a paper has no say in."""
    import xml.etree.ElementTree as ET
    from pathlib import Path

    root = ET.parse(Path(__file__).parents[2] / "RobustDIRTrain" / "Resources" / "UI" / "TrainTab.ui").getroot()
    kinds = {"QComboBox", "QSpinBox", "QDoubleSpinBox", "QCheckBox", "QLineEdit"}
    silent = {"runPresetSelector", "presetNameEdit", "threadsBox", "seedBox"}
    tips = {
        w.get("name"): "".join(w.find("property[@name='toolTip']").itertext())
        for w in root.iter("widget")
        if w.get("class") in kinds
    }
    assert {name for name, tip in tips.items() if "paper" not in tip} == silent


def test_words_and_settings_of_a_pretraining_start_it(tmp_path):
    """The command itself, on a tiny pair, one step."""
    from RobustDIRLib.cli import main
    from RobustDIRLib.trainpanel import plan_settings

    folder = tmp_path / "pre"
    folder.mkdir()
    plan = Plan(purpose="pretrain", start_model="generic", maps=1, side=32, steps=1, shapes="large", device="cpu")
    (folder / "bank.json").write_text(json.dumps(plan_settings.bank_settings(plan)))
    model = SHIPPED / "generic" / "weights.pt"
    (folder / "settings.json").write_text(json.dumps(plan_settings.pretrain_settings(plan, model)))
    assert main(plan_settings.words_of(plan, folder)) == 0
    assert (folder / "weights.pt").is_file() and len(list((folder / "bank").glob("labels_*.npz"))) == 1
