"""Sample data: the demo's brain pair with a known deformation, made in a process of its own and loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer

from RobustDIRLib import mrml
from RobustDIRLib.errors import InputError
from RobustDIRLib.mrml.nodes import Node
from RobustDIRLib.panelparts import environment
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.runner.launching import library_command
from RobustDIRLib.values import Landmarks

if TYPE_CHECKING:
    from RobustDIRLib.panelparts.background import Background

NAME = "RobustDIRBrainPair"
# Of `demo`, which cannot be imported here: it needs torch.
_FILES = {
    "fixed": ("fixed.nii.gz", "fixed_landmarks.csv"),
    "moving": ("moving.nii.gz", "moving_landmarks.csv"),
}


def command(folder: Path) -> list[str]:
    """The command line that makes the pair in a folder."""
    return library_command("demo", "--pair-only", "--output", str(folder))


def place(background: Background) -> Path:
    """Where a process of the background may put the pair: a folder of its own, as its words go beside it.

    Raises:
        InputError: If it cannot be made.
    """
    return background.new_folder(Path(slicer.app.temporaryPath)) / "pair"


def load(folder: Path) -> dict[str, Node]:
    """Load the pair into the scene.

    Args:
        folder: What `command` filled; may be deleted afterwards.
    Returns:
        Nodes by the names of the panel's inputs.
    Raises:
        InputError: If a file cannot be read.
    """
    from RobustDIRLib.io.landmarks import read_landmarks

    nodes: dict[str, Node] = {}
    for side, (image, points) in _FILES.items():
        named = {"name": _("Sample {side}").format(side=side), "show": False}
        volume = slicer.util.loadVolume(str(folder / image), named)
        slicer.mrmlScene.RemoveNode(volume.GetStorageNode())  # the file goes; saving the scene asks for a new one
        given = read_landmarks(folder / points)
        landmarks = mrml.markups_from_points(
            Landmarks(given.points, given.names), _("Sample {side} points").format(side=side)
        )
        if (display := landmarks.GetDisplayNode()) is not None:
            display.SetVisibility(False)
        nodes[f"{side}Volume"], nodes[f"{side}Landmarks"] = volume, landmarks
    slicer.util.setSliceViewerLayers(background=nodes["fixedVolume"], fit=True)
    return nodes


class SampleLoader:
    """Makes and loads the pair when it is chosen in Slicer's module Sample Data."""

    def __init__(self) -> None:
        self._background: Background | None = None  # timers belong to a running application
        self._folder: Path | None = None

    def __call__(self, _source: object = None) -> None:
        """Begin to make it, unless that goes on already; it is loaded once it is there.

        Args:
            _source: What the module Sample Data was told of it.
        """
        from RobustDIRLib.panelparts.background import Background

        self._background = self._background or Background(self._made)
        if self._background.busy:
            return
        state = environment.examine()
        problem = "" if state.ready else _("{lacking} Open the module RobustDIR.").format(lacking=state.sentence())
        if not problem and not environment.examine(environment.requirements(environment.SAMPLE_REQUIREMENTS)).ready:
            problem = environment.installed(lambda: environment.ensure(environment.SAMPLE_REQUIREMENTS)) or ""
        try:
            self._folder = None if problem else place(self._background)
        except InputError as error:
            problem = str(error)
        if self._folder is None:
            _tell(problem)
            return
        slicer.util.showStatusMessage(_("Making a brain pair with a known deformation …"))
        self._background.start(iter(()), command(self._folder))

    def _made(self, _events: list[dict[str, Any]], problem: str) -> None:
        slicer.util.showStatusMessage("")
        if not problem and self._folder is not None:
            try:
                load(self._folder)
            except InputError as error:
                problem = str(error)
        if problem:
            _tell(problem)


def _tell(problem: str) -> None:
    slicer.util.warningDisplay(problem, windowTitle="RobustDIR")


def offer(thumbnail: Path) -> None:
    """Have Slicer's module Sample Data offer the pair, which is made on this computer: nothing is downloaded.

    Args:
        thumbnail: Picture for its button.
    """
    try:
        from SampleData import SampleDataLogic  # type: ignore[import-not-found]
    except ImportError:  # an application that was built without that module
        return
    SampleDataLogic.registerCustomSampleDataSource(
        category="RobustDIR",
        sampleName=NAME,
        uris=[f"file:{name}" for name, _points in _FILES.values()],  # asked for by the module, never opened
        fileNames=[name for name, _points in _FILES.values()],
        nodeNames=[None, None],
        thumbnailFileName=str(thumbnail),
        customDownloader=_LOADER,
    )


_LOADER = SampleLoader()
