"""*More settings* of the tab *Train*: what may well stay as it is."""

from __future__ import annotations

from typing import Any

from RobustDIRLib.panelparts import widgets
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.panelparts.words import ALIGNMENTS, _
from RobustDIRLib.presets import PRESETS
from RobustDIRLib.trainpanel import train_words
from RobustDIRLib.trainpanel.plan import PRETRAIN, TERMS, Plan, camel

_SYNTHETIC = ("dice",)  # terms that a pretraining has beside the error of the known displacement


class MoreBox(Section):
    """The choices of that section; its numbers are connected to the parameters by themselves."""

    def __init__(self, tab: Any) -> None:
        super().__init__(tab.panel)
        ui, choose = self.ui, self.chooser
        presets = {"": _("As the data set says"), **{preset.name: preset.title for preset in PRESETS.values()}}
        self.choices = {
            "precision": widgets.Choice(ui.precisionSelector, train_words.precisions(), choose("precision")),
            "draw_pairs": widgets.Choice(ui.drawPairsSelector, train_words.drawings(), choose("drawPairs")),
            "alignment": widgets.Choice(ui.trainAlignmentSelector, ALIGNMENTS, choose("alignment")),
            "run_preset": widgets.Choice(ui.scansSelector, presets, choose("runPreset")),
            "judge": widgets.Choice(ui.judgeSelector, train_words.judges(), choose("judge")),
        }

    def show(self, plan: Plan) -> None:
        """What the form says, and what belongs to the purpose."""
        ui, pretraining = self.ui, plan.purpose == PRETRAIN
        for name, choice in self.choices.items():
            choice.show(getattr(plan, name))
        ui.moreDataFrame.setVisible(not pretraining)
        for term in TERMS:
            name = f"{camel(f'extra_{term}')}Box"
            there = not pretraining or term in _SYNTHETIC
            for widget in (getattr(ui, name), getattr(ui, f"{name}Label")):
                widget.setVisible(there)
            getattr(ui, name).enabled = term != plan.loss
        for widget in (ui.virtualLowBox, ui.virtualHighBox):
            widget.enabled = plan.virtual_percent > 0
        changed = plan.more_than_usual
        ui.moreCollapsibleButton.text = _("More settings (changed)") if changed else _("More settings")
