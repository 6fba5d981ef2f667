"""Plans of the form that cannot be run, each with a sentence that says why and what to do. No Qt, no torch."""

from __future__ import annotations

import zipfile
from pathlib import Path

from RobustDIRLib.errors import InputError
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.trainpanel.opened import Opened, Shared
from RobustDIRLib.trainpanel.plan import PRETRAIN, Plan


def refuse(plan: Plan, opened: Opened | None, shared: Shared | None) -> None:
    """Refuse what cannot be run.

    Raises:
        InputError: One sentence: what is missing or wrong, and what to do.
    """
    if plan.purpose != PRETRAIN:
        _refuse_data(plan, opened, shared)
    else:
        refuse_side(plan)
    if not plan.random and not plan.start_model:
        raise InputError(_("Choose the model to start from."))
    if plan.virtual_percent and plan.purpose != PRETRAIN:
        if plan.virtual_low > plan.virtual_high:
            raise InputError(_("The strength of virtual subjects is given from high to low: swap the two numbers."))
        if not plan.deformation_model:
            raise InputError(_("Virtual subjects need a deformation model: build or choose one, or set them to 0 %."))
        if not Path(plan.deformation_model).is_file():
            raise InputError(
                _("The deformation model {file} is gone: choose another one.").format(file=plan.deformation_model)
            )
        virtual_source(Path(plan.deformation_model))


def virtual_source(path: Path) -> str:
    """What a file holds that virtual subjects are drawn from: `model`, of deformations, or `motions`, of breathing.

    Raises:
        InputError: If it holds neither.
    """
    try:
        with zipfile.ZipFile(path) as held:
            names = set(held.namelist())
    except (OSError, zipfile.BadZipFile):
        names = set()
    if "motions.npy" in names:
        return "motions"
    if "mean.npy" in names:
        return "model"
    raise InputError(
        _("{path} is no deformation model and holds no motions of breathing: choose another file.").format(path=path)
    )


def refuse_side(plan: Plan) -> None:
    """Refuse synthetic pairs that no network takes.

    Raises:
        InputError: If so.
    """
    if plan.side % 16:
        raise InputError(
            _("Synthetic pairs of {side} voxels cannot be halved four times: give a multiple of 16.").format(
                side=plan.side
            )
        )


def _refuse_data(plan: Plan, opened: Opened | None, shared: Shared | None) -> None:
    if opened is None:
        raise InputError(_("No data set is open: choose one in the tab Data."))
    if not Path(opened.path).exists():
        raise InputError(
            _("The data set {path} is no longer there: choose its place in the tab Data.").format(path=opened.path)
        )
    if shared is None:
        raise InputError(_("The patients are not shared out yet: see the tab Data."))
    if not shared.pairs("train", plan.draws(opened)):
        raise InputError(_("The patients of the part for training make no pair: give it more in the tab Data."))
    _refuse_terms(plan, opened, shared)


def _refuse_terms(plan: Plan, opened: Opened, shared: Shared) -> None:
    """What the loss or the judge of epochs needs, and the data set lacks."""
    terms, landmarks = plan.terms(opened, shared), any(case.landmarks for case in opened.cases)
    if "dice" in terms and not opened.labelled:
        raise InputError(_("The Dice loss needs label maps of all images, and some are missing: choose another loss."))
    if "landmarks" in terms and not landmarks:
        raise InputError(_("The landmark loss needs landmarks, and the data set has none: choose another loss."))
    if "landmarks" in terms and plan.draws(opened):
        raise InputError(_("The landmark loss needs the data set's own pairs: choose them under More settings."))
    if plan.judge == "dice" and not opened.labelled:
        raise InputError(_("Dice cannot choose the best epoch: some label maps are missing. Choose another measure."))
    if plan.judge == "tre" and not (landmarks and not plan.draws(opened)):
        raise InputError(_("Landmarks cannot choose the best epoch: the pairs have none. Choose another measure."))
