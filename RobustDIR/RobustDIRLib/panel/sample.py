"""Sample data: the demo's brain pair with a known deformation, made in a process of its own and loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from RobustDIRLib import mrml
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.runner.launching import library_command

# Of `demo`, which cannot be imported here: it needs torch.
_FILES = {
    "fixed": ("fixed.nii.gz", "fixed_landmarks.csv"),
    "moving": ("moving.nii.gz", "moving_landmarks.csv"),
}


def command(folder: Path) -> list[str]:
    """The command line that makes the pair in a folder."""
    return library_command("demo", "--pair-only", "--output", str(folder))


def load(folder: Path, parameters: Any) -> None:
    """Load the pair and choose it as the panel's inputs.

    Args:
        folder: What `command` filled; may be deleted afterwards.
        parameters: Of the panel.
    Raises:
        InputError: If a file cannot be read.
    """
    from RobustDIRLib.io.landmarks import read_landmarks

    for side, (image, points) in _FILES.items():
        volume = slicer.util.loadVolume(
            str(folder / image), {"name": _("Sample {side}").format(side=side), "show": False}
        )
        slicer.mrmlScene.RemoveNode(volume.GetStorageNode())  # the file goes; saving the scene asks for a new one
        given = read_landmarks(folder / points)
        landmarks = mrml.markups_from_points(
            mrml.Points(given.points, given.names), _("Sample {side} points").format(side=side)
        )
        landmarks.GetDisplayNode().SetVisibility(False)
        setattr(parameters, f"{side}Volume", volume)
        setattr(parameters, f"{side}Landmarks", landmarks)
    slicer.util.setSliceViewerLayers(background=parameters.fixedVolume, fit=True)
