"""The user's own presets of runs, in the application's settings, as JSON; damaged ones are passed over."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

from RobustDIRLib.errors import InputError
from RobustDIRLib.panelparts.settings import keep_setting, kept_setting
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.trainpanel.plan import Plan, plan_from

SETTING = "RobustDIRTrain/Presets"
# What belongs to one data set, scene or machine, and not to a preset.
_NOT_KEPT = ("deformation_model", "device", "threads")
_LONGEST = 60


def own_presets() -> dict[str, Plan]:
    """The presets by name, in order."""
    return {name: plan_from(values) for name, values in sorted(_kept().items())}


def save_preset(name: str, plan: Plan) -> str:
    """Keep a plan under a name, instead of one of that name.

    Returns:
        The name, without blanks around it.
    Raises:
        InputError: If it is no name, or the settings cannot be written.
    """
    name = name.strip()
    if not name or len(name) > _LONGEST:
        raise InputError(_("Give the preset a name of 1 to {most} letters.").format(most=_LONGEST))
    values = {key: value for key, value in asdict(plan).items() if key not in _NOT_KEPT}
    _keep({**_kept(), name: values})
    return name


def remove_preset(name: str) -> None:
    """Forget a preset.

    Raises:
        InputError: If the settings cannot be written.
    """
    _keep({other: values for other, values in _kept().items() if other != name})


def applied(preset: Plan, plan: Plan) -> Plan:
    """A preset in place of a plan, which keeps what no preset says."""
    return replace(preset, **{name: getattr(plan, name) for name in _NOT_KEPT})


def _kept() -> dict[str, Any]:
    try:
        held = json.loads(kept_setting(SETTING) or "{}")
    except (ValueError, TypeError):
        return {}
    return {str(k): v for k, v in held.items() if isinstance(v, dict)} if isinstance(held, dict) else {}


def _keep(presets: dict[str, Any]) -> None:
    keep_setting(SETTING, json.dumps(presets))
