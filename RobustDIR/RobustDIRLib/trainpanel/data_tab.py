"""The tab *Data*: the data set: its cases, its split by patient, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import slicer

from RobustDIRLib.errors import InputError
from RobustDIRLib.panelparts import widgets
from RobustDIRLib.panelparts.background import Background
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.presets import PRESETS
from RobustDIRLib.runner.launching import library_command
from RobustDIRLib.trainpanel import case_scene
from RobustDIRLib.trainpanel.cases_table import CasesTable
from RobustDIRLib.trainpanel.dataset_files import FOLDER, PAIRS, SCANS, pattern_settings, tame, write_settings
from RobustDIRLib.trainpanel.home import runs_home
from RobustDIRLib.trainpanel.opened import Opened, opened_from
from RobustDIRLib.trainpanel.pairs_box import PairsBox
from RobustDIRLib.trainpanel.scene_pairs import SceneWriting, pairs_in
from RobustDIRLib.trainpanel.split_box import SplitBox

PATTERN_PAIRS, PATTERN_SCANS, SCENE = "pattern-pairs", "pattern-scans", "scene"
_WITH_PARTS = ("auto", "learn2reg", "ixi", "paired3t")
_PATTERNS = {
    "fixed": "patternFixed", "moving": "patternMoving", "fixed_labels": "patternFixedLabels",
    "moving_labels": "patternMovingLabels", "fixed_landmarks": "patternFixedLandmarks",
    "moving_landmarks": "patternMovingLandmarks",
}  # fmt: skip
_CHOSEN = ("dataSource", "dataPath", "dataPart", "dataPreset", "pairing", "scenePairs")
_OF_PAIRS = ("patternMoving", "patternMovingLabels", "patternMovingLandmarks")


class DataTab(Section):
    """The data set that runs and evaluations take.

    Attributes:
        opened: What is in it; None while none is open.
        split: How its patients are shared out.
    """

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        ui = self.ui
        self.opened: Opened | None = None
        self._opening: tuple[str, str, str] | None = None  # path, kind and part of what is being looked through
        self._opened_by: tuple[Any, ...] = ()  # what was chosen then
        self.source = widgets.Choice(ui.sourceSelector, _sources(), self._chooser("dataSource"))
        self.preset = widgets.Choice(ui.presetSelector, _presets(), self._chooser("dataPreset"))
        self.pairing = widgets.Choice(ui.pairingSelector, _pairings(), self._chooser("pairing"))
        self.pairs, self.split, self.cases = PairsBox(self), SplitBox(self), CasesTable(self)
        self._checking = Background(self._checked, self._heard)
        self._showing = Background(self._case_written)
        ui.datasetPathEdit.connect("currentPathChanged(QString)", self._choose_path)
        ui.openDataButton.connect("clicked()", self.open)
        ui.showCaseButton.connect("clicked()", self.show_case)

    def _chooser(self, name: str) -> Any:
        choose = self.chooser(name)

        def choose_anew(key: str) -> None:
            choose(key)
            if self.parameters is not None:
                self.forget()

        return choose_anew

    def _choose_path(self, path: str) -> None:
        if self.parameters is not None and path != self.parameters.dataPath:
            self.parameters.dataPath = path
            self.forget()

    @property
    def busy(self) -> bool:
        """Whether a data set is being written or looked through."""
        return self._checking.busy

    def forget(self) -> None:
        """Another data set is meant: nothing of the old one may be trained on."""
        self._checking.stop()
        self._opening = self.opened = None
        self.split.forget()
        self.cases.forget()
        self.ui.problemsList.clear()
        widgets.set_text(self.ui.dataNote, "")
        self.panel.update_soon()

    def parameters_changed(self) -> None:
        """Of another scene, perhaps: its data set must be opened anew."""
        self.forget()
        self.ui.datasetPathEdit.currentPath = self.parameters.dataPath

    def update(self) -> None:
        """Show the parameters, and what can be clicked; what is chosen otherwise now is no longer open."""
        ui, p = self.ui, self.parameters
        if self._opening is not None and self._opened_by != self._meant():
            self.forget()
        for choice, key in ((self.source, p.dataSource), (self.preset, p.dataPreset), (self.pairing, p.pairing)):
            choice.show(key)
        self._show_what_belongs_to(p.dataSource)
        ready = self.panel.environment.state.ready
        ui.openDataButton.enabled = ready and not self.busy
        ui.showCaseButton.enabled = ready and self.cases.selected is not None and not self._showing.busy
        ui.problemsList.setVisible(ui.problemsList.count > 0)
        for widget in (ui.casesTable, ui.showCaseButton):
            widget.setVisible(self.opened is not None)
        self.pairs.update()
        self.split.update()
        self.cases.update()

    def _show_what_belongs_to(self, source: str) -> None:
        """Of the form, for a kind of data set."""
        ui, patterns = self.ui, source in (PATTERN_PAIRS, PATTERN_SCANS)
        for name in ("datasetPathEdit", "datasetPathLabel"):
            getattr(ui, name).setVisible(source != SCENE)
        for name in ("datasetPartEdit", "datasetPartLabel"):
            getattr(ui, name).setVisible(source in _WITH_PARTS)
        for name in ("presetSelector", "presetLabel"):
            getattr(ui, name).setVisible(patterns or source == SCENE)
        ui.patternFrame.setVisible(patterns)
        ui.sceneFrame.setVisible(source == SCENE)
        for name in _OF_PAIRS:
            getattr(ui, f"{name}Edit").setVisible(source == PATTERN_PAIRS)
            getattr(ui, f"{name}Label").setVisible(source == PATTERN_PAIRS)
        for name in ("pairingSelector", "pairingLabel"):
            getattr(ui, name).setVisible(source == PATTERN_SCANS)
        ui.openDataButton.text = _("Write and &open") if source == SCENE else _("&Open")

    def _meant(self) -> tuple[Any, ...]:
        return tuple(getattr(self.parameters, name) for name in (*_CHOSEN, *_PATTERNS.values()))

    def open(self) -> None:
        """Look through the data set that is chosen, in a process of its own; pairs of the scene are written first."""
        self.panel.say("")
        with self.panel.telling():
            self.forget()
            steps, path, kind = self._chosen()
            part = self.parameters.dataPart.strip() if self.parameters.dataSource in _WITH_PARTS else ""
            self._opening, self._opened_by = (str(path), kind, part), self._meant()
            words = Opened(str(path), kind, part, "", (), ()).words
            widgets.set_text(self.ui.dataNote, _("Looking through the data set …"), widgets.QUIET)
            self._checking.start(steps, library_command("dataset", "check", *words, "--progress", "json"))
        self.panel.update_soon()

    def _chosen(self) -> tuple[Iterator[None], Path, str]:
        """What is to be done first, the data set's path, and its kind."""
        p = self.parameters
        if p.dataSource == SCENE:
            name = tame(p.dataName)
            if not name:
                raise InputError(_("Give the data set a name: it becomes a folder in the runs folder."))
            writing = SceneWriting(pairs_in(p), runs_home() / FOLDER / name, p.dataPreset)
            return writing.steps(), writing.folder, "auto"
        if not p.dataPath.strip():
            raise InputError(_("Choose the place of the data set first."))
        path = Path(p.dataPath.strip())
        if not path.exists():
            raise InputError(_("{path} is not there: choose the place of the data set.").format(path=path))
        if p.dataSource not in (PATTERN_PAIRS, PATTERN_SCANS):
            return iter(()), path, p.dataSource
        way = PAIRS if p.dataSource == PATTERN_PAIRS else SCANS
        patterns = {role: getattr(p, name) for role, name in _PATTERNS.items()}
        settings = pattern_settings(path, way, patterns, p.pairing, p.dataPreset)
        return iter(()), write_settings(runs_home(), settings), "auto"

    def _heard(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            if event.get("event") == "progress":
                told = _("Case {done} of {cases} …").format(done=event["done"], cases=event["cases"])
                widgets.set_text(self.ui.dataNote, told, widgets.QUIET)

    def _checked(self, events: list[dict[str, Any]], problem: str) -> None:
        problems = [str(event["message"]) for event in events if event.get("event") == "problem"]
        for sentence in problems:
            self.ui.problemsList.addItem(sentence)
        assert self._opening is not None
        self.opened = None if problem else opened_from(*self._opening, events)
        if self.opened is None:
            told = _("The data set has {count} problems and is not used.").format(count=len(problems))
            widgets.set_text(self.ui.dataNote, told if problems else problem, widgets.BAD)
        else:
            self._tell_opened(self.opened)
            self.cases.fill(self.opened)
            self.split.share()
        self.panel.update_soon()

    def _tell_opened(self, opened: Opened) -> None:
        told = _("{name}: {cases} cases of {subjects} patients, no problems.").format(
            name=opened.name, cases=len(opened.cases), subjects=len(opened.subjects)
        )
        widgets.set_text(self.ui.dataNote, told, widgets.GOOD)
        for note in opened.notes:
            self.ui.problemsList.addItem(_("Note: {note}").format(note=note))

    def show_case(self) -> None:
        """Bring the selected case into the views."""
        case = self.cases.selected
        if case is None or self.opened is None or self._showing.busy:
            return
        with self.panel.telling():
            self.panel.say(_("Reading {case} …").format(case=case.name), widgets.QUIET)
            folder = self._showing.new_folder(Path(slicer.app.temporaryPath)) / "case"
            words = ["show", *self.opened.words, "--case", case.name, "--output", str(folder)]
            loading = case_scene.CaseLoading(folder, case.name)
            self._showing.start(iter(()), library_command("dataset", *words), loading.steps_to_views())
        self.panel.update_soon()

    def _case_written(self, _events: list[dict[str, Any]], problem: str) -> None:
        self.panel.say(problem)
        self.panel.update_soon()

    def scene_closes(self) -> None:
        """What is being read for the scene has no place any more; neither have its pairs."""
        if self._showing.busy:
            self._showing.stop()
            self.panel.say(_("The scene was closed before the case was read."), widgets.QUIET)
        if self.parameters is not None and self.parameters.dataSource == SCENE:
            self._checking.stop()

    def close(self) -> None:
        """Nothing may run on."""
        for background in (self._checking, self._showing):
            background.stop()
        self.split.close()
        self.cases.close()


def _sources() -> dict[str, str]:
    return {
        "auto": _("Folder, its kind found out"),
        "learn2reg": _("Learn2Reg or Decathlon"),
        "dirlab-4dct": _("DIR-Lab 4DCT"),
        "dirlab-copdgene": _("DIR-Lab COPDgene"),
        "ixi": "IXI",
        "paired3t": "Paired3T",
        "folders": _("Folders named fixed and moving"),
        PATTERN_PAIRS: _("Folder, pairs by a pattern"),
        PATTERN_SCANS: _("Folder, single scans by a pattern"),
        SCENE: _("Pairs of this scene"),
    }


def _presets() -> dict[str, str]:
    return {preset.name: preset.title for preset in PRESETS.values()}


def _pairings() -> dict[str, str]:
    return {
        "neighbours": _("Neighbours: 1-2, 3-4, …"),
        "chain": _("Chain: 1-2, 2-3, …"),
        "first": _("All with the first: 1-2, 1-3, …"),
        "all": _("Each with each"),
    }
