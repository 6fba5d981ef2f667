"""What a run can start from and run on here: devices, models, deformation models."""

from __future__ import annotations

from pathlib import Path

from RobustDIRLib.model_store import find_model
from RobustDIRLib.panelparts import models
from RobustDIRLib.panelparts.devices import offered
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.run_files import DEFORMATION_MODEL
from RobustDIRLib.trainpanel.home import runs_home
from RobustDIRLib.trainpanel.plan import PRETRAIN, RANDOM, Plan


def devices() -> dict[str, str]:
    """Those that networks can learn on."""
    return {name: words for name, words in offered().items() if name != "mps"}


def start_models(plan: Plan) -> dict[str, str]:
    """Models to start from by name; random weights for a pretraining, and a file that was chosen."""
    found = {RANDOM: _("Random weights")} if plan.purpose == PRETRAIN else {}
    found |= {name: models.title(name, shipped) for name, (_card, shipped) in models.cards().items()}
    if plan.start_model and plan.start_model not in found and Path(plan.start_model).is_file():
        path = Path(plan.start_model)
        found[plan.start_model] = f"{path.parent.name}/{path.name}"
    return found


def deformation_models(chosen: str) -> dict[str, str]:
    """Files of those that runs have built, and of the one that is chosen."""
    found = {str(file): file.parent.name for file in sorted(runs_home().glob(f"*/{DEFORMATION_MODEL}"))}
    if chosen and chosen not in found:
        found[chosen] = f"{Path(chosen).parent.name}/{Path(chosen).name}"
    return found


def model_file(plan: Plan) -> Path | None:
    """The file of the model to start from; None for random weights.

    Raises:
        InputError: If it is not there.
    """
    return None if plan.random else find_model(plan.start_model)
