"""The tab *Train*: a run's settings, their forecast, and its start."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import qt
import slicer

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import write_json
from RobustDIRLib.io.free_memory import available_memory
from RobustDIRLib.model_store import DEFAULT_MODEL
from RobustDIRLib.panelparts import models, widgets
from RobustDIRLib.panelparts.background import Background
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.run_files import CHECKPOINT, SPLIT
from RobustDIRLib.runner.launching import library_command
from RobustDIRLib.runner.outlook import Paces, RunOutlook, foresee, paces_of
from RobustDIRLib.trainpanel import plan as plans
from RobustDIRLib.trainpanel import plan_refusals, plan_settings, presets, start_choices, train_words
from RobustDIRLib.trainpanel.home import new_run, runs_home
from RobustDIRLib.trainpanel.more_box import MoreBox
from RobustDIRLib.trainpanel.plan import FINETUNE, PAPER, PRETRAIN, RANDOM, SCRATCH, TEN_MINUTES, Plan
from RobustDIRLib.trainpanel.synthetic_box import SyntheticBox

_OWN = "own:"  # before the names of the user's presets
_FILE = "file:"  # instead of a deformation model's: that it is to be asked for
_LEARNT_EVERY = 30_000  # milliseconds between looks at the paces of runs


class TrainTab(Section):
    """A run's settings, their forecast, and its start."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        ui = self.ui
        choose = self.chooser
        self.purpose = widgets.Choice(ui.purposeSelector, train_words.purposes(), self._choose_purpose)
        self.preset = widgets.Choice(ui.runPresetSelector, {}, self._apply)
        self.model = widgets.Choice(ui.startModelSelector, {}, choose("startModel"))
        self.network = widgets.Choice(ui.networkSelector, train_words.networks(), choose("network"))
        self.loss = widgets.Choice(ui.lossSelector, {}, choose("loss"))
        self.deformations = widgets.Choice(ui.deformationModelSelector, {}, self._choose_deformations)
        self.shapes = widgets.Choice(ui.shapesSelector, train_words.shapes(), choose("shapes"))
        self.contrast = widgets.Choice(ui.contrastSelector, train_words.contrasts(), choose("contrast"))
        self.device = widgets.Choice(ui.runDeviceSelector, start_choices.devices(), choose("device"))
        self.synthetic, self.more = SyntheticBox(self), MoreBox(self)
        self.outlook: RunOutlook | None = None
        self._paces = Paces()
        self._applied = ("", Plan())  # preset, and what it made of the form
        self._examining = Background(self._examined)
        self._file = ""  # that is being examined
        ui.savePresetButton.connect("clicked()", self.save_preset)
        ui.removePresetButton.connect("clicked()", self.remove_preset)
        ui.startFileButton.connect("clicked()", self.choose_file)
        ui.buildDeformationButton.connect("clicked()", self.build_deformations)
        ui.startRunButton.connect("clicked()", self.start)
        self._timer = widgets.timer(_LEARNT_EVERY, self._learn)
        self._timer.start()
        self._learn()

    def _choose_purpose(self, purpose: str) -> None:
        """What the new purpose does not have is not left chosen."""
        p = self.parameters
        if p is None:
            return
        p.purpose = purpose
        if purpose == FINETUNE and p.startModel == RANDOM:
            p.startModel = Plan.start_model
        if p.loss not in train_words.losses(purpose):
            p.loss = Plan.loss

    def _choose_deformations(self, key: str) -> None:
        """Those of a run, or of a file that is asked for."""
        if key == _FILE:
            title, kinds = _("Deformation model, or motions of breathing"), _("Files of deformations (*.npz)")
            key = str(qt.QFileDialog.getOpenFileName(None, title, "", kinds))
            if not key:
                self.panel.update_soon()
                return
        with self.panel.telling():
            if key:
                plan_refusals.virtual_source(Path(key))
            self.chooser("deformationModel")(key)
            self.panel.say("")
        self.panel.update_soon()

    @property
    def plan(self) -> Plan:
        """What the form says."""
        return Plan.of(self.parameters)

    @property
    def data(self) -> tuple[Any, Any]:
        """The data set that is open, and how it is shared out; None for what there is none of."""
        return self.panel.data.opened, self.panel.data.split.shared

    def _learn(self) -> None:
        """Take the paces of this machine's runs."""
        self._paces = paces_of([runs_home()])
        self.panel.update_soon()

    def update(self) -> None:
        """Show the parameters, what belongs to the purpose, and the forecast."""
        plan = self.plan
        self._show_choices(plan)
        ui, pretraining = self.ui, plan.purpose == PRETRAIN
        ui.dataTrainFrame.setVisible(not pretraining)
        ui.syntheticFrame.setVisible(pretraining)
        for widget in (ui.startModelSelector, ui.startModelSelectorLabel, ui.startFileButton):
            widget.setVisible(plan.purpose != SCRATCH)
        for widget in (ui.networkSelector, ui.networkSelectorLabel):
            widget.setVisible(plan.random)
        ui.lossWeightBox.enabled = pretraining or plan.loss != "auto" or bool(plan.extras)
        self.more.show(plan)
        ui.deformationModelSelector.enabled = plan.virtual_percent > 0
        self._show_model(plan)
        self._show_forecast(plan)
        ready = self.panel.environment.state.ready
        ui.startRunButton.enabled = ready
        ui.startFileButton.enabled = ready and not self._examining.busy
        ui.buildDeformationButton.enabled = ready and self.data[1] is not None
        self.synthetic.update()

    def _show_choices(self, plan: Plan) -> None:
        own = {f"{_OWN}{name}": name for name in presets.own_presets()}
        self.preset.set_options({"": _("(as below)"), **train_words.presets(), **own})
        name, made = self._applied
        self.preset.show(name if name and made == plan else "")
        self.ui.removePresetButton.enabled = self.preset.key.startswith(_OWN)
        self.model.set_options(start_choices.start_models(plan))
        self.loss.set_options(train_words.losses(plan.purpose))
        models_of_runs = start_choices.deformation_models(plan.deformation_model)
        self.deformations.set_options({"": _("(none)"), **models_of_runs, _FILE: _("From file…")})
        for choice, key in (
            (self.purpose, plan.purpose), (self.model, plan.start_model), (self.network, plan.network),
            (self.loss, plan.loss), (self.deformations, plan.deformation_model), (self.shapes, plan.shapes),
            (self.contrast, plan.contrast), (self.device, plan.device),
        ):  # fmt: skip
            choice.show(key)

    def _show_model(self, plan: Plan) -> None:
        """The card of the model to start from."""
        cards = models.cards()
        self.ui.startModelSelector.toolTip = cards.get(plan.start_model, (self.ui.startModelSelectorLabel.toolTip, 0))[
            0
        ]
        if plan.random:
            widgets.set_text(self.ui.startModelNote, train_words.random_note(plan.network), widgets.QUIET)
        elif plan.start_model in cards:
            widgets.set_text(self.ui.startModelNote, models.purpose(cards[plan.start_model][0]), widgets.QUIET)
        elif Path(plan.start_model).is_file():
            widgets.set_text(self.ui.startModelNote, plan.start_model, widgets.QUIET)
        else:
            gone = _("The model “{name}” is not here: choose another one.").format(name=plan.start_model)
            widgets.set_text(self.ui.startModelNote, gone, widgets.BAD)

    def _show_forecast(self, plan: Plan) -> None:
        self.outlook = None
        try:
            plan_refusals.refuse(plan, *self.data)
            work = plans.work_of(plan, *self.data, start_choices.model_file(plan))
        except InputError as error:
            widgets.set_text(self.ui.runForecastLabel, str(error), widgets.QUIET)
            return
        self.outlook = foresee(work, self._paces, available_memory(), _free_disk(runs_home()))
        told = self.outlook.problem or train_words.forecast(self.outlook, plan)
        widgets.set_text(self.ui.runForecastLabel, told, widgets.CAREFUL if self.outlook.problem else widgets.QUIET)

    def _apply(self, name: str) -> None:
        """Put a preset into the form."""
        if self.parameters is None or not name:
            return
        made = self._preset(name, self.plan)
        self._applied = (name, made)
        made.put(self.parameters)
        self.panel.update_soon()

    def _preset(self, name: str, plan: Plan) -> Plan:
        if name == PAPER:
            return plans.paper(plan)
        if name == TEN_MINUTES:
            return plans.ten_minutes(plan, *self.data, self._paces)
        own = presets.own_presets().get(name.removeprefix(_OWN))
        return plan if own is None else presets.applied(own, plan)

    def save_preset(self) -> None:
        """Keep the form under a name of the user's."""
        name = str(self.ui.presetNameEdit.text).strip()
        question = _("Replace the preset “{name}” by the settings below?").format(name=name)
        if name in presets.own_presets() and not slicer.util.confirmYesNoDisplay(question, windowTitle="RobustDIR"):
            return
        with self.panel.telling():
            kept = presets.save_preset(name, self.plan)
            self._applied = (f"{_OWN}{kept}", self.plan)
            self.panel.say("")
        self.panel.update_soon()

    def remove_preset(self) -> None:
        """Forget the selected preset of the user's."""
        if not self.preset.key.startswith(_OWN):
            return
        with self.panel.telling():
            presets.remove_preset(self.preset.key.removeprefix(_OWN))
            self._applied = ("", Plan())
            self.panel.say("")
        self.panel.update_soon()

    def choose_file(self) -> None:
        """Start from a file, once a process of its own has found that it is a model."""
        path = qt.QFileDialog.getOpenFileName(None, _("Model or checkpoint"), "", _("Model files (*.pt *.pth)"))
        if not path or self._examining.busy:
            return
        self._file = str(path)
        self.panel.say(_("Looking at {name} …").format(name=Path(self._file).name), widgets.QUIET)
        words = ["models", "show", self._file]
        if Path(self._file).name.endswith(CHECKPOINT):
            words.append("--checkpoint")
        self._examining.start(iter(()), library_command(*words))
        self.panel.update_soon()

    def _examined(self, _events: list[dict[str, Any]], problem: str) -> None:
        self.panel.say(problem)
        if not problem and self.parameters is not None:
            self.parameters.startModel = self._file
        self.panel.update_soon()

    def start(self) -> None:
        """Write the settings into a new folder and start the run there."""
        self.panel.say("")
        with self.panel.telling():
            plan, (opened, shared) = self.plan, self.data
            plan_refusals.refuse(plan, opened, shared)
            model = start_choices.model_file(plan)
            title = "synthetic" if plan.purpose == PRETRAIN else opened.name
            with new_run(plan.command, title) as folder:
                if plan.purpose == PRETRAIN:
                    write_json(folder / plan_settings.BANK_SETTINGS, plan_settings.bank_settings(plan))
                    write_json(folder / plan_settings.SETTINGS, plan_settings.pretrain_settings(plan, model))
                else:
                    write_json(folder / plan_settings.SETTINGS, plan_settings.finetune_settings(plan, opened, shared))
                self.panel.runs.begin(folder, plan_settings.words_of(plan, folder))
            self._tell_begun(folder)

    def build_deformations(self) -> None:
        """Start a run that builds a deformation model of the training pairs."""
        self.panel.say("")
        opened, shared = self.data
        with self.panel.telling():
            if opened is None or shared is None:
                raise InputError(_("No data set is open: choose one in the tab Data."))
            if shared.cases.get("train", 0) < 2 and not opened.two_people:
                raise InputError(_("A deformation model needs at least two training pairs: give more to training."))
            plan = self.plan
            method = DEFAULT_MODEL if plan.random else plan.start_model
            with new_run("deformation-model", opened.name) as folder:
                write_json(folder / SPLIT, shared.as_settings())
                self.panel.runs.begin(folder, plan_settings.deformation_words(opened, folder, method))
            self._tell_begun(folder)

    def _tell_begun(self, folder: Path) -> None:
        self.panel.show_tab("runsTab")
        self.panel.say(_("Started in {folder}.").format(folder=folder), widgets.GOOD)

    def scene_closes(self) -> None:
        """A pair that is made for the scene has no place any more."""
        self.synthetic.scene_closes()

    def close(self) -> None:
        """Nothing may run on; runs go on by themselves."""
        self._timer.stop()
        self._examining.stop()
        self.synthetic.close()


def _free_disk(folder: Path) -> int | None:
    """Bytes free where a folder is, or will be."""
    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free
        except OSError:
            continue
    return None
