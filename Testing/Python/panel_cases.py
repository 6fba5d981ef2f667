"""A pair of volumes in the scene, a panel on it, and what the scene holds, for the tests of the panel."""

import os
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np

from mrml_cases import segmentation_from_labels
from registration_cases import grid_about, picture
from RobustDIRLib.values import Image, Landmarks

PROCESS = Path(__file__).with_name("panel_process.py")
CENTRE = np.array([30.0, -20, 10])
FIXED_GRID = grid_about(CENTRE, (22, 25, 27), (3.1, 2.9, 3.4), (12, -8, 20), (1, -1, 1))
MOVING_GRID = grid_about(CENTRE + [3, -1, -4], (24, 26, 21), (3.6, 3.3, 4.0), (-10, 25, 8), (-1, 1, 1))


@cache
def _pictures() -> tuple[Image, Image]:
    """Fixed and moving: the same for every test of a process."""
    fixed = picture(FIXED_GRID, lambda p: p - CENTRE)
    moving = picture(MOVING_GRID, lambda p: (p - CENTRE) * 1.03 - [2, 1, 3])
    return Image(fixed.array, fixed.grid), Image(moving.array, moving.grid)


def volume_nodes():
    """Fixed and moving volume of the scene, each test's own: the moving one is a little larger and off."""
    from RobustDIRLib import mrml

    named = zip(_pictures(), ("planning", "control"), strict=True)
    nodes = [mrml.volume_to_node(Image(image.array.copy(), image.grid), name) for image, name in named]
    for node in nodes:
        node.GetDisplayNode().SetAutoWindowLevel(False)
        node.GetDisplayNode().SetWindowLevel(1.5, 0.7)
    return nodes


def landmark_nodes(count: int = 6, shift=(3.0, -2.0, 1.0)):
    """Paired landmarks; the moving ones are shifted, mm, LPS, the last of them by 4 mm more."""
    from RobustDIRLib import mrml

    voxels = np.random.default_rng(4).uniform(8, 14, (count, 3))
    points = FIXED_GRID.points_from_voxels(voxels)
    names = tuple(f"point {k}" for k in range(count))
    moving = points + np.array(shift)
    moving[-1, 0] += 4
    return [
        mrml.markups_from_points(Landmarks(each, names), name)
        for each, name in ((points, "fixed points"), (moving, "moving points"))
    ]


def segmentation_nodes(names=(("bright", "dark"), ("bright", "other"))):
    """A segmentation of each volume, with two segments each."""

    nodes = []
    for grid, named, off in ((FIXED_GRID, names[0], 0), (MOVING_GRID, names[1], 1)):
        labels = np.zeros(grid.shape, np.uint8)
        labels[6 + off : 12, 7:13, 8:15], labels[14:18, 10:15, 6:10] = 1, 2
        volume = Image(labels, grid)
        nodes.append(segmentation_from_labels(volume, dict(enumerate(named, 1)), "structures"))
    return nodes


def contents(scene) -> dict[str, tuple]:
    """Every node of the scene: its class, name, references, attributes, and of data how often it was changed."""
    nodes = [scene.GetNthNode(k) for k in range(scene.GetNumberOfNodes())]
    return {node.GetID(): _described(node) for node in nodes}


def _described(node) -> tuple:
    roles = [node.GetNthNodeReferenceRole(k) for k in range(node.GetNumberOfNodeReferenceRoles())]
    references = tuple((role, node.GetNodeReferenceID(role)) for role in roles if node.GetNodeReferenceID(role))
    attributes = tuple((name, node.GetAttribute(name)) for name in sorted(node.GetAttributeNames()))
    data = None
    if node.IsA("vtkMRMLVolumeNode") and node.GetImageData() is not None:
        data = node.GetImageData().GetMTime()
    if node.IsA("vtkMRMLScriptedModuleNode"):
        data = tuple((name, node.GetParameter(name)) for name in sorted(node.GetParameterNames()))
    return node.GetClassName(), node.GetName(), references, attributes, data


def settle(desktop) -> None:
    """Lets the panel do what it has put off, for a time."""
    desktop.process_events(2)
    for _ in range(4):
        if not desktop.has_put_off(80):
            break
        time.sleep(0.02)
        desktop.process_events(2)
    desktop.process_events(2)


def register(panel, desktop, seconds: float = 90) -> str:
    """Clicks Register and waits; the panel's sentence."""
    panel.ui.registerButton.click()
    desktop.wait_until(lambda: panel.widget.panel.run.run is None, seconds)
    settle(desktop)
    return panel.ui.messageLabel.text


def start(panel, desktop) -> None:
    """Clicks Register and waits for the process."""
    panel.ui.registerButton.click()
    run = panel.widget.panel.run
    desktop.wait_until(lambda: run.run is None or run.run.process_id is not None)
    assert run.run is not None, panel.ui.messageLabel.text


def names_in(scene) -> list[str]:
    """Of all nodes."""
    return [node[1] for node in contents(scene).values()]


def ended(process_id: int) -> bool:
    """Whether a process has gone, within five seconds."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def play(monkeypatch, mode: str) -> None:
    """`panel_process` in place of the registering process."""
    from RobustDIRLib.panel import runs

    monkeypatch.setattr(runs, "library_command", lambda *words: [sys.executable, str(PROCESS), mode, *words])


def play_here(monkeypatch) -> None:
    """What `panel_process` does, without a process: done as soon as it is started."""
    import panel_process
    from RobustDIRLib.panel import runs
    from RobustDIRLib.runner.job import Polled

    class Done:
        """A process that has ended well."""

        process_id, log = 0, ()

        def __init__(self, words, stop_file=None, output=None) -> None:
            panel_process.register(words)

        def poll(self) -> Polled:
            return Polled(exit_code=0)

        def stop(self) -> None: ...

        kill = stop

    monkeypatch.setattr(runs, "library_command", lambda *words: list(words))
    monkeypatch.setattr(runs, "Job", Done)


def show(volume) -> None:
    """A volume alone in all slice views, as a user has it before anything else."""
    from RobustDIRLib.panelparts import views

    views.show(volume)
    views.fit()


def picture_of(view, folder: Path) -> np.ndarray:
    """What an off-screen view shows, `(rows, columns, 3)`, 0 to 255."""
    from skimage.io import imread

    return imread(view.write_png(folder / "view.png"))[..., :3]
