"""A case of an evaluation in the views: registered again in a process of its own, with landmark errors and grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from RobustDIRLib import mrml
from RobustDIRLib.panelparts import deformations, views
from RobustDIRLib.panelparts.background import Background
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.runner.launching import library_command
from RobustDIRLib.trainpanel import case_scene

_LINES = 12  # of the deformation grid, across the shortest side of the fixed image
_LEAST_SPACING = 2.0  # mm


class CaseLook:
    """One case at a time.

    Args:
        told: Called with a sentence and whether it is a failure, at every turn.
    """

    def __init__(self, told: Callable[[str, bool], None]) -> None:
        self._told = told
        self._background = Background(self._written)
        self._loading: case_scene.CaseLoading | None = None
        self._before: views.Snapshot | None = None
        self.nodes: case_scene.CaseNodes | None = None
        self.title = ""

    @property
    def busy(self) -> bool:
        """Whether a case is on its way."""
        return self._background.busy

    @property
    def shown(self) -> bool:
        """Whether a case is in the views."""
        return self.nodes is not None

    def show(self, evaluation: Path, case: str, method: str, title: str) -> None:
        """Register a case of an evaluation by one of its methods and show it; what is under way is given up.

        Args:
            evaluation: Folder of the evaluation.
            case: Its name.
            method: Its name.
            title: Of both, for people.
        Raises:
            InputError: If the application's temporary folder cannot be written to.
        """
        self._background.stop()
        self.title = title
        folder = self._background.new_folder(Path(slicer.app.temporaryPath)) / "case"
        self._loading = case_scene.CaseLoading(folder, title)
        words = ["evaluate", "--show", str(evaluation), f"--case={case}", f"--methods={method}"]
        command = library_command(*words, "--hand-over", str(folder))
        self._background.start(iter(()), command, self._steps(self._loading))
        self._told(_("Registering {title} …").format(title=title), False)

    def _steps(self, loading: case_scene.CaseLoading) -> Iterator[None]:
        if self._before is None:
            self._before = views.Snapshot.take()
        yield from loading.steps()
        assert loading.nodes is not None
        try:
            yield
            yield from lay_out(loading.nodes, self.title)
            yield from case_scene.show(loading.nodes)
        except BaseException:
            case_scene.remove_looked_at()
            raise

    def _written(self, _events: list[dict[str, Any]], problem: str) -> None:
        loading, self._loading = self._loading, None
        if problem or loading is None or loading.nodes is None:
            self._told(problem, True)
            return
        self.nodes = loading.nodes
        self._told(" ".join([self._sentence(), *map(str, self.nodes.said.get("notes", ()))]), False)

    def _sentence(self) -> str:
        assert self.nodes is not None
        points = self.nodes.said.get("landmarks")
        if not points:
            return str(_("{title} is in the views.").format(title=self.title))
        before, after = (float(np.mean(points[when])) for when in ("before", "after"))
        told = _("{title} is in the views: mean landmark error {after:.2f} mm, {before:.2f} mm before.")
        return str(told.format(title=self.title, before=before, after=after))

    def close(self) -> None:
        """Take it out of the scene, and show what the views showed before."""
        self._background.stop()
        if self.nodes is not None or (self._loading is not None and self._loading.nodes is not None):
            case_scene.remove_looked_at()
        if self._before is not None:
            self._before.restore()
        self.forget()

    def forget(self) -> None:
        """The scene is emptied: nothing of it is there to be taken out."""
        self._background.stop()
        self.nodes = self._before = self._loading = None


def lay_out(nodes: case_scene.CaseNodes, title: str) -> Iterator[None]:
    """Bring the moving image and what belongs to it onto the fixed one, and draw errors and deformation, in steps.

    Args:
        nodes: Of the case; error vectors, from each fixed landmark to where the moving one comes to lie, become a node
            of the scene that goes with them.
        title: For that node.
    """
    transform = nodes.transform
    for node in (nodes.volumes["moving"], nodes.volumes.get("moving_labels"), nodes.points.get("moving")):
        if node is not None:
            node.SetAndObserveTransformNodeID(transform.GetID())
            yield
    if nodes.points:
        _draw_errors(nodes, title)
        yield
    region = nodes.volumes["fixed"]
    grid = mrml.grid_of_volume(region)
    side = min(n * s for n, s in zip(grid.size, grid.spacing, strict=True))
    spacing = max(side / _LINES, _LEAST_SPACING)
    deformations.show(
        transform, deformations.GRID, region=region, spacing=spacing, slices=True, in_3d=False, coloured=True
    )
    transform.GetDisplayNode().SetSaveWithScene(False)


def _draw_errors(nodes: case_scene.CaseNodes, title: str) -> None:
    landmarks = nodes.said["landmarks"]
    fixed, moving = (np.array(landmarks[side], dtype=np.float64).reshape(-1, 3) for side in ("fixed", "moving"))
    ends = mrml.transform_points(nodes.transform, moving, inverse=True)
    node = mrml.vectors_to_node(fixed, ends, _("{title} errors").format(title=title))
    case_scene.mark(node)
    for shown in (node, *nodes.points.values()):
        shown.GetDisplayNode().SetSaveWithScene(False)
