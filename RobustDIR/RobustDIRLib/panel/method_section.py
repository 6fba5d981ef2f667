"""Model, preset, linear alignment and device, and the forecast of what that will take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
import slicer

from RobustDIRLib.errors import InputError
from RobustDIRLib.panel import forecast, inputs
from RobustDIRLib.panelparts import devices, models, widgets
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.panelparts.words import ALIGNMENTS, _
from RobustDIRLib.presets import PRESETS
from RobustDIRLib.runner.job import Job
from RobustDIRLib.runner.launching import library_command
from RobustDIRLib.runner.reasons import TRY_AGAIN, last_error, reason_of_exit

QUALITIES = {
    "fast": _("Fast: the network alone"),
    "balanced": _("Balanced (recommended)"),
    "best": _("Best: twice the refinement"),
}
SPEED_SETTING = "RobustDIR/Speed"
_POLL_MILLISECONDS = 100


def _titles() -> dict[str, str]:
    return {preset.name: preset.title for preset in PRESETS.values()}


class MethodSection(Section):
    """How to register."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self.model = widgets.Choice(self.ui.modelSelector, {}, self.chooser("model"))
        self.preset = widgets.Choice(self.ui.presetSelector, _titles(), self.chooser("preset"))
        self.alignment = widgets.Choice(self.ui.alignmentSelector, ALIGNMENTS, self.chooser("alignment"))
        self.quality = widgets.Choice(self.ui.qualitySelector, QUALITIES, self.chooser("quality"))
        self.ui.refinementCheckBox.connect("toggled(bool)", self._choose_refinement)
        self.device = widgets.Choice(self.ui.deviceSelector, devices.offered(), self.chooser("device"))
        self.ui.addModelButton.connect("clicked()", self.add_model)
        self._job: Job | None = None
        self._set_id = ""  # of the parameter set that a model is added for
        self._timer = widgets.timer(_POLL_MILLISECONDS, self._poll_adding)
        self.rates = forecast.Rates.from_text(slicer.app.settings().value(SPEED_SETTING, ""))
        self.outlook: forecast.Outlook | None = None

    def _choose_refinement(self, refine: bool) -> None:
        """The box is the quality's short form: ticked unless it is the fast one."""
        if self.parameters is not None and refine == (self.parameters.quality == "fast"):
            self.parameters.quality = "balanced" if refine else "fast"

    def update(self) -> None:
        """Show the parameters, the model's card and the forecast."""
        cards = models.cards()
        self.model.set_options({name: models.title(name, shipped) for name, (_card, shipped) in cards.items()})
        for choice, name in (
            (self.model, "model"),
            (self.preset, "preset"),
            (self.alignment, "alignment"),
            (self.quality, "quality"),
            (self.device, "device"),
        ):
            choice.show(getattr(self.parameters, name))
        self.ui.refinementCheckBox.checked = self.parameters.quality != "fast"
        self._show_card(cards)
        self.ui.addModelButton.enabled = self._job is None and self.panel.environment.state.ready
        self.outlook = self._foresee()
        ready = self.panel.environment.state.ready
        hint = _("Select two volumes to see how long it will take.") if ready else ""
        sentence = self.outlook.sentence() if self.outlook else hint
        absent = inputs.of_device(self.parameters)
        widgets.set_text(self.ui.forecastLabel, absent or sentence, widgets.BAD if absent else widgets.QUIET)

    def _show_card(self, cards: dict[str, tuple[str, bool]]) -> None:
        wanted = self.parameters.model
        if wanted in cards:
            self.ui.modelSelector.toolTip = cards[wanted][0]
            widgets.set_text(self.ui.modelLabel, models.purpose(cards[wanted][0]), widgets.QUIET)
        else:
            self.ui.modelSelector.toolTip = ""
            gone = _("The model “{wanted}” of this scene is not installed here; choose another or add it.").format(
                wanted=wanted
            )
            widgets.set_text(self.ui.modelLabel, gone, widgets.BAD)

    def _foresee(self) -> forecast.Outlook | None:
        """The forecast, where there are two usable volumes and what it needs is installed."""
        parameters = self.parameters
        if not self.panel.environment.state.ready:
            return None
        try:
            fixed, moving = inputs.grid_of(parameters.fixedVolume), inputs.grid_of(parameters.movingVolume)
        except InputError:
            return None
        return forecast.foresee(
            fixed,
            moving,
            preset=parameters.preset,
            alignment=parameters.alignment,
            accelerated=self.accelerated,
            rates=self.rates,
            quality=parameters.quality,
        )

    @property
    def accelerated(self) -> bool:
        """Whether the network will run on a graphics card, as far as can be told without torch."""
        if self.parameters.device == "auto":
            return bool(self.rates.gpu)  # the last runs found one
        return bool(self.parameters.device != "cpu")

    def learn(self, took: dict[str, float], size: forecast.Size, record: dict[str, Any]) -> None:
        """Take the times of a run into the forecasts to come.

        Args:
            took: Seconds of its stages.
            size: As it was foreseen.
            record: Its `run.json`.
        """
        accelerated = str(record.get("device", "cpu")) != "cpu"
        alignment = str(record.get("alignment", {}).get("kind", "automatic"))
        self.rates = self.rates.learned(took, size, alignment, accelerated, str(record.get("quality")))
        slicer.app.settings().setValue(SPEED_SETTING, self.rates.to_text())

    def add_model(self) -> None:
        """Check a model file and copy it among the user's own, in a process of its own."""
        path = qt.QFileDialog.getOpenFileName(None, _("Model file"), "", _("Model files (*.pt *.pth)"))
        if not path or self._job is not None:
            return
        with self.panel.telling():
            self._job = Job(library_command("models", "add", str(path)))
            self._set_id = self.parameters.parameterNode.GetID()
            self.panel.say(_("Checking {name} …").format(name=Path(path).name), widgets.QUIET)
            self._timer.start()

    def _poll_adding(self) -> None:
        if self._job is None:
            return
        polled = self._job.poll()
        if polled.exit_code is None:
            return
        self._timer.stop()
        log, self._job = self._job.log, None
        last = log[-1] if log else ""
        if polled.exit_code == 0:
            name = last.removeprefix("added ").partition(":")[0]
            if slicer.mrmlScene.GetNodeByID(self._set_id) is not None:
                self.panel.parameters_of(self._set_id).model = name
            self.panel.say(_("The model “{name}” was added.").format(name=name), widgets.GOOD)
        else:
            self.panel.say(reason_of_exit(polled.exit_code, log, last_error(log), TRY_AGAIN))
        self.panel.update()

    def close(self) -> None:
        """Nothing may run on."""
        self._timer.stop()
        if self._job is not None:
            self._job.kill()
            self._job = None
