"""What a user of the Slicer module waits for, as Markdown rows: opening the panel, a run, the views.

    python Testing/Benchmarks/panel.py [--side 192] [--stand-in] [--sliders-only]

On the bench of Testing/SlicerHeadless, software rendering. The run is a real one, in its process, of a pair with masks
(one a surface), landmarks and ten structures; `--stand-in` answers in place of that process, which leaves the panel's
own share. A timer of 5 ms in the event loop tells how long the panel kept the application waiting; what it did itself
is told apart, since other programs keep the event loop waiting, too. A toggle's time runs from the change in the
panel until all three slice views have been drawn anew; a slider's likewise, on 512 x 512 x 200 voxels. "Computed" is
the time that this process's processors worked.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Testing"), str(ROOT / "Testing" / "Python"), str(ROOT / "RobustDIR")]
STAND_IN = ROOT / "Testing" / "Python" / "panel_process.py"

from RobustDIRLib.values import DisplacementField, Image, Landmarks  # noqa: E402
from SlicerHeadless import availability  # noqa: E402

HEADER = """\
| what | times | ms by the clock: median | largest | ms computed: largest |
|---|---|---|---|---|"""
HEAVY = {"torch", "SimpleITK", "nibabel", "skimage", "scipy"}
STRUCTURES = 10
REPEATS = 5
LARGE = (200, 512, 512)
TOGGLES = {
    "grid": {"deformation": "grid"},
    "arrows": {"deformation": "glyph"},
    "contours": {"deformation": "contour"},
    "blend": {"compare": "blend"},
    "checkerboard": {"compare": "checkerboard"},
    "red and cyan": {"compare": "red-cyan"},
    "difference": {"compare": "difference"},
    "Jacobian map": {"compare": "jacobian"},
}


class Moment(NamedTuple):
    """A time, or the difference of two, in seconds: of the clock and of this process's processors."""

    clock: float
    processor: float

    @classmethod
    def now(cls) -> Moment:
        """This moment."""
        return cls(time.perf_counter(), time.process_time())

    def __sub__(self, other: Moment) -> Moment:
        return Moment(self.clock - other.clock, self.processor - other.processor)


def timed(action: Callable[[], Any]) -> Moment:
    """How long something took."""
    start = Moment.now()
    action()
    return Moment.now() - start


def tell(what: str, times: list[Moment]) -> None:
    """One row."""
    clock, processor = ([1000 * each[k] for each in times] for k in (0, 1))
    row = f"{median(clock):.0f} | {max(clock):.0f} | {max(processor):.0f}"
    print(f"| {what} | {len(times)} | {row} |", flush=True)


def measure_opening() -> Any:
    """Opens the panel, in a process that has loaded what the application has loaded anyway."""
    from SlicerHeadless import desktop

    desktop.start()
    for name in [name for name in sys.modules if name.partition(".")[0] in HEAVY]:
        del sys.modules[name]  # of this file's own making
    opened: list[Any] = []
    tell("open the panel", [timed(lambda: opened.append(desktop.open_panel(ROOT / "RobustDIR" / "RobustDIR.py")))])
    loaded = ", ".join(sorted(HEAVY & set(sys.modules))) or "none"
    print(f"| loaded by opening it, of {', '.join(sorted(HEAVY))} | {loaded} | | | |", flush=True)
    return opened[0]


def smooth_noise(side: int, channels: int) -> np.ndarray:
    """Smooth shapes, `(channels, z, y, x)`, -1 to 1, float32."""
    noise = np.random.default_rng(1).normal(size=(channels, 24, 24, 24))
    coarse = np.stack([gaussian_filter(channel, 2.0) for channel in noise])
    coarse /= np.abs(coarse).max(axis=(1, 2, 3), keepdims=True)
    return np.stack([zoom(channel, side / 24, order=1) for channel in coarse]).astype(np.float32)


def grid_of(side: int) -> Any:
    """1.2 mm voxels around the world's origin."""
    from RobustDIRLib.geometry import Grid

    return Grid((side,) * 3, (1.2,) * 3, (-0.6 * side,) * 3)


def choose_inputs(parameters: Any, side: int) -> None:
    """A pair of volumes with a mask, 50 landmarks and some structures each; the moving mask is a surface."""
    from mrml_cases import segmentation_from_labels
    from RobustDIRLib import mrml

    grid, shapes = grid_of(side), smooth_noise(side, 2)
    points = grid.points_from_voxels(np.random.default_rng(2).uniform(0.2, 0.8, (50, 3)) * side)
    names = tuple(f"point {k}" for k in range(len(points)))
    for which, name in enumerate(("fixed", "moving")):
        image = np.roll(shapes[0], 3 * which, axis=2)
        labels = np.digitize(image, np.linspace(-0.6, 0.6, STRUCTURES)).astype(np.uint8)
        mask = Image((image > -0.5).astype(np.uint8), grid)
        nodes = {
            "Volume": mrml.volume_to_node(Image((1000 * image).astype(np.int16), grid), name),
            "Mask": segmentation_from_labels(mask, {1: "body"}, f"{name} body"),
            "Segmentation": segmentation_from_labels(Image(labels, grid), {}, f"{name} structures"),
            "Landmarks": mrml.markups_from_points(Landmarks(points + [1.2 * which, 0, 0], names), f"{name} points"),
        }
        for what, node in nodes.items():
            setattr(parameters, f"{name}{what}", node)
    only_surfaces(parameters.movingMask)


def only_surfaces(node: Any) -> None:
    """Of a segmentation, as where it was loaded from surfaces."""
    segmentation = node.GetSegmentation()
    segmentation.CreateRepresentation("Closed surface")
    segmentation.SetSourceRepresentationName("Closed surface")
    segmentation.RemoveRepresentation("Binary labelmap")


@contextmanager
def watched(section: Any):
    """Gives the list of how long each tick of the run's timer took."""
    ticks: list[Moment] = []
    poll = section._poll
    section._timer.disconnect("timeout()", poll)
    section._timer.connect("timeout()", lambda: ticks.append(timed(poll)))
    yield ticks


def measure_run(panel: Any, side: int) -> None:
    """One run, from the click until its results, landmarks and structures stand in the panel."""
    from SlicerHeadless import desktop

    sections = panel.widget.panel
    choose_inputs(sections.parameters, side)
    desktop.process_events()
    sections.update()
    desktop.process_events()
    begun = time.perf_counter()
    with watched(sections.run) as ticks, desktop.LongestPause() as pause:
        clicked = timed(panel.ui.registerButton.click)
        desktop.wait_until(lambda: sections.run.run is None and not sections.check._background.busy, 1800)
    seconds = time.perf_counter() - begun
    if sections.parameters.transformNode is None:
        raise SystemExit(f"the run failed: {panel.ui.messageLabel.text}")
    tell("click on Register", [clicked])
    tell(f"ticks of the panel's timer during a run of {seconds:.0f} s", ticks)
    print(f"| longest pause of the event loop during that run | 1 | | {1000 * pause.seconds:.0f} | |", flush=True)


def measure_views(panel: Any, side: int) -> None:
    """Every toggle of the Look section, on and off, on a transform of so many voxels a side, alone in the scene."""
    import slicer

    from RobustDIRLib.panelparts import views

    slicer.mrmlScene.Clear(0)
    draw()
    parameters = panel.widget.panel.parameters
    parameters.fixedVolume, parameters.warpedNode, parameters.jacobianNode, parameters.transformNode = results(side)
    views.show(parameters.fixedVolume)
    views.fit()
    draw()
    for name, wanted in TOGGLES.items():
        off = dict.fromkeys(wanted, "off")
        times = [(change(parameters, wanted), change(parameters, off)) for _ in range(REPEATS)]
        tell(f"{name}, on", [on for on, _ in times])
        tell(f"{name}, off", [gone for _, gone in times])
    change(parameters, {"deformation": "grid"})
    spacings = [8.0 + 3 * k for k in range(REPEATS)]
    tell("grid, another spacing", [change(parameters, {"deformationSpacing": each}) for each in spacings])


def measure_sliders(panel: Any) -> None:
    """The sliders of the Look section on a large pair: from a new value until the views show it."""
    import slicer

    from RobustDIRLib import mrml
    from RobustDIRLib.geometry import Grid
    from RobustDIRLib.panelparts import views

    slicer.mrmlScene.Clear(0)
    draw()
    parameters, (_, warped, jacobian, transform) = panel.widget.panel.parameters, results(96)
    z, y, x = LARGE
    large = Grid(LARGE, (0.7, 0.7, 1.5), (-0.35 * x, -0.35 * y, -0.75 * z))
    for name, node in (("fixedVolume", jacobian), ("warpedNode", warped)):
        voxels = mrml.volume_from_node(node).array
        voxels = zoom(voxels, [n / m for n, m in zip(LARGE, voxels.shape, strict=True)], order=1)
        array = (1000 * voxels / np.abs(voxels).max()).astype(np.int16)
        setattr(parameters, name, mrml.volume_to_node(Image(array, large), name))
    parameters.transformNode = transform
    views.show(parameters.fixedVolume)
    views.fit()
    draw()
    for mode in ("blend", "checkerboard"):
        change(parameters, {"compare": mode})
        tell(f"{mode}, slider", [slide(panel, "blend", 10.0 + 7 * k) for k in range(2 * REPEATS)])
    change(parameters, {"compare": "off", "deformation": "grid"})
    tell("grid, slider of its spacing", [slide(panel, "deformationSpacing", 12.0 + 3 * k) for k in range(REPEATS)])


def slide(panel: Any, name: str, value: float) -> Moment:
    """How long the panel takes for a slider's new value, and the views to show it."""
    setattr(panel.widget.panel.parameters, name, value)

    def act() -> None:
        panel.widget.panel.update()
        draw()

    return timed(act)


def results(side: int) -> tuple[Any, ...]:
    """Nodes of a pair of volumes, a Jacobian map, and a smooth transform of up to 8 mm."""
    from RobustDIRLib import mrml

    grid, shapes = grid_of(side), smooth_noise(side, 5)
    fixed, warped = (mrml.volume_to_node(Image(1000 * channel, grid), "volume") for channel in shapes[:2])
    jacobian = mrml.volume_to_node(Image(1 + 0.5 * shapes[2], grid), "jacobian")
    field = DisplacementField(8 * np.moveaxis(shapes[2:], 0, -1), grid)
    return fixed, warped, jacobian, mrml.transform_from_parts([field], "transform")


def change(parameters: Any, wanted: dict[str, Any]) -> Moment:
    """How long until the views show other parameters."""

    def act() -> None:
        for name, value in wanted.items():
            setattr(parameters, name, value)
        time.sleep(0.04)  # the panel gathers changes for 30 ms
        draw()

    return timed(act)


def draw() -> None:
    """Lets the panel do what waits, and draws the three slice views."""
    import slicer

    from SlicerHeadless import desktop

    desktop.process_events()
    for name in ("Red", "Green", "Yellow"):
        slicer.app.layoutManager().sliceWidget(name).sliceView().offscreen.render()


def main() -> int:
    """Measures and prints.

    Returns:
        0; 1 if this machine lacks what the bench needs.
    """
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--side", type=int, default=192, help="voxels along each side of volumes and transform")
    arguments.add_argument("--sliders-only", action="store_true", help="nothing but the sliders")
    arguments.add_argument("--stand-in", action="store_true", help="answer in place of the registering process")
    given = arguments.parse_args()
    reason = availability.why_no_desktop() or availability.why_no_rendering()
    if reason:
        print(reason, file=sys.stderr)
        return 1
    print(HEADER, flush=True)
    panel = measure_opening()
    if given.stand_in:
        from RobustDIRLib.panel import runs

        runs.library_command = lambda *words: [sys.executable, str(STAND_IN), "well", *words]
    if not given.sliders_only:
        measure_run(panel, given.side)
        measure_views(panel, given.side)
    measure_sliders(panel)
    panel.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
