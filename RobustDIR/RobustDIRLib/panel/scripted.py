"""Registering from a script of the user: the panel's parameters, without the panel, waiting until it is done."""

from __future__ import annotations

import time
from pathlib import Path

import slicer

from RobustDIRLib.errors import InputError
from RobustDIRLib.panel import outputs
from RobustDIRLib.panel.origins import Origins, begin
from RobustDIRLib.panel.parameters import Parameters
from RobustDIRLib.panel.runs import RegistrationRun, RegistrationState, new_folder
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.panelparts.workplaces import remove_workplace

_PAUSE_SECONDS = 0.02


def register(parameters: Parameters) -> None:
    """Register the volumes of a parameter set and put the results into the scene.

    The registration runs in a process of its own; the application is kept alive meanwhile.

    Args:
        parameters: Wrapped parameter node of the module.
    Raises:
        InputError: If it cannot be done; nothing in the scene has changed then.
    """
    request, origin = begin(parameters)
    folder = new_folder(Path(slicer.app.temporaryPath), request.fixed.grid, request.moving.grid)
    buffers = outputs.Buffers()
    run = RegistrationRun(request, folder, None, outputs.wanted(parameters), buffers.allocate, buffers.sum_up)
    try:
        while run.advance() is RegistrationState.RUNNING:
            slicer.app.processEvents()
            time.sleep(_PAUSE_SECONDS)
        if run.results is None:
            raise InputError(run.message or _("The registration was stopped."))
        outputs.take(parameters, Origins(), origin, buffers, run.results)
    finally:
        run.kill()
        remove_workplace(folder)
